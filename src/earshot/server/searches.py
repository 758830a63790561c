"""Searching: one query at a time, by address or by JSON, answered as JSON or CSV."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from earshot.library import MIN_CONFIDENCE, TOP
from earshot.present import CSV_HEADING, result_rows
from earshot.server import wire
from earshot.server.auth import Reader
from earshot.server.service import Here
from earshot.types import SearchResult

router = APIRouter(tags=["search"])

LONGEST = 10_000  # characters of a query
MOST = 1000  # mentions of a page


class How(BaseModel):
    """How a search is answered."""

    model_config = ConfigDict(extra="forbid")

    where: str = Field("", max_length=2000, description="Filters: tag:news after:2020")
    top: int = Field(TOP, ge=1, le=MOST, description="Mentions (or recordings) of a page.")
    offset: int = Field(0, ge=0, le=1_000_000, description="Leave out so many before them.")
    min_confidence: float = Field(MIN_CONFIDENCE, ge=0, le=1)
    order: Literal["confidence", "time"] = "confidence"
    by_recording: bool = Field(False, description="Count recordings, each with its mentions.")
    why: bool = Field(False, description="Lay open why each mention is one.")
    snippets: bool = Field(False, description="Spell what was said around each mention, roughly.")
    format: Literal["json", "csv"] = "json"


class Ask(How):
    """A query in the query language, and how it is answered."""

    q: str = Field(
        max_length=LONGEST, description="The query.", examples=["cancel my contract", "a NEAR/10 b"]
    )


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}}
}


@router.get("/search", response_model=wire.SearchOut, responses=_ANSWERS, summary="Search")
async def get(ask: Annotated[Ask, Query()], caller: Reader, service: Here) -> Response:
    """Find where something was said: the most likely mentions, with recording and time."""
    return await _searched(ask, caller, service)


@router.post("/search", response_model=wire.SearchOut, responses=_ANSWERS, summary="Search (JSON)")
async def post(ask: Ask, caller: Reader, service: Here) -> Response:
    """The same with the query in a body."""
    return await _searched(ask, caller, service)


async def _searched(ask: Ask, caller: Reader, service: Here) -> Response:
    shelf = await service.call(service.shelf, caller.project)
    found = await service.call(
        shelf.library.search,
        ask.q,
        ask.top,
        ask.min_confidence,
        offset=ask.offset,
        order=ask.order,
        by_recording=ask.by_recording,
        where=ask.where,
        why=ask.why,
        snippets=ask.snippets,
    )
    return answer(found, ask.format)


def answer(found: SearchResult, form: str) -> Response:
    """A search as JSON or as CSV."""
    if form == "csv":
        # Where files lie is the server's own business.
        shown = tuple(replace(one, path="") for one in found.mentions)
        lines = "\r\n".join([CSV_HEADING, *result_rows(replace(found, mentions=shown)), ""])
        return Response(lines, media_type="text/csv; charset=utf-8")
    return JSONResponse(wire.result(found))
