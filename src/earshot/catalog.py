"""The catalogue: what is known of each recording beside its sound (path, title, date, tags).

One table in SQLite (write-ahead log), written through SQLAlchemy Core and read by `rows`. The
index's manifest decides which recordings exist; rows it does not list are leftovers. Columns that
an old catalogue lacks are added when it is first written to, and read as empty before. This module
knows nothing of the index.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

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

from earshot import rows
from earshot.errors import LibraryBusy
from earshot.types import Recording


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
        return rows.from_json(value)


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
    Column("growing", String),
)


ENDED_SECONDS = 60.0
"""A recording that has not grown for so long has ended: whoever wrote it died."""

_LATER = ("recorded", "tags", "meta", "growing")


class Catalog:
    """The catalogue of one library; `writable` makes it when it is not there.

    A context manager. Every method raises LibraryError when the database cannot be read or
    written, LibraryBusy when another process holds it for too long.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        self._folder = folder
        self._engine = create_engine(
            "sqlite://",
            creator=lambda: rows.connect(folder, writable=writable),
            pool_reset_on_return=None,
        )
        if writable:
            event.listen(self._engine, "connect", _durable)
            with self._changing() as connection:
                _RECORDINGS.metadata.create_all(connection)
                for name in _missing(connection):
                    connection.execute(text(f"ALTER TABLE recordings ADD COLUMN {name} VARCHAR"))

    def put(self, *recordings: Recording) -> None:
        """Write the rows of recordings, in the place of those that have the same ids."""
        with self._changing() as connection:
            for recording in recordings:
                row = _row(recording)
                statement = insert(_RECORDINGS).values(row)
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
            for ids in rows.batches(recordings):
                connection.execute(delete(_RECORDINGS).where(_RECORDINGS.c.id.in_(ids)))

    def keep_only(self, recordings: Collection[str]) -> None:
        """Delete all other rows, the leftovers of a crash; what has long not grown has ended."""
        since = datetime.now(UTC) - timedelta(seconds=ENDED_SECONDS)
        growing = _RECORDINGS.c.growing
        with self._changing() as connection:
            long_ago = growing < since.isoformat(timespec="seconds")
            connection.execute(update(_RECORDINGS).where(long_ago).values(growing=None))
        with self._reading() as connection:
            present = set(connection.scalars(select(_RECORDINGS.c.id)))
        if leftovers := present.difference(recordings):
            self.delete(leftovers)

    def compact(self) -> None:
        """Give the room of deleted rows back to the disk, unless someone reads at this moment."""
        with suppress(LibraryBusy), self._reading() as connection:
            connection = connection.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text("VACUUM"))
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

    def find(self, recordings: Collection[str]) -> dict[str, Recording]:
        """The rows of these recordings by id, as far as they are there."""
        return rows.find(self._folder, recordings)

    def all(self) -> list[Recording]:
        """Every row, in the order of adding."""
        return rows.every(self._folder)

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
            raise rows.refused(self._folder / rows.FILE, original) from error
        except sqlite3.Error as error:
            raise rows.refused(self._folder / rows.FILE, error) from error


def _durable(connection: sqlite3.Connection, _: object) -> None:
    """Let a commit mean that the row survives a power cut: the manifest relies on it."""
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _missing(connection: Connection) -> list[str]:
    """The columns that an old catalogue lacks."""
    there = {row.name for row in connection.execute(text("PRAGMA table_info(recordings)"))}
    return [name for name in _LATER if name not in there]


def _row(recording: Recording) -> dict[str, object]:
    return {column.name: getattr(recording, column.name) for column in _RECORDINGS.columns}


def _recording(row: Row[Any]) -> Recording:
    return Recording(**row._mapping)
