"""What was found of thousands of queries at once: as `likeliest` does it, for all of them together.

Looking into windows one query after the other costs far more than what is done in them. Here the
windows that queries want to know of are put in the order of time; each lane is taken out of memory
once, and everything that is asked about it is worked out by one kernel. Ranking and describing are
done for all queries in a few operations on columns. Results are those of `likeliest.settled`, bit
for bit, since a place is worth the same however many others were looked into.

This module knows nothing of how a sweep is done, of text, files or the library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, LANES
from earshot.search.align import Columns
from earshot.search.confidence import all_alarms, features, log_rivals, said
from earshot.search.ear import Ear
from earshot.search.likeliest import (
    MORE,
    OVERLAPPING,
    OWN,
    SHARED,
    SHORTEST_HOURS,
    Asked,
    Found,
    Searched,
    distinct,
    worth_describing,
    worths,
)
from earshot.search.native import kernel
from earshot.search.sought import Measured, Source, doubts
from earshot.search.sweep import Piece, Sweep
from earshot.search.tasks import in_threads

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """Places: of which plan, in which piece, track, first and last step of the time line, cost."""

    plan: Columns
    piece: Columns
    track: Columns
    start: Columns
    end: Columns
    cost: Columns

    def __getitem__(self, which: npt.NDArray[np.generic]) -> _Rows:
        return _Rows(*(getattr(self, one)[which] for one in self.__slots__))


class _Crowd:
    """Queries, the sweep that counted their windows, and how likely an accident is at each cost."""

    def __init__(
        self, asked: Sequence[Asked], found: Sweep, ground: Sweep, library: Searched, ear: Ear,
        least: float,
    ) -> None:  # fmt: skip
        self.asked = asked
        self.plans = found.sought
        self.first = np.cumsum([0, *(len(one.plans) for one in asked)])
        self._found = found
        self._library = library
        self._ear = ear
        self._says = np.array([said(way) for one in asked for way in one.pronunciations])
        widest = int(self.plans.limits.max()) + 1
        self.scores = np.full((len(self._says), widest), np.inf)
        self.counts = np.zeros((len(self._says), widest), np.int64)
        short = math.log(min(max(library.hours, SHORTEST_HOURS), 1.0))
        for count in np.unique(self._says[:, 0]):
            (alike,) = np.nonzero(self._says[:, 0] == count)
            heard = np.array([found.histograms[one] for one in alike])
            behind = np.array([ground.histograms[one] for one in alike])
            width = heard.shape[1] - 1
            alarms = all_alarms(OWN * heard + behind, int(count), BLOCK * ear.frame_seconds)
            self.scores[alike, :width] = alarms + short - self._says[alike, 2:3]
            self.counts[alike, :width] = heard[:, :-1]
        self._rivals = np.array([self._promised(at) for at in range(len(asked))])
        self._levels = self._enough(least)

    def _promised(self, query: int) -> float:
        """The rivals that places of a query have, as `log_rivals` counts them."""
        own = range(*self.first[query : query + 2].tolist())
        widths = {one: int(self.plans.limits[one]) + 1 for one in own}
        scores = [self.scores[one, : widths[one]] for one in own]
        return log_rivals(
            scores, [self.counts[one, : widths[one]] for one in own], self._library.hours
        )

    def _enough(self, least: float) -> Scores:
        """By query the score behind which nothing is as sure as `least`."""
        rivals = np.repeat(self._rivals, np.diff(self.first))
        levels = np.full(len(self._says), -np.inf)
        for count in np.unique(self._says[:, 0]):
            (alike,) = np.nonzero(self._says[:, 0] == count)
            width = int(self.plans.limits[alike[0]]) + 1
            worth = worths(
                self._ear, int(count), self._says[alike, 2:3], self.scores[alike, :width],
                rivals[alike, np.newaxis],
            )  # fmt: skip
            enough = (worth >= least).sum(axis=1) - 1
            (some,) = np.nonzero(enough >= 0)
            levels[alike[some]] = self.scores[alike[some], np.minimum(enough[some], width - 1)]
        most: Scores = np.maximum.reduceat(levels, self.first[:-1])
        return most

    def ceilings(self, windows: Columns) -> Columns:
        """By plan the cost up to which its windows are among the likeliest of its query, and none
        that cannot matter.

        windows: by query, how many are wanted, 0 for none.
        """
        limits = self.plans.limits
        ceilings = np.empty(len(limits), np.int64)
        kernel("choose")(
            self.scores, self.counts, limits + 1, self.first, windows, self._levels,
            np.empty(len(limits), np.int64), ceilings,
        )  # fmt: skip
        ceilings[np.repeat(windows, np.diff(self.first)) == 0] = -1
        return ceilings

    def exhausted(self, ceilings: Columns) -> npt.NDArray[np.bool_]:
        """By query, whether no window matters that costs more than its plan's ceiling."""
        plans = np.arange(len(ceilings))
        there = ceilings < self.plans.limits
        following = np.where(there, self.scores[plans, np.where(there, ceilings + 1, 0)], np.inf)
        least = np.minimum.reduceat(following, self.first[:-1])
        over: npt.NDArray[np.bool_] = least > self._levels
        return over

    def rows(self, ceilings: Columns) -> _Rows:
        """The places of plans in windows that cost no more than their ceilings."""
        bounds = self.plans.bounds(ceilings, self._found.radius)
        found = [np.zeros((0, 6), np.int64)]
        pieces = zip(self._found.pieces, self._found.windows(ceilings, by_time=True), strict=True)
        for number, (piece, windows) in enumerate(pieces):
            tasks = [
                self._seeking(number, piece, some, bounds)
                for some in _by_lane(windows[:, 0], piece, windows)
            ]
            found += in_threads(tasks, self._library.threads)
        return _Rows(*np.concatenate(found).T.copy())

    def _seeking(
        self, number: int, piece: Piece, windows: Columns, bounds: Columns
    ) -> Callable[[], Columns]:
        def seek() -> Columns:
            radius = self._found.radius
            before = bounds[windows[:, 1], 1]
            start = int(np.maximum(windows[:, 0] - before, windows[:, 2]).min())
            size = int(np.minimum(windows[:, 0] + BLOCK + radius, windows[:, 3]).max()) - start
            source = Source.taken(piece.lanes, start, size)
            asked = np.ascontiguousarray(windows[:, :4])
            found = self.plans.places(source, asked, bounds, radius)
            of = windows[found[:, 0]]
            first, last = found[:, 1] - of[:, 2], found[:, 2] - of[:, 2]
            track = piece.index[of[:, 4]]
            where = np.full(len(found), number)
            return np.column_stack((of[:, 1], where, track, first, last, found[:, 3]))

        return seek

    def worth_describing(
        self, rows: _Rows, query: Columns, score: Scores, least: float
    ) -> npt.NDArray[np.bool_]:
        """Which places may be as sure as `least`."""
        says, frames = self._says[rows.plan].T, rows.end - rows.start + 1
        rivals = self._rivals[query]
        return worth_describing(self._ear, says, score, rows.cost, frames, rivals, least)

    def described(self, rows: _Rows, query: Columns, score: Scores) -> npt.NDArray[np.float64]:
        """The features of places whose scores are known."""
        shown = np.empty((len(rows.plan), 8))
        for number, piece in enumerate(self._found.pieces):
            (here,) = np.nonzero(rows.piece == number)
            place = np.searchsorted(piece.index, rows.track[here], sorter=np.argsort(piece.index))
            track = np.argsort(piece.index)[place]
            line = piece.first[track] * BLOCK + rows.start[here]
            order = np.argsort(line, kind="stable")
            here, line = here[order], line[order]
            length = rows.end[here] - rows.start[here] + 1
            spans = np.column_stack((rows.plan[here], line, length, here))
            tasks = [self._gauging(piece, some) for some in _by_lane(line, piece, spans)]
            for which, found in in_threads(tasks, self._library.threads):
                shown[which] = found
        count, length, log_probability, spelled = self._says[rows.plan].T
        return features(
            shown, score + log_probability, count, length, log_probability, spelled,
            self._rivals[query], frame_seconds=self._ear.frame_seconds,
        )  # fmt: skip

    def _gauging(self, piece: Piece, spans: Columns) -> Callable[[], tuple[Columns, Measured]]:
        def gauge() -> tuple[Columns, Measured]:
            start = int(spans[0, 1])
            size = int((spans[:, 1] + spans[:, 2]).max()) - start
            source = Source.taken(piece.lanes, start, size)
            found, marks = self.plans.shown(source, np.ascontiguousarray(spans[:, :3]))
            there, lines = np.unique(marks, return_inverse=True)
            each = np.empty((len(there), 1))
            each[:, 0] = doubts(piece.lanes, there[:, np.newaxis])
            found[:, 7] = np.multiply.reduce(each[lines.reshape(marks.shape), 0], axis=1)
            return spans[:, 3], found

        return gauge


