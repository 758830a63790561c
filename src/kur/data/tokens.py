"""The `tokens` supplier: pairs (or more) of symbol sequences from a JSON Lines file.

Letters and their phones, a sentence and its translation: each field of a line becomes numbers by a
vocabulary of its own. Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError, bind
from kur.data.manifest import read_manifest
from kur.data.supplier import Draw, Sample, Source, Trained, resolve, supplier
from kur.data.vocabulary import Split, load_vocabulary


@dataclass(frozen=True, kw_only=True)
class Field:
    """How a field is split into symbols, and their numbers: `vocab` is a list, a JSON file or
    nothing (that of the training data, or inferred); what is outside it becomes `unknown`."""

    vocab: list[str] | str | None = None
    split: Split = "characters"
    unknown: str | None = None


@supplier("tokens")
class Tokens:
    """For each field NAME: NAME (numbers), NAME_length and NAME_raw.

    `fields` maps a field of the lines to {vocab, split, unknown}; `samples` takes the first lines
    only.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str,
        fields: dict[str, Any],
        samples: int | None = None,
        trained: Callable[[], Trained] | None = None,
    ) -> None:
        if not fields:
            raise ArgumentError("'fields' names no field", "fields")
        if samples is not None and samples < 1:
            raise ArgumentError(f"'samples' must be at least 1, found {samples}", "samples")
        self._rows = read_manifest(resolve(base, path))[:samples]
        self._vocabularies = {}
        self._texts: dict[str, list[str]] = {}
        self._numbers: dict[str, list[NDArray[np.int32]]] = {}
        for name, given in fields.items():
            field = Field(**bind(Field, given, what=f"the field {name!r}"))
            for row in self._rows:
                if not isinstance(row.values.get(name), str):
                    raise row.error(f"no text in the field {name!r}")
            texts = [row.values[name] for row in self._rows]
            vocab = field.vocab
            if vocab is None and trained is not None:
                vocab = trained().get("vocabulary", {}).get(name)
            vocabulary = load_vocabulary(vocab, field.split, base, texts, field.unknown)
            numbers = [vocabulary.encode(text) for text in texts]
            for row, text, found in zip(self._rows, texts, numbers, strict=True):
                if len(found) == 0:
                    raise row.error(f"the field {name!r} has no symbol of its vocabulary: {text!r}")
            self._vocabularies[name] = vocabulary
            self._texts[name], self._numbers[name] = texts, numbers

    def __len__(self) -> int:
        return len(self._rows)

    def sources(self) -> dict[str, Source]:
        """Sequences are (steps,), lengths are numbers."""
        found: dict[str, Source] = {}
        for name in self._texts:
            found[name] = Source((None,), "int32")
            found[f"{name}_length"] = Source((), "int32")
        return found

    def lengths(self) -> NDArray[np.float64]:
        """Symbols in the first field."""
        return np.array([len(one) for one in next(iter(self._numbers.values()))], np.float64)

    def name(self, index: int) -> str:
        """File and line."""
        return self._rows[index].place

    def metadata(self) -> dict[str, Any]:
        """The vocabulary of each field."""
        return {
            "vocabulary": {name: list(one.symbols) for name, one in self._vocabularies.items()},
            "split": {name: one.split for name, one in self._vocabularies.items()},
        }

    def sample(self, index: int, draw: Draw) -> Sample:
        """The numbers of each field of line `index`."""
        values: dict[str, Any] = {}
        for name, numbers in self._numbers.items():
            values[name] = numbers[index]
            values[f"{name}_length"] = len(numbers[index])
            values[f"{name}_raw"] = self._texts[name][index]
        return values
