"""The `jsonl` supplier: JSON Lines, an object a sample, a key a source.

Knows nothing of networks.
"""

from __future__ import annotations

from pathlib import Path

from kur.arguments import ArgumentError
from kur.data.arrays import Arrays, column_of
from kur.data.manifest import Row, read_manifest
from kur.data.package import Package, installed
from kur.data.supplier import supplier


@supplier("jsonl")
class JsonLines(Arrays):
    """Each key of the objects is a source: numbers and lists of numbers (also within lists), or
    anything else as it is. All lines have the keys of the first one.

    The file is a package (`path`, which may be called `source`; url, checksum).
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        source: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
    ) -> None:
        if path is not None and source is not None:
            raise ArgumentError("'path' and 'source' are the same; keep 'path'", "source")
        found = installed(Package(url=url, path=path or source, checksum=checksum), base)
        rows = read_manifest(found)
        same_keys(rows)
        self._places = [row.place for row in rows]
        columns = {key: column_of([row.values[key] for row in rows]) for key in rows[0].values}
        super().__init__(columns, found)

    def name(self, index: int) -> str:
        """File and line."""
        return self._places[index]


def same_keys(rows: list[Row]) -> None:
    """KurError for the first row that has other keys than the first one."""
    wanted = rows[0].values.keys()
    for row in rows:
        if row.values.keys() != wanted:
            odd = sorted(wanted ^ row.values.keys())[0]
            where = "is missing here" if odd in wanted else f"is not in line {rows[0].line}"
            raise row.error(f"the key {odd!r} {where}; all lines need the same keys")
