"""Columns of arrays as a supplier: sample i is row i of each column.

What most files of data come to, whatever their format; a batch is one indexing of each column, not
a loop over samples. Knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.data.supplier import Draw, Sample, Source
from kur.errors import KurError

Array = NDArray[Any]
_NUMBERS = "biuf"


class Arrays:
    """A supplier of columns: arrays of as many rows, (samples, ...); `where` is their file.

    A network takes numbers as float32; other columns (texts, objects) stay lists. `prepare` has for
    a column what is done to the rows of a batch, so that pictures stay small in memory.
    """

    def __init__(
        self,
        columns: Mapping[str, Array],
        where: Path,
        prepare: Mapping[str, Callable[[Array], Array]] | None = None,
    ) -> None:
        if not columns:
            raise KurError(f"{where}: holds no data")
        for name, column in columns.items():
            if column.ndim == 0:
                raise KurError(f"{where}: {name!r} is one value, a list or an array is needed")
        sizes = {name: len(column) for name, column in columns.items()}
        if len(set(sizes.values())) != 1:
            found = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
            raise KurError(f"{where}: its sources differ in length: {found}")
        self._samples = next(iter(sizes.values()))
        if self._samples == 0:
            raise KurError(f"{where}: holds no samples")
        self._where = where
        self._prepare = dict(prepare or {})
        # Networks count in 32 bits; halving the rows here spares it in every batch.
        self._columns = {
            name: column.astype(np.float32) if column.dtype == np.float64 else column
            for name, column in columns.items()
        }

    def __len__(self) -> int:
        return self._samples

    def sources(self) -> dict[str, Source]:
        """Shape of a row of each column of numbers."""
        first = self.batch(np.arange(1), Draw(0, 0, False))
        return {
            name: Source(value.shape[1:])
            for name, value in first.items()
            if isinstance(value, np.ndarray)
        }

    def lengths(self) -> NDArray[np.float64] | None:
        """None: all rows are alike."""
        return None

    def name(self, index: int) -> str:
        """The file and the number of the row, from 0."""
        return f"{self._where}[{index}]"

    def metadata(self) -> dict[str, Any]:
        """Nothing that a network would need."""
        return {}

    def sample(self, index: int, draw: Draw) -> Sample:
        """Row `index` of each column."""
        return {name: rows[0] for name, rows in self.batch(np.array([index]), draw).items()}

    def batch(self, indices: NDArray[np.int64], draw: Draw) -> dict[str, Any]:
        """The rows `indices` of each column: an array of numbers, or a list of what else it is."""
        found: dict[str, Any] = {}
        for name, column in self._columns.items():
            rows = column[indices]
            if name in self._prepare:
                rows = self._prepare[name](rows)
            found[name] = rows if rows.dtype.kind in _NUMBERS else rows.tolist()
        return found


def one_hot(labels: Array, classes: int) -> NDArray[np.float32]:
    """Whole numbers (...) below `classes` -> (..., classes) with a one for each."""
    return np.eye(classes, dtype=np.float32)[labels]
