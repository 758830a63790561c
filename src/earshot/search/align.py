"""Lay the units of a pronunciation against activations: exact and fuzzy.

An alignment walks through states shaped like the network's own grammar (CTC):

    unit 1 -> gap -> unit 2 -> gap -> ... -> unit m

One unit holds one frame or more; the gap (the blank) between two units is optional, except between
two equal ones, where the network cannot do without it. A frame costs what the network's best unit
there leads by over the unit of the state, so an alignment's cost is a log-likelihood ratio
against the best free path over the same span: 0 when the ear heard exactly this. What the ear
missed, replaced or added is paid for at the prices of `Tolerance`, never forbidden. Start and end
are free: for every frame there is a cheapest alignment that ends there, and its start.

All costs are integers in steps of 1/16 nat: results are the same on every machine. Here stands what
a single stretch of a track needs; `lowest` finds the stretches that are worth it.

This module knows nothing of text, files, recordings or confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import int64, uint64

from earshot.errors import QueryError
from earshot.lanes import Costs
from earshot.search.compiled import compiled

Keys = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int64]
Origins = npt.NDArray[np.generic]

STEPS_PER_NAT = 16

# A key is `cost << AGE_BITS | age`, age being the alignment's length in frames: one minimum chooses
# the cheapest alignment and, among equals, the shortest. FAR stands for "cannot be reached": far
# above any limit, with room to add to it.
AGE_BITS = 24
FAR = 1 << 56
NOTHING = np.iinfo(np.int64).max

# Alignments dearer than this, in steps, cannot be asked for.
DEAREST = 1 << 14


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an alignment pays for what was not heard as written; steps of 1/16 nat.

    clip      the most that one frame of a unit costs: the price of a unit heard as another
    stay      each further frame of the same unit
    gap       each frame between two units of a word, so that words do not stretch
    pause     each frame between two words: a second of silence costs 25 of these
    gap_clip  the most that a frame between units costs beyond that: the price of an added sound
    deletion  a unit left out altogether (never two in a row)
    limit     alignments above this many steps per unit are not reported
    """

    clip: int = 110
    stay: int = 2
    gap: int = 2
    pause: int = 2
    gap_clip: int = 80
    deletion: int = 90
    limit: int = 40


class Plan(NamedTuple):
    """A pronunciation made ready for the kernel (a tuple, because numba takes those as they are).

    phones: int64, by unit, its column. deletions: by unit, the price of leaving it out. charge: by
    unit, what a frame in the gap after it costs. words: indexes where words start. The rest as in
    `Tolerance`, in steps; `limit` is the whole alignment's, and none within it is longer than
    `warm_up` frames.
    """

    phones: Columns
    deletions: Columns
    charge: Columns
    words: Columns
    clip: int
    gap_clip: int
    stay: int
    blank: int
    limit: int
    warm_up: int

    @property
    def cheapest(self) -> int:
        """The least that any frame but the first of a unit costs."""
        return int(min(self.stay, *self.charge.tolist()))


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Which units the ear takes for which.

    steps (units, units): what hearing unit v (column) costs when u (row) was said; 255 means
    never. blank: the column that is no unit. A unit then costs the least of what it costs itself
    and what any other does, plus that price.
    """

    steps: Costs
    blank: int

    def heard(self, column: int) -> list[tuple[int, int]]:
        """What a unit may be heard as, and the prices."""
        prices = self.steps[column].tolist()
        return [
            (other, price)
            for other, price in enumerate(prices)
            if other not in (column, self.blank) and price < 255
        ]

    def soften(self, costs: Costs, plan: Plan) -> Costs:
        """Costs (frames, units) after confusions, in the columns that `plan` needs."""
        softened = costs.copy()
        for column in set(plan.phones.tolist()):
            for other, price in self.heard(column):
                dearer = np.minimum(costs[:, other].astype(np.int64) + price, 255).astype(np.uint8)
                np.minimum(softened[:, column], dearer, out=softened[:, column])
        return readable(softened)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One alignment spelled out, one element per unit, frames counted from the track's start.

    first, last: int64 frames of each unit, both -1 where it was left out. costs: int64, what each
    unit cost (its frames, or its deletion). gaps: int64, what the gap after each unit cost.
    """

    first: Columns
    last: Columns
    costs: Columns
    gaps: Columns


