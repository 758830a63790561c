"""The `csv` supplier on real files."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from suppliers import everything, made, refusal

from kur.data.csv_file import Format, read_csv
from kur.errors import KurError


def batch(folder: Path, text: str, **options: Any) -> dict[str, Any]:
    (folder / "a.csv").write_text(text, encoding="utf-8")
    return everything(made("csv", folder, path="a.csv", **options))


def test_columns_by_their_header(tmp_path: Path) -> None:
    found = batch(tmp_path, 'x, y,name\n1,2.5,"a, b"\n-3e2,4,c\n\n')
    assert found["x"].tolist() == [1, -300] and found["y"].tolist() == [2.5, 4]
    assert found["x"].dtype == np.float32 and found["name"] == ["a, b", "c"]
    (tmp_path / "b.csv").write_bytes("\ufeffx\n1\n".encode())
    assert everything(made("csv", tmp_path, "b.csv"))["x"].tolist() == [1]


def test_columns_by_their_number(tmp_path: Path) -> None:
    found = batch(tmp_path, "1,2\n3,4\n", header=False)
    assert found["column_0"].tolist() == [1, 3] and found["column_1"].tolist() == [2, 4]
    assert batch(tmp_path, "a,\n1,2\n")["column_1"].tolist() == [2]


@pytest.mark.parametrize("delimiter", list(",;\t| "))
def test_the_delimiter_is_found_or_given(delimiter: str, tmp_path: Path) -> None:
    text = f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n"
    for options in ({}, {"format": {"delimiter": delimiter}}):
        found = batch(tmp_path, text, **options)
        assert found["a"].tolist() == [1, 3] and found["b"].tolist() == [2, 4]


def test_quotes(tmp_path: Path) -> None:
    found = batch(tmp_path, "a;b\n'x;y';1\n", format={"quote": "'", "delimiter": ";"})
    assert found["a"] == ["x;y"] and found["b"].tolist() == [1]


def test_what_is_wrong(tmp_path: Path) -> None:
    def said(text: str, **options: Any) -> str:
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        return refusal("csv", tmp_path, path="a.csv", **options)

    assert said("") == "a.csv: is empty"
    assert said("a,b\n") == "a.csv: holds no samples"
    assert said("a,b\n1,2\n\n1,2,3\n").startswith("a.csv:4: 3 cells, and 2 in the first line; cel")
    assert said("a,a\n1,2\n") == "a.csv:1: two columns are called 'a'"
    wrong = said("a\n1\n2\nthree\n")
    assert wrong == "a.csv:4: the column 'a' is of numbers, found 'three'"
    assert said("a,b\n1,1\n2,2\n,3\n") == "a.csv:4: the column 'a' is of numbers, found ''"
    assert (
        said("a\n1\n", format={"delimiter": ",,"})
        == "'delimiter' must be one character, found ',,'"
    )
    assert said("a\n1\n", format={"sep": ","}).startswith(
        "'format' has no argument 'sep'; accepted"
    )
    assert refusal("csv", tmp_path, path="b.csv").startswith("b.csv: no such file or folder")
    assert refusal("csv", tmp_path) == "'path' or 'url' must say where the data is"
    (tmp_path / "l.csv").write_bytes("é\n1\n".encode("latin1"))
    assert refusal("csv", tmp_path, "l.csv") == "l.csv: not UTF-8; save the file as UTF-8"


@given(
    st.lists(
        st.tuples(st.floats(width=32, allow_nan=False), st.text(st.characters(codec="utf-8"))),
        min_size=1,
    )
)
@settings(deadline=None)
def test_what_python_writes_comes_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, str]]
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    out = io.StringIO(newline="")
    csv.writer(out).writerows([("number", "text"), *rows])
    path.write_text(out.getvalue(), encoding="utf-8", newline="")
    try:
        found = read_csv(path, Format(delimiter=","), header=True)
    except KurError as error:
        # Texts most of which are numbers are a column of numbers, with an error in it.
        assert "the column 'text' is of numbers" in str(error) or "line contains NUL" in str(error)
        return
    assert found["number"].tolist() == [np.float32(one) for one, _ in rows]
    if found["text"].dtype == object:
        # Blanks after a delimiter are not part of a cell.
        assert [one.lstrip(" ") for _, one in rows] == [one.lstrip(" ") for one in found["text"]]


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_any_bytes_are_a_table_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(data)
    try:
        read_csv(path, Format(), header=True)
    except KurError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)
