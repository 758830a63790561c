"""Plans made ready to be looked for in a few windows: where exactly each was heard, and how.

The pass over everything (`lowest`) tells only how low costs fall by window. Here stands how plans
are handed to the kernels that work out the rest (`place_kernels`), whether a window is read where
it lies in the lanes or a whole stretch of a lane was taken out for thousands of plans.

This module knows nothing of which windows are worth it, or of what a place is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, PACKED, Lanes, Track, costs_of
from earshot.search.align import STEPS_PER_NAT, Columns, Plan
from earshot.search.native import kernel
from earshot.search.tasks import in_threads

# Of `place_kernels` and `vectors`, which need Numba.
ABREAST = 16
NEVER = 1 << 29
BITS = 16

# Alignments that one thread measures at a time.
SOME = 512

LIKELY = np.exp(costs_of(np.arange(16, dtype=np.uint8)) / -float(STEPS_PER_NAT))
"""By level: how likely a unit is against the best one."""

Measured = npt.NDArray[np.float64]
"""What alignments show (alignments, 8): cost of the units; of the worst; units that were heard
cleanly; that were left out; cost of the gaps; longest pause between words; speech; and, multiplied
over the units heard, how many units were as likely. Costs in steps, times in frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where levels lie: in flat bytes, columns `apart`, steps of the time line `stride`.

    Of the time line there are `steps` in each lane; they count from `start`.
    """

    levels: npt.NDArray[np.uint8]
    apart: int
    stride: int
    steps: int
    start: int

    @classmethod
    def of(cls, lanes: Lanes) -> Source:
        """All of them, where they lie."""
        steps = lanes.shape[1]
        return cls(lanes.reshape(-1), steps * PACKED, PACKED, steps, 0)

    @classmethod
    def taken(cls, lanes: Lanes, start: int, size: int) -> Source:
        """`size` steps of the time line from `start`, of all units, side by side."""
        units = lanes.shape[0]
        levels = np.empty((size, units), np.uint8)
        kernel("take")(lanes, start, levels)
        return cls(levels.reshape(-1), 1, units, size, start)


@dataclass(frozen=True, eq=False)
class Sought:
    """Plans as kernels take them, one behind the other: see `place_kernels`."""

    firsts: Columns
    units: Columns
    padded: Columns
    columns: Columns
    counts: Columns
    rules: npt.NDArray[np.int32]
    deletions: Columns
    word_firsts: Columns
    words: Columns
    prices: Columns
    limits: Columns
    cheapest: Columns

    @property
    def longest(self) -> int:
        """Units of the longest plan."""
        return int(self.counts.max(initial=0))

    @property
    def widest(self) -> int:
        """Columns of the widest plan."""
        return int(np.diff(self.padded).max(initial=0))

    @classmethod
    def of(cls, plans: Sequence[Plan]) -> Sought:
        """The plans; all are of one ear, which sets their prices."""
        counts = np.array([len(one.phones) for one in plans], np.int64)
        firsts = np.append(0, np.cumsum(counts))
        phones, deletions, charges = np.concatenate(
            [np.zeros((3, 0), np.int64), *(one.units() for one in plans)], axis=1
        )
        place = np.arange(firsts[-1]) - np.repeat(firsts[:-1], counts)
        padded = np.append(0, np.cumsum(-(-(counts + 1) // ABREAST) * ABREAST))
        to = place + np.repeat(padded[:-1], counts)
        columns = np.full(padded[-1], plans[0].blank if plans else 0)
        columns[to] = phones
        # A unit that occurs again is that which it was before: kernels compare numbers.
        again = np.array([list(x).index(y) for x in map(_phones, plans) for y in x], np.int64)
        rules = np.zeros((4, padded[-1]), np.int32)
        rules[0, to] = charges << BITS
        rules[3, to[1:]] = deletions[:-1] << BITS
        for back in (1, 2):  # from an equal unit only its gap leads on
            same = (phones[back:] == phones[:-back]) & (place[back:] >= back)
            rules[back, to[back:]] = np.where(same, NEVER, 0)
        return cls(
            firsts,
            np.array((again, deletions, charges)),
            padded,
            columns,
            counts,
            rules.reshape(-1),
            deletions[firsts[1:] - 1],
            np.cumsum([0, *(len(one.words) for one in plans)]),
            np.concatenate([np.zeros(0, np.int64), *(one.words for one in plans)]),
            plans[0].prices() if plans else np.zeros(6, np.int64),
            np.array([one.limit for one in plans], np.int64),
            np.array([one.cheapest for one in plans], np.int64),
        )

    def bounds(self, ceilings: Columns, radius: int) -> Columns:
        """By plan (plans, 3): ceiling, steps before a window that may matter, least price of one.

        radius: places that end within so many steps are one.
        """
        before = radius + self.counts + np.maximum(ceilings, 0) // self.cheapest
        return np.column_stack((ceilings, before, self.cheapest))

    def places(self, source: Source, windows: Columns, bounds: Columns, radius: int) -> Columns:
        """Where costs are lowest nearby, in windows (windows, 4): step of the time line where each
        begins, plan, where its track does and ends. Returns (places, 4): which window, first and
        last step of the time line, cost in steps."""
        size, widest = int(bounds[:, 1].max()) + BLOCK + radius, self.widest
        found = np.empty((len(windows) * (BLOCK // (radius + 1) + 1), 4), np.int64)
        count = kernel("seek")(
            source.levels, source.apart, source.stride, source.steps, source.start, windows,
            self.padded, self.columns, self.counts, self.rules, self.deletions, self.prices, bounds,
            radius, np.empty(widest, np.int64), np.empty(size * widest, np.uint8),
            np.empty(size, np.int32), np.empty((2 * size + 3) * 2 * ABREAST, np.int32),
            np.empty(size, np.int64), found,
        )  # fmt: skip
        return found[:count]

    def shown(self, source: Source, spans: Columns) -> tuple[Measured, Columns]:
        """What alignments show, spans (alignments, 3) plan, first step of the time line, length.

        Returns all of it but how many units were as likely, which is 1, and by unit the step where
        it begins (alignments, units), -1 where there is none.
        """
        longest, size = self.longest, int(spans[:, 2].max(initial=1))
        found = np.ones((len(spans), 8))
        marks = np.empty((len(spans), longest), np.int64)
        rows = np.empty((size, self.widest), np.uint8)
        kernel("gauge")(
            source.levels, source.apart, source.stride, source.steps, source.start, spans,
            self.padded, self.columns, self.firsts, self.units, self.word_firsts, self.words,
            self.prices.copy(), np.empty(self.widest, np.int64), rows, rows.reshape(-1),
            np.empty((4, longest), np.int64), np.empty((4, longest), np.int64),
            np.empty((size, longest), np.uint8), found, marks,
        )  # fmt: skip
        return found, marks


def measured(sought: Sought, tracks: Sequence[Track], rows: Columns, threads: int = 1) -> Measured:
    """What alignments show: rows (alignments, 4) plan, track, first and last frame."""
    some = sorted(set(rows[:, 1].tolist()))
    which = np.searchsorted(some, rows[:, 1])
    asked = [tracks[index] for index in some]
    homes = np.array([id(track.lanes) for track in asked], np.int64)[which]
    line = np.array([track.first for track in asked], np.int64)[which] * BLOCK + rows[:, 2]
    spans = np.column_stack((rows[:, 0], line, rows[:, 3] - rows[:, 2] + 1))
    lanes = {id(track.lanes): track.lanes for track in asked}
    found = np.empty((len(rows), 8))

    def measuring(home: Lanes, here: Columns) -> Callable[[], None]:
        def measure() -> None:
            shows, marks = sought.shown(Source.of(home), np.ascontiguousarray(spans[here]))
            shows[:, 7] = doubts(home, marks)
            found[here] = shows

        return measure

    tasks = []
    for home, its in lanes.items():
        (here,) = np.nonzero(homes == home)
        # What lies side by side in the lanes is read one after the other.
        here = here[np.argsort(spans[here, 1] % its.shape[1], kind="stable")]
        tasks += [measuring(its, here[at : at + SOME]) for at in range(0, len(here), SOME)]
    in_threads(tasks, threads)
    return found


def doubts(lanes: Lanes, marks: Columns) -> npt.NDArray[np.float64]:
    """Multiplied over the steps of the time line in a row of `marks`, how many units were as likely
    as the best one there; -1 is no step."""
    there = marks >= 0
    lines = marks[there]
    order = np.argsort(lines % lanes.shape[1], kind="stable")
    sums = np.empty(len(lines))
    kernel("doubt")(
        lanes.reshape(-1),
        *lanes.shape[:2],
        lines[order],
        LIKELY,
        np.empty((2, len(lines)), np.int64),
        sums,
    )
    each = np.ones(marks.shape)
    unsorted = np.empty(len(lines))
    unsorted[order] = sums
    each[there] = unsorted
    product: npt.NDArray[np.float64] = np.multiply.reduce(each, axis=1)
    return product


def _phones(plan: Plan) -> list[int]:
    phones: list[int] = plan.phones.tolist()
    return phones