def readable(costs: npt.NDArray[np.generic]) -> Costs:
    """`costs` as the kernel takes them: plain, C-contiguous and read-only."""
    array = np.ascontiguousarray(costs, dtype=np.uint8).view(np.ndarray)
    array.flags.writeable = False
    return array


def plan(
    phones: Sequence[int],
    words: Sequence[int],
    *,
    blank: int,
    tolerance: Tolerance,
    deletions: npt.NDArray[np.integer] | None = None,
) -> Plan:
    """Make a pronunciation ready: `phones` are columns of the activations, `words` word starts.

    `deletions` (units,) gives each unit its own price of being left out, instead of
    `tolerance.deletion`. Raises QueryError when there is nothing to search for or too much.
    """
    count = len(phones)
    if not count:
        raise QueryError("The query has no sound to search for.")
    limit = tolerance.limit * count
    if limit >= DEAREST:
        raise QueryError(f"The query is too long to search for in one piece ({count} sounds).")
    columns = np.asarray(phones, np.int64)
    price = np.full(count, tolerance.deletion, np.int64)
    if deletions is not None:
        price = np.asarray(deletions, np.int64)[columns]
    charge = np.full(count, tolerance.gap, np.int64)
    charge[[start - 1 for start in words if start > 0]] = tolerance.pause
    cheapest = min(tolerance.stay, tolerance.gap, tolerance.pause)
    if cheapest < 1:
        raise ValueError("stay, gap and pause cost at least 1: alignments must not last for free")
    return Plan(
        phones=columns,
        deletions=price,
        charge=charge,
        words=np.asarray(words, np.int64),
        clip=tolerance.clip,
        gap_clip=tolerance.gap_clip,
        stay=tolerance.stay,
        blank=blank,
        limit=limit,
        # Each frame but the first of a unit costs `cheapest` or more.
        warm_up=count + limit // cheapest,
    )


def scan(costs: Costs, plan: Plan) -> Keys:
    """For every frame, the key of the cheapest alignment of `plan` that ends there.

    costs: (frames, units) from `readable`. Returns (frames,) keys, NOTHING where the cheapest
    alignment costs more than `plan.limit`; `unpack` tells cost and length.
    """
    keys = np.empty(len(costs), np.int64)
    scan_into(costs, plan, keys)
    return keys


def unpack(keys: Keys) -> tuple[Columns, Columns]:
    """Costs and lengths in frames that `keys` hold."""
    return keys >> AGE_BITS, keys & ((1 << AGE_BITS) - 1)


def trace(costs: Costs, plan: Plan, start: int, end: int) -> Trace:
    """Spell out the cheapest alignment of `plan` from frame `start` to frame `end`, inclusive."""
    parts = np.zeros((4, len(plan.phones)), np.int64)
    trace_into(costs, plan, start, end, parts)
    return Trace(*parts)


@compiled
def scan_into(costs: Costs, plan: Plan, keys: Keys) -> None:
    """`scan`, into `keys`."""
    count = uint64(plan.phones.shape[0])
    units = np.full(count, FAR, np.int64)
    gaps = np.full(count, FAR, np.int64)
    # What it costs more to come from the unit before, or the one before that, without a gap.
    again, again2 = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for at in range(1, plan.phones.shape[0]):
        again[at] = FAR if plan.phones[at] == plan.phones[at - 1] else 0
        again2[at] = FAR if at > 1 and plan.phones[at] == plan.phones[at - 2] else 0
    for frame in range(uint64(costs.shape[0])):
        blanked = min(int64(costs[frame, uint64(plan.blank)]), plan.gap_clip)
        # What was before this frame, one unit back and two: where every alignment starts is the
        # gap of a unit in front, which costs nothing.
        unit, gap, unit2, gap2, skip = FAR, 0, FAR, FAR, 0
        for at in range(count):
            unit1, gap1 = units[at], gaps[at]
            before = min(gap, unit + again[at])
            earlier = min(gap2, unit2 + again2[at]) + skip
            best = min(min(before, earlier), unit1 + (plan.stay << AGE_BITS))
            emission = min(int64(costs[frame, uint64(plan.phones[at])]), plan.clip)
            charge = (blanked + plan.charge[at]) << AGE_BITS
            units[at] = min(best + (emission << AGE_BITS) + 1, FAR)
            gaps[at] = min(min(gap1, unit1) + charge + 1, FAR)
            unit2, gap2, unit, gap = unit, gap, unit1, gap1
            skip = plan.deletions[at] << AGE_BITS
        key = units[count - uint64(1)]
        if count > uint64(1):
            key = min(key, units[count - uint64(2)] + skip)
        keys[frame] = key if key >> AGE_BITS <= plan.limit else NOTHING


