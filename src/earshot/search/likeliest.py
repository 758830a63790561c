"""The likeliest places of queries, of all that a sweep has seen, and what each is worth.

The windows that a sweep counted are looked into, the likeliest first, until no other could matter.
Of the alignments that end close together the cheapest remains, of those that overlap the least
likely to be an accident, whatever the pronunciation; what is left is described, given a confidence,
and put in order.

This module knows nothing of how a sweep is done, of text, files or the library.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot import lanes
from earshot.search.align import STEPS_PER_NAT, Columns, Plan
from earshot.search.confidence import (
    FEATURES,
    Pronunciation,
    Scores,
    features,
    log_alarms,
    log_rivals,
    paces,
    said,
)
from earshot.search.ear import Ear
from earshot.search.native import kernel
from earshot.search.sought import measured
from earshot.search.sweep import Laid, Rows, Sweep

# Two candidates that share more than this of the shorter one are the same mention.
SHARED = 0.3

# Candidates described per query: so many, and so many more for each hour searched.
CANDIDATES = 60
CANDIDATES_PER_HOUR = 10

# However little is searched, false alarms are expected as in this much.
SHORTEST_HOURS = 0.01

# Windows that are looked into first, and how many times more each time that these do not settle it.
FIRST_LOOK, MORE = 128, 4

# Windows that are looked into first, and then, for each candidate that is wanted or was found: some
# have the same alignment.
OVERLAPPING = 1.5

# A window that is searched tells as much of what is usual there as so many of the background: it is
# as noisy as the others that are searched. The background is for those who search minutes.
OWN = 4

# Sums in another order differ by less.
_ROUNDING = 1e-9

# Columns of candidates.
_TRACK, _START, _END, _COST, _PRONUNCIATION = range(5)


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was found of one query, the likeliest first; one element a mention.

    track and pronunciation are indexes in what was searched, start and end first and last frames,
    cost is in steps, features (found, len(FEATURES)); all whole numbers but these and confidence.
    """

    track: Columns
    pronunciation: Columns
    start: Columns
    end: Columns
    cost: Columns
    features: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.track)

    def __getitem__(self, which: slice | npt.NDArray[np.generic]) -> Found:
        return Found(*(getattr(self, one)[which] for one in self.__slots__))


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """What is searched: tracks, their length, and in how many threads."""

    laid: Laid
    hours: float
    threads: int

    @property
    def keep(self) -> int:
        """Candidates that are worth describing, at most."""
        return CANDIDATES + int(CANDIDATES_PER_HOUR * self.hours)


@dataclass(frozen=True, slots=True, eq=False)
class Asked:
    """A query of a batch: which, and where its pronunciations lie in the batch."""

    index: int
    own: slice
    pronunciations: Sequence[Pronunciation]
    plans: Sequence[Plan]


def settled(
    asked: Sequence[Asked],
    found: Sweep,
    ground: Sweep,
    library: Searched,
    ear: Ear,
    top: int | None,
    min_confidence: float,
) -> Iterator[tuple[Asked, Found]]:
    """Look into the likeliest windows of each query, and into more until no other can matter.

    The rest cannot matter once the best of it would be less sure than `min_confidence`, or than the
    `top` already found, or once the likeliest `library.keep` places are known: no more count.
    """
    waiting = [_Looking(one, found, ground, library, ear, min_confidence) for one in asked]
    waiting = [one for one in waiting if one.asked.plans]
    looks = round(library.keep * OVERLAPPING) if top is None else FIRST_LOOK
    while waiting:
        ceilings = [-1] * sum(len(one.plans) for one in asked)
        for one in waiting:
            ceilings[one.asked.own] = one.ceilings(looks)
        rows = found.rows(ceilings)
        again, short = [], 1.0
        for one in waiting:
            count = one.lay(rows[one.asked.own])
            if one.bound < min_confidence or count >= library.keep:
                yield one.asked, one.described()[:top]
            elif top is not None and one.sure(ranked := one.described(), top):
                yield one.asked, ranked[:top]
            else:
                again.append(one)
                short = max(short, library.keep / max(count, 1))
        waiting = again
        looks = round(looks * (MORE if top is not None else min(short * OVERLAPPING, MORE)))


