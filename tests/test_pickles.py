"""Pickles: plain data of every protocol and of Python 2 comes back, nothing is ever run."""

from __future__ import annotations

import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kur.data.pickles import RefusedPickle, read_pickle
from kur.errors import KurError

KINDS = ["u1", "<i4", ">i4", "<i8", "<f4", ">f8", "?", "c8", "S5", "U3", ">U3", "f2"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(allow_nan=False)
)
TREES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=4), inner, max_size=4)
        | st.frozensets(st.integers(), max_size=3)
        | st.sets(st.text(max_size=3), max_size=3)
    ),
    max_leaves=12,
)


@given(TREES, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_containers_come_back(tree: Any, protocol: int) -> None:
    assert read_pickle(pickle.dumps(tree, protocol), "x") == tree


@given(st.data(), st.sampled_from(KINDS), st.integers(0, pickle.HIGHEST_PROTOCOL), st.booleans())
@settings(deadline=None)
def test_arrays_come_back(data: st.DataObject, kind: str, protocol: int, turned: bool) -> None:
    shape = data.draw(arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    array = data.draw(arrays.arrays(np.dtype(kind), shape))
    array = np.asfortranarray(array) if turned else array
    dumped = pickle.dumps({"x": array}, protocol)
    found = np.asarray(read_pickle(dumped, "x")["x"])
    wanted = pickle.loads(dumped)["x"]
    assert type(found) is np.ndarray and found.dtype == wanted.dtype
    assert found.shape == array.shape and found.tobytes() == wanted.tobytes()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_other_plain_things(protocol: int) -> None:
    ragged = np.array([[1, 2], [3], "a"], dtype=object)
    data = OrderedDict(a=np.float32(1.5), b=np.int64(-3), c=ragged, d=np.str_("ab"), e=np.True_)
    found = read_pickle(pickle.dumps(data, protocol), "x")
    assert isinstance(found, OrderedDict) and list(found) == ["a", "b", "c", "d", "e"]
    assert found["a"] == 1.5 and found["b"] == -3 and found["d"] == "ab" and found["e"]
    assert found["c"].tolist() == ragged.tolist()


def short(text: bytes) -> bytes:
    return b"U" + bytes([len(text)]) + text


def python2(rows: int) -> bytes:
    """A part of CIFAR-10 as Python 2 wrote it: protocol 2, texts as bytes, numpy.core paths."""
    raw = bytes(range(256)) * (12 * rows)
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        + short(b"b")
        + b"\x87R(K\x01K"
        + bytes([rows])
        + b"M\x00\x0c\x86cnumpy\ndtype\n"
        + short(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + short(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )
    labels = b"](" + b"".join(b"K" + bytes([i % 10]) for i in range(rows)) + b"e"
    pairs = short(b"data") + array + short(b"labels") + labels + short(b"n") + short(b"caf\xe9")
    return b"\x80\x02}(" + pairs + b"u."


def test_python_2_and_numpy_of_long_ago() -> None:
    found = read_pickle(python2(3), "x")
    assert found["data"].shape == (3, 3072) and found["data"].dtype == np.uint8
    assert found["data"][0, :4].tolist() == [0, 1, 2, 3] and found["labels"] == [0, 1, 2]
    assert found["n"] == "café"  # read as Latin-1
    assert pickle.loads(python2(3), encoding="latin1")["data"].tolist() == found["data"].tolist()


class Runs:
    """What runs a command when it is read as a pickle."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "call",
    [
        (os.system, "touch {}"),
        (eval, "open('{}', 'w')"),
        (getattr, "x", "upper"),
        (__import__, "os"),
        (np.load, "{}"),
        (np.fromfile, "{}"),
        (bytearray.fromhex, "00"),
    ],
)
def test_nothing_is_run(call: tuple[Any, ...], protocol: int, tmp_path: Path) -> None:
    made = tmp_path / "made"
    given = [str(one).format(made) if isinstance(one, str) else one for one in call]
    data = pickle.dumps({"x": Runs(*given)}, protocol)
    with pytest.raises(RefusedPickle, match=r"^x: holds more than plain .* it asks for ") as caught:
        read_pickle(data, "x")
    assert not made.exists() and "\n" not in str(caught.value)


REDUCE = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n(K\x00tC\x01b\x87R"


def kind(name: bytes, state: bytes = b"") -> bytes:
    return b"cnumpy\ndtype\nC" + bytes([len(name)]) + name + b"\x89\x88\x87R" + state


HOSTILE = [
    # Bytes read as pointers to objects.
    (REDUCE + b"(K\x01(K\x01t" + kind(b"O8") + b"\x89C\x08AAAAAAAAtb", "an array of the shape"),
    # More values than there are bytes.
    (REDUCE + b"(K\x01(M\xff\xfft" + kind(b"u1") + b"\x89C\x02abtb", "an array of the shape"),
    (REDUCE + b"(K\x01(J\xff\xff\xff\xfft" + kind(b"u1") + b"\x89C\x01atb", "an array of the sh"),
    (REDUCE + b"(K\x01(K\x02t" + kind(b"O8") + b"\x89](K\x01etb", "an array of the shape"),
    # A type with fields, in which numpy would look for objects.
    (kind(b"V8", b"(K\x03C\x01|N(C\x01atNK\x08K\x01K\x00tb"), "an array of the type b'V8'"),
    (kind(b"f8", b"(K\x03C\x01|N(C\x01at}K\x08K\x01K\x3ftb"), "an array of records"),
    (kind(b"O8") + b"K\x03b", "not a pickle that can be read"),
    (b"cnumpy.core.multiarray\nscalar\n" + kind(b"O8") + b"C\x08AAAAAAAA\x86R", "of the shape"),
    (b"cos\nsystem\nX\x02\x00\x00\x00ls\x85R", "it asks for os.system"),
    (b"cnumpy\n_globals\n", "it asks for numpy._globals"),
    (b"X\x01\x00\x00\x00aQ", "refers to things outside"),
]


@pytest.mark.parametrize(("inner", "message"), HOSTILE)
def test_hostile_pickles(inner: bytes, message: str) -> None:
    with pytest.raises(KurError, match=message):
        read_pickle(b"\x80\x03" + inner + b".", "x")


@given(st.binary(max_size=60))
def test_any_bytes_give_data_or_one_sentence(data: bytes) -> None:
    for content in (data, b"\x80\x03" + data, REDUCE + data):
        try:
            read_pickle(content, "x")
        except KurError as error:
            assert str(error).startswith("x: ") and "\n" not in str(error)
