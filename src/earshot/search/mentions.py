"""Pronunciations against tracks: where a query may have been said, best first.

Every pronunciation is scanned over every track; of the alignments that end close together the
cheapest remains, of those that overlap the least likely to be an accident, whatever the
pronunciation; what is left is described, given a confidence, and put in order.

This module works on plain arrays: it knows nothing of text, files, networks or the library.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.errors import LibraryError, QueryError
from earshot.search.align import (
    STEPS_PER_NAT,
    Columns,
    Costs,
    Plan,
    compiled,
    plan,
    readable,
    trace,
)
from earshot.search.confidence import FEATURES, Calibration, Pronunciation, describe, log_alarms
from earshot.search.sweep import Confusion, Sweep, sweep
from earshot.types import Span

# Two candidates that share more than this of the shorter one are the same mention.
SHARED = 0.3

# Candidates described per query: so many, and so many more for each hour searched.
CANDIDATES = 60
CANDIDATES_PER_HOUR = 10

# However little is searched, false alarms are expected as in this much.
SHORTEST_HOURS = 0.01

# Candidates as an array, one a row.
Rows = npt.NDArray[np.int64]
_TRACK, _START, _END, _COST, _PRONUNCIATION = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One channel of a recording: costs (frames, units) uint8, as `earshot.index` keeps them."""

    recording: str
    channel: int
    costs: npt.NDArray[np.uint8]


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
    `pronunciation` is the index of the query's pronunciation that fits best there.
    """

    track: int
    span: Span
    confidence: float
    score: float
    pronunciation: int = 0


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
        threads=threads,
    )
    results = []
    for query, ranked in zip(queries, found, strict=True):
        sure = [one for one in ranked if one.confidence >= min_confidence][:top]
        results.append([_hit(one, query, tracks, frame_seconds, calibration) for one in sure])
    return results


def candidates(
    queries: Sequence[Sequence[Pronunciation]],
    tracks: Sequence[Track],
    *,
    units: Sequence[str],
    blank: int,
    frame_seconds: float,
    calibration: Calibration,
    threads: int | None = None,
) -> list[list[Candidate]]:
    """Everything that `search_many` chooses from, with features: what calibration learns on."""
    ear = _Ear(
        tuple(units), blank, frame_seconds, calibration, _confusion(units, blank, calibration)
    )
    plans = [[_plan(one, ear) for one in pronunciations] for pronunciations in queries]
    heard = [_checked(track, len(units)) for track in tracks]
    flat = [one for query in plans for one in query]
    found, ground = (
        sweep(costs, flat, frame_seconds=frame_seconds, confusion=ear.confusion, threads=threads)
        for costs in (heard, calibration.background)
    )
    hours = sum(len(costs) for costs in heard) * frame_seconds / 3600.0
    results: list[list[Candidate]] = []
    first = 0
    for pronunciations, query in zip(queries, plans, strict=True):
        own = slice(first, first + len(query))
        first += len(query)
        if not query:
            results.append([])
            continue
        rows, alarms = _likeliest(found[own], ground[own], pronunciations, hours)
        results.append(_describe(rows, alarms, pronunciations, query, heard, ear))
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
class _Ear:
    """What the columns of the activations mean, and what is known of who made them."""

    units: tuple[str, ...]
    blank: int
    frame_seconds: float
    calibration: Calibration
    confusion: Confusion | None


def _confusion(units: Sequence[str], blank: int, calibration: Calibration) -> Confusion | None:
    if calibration.confusion is None:
        return None
    if calibration.units != tuple(units):
        raise LibraryError("The library's units are not those its network was measured on.")
    return Confusion(calibration.confusion, blank)


def _plan(pronunciation: Pronunciation, ear: _Ear) -> Plan:
    unknown = sorted(set(pronunciation.units) - set(ear.units))
    if unknown:
        raise QueryError(f"The network that made this library knows no unit {unknown[0]!r}.")
    return plan(
        [ear.units.index(unit) for unit in pronunciation.units],
        pronunciation.words,
        blank=ear.blank,
        tolerance=ear.calibration.tolerance,
        deletions=ear.confusion.steps[:, ear.blank] if ear.confusion else None,
    )


def _checked(track: Track, units: int) -> Costs:
    if track.costs.ndim != 2 or track.costs.shape[1] != units or track.costs.dtype != np.uint8:
        raise LibraryError(
            f"The activations of recording {track.recording} are {track.costs.dtype} of shape "
            f"{track.costs.shape}, expected uint8 and {units} units; remove it and add it again."
        )
    return readable(track.costs)


def _likeliest(
    found: Sequence[Sweep],
    ground: Sequence[Sweep],
    pronunciations: Sequence[Pronunciation],
    hours: float,
) -> tuple[Rows, npt.NDArray[np.float64]]:
    """Rows (track, start, end, cost, pronunciation) that do not overlap, and their alarms.

    Of those that overlap, the one that is least likely an accident remains: the one whose cost
    its own pronunciation gives most rarely, counting how likely that pronunciation is. The best
    first, and no more than are worth describing in so many `hours`. Alarms are per hour, or in all
    that is searched if that is less: who searches a minute expects the query to be in it.
    """
    keep = CANDIDATES + int(CANDIDATES_PER_HOUR * hours)
    rows = np.concatenate(
        [
            np.column_stack((one.rows, np.full(len(one.rows), which, np.int64)))
            for which, one in enumerate(found)
        ]
    )
    alarms = np.concatenate(
        [
            log_alarms(one.histogram + behind.histogram, one.rows[:, _COST], len(sounds.units))
            for one, behind, sounds in zip(found, ground, pronunciations, strict=True)
        ]
    )
    alarms += np.log(np.clip(hours, SHORTEST_HOURS, 1.0))
    penalties = np.array([-max(one.log_probability, -10.0) for one in pronunciations])
    score = alarms + penalties[rows[:, _PRONUNCIATION]]
    order = np.lexsort((rows[:, _END], rows[:, _TRACK], rows[:, _COST], score))
    # Overlapping ones are dropped below: some four pronunciations may share each place.
    order = order[: keep * 4]
    rows, alarms = rows[order], alarms[order]
    kept = np.flatnonzero(distinct(rows, SHARED))[:keep]
    return rows[kept], alarms[kept]


def _describe(
    rows: Rows,
    alarms: npt.NDArray[np.float64],
    pronunciations: Sequence[Pronunciation],
    plans: Sequence[Plan],
    tracks: Sequence[Costs],
    ear: _Ear,
) -> list[Candidate]:
    """Candidates with features and confidence, the likeliest first."""
    features = []
    for (track, start, end, _, which), rate in zip(rows.tolist(), alarms.tolist(), strict=True):
        one, costs = plans[which], tracks[track]
        if ear.confusion:
            costs = readable(costs[start : end + 1])
            shown = trace(ear.confusion.soften(costs, [one]), one, 0, end - start)
        else:
            shown = trace(costs, one, start, end)
        features.append(
            describe(
                shown,
                costs,
                one,
                pronunciations[which],
                alarms=rate,
                frame_seconds=ear.frame_seconds,
            )
        )
    matrix = np.array(features, np.float64).reshape(len(rows), len(FEATURES))
    sure = ear.calibration.confidence(matrix).tolist()
    found = [
        Candidate(track, which, start, end, cost / STEPS_PER_NAT, shown, confidence)
        for (track, start, end, cost, which), shown, confidence in zip(
            rows.tolist(), features, sure, strict=True
        )
    ]
    return sorted(found, key=lambda one: (-one.confidence, one.cost, one.track, one.start))


def _hit(
    found: Candidate,
    query: Sequence[Pronunciation],
    tracks: Sequence[Track],
    frame_seconds: float,
    calibration: Calibration,
) -> Hit:
    start = found.start * frame_seconds - calibration.lead_seconds
    end = (found.end + 1) * frame_seconds + calibration.tail_seconds
    duration = len(tracks[found.track].costs) * frame_seconds
    span = Span(round(max(start, 0.0), 3), round(min(end, duration), 3))
    count = len(query[found.pronunciation].units)
    return Hit(found.track, span, found.confidence, -found.cost / count, found.pronunciation)


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