class _Looking:
    """A query whose likeliest windows are looked into, the likelier the sooner."""

    def __init__(
        self,
        asked: Asked,
        found: Sweep,
        ground: Sweep,
        library: Searched,
        ear: Ear,
        min_confidence: float,
    ) -> None:
        self.asked = asked
        self._library = library
        self._ear = ear
        self._sought = found.sought
        self._says = np.array([said(one) for one in asked.pronunciations])
        self._least = min_confidence
        self._scores = _scores(asked, found, ground, library, ear) if asked.plans else []
        every = np.concatenate([np.zeros(0), *self._scores])
        counts = [histogram[:-1] for histogram in found.histograms[asked.own]]
        self._rivals = log_rivals(self._scores, counts, library.hours) if asked.plans else 0.0
        self._worths = [
            worths(ear, len(way.units), says[2:3, None], score[None], np.array([[self._rivals]]))[0]
            for way, says, score in zip(asked.pronunciations, self._says, self._scores, strict=True)
        ]
        order = np.argsort(every, kind="stable")
        ranked = every[order]
        (first,) = np.nonzero(np.append(True, ranked[1:] != ranked[:-1])[: len(ranked)])
        self._levels = ranked[first]
        total = np.cumsum(np.concatenate([np.zeros(0, np.int64), *counts])[order])
        # By level of score: windows that are at least as likely.
        self._windows = np.append(total[first[1:] - 1], total[-1:])
        self._at = -1
        self._rows, self._score = np.zeros((0, 5), np.int64), np.zeros(0)
        self.bound = math.inf

    def ceilings(self, windows: int) -> list[int]:
        """For each pronunciation the cost up to which its windows are among the likeliest.

        So many `windows`, and all that are equally likely, but none that cannot matter.
        """
        last = len(self._levels) - 1
        at = min(int(np.searchsorted(self._windows, windows)), last)
        if self._bound(at) < self._least:  # fewer will do: the first that bounds the rest so
            low, at = self._at + 1, at
            while low < at:
                middle = (low + at) // 2
                if self._bound(middle) < self._least:
                    at = middle
                else:
                    low = middle + 1
        self._at = at
        self.bound = self._bound(at)
        return self._ceilings(at)

    def _ceilings(self, at: int) -> list[int]:
        score = self._levels[at]
        return [int(np.searchsorted(one, score, side="right")) - 1 for one in self._scores]

    def _bound(self, at: int) -> float:
        """The most that a window is worth that is less likely than level `at`."""
        ceilings = self._ceilings(at)
        return max(
            float(one[ceiling + 1]) for one, ceiling in zip(self._worths, ceilings, strict=True)
        )

    def lay(self, found: Sequence[Rows]) -> int:
        """Keep the places that do not overlap; how many they are.

        Of those that overlap, the one that is least likely an accident remains: the one whose cost
        its own pronunciation gives most rarely, counting how likely that pronunciation is.
        """
        which = np.repeat(np.arange(len(found)), [len(rows) for rows in found])
        rows = np.column_stack((np.concatenate(found), which))
        score = np.concatenate([by[r[:, _COST]] for by, r in zip(self._scores, found, strict=True)])
        order = np.lexsort((rows[:, _END], rows[:, _TRACK], rows[:, _COST], score))
        rows, score = rows[order], score[order]
        kept = np.flatnonzero(distinct(rows, SHARED))[: self._library.keep]
        self._rows, self._score = rows[kept], score[kept]
        return len(kept)

    def described(self) -> Found:
        """The places kept that are sure enough, described, the likeliest first."""
        ear = self._ear
        says = self._says[self._rows[:, _PRONUNCIATION]].T
        rivals = np.full(len(self._rows), self._rivals)
        frames = self._rows[:, _END] - self._rows[:, _START] + 1
        worth = worth_describing(
            ear, says, self._score, self._rows[:, _COST], frames, rivals, self._least
        )
        rows, score, rivals = self._rows[worth], self._score[worth], rivals[worth]
        count, length, probability, spelled = says[:, worth]
        places = np.column_stack((rows[:, _PRONUNCIATION] + self.asked.own.start, rows[:, :3]))
        shown = measured(self._sought, self._library.laid.tracks, places, self._library.threads)
        matrix = features(
            shown, score + probability, count, length, probability, spelled, rivals,
            frame_seconds=ear.frame_seconds,
        )  # fmt: skip
        confidence = ear.calibration.confidence(matrix)
        track, start, end, cost, sounds_like = rows.T
        ranked = Found(track, sounds_like, start, end, cost, matrix, confidence)
        first = np.lexsort((start, track, cost, -confidence))
        return ranked[first[confidence[first] >= self._least]]

    def sure(self, ranked: Found, top: int) -> bool:
        """Whether no place that was not looked into is among the `top`."""
        return len(ranked) >= top and bool(ranked.confidence[top - 1] > self.bound)


