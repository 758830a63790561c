"""The `pickle` and `numpy_dict` suppliers."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from suppliers import everything, made, refusal
from test_pickles import Runs, python2

DATA: dict[str, Any] = {
    "point": np.random.default_rng(0).normal(size=(6, 2)),
    "above": [[0], [1], [1], [0], [1], [0]],
    "text": ["a", "b", "c", "d", "e", "f"],
    "steps": [[1], [1, 2], [3], [4, 5, 6], [7], [8]],
}


def write(path: Path, data: Any, kind: str) -> None:
    if kind == "pickle":
        path.write_bytes(pickle.dumps(data))
    else:
        np.save(path.open("wb"), data, allow_pickle=True)


@pytest.mark.parametrize("kind", ["pickle", "numpy_dict"])
@pytest.mark.parametrize("mapping", [dict, OrderedDict])
def test_a_dictionary_of_arrays(kind: str, mapping: type, tmp_path: Path) -> None:
    write(tmp_path / "a", mapping(DATA), kind)
    given: list[Any] = ["a", {"path": "a"}, {"source": "a"}, {"path": "a", "trust": True}]
    for one in given:
        batch = everything(made(kind, tmp_path, one))
        np.testing.assert_allclose(batch["point"], DATA["point"], rtol=1e-6)
        assert batch["above"].tolist() == DATA["above"] and batch["text"] == DATA["text"]
        assert batch["steps"].tolist()[:2] == [[1, 0, 0], [1, 2, 0]]


def test_what_python_2_wrote(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(python2(3).replace(b"U\x01nU\x04caf\xe9", b""))
    batch = everything(made("pickle", tmp_path, "a"))
    assert batch["data"].shape == (3, 3072) and batch["labels"].tolist() == [0, 1, 2]


def test_keys_that_are_no_texts(tmp_path: Path) -> None:
    write(tmp_path / "a", {1: [1], b"b": [2]}, "pickle")
    assert set(everything(made("pickle", tmp_path, "a"))) == {"sample", "1", "b"}


def test_an_npz_as_a_numpy_dict(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    assert everything(made("numpy_dict", tmp_path, "a.npz"))["x"].tolist() == [0, 1, 2]
    assert everything(made("npz", tmp_path, "a.npz"))["x"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("kind", ["pickle", "numpy_dict"])
def test_what_is_wrong(kind: str, tmp_path: Path) -> None:
    def said(data: Any, **options: Any) -> str:
        write(tmp_path / "a", data, kind)
        return refusal(kind, tmp_path, path="a", **options)

    bad = said({"x": Runs(print, "never printed")})
    assert bad.startswith("a: holds more than plain containers and arrays: it asks for ")
    assert bad.endswith("print; if you trust the file, say 'trust: yes'")
    assert said({"x": 3}) == "a: 'x' is a int, an array or a list is needed"
    assert said({"x": [1], "y": [1, 2]}) == "a: its sources differ in length: x 1, y 2"
    assert said({}) == "a: holds no data"
    assert "dictionary" in said([1, 2]) and "expected, found a" in said([1, 2])
    (tmp_path / "b").write_bytes(b"no such thing")
    assert refusal(kind, tmp_path, path="b").startswith("b: not a ")
    assert refusal(kind, tmp_path, path="b", source="a") == (
        "'path' and 'source' are the same; keep 'path'"
    )


def test_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").write_bytes(pickle.dumps({"x": [1], "y": Runs(print, "printed")}))
    refusal("pickle", tmp_path, path="a")
    assert capsys.readouterr().out == ""
    refusal("pickle", tmp_path, path="a", trust=True)
    assert capsys.readouterr().out == "printed\n"


def test_npz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def said(**arrays: Any) -> str:
        np.savez_compressed(tmp_path / "a.npz", **arrays)
        return refusal("npz", tmp_path, "a.npz")

    assert said(x=np.array([None])) == "a.npz: cannot be read as arrays: it holds Python objects"
    assert said(x=np.arange(2), y=np.arange(3)).startswith("a.npz: its sources differ in length")
    (tmp_path / "b.npz").write_bytes(b"PK nothing")
    assert refusal("npz", tmp_path, "b.npz") == "b.npz: not an .npz file (a zip archive of arrays)"
    monkeypatch.setattr("kur.data.npz._ALWAYS", 1000)
    assert said(x=np.zeros(10**6)) == "a.npz: is far larger unpacked than packed, and was not read"
