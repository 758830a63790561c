"""The `parquet` and `datasets` suppliers: columns of Parquet files, and of Hugging Face datasets.

Both need packages that are installed only where they are asked for. Knows nothing of networks.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.arrays import Arrays, column_of
from kur.data.package import Package, installed, unpacked
from kur.data.supplier import resolve, supplier
from kur.errors import KurError, nearest

# What `datasets` calls columns that it makes arrays of.
_DECODED = {"Image", "Audio", "Video", "Array2D", "Array3D", "Array4D", "Array5D"}


@supplier("parquet")
class Parquet(Arrays):
    """Each column of a Parquet file (or of all in a folder, in the order of their names) is a
    source: numbers, lists of numbers, or anything else as it is.

    The file is a package (path, url, checksum); `columns` takes some columns only.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        columns: list[str] | None = None,
    ) -> None:
        reader = _optional("pyarrow.parquet", "parquet")
        found = unpacked(installed(Package(url=url, path=path, checksum=checksum), base))
        files = sorted(found.rglob("*.parquet")) if found.is_dir() else [found]
        if not files:
            raise KurError(f"{found}: no .parquet file in this folder")
        try:
            tables = [reader.read_table(str(file)) for file in files]
        except OSError as error:
            raise KurError(f"{found}: cannot be read as Parquet: {error}") from None
        except ValueError as error:  # pyarrow's own errors are ValueErrors
            raise KurError(f"{found}: cannot be read as Parquet: {error}") from None
        if len({tuple(table.column_names) for table in tables}) > 1:
            raise KurError(f"{found}: its files differ in their columns")
        names = _chosen(tables[0].column_names, columns, str(found))
        made = {name: _joined([_of_arrow(one.column(name)) for one in tables]) for name in names}
        super().__init__(made, found)


@supplier("datasets")
class Datasets(Arrays):
    """The columns of a Hugging Face dataset: `path` is its name on the hub or a folder.

    `name` is its configuration, `split` the part of it (train, test, train[:10%], ...), `columns`
    takes some columns only. Code that a dataset brings is never run.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str,
        name: str | None = None,
        split: str = "train",
        columns: list[str] | None = None,
        revision: str | None = None,
    ) -> None:
        hub = _optional("datasets", "datasets")
        local = resolve(base, path)
        try:
            data = hub.load_dataset(
                str(local) if local.exists() else path, name, split=split, revision=revision
            )
            names = _chosen(list(data.column_names), columns, path)
            made = {one: _of_hub(data, one) for one in names}
        except KurError:
            raise
        except Exception as error:  # the hub's client raises its own and its libraries' errors
            said = " ".join(str(error).split())[:200]
            raise KurError(f"the dataset {path!r} cannot be loaded: {said}") from None
        super().__init__(made, path)


def _optional(module: str, extra: str) -> Any:
    """A module of an extra. KurError says how to install it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = str(error.name).partition(".")[0]
        raise KurError(f"{top} is not installed: pip install 'earshot[{extra}]'") from None


def _chosen(there: list[str], columns: list[str] | None, where: str) -> list[str]:
    for name in columns or []:
        if name not in there:
            hint = f"{nearest(name, there)}; it has: {', '.join(there)}"
            raise ArgumentError(f"{where} has no column {name!r}{hint}", "columns")
    return columns or there


def _of_arrow(column: Any) -> NDArray[Any]:
    """An Arrow column as an array: numbers directly, all else by its Python values."""
    kind = str(column.type)
    if column.null_count == 0 and kind.startswith(("int", "uint", "float", "double", "halffloat")):
        return np.asarray(column.to_numpy())
    if column.null_count == 0 and kind == "bool":
        return np.asarray(column.to_pylist(), bool)
    return column_of(column.to_pylist())


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    if len({(one.dtype == object, one.shape[1:]) for one in parts}) > 1:
        return column_of([row for one in parts for row in one])
    return np.concatenate(parts)


def _of_hub(data: Any, name: str) -> NDArray[Any]:
    """A column of a dataset: as it is stored, or decoded (pictures, sound)."""
    if type(data.features[name]).__name__ in _DECODED:
        return column_of(list(data.with_format("numpy")[name]))
    return _of_arrow(data.select_columns([name]).with_format("arrow")[:].column(name))
