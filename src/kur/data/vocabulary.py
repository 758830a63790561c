"""Vocabularies: symbols of a transcript <-> whole numbers.

Knows nothing of sound or networks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kur.data.supplier import resolve
from kur.errors import KurError, nearest

Split = Literal["characters", "spaces"]


@dataclass(frozen=True)
class Vocabulary:
    """The symbols in their order, how a text is split into them, and which of them stands for
    those that are not among them (None: they are dropped)."""

    symbols: tuple[str, ...]
    split: Split
    unknown: str | None = None

    def __len__(self) -> int:
        return len(self.symbols)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: i for i, symbol in enumerate(self.symbols)}

    def encode(self, text: str | list[str]) -> NDArray[np.int32]:
        """Numbers of the symbols of a text, or of a list of symbols."""
        other = None if self.unknown is None else self._numbers[self.unknown]
        found = (self._numbers.get(symbol, other) for symbol in self.pieces(text))
        return np.array([number for number in found if number is not None], np.int32)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that the numbers spell; numbers outside the vocabulary are left out."""
        pieces = [self.symbols[i] for i in numbers if 0 <= i < len(self.symbols)]
        return (" " if self.split == "spaces" else "").join(pieces)

    def pieces(self, text: str | list[str]) -> Sequence[str]:
        """A text, or a list of symbols, as symbols; characters in lower case."""
        if self.split == "spaces":
            return text.split() if isinstance(text, str) else text
        return text.lower() if isinstance(text, str) else [one.lower() for one in text]


def load_vocabulary(
    vocab: Any,
    split: Split,
    base: Path,
    texts: Iterable[str | list[str]],
    unknown: str | None = None,
) -> Vocabulary:
    """The vocabulary that a Kurfile gives: a list, the path of a JSON list, or None (inferred from
    `texts`: sorted, lower case)."""
    if vocab is None:
        pieces = Vocabulary((), split)
        found = {one for text in texts for one in pieces.pieces(text)}
        vocab = sorted(found | ({unknown} if unknown else set()))
    vocab = read_symbols(vocab, base, "vocab")
    if split == "characters":
        vocab = [symbol.lower() for symbol in vocab]
        unknown = unknown.lower() if unknown else unknown
    if len(set(vocab)) != len(vocab):
        twice = sorted({symbol for symbol in vocab if vocab.count(symbol) > 1})
        raise KurError(f"'vocab' holds {', '.join(map(repr, twice))} more than once")
    if unknown is not None and unknown not in vocab:
        hint = nearest(unknown, vocab)
        raise KurError(f"'unknown' must be a symbol of the vocabulary, found {unknown!r}{hint}")
    return Vocabulary(tuple(vocab), split, unknown)


def read_symbols(given: Any, base: Path, key: str) -> list[str]:
    """The symbols under `key`: a list (numbers count as texts), or the path of a JSON list."""
    found = given
    if isinstance(given, str):
        path = resolve(base, given)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise KurError(f"{path}: the vocabulary cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise KurError(f"{path}: not a JSON list of symbols: {error}") from None
    plain = isinstance(found, list | tuple)
    if not plain or not all(isinstance(one, str | int) for one in found):
        raise KurError(f"{key!r} must be a list of texts or the path of a JSON file with one")
    symbols = [str(one) for one in found]
    if not symbols:
        raise KurError(f"{key!r} holds no symbols")
    return symbols
