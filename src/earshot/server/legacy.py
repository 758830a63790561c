"""`POST /` with an `action`: Deepgram's interface of 2016 and 2017, so that its clients work on.

Every request is JSON with `action` and `userID`, which is the API key; every answer is JSON with
status 200, also an error: `{"error": "..."}`. What is indexed is a job first, whose id is the
content's id for good. It knows nothing of how jobs are done.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from earshot.about import about
from earshot.errors import EarshotError, UsageError
from earshot.fetching import address
from earshot.library import Library
from earshot.server import intake, queue
from earshot.server.auth import identified
from earshot.server.deepgram import phrase, plain_snippet
from earshot.server.errors import Refused, problem_of, request_id
from earshot.server.keys import Caller, Scope, may
from earshot.server.service import Here, Service
from earshot.transcript import paragraphs, transcribed
from earshot.types import Mention, Recording

router = APIRouter(tags=["deepgram"])

MOST_HITS, LEAST_PROBABILITY = 10, 0.55
"""What a request that names no Nmax and no Pmin gets, as its clients expect."""

HIGHEST_NMAX = 1000
MOST_URLS = 1000
BALANCE = 1_000_000.0
"""Nothing is charged here; clients that look for money before they begin find some."""

_STATES = {"queued": "queued", "running": "processing", "done": "done"}


@dataclass(frozen=True, slots=True)
class Ask:
    """A request, who sent it, and what it may work with."""

    fields: dict[str, Any]
    caller: Caller
    service: Service
    library: Library

    def text(self, name: str) -> str:
        """A field that must be a text."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise UsageError(f"'{name}' must be given, as a text")
        return value

    def texts(self, name: str) -> list[str]:
        """A field that is a list of texts, or one of them, or missing."""
        value = self.fields.get(name) or []
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise UsageError(f"'{name}' must be a list of texts")
        return values

    def most(self, name: str = "filter") -> int:
        """How many are wanted."""
        value = self._filter(name).get("Nmax", MOST_HITS)
        if not isinstance(value, int | float) or not 1 <= value <= HIGHEST_NMAX:
            raise UsageError(f"'Nmax' must be a number from 1 to {HIGHEST_NMAX}")
        return int(value)

    def least(self, name: str = "filter") -> float:
        """How likely they must be."""
        value = self._filter(name).get("Pmin", LEAST_PROBABILITY)
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageError("'Pmin' must be a number from 0 to 1")
        return float(value)

    def _filter(self, name: str) -> dict[str, Any]:
        value = self.fields.get(name) or {}
        if not isinstance(value, dict):
            raise UsageError(f"'{name}' must be an object")
        return value

    @property
    def by_time(self) -> bool:
        """Whether hits are wanted in order of time, or else the likeliest first."""
        return bool(self.fields.get("sort", "time") == "time")


@router.post("/", summary="Actions (as Deepgram in 2016)", include_in_schema=False)
async def act(request: Request, service: Here) -> Response:
    """Do what `action` says."""
    try:
        fields = await _fields(request)
        name = fields.get("action")
        found = ACTIONS.get(name) if isinstance(name, str) else None
        if found is None:
            raise UsageError(f"there is no such action: there are {', '.join(sorted(ACTIONS))}")
        scope, action = found
        caller = await identified(_with_key(request, fields.get("userID")), service)
        request.state.caller = caller
        if not may(caller, scope):
            raise Refused(403, f"this key has the scope '{caller.scope}', '{scope}' is needed")
        shelf = await service.call(service.shelf, caller.project)
        answer = await action(Ask(fields, caller, service, shelf.library))
    except (Refused, EarshotError) as error:
        answer = {"error": problem_of(error, request_id(request)).message}
    return JSONResponse(answer)


async def _fields(request: Request) -> dict[str, Any]:
    try:
        fields = json.loads(await request.body())
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise UsageError('the body must be JSON: {"action": "...", "userID": "..."}')
    return fields


def _with_key(request: Request, key: object) -> Request:
    """The request as if the key that stands in its body stood in its header."""
    if not isinstance(key, str) or "authorization" in request.headers:
        return request
    scope = dict(request.scope)
    value = f"Token {key}".encode("latin-1", "replace")
    scope["headers"] = [*scope["headers"], (b"authorization", value)]
    return Request(scope)


async def get_balance(ask: Ask) -> dict[str, Any]:
    """What is left of nothing that is charged."""
    return {"balance": BALANCE, "userID": ask.fields.get("userID", "")}


async def index_content(ask: Ask) -> dict[str, Any]:
    """Fetch and listen to one URL."""
    return {"contentID": await _indexed(ask, ask.text("data_url"))}


async def index_content_list(ask: Ask) -> dict[str, Any]:
    """Fetch and listen to several."""
    urls = ask.texts("data_url")
    if len(urls) > MOST_URLS:
        raise UsageError(f"at most {MOST_URLS} addresses can be given at once")
    for url in urls:
        address(url)  # all of them are good, or none is taken
    return {"contentID": [await _indexed(ask, url) for url in urls]}


async def _indexed(ask: Ask, url: str) -> str:
    said = about(tags=ask.texts("tags"))
    return (await intake.take_url(ask.service, ask.caller, url, about=said)).id


async def get_object_status(ask: Ask) -> dict[str, Any]:
    """How far a content is; "done" at the end."""
    job = await queue.get(ask.service.store, ask.text("contentID"), ask.caller.project)
    if job is None:
        await _recording(ask)
        return {"status": "done"}
    if job.state in _STATES:
        return {"status": _STATES[job.state]}
    return {"status": "failed", "error": f"the content could not be indexed: {job.note}"}


