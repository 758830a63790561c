"""Which part of an answer is shown, and in what order.

Answers to queries of several parts are made one by one (`Answers`); of a query that is one text
there may be thousands, and only those that are shown become objects (`Columns`). Both tell first
which recordings they need to know, then, once these are known, make the page. Nothing here knows
how anything is searched for or where recordings are kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from earshot.errors import UsageError
from earshot.query import Answer, ordered
from earshot.types import Group, Heard, Mention, Recording, SearchResult

if TYPE_CHECKING:
    from earshot.search import Found, Hit, Hits, Pronunciation

Order: TypeAlias = Literal["confidence", "time"]
Rows: TypeAlias = Mapping[str, Recording]

LEAST_CONFIDENCE = 0.03
"""Phrases less likely than this are not counted as said, neither for a query nor against it."""


@dataclass(frozen=True, slots=True)
class View:
    """Which part of an answer is wanted, and in what order.

    `top` and `offset` count mentions, or recordings if `by_recording`; `order` by `time` is that
    of the recordings' dates, and within a recording that of its time.
    """

    top: int | None = 10
    min_confidence: float = LEAST_CONFIDENCE
    offset: int = 0
    order: Order = "confidence"
    by_recording: bool = False

    def __post_init__(self) -> None:
        if self.top is not None and self.top < 1:
            raise UsageError(f"a search can show 1 mention or more, not {self.top}")
        if self.offset < 0:
            raise UsageError(f"a page begins at 0 or later, not at {self.offset}")
        if not 0 <= self.min_confidence <= 1:
            raise UsageError(f"a confidence lies between 0 and 1, {self.min_confidence} does not")
        if self.order not in ("confidence", "time"):
            raise UsageError(f"mentions are in order of confidence or time, not of {self.order}")

    @property
    def inside(self) -> slice:
        """The part that is wanted."""
        return slice(self.offset, None if self.top is None else self.offset + self.top)


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What answers a query, in no order, and by recording how likely it does."""

    found: Sequence[Answer]
    sure: Mapping[str, float]

    def needs(self, view: View) -> set[str]:
        """The recordings that must be known to make a page."""
        return set(self.sure)

    def page(self, empty: SearchResult, view: View, rows: Rows) -> SearchResult:
        """The part of the answer that is wanted; recordings that are not in `rows` are gone."""
        found = [
            one
            for one in self.found
            if one.recording in rows and one.confidence >= view.min_confidence
        ]
        if not view.by_recording:
            flat = ordered(found)
            if view.order == "time":
                flat.sort(key=lambda one: (*_dated(rows[one.recording]), *_placed(one)))
            shown = tuple(_mention(one, rows[one.recording]) for one in flat[view.inside])
            return replace(empty, mentions=shown, total=len(flat))
        by_recording: dict[str, list[Answer]] = defaultdict(list)
        for one in found:
            by_recording[one.recording].append(one)
        names = sorted(by_recording, key=lambda name: (-self.sure[name], name))
        if view.order == "time":
            names.sort(key=lambda name: _dated(rows[name]))
        groups = []
        for name in names[view.inside]:
            mentions = [
                _mention(one, rows[name]) for one in sorted(by_recording[name], key=_placed)
            ]
            groups.append(_group(rows[name], self.sure[name], mentions))
        return _grouped(empty, groups, len(names))


