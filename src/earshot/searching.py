"""Queries over one snapshot of an index: each phrase is scanned once, then answers are made of it.

A batch of queries shares one pass over the tracks that its phrases need; the filters of a query
decide which those are. It knows how a library is read, and nothing of how it is written.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from earshot.errors import QueryError
from earshot.paging import LEAST_CONFIDENCE, Answers, Columns, Order, Rows, View, heard_of
from earshot.query import (
    Choice,
    Node,
    Phrase,
    Place,
    all_of,
    alone,
    answers,
    narrowed,
    nodes,
    read,
    read_filters,
    refusal,
    scopes,
)
from earshot.types import Heard, SearchResult

if TYPE_CHECKING:
    from earshot.index import Snapshot
    from earshot.search import Calibration, Found, Hits, Tracks
    from earshot.units import Pronunciation

__all__ = [
    "LEAST_CONFIDENCE",
    "Asked",
    "Field",
    "Order",
    "View",
    "exemplified",
    "search",
    "understood",
]

Spell: TypeAlias = Callable[[str], Sequence["Pronunciation"]]
Chosen: TypeAlias = frozenset[int]

SURE_UNITS = 5
"""Shorter queries are met inside other words every few hours, at chance alone."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that has been understood: its text, its tree, how each of its wordings may sound."""

    query: str
    tree: Node
    sounds: Mapping[str, Sequence[Pronunciation]]


@dataclass(frozen=True, eq=False)
class Field:
    """What is searched: tracks of one snapshot, what the ear that made them is like, and `rows`,
    which gives what is known of recordings by their ids, without those that are gone.

    It remembers what does not depend on queries: keep it as long as the snapshot is the newest.
    """

    snapshot: Snapshot
    calibration: Calibration
    rows: Callable[[set[str]], Rows]

    @cached_property
    def tracks(self) -> Tracks:
        """All tracks that hold something."""
        from earshot.search import Track, Tracks  # LLVM: nothing but a search needs it

        pairs = zip(self.snapshot.tracks, self.snapshot.heard, strict=True)
        return Tracks([Track(of.recording, of.channel, one) for of, one in pairs if of.frames])

    @cached_property
    def places(self) -> list[Place]:
        """By track: the recording and the channel."""
        return [Place(track.recording, track.channel) for track in self.tracks.tracks]

    @cached_property
    def hours(self) -> float:
        """How long all recordings are."""
        return self.hours_of(frozenset(range(len(self.places))))

    def only(self, chosen: Chosen) -> Tracks:
        """Some of the tracks."""
        from earshot.search import Tracks  # see `tracks`

        if len(chosen) == len(self.places):
            return self.tracks
        return Tracks([self.tracks.tracks[at] for at in sorted(chosen)])

    def hours_of(self, chosen: Chosen) -> float:
        """Hours of some tracks, two channels of a recording counted once."""
        longest: dict[str, int] = {}
        for at in chosen:
            track = self.tracks.tracks[at]
            longest[track.recording] = max(track.heard.frames, longest.get(track.recording, 0))
        return sum(longest.values()) * self.snapshot.manifest.network.frame_seconds / 3600


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
    places = field.places
    begun = time.perf_counter()
    rows: Rows = {}
    if any(narrowed(asked.tree) for asked in batch):
        rows = field.rows({place.recording for place in places})
    wanted = [scopes(asked.tree, places, rows) for asked in batch]
    heard = _listen(batch, wanted, field, view)
    found = [
        _answered(asked.tree, scope, heard, rows)
        for asked, scope in zip(batch, wanted, strict=True)
    ]
    rows = _known(found, field, view)
    seconds = (time.perf_counter() - begun) / len(batch)
    for asked, scope, one in zip(batch, wanted, found, strict=True):
        chosen = frozenset[int]().union(*scope.values())
        hours = field.hours if len(chosen) == len(places) else field.hours_of(chosen)
        result = SearchResult(asked.query, (), hours, seconds, note=_note(asked))
        yield one.page(result, view, rows)


