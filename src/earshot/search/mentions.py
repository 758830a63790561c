"""Pronunciations against tracks: where a query may have been said, best first.

Every pronunciation is scanned over every track; of the alignments that end close together the
cheapest remains, of those that overlap the least likely to be an accident, whatever the
pronunciation; what is left is described, given a confidence, and put in order.

This module works on plain arrays: it knows nothing of text, files, networks or the library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot import lanes
from earshot.errors import LibraryError
from earshot.search.align import STEPS_PER_NAT, Columns, Plan
from earshot.search.compiled import compiled
from earshot.search.confidence import FEATURES, Calibration, Pronunciation, describe, log_alarms
from earshot.search.ear import Ear
from earshot.search.sweep import Rows, Sweep
from earshot.types import Span

# Two candidates that share more than this of the shorter one are the same mention.
SHARED = 0.3

# Candidates described per query: so many, and so many more for each hour searched.
CANDIDATES = 60
CANDIDATES_PER_HOUR = 10

# However little is searched, false alarms are expected as in this much.
SHORTEST_HOURS = 0.01

# Windows that are looked into first, and how many times more each time that these do not settle it.
FIRST_LOOK, MORE = 128, 4

# Windows that are looked into for each candidate that is kept: some have the same alignment.
OVERLAPPING = 2

# What is remembered of one pass, in windows times pronunciations, about.
LARGEST_PASS = 1 << 28

# Columns of candidates.
_TRACK, _START, _END, _COST, _PRONUNCIATION = range(5)


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
    *,
    units: Sequence[str],
    blank: int,
    frame_seconds: float,
    calibration: Calibration,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[Hit]:
    """Find where any of `pronunciations` was said; the likeliest mention first.

    units: names of the columns of the activations; blank: the column that is none. At most `top`
    hits, none below `min_confidence`. The confidence of a hit depends a little on what else is
    searched: recordings in which everything sounds like the query make it rarer. Equal searches
    give equal results, whatever the number of `threads` (default: the processor's).
    Raises QueryError for a query without sound or with units that the network does not have, and
    LibraryError for tracks of another number of units.
    """
    return search_many(
        [pronunciations],
        tracks,
        units=units,
        blank=blank,
        frame_seconds=frame_seconds,
        calibration=calibration,
        top=top,
        min_confidence=min_confidence,
        threads=threads,
    )[0]


def search_many(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track],
    *,
    units: Sequence[str],
    blank: int,
    frame_seconds: float,
    calibration: Calibration,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[list[Hit]]:
    """`search_tracks` for many queries in one pass over the tracks; one list a query, in order."""
    found = candidates(
        queries,
        tracks,
        units=units,
        blank=blank,
        frame_seconds=frame_seconds,
        calibration=calibration,
        top=top,
        min_confidence=min_confidence,
        threads=threads,
    )
    return [
        [_hit(one, query, tracks, frame_seconds, calibration) for one in ranked]
        for query, ranked in zip(queries, found, strict=True)
    ]


def candidates(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track],
    *,
    units: Sequence[str],
    blank: int,
    frame_seconds: float,
    calibration: Calibration,
    top: int | None = None,
    min_confidence: float = 0.0,
    threads: int | None = None,
) -> list[list[Candidate]]:
    """What `search_many` makes hits of, with features: what calibration learns on."""
    ear = Ear.of(units, blank, frame_seconds, calibration)
    heard = tuple(_checked(track, len(units)) for track in tracks)
    library = _Searched(heard, sum(one.frames for one in heard) * frame_seconds / 3600.0, threads)
    plans = [[ear.plan(one) for one in pronunciations] for pronunciations in queries]
    results: list[list[Candidate]] = [[] for _ in queries]
    for batch in _batches(plans, library):
        flat = [one for index in batch for one in plans[index]]
        found, ground = (
            Sweep(
                searched,
                flat,
                frame_seconds=frame_seconds,
                confusion=ear.confusion,
                threads=threads,
            )
            for searched in (heard, calibration.ground)
        )
        first = 0
        asked = []
        for index in batch:
            own = slice(first, first + len(plans[index]))
            first = own.stop
            asked.append(_Asked(index, own, queries[index], plans[index]))
        for one, ranked in _settle(asked, found, ground, library, ear, top, min_confidence):
            results[one.index] = ranked
    return results


def distinct(rows: Rows, shared: float) -> npt.NDArray[np.bool_]:
    """Which of `rows` share at most so much with any better one that is kept.

    rows: (candidates, 3 or more) track, first and last frame, best first. What two share is the
    part of the shorter one's frames.
    """
    place = np.lexsort((rows[:, _START], rows[:, _TRACK]))
    longest = int((rows[:, _END] - rows[:, _START]).max(initial=0)) + 1
    return _distinct(rows, place, longest, shared)


@dataclass(frozen=True, slots=True, eq=False)
class _Searched:
    """What is searched: tracks, their length, and in how many threads."""

    tracks: tuple[lanes.Track, ...]
    hours: float
    threads: int | None

    @property
    def keep(self) -> int:
        """Candidates that are worth describing, at most."""
        return CANDIDATES + int(CANDIDATES_PER_HOUR * self.hours)


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A query of a batch: which, and where its pronunciations lie in the batch."""

    index: int
    own: slice
    pronunciations: Sequence[Pronunciation]
    plans: Sequence[Plan]


def _checked(track: Track, units: int) -> lanes.Track:
    if track.heard.units != units:
        raise LibraryError(
            f"The activations of recording {track.recording} are of {track.heard.units} units, "
            f"expected {units}; remove it and add it again."
        )
    return track.heard


def _batches(plans: Sequence[Sequence[Plan]], library: _Searched) -> Iterator[list[int]]:
    """Indexes of queries to be answered in one pass, those that begin alike together."""
    windows = sum(one.frames for one in library.tracks) // lanes.BLOCK + 1
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


def _settle(
    asked: Sequence[_Asked],
    found: Sweep,
    ground: Sweep,
    library: _Searched,
    ear: Ear,
    top: int | None,
    min_confidence: float,
) -> Iterator[tuple[_Asked, list[Candidate]]]:
    """Look into the likeliest windows of each query, and into more until no other can matter.

    The rest cannot matter once the best of it would be less sure than `min_confidence`, or than the
    `top` already found; and no more than the likeliest `library.keep` candidates are described.
    """
    scores = {id(one): _scores(one, found, ground, library, ear) for one in asked if one.plans}
    looks, enough = FIRST_LOOK, library.keep * OVERLAPPING
    waiting = [one for one in asked if one.plans]
    while waiting:
        ceilings = [-1] * sum(len(one.plans) for one in asked)
        rest: dict[int, float] = {}
        for one in waiting:
            counts = [histogram[:-1] for histogram in found.histograms[one.own]]
            windows = looks
            while True:
                ceilings[one.own], rest[id(one)] = _ceilings(
                    scores[id(one)], counts, min(windows, enough)
                )
                bound = _bound(one, ceilings[one.own], rest[id(one)], ear)
                if top is not None or bound < min_confidence or windows >= enough:
                    break
                windows *= MORE  # all are asked for: no use in looking at fewer first
        rows = found.rows(ceilings)
        again = []
        for one in waiting:
            ranked = _describe(one, rows[one.own], scores[id(one)], library, ear, min_confidence)
            sure = ranked[:top]
            bound = _bound(one, ceilings[one.own], rest[id(one)], ear)
            settled = bound < min_confidence or (
                top is not None and len(sure) == top and sure[-1].confidence > bound
            )
            if settled or top is None or looks >= enough or rest[id(one)] == np.inf:
                yield one, sure
            else:
                again.append(one)
        waiting = again
        looks *= MORE


def _scores(
    one: _Asked, found: Sweep, ground: Sweep, library: _Searched, ear: Ear
) -> list[npt.NDArray[np.float64]]:
    """For each pronunciation, by cost: how likely an accident is, the lower the better.

    That is ln of the alarms expected in an hour, or in all there is if that is less (who searches a
    minute expects the query to be in it), and of how seldom it is pronounced so.
    """
    scores = []
    window = lanes.BLOCK * ear.frame_seconds
    heard, behind = found.histograms[one.own], ground.histograms[one.own]
    for sounds, mine, theirs in zip(one.pronunciations, heard, behind, strict=True):
        costs = np.arange(len(mine) - 1)
        alarms = log_alarms(mine + theirs, costs, len(sounds.units), window)
        short = math.log(min(max(library.hours, SHORTEST_HOURS), 1.0))
        scores.append(alarms + short + _penalty(sounds))
    return scores


def _penalty(pronunciation: Pronunciation) -> float:
    return -max(pronunciation.log_probability, -10.0)


def _ceilings(
    scores: Sequence[npt.NDArray[np.float64]],
    counts: Sequence[npt.NDArray[np.int64]],
    windows: int,
) -> tuple[list[int], float]:
    """For each pronunciation the cost up to which its windows are among the likeliest `windows`.

    Of windows that are equally likely all are. Also returns the score from which on none is looked
    into: infinity if all are.
    """
    every = np.concatenate(scores)
    order = np.argsort(every, kind="stable")
    total = np.cumsum(np.concatenate(counts)[order])
    last = int(np.searchsorted(total, windows))
    if last >= len(every):
        return [len(one) - 1 for one in scores], np.inf
    score = every[order[last]]
    return [int(np.searchsorted(one, score, side="right")) - 1 for one in scores], float(score)


def _bound(one: _Asked, ceilings: Sequence[int], score: float, ear: Ear) -> float:
    """The most that a window is worth whose cost is above its ceiling, its score above `score`."""
    return max(
        ear.calibration.most_confident(
            sounds, score - _penalty(sounds), max(ceiling, 0) / STEPS_PER_NAT / len(sounds.units)
        )
        for sounds, ceiling in zip(one.pronunciations, ceilings, strict=True)
    )


def _describe(
    one: _Asked,
    found: Sequence[Rows],
    scores: Sequence[npt.NDArray[np.float64]],
    library: _Searched,
    ear: Ear,
    min_confidence: float,
) -> list[Candidate]:
    """Candidates that do not overlap, with features and confidence, the likeliest first.

    Of those that overlap, the one that is least likely an accident remains: the one whose cost
    its own pronunciation gives most rarely, counting how likely that pronunciation is.
    """
    which = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
    rows = np.column_stack((np.concatenate(found), which))
    score = np.concatenate([by[rows[:, _COST]] for by, rows in zip(scores, found, strict=True)])
    order = np.lexsort((rows[:, _END], rows[:, _TRACK], rows[:, _COST], score))
    rows, score = rows[order], score[order]
    kept = np.flatnonzero(distinct(rows, SHARED))[: library.keep]
    rows, score = rows[kept], score[kept]
    matrix = np.zeros((len(rows), len(FEATURES)))
    for index, (ready, sounds) in enumerate(zip(one.plans, one.pronunciations, strict=True)):
        mine = rows[:, _PRONUNCIATION] == index
        if mine.any():
            matrix[mine] = describe(
                library.tracks,
                rows[mine],
                ready,
                sounds,
                alarms=score[mine] - _penalty(sounds),
                frame_seconds=ear.frame_seconds,
                confusion=ear.confusion,
            )
    confidence = ear.calibration.confidence(matrix)
    sure = np.flatnonzero(confidence >= min_confidence)
    described = [
        Candidate(track, which, start, end, cost / STEPS_PER_NAT, tuple(shown), confident)
        for (track, start, end, cost, which), shown, confident in zip(
            rows[sure].tolist(), matrix[sure].tolist(), confidence[sure].tolist(), strict=True
        )
    ]
    return sorted(described, key=lambda one: (-one.confidence, one.cost, one.track, one.start))


def _hit(
    found: Candidate,
    query: Sequence[Pronunciation],
    tracks: Sequence[Track],
    frame_seconds: float,
    calibration: Calibration,
) -> Hit:
    start = found.start * frame_seconds - calibration.lead_seconds
    end = (found.end + 1) * frame_seconds + calibration.tail_seconds
    duration = tracks[found.track].heard.frames * frame_seconds
    span = Span(round(max(start, 0.0), 3), round(min(end, duration), 3))
    count = len(query[found.pronunciation].units)
    return Hit(
        found.track,
        span,
        found.confidence,
        -found.cost / count,
        found.pronunciation,
        (found.start, found.end),
        found.features,
    )


@compiled
def _distinct(rows: Rows, place: Columns, longest: int, shared: float) -> npt.NDArray[np.bool_]:
    """`distinct`; place: the order of rows by track and start, longest: frames of the longest."""
    count = rows.shape[0]
    kept = np.zeros(count, np.bool_)
    position = np.empty(count, np.int64)
    for index in range(count):
        position[place[index]] = index
    for index in range(count):
        track, start, end = rows[index, 0], rows[index, 1], rows[index, 2]
        alone = True
        for direction in (-1, 1):
            at = position[index] + direction
            while alone and 0 <= at < count:
                other = place[at]
                if rows[other, 0] != track or abs(rows[other, 1] - start) > longest:
                    break
                if kept[other]:
                    common = min(rows[other, 2], end) - max(rows[other, 1], start) + 1
                    shorter = min(rows[other, 2] - rows[other, 1], end - start) + 1
                    alone = common <= shared * shorter
                at += direction
        kept[index] = alone
    return kept
