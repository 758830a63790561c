"""Jobs: what is to be listened to, kept in the store so that no crash loses it.

    queued -> running -> done | failed          cancelled from queued and running

Whoever listens claims the oldest that is queued; when a server starts to listen, what the one
before it had claimed is queued again. The same file is queued once a project, however often it is
sent. This module knows nothing of sound and of HTTP.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from earshot.about import About
from earshot.server.store import METADATA, Json, Store

State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")

MOST_ATTEMPTS = 3
"""So often a server may die over a job before it is given up."""

_JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("project", String, nullable=False),
    Column("key", String(8)),
    Column("state", String(9), nullable=False),
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("digest", String(64)),
    Column("path", String),
    Column("url", String),
    Column("name", String, nullable=False),
    Column("bytes", BigInteger),
    Column("channels", String(5), nullable=False),
    Column("about", Json, nullable=False),
    Column("heard", Float, nullable=False),
    Column("duration", Float),
    Column("recording", String(12)),
    Column("already", Integer, nullable=False),
    Column("code", String),
    Column("note", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Index("jobs_by_project", "project", "created"),
    Index("jobs_by_state", "state", "created"),
)
_ACTIVE = _JOBS.c.state.in_(("queued", "running"))
# The same file is never queued twice, whoever comes at the same moment.
Index(
    "jobs_once",
    _JOBS.c.project,
    _JOBS.c.digest,
    unique=True,
    sqlite_where=_ACTIVE,
    postgresql_where=_ACTIVE,
)


@dataclass(frozen=True, slots=True)
class Job:
    """A recording on its way into a library; times are seconds since 1970.

    `path` is the file (empty as long as only its `url` is known), `name` what it is called;
    `heard` and `duration` are seconds of audio. `recording` is what became of it; `already` tells
    that the library had it before. `note` is a warning, or why it failed, with its `code`.
    """

    id: str
    project: str
    key: str | None
    name: str
    state: State = "queued"
    created: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    digest: str | None = None
    path: str | None = None
    url: str | None = None
    bytes: int | None = None
    channels: str = "auto"
    about: About = field(default_factory=About)
    heard: float = 0.0
    duration: float | None = None
    recording: str | None = None
    already: bool = False
    code: str | None = None
    note: str = ""
    attempts: int = 0


def new_id() -> str:
    """An id for a job."""
    return secrets.token_hex(16)


async def put(store: Store, job: Job) -> Job:
    """Keep a new job; if one of the same file waits or runs already, that one is returned."""
    try:
        async with store.writing() as connection:
            await connection.execute(insert(_JOBS).values(_row(job)))
    except IntegrityError:
        same = select(_JOBS).where(
            _JOBS.c.project == job.project, _JOBS.c.digest == job.digest, _ACTIVE
        )
        async with store.reading() as connection:
            row = (await connection.execute(same)).one_or_none()
        # It may have ended between the two: then this one may come.
        return await put(store, job) if row is None else _job(row)
    return job


async def get(store: Store, identity: str, project: str | None = None) -> Job | None:
    """A job, of this project if one is named."""
    sought = select(_JOBS).where(_JOBS.c.id == identity)
    if project is not None:
        sought = sought.where(_JOBS.c.project == project)
    async with store.reading() as connection:
        row = (await connection.execute(sought)).one_or_none()
    return None if row is None else _job(row)


async def every(
    store: Store,
    project: str,
    *,
    state: State | None = None,
    limit: int = 100,
    before: tuple[float, str] | None = None,
) -> list[Job]:
    """Jobs of a project, newest first; `before` is time and id of the last one of a page."""
    sought: Select[Any] = select(_JOBS).where(_JOBS.c.project == project)
    if state is not None:
        sought = sought.where(_JOBS.c.state == state)
    if before is not None:
        created, identity = before
        same_time = (_JOBS.c.created == created) & (_JOBS.c.id < identity)
        sought = sought.where((_JOBS.c.created < created) | same_time)
    sought = sought.order_by(_JOBS.c.created.desc(), _JOBS.c.id.desc()).limit(limit)
    async with store.reading() as connection:
        return [_job(row) for row in await connection.execute(sought)]


async def first_jobs(store: Store, project: str, recordings: Collection[str]) -> Mapping[str, str]:
    """The first job that brought each of these recordings, by recording, as far as one did."""
    sought = (
        select(_JOBS.c.recording, _JOBS.c.id)
        .where(_JOBS.c.project == project, _JOBS.c.state == "done")
        .where(_JOBS.c.recording.in_(recordings))
        .order_by(_JOBS.c.created.desc())
    )
    async with store.reading() as connection:
        return {row.recording: row.id for row in await connection.execute(sought)}


async def waiting(store: Store) -> Mapping[str, int]:
    """How many jobs there are in each state that has not ended."""
    async with store.reading() as connection:
        states = await connection.scalars(select(_JOBS.c.state).where(_ACTIVE))
        found = list(states)
    return {state: found.count(state) for state in ("queued", "running")}


async def claim(store: Store) -> Job | None:
    """The oldest queued job, which runs from now on; None if there is none."""
    oldest = (
        select(_JOBS.c.id)
        .where(_JOBS.c.state == "queued")
        .order_by(_JOBS.c.created, _JOBS.c.id)
        .limit(1)
    )
    async with store.reading() as connection:  # looking costs no lock
        if await connection.scalar(oldest) is None:
            return None
    async with store.writing() as connection:
        identity = await connection.scalar(oldest)
        if identity is None:
            return None
        this = _JOBS.c.id == identity
        changes = {"state": "running", "started": time.time(), "heard": 0.0}
        await connection.execute(
            update(_JOBS).where(this).values(**changes, attempts=_JOBS.c.attempts + 1)
        )
        return _job((await connection.execute(select(_JOBS).where(this))).one())


async def change(store: Store, identity: str, **values: Any) -> bool:
    """Change a running job; False if it runs no more (it was cancelled)."""
    running = (_JOBS.c.id == identity) & (_JOBS.c.state == "running")
    async with store.writing() as connection:
        done = await connection.execute(update(_JOBS).where(running).values(**values))
    return bool(done.rowcount)


async def end(store: Store, identity: str, state: State, **values: Any) -> bool:
    """Let a running job end; False if it runs no more."""
    return await change(store, identity, state=state, ended=time.time(), **values)


async def found(store: Store, job: Job) -> bool:
    """Keep which file a running job is of, now that it is known; False if it runs no more.

    Where another job is of the same file, the file is kept without its digest: whoever is second
    will find that the library has it.
    """
    values = {name: _row(job)[name] for name in ("path", "bytes", "about", "digest")}
    try:
        return await change(store, job.id, **values)
    except IntegrityError:
        return await change(store, job.id, **{**values, "digest": None})


async def cancel(store: Store, identity: str) -> bool:
    """Cancel a job that has not ended; False if it has."""
    active = (_JOBS.c.id == identity) & _ACTIVE
    changes = {"state": "cancelled", "ended": time.time(), "note": "it was cancelled"}
    async with store.writing() as connection:
        done = await connection.execute(update(_JOBS).where(active).values(**changes))
    return bool(done.rowcount)


async def recover(store: Store) -> int:
    """Queue again what was running when a server died; returns how many.

    A job over which servers died MOST_ATTEMPTS times fails. Only whoever listens, alone, may call.
    """
    running = _JOBS.c.state == "running"
    hopeless = running & (_JOBS.c.attempts >= MOST_ATTEMPTS)
    note = f"the server ended {MOST_ATTEMPTS} times while it listened to this file"
    async with store.writing() as connection:
        failed = {"state": "failed", "ended": time.time(), "code": "given_up", "note": note}
        await connection.execute(update(_JOBS).where(hopeless).values(**failed))
        done = await connection.execute(update(_JOBS).where(running).values(state="queued"))
    return int(done.rowcount)


async def files_in_use(store: Store, project: str) -> set[str]:
    """Files of jobs that have not ended."""
    sought = select(_JOBS.c.path).where(_JOBS.c.project == project, _ACTIVE)
    async with store.reading() as connection:
        return {path for path in await connection.scalars(sought) if path}


def _row(job: Job) -> dict[str, Any]:
    row = {column.name: getattr(job, column.name) for column in _JOBS.columns}
    about = job.about
    row["about"] = {
        "title": about.title,
        "recorded": about.recorded,
        "tags": about.tags,
        "meta": about.meta,
    }
    row["already"] = int(job.already)
    return row


def _job(row: Row[Any]) -> Job:
    known = dict(row._mapping)
    said = known["about"]
    known["about"] = About(
        said["title"],
        said["recorded"],
        tuple(said["tags"]),
        meta=tuple((name, value) for name, value in said["meta"]),
    )
    known["already"] = bool(known["already"])
    return Job(**known)
