"""The nouns of Earshot as values that pass between its stages.

Frozen dataclasses only; this module knows nothing of files, networks or how anything is searched.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time; `start` and `end` in seconds from the beginning of the recording."""

    start: float
    end: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Recording:
    """One audio or video file that a library has listened to.

    `id` is short and stable (the first 12 hexadecimal digits of `digest`, the SHA-256 of the
    file's bytes), `path` where the file lay when it was added, `duration` in seconds, `channels`
    the number of channels that are searched separately, `added` an ISO 8601 time in UTC.
    """

    id: str
    path: str
    title: str
    duration: float
    channels: int
    digest: str
    bytes: int
    added: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of a recording where a query was said.

    `channel` counts from 0, `start` and `end` are seconds, `confidence` is the probability (0 to 1)
    that the query was really said there.
    """

    recording: str
    path: str
    title: str
    channel: int
    start: float
    end: float
    confidence: float

    @property
    def span(self) -> Span:
        """Where in the recording."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search answers: mentions, best first, and how much was searched in what time."""

    query: str
    mentions: tuple[Mention, ...]
    searched_hours: float
    seconds: float
