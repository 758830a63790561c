"""Results that are sent to a URL when they are there: kept until they are delivered.

    await put(service, identity, job, url, "POST", fields)

Whoever listens to a callback may be slow or away: it is tried again, with longer and longer waits,
for a day. URLs are followed by the rules of `earshot.fetching`. It knows nothing of what is sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Column, Float, Integer, String, Table, delete, insert, select, update

from earshot.errors import FetchError
from earshot.fetching import Rules, send, shown
from earshot.server import queue
from earshot.server.queue import ENDED, Job
from earshot.server.service import Service
from earshot.server.store import METADATA, Json

LOG = logging.getLogger("earshot.server.callbacks")

Tell = Callable[[Service, Job, dict[str, Any], str], Awaitable[dict[str, Any]]]
"""A job that has ended, what was kept of the request, its id -> what is sent."""

LOOK_SECONDS = 0.5
WAITS = (5.0, 30.0, 120.0, 600.0, 3600.0, 3600.0 * 6, 3600.0 * 16)
"""Seconds until a delivery that failed is tried again; after the last it is given up."""

HELD_SECONDS = 120.0
"""So long a delivery belongs to the process that tries it."""

_CALLBACKS = Table(
    "callbacks",
    METADATA,
    Column("id", String(36), primary_key=True),
    Column("job", String(32), nullable=False),
    Column("url", String, nullable=False),
    Column("method", String(4), nullable=False),
    Column("fields", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Float, nullable=False, index=True),
)


async def put(
    service: Service, identity: str, job: Job, url: str, method: str, fields: dict[str, Any]
) -> None:
    """Deliver to `url` what `fields` ask of a job, when it has ended."""
    row = {"id": identity, "job": job.id, "url": url, "method": method, "fields": fields}
    async with service.store.writing() as connection:
        await connection.execute(insert(_CALLBACKS).values(**row, attempts=0, due=time.time()))


async def run(service: Service, tell: Tell) -> None:
    """Deliver what is due, for ever."""
    while True:
        try:
            await _deliver_due(service, tell)
        except Exception:
            LOG.exception("callbacks could not be delivered")
        await asyncio.sleep(LOOK_SECONDS)


async def _deliver_due(service: Service, tell: Tell) -> None:
    now = time.time()
    due = select(_CALLBACKS).where(_CALLBACKS.c.due <= now).order_by(_CALLBACKS.c.due).limit(1000)
    async with service.store.reading() as connection:
        rows = [dict(row._mapping) for row in await connection.execute(due)]
    for row in rows:
        job = await queue.get(service.store, row["job"])
        if job is not None and job.state not in ENDED:
            continue
        mine = (_CALLBACKS.c.id == row["id"]) & (_CALLBACKS.c.due == row["due"])
        async with service.store.writing() as connection:
            held = update(_CALLBACKS).where(mine).values(due=time.time() + HELD_SECONDS)
            if not (await connection.execute(held)).rowcount:  # another process has it
                continue
        if job is None or await _delivered(service, tell, job, row):
            await _change(service, delete(_CALLBACKS).where(_CALLBACKS.c.id == row["id"]))
            continue
        attempts = row["attempts"] + 1
        if attempts > len(WAITS):
            LOG.warning("the callback %s is given up", shown(row["url"]))
            await _change(service, delete(_CALLBACKS).where(_CALLBACKS.c.id == row["id"]))
            continue
        later = {"attempts": attempts, "due": time.time() + WAITS[attempts - 1]}
        await _change(
            service, update(_CALLBACKS).where(_CALLBACKS.c.id == row["id"]).values(**later)
        )


async def _change(service: Service, statement: Any) -> None:
    async with service.store.writing() as connection:
        await connection.execute(statement)


async def _delivered(service: Service, tell: Tell, job: Job, row: dict[str, Any]) -> bool:
    """Try once; whether it need not be tried again."""
    body = json.dumps(await tell(service, job, row["fields"], row["id"])).encode()
    rules = Rules(allowed=service.settings.fetch_networks)
    headers = {"Content-Type": "application/json"}
    try:
        answer = await service.call(send, row["url"], body, headers, rules, method=row["method"])
    except FetchError as error:
        LOG.info("a callback failed: %s", error)
        return False
    if not 200 <= answer.status < 300:
        LOG.info("the callback %s answered %d", shown(row["url"]), answer.status)
        return False
    return True
