"""IDX files: what is written by hand comes back, and what is damaged is named."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kur.data.idx import read_idx
from kur.errors import KurError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """The bytes of an IDX file, written from the format's description."""
    code = CODES[array.dtype.str[1:]]
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@given(st.data(), st.sampled_from(sorted(CODES)), st.booleans())
@settings(deadline=None, max_examples=60)
def test_every_array_comes_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str, packed: bool
) -> None:
    array = data.draw(
        arrays.arrays(np.dtype(kind), arrays.array_shapes(min_dims=0, min_side=0, max_dims=4))
    )
    path = tmp_path_factory.mktemp("idx") / "a.idx"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    found = read_idx(path)
    assert found.dtype == np.dtype(kind) and found.shape == array.shape
    assert found.tobytes() == array.tobytes()


@given(st.binary(max_size=40))
@settings(deadline=None, max_examples=200)
def test_any_bytes_give_an_array_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("idx") / "a.idx"
    for content in (data, b"\0\0\x08" + data, b"\0\0\x0d\x02" + data, b"\x1f\x8b" + data):
        path.write_bytes(content)
        try:
            read_idx(path)
        except KurError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)


def test_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.idx"

    def said(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(KurError) as caught:
            read_idx(path)
        return str(caught.value).removeprefix(f"{path}: ")

    good = idx(np.arange(6, dtype="u1").reshape(2, 3))
    assert said(b"PK\3\4") == "not an IDX file: it begins with 50 4b 03 04, not 00 00 and a type"
    assert said(b"") == "not an IDX file: it begins with nothing, not 00 00 and a type"
    assert said(good[:7]) == "ends inside its header"
    assert said(good[:-1]) == "ends early: its header promises 6 bytes of values"
    # A header of a few bytes cannot make the reader ask for terabytes.
    huge = bytes([0, 0, 0x0E, 3]) + struct.pack(">3I", *[2**32 - 1] * 3)
    assert said(huge).startswith("ends early: its header promises 633,825,299")
    assert said(gzip.compress(good)[:-9]).startswith("damaged gzip data: ")
    with pytest.raises(KurError, match="no such file"):
        read_idx(tmp_path / "none")


def test_bytes_after_the_values_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.idx"
    path.write_bytes(idx(np.arange(6, dtype="i4")) + b"more")
    assert read_idx(path).tolist() == [0, 1, 2, 3, 4, 5]
    assert "holds more than its header says" in caplog.text
