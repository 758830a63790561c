"""Recordings: upload, list, get, change, remove, play. It parses requests and calls the library."""

from __future__ import annotations

import base64
import json
import mimetypes
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import ValidationError

from earshot.about import About
from earshot.about import about as checked
from earshot.clipping import unchanged
from earshot.errors import UsageError
from earshot.server import intake, queue, wire
from earshot.server.auth import Admin, Reader, Writer
from earshot.server.errors import Refused
from earshot.server.keys import Caller
from earshot.server.receiving import Received
from earshot.server.service import Here, Service, Shelf
from earshot.types import Recording

router = APIRouter(tags=["recordings"])

Identity = Annotated[
    str, Path(alias="id", pattern="^[0-9a-f]{12}$", description="Id of a recording.")
]
Where = Annotated[
    str, Query(max_length=2000, description="Filters: tag:news after:2020", examples=["tag:news"])
]
_ORDERS: dict[str, Callable[[Recording], tuple[Any, ...]]] = {
    "added": lambda one: (one.added, one.id),
    "title": lambda one: (one.title.casefold(), one.id),
    "duration": lambda one: (one.duration, one.id),
    "recorded": lambda one: (one.recorded or "", one.id),
}
Sort = Literal[
    "added", "-added", "title", "-title", "duration", "-duration", "recorded", "-recorded"
]

_FILE = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        "application/json": {"schema": wire.FromUrl.model_json_schema()},
        "application/octet-stream": {"schema": _FILE},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {
                    "file": _FILE,
                    "title": {"type": "string"},
                    "date": {"type": "string"},
                    "tag": {"type": "array", "items": {"type": "string"}},
                    "meta": {"type": "array", "items": {"type": "string"}},
                    "channels": {"type": "string", "enum": list(intake.CHANNELS)},
                },
            }
        },
    },
}


