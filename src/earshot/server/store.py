"""The server's own tables, in SQLite or PostgreSQL, through SQLAlchemy Core.

Whoever has a table declares it on `METADATA` beside the functions that use it; `Store` opens the
database and gives connections. It knows nothing of what the tables mean.

    async with store.reading() as connection:  # one consistent state
    async with store.writing() as connection:  # committed when the block ends without an error
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Column, Dialect, Integer, MetaData, Table, event, insert, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import String, TypeDecorator

from earshot.errors import EarshotError

METADATA = MetaData()
"""Every table of the server."""

FORMAT = 1
"""Raised when a table changes so that older versions of Earshot cannot use the database."""

_BUSY_SECONDS = 30.0  # writers hold SQLite for milliseconds
_FORMAT = Table("store_format", METADATA, Column("format", Integer, primary_key=True))


class StoreError(EarshotError):
    """The server's database cannot be opened, read or written."""


class Json(TypeDecorator[Any]):
    """A value as JSON in a text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """A value on its way into the database."""
        return None if value is None else json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """A value as it was."""
        return None if value is None else json.loads(value)


class Store:
    """The database behind `url`; `prepare` makes tables that are not there."""

    def __init__(self, url: str) -> None:
        self._url = url
        try:
            self._engine = _engine(url)
        except (SQLAlchemyError, ImportError) as error:
            raise StoreError(f"the database {_shown(url)} cannot be used: {error}") from None
        self._one_writer = asyncio.Lock()

    async def prepare(self) -> None:
        """Make the tables that are not there; raises StoreError."""
        try:
            async with self.writing() as connection:
                await connection.run_sync(METADATA.create_all)
                found = await connection.scalar(select(_FORMAT.c.format))
                if found is None:
                    await connection.execute(insert(_FORMAT).values(format=FORMAT))
        except (SQLAlchemyError, OSError) as error:
            reason = getattr(error, "orig", None) or error
            raise StoreError(
                f"the database {_shown(self._url)} cannot be opened: {reason}"
            ) from None
        if found is not None and found > FORMAT:
            raise StoreError(
                f"the database {_shown(self._url)} is of format {found}, which a newer Earshot "
                f"wrote; this one reads {FORMAT}"
            )

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that sees one state."""
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A connection whose changes count when the block ends, all of them or none."""
        # SQLite has one writer: those of this process queue here, in order, not at its lock.
        async with self._one_writer, self._engine.connect() as connection:
            connection = await connection.execution_options(earshot_writes=True)
            async with connection.begin():
                yield connection

    async def close(self) -> None:
        """Close all connections."""
        await self._engine.dispose()


def _engine(url: str) -> AsyncEngine:
    if not url.startswith("sqlite"):
        return create_async_engine(url, pool_pre_ping=True)
    engine = create_async_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say so
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begun(connection: Any) -> None:
        # A transaction that reads first and writes then would fail where another one has written.
        writes = connection.get_execution_options().get("earshot_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _shown(url: str) -> str:
    """A URL without its password."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at else url


def unavailable(error: BaseException) -> bool:
    """Whether an error says that the database cannot be reached now."""
    return isinstance(error, OperationalError) or (
        isinstance(error, DBAPIError) and error.connection_invalidated
    )
