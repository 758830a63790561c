"""Is it alive, is it ready? For whatever watches over the process; no key is needed."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from earshot.index import read_manifest
from earshot.server.errors import Refused
from earshot.server.service import Here, Service

router = APIRouter(tags=["operation"])


@router.get("/healthz", summary="Alive?")
async def healthz() -> Response:
    """200 as long as the process answers."""
    return JSONResponse({"status": "ok"})


@router.get("/readyz", summary="Ready?")
async def readyz(service: Here) -> Response:
    """200 if the database and the library can be read, 503 if not."""
    try:
        async with service.store.reading() as connection:
            await connection.execute(text("SELECT 1"))
        await service.call(_readable, service)
    except (SQLAlchemyError, OSError) as error:
        raise Refused(503, f"not ready: {type(error).__name__}") from error
    return JSONResponse({"status": "ok"})


def _readable(service: Service) -> None:
    read_manifest(service.settings.library)