def worths(
    ear: Ear, units: int, probability: Scores, scores: Scores, rivals: Scores
) -> npt.NDArray[np.float64]:
    """By cost, and one above all, the most that is worth what costs so much or more.

    scores (pronunciations, costs): of pronunciations of so many units; probability, rivals
    (pronunciations, 1): ln of how likely each is, and the rivals of its query.
    """
    cost = np.arange(scores.shape[1]) / STEPS_PER_NAT / units
    each = ear.calibration.most_confident(
        math.log(units), probability, scores + probability, cost, rivals
    )
    found = np.full((len(scores), scores.shape[1] + 1), -np.inf)
    each = np.broadcast_to(each, scores.shape)  # a calibration may look at nothing but the cost
    found[:, :-1] = np.maximum.accumulate(each[:, ::-1], axis=1)[:, ::-1]
    return found


def worth_describing(
    ear: Ear, says: Scores, score: Scores, cost: Columns, frames: Columns, rivals: Scores,
    least: float,
) -> npt.NDArray[np.bool_]:  # fmt: skip
    """Which places may be as sure as `least`, of all that is known before they are described.

    says (4, places): what is `said` of their pronunciations; frames: how long they are.
    """
    count, length, probability, _ = says
    most = ear.calibration.most_confident(
        length, probability, score + probability, cost / STEPS_PER_NAT / count, rivals,
        paces(frames.astype(np.float64), count, ear.frame_seconds),
    )  # fmt: skip
    return most >= least - _ROUNDING


def distinct(rows: Rows, shared: float) -> npt.NDArray[np.bool_]:
    """Which of `rows` share at most so much with any better one that is kept.

    rows: (candidates, 3 or more) track, first and last frame, best first. What two share is the
    part of the shorter one's frames.
    """
    place = np.lexsort((rows[:, _START], rows[:, _TRACK]))
    longest = int((rows[:, _END] - rows[:, _START]).max(initial=0)) + 1
    kept = np.zeros(len(rows), np.uint8)
    kernel("distinct")(
        np.ascontiguousarray(rows), place, np.empty(len(rows), np.int64), longest, shared, kept
    )
    return kept.view(np.bool_)


def nothing() -> Found:
    """What was found of a query that has no pronunciation."""
    none = np.zeros(0, np.int64)
    return Found(none, none, none, none, none, np.zeros((0, len(FEATURES))), np.zeros(0))


def _scores(
    one: Asked, found: Sweep, ground: Sweep, library: Searched, ear: Ear
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
        alarms = log_alarms(OWN * mine + theirs, costs, len(sounds.units), window)
        short = math.log(min(max(library.hours, SHORTEST_HOURS), 1.0))
        scores.append(alarms + short + _penalty(sounds))
    return scores


def _penalty(pronunciation: Pronunciation) -> float:
    return -max(pronunciation.log_probability, -10.0)
