"""`POST /v1/listen`: Deepgram's interface of today, so that its clients find phrases unchanged.

The audio is the body, or JSON names its URL; it becomes a recording as any other. Each `search` is
searched for in it; the transcript is what the ear can spell. Parameters that are not acted on are
accepted and named in `metadata.warnings`. It knows nothing of how jobs are done.

Facts of the interface are taken from its public clients (deepgram-sdk 2 to 7).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from earshot.about import About, about
from earshot.errors import QueryError
from earshot.fetching import address
from earshot.library import MIN_CONFIDENCE, Library
from earshot.server import callbacks, intake
from earshot.server.auth import Writer
from earshot.server.errors import Problem, Refused
from earshot.server.keys import Caller
from earshot.server.queue import Job
from earshot.server.service import Here, Service
from earshot.transcript import SpelledWord, transcribed
from earshot.types import Mention, Recording

router = APIRouter(tags=["deepgram"])

MOST_QUERIES = 50
HITS = 25
"""Hits of a query that are told, the likeliest first."""

MOST_JSON = 1 << 16  # bytes of a body that names a URL
ACTED_ON = frozenset({"search", "tag", "multichannel", "callback", "callback_method"})
DONE_UNASKED = frozenset({"model", "version", "language", "punctuate", "encoding"})
"""Parameters that nearly every client sends: nothing is said of them."""

METHODS = ("POST", "PUT")


@dataclass(frozen=True, slots=True)
class Listen:
    """What a request asks for: queries, tags, whether channels are kept apart, a callback."""

    search: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    multichannel: bool = False
    callback: str = ""
    method: str = "POST"
    unknown: tuple[str, ...] = ()


@router.post("/v1/listen", include_in_schema=False)  # Deepgram describes it
async def listen(request: Request, caller: Writer, service: Here) -> Response:
    """Add a recording and search it: `search=...` up to 50 times; see the clients of Deepgram."""
    asked = read(request.query_params.multi_items())
    if asked.callback:
        address(asked.callback)  # refused now rather than when the result is there
    identity = str(uuid.uuid4())
    job = await _job(request, caller, service, asked)
    if asked.callback:
        await callbacks.put(service, identity, job, asked.callback, asked.method, _fields(asked))
        return JSONResponse({"request_id": identity})
    job = await intake.finished(service, job)
    return JSONResponse(await answer(service, job, asked, identity))


def read(parameters: Iterable[tuple[str, str]]) -> Listen:
    """The parameters of a request; raises Refused for too many queries or a wrong method."""
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name, []).append(value)
    search = tuple(given.get("search", ()))
    if len(search) > MOST_QUERIES:
        raise Refused(400, f"at most {MOST_QUERIES} phrases can be searched for at once")
    method = given.get("callback_method", ["POST"])[-1].upper()
    if method not in METHODS:
        raise Refused(400, f"callback_method is post or put, not '{method[:20].lower()}'")
    ignored = sorted(given.keys() - ACTED_ON - DONE_UNASKED)
    return Listen(
        search,
        tuple(tag for tag in given.get("tag", ()) if tag.strip()),
        given.get("multichannel", ["false"])[-1].lower() in ("true", "1"),
        given.get("callback", [""])[-1],
        method,
        tuple(name[:100] for name in ignored[:100]),
    )


async def answer(service: Service, job: Job, asked: Listen, identity: str) -> dict[str, Any]:
    """What is told of a job that has ended; raises Refused where it failed."""
    if job.state != "done" or job.recording is None:
        raise Refused(400, f"the audio could not be listened to: {job.note}", code=job.code)
    shelf = await service.call(service.shelf, job.project)
    return await service.call(_found, shelf.library, job.recording, asked, identity)


def problem(told: Problem) -> Response:
    """An error in the shape that Deepgram's clients read."""
    fields = {
        "err_code": told.code.upper(),
        "err_msg": told.message,
        "request_id": as_uuid(told.request_id),
    }
    # Their exceptions know 400 for all that is wrong with a request or its audio.
    status = 400 if told.status == 422 else told.status
    return JSONResponse(fields, status, headers=dict(told.headers))


