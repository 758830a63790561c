"""Texts of clips -> numbers, by one vocabulary for each field.

Knows nothing of sound.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.manifest import Row
from kur.data.supplier import Source, Trained
from kur.data.vocabulary import Split, Vocabulary, load_vocabulary

_log = logging.getLogger(__name__)
_SHOWN = 8


class Transcripts:
    """One field of all clips: `name` (numbers), `name`_raw (the text) and `name`_length."""

    def __init__(
        self,
        name: str,
        key: str,
        rows: Sequence[Row],
        vocab: Any,
        split: Split,
        base: Path,
        unknown: str | None,
        trained: Trained,
    ) -> None:
        self._name = name
        self._texts = [_text(row, key) for row in rows]
        if vocab is None:
            vocab = trained.get("vocabulary", {}).get(name)
        self._vocabulary = load_vocabulary(vocab, split, base, self._texts, unknown)
        self._numbers = [
            self._encoded(row, text) for row, text in zip(rows, self._texts, strict=True)
        ]
        if unknown is None and vocab is not None:
            _report(self._vocabulary, rows, self._texts)

    def sources(self) -> dict[str, Source]:
        """Numbers are (symbols,), their length is a number."""
        length = Source((), "int32")
        return {self._name: Source((None,), "int32"), f"{self._name}_length": length}

    def lengths(self) -> NDArray[np.float64]:
        """Symbols of each."""
        return np.array([len(one) for one in self._numbers], np.float64)

    def sample(self, index: int) -> dict[str, Any]:
        """The transcript of one clip."""
        numbers = self._numbers[index]
        values = {"": numbers, "_raw": self._texts[index], "_length": len(numbers)}
        return {self._name + ending: value for ending, value in values.items()}

    def metadata(self) -> dict[str, Any]:
        """Symbols, and how they are told apart."""
        return {
            "vocabulary": {self._name: list(self._vocabulary.symbols)},
            "split": {self._name: self._vocabulary.split},
        }

    def _encoded(self, row: Row, text: str | list[str]) -> NDArray[np.int32]:
        numbers = self._vocabulary.encode(text)
        if len(numbers) == 0:
            raise row.error(
                f"the transcript {text!r} has no symbol of the vocabulary; drop the clip or "
                f"extend 'vocab'"
            )
        return numbers


def keys_of(key: str | list[str] | None, transcript: str | None) -> list[str]:
    """The fields with transcripts; `transcript` is another name of `key`."""
    if key is not None and transcript is not None:
        raise ArgumentError("'transcript' and 'key' are the same; keep 'key'", "transcript")
    chosen = key or transcript or "text"
    keys = [chosen] if isinstance(chosen, str) else list(chosen)
    if len(set(keys)) != len(keys):
        raise ArgumentError(f"'key' names a field twice: {', '.join(keys)}", "key")
    return keys


def vocab_of(vocab: Any, keys: Sequence[str], place: int) -> Any:
    """The vocabulary of one of several fields: one for all, a list of them, or one by field."""
    if isinstance(vocab, Mapping):
        if keys[place] not in vocab:
            message = f"'vocab' has none for the field {keys[place]!r}; it has: {', '.join(vocab)}"
            raise ArgumentError(message, "vocab")
        return vocab[keys[place]]
    if isinstance(vocab, list) and vocab and all(isinstance(one, list) for one in vocab):
        if len(vocab) != len(keys):
            message = f"'vocab' has {len(vocab)} lists for {len(keys)} fields"
            raise ArgumentError(message, "vocab")
        return vocab[place]
    return vocab


def _text(row: Row, key: str) -> str | list[str]:
    text = row.values.get(key)
    listed = isinstance(text, list) and all(isinstance(one, str) for one in text)
    if not isinstance(text, str) and not listed:
        raise row.error(f"no {key!r} with the transcript")
    return text  # type: ignore[return-value]


def _report(vocabulary: Vocabulary, rows: Sequence[Row], texts: Sequence[Any]) -> None:
    """Warn of symbols that are left out."""
    known, left_out, first, clips = set(vocabulary.symbols), Counter[str](), "", 0
    for row, text in zip(rows, texts, strict=True):
        wrong = [one for one in vocabulary.pieces(text) if one not in known]
        if wrong:
            first, clips = first or row.place, clips + 1
            left_out.update(wrong)
    if clips:
        shown = ", ".join(f"{symbol!r} ({n})" for symbol, n in left_out.most_common(_SHOWN))
        more = ", ..." if len(left_out) > _SHOWN else ""
        _log.warning(
            "symbols of %d of %d transcripts are not in the vocabulary and left out: %s%s; "
            "first at %s; 'unknown' would give them a symbol",
            *(clips, len(rows), shown, more, first),
        )
