"""The `csv` supplier: a table as text, a column a source.

Knows nothing of networks.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError, bind
from kur.data.arrays import Arrays
from kur.data.package import Package, installed
from kur.data.supplier import supplier
from kur.errors import KurError

_DELIMITERS = ",\t;| "
_LOOKED_AT = 20  # lines, to find the delimiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How cells are separated (found out if not given) and quoted, one character each."""

    delimiter: str | None = None
    quote: str = '"'

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if value is not None and (len(value) != 1 or value in "\r\n\0"):
                message = f"{name!r} must be one character, found {value!r}"
                raise ArgumentError(message, name)


@supplier("csv")
class Csv(Arrays):
    """A table of text: each column is a source, numbers as float32 and others as texts.

    The names are those of the header, or column_0, column_1, ... with `header: no`. The file is a
    package (path, url, checksum), `format` is {delimiter, quote}.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        format: dict[str, Any] | None = None,
        header: bool = True,
    ) -> None:
        try:
            chosen = Format(**bind(Format, format, what="'format'"))
        except ArgumentError as error:
            raise ArgumentError(
                str(error), f"format.{error.key}" if error.key else "format"
            ) from None
        found = installed(Package(url=url, path=path, checksum=checksum), base)
        super().__init__(read_csv(found, chosen, header=header), found)


def read_csv(path: Path, form: Format, *, header: bool) -> dict[str, NDArray[Any]]:
    """The columns of a table by name: float32, or texts. KurError names the line."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise KurError(f"{path}: not UTF-8; save the file as UTF-8") from None
    except OSError as error:
        raise KurError(f"{path}: cannot be read: {error.strerror}") from None
    delimiter = form.delimiter or _delimiter(text, form.quote)
    rows, lines = _rows(text, delimiter, form.quote, path)
    if len(rows) <= header:
        raise KurError(f"{path}: is empty" if not rows else f"{path}: holds no samples")
    names = [f"column_{i}" for i in range(len(rows[0]))]
    if header:
        names = [cell.strip() or name for cell, name in zip(rows[0], names, strict=True)]
        rows, lines = rows[1:], lines[1:]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise KurError(f"{path}:1: two columns are called {twice!r}")
    for cells, line in zip(rows, lines, strict=True):
        if len(cells) != len(names):
            message = f"{len(cells)} cells, and {len(names)} in the first line"
            raise KurError(f"{path}:{line}: {message}; cells are separated by {delimiter!r}")
    columns = zip(*rows, strict=True)
    return {
        name: _column(cells, name, path, lines) for name, cells in zip(names, columns, strict=False)
    }


def _rows(text: str, delimiter: str, quote: str, path: Path) -> tuple[list[list[str]], list[int]]:
    """The cells of all lines that are not empty, and the numbers of the lines."""
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, quotechar=quote, skipinitialspace=True
    )
    rows, lines = [], []
    try:
        for cells in reader:
            if cells:
                rows.append(cells)
                lines.append(reader.line_num)
    except csv.Error as error:
        raise KurError(f"{path}:{reader.line_num}: not a table: {error}") from None
    return rows, lines


def _delimiter(text: str, quote: str) -> str:
    """The delimiter that splits the first lines into the most cells, as many in each."""
    lines = [line for line in text[:100_000].splitlines() if line.strip()][:_LOOKED_AT]
    best, most = ",", 1
    for delimiter in _DELIMITERS:
        try:
            reader = csv.reader(lines, delimiter=delimiter, quotechar=quote, skipinitialspace=True)
            counts = {len(cells) for cells in reader}
        except csv.Error:
            continue
        if len(counts) == 1 and (count := counts.pop()) > most:
            best, most = delimiter, count
    return best


def _column(cells: tuple[str, ...], name: str, path: Path, lines: list[int]) -> NDArray[Any]:
    try:
        return np.array([float(cell) for cell in cells], np.float32)
    except ValueError:
        wrong = [i for i, cell in enumerate(cells) if not _is_number(cell)]
    if len(wrong) * 2 < len(cells):
        cell = cells[wrong[0]]
        message = f"the column {name!r} is of numbers, found {cell!r}"
        raise KurError(f"{path}:{lines[wrong[0]]}: {message}")
    column = np.empty(len(cells), object)
    column[:] = cells
    return column


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