@dataclass(eq=False)
class Columns:
    """What was heard of the one text that a query is, which answers it as it is.

    `places` are the recordings and channels of the tracks searched, `hits` makes objects.
    """

    text: str
    found: Found
    places: Sequence[tuple[str, int]]
    hits: Hits

    def needs(self, view: View) -> set[str]:
        """The recordings that must be known to make a page."""
        if view.order == "time":
            return {self.places[at][0] for at in set(self.found.track.tolist())}
        part = self._part(view, {})
        return {part.names[at] for at in set(part.recording[part.shown].tolist())}

    def without(self, gone: set[str]) -> None:
        """Leave out recordings that were removed while they were searched."""
        there = np.array([name not in gone for name, _ in self.places], np.bool_)
        self.found = self.found[there[self.found.track]]

    def page(self, empty: SearchResult, view: View, rows: Rows) -> SearchResult:
        """The part of the answer that is wanted; its recordings are in `rows`."""
        part = self._part(view, rows)
        mentions = list(self._mentions(part, rows))
        if not view.by_recording:
            return replace(empty, mentions=tuple(mentions), total=part.total)
        of: dict[str, list[Mention]] = defaultdict(list)
        for one in mentions:
            of[one.recording].append(one)
        groups = [_group(rows[name], max(m.confidence for m in of[name]), of[name]) for name in of]
        return _grouped(empty, groups, part.total)

    def _mentions(self, part: _Part, rows: Rows) -> Iterator[Mention]:
        for hit in self.hits.of(self.found[part.shown]):
            name, channel = self.places[hit.track]
            row, span, way = rows[name], hit.span, self.hits.ways[hit.pronunciation]
            heard = heard_of(self.text, way, channel, hit)
            yield Mention(
                row.id, row.path, row.title, channel, span.start, span.end, hit.confidence, (heard,)
            )

    def _part(self, view: View, rows: Rows) -> _Part:
        """Which are shown, in their order; rows: of all recordings, if the order is by time."""
        found = self.found
        tracks = sorted(set(found.track.tolist()))
        which = np.searchsorted(tracks, found.track)
        places = [self.places[at] for at in tracks]
        names = sorted({name for name, _ in places})
        number = {name: at for at, name in enumerate(names)}
        recording = np.array([number[name] for name, _ in places], np.int64)[which]
        channel = np.array([one for _, one in places], np.int64)[which]
        start, end, score = self.hits.columns(found)
        (kept,) = np.nonzero(found.confidence >= view.min_confidence)
        # Positions of recordings in the order that is wanted.
        place = np.arange(len(names))
        sure = np.zeros(len(names))
        np.maximum.at(sure, recording[kept], found.confidence[kept])
        if view.order == "time":
            place[sorted(place.tolist(), key=lambda at: _dated(rows[names[at]]))] = place.copy()
        elif view.by_recording:
            place[np.lexsort((place, -sure))] = place.copy()
        if view.order == "time" or view.by_recording:
            keys: tuple[npt.NDArray[Any], ...] = (end, channel, start, place[recording])
        else:
            keys = (end, start, channel, recording, -score, -found.confidence)
        shown = kept[np.lexsort(tuple(key[kept] for key in keys))]
        if not view.by_recording:
            return _Part(names, recording, shown[view.inside], len(shown))
        recordings = recording[shown]
        first = np.append(True, recordings[1:] != recordings[:-1])[: len(recordings)]
        count = np.cumsum(first) - 1
        inside = np.zeros(int(first.sum()), np.bool_)
        inside[view.inside] = True
        return _Part(names, recording, shown[inside[count]], len(inside))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Mentions that are shown, as indexes in order; by mention, which of `names` it lies in."""

    names: Sequence[str]
    recording: npt.NDArray[np.int64]
    shown: npt.NDArray[np.int64]
    total: int


def heard_of(text: str, way: Pronunciation, channel: int, hit: Hit) -> Heard:
    """A hit as what was heard of a text, in one of the ways in which it may sound."""
    span = hit.span
    return Heard(
        text,
        tuple(way.units),
        channel,
        span.start,
        span.end,
        hit.confidence,
        hit.score,
        tuple(way.words),
        hit.frames,
        hit.features,
    )


def _group(row: Recording, sure: float, mentions: Sequence[Mention]) -> Group:
    return Group(row.id, row.path, row.title, sure, tuple(mentions))


def _grouped(empty: SearchResult, groups: Sequence[Group], total: int) -> SearchResult:
    mentions = tuple(mention for group in groups for mention in group.mentions)
    return replace(empty, mentions=mentions, total=total, groups=tuple(groups))


def _dated(row: Recording) -> tuple[str, str, str]:
    return row.recorded or row.added, row.added, row.id


def _placed(one: Answer) -> tuple[float, int, float]:
    return one.start, one.heard[0].channel, one.end


def _mention(one: Answer, row: Recording) -> Mention:
    first = one.heard[0]
    return Mention(
        row.id, row.path, row.title, first.channel, one.start, one.end, one.confidence, one.heard
    )
