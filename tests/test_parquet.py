"""The `parquet` supplier on files that pyarrow wrote, and `datasets` on a stand-in for its package,
which tests do without."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from suppliers import everything, made, refusal

COLUMNS: dict[str, Any] = {
    "x": [1.5, 2.5, 3.5],
    "n": [1, 2, 300],
    "yes": [True, False, True],
    "text": ["a", "b", "c"],
    "vector": [[1, 2], [3, 4], [5, 6]],
    "steps": [[1], [1, 2], [3]],
    "gap": [1, None, 3],
}


def write(path: Path, columns: dict[str, Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), str(path))


def check(batch: dict[str, Any]) -> None:
    assert batch["x"].tolist() == [1.5, 2.5, 3.5] and batch["n"].tolist() == [1, 2, 300]
    assert batch["yes"].tolist() == [1, 0, 1] and batch["text"] == ["a", "b", "c"]
    assert batch["vector"].tolist() == COLUMNS["vector"]
    assert batch["steps"].tolist() == [[1, 0], [1, 2], [3, 0]]
    assert batch["gap"] == [1, None, 3]


def test_columns_are_sources(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", COLUMNS)
    check(everything(made("parquet", tmp_path, "a.parquet")))
    some = everything(made("parquet", tmp_path, path="a.parquet", columns=["n", "x"]))
    assert set(some) == {"sample", "n", "x"}


def test_the_files_of_a_folder(tmp_path: Path) -> None:
    for i, rows in enumerate((slice(0, 1), slice(1, 3))):
        write(tmp_path / "all" / f"{i}.parquet", {k: one[rows] for k, one in COLUMNS.items()})
    check(everything(made("parquet", tmp_path, "all")))
    write(tmp_path / "all/2.parquet", {"x": [1]})
    assert refusal("parquet", tmp_path, "all") == "all: its files differ in their columns"


def test_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", COLUMNS)
    (tmp_path / "b.parquet").write_text("no such thing")
    assert refusal("parquet", tmp_path, "b.parquet").startswith("b.parquet: cannot be read as Parq")
    found = refusal("parquet", tmp_path, path="a.parquet", columns=["txt"])
    assert found.startswith("a.parquet has no column 'txt' (did you mean 'text'?); it has: x, n, ")
    (tmp_path / "none").mkdir()
    assert refusal("parquet", tmp_path, "none") == "none: no .parquet file in this folder"


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("parquet", "pyarrow", "parquet"), ("datasets", "datasets", "datasets")],
)
def test_an_extra_that_is_not_installed(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for known in [one for one in sys.modules if one.startswith(module)] + [module]:
        monkeypatch.setitem(sys.modules, known, None)
    said = refusal(name, tmp_path, "x")
    assert said == f"{module} is not installed: pip install 'earshot[{extra}]'"


class Dataset:
    """What the `datasets` package gives, as far as it is used: tried by hand with its version 5.2,
    on folders of JSON Lines, CSV and Parquet. It is not among what tests install, because it brings
    pandas and four more packages for one supplier."""

    column_names = ("x", "text", "vector", "ragged", "picture")

    def __init__(self, names: Sequence[str] = column_names, form: str = "") -> None:
        self._names, self._form = names, form
        self.features: dict[str, Any] = dict.fromkeys(names, 0) | {
            "picture": type("Image", (), {})()
        }

    def select_columns(self, names: list[str]) -> Dataset:
        return Dataset(names, self._form)

    def with_format(self, kind: str) -> Dataset:
        return Dataset(self._names, kind)

    def __getitem__(self, key: Any) -> Any:
        if self._form == "numpy":
            assert key == "picture"
            return iter(np.ones((3, 4, 5, 3), np.uint8))
        assert self._form == "arrow" and key == slice(None)
        ragged = {"ragged": [[1], [2, 3], []]}
        return pyarrow.table({name: (COLUMNS | ragged)[name] for name in self._names})


def test_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(path: str, name: str | None, **options: Any) -> Dataset:
        asked.append((path, name, options))
        if path == "none":
            raise RuntimeError("no such\ndataset")
        return Dataset()

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    given = {"path": "org/set", "name": "en", "split": "train[:10%]", "columns": ["x", "text"]}
    batch = everything(made("datasets", tmp_path, given))
    assert batch["x"].tolist() == [1.5, 2.5, 3.5] and batch["text"] == ["a", "b", "c"]
    assert asked == [("org/set", "en", {"split": "train[:10%]", "revision": None})]
    (tmp_path / "here").mkdir()
    batch = everything(made("datasets", tmp_path, "here"))
    assert batch["vector"].shape == (3, 2) and batch["picture"].shape == (3, 4, 5, 3)
    assert batch["ragged"].tolist() == [[1, 0], [2, 3], [0, 0]]
    assert asked[-1][0] == str(tmp_path / "here")
    assert refusal("datasets", tmp_path, "none") == (
        "the dataset 'none' cannot be loaded: no such dataset"
    )
