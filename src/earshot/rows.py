"""What is known of recordings, read from a library's catalogue.

Reading is all that a search needs of the catalogue, so it is done with the standard library alone:
`catalog`, which writes and owns the schema, takes a third of a second to load. This module knows
nothing of the index.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from earshot.errors import LibraryBusy, LibraryError, UsageError
from earshot.types import Recording

FILE = "catalog.db"

_BUSY_SECONDS = 10.0  # writers hold the database for milliseconds
_PREFIX = 4  # so many characters of an id may stand for the whole
_VARIABLES = 500  # ids in one statement; SQLite's own limit is 999 in old versions
_COLUMNS = tuple(field.name for field in fields(Recording))


def find(folder: Path, recordings: Collection[str]) -> dict[str, Recording]:
    """The rows of these recordings by id, as far as they are there.

    Raises LibraryError when the catalogue cannot be read, LibraryBusy when another process holds
    it for too long.
    """
    found: dict[str, Recording] = {}
    with _reading(folder) as (connection, columns):
        for ids in batches(recordings):
            marks = ", ".join("?" * len(ids))
            sought = f"SELECT {columns} FROM recordings WHERE id IN ({marks})"
            for row in connection.execute(sought, ids):
                one = _recording(columns, row)
                found[one.id] = one
    return found


def every(folder: Path) -> list[Recording]:
    """Every row, in the order of adding; raises what `find` raises."""
    with _reading(folder) as (connection, columns):
        sought = f"SELECT {columns} FROM recordings ORDER BY added, path"
        return [_recording(columns, row) for row in connection.execute(sought)]


def verify(folder: Path) -> None:
    """Raises LibraryError unless all of the database is what SQLite wrote."""
    with _reading(folder) as (connection, _):
        (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if said != "ok":
        raise LibraryError(_damage(folder / FILE, str(said).splitlines()[-1]))


def readable(folder: Path) -> list[Recording]:
    """The rows of a damaged catalogue that can be read.

    They are read from both ends: damage in the middle hides what lies behind it.
    """
    found: dict[str, Recording] = {}
    for order in ("ASC", "DESC"):
        with suppress(LibraryError), _reading(folder) as (connection, columns):
            sought = f"SELECT {columns} FROM recordings ORDER BY rowid {order}"
            for row in connection.execute(sought):
                one = _recording(columns, row)
                found.setdefault(one.id, one)
    return list(found.values())


def connect(folder: Path, *, writable: bool = False) -> sqlite3.Connection:
    """A connection to the catalogue in `folder`, made when it is `writable` and not there."""
    path = folder / FILE
    if writable:
        return _open(path, "rwc")
    try:
        connection = _open(path, "ro")
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        # In a folder that may not be written SQLite cannot make the files that readers of a
        # write-ahead log share. It need not: without a log the database is complete, and in
        # such a folder nobody changes it.
        log = path.with_name(FILE + "-wal")
        if not path.exists() or (log.exists() and log.stat().st_size):
            raise
        return _open(path, "ro&immutable=1")
    return connection


def refused(path: Path, error: BaseException) -> LibraryError:
    """What SQLite refused, as a sentence for the user."""
    reason = str(error)
    if "locked" in reason or "busy" in reason:
        return LibraryBusy(f"another process is writing to {path}: try again in a moment")
    if "full" in reason:
        return LibraryError(
            f"the disk that holds {path.parent} is full: free some space and run the command "
            "again, everything added before is kept"
        )
    if "readonly" in reason or "unable to open" in reason:
        doing = "opened" if "open" in reason else "written"
        return LibraryError(
            f"{path} cannot be {doing} ({reason}): check that the folder is there and that you "
            "may use it"
        )
    return LibraryError(_damage(path, reason))


def _damage(path: Path, reason: str) -> str:
    return (
        f"{path} is damaged or cannot be used ({reason}): `earshot check --repair` keeps of it "
        "what can be read"
    )


def batches(ids: Collection[str]) -> Iterator[list[str]]:
    """Ids, in order, so many at a time as one statement may hold."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), _VARIABLES):
        yield ordered[start : start + _VARIABLES]


def located(path: Path) -> str:
    """The full path of a file as the catalogue keeps it: links are kept, `..` is resolved."""
    return str(path.resolve() if ".." in path.parts else path.absolute())


def pick(name: str, recordings: Sequence[Recording]) -> Recording:
    """The one recording that `name` means: an id, the beginning of one, a path or a title.

    Raises UsageError when none or several fit, naming those that come near.
    """
    path = located(Path(name))
    ways: tuple[Callable[[Recording], bool], ...] = (
        lambda r: r.id == name,
        lambda r: r.path == path,
        lambda r: len(name) >= _PREFIX and r.id.startswith(name.lower()),
        lambda r: name in (r.title, Path(r.path).name),
        lambda r: name.casefold() == r.title.casefold(),
    )
    for way in ways:
        fitting = [recording for recording in recordings if way(recording)]
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            ids = ", ".join(recording.id for recording in fitting[:5])
            raise UsageError(f"'{name}' fits {len(fitting)} recordings, give an id: {ids}")
    near = get_close_matches(name, [recording.title for recording in recordings], n=3, cutoff=0.6)
    hint = f"did you mean {', '.join(near)}?" if near else "`earshot list` shows all there are"
    raise UsageError(f"the library has no recording '{name}': {hint}")


@contextmanager
def _reading(folder: Path) -> Iterator[tuple[sqlite3.Connection, str]]:
    """A connection, and the columns there are: an old catalogue has fewer."""
    try:
        with closing(connect(folder)) as connection:
            there = {row[1] for row in connection.execute("PRAGMA table_info(recordings)")}
            # Without its table the statement says so.
            columns = [name for name in _COLUMNS if name in there] or _COLUMNS
            yield connection, ", ".join(columns)
    except sqlite3.Error as error:
        raise refused(folder / FILE, error) from error
    except (ValueError, TypeError) as error:
        raise LibraryError(_damage(folder / FILE, f"a row makes no sense: {error}")) from error


def _recording(columns: str, row: Sequence[Any]) -> Recording:
    known = dict(zip(columns.split(", "), row, strict=True))
    known["path"] = os.fsdecode(known["path"])
    for name in ("tags", "meta"):
        known[name] = from_json(known.get(name))
    return Recording(**known)


def from_json(value: str | None) -> tuple[Any, ...]:
    """Tags and metadata as the catalogue keeps them: a list, or a list of pairs."""
    return tuple(tuple(one) if isinstance(one, list) else one for one in json.loads(value or "[]"))


def _open(path: Path, mode: str) -> sqlite3.Connection:
    name = quote_from_bytes(os.fsencode(path.absolute()))
    return sqlite3.connect(
        f"file:{name}?mode={mode}", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
    )