# What a unit was reached from, in `_walk` and `_trace`.
_STAYED, _UNIT, _GAP, _UNIT_BUT_ONE, _GAP_BUT_ONE, _START, _START_BUT_ONE = range(7)


@compiled
def trace_into(costs: Costs, plan: Plan, start: int, end: int, parts: Columns) -> None:
    """The arrays of a Trace, into `parts` (4, units or more)."""
    count = plan.phones.shape[0]
    from_unit = np.zeros((end - start + 1, count), np.int8)
    from_gap = np.zeros((end - start + 1, count), np.bool_)
    at = _walk(costs, plan, start, end, from_unit, from_gap)
    first, last, unit_costs, gap_costs = parts[0], parts[1], parts[2], parts[3]
    parts[:2] = -1
    parts[2:] = 0
    if at < count - 1:
        unit_costs[at + 1] = plan.deletions[count - 1]
    in_gap = False
    for back in range(end - start + 1):
        step = end - start - back
        frame = start + step
        if in_gap:
            blanked = min(int64(costs[frame, plan.blank]), plan.gap_clip)
            gap_costs[at] += blanked + plan.charge[at]
            in_gap = from_gap[step, at]
            continue
        last[at] = max(last[at], frame)
        first[at] = frame
        unit_costs[at] += min(int64(costs[frame, plan.phones[at]]), plan.clip)
        came = from_unit[step, at]
        if came == _STAYED:
            unit_costs[at] += plan.stay
        elif came in (_UNIT, _GAP):
            at -= 1
        elif came in (_UNIT_BUT_ONE, _GAP_BUT_ONE, _START_BUT_ONE):
            unit_costs[at - 1] = plan.deletions[at - 1]
            at -= 2
        in_gap = came in (_GAP, _GAP_BUT_ONE)


@compiled
def _walk(
    costs: Costs, plan: Plan, start: int, end: int, from_unit: Origins, from_gap: Origins
) -> int:
    """The kernel's recurrence from one start, keeping in from_* where each state came from.

    from_unit (frames, units): one of the constants above; from_gap: whether the gap went on.
    Returns the index of the last unit that is not left out.
    """
    count: int = plan.phones.shape[0]
    units = np.full(count, FAR, np.int64)
    gaps = np.full(count, FAR, np.int64)
    for frame in range(start, end + 1):
        blanked = min(int64(costs[frame, plan.blank]), plan.gap_clip)
        for back in range(count):
            at = count - 1 - back
            came, best = _STAYED, units[at] + plan.stay
            if at >= 1:
                if plan.phones[at - 1] != plan.phones[at] and units[at - 1] < best:
                    came, best = _UNIT, units[at - 1]
                if gaps[at - 1] < best:
                    came, best = _GAP, gaps[at - 1]
            if at >= 2:
                skip = plan.deletions[at - 1]
                if plan.phones[at - 2] != plan.phones[at] and units[at - 2] + skip < best:
                    came, best = _UNIT_BUT_ONE, units[at - 2] + skip
                if gaps[at - 2] + skip < best:
                    came, best = _GAP_BUT_ONE, gaps[at - 2] + skip
            if frame == start and at == 0:
                came, best = _START, 0
            if frame == start and at == 1 and plan.deletions[0] < best:
                came, best = _START_BUT_ONE, plan.deletions[0]
            from_unit[frame - start, at] = came
            from_gap[frame - start, at] = gaps[at] < units[at]
            emission = min(int64(costs[frame, plan.phones[at]]), plan.clip)
            gaps[at] = min(min(gaps[at], units[at]) + blanked + plan.charge[at], FAR)
            units[at] = min(best + emission, FAR)
    if count > 1 and units[count - 2] + plan.deletions[count - 1] < units[count - 1]:
        count -= 1
    return count - 1
