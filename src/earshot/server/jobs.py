"""Jobs as others see them: list, get, follow (server-sent events), cancel."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import JSONResponse, StreamingResponse

from earshot.server import queue, wire
from earshot.server.auth import Reader, Writer
from earshot.server.errors import Refused
from earshot.server.keys import Caller
from earshot.server.queue import ENDED, Job, State
from earshot.server.recordings import read_cursor, write_cursor, wrong_cursor
from earshot.server.service import Here, Service

router = APIRouter(tags=["jobs"])

Identity = Annotated[str, Path(alias="id", pattern="^[0-9a-f]{32}$", description="Id of a job.")]

LOOK_SECONDS = 0.25
ALIVE_SECONDS = 15.0
"""So often a stream without news says that it is alive."""


@router.get("/jobs", response_model=wire.JobsOut, summary="List jobs")
async def list_(
    caller: Reader,
    service: Here,
    state: State | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Jobs, newest first, page by page."""
    before = None
    if cursor is not None:
        place = read_cursor(cursor, "jobs")
        if len(place) != 2 or not isinstance(place[0], float) or not isinstance(place[1], str):
            raise wrong_cursor()
        before = (place[0], place[1])
    found = await queue.every(
        service.store, caller.project, state=state, limit=limit + 1, before=before
    )
    page = found[:limit]
    more = write_cursor("jobs", (page[-1].created, page[-1].id)) if len(found) > limit else None
    return JSONResponse({"jobs": [wire.job(one) for one in page], "cursor": more})


@router.get("/jobs/{id}", response_model=wire.JobOut, summary="Get a job")
async def get(identity: Identity, caller: Reader, service: Here) -> Response:
    """How far a job is, and what became of it."""
    return JSONResponse(wire.job(await _known(service, caller, identity)))


@router.get(
    "/jobs/{id}/events",
    summary="Follow a job",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(identity: Identity, caller: Reader, service: Here) -> Response:
    """Server-sent events: `job` with the job's JSON whenever it changes; ends when the job does."""
    job = await _known(service, caller, identity)
    return StreamingResponse(
        _changes(service, job),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


@router.delete("/jobs/{id}", response_model=wire.JobOut, summary="Cancel a job")
async def cancel(identity: Identity, caller: Writer, service: Here) -> Response:
    """Cancel a job that has not ended; what it would have made is not there."""
    job = await _known(service, caller, identity)
    if not await queue.cancel(service.store, identity):
        raise Refused(409, f"this job is {job.state} already")
    cancelled = await _known(service, caller, identity)
    if job.state == "queued" and job.path:  # whoever listens cleans up what it has begun
        in_use = await queue.files_in_use(service.store, job.project)
        if job.path not in in_use:
            shelf = await service.call(service.shelf, job.project)
            await service.call(shelf.discard, job.path)
    return JSONResponse(wire.job(cancelled))


async def _known(service: Service, caller: Caller, identity: str) -> Job:
    job = await queue.get(service.store, identity, caller.project)
    if job is None:
        raise Refused(404, f"there is no job {identity}")
    return job


async def _changes(service: Service, job: Job) -> AsyncIterator[str]:
    told = ""
    said = time.monotonic()
    while True:
        now = json.dumps(wire.job(job))
        if now != told:
            told, said = now, time.monotonic()
            yield f"event: job\ndata: {now}\n\n"
        elif time.monotonic() - said > ALIVE_SECONDS:
            said = time.monotonic()
            yield ": alive\n\n"
        if job.state in ENDED:
            return
        await asyncio.sleep(LOOK_SECONDS)
        found = await queue.get(service.store, job.id)
        if found is None:
            return
        job = found
