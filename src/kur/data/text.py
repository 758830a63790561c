"""The `text` supplier: sequences of symbols as one-hot arrays of one length.

Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.arrays import Arrays
from kur.data.jsonl import same_keys
from kur.data.manifest import Row, read_manifest
from kur.data.package import Package, installed
from kur.data.supplier import supplier
from kur.data.vocabulary import read_symbols
from kur.errors import nearest

Side = Literal["left", "right"]


@supplier("text")
class Text(Arrays):
    """For each key k of a JSON Lines file: k, one-hot (seq_len, symbols), raw_k, the symbols, and
    k_length, how many there are (1,).

    A value is a text or a list of symbols; `vocabs` has the symbols of each key, a list or the path
    of a JSON list. What is shorter than `seq_len` is padded at its left or right with zeros, or
    with the symbol `pad_with`; both may be given for all keys or for each.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        seq_len: int,
        vocabs: dict[str, Any],
        padding: Side | dict[str, Any] | None = None,
        pad_with: str | dict[str, Any] | None = None,
    ) -> None:
        if seq_len < 1:
            raise ArgumentError(f"'seq_len' must be at least 1, found {seq_len}", "seq_len")
        found = installed(Package(url=url, path=path, checksum=checksum), base)
        rows = read_manifest(found)
        same_keys(rows)
        self._places = [row.place for row in rows]
        self._vocabularies: dict[str, list[str]] = {}
        columns: dict[str, NDArray[Any]] = {}
        prepare = {}
        for key in rows[0].values:
            if key not in vocabs:
                hint = f"{nearest(key, vocabs)}; it has: {', '.join(vocabs)}"
                raise ArgumentError(f"'vocabs' has no symbols for {key!r}{hint}", "vocabs")
            symbols = read_symbols(vocabs[key], base, f"vocabs.{key}")
            side = _option(padding, key, "padding") or "right"
            if side not in ("left", "right"):
                message = f"'padding' of {key!r} must be left or right, found {side!r}"
                raise ArgumentError(message, "padding")
            filler = _option(pad_with, key, "pad_with")
            if filler is not None and filler not in symbols:
                message = f"'pad_with' of {key!r} must be one of its symbols, found {filler!r}"
                raise ArgumentError(message, "pad_with")
            numbers, raw = _encoded(rows, key, symbols, seq_len)
            # A padding without a symbol has the number behind the last one, whose row is zeros.
            pad = len(symbols) if filler is None else symbols.index(filler)
            columns[key] = _padded(numbers, seq_len, pad, left=side == "left")
            columns[f"raw_{key}"] = raw
            columns[f"{key}_length"] = np.array([[len(one)] for one in numbers], np.int32)
            table = np.eye(len(symbols) + 1, len(symbols), dtype=np.float32)
            prepare[key] = table.__getitem__
            self._vocabularies[key] = symbols
        super().__init__(columns, found, prepare)

    def name(self, index: int) -> str:
        """File and line."""
        return self._places[index]

    def metadata(self) -> dict[str, Any]:
        """The symbols of each key."""
        return {"vocabulary": dict(self._vocabularies)}


def _option(given: Any, key: str, name: str) -> Any:
    """What is given for all keys, or for this one."""
    value = given.get(key) if isinstance(given, Mapping) else given
    if value is not None and not isinstance(value, str):
        raise ArgumentError(f"{name!r} of {key!r} must be a text, found {value!r}", name)
    return value


def _encoded(
    rows: list[Row], key: str, symbols: list[str], longest: int
) -> tuple[list[list[int]], NDArray[Any]]:
    """The numbers of the symbols of each row, and the symbols themselves."""
    known = {symbol: i for i, symbol in enumerate(symbols)}
    found = []
    raw = np.empty(len(rows), object)
    for i, row in enumerate(rows):
        value = row.values[key]
        if not isinstance(value, str) and not (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        ):
            raise row.error(f"{key!r} must be a text or a list of texts, found {value!r:.40}")
        if len(value) > longest:
            raise row.error(f"{key!r} has {len(value)} symbols, more than 'seq_len' ({longest})")
        for one in value:
            if one not in known:
                raise row.error(f"{one!r} in {key!r} is not among its symbols in 'vocabs'")
        found.append([known[one] for one in value])
        raw[i] = value
    return found, raw


def _padded(numbers: list[list[int]], length: int, pad: int, *, left: bool) -> NDArray[np.int32]:
    out = np.full((len(numbers), length), pad, np.int32)
    for row, one in zip(out, numbers, strict=True):
        if one:
            row[slice(length - len(one), None) if left else slice(0, len(one))] = one
    return out
