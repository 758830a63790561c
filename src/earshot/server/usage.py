"""What keys have used: requests, searches, uploads and hours, by day; and what they may use.

Counts are gathered in memory and written down every few seconds, so that no search waits for the
database; hours of audio are written at once, with the job they are of. A limit of requests holds
for each worker by its share. Knows nothing of routes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Integer, String, Table, func, insert, select
from sqlalchemy import update as change

from earshot.server.errors import Refused
from earshot.server.keys import Caller
from earshot.server.settings import Settings
from earshot.server.store import METADATA, Store

WRITE_SECONDS = 3.0
_NO_KEY = ""  # what is counted as long as there are no keys
_COUNTS = ("requests", "searches", "uploads", "bytes", "seconds")

_USAGE = Table(
    "usage",
    METADATA,
    Column("project", String, primary_key=True),
    Column("key", String(8), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("searches", BigInteger, nullable=False),
    Column("uploads", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("seconds", Float, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Day:
    """What a project used on a day (UTC); `seconds` are those of audio that was listened to."""

    day: str
    requests: int
    searches: int
    uploads: int
    bytes: int
    seconds: float


class Usage:
    """Counts of this process on their way into the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._counts: dict[tuple[str, str, str], Counter[str]] = {}

    def count(self, project: str, key: str | None, **counts: int) -> None:
        """Add to what a key has used today: requests, searches, uploads, bytes."""
        place = (project, key or _NO_KEY, today())
        self._counts.setdefault(place, Counter()).update(counts)

    async def run(self) -> None:
        """Write counts down every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write down what was counted."""
        counted, self._counts = self._counts, {}
        try:
            while counted:
                place, counts = counted.popitem()
                await _add(self._store, place, counts)
        except BaseException:
            self._counts.setdefault(place, Counter()).update(counts)
            for other, more in counted.items():
                self._counts.setdefault(other, Counter()).update(more)
            raise

    async def heard(self, project: str, key: str | None, seconds: float) -> None:
        """Add seconds of audio that were listened to, for good."""
        await _add(self._store, (project, key or _NO_KEY, today()), {"seconds": seconds})

    async def days(self, project: str, since: str, until: str) -> list[Day]:
        """What a project has used by day, both days included."""
        await self.write()
        sums = [func.sum(_USAGE.c[name]).label(name) for name in _COUNTS]
        sought = (
            select(_USAGE.c.day, *sums)
            .where(_USAGE.c.project == project, _USAGE.c.day >= since, _USAGE.c.day <= until)
            .group_by(_USAGE.c.day)
            .order_by(_USAGE.c.day)
        )
        async with self._store.reading() as connection:
            rows = await connection.execute(sought)
            return [
                Day(row.day, int(row.requests), int(row.searches), int(row.uploads),
                    int(row.bytes), float(row.seconds))
                for row in rows
            ]  # fmt: skip

    async def seconds_today(self, project: str, key: str | None) -> float:
        """Seconds of audio that were listened to for a key today."""
        place = (project, key or _NO_KEY, today())
        async with self._store.reading() as connection:
            found = await connection.scalar(select(_USAGE.c.seconds).where(*_at(place)))
        return float(found or 0.0)


class Allowance:
    """What callers may use."""

    def __init__(self, settings: Settings, usage: Usage) -> None:
        self._settings = settings
        self._usage = usage
        self._buckets: dict[str, tuple[float, float]] = {}  # by key: tokens, and when

    def take_request(self, caller: Caller) -> None:
        """Count a request; raises Refused (429) when there were too many in the last minute."""
        self._usage.count(caller.project, caller.key, requests=1)
        most = caller.limits.requests_per_minute or self._settings.requests_per_minute
        if not most or caller.key is None:
            return
        most = math.ceil(most / self._settings.workers)
        now = time.monotonic()
        tokens, then = self._buckets.get(caller.key, (float(most), now))
        tokens = min(float(most), tokens + (now - then) * most / 60)
        if tokens < 1:
            wait = math.ceil((1 - tokens) * 60 / most)
            self._buckets[caller.key] = (tokens, now)
            raise Refused(
                429,
                f"this key may send {most * self._settings.workers} requests a minute",
                headers={"Retry-After": str(wait)},
            )
        self._buckets[caller.key] = (tokens - 1, now)

    async def require_hours(self, caller: Caller) -> None:
        """Raises Refused (429) for a key whose hours of today are used up."""
        most = caller.limits.hours_per_day or self._settings.hours_per_day
        if not most or caller.key is None:
            return
        if await self._usage.seconds_today(caller.project, caller.key) >= most * 3600:
            raise Refused(
                429,
                f"the {most:g} hours of audio that this key may send a day are used up",
                headers={"Retry-After": str(_seconds_to_midnight())},
            )


def today() -> str:
    """The day in UTC."""
    return datetime.now(UTC).date().isoformat()


def _seconds_to_midnight() -> int:
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return math.ceil((midnight - now).total_seconds())


def _at(place: tuple[str, str, str]) -> tuple[Any, ...]:
    project, key, day = place
    return (_USAGE.c.project == project, _USAGE.c.key == key, _USAGE.c.day == day)


async def _add(store: Store, place: tuple[str, str, str], counts: Mapping[str, float]) -> None:
    more = {name: _USAGE.c[name] + counts[name] for name in counts}
    async with store.writing() as connection:
        done = await connection.execute(change(_USAGE).where(*_at(place)).values(**more))
        if not done.rowcount:
            project, key, day = place
            first = {name: counts.get(name, 0) for name in _COUNTS}
            await connection.execute(
                insert(_USAGE).values(project=project, key=key, day=day, **first)
            )
