"""Uploads in parts, for big files on bad lines: what has arrived stays, and the rest follows.

    POST /uploads        -> its id           PATCH /uploads/{id}   Upload-Offset: N, the next bytes
    HEAD /uploads/{id}   -> Upload-Offset    POST /uploads/{id}/finish -> a job

How much has arrived is the size of a file: a server that is killed knows it afterwards. It knows
nothing of what is in the files.
"""

from __future__ import annotations

import asyncio
import fcntl
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import BigInteger, Column, Float, Row, String, Table, delete, insert, select
from starlette.requests import ClientDisconnect

from earshot.about import about as checked
from earshot.server import intake, wire
from earshot.server.auth import Writer
from earshot.server.errors import Refused
from earshot.server.keys import Caller
from earshot.server.receiving import Received, too_large
from earshot.server.recordings import job_answer
from earshot.server.service import Here, Service, Shelf, digest_of
from earshot.server.store import METADATA, Json

router = APIRouter(tags=["uploads"])

KEPT_SECONDS = 7 * 86_400.0
"""An upload that is not finished is given up after so long."""

_UPLOADS = Table(
    "uploads",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("project", String, nullable=False),
    Column("key", String(8)),
    Column("created", Float, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("plan", Json, nullable=False),
)

Identity = Annotated[
    str, Path(alias="id", pattern="^[0-9a-f]{32}$", description="Id of an upload.")
]


class Plan(BaseModel):
    """A file that is going to be sent."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(ge=1, le=1 << 50, description="Size of the whole file.")
    name: str = Field("", max_length=300, description="The file's name.")
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$", description="Checked at the end.")
    title: str | None = Field(None, max_length=1000)
    date: str | None = Field(None, max_length=10)
    tags: list[str] = Field([], max_length=100)
    meta: dict[str, str] = Field({}, max_length=100)
    channels: wire.Channels = "auto"


class UploadOut(BaseModel):
    """An upload: how much of it has arrived, and until when it may go on."""

    id: str
    bytes: int
    offset: int
    expires: str


@router.post("/uploads", status_code=201, response_model=UploadOut, summary="Begin an upload")
async def begin(plan: Plan, caller: Writer, service: Here) -> Response:
    """Announce a file that is sent in parts."""
    checked(title=plan.title, date=plan.date, tags=plan.tags, meta=plan.meta)
    most = caller.limits.max_upload_bytes or service.settings.max_upload_bytes
    if plan.bytes > most:
        raise too_large(most)
    await service.allowance.require_hours(caller)
    await _give_up_old(service)
    shelf = await service.call(service.shelf, caller.project)
    identity, now = secrets.token_hex(16), time.time()
    _file(shelf, identity).touch()
    async with service.store.writing() as connection:
        await connection.execute(
            insert(_UPLOADS).values(
                id=identity, project=caller.project, key=caller.key, created=now,
                bytes=plan.bytes, plan=plan.model_dump(),
            )
        )  # fmt: skip
    told = {"id": identity, "bytes": plan.bytes, "offset": 0}
    told["expires"] = str(wire.moment(now + KEPT_SECONDS))
    where = f"/api/v1/uploads/{identity}"
    return JSONResponse(told, 201, headers={"Location": where, "Upload-Offset": "0"})


@router.get("/uploads/{id}", response_model=UploadOut, summary="Get an upload")
async def get(identity: Identity, caller: Writer, service: Here) -> Response:
    """How much of it has arrived."""
    row, path = await _known(service, caller, identity)
    offset = _size(path)
    told = {"id": identity, "bytes": row.bytes, "offset": offset}
    told["expires"] = str(wire.moment(row.created + KEPT_SECONDS))
    return JSONResponse(told, headers={"Upload-Offset": str(offset)})


@router.head("/uploads/{id}", summary="Where to go on with an upload")
async def head(identity: Identity, caller: Writer, service: Here) -> Response:
    """The header `Upload-Offset` tells how many bytes have arrived."""
    row, path = await _known(service, caller, identity)
    headers = {"Upload-Offset": str(_size(path)), "Upload-Length": str(row.bytes)}
    return Response(headers=headers)


@router.patch(
    "/uploads/{id}",
    status_code=204,
    summary="Send a part",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
            },
        }
    },
)
async def part(
    request: Request,
    identity: Identity,
    caller: Writer,
    service: Here,
    offset: Annotated[
        int, Header(alias="Upload-Offset", ge=0, le=1 << 50, description="Bytes sent before.")
    ],
) -> Response:
    """Append the body. What came of it stays, also when the line breaks in the middle."""
    row, path = await _known(service, caller, identity)
    with _held(path) as file:
        here = file.seek(0, 2)
        if offset != here:
            raise Refused(
                409,
                f"this part begins at byte {offset}, but {here} have arrived: go on there",
                code="wrong_offset",
                headers={"Upload-Offset": str(here)},
            )
        await _append(request, file, row.bytes, service.settings.body_seconds)
        here = file.tell()
    return Response(status_code=204, headers={"Upload-Offset": str(here)})


@router.post(
    "/uploads/{id}/finish",
    status_code=202,
    response_model=wire.JobOut,
    summary="End an upload",
)
async def finish(identity: Identity, caller: Writer, service: Here) -> Response:
    """All has arrived: let it be listened to."""
    row, path = await _known(service, caller, identity)
    plan = Plan(**row.plan)
    with _held(path) as file:
        here = file.seek(0, 2)
        if here != row.bytes:
            raise Refused(
                409,
                f"{here} of {row.bytes} bytes have arrived: send the rest first",
                code="incomplete",
                headers={"Upload-Offset": str(here)},
            )
        digest = await service.call(digest_of, path)
        if plan.sha256 not in (None, digest):
            await _forget(service, identity, path)
            raise Refused(
                422,
                "what has arrived is not the file that was announced (its SHA-256 differs): "
                "begin again",
                code="wrong_digest",
            )
        said = checked(title=plan.title, date=plan.date, tags=plan.tags, meta=plan.meta)
        received = Received(path, digest, here, plan.name)
        job = await intake.take(service, caller, received, about=said, channels=plan.channels)
        await _forget(service, identity, path)
    return job_answer(job)


@router.delete("/uploads/{id}", status_code=204, summary="Give an upload up")
async def give_up(identity: Identity, caller: Writer, service: Here) -> Response:
    """Delete what has arrived."""
    _, path = await _known(service, caller, identity)
    with _held(path):
        await _forget(service, identity, path)
    return Response(status_code=204)


async def _append(request: Request, file: BinaryIO, most: int, patience: float) -> None:
    stream = request.stream()
    while True:
        try:
            block = await asyncio.wait_for(anext(stream), patience)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise Refused(408, f"no byte came for {patience:g} seconds: go on later") from None
        except ClientDisconnect:
            break  # nobody waits for an answer
        if file.tell() + len(block) > most:
            raise Refused(413, f"the file was announced with {most} bytes, and more come")
        try:
            file.write(block)
            file.flush()
        except OSError as error:
            raise Refused(
                507, f"the server cannot keep the file ({error.strerror}): go on later",
                code="no_space",
            ) from error  # fmt: skip


async def _known(service: Service, caller: Caller, identity: str) -> tuple[Row[Any], FilePath]:
    sought = select(_UPLOADS).where(_UPLOADS.c.id == identity, _UPLOADS.c.project == caller.project)
    async with service.store.reading() as connection:
        row = (await connection.execute(sought)).one_or_none()
    if row is None:
        raise Refused(404, f"there is no upload {identity}, or it has been finished")
    shelf = await service.call(service.shelf, caller.project)
    return row, _file(shelf, identity)


async def _forget(service: Service, identity: str, path: FilePath) -> None:
    path.unlink(missing_ok=True)
    async with service.store.writing() as connection:
        await connection.execute(delete(_UPLOADS).where(_UPLOADS.c.id == identity))


async def _give_up_old(service: Service) -> None:
    old = _UPLOADS.c.created < time.time() - KEPT_SECONDS
    async with service.store.reading() as connection:
        rows = list(await connection.execute(select(_UPLOADS.c.id, _UPLOADS.c.project).where(old)))
    for row in rows:
        shelf = await service.call(service.shelf, row.project)
        await _forget(service, row.id, _file(shelf, row.id))


def _file(shelf: Shelf, identity: str) -> FilePath:
    return shelf.scratch / f"upload-{identity}"


def _size(path: FilePath) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _held(path: FilePath) -> Iterator[BinaryIO]:
    """The file of an upload, which nobody else writes meanwhile."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(409, "another request is sending a part of this upload") from None
        yield file
