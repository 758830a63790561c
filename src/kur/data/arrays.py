"""Columns of arrays as a supplier: sample i is row i of each column.

What most files of data come to, whatever their format; a batch is one indexing of each column, not
a loop over samples. Knows no format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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

    A network takes numbers as float32. Rows of numbers that differ in length (an array of arrays)
    are padded in each batch; other columns (texts, objects) stay lists. `prepare` has for a column
    what is done to the rows of a batch, so that pictures stay small in memory.
    """

    def __init__(
        self,
        columns: Mapping[str, Array],
        where: Path | str,
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
        self._columns = {name: _compact(column) for name, column in columns.items()}
        self._lengths = {
            name: np.array([len(row) for row in column], np.float64)
            for name, column in self._columns.items()
            if column.dtype == object and isinstance(column[0], np.ndarray)
        }

    def __len__(self) -> int:
        return self._samples

    def sources(self) -> dict[str, Source]:
        """Shape of a row of each column of numbers."""
        found = {}
        for name, value in self.batch(np.arange(1), Draw(0, 0, False)).items():
            if name in self._lengths:
                found[name] = Source((None, *value[0].shape[1:]))
            elif isinstance(value, np.ndarray):
                found[name] = Source(value.shape[1:])
        return found

    def lengths(self) -> NDArray[np.float64] | None:
        """Lengths in the first column whose rows differ in length; None if all rows are alike."""
        return next(iter(self._lengths.values()), None)

    def values(self, source: str) -> NDArray[np.float64] | None:
        """The numbers of a column of single numbers, or the lengths of one of sequences."""
        if source in self._lengths:
            return self._lengths[source]
        column = self._columns[source]
        if column.dtype.kind not in _NUMBERS or column.size != self._samples:
            return None
        return column.reshape(self._samples).astype(np.float64)

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
            if rows.dtype.kind in "iu" and rows.dtype.itemsize < 4:
                rows = rows.astype(np.int32)
            found[name] = rows if rows.dtype.kind in _NUMBERS else rows.tolist()
        return found


def column_of(rows: Sequence[Any]) -> Array:
    """Rows as a column: one array if they are numbers of one shape; otherwise an array of objects,
    in which numbers are arrays."""
    arrays = [np.asarray(row) if _regular(row) else row for row in rows]
    numbers = all(isinstance(one, np.ndarray) and one.dtype.kind in _NUMBERS for one in arrays)
    if numbers and len({one.shape for one in arrays}) == 1:
        return np.stack([_compact(one) for one in arrays])
    column = np.empty(len(rows), object)
    column[:] = [_compact(one) for one in arrays] if numbers else list(rows)
    return column


def one_hot(labels: Array, classes: int) -> NDArray[np.float32]:
    """Whole numbers (...) below `classes` -> (..., classes) with a one for each."""
    return np.eye(classes, dtype=np.float32)[labels]


def _regular(row: Any) -> bool:
    """Whether numpy makes an array of numbers of it."""
    if isinstance(row, list | tuple):
        inner = {len(one) if isinstance(one, list | tuple) else -1 for one in row}
        return len(inner) <= 1 and all(_regular(one) for one in row)
    return isinstance(row, int | float | np.ndarray | np.number | np.bool_)


def _compact(column: Array) -> Array:
    """The same numbers in less memory: networks count in 32 bits. An array of lists of numbers
    becomes one of arrays."""
    if column.dtype == np.float64:
        return column.astype(np.float32)
    if column.dtype == np.int64 and column.size and 0 <= column.min() <= column.max() < 256:
        return column.astype(np.uint8)
    if column.dtype == object and column.ndim == 1 and isinstance(column[0], list | tuple):
        return column_of(list(column))
    if column.dtype == object and column.ndim == 1 and isinstance(column[0], np.ndarray):
        rows = [np.asarray(row) for row in column]
        alike = {(row.ndim, row.shape[1:]) for row in rows}
        if len(alike) > 1 or rows[0].ndim == 0 or rows[0].dtype.kind not in _NUMBERS:
            return np.array([row.tolist() for row in column] + [None], object)[:-1]
    return column
