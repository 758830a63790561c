"""Sessions of the page: a key is given once, and a cookie that no script can read stands for it.

A player and a link cannot send a header, so the page needs a cookie. It holds 160 random bits, of
which the SHA-256 is kept; it counts as long as its key does, and for SESSION_SECONDS at most. This
module knows nothing of requests.
"""

from __future__ import annotations

import secrets
import time

from sqlalchemy import Column, Float, String, Table, delete, insert, select

from earshot.server import keys
from earshot.server.keys import Key
from earshot.server.store import METADATA, Store

COOKIE = "earshot_session"
SESSION_SECONDS = 30 * 86_400.0

_SESSIONS = Table(
    "sessions",
    METADATA,
    Column("digest", String(64), primary_key=True),
    Column("key", String(8), nullable=False),
    Column("expires", Float, nullable=False),
)


async def begin(store: Store, key: Key) -> str:
    """A new session for a key; returns what the cookie holds. Those that are over are dropped."""
    secret = secrets.token_hex(20)
    now = time.time()
    async with store.writing() as connection:
        await connection.execute(delete(_SESSIONS).where(_SESSIONS.c.expires <= now))
        await connection.execute(
            insert(_SESSIONS).values(
                digest=keys.digest(secret), key=key.id, expires=now + SESSION_SECONDS
            )
        )
    return secret


async def find(store: Store, secret: str) -> Key | None:
    """The key that a cookie stands for, whether that still counts or not."""
    sought = select(_SESSIONS).where(_SESSIONS.c.digest == keys.digest(secret))
    async with store.reading() as connection:
        row = (await connection.execute(sought)).one_or_none()
    if row is None or row.expires <= time.time():
        return None
    return await keys.get(store, row.key)


async def end(store: Store, secret: str) -> None:
    """Let a cookie count no more."""
    async with store.writing() as connection:
        await connection.execute(delete(_SESSIONS).where(_SESSIONS.c.digest == keys.digest(secret)))