def settled(
    asked: Sequence[Asked],
    found: Sweep,
    ground: Sweep,
    library: Searched,
    ear: Ear,
    min_confidence: float,
) -> Iterator[tuple[Asked, Found]]:
    """What `likeliest.settled` yields for all places there are (no `top`), in any order."""
    crowd = _Crowd(asked, found, ground, library, ear, min_confidence)
    looks = np.full(len(asked), round(library.keep * OVERLAPPING))
    while looks.any():
        ceilings = crowd.ceilings(looks)
        rows = crowd.rows(ceilings)
        query = np.repeat(np.arange(len(asked)), np.diff(crowd.first))[rows.plan]
        score = crowd.scores[rows.plan, rows.cost]
        order = np.lexsort((rows.end, rows.track, rows.cost, score, query))
        rows, query, score = rows[order], query[order], score[order]
        alone = query * len(library.laid.tracks) + rows.track
        kept = distinct(np.column_stack((alone, rows.start, rows.end)), SHARED)
        rows, query, score = rows[kept], query[kept], score[kept]
        counts = np.bincount(query, minlength=len(asked))
        first = np.cumsum([0, *counts])
        few = np.arange(len(rows.plan)) - first[query] < library.keep
        rows, query, score = rows[few], query[few], score[few]
        worth = crowd.worth_describing(rows, query, score, min_confidence)
        done = (looks > 0) & ((counts >= library.keep) | crowd.exhausted(ceilings))
        looks[done] = 0
        worth &= done[query]
        yield from _yielded(crowd, asked, rows[worth], query[worth], score[worth],
                            np.flatnonzero(done), ear, min_confidence)  # fmt: skip
        short = np.clip(library.keep / np.maximum(counts, 1) * OVERLAPPING, OVERLAPPING, MORE)
        looks = np.ceil(looks * short).astype(np.int64)


def _yielded(
    crowd: _Crowd, asked: Sequence[Asked], rows: _Rows, query: Columns, score: Scores,
    done: Columns, ear: Ear, min_confidence: float,
) -> Iterator[tuple[Asked, Found]]:  # fmt: skip
    """Queries that are done, with their places as `likeliest` describes them."""
    matrix = crowd.described(rows, query, score)
    edges = np.searchsorted(query, [done, done + 1]).T.tolist()
    for one, (low, high) in zip(done.tolist(), edges, strict=True):
        own, shows = rows[np.arange(low, high)], matrix[low:high]
        confidence = ear.calibration.confidence(shows)
        which = own.plan - crowd.first[one]
        ranked = Found(own.track, which, own.start, own.end, own.cost, shows, confidence)
        order = np.lexsort((own.start, own.track, own.cost, -confidence))
        yield asked[one], ranked[order[confidence[order] >= min_confidence]]


def _by_lane(line: Columns, piece: Piece, rows: Columns) -> Iterator[Columns]:
    """Rows, sorted by `line`, a lane's worth of time at a time."""
    edges = np.searchsorted(line, np.arange(1, LANES) * piece.blocks * BLOCK)
    return (some for some in np.split(rows, edges) if len(some))
