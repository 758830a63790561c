"""Pickles read without running them: plain containers, texts, numbers and numpy arrays, no more.

A pickle is a program; this reader gives it a handful of harmless words to call and refuses all
others. Arrays are rebuilt here, checked, from their shape, type and bytes, so that not even numpy's
own reader meets hostile data. Old numpy paths and pickles of Python 2 are read. Knows no suppliers.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from kur.errors import KurError

_PLAIN_TYPE = re.compile(r"[<>=|]?([biufcSUO?])(\d{0,6})")
_MOST_DIMENSIONS = 32


class RefusedPickle(KurError):
    """A pickle that holds more than plain data."""


def read_pickle(data: bytes, where: object) -> Any:
    """What the pickle `data` holds; texts of Python 2 are read as Latin-1.

    KurError names `where` it stands if it is damaged, and RefusedPickle what it asks for if it is
    not plain data.
    """
    try:
        return _Reader(io.BytesIO(data), encoding="latin1").load()
    except RefusedPickle as error:
        raise RefusedPickle(f"{where}: {error}") from None
    except RecursionError:
        raise KurError(f"{where}: nested too deeply to be read") from None
    except Exception as error:  # whatever a damaged pickle makes of its words
        said = " ".join(str(error).split())
        raise KurError(f"{where}: not a pickle that can be read: {said}") from None


class _Type:
    """Stands for `numpy.dtype`; plain types only."""

    def __init__(self, name: Any = None, align: Any = False, copy: Any = True) -> None:
        found = _PLAIN_TYPE.fullmatch(_text(name))
        if not found:
            raise RefusedPickle(f"holds an array of the type {name!r}; accepted: numbers and texts")
        self.plain = np.dtype(_text(name))

    def __setstate__(self, state: Any) -> None:
        order: Any = _text(state[1])
        size = state[5] if len(state) > 5 else -1
        if state[2] is not None or state[3] is not None or state[4] is not None:
            raise RefusedPickle("holds an array of records; accepted: numbers and texts")
        if order in ("<", ">", "="):
            self.plain = self.plain.newbyteorder(order)
        if self.plain.kind in "SU" and isinstance(size, int) and 0 < size < 1 << 24:
            self.plain = np.dtype((self.plain.type, size // (4 if self.plain.kind == "U" else 1)))
            self.plain = self.plain.newbyteorder(order) if order in ("<", ">") else self.plain


class _Array(np.ndarray):
    """An array that takes its content from a checked state only."""

    def __setstate__(self, state: Any, /) -> None:
        shape, kind, columns_first, raw = state[-4:]
        super().__setstate__((1, *_state(shape, kind, columns_first, raw)))


def _state(shape: Any, kind: Any, columns_first: Any, raw: Any) -> tuple[Any, ...]:
    plain = _plain(kind)
    if not isinstance(shape, tuple) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"an array of the shape {shape!r}")
    if not all(type(one) is int and 0 <= one < 1 << 48 for one in shape):
        raise ValueError(f"an array of the shape {shape!r}")
    values: Any = raw if isinstance(raw, list) else _bytes(raw)
    size = 1 if isinstance(values, list) else plain.itemsize
    if isinstance(values, list) != plain.hasobject or math.prod(shape) * size != len(values):
        raise ValueError(f"an array of the shape {shape!r} with {len(values)} values")
    return shape, plain, bool(columns_first), values


def _reconstruct(kind: Any, shape: Any, code: Any) -> Any:
    if kind is not _Array:
        raise RefusedPickle(f"holds an array that is a {kind!r}")
    return np.ndarray.__new__(_Array, (0,), np.int8)


def _frombuffer(raw: Any, kind: Any, shape: Any, order: Any) -> Any:
    """An array as protocol 5 writes it."""
    shape, plain, columns_first, values = _state(shape, kind, _text(order) == "F", raw)
    flat = np.frombuffer(values, plain) if len(values) else np.zeros(0, plain)
    return flat.reshape(shape, order="F" if columns_first else "C").copy()


def _scalar(kind: Any, raw: Any = b"") -> Any:
    return np.frombuffer(_state((), kind, False, raw)[3], _plain(kind))[0]


def _plain(kind: Any) -> np.dtype[Any]:
    if not isinstance(kind, _Type):
        raise ValueError("an array without a type")
    return kind.plain


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 of Python 3 writes bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise RefusedPickle(f"encodes texts as {encoding!r}")
    return _bytes(text)


def _bytes(value: Any) -> bytes:
    """The bytes of an array: a text, if Python 2 wrote it."""
    if isinstance(value, str):
        return value.encode("latin1")
    if not isinstance(value, bytes | bytearray):
        raise ValueError(f"the bytes of an array are a {type(value).__name__}")
    return bytes(value)


def _text(value: Any) -> str:
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise ValueError(f"a text expected, found a {type(value).__name__}")
    return text


_NUMPY: dict[str, Callable[..., Any]] = {
    "ndarray": _Array,
    "dtype": _Type,
    "_reconstruct": _reconstruct,
    "scalar": _scalar,
    "_frombuffer": _frombuffer,
}
_PLAIN: dict[str, Callable[..., Any]] = {
    **{kind.__name__: kind for kind in (set, frozenset, list, dict, tuple, complex, bytearray)},
    **{kind.__name__: kind for kind in (bytes, int, float, bool, str)},
    "unicode": str,
    "long": int,
}
_WORDS: dict[str, dict[str, Callable[..., Any]]] = {
    "numpy": _NUMPY,
    # numpy.core became numpy._core in numpy 2, numpy.core was once numpy.oldnumeric's neighbour.
    **{
        f"numpy.{core}.{module}": _NUMPY
        for core in ("core", "_core")
        for module in ("multiarray", "numeric")
    },
    "builtins": _PLAIN,
    "__builtin__": _PLAIN,
    "collections": {"OrderedDict": OrderedDict},
    "_codecs": {"encode": _encode},
}


class _Reader(pickle.Unpickler):
    """An unpickler that knows the words above."""

    def find_class(self, module: str, name: str, /) -> Any:
        """What a word of the pickle means."""
        found = _WORDS.get(module, {}).get(name)
        if found is None:
            raise RefusedPickle(
                f"holds more than plain containers and arrays: it asks for {module}.{name}"
            )
        return found

    def persistent_load(self, pid: Any, /) -> Any:
        """References to things outside."""
        raise RefusedPickle("refers to things outside of itself")