@router.post(
    "/recordings",
    status_code=202,
    response_model=wire.JobOut,
    openapi_extra={"requestBody": _BODY},
    summary="Upload a recording",
)
async def upload(
    request: Request,
    caller: Writer,
    service: Here,
    name: Annotated[str, Query(max_length=300, description="The file's name.")] = "",
    title: Annotated[str | None, Query(max_length=1000)] = None,
    date: Annotated[str | None, Query(max_length=10)] = None,
    tag: Annotated[list[str], Query(max_length=100)] = [],  # noqa: B006 (FastAPI copies it)
    meta: Annotated[list[str], Query(max_length=100, description="name=value")] = [],  # noqa: B006
    channels: wire.Channels = "auto",
) -> Response:
    """Send a file: as the body itself, or in a form, or as the URL it has. A job listens to it.

    A file that the library has, by content, costs nothing: its job is done at once. In a form the
    fields `title`, `date`, `tag`, `meta` (name=value) and `channels` may stand beside the file.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
        return job_answer(await _from_url(request, service, caller))
    said = checked(title=title, date=date, tags=tag, meta=intake.pairs(meta))
    file = await intake.received(request, service, caller)
    try:
        said, channels_said = _with_fields(said, file)
    except Exception:
        file.path.unlink(missing_ok=True)
        raise
    job = await intake.take(
        service, caller, file, name=name, about=said, channels=channels_said or channels
    )
    return job_answer(job)


def job_answer(job: queue.Job) -> Response:
    """202 and the job; 200 if it is done already."""
    status = 200 if job.state == "done" else 202
    return JSONResponse(wire.job(job), status, headers={"Location": f"/api/v1/jobs/{job.id}"})


async def _from_url(request: Request, service: Service, caller: Caller) -> queue.Job:
    """The job of a file that is to be fetched."""
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > service.settings.max_json_bytes:
            raise Refused(413, "the body is too long for a description of a file")
    try:
        asked = wire.FromUrl.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(
            [{**one, "loc": ("body", *one["loc"])} for one in error.errors()]
        ) from None
    said = checked(title=asked.title, date=asked.date, tags=asked.tags, meta=asked.meta)
    return await intake.take_url(
        service, caller, asked.url, name=asked.name, about=said, channels=asked.channels
    )


def _with_fields(said: About, file: Received) -> tuple[About, str]:
    """What the fields of a form say, beside what the address says."""
    fields = file.fields
    unknown = fields.keys() - {"title", "date", "tag", "meta", "channels"}
    if unknown:
        raise UsageError(
            f"the form has a field '{min(unknown)}': beside the file there may be title, date, "
            "tag, meta and channels"
        )

    def last(name: str) -> str | None:
        return fields[name][-1] if name in fields else None

    form = checked(
        title=last("title") or None,
        date=last("date") or None,
        tags=fields.get("tag", ()),
        meta=intake.pairs(fields.get("meta", ())),
    )
    both = About(
        form.title if said.title is None else said.title,
        form.recorded if said.recorded is None else said.recorded,
        said.tags + form.tags,
        meta=form.meta + said.meta,
    )
    return both, last("channels") or ""


@router.get("/recordings", response_model=wire.RecordingsOut, summary="List recordings")
async def list_(
    caller: Reader,
    service: Here,
    where: Where = "",
    sort: Sort = "added",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
) -> Response:
    """Recordings that filters fit, page by page."""
    shelf = await service.call(service.shelf, caller.project)
    found = await service.call(shelf.library.list, where)
    place = _ORDERS[sort.removeprefix("-")]
    backwards = sort.startswith("-")
    found = tuple(sorted(found, key=place, reverse=backwards))
    rest = found
    if cursor is not None:
        after = read_cursor(cursor, sort)
        try:
            rest = tuple(
                one for one in found if (place(one) < after if backwards else place(one) > after)
            )
        except TypeError:
            raise wrong_cursor() from None
    page = rest[:limit]
    more = write_cursor(sort, place(page[-1])) if len(rest) > limit else None
    return JSONResponse(
        {
            "recordings": [wire.recording(one) for one in page],
            "total": len(found),
            "cursor": more,
        }
    )


@router.get("/recordings/{id}", response_model=wire.RecordingOut, summary="Get a recording")
async def get(identity: Identity, caller: Reader, service: Here) -> Response:
    """What is known of one recording."""
    _, known = await known_recording(service, caller, identity)
    return JSONResponse(wire.recording(known))


@router.patch("/recordings/{id}", response_model=wire.RecordingOut, summary="Change a recording")
async def patch(identity: Identity, edit: wire.Edit, caller: Writer, service: Here) -> Response:
    """Change title, date, tags and metadata; what is not named stays."""
    shelf, known = await known_recording(service, caller, identity)
    away = edit.remove_tags
    if edit.tags is not None:
        kept = {tag.casefold() for tag in edit.tags}
        away = [*away, *(tag for tag in known.tags if tag.casefold() not in kept)]
    change = checked(
        title=edit.title,
        date=edit.recorded,
        tags=[*(edit.tags or ()), *edit.add_tags],
        without_tags=away,
        meta=edit.meta,
    )
    changed = await service.change(shelf.library.edit, identity, change)
    return JSONResponse(wire.recording(changed))


@router.delete("/recordings/{id}", status_code=204, summary="Remove a recording")
async def delete(identity: Identity, caller: Admin, service: Here) -> Response:
    """Remove a recording, and its file if it was uploaded; files added otherwise stay."""
    shelf, known = await known_recording(service, caller, identity)
    await service.change(shelf.library.remove, identity)
    if known.path not in await queue.files_in_use(service.store, caller.project):
        await service.call(shelf.discard, known.path)
    (shelf.folder / "peaks" / f"{identity}.npy").unlink(missing_ok=True)
    return Response(status_code=204)


@router.get(
    "/recordings/{id}/media",
    summary="Get a recording's file",
    response_class=FileResponse,
    responses={206: {"description": "The part that the header Range asks for."}},
)
async def media(identity: Identity, caller: Reader, service: Here) -> Response:
    """The file as it was uploaded; `Range` gets a part of it."""
    _, known = await known_recording(service, caller, identity)
    path = await service.call(unchanged, known)
    return FileResponse(
        path,
        media_type=media_type(path.name),
        filename=f"{known.title}{path.suffix}",
        content_disposition_type="inline",
        headers={"ETag": f'"{known.digest}"', "Cache-Control": "private, max-age=86400"},
    )


async def known_recording(
    service: Service, caller: Caller, identity: str
) -> tuple[Shelf, Recording]:
    """A recording of the caller's project and the shelf it is on; raises Refused (404)."""
    shelf = await service.call(service.shelf, caller.project)
    found = await service.call(shelf.library.list, f"id:{identity}")
    if not found:
        raise Refused(404, f"there is no recording {identity}")
    return shelf, found[0]


def media_type(name: str) -> str:
    """A type that a browser plays, and never one that it runs."""
    guessed = mimetypes.guess_type(name)[0] or ""
    return (
        guessed if guessed.partition("/")[0] in ("audio", "video") else "application/octet-stream"
    )


def write_cursor(*place: Any) -> str:
    """Where a page ended, as a text for an address."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def read_cursor(text: str, sort: str) -> tuple[Any, ...]:
    """The place that `write_cursor` wrote for the same order; raises Refused."""
    try:
        said, place = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if said != sort or not isinstance(place, list):
            raise ValueError
    except (ValueError, TypeError, RecursionError):
        raise wrong_cursor() from None
    return tuple(place)


def wrong_cursor() -> Refused:
    """The answer to a cursor that is none."""
    return Refused(400, "this cursor does not come from a page of this list and order")
