"""Alignments over a stretch of seconds, as machine code: what they cost, and how they came about.

Written as `kernels` are. Arguments that several share:

    units    (3, units) of a plan: columns, prices of leaving out, charges of the gaps behind
    prices   of a plan: clip, gap_clip, stay, blank, limit, and what a clean unit costs at most

This module knows nothing of who calls it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import uint64

from earshot.lanes import costs_of
from earshot.search.compiled import compiled

COSTS = costs_of(np.arange(16, dtype=np.uint8))
"""By level: what it costs."""

FAR = 1 << 56
AGE_BITS = 24  # of a key of `scan`


def scan(costs: Any, units: Any, prices: Any, states: Any, keys: Any) -> int:
    """For every frame, into `keys`, the key of the cheapest alignment that ends there.

    costs (frames, units), states (4, units): room.
    """
    clip, gap_clip, stay, blank, limit = prices[0], prices[1], prices[2], prices[3], prices[4]
    count = units.shape[1]
    _prepare(units, states)
    for frame in range(costs.shape[0]):
        blanked = min(np.int64(costs[frame, blank]), gap_clip)
        # What was before this frame, one unit back and two: where every alignment starts is the
        # gap of a unit in front, which costs nothing.
        unit, gap, unit2, gap2, skip = FAR, 0, FAR, FAR, 0
        for at in range(count):
            unit1, gap1 = states[0, at], states[1, at]
            before = min(gap, unit + states[2, at])
            earlier = min(gap2, unit2 + states[3, at]) + skip
            best = min(min(before, earlier), unit1 + (stay << AGE_BITS))
            emission = min(np.int64(costs[frame, units[0, at]]), clip)
            charge = (blanked + units[2, at]) << AGE_BITS
            states[0, at] = min(best + (emission << AGE_BITS) + 1, FAR)
            states[1, at] = min(min(gap1, unit1) + charge + 1, FAR)
            unit2, gap2, unit, gap = unit, gap, unit1, gap1
            skip = units[1, at] << AGE_BITS
        key = states[0, count - 1]
        if count > 1:
            key = min(key, states[0, count - 2] + skip)
        keys[frame] = key if key >> AGE_BITS <= limit else np.iinfo(np.int64).max
    return 0


# What a unit was reached from. A key `cost << _CAME_BITS | came` chooses the cheapest of these and,
# among equals, the first.
_STAYED, _UNIT, _GAP, _UNIT_BUT_ONE, _GAP_BUT_ONE, _START, _START_BUT_ONE = range(7)
_CAME_BITS = 3
_WENT_ON = 1 << _CAME_BITS  # beside that: whether the gap behind was reached from itself


def trace(
    costs: Any, units: Any, prices: Any, start: int, end: int, states: Any, came_from: Any,
    parts: Any,
) -> int:  # fmt: skip
    """Spell out the cheapest alignment from frame `start` to `end`, inclusive, in `parts`.

    parts (4, units): first and last frame of each unit, its cost, and that of the gap behind it.
    states (4, units), came_from (frames, units): room.
    """
    count = units.shape[1]
    at = _walk(costs, units, prices, start, end, states, came_from)
    for unit in range(count):
        parts[0, unit] = parts[1, unit] = -1
        parts[2, unit] = parts[3, unit] = 0
    if at < count - 1:
        parts[2, at + 1] = units[1, count - 1]
    in_gap = False
    for back in range(end - start + 1):
        step = end - start - back
        frame = start + step
        came = came_from[step, at]
        if in_gap:
            parts[3, at] += min(np.int64(costs[frame, prices[3]]), prices[1]) + units[2, at]
            in_gap = came & _WENT_ON != 0
            continue
        parts[1, at] = max(parts[1, at], frame)
        parts[0, at] = frame
        parts[2, at] += min(np.int64(costs[frame, units[0, at]]), prices[0])
        came &= _WENT_ON - 1
        if came == _STAYED:
            parts[2, at] += prices[2]
        elif came in (_UNIT, _GAP):
            at -= 1
        elif came in (_UNIT_BUT_ONE, _GAP_BUT_ONE, _START_BUT_ONE):
            parts[2, at - 1] = units[1, at - 1]
            at -= 2
        in_gap = came in (_GAP, _GAP_BUT_ONE)
    return 0


@compiled
def _walk(
    costs: Any, units: Any, prices: Any, start: int, end: int, states: Any, came_from: Any
) -> int:
    """The recurrence from one start, keeping in `came_from` where each state came from.

    Returns the index of the last unit that is not left out.
    """
    clip, gap_clip, stay, blank = prices[0], prices[1], prices[2], prices[3]
    count = uint64(units.shape[1])
    _prepare(units, states)
    begin = 0
    for frame in range(uint64(start), uint64(end + 1)):
        blanked = min(np.int64(costs[frame, blank]), gap_clip)
        unit1 = gap1 = unit2 = gap2 = FAR
        skip = 0
        for at in range(count):
            unit, gap = states[0, at], states[1, at]
            key = (unit + stay) << _CAME_BITS | _STAYED
            key = min(key, (unit1 + states[2, at]) << _CAME_BITS | _UNIT)
            key = min(key, gap1 << _CAME_BITS | _GAP)
            key = min(key, (unit2 + states[3, at] + skip) << _CAME_BITS | _UNIT_BUT_ONE)
            key = min(key, (gap2 + skip) << _CAME_BITS | _GAP_BUT_ONE)
            if at == 0:
                key = min(key, begin << _CAME_BITS | _START)
            elif at == 1:
                key = min(key, (begin + skip) << _CAME_BITS | _START_BUT_ONE)
            went_on = _WENT_ON if gap < unit else 0
            came_from[frame - uint64(start), at] = (key & (_WENT_ON - 1)) | went_on
            emission = min(np.int64(costs[frame, units[0, at]]), clip)
            states[0, at] = min((key >> _CAME_BITS) + emission, FAR)
            states[1, at] = min(min(gap, unit) + blanked + units[2, at], FAR)
            unit2, gap2, unit1, gap1 = unit1, gap1, unit, gap
            skip = units[1, at]
        begin = FAR
    last = units.shape[1] - 1
    if last > 0 and states[0, last - 1] + units[1, last] < states[0, last]:
        last -= 1
    return int(last)


@compiled
def _prepare(units: Any, states: Any) -> None:
    """Nothing has been reached; and, by unit, what it costs more to come without a gap from the
    one before, and from that before it: equal units need one between."""
    for at in range(units.shape[1]):
        states[0, at] = states[1, at] = FAR
        states[2, at] = FAR if at > 0 and units[0, at] == units[0, at - 1] else 0
        states[3, at] = FAR if at > 1 and units[0, at] == units[0, at - 2] else 0


trace_inner = compiled(trace)


@compiled
def shown(parts: Any, units: int, words: Any, clean_cost: int, size: int, found: Any) -> None:
    """The first seven numbers of a row of `measure`, from the `parts` of its trace."""
    cost = worst = clean = deleted = gaps = pause = pauses = word = 0
    spoken_until, spoken_from = -1, size
    for unit in range(units):
        cost += parts[2, unit]
        worst = max(worst, parts[2, unit])
        clean += parts[2, unit] < clean_cost
        gaps += parts[3, unit]
        if parts[0, unit] < 0:
            deleted += 1
            continue
        begins = False
        while word < words.shape[0] and words[word] <= unit:
            begins = True
            word += 1
        if begins and spoken_until >= 0:
            silent = parts[0, unit] - spoken_until - 1
            pause = max(pause, silent)
            pauses += silent
        spoken_from = min(spoken_from, parts[0, unit])
        spoken_until = parts[1, unit]
    found[0], found[1], found[2], found[3] = cost, worst, clean, deleted
    found[4], found[5] = gaps, pause
    found[6] = spoken_until - spoken_from + 1 - pauses
