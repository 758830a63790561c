"""What there is and what was used: tags, and usage by day."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from earshot.server.auth import Reader
from earshot.server.recordings import Where
from earshot.server.service import Here

router = APIRouter(tags=["overview"])

_DAYS = 30


class TagOut(BaseModel):
    """A tag, and how many recordings have it."""

    tag: str
    recordings: int


class TagsOut(BaseModel):
    """All tags, those of most recordings first."""

    tags: list[TagOut]


class DayOut(BaseModel):
    """What was used on a day (UTC)."""

    day: str
    requests: int
    searches: int
    uploads: int
    bytes: int
    hours_indexed: float


class UsageOut(BaseModel):
    """What the project holds, and what was used by day."""

    recordings: int
    hours: float
    days: list[DayOut]


@router.get("/tags", response_model=TagsOut, summary="List tags")
async def tags(caller: Reader, service: Here, where: Where = "") -> Response:
    """The tags of all recordings, or of those that filters fit."""
    shelf = await service.call(service.shelf, caller.project)
    found = await service.call(shelf.library.list, where)
    names: dict[str, str] = {}  # those that differ in case only are one
    counts: Counter[str] = Counter()
    for one in found:
        for tag in one.tags:
            names.setdefault(tag.casefold(), tag)
            counts[tag.casefold()] += 1
    listed = sorted(counts, key=lambda tag: (-counts[tag], tag))
    return JSONResponse(
        {"tags": [{"tag": names[tag], "recordings": counts[tag]} for tag in listed]}
    )


@router.get("/usage", response_model=UsageOut, summary="Get usage")
async def usage(
    caller: Reader,
    service: Here,
    since: Annotated[date | None, Query(alias="from", description="A day (UTC).")] = None,
    until: Annotated[date | None, Query(alias="to", description="A day (UTC).")] = None,
) -> Response:
    """Recordings and hours of the project, and what was used by day, of 30 days if not told."""
    last = until or datetime.now(UTC).date()
    first = since or max(last - timedelta(days=min(_DAYS, last.toordinal()) - 1), date.min)
    days = await service.usage.days(caller.project, first.isoformat(), last.isoformat())
    shelf = await service.call(service.shelf, caller.project)
    found = await service.call(shelf.library.list)
    return JSONResponse(
        {
            "recordings": len(found),
            "hours": round(sum(one.duration for one in found) / 3600, 4),
            "days": [
                {
                    "day": one.day,
                    "requests": one.requests,
                    "searches": one.searches,
                    "uploads": one.uploads,
                    "bytes": one.bytes,
                    "hours_indexed": round(one.seconds / 3600, 4),
                }
                for one in days
            ],
        }
    )