def as_uuid(text: str) -> str:
    """A request's name in the form that clients insist on."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, text))


def phrase(text: str) -> str:
    """A query that means these words and nothing else."""
    return '"' + text.replace("\\", " ").replace('"', " ") + '"'


async def _job(request: Request, caller: Caller, service: Service, asked: Listen) -> Job:
    said = about(tags=asked.tags)
    channels = "split" if asked.multichannel else "auto"
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return await intake.take_url(
            service, caller, await _url(request), about=said, channels=channels
        )
    file = await intake.received(request, service, caller)
    job = await intake.take(service, caller, file, about=said, channels=channels)
    if job.already and job.recording is not None and asked.tags:
        shelf = await service.call(service.shelf, job.project)
        await service.call(shelf.library.edit, job.recording, About(tags=said.tags))
    return job


async def _url(request: Request) -> str:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_JSON:
            raise Refused(413, f"JSON here has at most {MOST_JSON} bytes: it names a URL")
    try:
        url = json.loads(body)["url"]
    except (ValueError, KeyError, TypeError, RecursionError):
        url = None
    if not isinstance(url, str) or not url:
        raise Refused(400, 'the JSON must name the audio: {"url": "https://..."}')
    return url


def _fields(asked: Listen) -> dict[str, Any]:
    """What a callback needs to know of a request."""
    return {
        "search": asked.search,
        "tags": asked.tags,
        "multichannel": asked.multichannel,
        "unknown": asked.unknown,
    }


def _found(library: Library, name: str, asked: Listen, identity: str) -> dict[str, Any]:
    recording = library.show(name)
    warnings = [_warning(one, "it is accepted and not acted on") for one in asked.unknown]
    mentions: dict[str, Sequence[Mention]] = {}
    good = []
    for text in dict.fromkeys(asked.search):
        try:
            library.require_query(phrase(text))
            good.append(text)
        except QueryError as error:
            warnings.append(_warning("search", f"'{text}': {error}"))
    results = library.search_many(
        map(phrase, good), HITS, MIN_CONFIDENCE, where=f"id:{recording.id}", snippets=True
    )
    for text, result in zip(good, results, strict=True):
        mentions[text] = result.mentions
    words = transcribed(library, recording)
    apart = range(recording.channels) if asked.multichannel else (None,)
    return {
        "metadata": _metadata(library, recording, asked, identity, len(apart), warnings),
        "results": {
            "channels": [_channel(one, asked.search, mentions, words) for one in apart],
        },
    }


def _channel(
    number: int | None,
    search: Sequence[str],
    mentions: dict[str, Sequence[Mention]],
    words: Sequence[SpelledWord],
) -> dict[str, Any]:
    """One channel, or all as one (None)."""
    own = [word for word in words if number in (None, word.channel)]
    found = {
        "alternatives": [
            {
                "transcript": " ".join(word.text for word in own),
                "confidence": round(sum(w.clarity for w in own) / max(len(own), 1), 4),
                "words": [
                    {
                        "word": word.text,
                        "start": round(word.start, 3),
                        "end": round(word.end, 3),
                        "confidence": round(word.clarity, 4),
                    }
                    for word in own
                ],
            }
        ]
    }
    if not search:
        return found
    searched = [
        {
            "query": text,
            "hits": [hit(m) for m in mentions.get(text, ()) if number in (None, m.channel)],
        }
        for text in search
    ]
    return {"search": searched, **found}


def hit(mention: Mention) -> dict[str, Any]:
    """A mention as a hit."""
    return {
        "confidence": round(mention.confidence, 4),
        "start": round(mention.start, 3),
        "end": round(mention.end, 3),
        "snippet": plain_snippet(mention),
    }


def plain_snippet(mention: Mention) -> str:
    """What was said around a mention, without the signs that say how it was made."""
    text = mention.snippet.text if mention.snippet is not None else ""
    return " ".join(text.lstrip("~").replace("…", " ").split())


def _metadata(
    library: Library,
    recording: Recording,
    asked: Listen,
    identity: str,
    channels: int,
    warnings: Sequence[dict[str, str]],
) -> dict[str, Any]:
    fingerprint = library.listener().fingerprint
    model = as_uuid(fingerprint)
    return {
        "transaction_key": "deprecated",
        "request_id": identity,
        "sha256": recording.digest,
        "created": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "duration": round(recording.duration, 4),
        "channels": channels,
        "models": [model],
        "model_info": {
            model: {"name": "earshot", "version": fingerprint[:12], "arch": "phonetic index"}
        },
        "tags": list(asked.tags),
        "warnings": list(warnings),
    }


def _warning(parameter: str, message: str) -> dict[str, str]:
    return {"parameter": parameter, "type": "not_acted_on", "message": message}


async def called_back(
    service: Service, job: Job, fields: dict[str, Any], identity: str
) -> dict[str, Any]:
    """What a callback is told: the result, or the error in its usual shape."""
    asked = Listen(
        tuple(fields["search"]),
        tuple(fields["tags"]),
        fields["multichannel"],
        unknown=tuple(fields["unknown"]),
    )
    try:
        return await answer(service, job, asked, identity)
    except Refused as error:
        return {"err_code": error.code.upper(), "err_msg": str(error), "request_id": identity}
