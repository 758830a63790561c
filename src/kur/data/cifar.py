"""The `cifar` supplier: CIFAR-10 as its authors pack it (pickles in a tar archive), or as .npz.

Knows nothing of networks.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.archive import DAMAGED, damaged, is_archive, members
from kur.data.arrays import Arrays, one_hot
from kur.data.npz import read_npz
from kur.data.package import Package, installed
from kur.data.pickles import read_pickle
from kur.data.supplier import supplier
from kur.errors import KurError

CLASSES = 10
_TRAINING = ("1", "2", "3", "4", "5")
_PARTS = (*_TRAINING, "test")
_BATCH = re.compile(r"data_batch_([1-5])|(test)_batch")
# A part of CIFAR-10 has 31 MB.
_LARGEST = 256 << 20

Pictures = NDArray[np.uint8]
Part = tuple[Pictures, NDArray[np.int64]]


@supplier("cifar")
class Cifar(Arrays):
    """Sources images (32, 32, 3), each value 0 to 1 less its mean over all pictures, and labels
    (10,), one-hot.

    The package is cifar-10-python.tar.gz, a folder of its data_batch_1 ... test_batch, a folder of
    train.npz and test.npz (images, labels), or one .npz file. `parts` is one or several of 1 to 5
    and test (default: 1 to 5); of train.npz they are fifths.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        parts: int | str | list[Any] | None = None,
    ) -> None:
        where = installed(Package(url=url, path=path, checksum=checksum), base)
        wanted = _wanted(parts)
        found = _read(where, wanted)
        missing = [part for part in wanted if part not in found]
        if missing:
            raise KurError(f"{where}: has no part {missing[0]}; it has: {', '.join(found)}")
        images = np.concatenate([found[part][0] for part in wanted])
        labels = np.concatenate([found[part][1] for part in wanted])
        mean = (images.mean(axis=0, dtype=np.float64) / 255).astype(np.float32)
        super().__init__(
            {"images": images, "labels": labels},
            where,
            {
                "images": lambda rows: rows.astype(np.float32) / np.float32(255) - mean,
                "labels": lambda rows: one_hot(rows, CLASSES),
            },
        )


def _wanted(parts: int | str | list[Any] | None) -> list[str]:
    listed = list(_TRAINING) if parts is None else parts if isinstance(parts, list) else [parts]
    names = [str(one) for one in listed]
    for name in names:
        if name not in _PARTS:
            message = f"found {name!r} among the 'parts'; accepted: {', '.join(_PARTS)}"
            raise ArgumentError(message, "parts")
    if not names or len(set(names)) < len(names):
        raise ArgumentError(f"'parts' names a part twice, or none: {names}", "parts")
    return names


def _read(where: Path, wanted: Sequence[str]) -> dict[str, Part]:
    """The wanted parts that a package has, by name."""
    if where.suffix == ".npz":
        return _fifths(where) if where.stem != "test" else {"test": _from_npz(where)}
    if where.is_dir():
        return _in_folder(where, wanted)
    if not is_archive(where):
        raise KurError(f"{where}: not CIFAR-10: a tar archive, a folder or an .npz file expected")
    found: dict[str, Part] = {}
    try:
        for member in members(where):
            part = _part_of(PurePosixPath(member.name).name)
            if part is not None and part in wanted:
                place = f"{where} ({member.name})"
                if part in found or member.size > _LARGEST:
                    raise KurError(f"{place}: not a part of CIFAR-10, or one that is there twice")
                found[part] = _from_pickle(member.file.read(), place)
    except DAMAGED as error:
        raise damaged(where, error) from None
    return found


def _in_folder(folder: Path, wanted: Sequence[str]) -> dict[str, Part]:
    inner = folder / "cifar-10-batches-py"
    folder = inner if inner.is_dir() else folder
    found: dict[str, Part] = {}
    for file in sorted(folder.iterdir()):
        part = _part_of(file.name)
        if part is not None and part in wanted and file.stat().st_size <= _LARGEST:
            found[part] = _from_pickle(file.read_bytes(), file)
    if "test" in wanted and (folder / "test.npz").is_file():
        found["test"] = _from_npz(folder / "test.npz")
    if set(wanted) - {"test"} and (folder / "train.npz").is_file():
        found |= _fifths(folder / "train.npz")
    return found


def _part_of(name: str) -> str | None:
    match = _BATCH.fullmatch(name)
    return (match[1] or match[2]) if match else None


def _fifths(path: Path) -> dict[str, Part]:
    images, labels = _from_npz(path)
    pairs = zip(np.array_split(images, 5), np.array_split(labels, 5), strict=True)
    return dict(zip(_TRAINING, pairs, strict=True))


def _from_npz(path: Path) -> Part:
    return _checked(read_npz(path), "images", path)


def _from_pickle(data: bytes, where: object) -> Part:
    found = read_pickle(data, where)
    if not isinstance(found, dict):
        raise KurError(f"{where}: not a part of CIFAR-10: a dictionary expected")
    # Keys are bytes where Python 3 has read and written a pickle of Python 2.
    values = {key.decode() if isinstance(key, bytes) else key: one for key, one in found.items()}
    return _checked(values, "data", where)


def _checked(values: dict[Any, Any], key: str, where: object) -> Part:
    if key not in values or "labels" not in values:
        raise KurError(f"{where}: not CIFAR-10: {key!r} and 'labels' expected")
    images, labels = np.asarray(values[key]), np.asarray(values["labels"])
    if images.ndim == 2 and images.shape[1] == 3072:  # colours, rows, columns
        images = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    good = images.dtype == np.uint8 and images.shape[1:] == (32, 32, 3)
    good = good and labels.shape == images.shape[:1] and labels.dtype.kind in "iu"
    if not good or (labels.size and not 0 <= labels.min() <= labels.max() < CLASSES):
        message = f"pictures {images.dtype} {images.shape}, labels {labels.dtype} {labels.shape}"
        raise KurError(f"{where}: not CIFAR-10: {message}")
    return images, labels.astype(np.int64)
