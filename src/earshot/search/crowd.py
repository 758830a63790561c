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

from earshot.lanes import BLOCK, LANES, Costs
from earshot.search.align import STEPS_PER_NAT, Columns
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
    bound,
    distinct,
)
from earshot.search.native import kernel
from earshot.search.sweep import Piece, Sweep
from earshot.search.tasks import in_threads

Scores = npt.NDArray[np.float64]

# Of `crowd_kernels` and `vectors`, which need Numba.
ABREAST = 16
NEVER = 1 << 29
BITS = 16

# By cost, how likely a unit is against the best one.
_LIKELY = np.exp(np.arange(256) / -float(STEPS_PER_NAT))

# Plans that cost more would need more than 32 bits.
DEAREST = NEVER >> BITS >> 2


@dataclass(frozen=True, eq=False)
class _Plans:
    """All plans of all queries, as kernels take them: see `crowd_kernels`.

    first: by query, and behind the last, its first plan. limits and cheapest: by plan.
    """

    first: Columns
    firsts: Columns
    units: Columns
    padded: Columns
    columns: Columns
    rules: npt.NDArray[np.int32]
    deletions: Columns
    word_firsts: Columns
    words: Columns
    prices: Columns
    softened: Columns
    limits: Columns
    cheapest: Columns

    @property
    def longest(self) -> int:
        """Units of the longest plan."""
        return int(np.diff(self.firsts).max())

    @classmethod
    def of(cls, asked: Sequence[Asked], ear: Ear) -> _Plans:
        """The plans of queries; all are of one ear, which sets their prices."""
        plans = [plan for one in asked for plan in one.plans]
        firsts = np.cumsum([0, *(len(one.phones) for one in plans)])
        lengths = np.diff(firsts)
        units = np.concatenate([one.units() for one in plans], axis=1)
        place = np.arange(firsts[-1]) - np.repeat(firsts[:-1], lengths)
        padded = np.cumsum([0, *(-(-lengths // ABREAST) * ABREAST)])
        to = place + np.repeat(padded[:-1], lengths)
        columns = np.full(padded[-1], ear.blank)
        columns[to] = units[0]
        rules = np.zeros((4, padded[-1]), np.int32)
        rules[0, to] = units[2] << BITS
        rules[3, to[1:]] = units[1, :-1] << BITS
        for back in (1, 2):  # from an equal unit only its gap leads on
            same = (units[0, back:] == units[0, :-back]) & (place[back:] >= back)
            rules[back, to[back:]] = np.where(same, NEVER, 0)
        pairs = [] if ear.confusion is None else [
            (column, *heard)
            for column in range(len(ear.units)) if column != ear.blank
            for heard in ear.confusion.heard(column)
        ]  # fmt: skip
        return cls(
            np.cumsum([0, *(len(one.plans) for one in asked)]),
            firsts,
            units,
            padded,
            columns,
            rules.reshape(-1),
            np.column_stack((units[1, firsts[1:] - 1], lengths)),
            np.cumsum([0, *(len(one.words) for one in plans)]),
            np.concatenate([one.words for one in plans]),
            plans[0].prices(),
            np.array(pairs, np.int64).reshape(-1, 3),
            np.array([one.limit for one in plans], np.int64),
            np.array([one.cheapest for one in plans], np.int64),
        )


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
        self, asked: Sequence[Asked], found: Sweep, ground: Sweep, library: Searched, ear: Ear
    ) -> None:
        self.asked = asked
        self.plans = _Plans.of(asked, ear)
        self._found = found
        self._library = library
        self._ear = ear
        self._says = np.array([said(way) for one in asked for way in one.pronunciations])
        own = np.concatenate([np.arange(one.own.start, one.own.stop) for one in asked])
        self._own: list[int] = own.tolist()
        widest = int(self.plans.limits.max()) + 1
        self.scores = np.full((len(own), widest), np.inf)
        self.counts = np.zeros((len(own), widest), np.int64)
        short = math.log(min(max(library.hours, SHORTEST_HOURS), 1.0))
        for count in np.unique(self._says[:, 0]):
            (alike,) = np.nonzero(self._says[:, 0] == count)
            heard = np.array([found.histograms[self._own[one]] for one in alike])
            behind = np.array([ground.histograms[self._own[one]] for one in alike])
            width = heard.shape[1] - 1
            alarms = all_alarms(OWN * heard + behind, int(count), BLOCK * ear.frame_seconds)
            self.scores[alike, :width] = alarms + short - self._says[alike, 2:3]
            self.counts[alike, :width] = heard[:, :-1]
        self._rivals = np.array([self._promised(at) for at in range(len(asked))])

    def _promised(self, query: int) -> float:
        """The rivals that places of a query have, as `log_rivals` counts them."""
        own = range(*self.plans.first[query : query + 2].tolist())
        widths = {one: int(self.plans.limits[one]) + 1 for one in own}
        scores = [self.scores[one, : widths[one]] for one in own]
        return log_rivals(
            scores, [self.counts[one, : widths[one]] for one in own], self._library.hours
        )

    def ceilings(self, windows: Columns) -> Columns:
        """By plan the cost up to which its windows are among the likeliest of its query.

        windows: by query, how many are wanted, 0 for none.
        """
        limits = self.plans.limits
        ceilings = np.empty(len(limits), np.int64)
        kernel("choose")(
            self.scores, self.counts, limits + 1, self.plans.first, windows,
            np.empty(len(limits), np.int64), ceilings,
        )  # fmt: skip
        ceilings[np.repeat(windows, np.diff(self.plans.first)) == 0] = -1
        return ceilings

    def bound(self, query: int, ceilings: Columns) -> float:
        """The most that a window of a query is worth that costs more than its plan's ceiling."""
        own = range(*self.plans.first[query : query + 2].tolist())
        rest = [one for one in own if ceilings[one] < self.plans.limits[one]]
        if not rest:
            return -math.inf
        least = min(float(self.scores[one, ceilings[one] + 1]) for one in rest)
        ways, rivals = self.asked[query].pronunciations, float(self._rivals[query])
        return bound(ways, ceilings[own].tolist(), least, rivals, self._ear)

    def rows(self, ceilings: Columns) -> _Rows:
        """The places of plans in windows that cost no more than their ceilings."""
        radius = self._found.radius
        lengths = np.diff(self.plans.firsts)
        before = radius + lengths + np.maximum(ceilings, 0) // self.plans.cheapest
        found = []
        for number, piece in enumerate(self._found.pieces):
            windows = self._windows(number, piece, ceilings)
            tasks = [
                self._seeking(piece, some, ceilings, before)
                for some in _by_lane(windows[:, 0], piece, windows)
            ]
            for mine, rows in in_threads(tasks, self._library.threads):
                track = mine[rows[:, 0], 4]
                begins = piece.first[track] * BLOCK
                plan = mine[rows[:, 0], 1]
                where = np.full(len(rows), number)
                at = piece.index[track]
                found.append(
                    (plan, where, at, rows[:, 1] - begins, rows[:, 2] - begins, rows[:, 3])
                )
        nothing = np.zeros((6, 0), np.int64)
        return _Rows(*np.concatenate([nothing, *(np.array(one) for one in found)], axis=1))

    def _windows(self, number: int, piece: Piece, ceilings: Columns) -> Columns:
        """Windows (count, 5) of a piece, in the order of time: the step where each begins, its
        plan, where its track begins and ends, and which of the piece that is."""
        line, plans = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for plan, ceiling in enumerate(ceilings.tolist()):
            if ceiling >= 0:
                places = self._found.windows(self._own[plan], number, ceiling)
                block, lane = np.divmod(places, LANES)
                line.append(lane * piece.blocks + block)
                plans.append(np.full(len(places), plan))
        every, plan_of = np.concatenate(line), np.concatenate(plans)
        order = np.argsort(every, kind="stable")
        every, plan_of = every[order], plan_of[order]
        track = np.searchsorted(piece.first, every, side="right") - 1
        begins = piece.first[track] * BLOCK
        ends = begins + piece.frames[track]
        return np.column_stack((every * BLOCK, plan_of, begins, ends, track))

    def _seeking(
        self, piece: Piece, windows: Columns, ceilings: Columns, before: Columns
    ) -> Callable[[], tuple[Columns, Columns]]:
        def seek() -> tuple[Columns, Columns]:
            plans, radius = self.plans, self._found.radius
            start = int(np.maximum(windows[:, 0] - before[windows[:, 1]], windows[:, 2]).min())
            size = int(np.minimum(windows[:, 0] + BLOCK + radius, windows[:, 3]).max()) - start
            keys = np.empty(int(before.max()) + BLOCK + radius, np.int64)
            rows = np.empty((len(windows) * (BLOCK // (radius + 1) + 1), 4), np.int64)
            hard, soft = self._room(size)
            room = np.empty((3, plans.longest + ABREAST + 2), np.int32)
            count = kernel("seek")(
                piece.lanes, start, size, np.ascontiguousarray(windows[:, :4]), plans.padded,
                plans.columns, plans.rules, plans.deletions, ceilings, before, plans.softened,
                plans.prices, radius, hard, soft, *room, keys, rows,
            )  # fmt: skip
            return windows, rows[:count]

        return seek

    def _room(self, size: int) -> tuple[Costs, Costs]:
        """Room for the costs of so many steps, before and after confusions."""
        hard = np.empty((size, len(self._ear.units)), np.uint8)
        return hard, np.empty_like(hard) if len(self.plans.softened) else hard

    def described(self, rows: _Rows, query: Columns, score: Scores) -> npt.NDArray[np.float64]:
        """The features of places whose scores are known."""
        measured = np.empty((len(rows.plan), 8))
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
            for which, shown in in_threads(tasks, self._library.threads):
                measured[which] = shown
        count, length, log_probability, spelled = self._says[rows.plan].T
        return features(
            measured, score + log_probability, count, length, log_probability, spelled,
            self._rivals[query], frame_seconds=self._ear.frame_seconds,
        )  # fmt: skip

    def _gauging(
        self, piece: Piece, spans: Columns
    ) -> Callable[[], tuple[Columns, npt.NDArray[np.float64]]]:
        def gauge() -> tuple[Columns, npt.NDArray[np.float64]]:
            plans = self.plans
            start = int(spans[0, 1])
            size = int((spans[:, 1] + spans[:, 2]).max()) - start
            hard, soft = self._room(size)
            found = np.empty((len(spans), 8))
            longest = plans.longest
            kernel("gauge")(
                piece.lanes, start, size, np.ascontiguousarray(spans[:, :3]), plans.firsts,
                plans.units, plans.word_firsts, plans.words, plans.softened, plans.prices, _LIKELY,
                hard, soft, np.empty(size), np.empty((4, longest), np.int64),
                np.empty((4, longest), np.int64),
                np.empty((int(spans[:, 2].max()), longest), np.uint8), found,
            )  # fmt: skip
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
    crowd = _Crowd(asked, found, ground, library, ear)
    looks = np.full(len(asked), round(library.keep * OVERLAPPING))
    while looks.any():
        ceilings = crowd.ceilings(looks)
        rows = crowd.rows(ceilings)
        query = np.repeat(np.arange(len(asked)), np.diff(crowd.plans.first))[rows.plan]
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
        done = np.zeros(len(asked), np.bool_)
        for one in np.flatnonzero(looks).tolist():
            done[one] = counts[one] >= library.keep or (crowd.bound(one, ceilings) < min_confidence)
        looks[done] = 0
        yield from _yielded(crowd, asked, rows[done[query]], query[done[query]], score[done[query]],
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
        which = own.plan - crowd.plans.first[one]
        ranked = Found(own.track, which, own.start, own.end, own.cost, shows, confidence)
        order = np.lexsort((own.start, own.track, own.cost, -confidence))
        yield asked[one], ranked[order[confidence[order] >= min_confidence]]


def _by_lane(line: Columns, piece: Piece, rows: Columns) -> Iterator[Columns]:
    """Rows, sorted by `line`, a lane's worth of time at a time."""
    edges = np.searchsorted(line, np.arange(1, LANES) * piece.blocks * BLOCK)
    return (some for some in np.split(rows, edges) if len(some))
