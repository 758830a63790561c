"""The `cifar` supplier on its authors' layout, in a tar and in a folder, and on .npz files."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from test_pickles import Runs, python2

from kur.arguments import bind
from kur.data.cifar import Cifar
from kur.data.supplier import Draw
from kur.errors import KurError

Pictures = npt.NDArray[np.uint8]
PARTS: dict[str, Pictures] = {
    part: np.random.default_rng(seed).integers(0, 256, (3 + (seed > 0), 32, 32, 3), np.uint8)
    for seed, part in enumerate(["test", "1", "2", "3", "4", "5"])
}


def packed(pictures: Pictures, protocol: int = 2) -> bytes:
    flat = pictures.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    labels = [int(one) % 10 for one in pictures[:, 0, 0, 0]]
    return pickle.dumps({"data": flat, "labels": labels, "batch_label": "x"}, protocol)


def names() -> dict[str, str]:
    return {one: "test_batch" if one == "test" else f"data_batch_{one}" for one in PARTS}


@pytest.fixture(params=["tar.gz", "folder", "inner", "npz"])
def package(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """CIFAR-10 in each of its forms; the name of the file or folder."""
    if request.param == "tar.gz":
        with tarfile.open(tmp_path / "c.tar.gz", "w:gz") as out:
            for part, name in {**names(), "meta": "batches.meta"}.items():
                content = packed(PARTS[part]) if part in PARTS else b"not to be read"
                info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
                info.size = len(content)
                out.addfile(info, io.BytesIO(content))
        return "c.tar.gz"
    inner = tmp_path / "c" / "cifar-10-batches-py" if request.param == "inner" else tmp_path / "c"
    inner.mkdir(parents=True)
    if request.param == "npz":
        train = np.concatenate([PARTS[str(i)] for i in range(1, 6)])
        for name, images in {"train": train, "test": PARTS["test"]}.items():
            np.savez_compressed(
                inner / f"{name}.npz", images=images, labels=images[:, 0, 0, 0] % 10
            )
        return "c"
    for part, name in names().items():
        (inner / name).write_bytes(packed(PARTS[part], protocol=len(part)))
    return "c"


def cifar(base: Path, **given: Any) -> Cifar:
    return Cifar(**bind(Cifar, given, what="cifar", provided={"base": base}))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [(None, "12345"), ([1, 2, 3, 4], "1234"), (5, "5"), ([3, 1], "31"), ("test", ["test"])],
)
def test_parts(given: Any, wanted: Any, package: str, tmp_path: Path) -> None:
    data = cifar(tmp_path, path=package, **({} if given is None else {"parts": given}))
    pictures = np.concatenate([PARTS[one] for one in wanted])
    batch = data.batch(np.arange(len(data)), Draw(0, 0, True))
    scaled = pictures.astype(np.float64) / 255
    np.testing.assert_allclose(batch["images"], scaled - scaled.mean(axis=0), atol=1e-6)
    assert (batch["labels"].argmax(1) == pictures[:, 0, 0, 0] % 10).all()
    assert data.sources()["images"].shape == (32, 32, 3) and len(data) == len(pictures)


def test_one_npz_file(tmp_path: Path) -> None:
    images = np.concatenate([PARTS["1"], PARTS["test"][:1]])[:4]
    np.savez(tmp_path / "mine.npz", images=images, labels=np.arange(4))
    assert len(cifar(tmp_path, path="mine.npz")) == 4
    assert len(cifar(tmp_path, path="mine.npz", parts=1)) == 1
    with pytest.raises(KurError, match=r"mine\.npz: has no part test; it has: 1, 2, 3, 4, 5"):
        cifar(tmp_path, path="mine.npz", parts="test")


def test_what_python_2_wrote(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(python2(3))
    assert len(cifar(tmp_path, path=".", parts="test")) == 3


def test_nothing_is_run(tmp_path: Path) -> None:
    (tmp_path / "test_batch").write_bytes(pickle.dumps(Runs(open, str(tmp_path / "made"), "w")))
    with pytest.raises(KurError, match=r"test_batch: holds more than plain .* for .*open"):
        cifar(tmp_path, path=".", parts="test")
    assert not (tmp_path / "made").exists()


def test_what_is_wrong(tmp_path: Path) -> None:
    def said(content: Any, **given: Any) -> str:
        (tmp_path / "test_batch").write_bytes(pickle.dumps(content))
        with pytest.raises(KurError) as caught:
            cifar(tmp_path, **{"path": ".", "parts": "test", **given})
        return str(caught.value).removeprefix(f"{tmp_path}/").removeprefix("test_batch: ")

    flat = np.zeros((2, 3072), np.uint8)
    assert said([1]) == "not a part of CIFAR-10: a dictionary expected"
    assert said({"data": flat}) == "not CIFAR-10: 'data' and 'labels' expected"
    wrong = [
        (flat[:, 1:], [1, 2]),
        (flat, [1]),
        (flat, [1, 10]),
        (flat * 1.0, [1, 2]),
        (flat, "ab"),
    ]
    for data, labels in wrong:
        found = said({"data": data, "labels": labels})
        assert found.startswith("not CIFAR-10: pictures "), found
    accepted = "accepted: 1, 2, 3, 4, 5, test"
    assert said({}, parts=6) == f"found '6' among the 'parts'; {accepted}"
    assert said({}, parts=[]) == "'parts' names a part twice, or none: []"
    assert said({}, parts=[1, "1"]) == "'parts' names a part twice, or none: ['1', '1']"
    assert said({}, path="test_batch").endswith("a tar archive, a folder or an .npz file expected")
    assert said({"data": flat, "labels": [1, 2]}, parts=5).endswith("has no part 5; it has: ")