def _known(found: Sequence[Answers | Columns], field: Field, view: View) -> Rows:
    """What is known of the recordings that are shown.

    A recording without a row was removed while this search was running: it is left out.
    """
    while True:
        needed = [one.needs(view) for one in found]
        rows = field.rows(set[str]().union(*needed))
        gone = set()
        for one, names in zip(found, needed, strict=True):
            if isinstance(one, Columns) and (missing := names.difference(rows)):
                one.without(missing)
                gone |= missing
        if not gone:
            return rows


def _note(asked: Asked) -> str:
    """A warning where every wording is so short that other words hold the same sounds."""
    longest = max((len(ways[0].units) for ways in asked.sounds.values()), default=SURE_UNITS)
    if longest >= SURE_UNITS:
        return ""
    return (
        f"A query of {longest} sounds is heard inside many other words: trust these mentions "
        "little, or give a longer phrase."
    )


@dataclass(eq=False)
class _Text:
    """What was heard of one text, on the tracks that it was searched in."""

    text: str
    found: Found
    hits: Hits
    places: Sequence[tuple[str, int]]

    @cached_property
    def by_recording(self) -> Mapping[str, Sequence[Heard]]:
        """All of it as objects."""
        heard: dict[str, list[Heard]] = defaultdict(list)
        for hit in self.hits.of(self.found):
            recording, channel = self.places[hit.track]
            way = self.hits.ways[hit.pronunciation]
            heard[recording].append(heard_of(self.text, way, channel, hit))
        return heard


_Texts: TypeAlias = Mapping[tuple[str, Chosen], _Text]


def _listen(
    batch: Sequence[Asked], wanted: Sequence[Mapping[int, Chosen]], field: Field, view: View
) -> _Texts:
    """By text and tracks searched: what was heard. Each is searched once."""
    from earshot.search import Ear, Hits, search_columns  # see `Field.tracks`

    texts: dict[Chosen, dict[str, Sequence[Pronunciation]]] = defaultdict(dict)
    for asked, scope in zip(batch, wanted, strict=True):
        for node in nodes(asked.tree):
            if isinstance(node, Phrase | Choice):
                texts[scope[id(node)]].update(
                    (text, asked.sounds[text]) for text in node.wordings()
                )
    least = view.min_confidence
    if not all(alone(asked.tree) for asked in batch):
        least = min(least, LEAST_CONFIDENCE)  # what is not shown counts for and against recordings
    network = field.snapshot.manifest.network
    ear = Ear(network.units, network.blank, network.frame_seconds, field.calibration)
    heard = {}
    for chosen, sounds in texts.items():
        tracks = field.only(chosen)
        places = [(track.recording, track.channel) for track in tracks.tracks]
        found = search_columns(
            list(sounds.values()),
            tracks,
            ear,
            min_confidence=least,
        )
        for (text, ways), of_text in zip(sounds.items(), found, strict=True):
            hits = Hits(ways, tracks.tracks, network.frame_seconds, field.calibration)
            heard[text, chosen] = _Text(text, of_text, hits, places)
    return heard


def _answered(
    tree: Node, scope: Mapping[int, Chosen], texts: _Texts, rows: Rows
) -> Answers | Columns:
    if one := alone(tree):
        only = texts[one.wordings()[0], scope[id(one)]]
        return Columns(only.text, only.found, only.places, only.hits)

    def of(node: Phrase | Choice, recording: str) -> list[Heard]:
        where = scope[id(node)]
        heard = (texts[text, where].by_recording.get(recording, ()) for text in node.wordings())
        return [one for each in heard for one in each]

    somewhere: dict[str, None] = {}
    for node in nodes(tree):
        if isinstance(node, Phrase | Choice):
            for text in node.wordings():
                somewhere.update(dict.fromkeys(texts[text, scope[id(node)]].by_recording))
    return Answers(*answers(tree, somewhere, of, rows))
