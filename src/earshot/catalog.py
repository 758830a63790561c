"""The catalogue: what is known of each recording beside its sound (path, title, date, tags).

One table in SQLite (write-ahead log), through SQLAlchemy Core. The index's manifest decides which
recordings exist; rows it does not list are leftovers. Columns that an old catalogue lacks are
added when it is first written to, and read as empty before. This module knows nothing of the index.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    create_engine,
    delete,
    event,
    select,
    text,
    update,
)
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from earshot.errors import LibraryBusy, LibraryError, UsageError
from earshot.types import Recording

FILE = "catalog.db"

_BUSY_SECONDS = 10.0  # writers hold the database for milliseconds
_PREFIX = 4  # so many characters of an id may stand for the whole
_VARIABLES = 500  # ids in one statement; SQLite's own limit is 999 in old versions


class _FilePath(TypeDecorator[str]):
    """A path as the file system's bytes: a name that is not UTF-8 comes back as it was."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else os.fsencode(value)

    def process_result_value(self, value: bytes | None, dialect: Dialect) -> str | None:
        return None if value is None else os.fsdecode(value)


class _Json(TypeDecorator[Any]):
    """Tags and metadata as JSON: a list, or a list of pairs; tuples in Python."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        return json.dumps(value or [])

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Any, ...]:
        return tuple(
            tuple(one) if isinstance(one, list) else one for one in json.loads(value or "[]")
        )


_RECORDINGS = Table(
    "recordings",
    MetaData(),
    Column("id", String(12), primary_key=True),
    Column("path", _FilePath, nullable=False),
    Column("title", String, nullable=False),
    Column("duration", Float, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("added", String, nullable=False),
    # What follows is in _LATER: catalogues of before lack it, and older versions do not write it.
    Column("recorded", String),
    Column("tags", _Json),
    Column("meta", _Json),
)


_LATER = ("recorded", "tags", "meta")


class Catalog:
    """The catalogue of one library; `writable` makes it when it is not there.

    A context manager. Every method raises LibraryError when the database cannot be read or
    written, LibraryBusy when another process holds it for too long.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self._path = folder / FILE
        self._writable = writable
        self._engine = create_engine("sqlite://", creator=self._connect, pool_reset_on_return=None)
        if writable:
            event.listen(self._engine, "connect", _durable)
            with self._changing() as connection:
                _RECORDINGS.metadata.create_all(connection)
                for name in _missing(connection):
                    connection.execute(text(f"ALTER TABLE recordings ADD COLUMN {name} VARCHAR"))

    def put(self, recording: Recording) -> None:
        """Write the row of a recording, in the place of one that has the same id."""
        row = _row(recording)
        statement = insert(_RECORDINGS).values(row)
        with self._changing() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=[_RECORDINGS.c.id], set_=row)
            )

    def change(self, recording: str, change: Callable[[Recording], Recording]) -> Recording | None:
        """Write the row of a recording as `change` makes it of what it is; None if it has none.

        Nobody else can change it between reading and writing.
        """
        this = _RECORDINGS.c.id == recording
        with self._changing() as connection:
            # SQLite locks at the first write: this one changes nothing.
            connection.execute(update(_RECORDINGS).where(this).values(id=recording))
            row = connection.execute(select(_RECORDINGS).where(this)).one_or_none()
            if row is None:
                return None
            changed = change(_recording(row))
            connection.execute(update(_RECORDINGS).where(this).values(_row(changed)))
        return changed

    def delete(self, recordings: Collection[str]) -> None:
        """Delete the rows of these recordings, as far as they are there."""
        with self._changing() as connection:
            for ids in _batches(recordings):
                connection.execute(delete(_RECORDINGS).where(_RECORDINGS.c.id.in_(ids)))

    def keep_only(self, recordings: Collection[str]) -> None:
        """Delete all other rows: the leftovers of a crash."""
        with self._reading() as connection:
            present = set(connection.scalars(select(_RECORDINGS.c.id)))
        if leftovers := present.difference(recordings):
            self.delete(leftovers)

    def find(self, recordings: Collection[str]) -> dict[str, Recording]:
        """The rows of these recordings by id, as far as they are there."""
        found: dict[str, Recording] = {}
        with self._reading() as connection:
            for ids in _batches(recordings):
                there = _there(connection)
                rows = connection.execute(select(*there).where(_RECORDINGS.c.id.in_(ids)))
                found.update((row.id, _recording(row)) for row in rows)
        return found

    def all(self) -> list[Recording]:
        """Every row, in the order of adding."""
        with self._reading() as connection:
            order = _RECORDINGS.c.added, _RECORDINGS.c.path  # files are added in this order
            rows = connection.execute(select(*_there(connection)).order_by(*order))
            return [_recording(row) for row in rows]

    def close(self) -> None:
        """Close the database."""
        self._engine.dispose()

    def __enter__(self) -> Catalog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._explained(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def _changing(self) -> Iterator[Connection]:
        with self._explained(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            original = getattr(error, "orig", None) or error
            raise _library_error(self._path, original) from error
        except sqlite3.Error as error:
            raise _library_error(self._path, error) from error

    def _connect(self) -> sqlite3.Connection:
        if self._writable:
            return self._open("rwc")
        try:
            connection = self._open("ro")
            connection.execute("SELECT 1 FROM sqlite_master").fetchone()
        except sqlite3.OperationalError:
            # In a folder that may not be written SQLite cannot make the files that readers of a
            # write-ahead log share. It need not: without a log the database is complete, and in
            # such a folder nobody changes it.
            log = self._path.with_name(FILE + "-wal")
            if not self._path.exists() or (log.exists() and log.stat().st_size):
                raise
            return self._open("ro&immutable=1")
        return connection

    def _open(self, mode: str) -> sqlite3.Connection:
        name = quote_from_bytes(os.fsencode(self._path.absolute()))
        return sqlite3.connect(
            f"file:{name}?mode={mode}", uri=True, timeout=_BUSY_SECONDS, check_same_thread=False
        )


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


def _durable(connection: sqlite3.Connection, _: object) -> None:
    """Let a commit mean that the row survives a power cut: the manifest relies on it."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _missing(connection: Connection) -> list[str]:
    """The columns that an old catalogue lacks."""
    there = {row.name for row in connection.execute(text("PRAGMA table_info(recordings)"))}
    return [name for name in _LATER if name not in there]


def _there(connection: Connection) -> list[Column[Any]]:
    """The columns that a catalogue has, which may be an old one."""
    missing = _missing(connection)
    return [column for column in _RECORDINGS.columns if column.name not in missing]


def _row(recording: Recording) -> dict[str, object]:
    return {column.name: getattr(recording, column.name) for column in _RECORDINGS.columns}


def _recording(row: Row[Any]) -> Recording:
    return Recording(**row._mapping)


def _batches(ids: Collection[str]) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _VARIABLES):
        yield ordered[start : start + _VARIABLES]


def _library_error(path: Path, error: BaseException) -> LibraryError:
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
    return LibraryError(f"{path} is damaged or cannot be used: {reason}")
