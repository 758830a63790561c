"""Queries over one snapshot of an index: each phrase is scanned once, then answers are made of it.

A batch of queries shares one pass over the tracks that its phrases need; the filters of a query
decide which those are. It knows how a library is read, and nothing of how it is written.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeAlias

from earshot.errors import QueryError, UsageError
from earshot.query import (
    Answer,
    Choice,
    Node,
    Phrase,
    Place,
    all_of,
    answers,
    narrowed,
    nodes,
    ordered,
    read,
    read_filters,
    refusal,
    scopes,
)
from earshot.types import Group, Heard, Mention, Recording, SearchResult

if TYPE_CHECKING:
    from earshot.index import Snapshot
    from earshot.search import Calibration, Hit, Track
    from earshot.units import Pronunciation

Order: TypeAlias = Literal["confidence", "time"]
Spell: TypeAlias = Callable[[str], Sequence["Pronunciation"]]
Rows: TypeAlias = Mapping[str, Recording]
Tracks: TypeAlias = frozenset[int]

LEAST_CONFIDENCE = 0.05
"""Phrases less likely than this are not counted as said, neither for a query nor against it."""


SURE_UNITS = 5
"""Shorter queries are met inside other words every few hours, at chance alone."""


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


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that has been understood: its text, its tree, how each of its wordings may sound."""

    query: str
    tree: Node
    sounds: Mapping[str, Sequence[Pronunciation]]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """What is searched: tracks of one snapshot, what the ear that made them is like, and `rows`,
    which gives what is known of recordings by their ids, without those that are gone."""

    snapshot: Snapshot
    calibration: Calibration
    rows: Callable[[set[str]], Rows]


def understood(query: str, spell: Spell, where: str = "") -> Asked:
    """Read a query, under filters `where`, and spell its phrases; raises QueryError."""
    tree = read(query)
    sounds: dict[str, Sequence[Pronunciation]] = {}
    for node in nodes(tree):
        if isinstance(node, Phrase | Choice):
            for text in node.wordings():
                try:
                    sounds[text] = sounds.get(text) or spell(text)
                except QueryError as error:
                    if node is tree and isinstance(node, Phrase):
                        raise  # the whole query: there is no place to point at
                    reason = str(error).rstrip(".")
                    raise refusal(query, node.at, f"{reason} ({text})") from None
    return Asked(query, all_of(read_filters(where), tree), sounds)


def exemplified(label: str, ways: Sequence[Pronunciation], where: str = "") -> Asked:
    """A query by example: `ways` are what it may be, `label` what it is called in the answer."""
    tree = all_of(read_filters(where), Phrase((label,)))
    return Asked(label, tree, {label: ways})


def search(batch: Sequence[Asked], field: Field, view: View) -> Iterator[SearchResult]:
    """Answer queries in one pass over the tracks; one result each, in order."""
    from earshot.search import Track  # numba: nothing but a search needs it

    snapshot = field.snapshot
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    tracks = [Track(entry.recording, entry.channel, c) for entry, c in pairs if entry.frames]
    places = [Place(track.recording, track.channel) for track in tracks]
    begun = time.perf_counter()
    rows: Rows = {}
    if any(narrowed(asked.tree) for asked in batch):
        rows = field.rows({place.recording for place in places})
    wanted = [scopes(asked.tree, places, rows) for asked in batch]
    heard = _listen(batch, wanted, tracks, field, min(view.min_confidence, LEAST_CONFIDENCE))
    found = []
    for asked, scope in zip(batch, wanted, strict=True):
        found.append(_answered(asked.tree, scope, heard, places, rows))
    rows = field.rows({one.recording for each, _ in found for one in each})
    seconds = (time.perf_counter() - begun) / len(batch)
    for asked, scope, (each, sure) in zip(batch, wanted, found, strict=True):
        # A recording without a row was removed while this search was running.
        there = [
            one for one in each
            if one.recording in rows and one.confidence >= view.min_confidence
        ]  # fmt: skip
        hours = _hours(frozenset[int]().union(*scope.values()), field, tracks)
        result = SearchResult(asked.query, (), hours, seconds, note=_note(asked))
        yield _page(result, there, sure, rows, view)


def _note(asked: Asked) -> str:
    """A warning where every wording is so short that other words hold the same sounds."""
    longest = max((len(ways[0].units) for ways in asked.sounds.values()), default=SURE_UNITS)
    if longest >= SURE_UNITS:
        return ""
    return (
        f"A query of {longest} sounds is heard inside many other words: trust these mentions "
        "little, or give a longer phrase."
    )


