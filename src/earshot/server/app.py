"""The application: every router in one place, and what they share.

To add routes, write a file of its own in this folder with an `APIRouter`, and include it in
`create_app`, nowhere else:

    router = APIRouter(tags=["alerts"])

    @router.get("/alerts", response_model=AlertsOut)
    async def list_(caller: Reader, service: Here) -> Response:   # Writer, Admin: `auth`
        shelf = await service.call(service.shelf, caller.project)  # one project's Library and media
        ...

- Who may: a parameter of type `Reader`, `Writer` or `Admin` (`auth`). What there is: `Here`
  (`service`), with the settings, the store, and threads for engine calls (`service.call`).
- Tables: a `Table` on `store.METADATA` in the file that uses it; `store.prepare` makes it.
- Audio that comes in goes through `intake`: `received`, `take`, and `finished` to wait for the job.
- Errors: raise `Refused` or any `EarshotError`. Another shape of them under a prefix:
  `errors.shape(app, "/v1/", of)`.
- What must run beside requests (deliveries of webhooks) is a coroutine in `beside`.
- Bodies that may be large are named in `UPLOADS`; such routes count for themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.middleware.cors import CORSMiddleware

from earshot.server import (
    callbacks,
    deepgram,
    health,
    jobs,
    legacy,
    marks,
    metrics,
    overview,
    page,
    playing,
    recordings,
    searches,
    signing,
    uploads,
    wire,
)
from earshot.server.errors import handle_errors, shape
from earshot.server.listening import Listening
from earshot.server.requests import Requests
from earshot.server.service import Service
from earshot.server.settings import Settings

UPLOADS = re.compile("POST /api/v1/recordings|PATCH /api/v1/uploads/[0-9a-f]{32}|POST /v1/listen")
"""Requests, as METHOD PATH, whose body is a file."""

_ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": wire.ErrorAnswer, "description": "What is wrong with the request."}
}


def create_app(settings: Settings) -> FastAPI:
    """The application on one library; whoever runs it has made the library and the database."""
    app = FastAPI(
        title="Earshot",
        summary="Search inside audio and video by sound.",
        version="1",
        lifespan=_lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    handle_errors(app)
    api = APIRouter(prefix="/api/v1", responses=_ERRORS)
    for module in (recordings, uploads, jobs, searches, playing, overview, marks, signing):
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(page.router)
    app.mount("/page", page.files)
    app.include_router(deepgram.router)
    app.include_router(legacy.router)
    shape(app, "/v1/", deepgram.problem)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE", "HEAD"],
            allow_headers=["Authorization", "Content-Type", "Upload-Offset"],
            expose_headers=["Location", "Upload-Offset", "X-Request-Id", "Retry-After"],
        )
    app.add_middleware(
        Requests,
        most_bytes=settings.max_json_bytes,
        patience=settings.body_seconds,
        uploads=UPLOADS,
    )
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    service = Service(app.state.settings)
    app.state.service = service
    beside = [
        Listening(service).run(),
        service.usage.run(),
        callbacks.run(service, deepgram.called_back),
    ]
    tasks = [asyncio.create_task(one) for one in beside]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task
        await service.close()