async def object_search(ask: Ask) -> dict[str, Any]:
    """Where a query was said in one content."""
    recording = await _recording(ask)
    snippets = bool(ask.fields.get("snippet", True))
    found = await _mentions(ask, f"id:{recording.id}", ask.least(), snippets)
    return _columns(ask, found, ask.most(), snippets)


async def group_search(ask: Ask) -> dict[str, Any]:
    """Which contents with a tag hold a query: how likely at best, and how often."""
    found = await _by_recording(ask, ask.least(), snippets=False)
    if ask.by_time:
        order = {one.id: at for at, one in enumerate(await ask.service.call(ask.library.list))}
        found.sort(key=lambda each: order.get(each[0], 0))
    found = found[: ask.most()]
    names = await _names(ask, [recording for recording, _ in found])
    return {
        "contentID": [names[recording] for recording, _ in found],
        "P": [round(mentions[0].confidence, 4) for _, mentions in found],
        "N": [len(mentions) for _, mentions in found],
    }


async def parallel_search(ask: Ask) -> dict[str, Any]:
    """Which contents hold a query, and where."""
    snippets = bool(ask.fields.get("snippet", True))
    found = await _by_recording(ask, ask.least("object_filter"), snippets)
    found = found[: ask.most("group_filter")]
    names = await _names(ask, [recording for recording, _ in found])
    most = ask.most("object_filter")
    return {
        "object_result": [
            {"contentID": names[recording], **_columns(ask, mentions, most, snippets)}
            for recording, mentions in found
        ]
    }


async def tag_object(ask: Ask) -> dict[str, Any]:
    """Give a content a tag."""
    recording = await _recording(ask)
    change = about(tags=[ask.text("tag")])
    await ask.service.call(ask.library.edit, recording.id, change)
    return {"result": "success"}


async def get_object_tags(ask: Ask) -> dict[str, Any]:
    """The tags of a content."""
    recording = await _recording(ask)
    return {"contentID": ask.text("contentID"), "tags": list(recording.tags)}


async def get_object_transcript(ask: Ask) -> dict[str, Any]:
    """What was said in a content, as well as the ear can spell it."""
    recording = await _recording(ask)
    words = await ask.service.call(transcribed, ask.library, recording)
    found = paragraphs(words)
    return {
        "contentID": ask.text("contentID"),
        "paragraphs": [text for _, text in found],
        "paragraphStartTimes": [round(start, 3) for start, _ in found],
    }


async def _recording(ask: Ask) -> Recording:
    """The recording that `contentID` names: by the job that made it, or by its own id."""
    name = ask.text("contentID")
    job = await queue.get(ask.service.store, name, ask.caller.project)
    if job is not None:
        if job.recording is None:
            raise UsageError(f"the content {name} is not there (yet): its status tells more")
        name = job.recording
    recordings = await ask.service.call(ask.library.list)
    found = next((one for one in recordings if one.id == name), None)
    if found is None:
        raise UsageError(f"there is no content '{name[:40]}'")
    return found


async def _mentions(ask: Ask, where: str, least: float, snippets: bool) -> list[Mention]:
    query = phrase(ask.text("query"))
    found = await ask.service.call(
        ask.library.search, query, None, least, where=where, snippets=snippets
    )
    return list(found.mentions)


async def _by_recording(ask: Ask, least: float, snippets: bool) -> list[tuple[str, list[Mention]]]:
    """Mentions by recording, the likeliest first in both."""
    tag = ask.fields.get("tag", "*")
    if not isinstance(tag, str):
        raise UsageError("'tag' must be a text; '*' stands for all")
    where = "" if tag in ("", "*") else f"tag:{phrase(tag)}"
    groups: dict[str, list[Mention]] = {}
    for mention in await _mentions(ask, where, least, snippets):
        groups.setdefault(mention.recording, []).append(mention)
    return sorted(groups.items(), key=lambda each: -each[1][0].confidence)


async def _names(ask: Ask, recordings: Sequence[str]) -> dict[str, str]:
    """What clients call recordings: by the first job that brought them, else by their own ids."""
    made = await queue.first_jobs(ask.service.store, ask.caller.project, recordings)
    return {recording: made.get(recording, recording) for recording in recordings}


def _columns(
    ask: Ask, mentions: Sequence[Mention], most: int, snippets: bool
) -> dict[str, list[Any]]:
    """Hits of one content as parallel lists; `N` counts them from 0."""
    chosen = list(mentions[:most])
    if ask.by_time:
        chosen.sort(key=lambda mention: mention.start)
    found: dict[str, list[Any]] = {
        "P": [round(mention.confidence, 4) for mention in chosen],
        "startTime": [round(mention.start, 3) for mention in chosen],
        "endTime": [round(mention.end, 3) for mention in chosen],
        "N": list(range(len(chosen))),
    }
    if snippets:
        found["snippet"] = [plain_snippet(mention) for mention in chosen]
    return found


ACTIONS: dict[str, tuple[Scope, Callable[[Ask], Awaitable[dict[str, Any]]]]] = {
    "get_balance": ("read", get_balance),
    "index_content": ("write", index_content),
    "index_content_list": ("write", index_content_list),
    "get_object_status": ("read", get_object_status),
    "object_search": ("read", object_search),
    "group_search": ("read", group_search),
    "parallel_search": ("read", parallel_search),
    "tag_object": ("write", tag_object),
    "get_object_tags": ("read", get_object_tags),
    "get_object_transcript": ("read", get_object_transcript),
}
