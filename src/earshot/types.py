"""The nouns of Earshot as values that pass between its stages.

Frozen dataclasses only; this module knows nothing of files, networks or how anything is searched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


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
    `growing` is the time of the last commit of a recording that has not ended yet (see
    `earshot.streaming`); one that was heard through a pipe has no `path`.
    `recorded` is a date (of ISO 8601, as exact as it is known), `tags` and `meta` (names and
    values) are what its owner says of it.
    """

    id: str
    path: str
    title: str
    duration: float
    channels: int
    digest: str
    bytes: int
    added: str
    recorded: str | None = None
    tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()
    growing: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an alignment: a unit that was sought, or what was heard between two of them.

    kind    heard: the unit was the ear's best guess there; faint: nothing was; replaced: another
            unit was; missing: the unit was left out; gap: nothing between two units, for as long
            as it takes; added: units between them that nobody sought
    sought  the unit, or empty
    heard   the ear's best guess, units separated by blanks, or empty
    start, end  seconds; the same where a unit is missing
    cost    nats; those of all steps are what the alignment costs
    sure    probability of what was sought, at its best there (of a gap: that there was no unit)
    word    index of the word of the phrase that the step belongs to
    """

    kind: Literal["heard", "faint", "replaced", "missing", "gap", "added"]
    sought: str
    heard: str
    start: float
    end: float
    cost: float
    sure: float
    word: int


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that a confidence is made of: its `value`, and how much it adds to the log-odds."""

    name: str
    meaning: str
    value: float
    adds: float


@dataclass(frozen=True, slots=True)
class Why:
    """Why a phrase is thought to be heard: its alignment, and what its confidence is made of.

    `log_odds` are the sum of `bias` and of what all `reasons` add; a curve measured on speech makes
    the confidence of them.
    """

    steps: tuple[Step, ...]
    reasons: tuple[Reason, ...]
    bias: float
    log_odds: float

    @property
    def cost(self) -> float:
        """What the alignment costs, in nats."""
        return sum(step.cost for step in self.steps)


@dataclass(frozen=True, slots=True)
class Heard:
    """A phrase where it was heard.

    `phrase` is the wording of the query that was heard, `units` the pronunciation that fits best.
    `channel` counts from 0, `start` and `end` are seconds. `confidence` is the probability that
    this phrase was said there, `score` the alignment's log-likelihood ratio per unit against the
    ear's own best guess, in nats: 0 is perfect. `words` are the indexes in `units` where words
    start, `frames` the first and the last that the alignment takes, `features` what its confidence
    was made of (`earshot.search.confidence.FEATURES`). `why` tells all that, where it is asked for.
    """

    phrase: str
    units: tuple[str, ...]
    channel: int
    start: float
    end: float
    confidence: float
    score: float = 0.0
    words: tuple[int, ...] = (0,)
    frames: tuple[int, int] = (0, 0)
    features: tuple[float, ...] = ()
    why: Why | None = None


@dataclass(frozen=True, slots=True)
class Snippet:
    """What was said around a mention, as well as the ear can spell it: a guess, marked by a `~`.

    `sought` are the places in `text` (first character, and the one behind the last) of the words
    that were sought, as they were typed.
    """

    text: str
    sought: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Mention:
    """A span of a recording where a query was said.

    `channel` counts from 0, `start` and `end` are seconds, `confidence` is the probability (0 to 1)
    that the query was really said there. `heard` are the phrases of the query that it consists of,
    in the order in which they were said: one, or several that are near each other. `snippet` is
    what was said around it, where that is asked for.
    """

    recording: str
    path: str
    title: str
    channel: int
    start: float
    end: float
    confidence: float
    heard: tuple[Heard, ...] = ()
    snippet: Snippet | None = None

    @property
    def span(self) -> Span:
        """Where in the recording."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Group:
    """A recording that answers a query: how likely it does, and its mentions in order of time."""

    recording: str
    path: str
    title: str
    confidence: float
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search answers, and how much was searched in what time.

    `mentions` are those of the page that was asked for, in the order that was asked for; `groups`
    are the same by recording, if that was asked for. `total` counts what all pages hold: mentions,
    or groups. `note` is a sentence about the query that its reader should know, or empty.
    """

    query: str
    mentions: tuple[Mention, ...]
    searched_hours: float
    seconds: float
    total: int = 0
    groups: tuple[Group, ...] = ()
    note: str = ""
