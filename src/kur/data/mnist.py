"""The `mnist` supplier: pictures and their classes from two IDX files.

Knows nothing of networks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.data.arrays import Arrays, one_hot
from kur.data.idx import read_idx
from kur.data.package import installed, package_of
from kur.data.supplier import supplier
from kur.errors import KurError

CLASSES = 10


@supplier("mnist")
class Mnist(Arrays):
    """Sources images (28, 28, 1), 0 to 1 less the mean of the file, and labels (10,), one-hot.

    `images` and `labels` are packages (a path, or {path, url, checksum}) of an IDX file, which may
    be gzipped.
    """

    def __init__(
        self, *, base: Path, images: str | dict[str, Any], labels: str | dict[str, Any]
    ) -> None:
        files = {
            name: installed(package_of(given, name), base, name)
            for name, given in (("images", images), ("labels", labels))
        }
        pictures, classes = read_idx(files["images"]), read_idx(files["labels"])
        if pictures.ndim != 3 or pictures.dtype != np.uint8:
            raise KurError(f"{files['images']}: not pictures: {_form(pictures)}")
        if classes.ndim != 1 or classes.dtype != np.uint8:
            raise KurError(f"{files['labels']}: not labels: {_form(classes)}")
        if len(classes) and classes.max() >= CLASSES:
            raise KurError(f"{files['labels']}: holds the label {classes.max()}; accepted: 0 to 9")
        mean = np.float32(pictures.mean() / 255) if pictures.size else np.float32(0)
        super().__init__(
            {"images": pictures[..., None], "labels": classes},
            files["images"],
            {
                "images": lambda rows: rows.astype(np.float32) / np.float32(255) - mean,
                "labels": lambda rows: one_hot(rows, CLASSES),
            },
        )


def _form(array: NDArray[Any]) -> str:
    return f"the array in it is {array.dtype} of the shape {array.shape}"
