"""Searching: by query, by many at once, by example; answered as JSON or CSV."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from earshot.errors import QueryError
from earshot.library import MIN_CONFIDENCE, TOP, Library
from earshot.present import CSV_HEADING, result_rows
from earshot.server import wire
from earshot.server.auth import Reader
from earshot.server.keys import Caller
from earshot.server.recordings import known_recording
from earshot.server.service import Here, Service
from earshot.types import SearchResult, Span

router = APIRouter(tags=["search"])

LONGEST = 10_000  # characters of a query
MOST = 1000  # mentions of a page
MOST_QUERIES = 1000  # of a batch


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


class Batch(How):
    """Several queries, which share the work of one pass over the index."""

    queries: list[Annotated[str, Field(max_length=LONGEST)]] = Field(
        min_length=1, max_length=MOST_QUERIES, examples=[["harbour", "cancel my contract"]]
    )
    format: Literal["json"] = "json"


class LikeThis(How):
    """A span of a recording, whose like is sought."""

    recording: str = Field(pattern="^[0-9a-f]{12}$", examples=["3f2a1b4c5d6e"])
    start: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="Seconds.")
    end: float = Field(ge=0, le=1e6, allow_inf_nan=False, description="Seconds.")


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


@router.post("/search/batch", response_model=wire.BatchOut, summary="Search for many queries")
async def batch(ask: Batch, caller: Reader, service: Here) -> Response:
    """Many queries at once; one that cannot be searched for has an `error` in its place."""
    service.usage.count(caller.project, caller.key, searches=len(ask.queries))
    shelf = await service.call(service.shelf, caller.project)
    return JSONResponse({"results": await service.call(_many, shelf.library, ask)})


@router.post(
    "/search/like", response_model=wire.SearchOut, responses=_ANSWERS, summary="Search by example"
)
async def like(ask: LikeThis, caller: Reader, service: Here) -> Response:
    """Find what sounds like a span of a recording."""
    shelf, known = await known_recording(service, caller, ask.recording)
    service.usage.count(caller.project, caller.key, searches=1)
    span = Span(ask.start, ask.end)
    found = await service.call(shelf.library.search_like, known, span, **_view(ask))
    return answer(found, ask.format)


async def _searched(ask: Ask, caller: Caller, service: Service) -> Response:
    shelf = await service.call(service.shelf, caller.project)
    service.usage.count(caller.project, caller.key, searches=1)
    found = await service.call(shelf.library.search, ask.q, **_view(ask))
    return answer(found, ask.format)


def _many(library: Library, ask: Batch) -> list[dict[str, Any]]:
    """An answer a query, in their order; blocks."""
    refused: dict[str, QueryError] = {}
    for query in ask.queries:
        try:
            library.require_query(query)
        except QueryError as error:
            refused[query] = error
    results = library.search_many((q for q in ask.queries if q not in refused), **_view(ask))
    return [
        wire.result(SearchResult(query, (), 0.0, 0.0), str(refused[query]))
        if query in refused
        else wire.result(next(results))
        for query in ask.queries
    ]


def _view(ask: How) -> dict[str, Any]:
    """How a search is answered, as `Library.search` takes it."""
    return {
        "top": ask.top,
        "min_confidence": ask.min_confidence,
        "offset": ask.offset,
        "order": ask.order,
        "by_recording": ask.by_recording,
        "where": ask.where,
        "why": ask.why,
        "snippets": ask.snippets,
    }


def answer(found: SearchResult, form: str) -> Response:
    """A search as JSON or as CSV."""
    if form == "csv":
        # Where files lie is the server's own business.
        shown = tuple(replace(one, path="") for one in found.mentions)
        lines = "\r\n".join([CSV_HEADING, *result_rows(replace(found, mentions=shown)), ""])
        return Response(lines, media_type="text/csv; charset=utf-8")
    return JSONResponse(wire.result(found))
