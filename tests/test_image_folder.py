"""The `images` supplier on pictures written here."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from suppliers import everything, made, refusal

Pictures = npt.NDArray[np.uint8]


def write(path: Path, picture: Pictures) -> None:
    codec = {"png": "png", "bmp": "bmp", "jpg": "mjpeg"}[path.suffix[1:]]
    form = {"png": "rgb24", "bmp": "bgr24", "jpg": "yuvj444p"}[path.suffix[1:]]
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="image2") as out:
        stream = out.add_stream(codec, rate=1)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = form
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=form)
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


def picture(seed: int, height: int = 6, width: int = 8) -> Pictures:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, name in enumerate(["dog/1.png", "cat/2.png", "cat/deep/3.bmp", "cat/.4.png"]):
        write(tmp_path / "pets" / name, picture(i))
    (tmp_path / "pets/cat/note.txt").write_text("no picture")
    return tmp_path


def test_a_folder_a_class(folder: Path) -> None:
    data = made("images", folder, "pets")
    batch = everything(data)
    assert [Path(one).name for one in batch["image_source"]] == ["2.png", "3.bmp", "1.png"]
    for i, seed in enumerate([1, 2, 0]):
        np.testing.assert_allclose(batch["images"][i], picture(seed) / 255, atol=1e-6)
    assert batch["labels"].tolist() == [[1, 0], [1, 0], [0, 1]]
    assert data.metadata() == {"classes": ["cat", "dog"]}
    assert data.sources()["images"].shape == (6, 8, 3)
    again = data.batch(np.array([2, 0]), None)["images"]
    np.testing.assert_allclose(again[0], picture(0) / 255, atol=1e-6)


def test_sizes_and_grey(folder: Path) -> None:
    write(folder / "pets/dog/5.jpg", picture(5, 20, 10))
    batch = everything(made("images", folder, path="pets", size=[4, 5], channels=1))
    assert batch["images"].shape == (4, 4, 5, 1)
    assert 0 <= batch["images"].min() < batch["images"].max() <= 1
    data = made("images", folder, "pets")
    with pytest.raises(Exception, match=r"5\.jpg: is 20 x 10, and the first picture 6 x 8; give"):
        everything(data)


def test_classes_of_the_training_data(folder: Path) -> None:
    trained: Any = {"trained": lambda: {"classes": ["ant", "cat", "dog"]}}
    batch = everything(made("images", folder, path="pets", **trained))
    assert batch["labels"].argmax(1).tolist() == [1, 1, 2]
    batch = everything(made("images", folder, path="pets", classes=["dog", "cat"], **trained))
    assert batch["labels"].argmax(1).tolist() == [1, 1, 0]
    assert refusal("images", folder, path="pets", classes=["dog"]) == (
        "pets/cat: is none of the classes: dog"
    )


def test_an_archive_of_a_folder(folder: Path) -> None:
    with tarfile.open(folder / "a.tgz", "w:gz") as out:
        out.add(folder / "pets", "pets")
    assert everything(made("images", folder, "a.tgz"))["labels"].argmax(1).tolist() == [0, 0, 1]


def test_what_is_wrong(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert refusal("images", folder, "empty") == (
        "empty: a folder for each class is needed, and it has none"
    )
    (folder / "empty/a").mkdir()
    assert refusal("images", folder, "empty").startswith("empty: no pictures in its folders; known")
    (folder / "empty/a/x.png").write_text("not a picture")
    said = refusal("images", folder, "empty")
    assert said.startswith("empty/a/x.png: cannot be read as a picture: ")
    assert refusal("images", folder, "pets/cat/2.png").endswith("an archive of one, is needed")
    assert refusal("images", folder, path="pets", size=[0, 1]).startswith("'size' must be above 0")
