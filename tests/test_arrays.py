"""Columns of arrays: rows become batches at once, whatever the shapes and types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from suppliers import everything

from kur.data.arrays import Arrays, column_of, one_hot
from kur.data.provider import Provider, ProviderOptions
from kur.errors import KurError


def test_rows_of_columns() -> None:
    columns = {
        "flat": np.arange(5.0),
        "deep": np.arange(30).reshape(5, 3, 2),
        "small": np.array([200, 1, 2, 3, 4], np.uint8),
        "yes": np.array([True, False] * 2 + [True]),
        "text": np.array(["a", "b", "c", "d", "e"]),
    }
    data = Arrays(columns, "x")
    batch = everything(data)
    assert batch["flat"].dtype == np.float32 and batch["flat"].tolist() == [0, 1, 2, 3, 4]
    assert batch["deep"].tolist() == columns["deep"].tolist()
    assert batch["small"].dtype == np.int32 and batch["small"][0] == 200
    assert batch["text"] == ["a", "b", "c", "d", "e"] and batch["sample"][4] == "x[4]"
    assert {name: one.shape for name, one in data.sources().items()} == {
        "flat": (),
        "deep": (3, 2),
        "small": (),
        "yes": (),
    }
    assert data.lengths() is None and data.metadata() == {}
    values = data.values("small")
    assert values is not None and values.tolist() == [200, 1, 2, 3, 4]
    assert data.values("text") is None and data.values("deep") is None


def test_rows_of_different_lengths_are_padded() -> None:
    rows: list[Any] = [[[1, 2]], [[3, 4], [5, 6], [7, 8]], [[9, 10], [11, 12]]]
    data = Arrays({"x": column_of(rows), "y": np.arange(3)}, "x")
    assert data.sources()["x"].shape == (None, 2)
    lengths, values = data.lengths(), data.values("x")
    assert lengths is not None and values is not None
    assert lengths.tolist() == values.tolist() == [1, 3, 2]
    batch = everything(data)
    assert batch["x"].shape == (3, 3, 2) and batch["x"][0].tolist() == [[1, 2], [0, 0], [0, 0]]
    options = ProviderOptions(batch_size=2, bucket=True, multiple=4)
    for one in Provider([data], options, 0).batches(0, training=True):
        assert one["x"].shape[1] == 4


ROWS = st.one_of(
    st.lists(st.floats(-9, 9, width=32), min_size=1),
    st.lists(st.integers(-300, 300), min_size=1),
    st.lists(st.lists(st.integers(0, 255), min_size=2, max_size=2), min_size=1),
    st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), min_size=1),
    st.lists(st.text(max_size=3), min_size=1),
    st.lists(st.none() | st.integers() | st.lists(st.text(max_size=2), max_size=2), min_size=1),
)


@given(ROWS)
def test_every_row_comes_back(rows: list[Any]) -> None:
    batch = Arrays({"x": column_of(rows)}, "x").batch(np.arange(len(rows)), None)  # type: ignore[arg-type]
    assert [one.tolist() if isinstance(one, np.ndarray) else one for one in batch["x"]] == rows


def test_what_cannot_be_columns() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "x: holds no data"),
        ({"a": np.array(3)}, "x: 'a' is one value, a list or an array is needed"),
        ({"a": np.arange(3), "b": np.arange(2)}, "x: its sources differ in length: a 3, b 2"),
        ({"a": np.arange(0)}, "x: holds no samples"),
    ]
    for columns, message in wrong:
        with pytest.raises(KurError) as caught:
            Arrays(columns, "x")
        assert str(caught.value) == message


def test_one_hot() -> None:
    assert one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]
