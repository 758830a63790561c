"""Projects and API keys: who may do what, in which project.

A key is 40 hexadecimal digits (160 random bits, a form that every known client accepts). Only its
SHA-256 is kept: a guess at a key is hopeless, so nothing slower is needed. It is shown once, when
it is made. This module knows nothing of HTTP.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    func,
    insert,
    select,
    update,
)

from earshot.errors import UsageError
from earshot.server.store import METADATA, Store

Scope: TypeAlias = Literal["read", "write", "admin"]
"""`read` searches and listens, `write` also uploads and edits, `admin` also removes and manages."""

SCOPES: tuple[Scope, ...] = get_args(Scope)
DEFAULT_PROJECT = "default"

_PROJECT = re.compile("[a-z0-9][a-z0-9_-]{0,63}")
_DAY = 86_400.0
_UNITS = {"m": 60.0, "h": 3600.0, "d": _DAY, "w": 7 * _DAY, "y": 365 * _DAY}

_KEYS = Table(
    "keys",
    METADATA,
    Column("id", String(8), primary_key=True),
    Column("digest", String(64), nullable=False, unique=True),
    Column("name", String, nullable=False),
    Column("project", String, nullable=False),
    Column("scope", String, nullable=False),
    Column("created", Float, nullable=False),
    Column("expires", Float),
    Column("revoked", Float),
    Column("requests_per_minute", Integer),
    Column("hours_per_day", Float),
    Column("max_upload_bytes", BigInteger),
    Index("keys_by_project", "project"),
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a key may use; None: what the settings say."""

    requests_per_minute: int | None = None
    hours_per_day: float | None = None
    max_upload_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is kept; `id` names it, times are seconds since 1970."""

    id: str
    name: str
    project: str
    scope: Scope
    created: float
    expires: float | None
    revoked: float | None
    limits: Limits

    def refusal(self) -> str:
        """Why it counts no more; empty if it counts."""
        if self.revoked is not None:
            return "it has been revoked"
        if self.expires is not None and self.expires <= time.time():
            return "it has expired"
        return ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a project, what they may do there, and by which key (None: no key was made)."""

    project: str
    scope: Scope
    key: str | None = None
    limits: Limits = field(default_factory=Limits)


def may(caller: Caller, scope: Scope) -> bool:
    """Whether a caller may do what needs `scope`."""
    return SCOPES.index(caller.scope) >= SCOPES.index(scope)


async def create(
    store: Store,
    name: str,
    scope: Scope,
    project: str = DEFAULT_PROJECT,
    *,
    expires: float | None = None,
    limits: Limits = Limits(),
) -> tuple[Key, str]:
    """Make a key; returns what is kept of it, and the key itself. Raises UsageError."""
    name = " ".join(name.split())
    if not name or len(name) > 200:
        raise UsageError("a key's name has 1 to 200 characters")
    if not _PROJECT.fullmatch(project):
        raise UsageError(
            f"'{project}' is no name for a project: it has up to 64 small letters, digits, - and _"
        )
    if scope not in SCOPES:
        raise UsageError(f"'{scope}' is no scope: there are {', '.join(SCOPES)}")
    secret = secrets.token_hex(20)
    key = Key(secrets.token_hex(4), name, project, scope, time.time(), expires, None, limits)
    async with store.writing() as connection:
        await connection.execute(insert(_KEYS).values(_row(key) | {"digest": digest(secret)}))
    return key, secret


async def every(store: Store, project: str | None = None) -> list[Key]:
    """All keys, or those of a project, in the order of their making."""
    sought = select(_KEYS).order_by(_KEYS.c.created, _KEYS.c.id)
    if project is not None:
        sought = sought.where(_KEYS.c.project == project)
    async with store.reading() as connection:
        return [_key(row) for row in await connection.execute(sought)]


async def revoke(store: Store, name: str) -> Key:
    """Let a key, named by its id or its name, count no more; raises UsageError."""
    fitting = [key for key in await every(store) if name in (key.id, key.name)]
    active = [key for key in fitting if key.revoked is None] or fitting
    if len(active) != 1:
        found = ", ".join(key.id for key in active)
        told = (
            f"fits {len(active)} keys, give an id: {found}" if active else "is no key's id or name"
        )
        raise UsageError(f"'{name}' {told}")
    async with store.writing() as connection:
        changed = update(_KEYS).where(_KEYS.c.id == active[0].id, _KEYS.c.revoked.is_(None))
        await connection.execute(changed.values(revoked=time.time()))
    return next(key for key in await every(store) if key.id == active[0].id)


async def find(store: Store, secret: str) -> Key | None:
    """The key that was shown as `secret`, whether it still counts or not."""
    async with store.reading() as connection:
        sought = select(_KEYS).where(_KEYS.c.digest == digest(secret))
        row = (await connection.execute(sought)).one_or_none()
    return None if row is None else _key(row)


async def get(store: Store, identity: str) -> Key | None:
    """The key with this id."""
    async with store.reading() as connection:
        row = (await connection.execute(select(_KEYS).where(_KEYS.c.id == identity))).one_or_none()
    return None if row is None else _key(row)


async def any_made(store: Store) -> bool:
    """Whether a key was ever made: from then on nothing is open."""
    async with store.reading() as connection:
        return bool(await connection.scalar(select(func.count()).select_from(_KEYS)))


def digest(secret: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def expiry(text: str) -> float:
    """When a key made now expires: `90d`, `12h`, `1y` from now; raises UsageError."""
    match = re.fullmatch(r"(\d{1,6})([mhdwy])", text.strip())
    if match is None or not int(match[1]):
        raise UsageError(f"'{text}' is no time to expire after: write 30m, 12h, 90d, 4w or 1y")
    return time.time() + int(match[1]) * _UNITS[match[2]]


def _row(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "project": key.project,
        "scope": key.scope,
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
        "requests_per_minute": key.limits.requests_per_minute,
        "hours_per_day": key.limits.hours_per_day,
        "max_upload_bytes": key.limits.max_upload_bytes,
    }


def _key(row: Row[Any]) -> Key:
    known = row._mapping
    limits = Limits(known["requests_per_minute"], known["hours_per_day"], known["max_upload_bytes"])
    return Key(
        known["id"], known["name"], known["project"], known["scope"], known["created"],
        known["expires"], known["revoked"], limits,
    )  # fmt: skip
