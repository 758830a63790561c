"""The `mnist` supplier on IDX files written here."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_idx import idx
from tiny_kur import kurfile

from kur.assemble import providers
from kur.data.supplier import BatchSupplier, Draw
from kur.errors import KurError

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (40, 28, 28), np.uint8)
LABELS = RNG.integers(0, 10, 40).astype(np.uint8)

KURFILE = """
model: [input: images, flatten: , dense: 10]
train:
  data:
    - mnist:
        images: {path: images.gz, checksum: SUM}
        labels: labels
  provider: {batch_size: 16, randomize: no}
"""


def batches(folder: Path, pictures: Any = PICTURES, labels: Any = LABELS) -> list[dict[str, Any]]:
    packed = gzip.compress(idx(pictures))
    (folder / "images.gz").write_bytes(packed)
    (folder / "labels").write_bytes(idx(labels))
    made = kurfile(folder, KURFILE.replace("SUM", hashlib.sha256(packed).hexdigest().upper()))
    return list(providers(made, "train")[""].batches(0, training=True))


def test_pictures_and_their_classes(tmp_path: Path) -> None:
    found = batches(tmp_path)
    assert [len(one["sample"]) for one in found] == [16, 16, 8]
    images = np.concatenate([one["images"] for one in found])
    labels = np.concatenate([one["labels"] for one in found])
    scaled = PICTURES.astype(np.float64) / 255
    np.testing.assert_allclose(images, (scaled - scaled.mean())[..., None], atol=1e-6)
    assert images.dtype == labels.dtype == np.float32
    assert labels.shape == (40, 10) and (labels.argmax(1) == LABELS).all()
    assert (labels.sum(1) == 1).all() and found[1]["sample"][0] == f"{tmp_path}/images.gz[16]"


def test_one_by_one_it_is_the_same(tmp_path: Path) -> None:
    batches(tmp_path)
    made = kurfile(tmp_path, KURFILE.replace(", checksum: SUM", ""))
    [supplier] = providers(made, "train")[""]._suppliers
    assert isinstance(supplier, BatchSupplier)
    sources = supplier.sources()
    assert sources["images"].shape == (28, 28, 1) and sources["labels"].shape == (10,)
    draw = Draw(0, 0, True)
    batch = supplier.batch(np.array([3, 30]), draw)
    for i, index in enumerate((3, 30)):
        for name, value in supplier.sample(index, draw).items():
            assert np.array_equal(batch[name][i], value)


def test_what_is_wrong(tmp_path: Path) -> None:
    def said(*arrays: Any) -> str:
        with pytest.raises(KurError) as caught:
            batches(tmp_path, *arrays)
        return str(caught.value).partition("train.data.0.mnist: ")[2].replace(f"{tmp_path}/", "")

    assert said(LABELS) == "images.gz: not pictures: the array in it is uint8 of the shape (40,)"
    assert said(PICTURES, PICTURES).startswith("labels: not labels: the array in it is uint8 of ")
    assert said(PICTURES, LABELS + np.uint8(1)) == "labels: holds the label 10; accepted: 0 to 9"
    assert said(PICTURES[:9]) == "images.gz: its sources differ in length: images 9, labels 40"
    assert said(PICTURES[:0], LABELS[:0]) == "images.gz: holds no samples"
    made = kurfile(tmp_path, KURFILE.replace("SUM", "ab" * 32))
    with pytest.raises(KurError, match=r"k\.yml:6: .*mnist\.images\.checksum: .*gz: its SHA-256"):
        providers(made, "train")
    made = kurfile(tmp_path, KURFILE.replace("path: images.gz, checksum: SUM", "paht: x"))
    with pytest.raises(
        KurError, match=r"mnist\.images\.paht: 'images' has no argument 'paht' \(did"
    ):
        providers(made, "train")
