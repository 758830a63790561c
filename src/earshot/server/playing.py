"""To hear and see a recording: clips of it, its waveform, and what the network heard."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from earshot.clipping import require_inside, unchanged
from earshot.errors import UsageError
from earshot.index import log_posteriors, open_snapshot
from earshot.server.auth import Reader
from earshot.server.peaks import narrowed, peaks
from earshot.server.recordings import Identity, known_recording, media_type
from earshot.server.service import Here, Shelf
from earshot.types import Recording, Span

router = APIRouter(tags=["recordings"])

LONGEST_CLIP = 600.0
LONGEST_ACTIVATIONS = 60.0
"""Seconds that one answer holds at most."""

Start = Annotated[float, Query(ge=0, le=1e6, allow_inf_nan=False, description="Seconds.")]
End = Annotated[
    float | None,
    Query(ge=0, le=1e6, allow_inf_nan=False, description="Seconds; default: the end."),
]


class PeaksOut(BaseModel):
    """A waveform: lowest and highest sample (-1 to 1) of each of `width` stretches of time."""

    start: float
    end: float
    peaks: list[tuple[float, float]]


class ActivationsOut(BaseModel):
    """What the network heard: a row a frame, a probability a unit."""

    start: float
    frame_seconds: float
    units: list[str]
    blank: int
    probabilities: list[list[float]]


@router.get("/recordings/{id}/clip", summary="Get a clip", response_class=FileResponse)
async def clip(
    identity: Identity,
    caller: Reader,
    service: Here,
    start: Start,
    end: End = None,
    around: Annotated[
        float, Query(ge=0, le=60, allow_inf_nan=False, description="Seconds before and after.")
    ] = 0.0,
    form: Annotated[Literal["wav", "mp3", "ogg", "opus", "flac"], Query(alias="format")] = "wav",
) -> Response:
    """The audio of a mention, or of any span of at most ten minutes."""
    shelf, known = await known_recording(service, caller, identity)
    span = _span(known, start, end, LONGEST_CLIP)
    target = shelf.scratch / f"clip-{secrets.token_hex(16)}.{form}"
    await service.call(shelf.library.clip, known, target, span, before=around, after=around)
    return FileResponse(
        target,
        media_type=media_type(target.name),
        filename=f"{known.title}-{span.start:.1f}.{form}",
        content_disposition_type="inline",
        background=BackgroundTask(target.unlink, missing_ok=True),
    )


@router.get("/recordings/{id}/peaks", response_model=PeaksOut, summary="Get the waveform")
async def waveform(
    identity: Identity,
    caller: Reader,
    service: Here,
    start: Start = 0.0,
    end: End = None,
    width: Annotated[int, Query(ge=1, le=10_000, description="How many peaks.")] = 800,
) -> Response:
    """Lowest and highest sample by stretch of time, for drawing; kept after the first time."""
    shelf, known = await known_recording(service, caller, identity)
    span = _span(known, start, end, None)
    found = await service.call(_waveform, shelf, known, span, width)
    return JSONResponse(
        {"start": span.start, "end": span.end, "peaks": found},
        headers={"Cache-Control": "private, max-age=86400"},
    )


@router.get(
    "/recordings/{id}/activations",
    response_model=ActivationsOut,
    summary="Get what the network heard",
    responses={200: {"content": {"image/svg+xml": {"schema": {"type": "string"}}}}},
)
async def activations(
    identity: Identity,
    caller: Reader,
    service: Here,
    start: Start = 0.0,
    end: End = None,
    channel: Annotated[int, Query(ge=0, le=63, description="Counted from 0.")] = 0,
    q: Annotated[
        str | None, Query(max_length=1000, description="Of a picture: mark this query's mentions.")
    ] = None,
    form: Annotated[Literal["json", "svg"], Query(alias="format")] = "json",
) -> Response:
    """Probabilities of each unit by time, as JSON or as a picture; at most a minute of them."""
    shelf, known = await known_recording(service, caller, identity)
    end = min(known.duration, start + LONGEST_ACTIVATIONS) if end is None else end
    span = _span(known, start, end, LONGEST_ACTIVATIONS)
    if form == "json":
        found = await service.call(_activations, shelf, known, span, channel)
        return JSONResponse(found)
    target = shelf.scratch / f"picture-{secrets.token_hex(16)}.svg"
    await service.call(_draw, shelf, known, target, q, span, channel)
    return FileResponse(
        target,
        media_type="image/svg+xml",
        background=BackgroundTask(target.unlink, missing_ok=True),
    )


def _span(known: Recording, start: float, end: float | None, most: float | None) -> Span:
    """A span inside the recording; raises UsageError."""
    span = Span(start, known.duration if end is None else end)
    require_inside(span, known)
    span = Span(span.start, min(span.end, known.duration))
    if most is not None and span.duration > most:
        raise UsageError(f"a span has at most {most:g} seconds here, not {span.duration:.1f}")
    return span


def _waveform(shelf: Shelf, known: Recording, span: Span, width: int) -> list[list[float]]:
    folder = shelf.folder / "peaks"
    folder.mkdir(exist_ok=True)
    whole = peaks(unchanged(known), folder / f"{known.id}.npy", known.digest)
    found: list[list[float]] = np.round(narrowed(whole, span, width), 3).tolist()
    return found


def _activations(shelf: Shelf, known: Recording, span: Span, channel: int) -> dict[str, Any]:
    snapshot = open_snapshot(shelf.library.path)
    network = snapshot.manifest.network
    heard = {
        entry.channel: track
        for entry, track in zip(snapshot.tracks, snapshot.heard, strict=True)
        if entry.recording == known.id
    }
    if channel not in heard:
        raise UsageError(f"the recording has {len(heard)} channels, counted from 0")
    first = int(span.start / network.frame_seconds)
    last = max(first + 1, round(span.end / network.frame_seconds))
    said = np.exp(log_posteriors(heard[channel].costs()[first:last]))
    return {
        "start": round(first * network.frame_seconds, 3),
        "frame_seconds": network.frame_seconds,
        "units": list(network.units),
        "blank": network.blank,
        "probabilities": np.round(said, 3).tolist(),
    }


def _draw(
    shelf: Shelf, known: Recording, target: Path, query: str | None, span: Span, channel: int
) -> None:
    # Draws with modules that no other route needs.
    from earshot.picturing import draw

    draw(shelf.library, known, target, query=query, span=span, channel=channel)
