"""Suppliers of the same sources, one after the other, as one supplier.

Two corpora under one `data` are one corpus. Knows nothing of batches' padding or order.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.data.supplier import (
    BatchSupplier,
    Draw,
    Sample,
    SortableSupplier,
    Source,
    Supplier,
    rest,
)
from kur.errors import KurError


class Stacked:
    """The samples of several suppliers that give the same sources, in their order."""

    def __init__(self, suppliers: Sequence[Supplier]) -> None:
        first = suppliers[0]
        for other in suppliers[1:]:
            _agree(first, other)
        self._suppliers = tuple(suppliers)
        self._starts = [0, *itertools.accumulate(len(one) for one in suppliers)]

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def workers(self) -> int | None:
        """Threads that one of them asks for."""
        asked = [getattr(one, "workers", None) for one in self._suppliers]
        return max((one for one in asked if one), default=None)

    def sources(self) -> dict[str, Source]:
        """The sources of each of them."""
        return self._suppliers[0].sources()

    def lengths(self) -> NDArray[np.float64] | None:
        """The lengths of all, if each knows them."""
        found = [one.lengths() for one in self._suppliers]
        known = [one for one in found if one is not None]
        return np.concatenate(known) if len(known) == len(found) else None

    def values(self, source: str) -> NDArray[np.float64] | None:
        """What all are sorted by, if each knows it."""
        found = [
            one.values(source) if isinstance(one, SortableSupplier) else None
            for one in self._suppliers
        ]
        known = [one for one in found if one is not None]
        return np.concatenate(known) if len(known) == len(found) else None

    def name(self, index: int) -> str:
        """What the supplier calls it."""
        which, inside = self._find(index)
        return self._suppliers[which].name(inside)

    def metadata(self) -> dict[str, Any]:
        """What each of them says."""
        return self._suppliers[0].metadata()

    def sample(self, index: int, draw: Draw) -> Sample:
        """The sample of the supplier that has it."""
        which, inside = self._find(index)
        return self._suppliers[which].sample(inside, draw)

    def batch(self, indices: NDArray[np.int64], draw: Draw) -> dict[str, Any]:
        """The samples `indices`, each supplier's share made at once."""
        which = np.searchsorted(self._starts, indices, side="right") - 1
        places = [np.flatnonzero(which == i) for i in range(len(self._suppliers))]
        parts = [
            (place, gathered(one, indices[place] - start, draw))
            for one, start, place in zip(self._suppliers, self._starts, places, strict=False)
            if len(place)
        ]
        order = np.argsort(np.concatenate([place for place, _ in parts]))
        merged: dict[str, Any] = {}
        for name in parts[0][1]:
            values = [part[name] for _, part in parts]
            if all(isinstance(one, np.ndarray) for one in values):
                merged[name] = np.concatenate(values)[order]
            else:
                rows = [row for one in values for row in one]
                merged[name] = [rows[i] for i in order]
        return merged

    def rest(self) -> None:
        """Each of them may rest."""
        for one in self._suppliers:
            rest(one)

    def _find(self, index: int) -> tuple[int, int]:
        which = bisect.bisect_right(self._starts, index) - 1
        return which, index - self._starts[which]


def gathered(supplier: Supplier, indices: NDArray[np.int64], draw: Draw) -> Mapping[str, Any]:
    """The samples `indices` by source: an array of all, or a list of each."""
    if isinstance(supplier, BatchSupplier):
        return supplier.batch(indices, draw)
    samples = [supplier.sample(int(index), draw) for index in indices]
    return {name: [one[name] for one in samples] for name in samples[0]}


def _agree(first: Supplier, other: Supplier) -> None:
    """KurError if the samples of two suppliers cannot follow each other."""
    both = f"{first.name(0)} and {other.name(0)} are read one after the other"
    for name, source in first.sources().items():
        if other.sources()[name] != source:
            shapes = f"{source.shape} and {other.sources()[name].shape}"
            raise KurError(f"{both}, and their {name!r} differ: {shapes}")
    one, two = first.metadata(), other.metadata()
    for key in one:
        if one[key] != two.get(key):
            raise KurError(f"{both}, and differ in their {key}; give it to both of them")
