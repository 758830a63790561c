"""Marks: what people say of mentions, right or wrong, and the precision that comes of them."""

from __future__ import annotations

import csv
import io
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Boolean, Column, Float, Integer, String, Table, delete, insert, select

from earshot.server import wire
from earshot.server.auth import Reader, Writer
from earshot.server.recordings import known_recording
from earshot.server.service import Here
from earshot.server.store import METADATA

router = APIRouter(tags=["marks"])

MOST = 10_000
NEAR_SECONDS = 0.5
"""Marks of one query within this of each other are of one mention (NIST's tolerance)."""

_MARKS = Table(
    "marks",
    METADATA,
    Column("project", String, primary_key=True),
    Column("query", String, primary_key=True),
    Column("recording", String(12), primary_key=True),
    Column("channel", Integer, primary_key=True),
    Column("start", Float, primary_key=True),
    Column("end", Float, nullable=False),
    Column("confidence", Float),
    Column("right", Boolean, nullable=False),
    Column("key", String(8)),
    Column("marked", Float, nullable=False),
)


class Mark(BaseModel):
    """A mention, and whether it is right; `right: null` takes the mark away."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=10_000)
    recording: str = Field(pattern="^[0-9a-f]{12}$", examples=["3f2a1b4c5d6e"])
    channel: int = Field(0, ge=0, le=63)
    start: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="Seconds.")
    end: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="Seconds.")
    confidence: float | None = Field(None, ge=0, le=1)
    right: bool | None


class MarkOut(BaseModel):
    """A mark as it is kept."""

    query: str
    recording: str
    channel: int
    start: float
    end: float
    confidence: float | None
    right: bool
    marked: str


class MarksOut(BaseModel):
    """Marks, newest first, and how many of all that fit are right."""

    marks: list[MarkOut]
    right: int
    wrong: int
    precision: float | None = Field(description="right / (right + wrong); null without marks.")


@router.put("/marks", status_code=204, summary="Mark a mention as right or wrong")
async def put(mark: Mark, caller: Writer, service: Here) -> Response:
    """Keep what a person says of a mention; the last word counts."""
    await known_recording(service, caller, mark.recording)
    columns = _MARKS.c
    same = (
        (columns.project == caller.project)
        & (columns.query == mark.query)
        & (columns.recording == mark.recording)
        & (columns.channel == mark.channel)
        & columns.start.between(mark.start - NEAR_SECONDS, mark.start + NEAR_SECONDS)
    )
    async with service.store.writing() as connection:
        await connection.execute(delete(_MARKS).where(same))
        if mark.right is not None:
            kept = mark.model_dump() | {"project": caller.project, "key": caller.key}
            await connection.execute(insert(_MARKS).values(**kept, marked=time.time()))
    return Response(status_code=204)


@router.get(
    "/marks",
    response_model=MarksOut,
    summary="List marks",
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def list_(
    caller: Reader,
    service: Here,
    query: Annotated[str | None, Query(max_length=10_000)] = None,
    recording: Annotated[str | None, Query(pattern="^[0-9a-f]{12}$")] = None,
    form: Annotated[Literal["json", "csv"], Query(alias="format")] = "json",
) -> Response:
    """The marks of a query, of a recording, or all; as CSV they are labels to learn from."""
    sought = select(_MARKS).where(_MARKS.c.project == caller.project)
    if query is not None:
        sought = sought.where(_MARKS.c.query == query)
    if recording is not None:
        sought = sought.where(_MARKS.c.recording == recording)
    async with service.store.reading() as connection:
        rows = list(await connection.execute(sought.order_by(_MARKS.c.marked.desc()).limit(MOST)))
    marks = [_mark(row) for row in rows]
    if form == "csv":
        return _as_csv(marks)
    right = sum(one["right"] for one in marks)
    precision = round(right / len(marks), 4) if marks else None
    told = {"marks": marks, "right": right, "wrong": len(marks) - right, "precision": precision}
    return JSONResponse(told)


def _mark(row: Any) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in MarkOut.model_fields if name != "marked"}
    return {**fields, "marked": wire.moment(row.marked)}


def _as_csv(marks: list[dict[str, Any]]) -> Response:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(MarkOut.model_fields))
    writer.writeheader()
    writer.writerows(marks)
    return Response(text.getvalue(), media_type="text/csv; charset=utf-8")
