"""Pronunciations against tracks: where a query may have been said, best first.

Every pronunciation is scanned over every track (`sweep`), which leaves histograms of costs; the
places that are worth it are worked out and put in order (`likeliest`).

This module works on plain arrays: it knows nothing of text, files, networks or the library.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot import lanes
from earshot.errors import LibraryError
from earshot.search import crowd
from earshot.search.align import STEPS_PER_NAT, Plan
from earshot.search.confidence import Calibration, Pronunciation
from earshot.search.ear import Ear
from earshot.search.likeliest import Asked, Found, Searched, nothing, settled
from earshot.search.lowest import programs
from earshot.search.sweep import Laid, Sweep
from earshot.search.tasks import processors
from earshot.types import Span

# What is remembered of one pass, in windows times pronunciations, about.
LARGEST_PASS = 1 << 28

# From so many queries in one pass on, what lies side by side is worked out for all together.
CROWD = 32


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One channel of a recording, and where its costs lie."""

    recording: str
    channel: int
    heard: lanes.Track


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where a query may have been said.

    `track` and `pronunciation` are indexes in what was searched, `start` and `end` the first and
    last frame of the alignment, `cost` its cost in nats, `features` in the order of FEATURES.
    """

    track: int
    pronunciation: int
    start: int
    end: int
    cost: float
    features: tuple[float, ...]
    confidence: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A mention: `track` is an index in what was searched, `span` in seconds.

    `confidence` is the probability that the query was said there, `score` the alignment's
    log-likelihood ratio per unit against the ear's own best guess, in nats: 0 is perfect.
    `pronunciation` is the index of the query's pronunciation that fits best there, `frames` are
    the first and the last of its alignment, `features` as in `Candidate`.
    """

    track: int
    span: Span
    confidence: float
    score: float
    pronunciation: int = 0
    frames: tuple[int, int] = (0, 0)
    features: tuple[float, ...] = ()


def search_tracks(
    pronunciations: Sequence[Pronunciation],
    tracks: Sequence[Track],
    ear: Ear,
    *,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[Hit]:
    """Find where any of `pronunciations` was said; the likeliest mention first.

    At most `top` hits, none below `min_confidence`. The confidence of a hit depends a little on
    what else is searched: recordings in which everything sounds like the query make it rarer. Equal
    searches give equal results, whatever the number of `threads` (default: the processor's).
    Raises QueryError for a query without sound or with units that the network does not have, and
    LibraryError for tracks of another number of units.
    """
    return search_many(
        [pronunciations], tracks, ear, top=top, min_confidence=min_confidence, threads=threads
    )[0]


def search_many(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track],
    ear: Ear,
    *,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[list[Hit]]:
    """`search_tracks` for many queries in one pass over the tracks; one list a query, in order."""
    found = search_columns(
        queries, tracks, ear, top=top, min_confidence=min_confidence, threads=threads
    )
    return [
        Hits(query, tracks, ear.frame_seconds, ear.calibration).of(one)
        for query, one in zip(queries, found, strict=True)
    ]


def candidates(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track],
    ear: Ear,
    *,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[list[Candidate]]:
    """What `search_many` makes hits of, with features: what calibration learns on."""
    found = search_columns(
        queries, tracks, ear, top=top, min_confidence=min_confidence, threads=threads
    )
    return [
        [
            Candidate(track, which, start, end, cost / STEPS_PER_NAT, tuple(shown), confidence)
            for track, which, start, end, cost, shown, confidence in zip(
                *(getattr(one, name).tolist() for name in Found.__slots__), strict=True
            )
        ]
        for one in found
    ]


def search_columns(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track] | Tracks,
    ear: Ear,
    *,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[Found]:
    """What `search_many` finds, as columns: thousands of mentions without an object for each."""
    ready = tracks if isinstance(tracks, Tracks) else Tracks(tracks)
    ready.require(len(ear.units))
    hours = ready.laid.frames * ear.frame_seconds / 3600.0
    library = Searched(ready.laid, hours, threads or processors())
    plans = [[ear.plan(one) for one in pronunciations] for pronunciations in queries]
    results = [nothing()] * len(queries)
    for batch in _batches(plans, ready.laid.frames):
        flat = [one for index in batch for one in plans[index]]
        made = list(programs(flat))
        found, ground = (
            Sweep(
                searched,
                flat,
                frame_seconds=ear.frame_seconds,
                threads=library.threads,
                ready=made,
            )
            for searched in (ready.laid, ear.calibration.ground)
        )
        first = 0
        asked = []
        for index in batch:
            own = slice(first, first + len(plans[index]))
            first = own.stop
            asked.append(Asked(index, own, queries[index], plans[index]))
        if top is None and len(batch) >= CROWD:
            together = [one for one in asked if one.plans]
            done = crowd.settled(together, found, ground, library, ear, min_confidence)
        else:
            done = settled(asked, found, ground, library, ear, top, min_confidence)
        for one, ranked in done:
            results[one.index] = ranked
    return results


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What makes hits of columns: how the query may sound, tracks, and how long a frame is."""

    ways: Sequence[Pronunciation]
    tracks: Sequence[Track]
    frame_seconds: float
    calibration: Calibration

    def of(self, found: Found) -> list[Hit]:
        """Columns as hits, one a mention."""
        made = []
        for track, which, first, last, cost, features, confidence in zip(
            *(getattr(found, name).tolist() for name in Found.__slots__), strict=True
        ):
            start = max(first * self.frame_seconds - self.calibration.lead_seconds, 0.0)
            end = (last + 1) * self.frame_seconds + self.calibration.tail_seconds
            end = min(end, self.tracks[track].heard.frames * self.frame_seconds)
            score = -cost / STEPS_PER_NAT / len(self.ways[which].units)
            span = Span(round(start, 3), round(end, 3))
            frames = (first, last)
            made.append(Hit(track, span, confidence, score, which, frames, tuple(features)))
        return made

    def columns(self, found: Found) -> tuple[npt.NDArray[np.floating[Any]], ...]:
        """What hits are put in order by: where they start and end (seconds), and scores."""
        lengths = np.array([len(way.units) for way in self.ways])[found.pronunciation]
        start = np.maximum(found.start * self.frame_seconds - self.calibration.lead_seconds, 0.0)
        return start, (found.end + 1) * self.frame_seconds, -found.cost / STEPS_PER_NAT / lengths


class Tracks:
    """Tracks made ready to be searched: what does not depend on the query is worked out once."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tuple(tracks)
        self.laid = Laid([track.heard for track in self.tracks])
        self._odd = {track.heard.units: track for track in self.tracks}

    def require(self, units: int) -> None:
        """Raises LibraryError for tracks of another number of units."""
        for count, track in self._odd.items():
            if count != units:
                raise LibraryError(
                    f"The activations of recording {track.recording} are of {count} units, "
                    f"expected {units}; remove it and add it again."
                )


def _batches(plans: Sequence[Sequence[Plan]], frames: int) -> Iterator[list[int]]:
    """Indexes of queries to be answered in one pass, those that begin alike together."""
    windows = frames // lanes.BLOCK + 1
    most = max(LARGEST_PASS // windows, 1)
    order = sorted(range(len(plans)), key=lambda one: [x.phones.tolist() for x in plans[one][:1]])
    batch: list[int] = []
    size = 0
    for index in order:
        batch.append(index)
        size += len(plans[index])
        if size >= most:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