_Heard: TypeAlias = Mapping[tuple[str, Tracks], Mapping[str, Sequence[Heard]]]


def _listen(
    batch: Sequence[Asked],
    wanted: Sequence[Mapping[int, Tracks]],
    tracks: Sequence[Track],
    field: Field,
    least: float,
) -> _Heard:
    """By text and tracks searched: what was heard, by recording. Each is searched once."""
    from earshot.search import search_many  # see `search`

    texts: dict[Tracks, dict[str, Sequence[Pronunciation]]] = defaultdict(dict)
    for asked, scope in zip(batch, wanted, strict=True):
        for node in nodes(asked.tree):
            if isinstance(node, Phrase | Choice):
                texts[scope[id(node)]].update(
                    (text, asked.sounds[text]) for text in node.wordings()
                )
    network = field.snapshot.manifest.network
    heard: dict[tuple[str, Tracks], dict[str, list[Heard]]] = {}
    for chosen, sounds in texts.items():
        own = [tracks[at] for at in sorted(chosen)]
        hits = search_many(
            list(sounds.values()),
            own,
            units=network.units,
            blank=network.blank,
            frame_seconds=network.frame_seconds,
            calibration=field.calibration,
            top=None,
            min_confidence=least,
        )
        for (text, ways), of_text in zip(sounds.items(), hits, strict=True):
            by_recording: dict[str, list[Heard]] = defaultdict(list)
            for hit in of_text:
                track = own[hit.track]
                by_recording[track.recording].append(_heard(text, ways, track.channel, hit))
            heard[text, chosen] = by_recording
    return heard


def _heard(text: str, ways: Sequence[Pronunciation], channel: int, hit: Hit) -> Heard:
    way = ways[hit.pronunciation]
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


def _answered(
    tree: Node,
    scope: Mapping[int, Tracks],
    heard: _Heard,
    places: Sequence[Place],
    rows: Rows,
) -> tuple[list[Answer], dict[str, float]]:
    def of(node: Phrase | Choice, recording: str) -> list[Heard]:
        where = scope[id(node)]
        texts = node.wordings()
        return [one for text in texts for one in heard[text, where].get(recording, ())]

    somewhere: dict[str, None] = {}
    for node in nodes(tree):
        if isinstance(node, Phrase | Choice):
            for text in node.wordings():
                somewhere.update(dict.fromkeys(heard[text, scope[id(node)]]))
    return answers(tree, somewhere, of, rows)


def _page(
    empty: SearchResult, found: Sequence[Answer], sure: Mapping[str, float], rows: Rows, view: View
) -> SearchResult:
    """The part of an answer that was asked for."""
    inside = slice(view.offset, None if view.top is None else view.offset + view.top)

    def dated(recording: str) -> tuple[str, str, str]:
        row = rows[recording]
        return row.recorded or row.added, row.added, row.id

    def placed(one: Answer) -> tuple[float, int, float]:
        return one.start, one.heard[0].channel, one.end

    groups: list[Group] = []
    if view.by_recording:
        by_recording: dict[str, list[Answer]] = defaultdict(list)
        for one in found:
            by_recording[one.recording].append(one)
        names = sorted(by_recording, key=lambda name: (-sure[name], name))
        if view.order == "time":
            names.sort(key=dated)
        for name in names[inside]:
            mentions = [_mention(one, rows[name]) for one in sorted(by_recording[name], key=placed)]
            row = rows[name]
            groups.append(Group(name, row.path, row.title, sure[name], tuple(mentions)))
        mentions = [mention for group in groups for mention in group.mentions]
        total = len(names)
    else:
        flat = ordered(found)
        if view.order == "time":
            flat.sort(key=lambda one: (*dated(one.recording), *placed(one)))
        mentions = [_mention(one, rows[one.recording]) for one in flat[inside]]
        total = len(flat)
    return replace(empty, mentions=tuple(mentions), total=total, groups=tuple(groups))


def _mention(one: Answer, row: Recording) -> Mention:
    first = one.heard[0]
    return Mention(
        row.id, row.path, row.title, first.channel, one.start, one.end, one.confidence, one.heard
    )


def _hours(chosen: Tracks, field: Field, tracks: Sequence[Track]) -> float:
    """Hours of the tracks chosen, two channels of a recording counted once."""
    longest: dict[str, int] = {}
    for at in chosen:
        track = tracks[at]
        longest[track.recording] = max(track.heard.frames, longest.get(track.recording, 0))
    return sum(longest.values()) * field.snapshot.manifest.network.frame_seconds / 3600
