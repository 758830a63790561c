"""What goes over the wire under /api/v1: the names and types of JSON, and how values become them.

Names are those of the command line's `--json`. The models describe; what is sent is made by
`earshot.present`, which is quick, and tests hold that it fits them. It knows nothing of requests.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from earshot import present
from earshot.server.queue import Job
from earshot.types import Recording, SearchResult

Channels: TypeAlias = Literal["auto", "mix", "split"]
"""How the channels of a file are heard: as one, separately, or as the file suggests."""


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ErrorFields(_Wire):
    """What went wrong, for a program (`code`) and for a person (`message`)."""

    code: str
    message: str
    request_id: str
    position: int | None = Field(None, description="Of a query: the character that is wrong.")


class ErrorAnswer(_Wire):
    """Every error has this shape."""

    error: ErrorFields


class RecordingOut(_Wire):
    """A recording that can be searched."""

    id: str
    title: str
    duration: float = Field(description="Seconds.")
    channels: int
    digest: str = Field(description="SHA-256 of the file.")
    bytes: int
    added: str = Field(description="ISO 8601, UTC.")
    recorded: str | None = Field(None, description="A day, month or year.")
    tags: list[str]
    meta: dict[str, str]
    growing: str | None = None


class RecordingsOut(_Wire):
    """A page of recordings; `cursor`, where there is more, gets the next page."""

    recordings: list[RecordingOut]
    total: int
    cursor: str | None = None


class Edit(_Wire):
    """What is to be changed of a recording; what is not named stays."""

    title: str | None = None
    recorded: str | None = Field(None, description="2020, 2020-05 or 2020-05-17; '' takes away.")
    tags: list[str] | None = Field(None, description="All tags it shall have.")
    add_tags: list[str] = []
    remove_tags: list[str] = []
    meta: dict[str, str] = Field({}, description="Values by name; '' takes away.")


class FromUrl(_Wire):
    """A file that is to be fetched from somewhere else."""

    url: str = Field(max_length=4000, examples=["https://example.org/talk.mp3"])
    name: str = Field("", max_length=300, description="The file's name; else what its source says.")
    title: str | None = Field(None, max_length=1000)
    date: str | None = Field(None, max_length=10)
    tags: list[str] = Field([], max_length=100)
    meta: dict[str, str] = Field({}, max_length=100)
    channels: Channels = "auto"


class JobOut(_Wire):
    """A recording on its way into the library."""

    id: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    name: str
    created: str
    started: str | None = None
    ended: str | None = None
    heard: float = Field(description="Seconds of audio listened to.")
    duration: float | None = Field(None, description="Seconds of audio, where that is known.")
    recording: str | None = Field(None, description="Id of the recording, when it is done.")
    already: bool = Field(description="The library had it before.")
    error: dict[str, str] | None = None
    note: str = ""


class JobsOut(_Wire):
    """A page of jobs, newest first."""

    jobs: list[JobOut]
    cursor: str | None = None


class HeardOut(BaseModel):
    """A phrase of the query where it was heard; `why` is there if it was asked for."""

    phrase: str
    units: list[str]
    channel: int
    start: float
    end: float
    confidence: float
    score: float


class MentionOut(_Wire):
    """A span of a recording where the query was said."""

    recording: str
    title: str
    channel: int = Field(description="Counted from 0.")
    start: float = Field(description="Seconds.")
    end: float = Field(description="Seconds.")
    confidence: float = Field(description="Probability that it was said there.")
    heard: list[HeardOut]
    snippet: str | None = None
    snippet_sought: list[list[int]] | None = None


class GroupOut(_Wire):
    """A recording that answers a query, with its mentions in order of time."""

    recording: str
    title: str
    confidence: float
    mentions: list[MentionOut]


class SearchOut(_Wire):
    """What a search answers: `mentions`, or `recordings` if asked for by recording."""

    query: str
    mentions: list[MentionOut] | None = None
    recordings: list[GroupOut] | None = None
    total: int
    searched_hours: float
    seconds: float
    note: str | None = None
    error: str | None = Field(None, description="In a batch: why this query was not searched for.")


class BatchOut(_Wire):
    """Answers to several queries, in their order."""

    results: list[SearchOut]


def recording(known: Recording) -> dict[str, Any]:
    """A recording as JSON; where its file lies is the server's own business."""
    return _without_path(present.recording_fields(known))


def job(known: Job) -> dict[str, Any]:
    """A job as JSON."""
    failed = known.state == "failed"
    return {
        "id": known.id,
        "state": known.state,
        "name": known.name,
        "created": moment(known.created),
        "started": moment(known.started),
        "ended": moment(known.ended),
        "heard": round(known.heard, 2),
        "duration": None if known.duration is None else round(known.duration, 2),
        "recording": known.recording,
        "already": known.already,
        "error": {"code": known.code or "failed", "message": known.note} if failed else None,
        "note": "" if failed else known.note,
    }


def result(found: SearchResult, error: str | None = None) -> dict[str, Any]:
    """A search as JSON."""
    fields = present.result_fields(found, error)
    for each in (*fields.get("mentions", ()), *fields.get("recordings", ())):
        _without_path(each)
        for inner in each.get("mentions", ()):
            _without_path(inner)
    return fields


def moment(seconds: float | None) -> str | None:
    """Seconds since 1970 as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _without_path(fields: dict[str, Any]) -> dict[str, Any]:
    fields.pop("path", None)
    return fields
