"""Kernels for thousands of queries at once: places and alignments of many plans, lane by lane.

A piece of one lane is taken out of the memory it shares with others, once for all plans, as costs
(steps, units); then all that is asked about it is worked out. Rules are those of `kernels`.
Arguments that several share:

    lanes, start, size   (units, steps, 32) bytes; `size` steps of the time line from `start`
    firsts               plan `p` has the units firsts[p] to firsts[p + 1], exclusive
    prices               of all plans, as `align.Plan.prices` says
    softened             (pairs, 3) column, other column and price of `align.Confusion`
    hard, soft           (size, units) room: costs as they are, and after confusions; the same
                         array where there are none

This module knows nothing of who calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import uint8, uint64

from earshot.lanes import BLOCK, PACKED
from earshot.search import vectors
from earshot.search.compiled import compiled
from earshot.search.paths import COSTS, shown, trace_inner
from earshot.search.vectors import ABREAST

BITS = vectors.LENGTH_BITS
NEVER = 1 << 29  # with room to add to it; no ceiling is above a quarter of it


def _choose(
    scores: Any, counts: Any, widths: Any, first: Any, wanted: Any, at: Any, ceilings: Any
) -> int:
    """By plan the cost up to which its windows are among the `wanted` likeliest of its query.

    scores, counts (plans, costs): by cost, rising, how likely an accident is, and how many windows
    there are; of each plan the first `widths` count. The plans of query `q` are first[q] to
    first[q + 1]. Of windows that are equally likely all are taken; -1 where none is. at: room.
    """
    for query in range(wanted.shape[0]):
        low, high = first[query], first[query + 1]
        for plan in range(low, high):
            at[plan] = 0
        total = 0
        while True:
            best = np.inf
            for plan in range(low, high):
                if at[plan] < widths[plan]:
                    best = min(best, scores[plan, at[plan]])
            if best == np.inf or total >= wanted[query]:
                break
            for plan in range(low, high):
                while at[plan] < widths[plan] and scores[plan, at[plan]] <= best:
                    total += counts[plan, at[plan]]
                    at[plan] += 1
        for plan in range(low, high):
            ceilings[plan] = at[plan] - 1
    return 0


def _seek(
    lanes: Any, start: int, size: int, windows: Any, firsts: Any, columns: Any, rules: Any,
    deletions: Any, ceilings: Any, before: Any, softened: Any, prices: Any, radius: int, hard: Any,
    soft: Any, in_units: Any, in_gaps: Any, emissions: Any, keys: Any, rows: Any,
) -> int:  # fmt: skip
    """Where costs are lowest nearby and not above a plan's ceiling, in windows; how many, in rows.

    windows (count, 4): step of the time line where a window begins, plan, and where its track does
    and ends. Plans begin at multiples of ABREAST here: their units are padded to such lengths.
    columns: of units; rules (4 * units) as `vectors.stride` takes them; deletions: by plan, the
    price of leaving out the last unit, and how many units there are. before: by plan, the steps
    before a window that may matter. rows (found, 4): number of the window, first and last step of
    the time line, cost. The rest is room: of `keys` one more than steps that are worked out.
    """
    _take(lanes, start, size, softened, hard, soft)
    clip, gap_clip, blank = prices[0], prices[1], uint64(prices[3])
    stay = (prices[2] << BITS) + 1
    found = 0
    for window in range(uint64(windows.shape[0])):
        begins, plan, high = windows[window, 0], windows[window, 1], windows[window, 3]
        first, padded = uint64(firsts[plan]), uint64(firsts[plan + 1] - firsts[plan])
        last = uint64(deletions[plan, 1] + 1)
        skip = deletions[plan, 0] << BITS
        origin = max(begins - before[plan], windows[window, 2])
        stop = min(begins + BLOCK + radius, high)
        for at in range(padded + uint64(2)):
            in_units[at] = in_gaps[at] = NEVER
        in_gaps[1] = 0  # every alignment starts in the gap of a unit in front
        for step in range(uint64(stop - origin)):
            row = uint64(origin - start) + step
            for at in range(padded):
                cost = min(np.int64(soft[row, uint64(columns[first + at])]), clip)
                emissions[at] = (cost << BITS) + 1
            blanked = (min(np.int64(soft[row, blank]), gap_clip) << BITS) + 1
            for back in range(padded // uint64(ABREAST)):
                at = padded - (back + uint64(1)) * uint64(ABREAST)
                vectors.stride(in_units, in_gaps, at + uint64(2), emissions, rules, first + at,
                               uint64(columns.shape[0]), blanked, stay - 1, NEVER)  # fmt: skip
            key = np.int64(in_units[last])
            if last > uint64(2):
                key = min(key, in_units[last - uint64(1)] + skip)
            keys[step] = key
        for step in range(begins, min(begins + BLOCK, high)):
            key = keys[step - origin]
            cost = key >> BITS
            if cost <= ceilings[plan] and _lowest_nearby(
                keys, step - origin, cost, radius, stop - origin
            ):
                rows[found, 0] = window
                rows[found, 1] = step + 1 - (key & ((1 << BITS) - 1))
                rows[found, 2] = step
                rows[found, 3] = cost
                found += 1
    return found


@compiled
def _lowest_nearby(keys: Any, at: int, cost: int, radius: int, size: int) -> bool:
    """Whether no step within `radius` has a lower cost, nor an earlier one the same."""
    for other in range(max(at - radius, 0), min(at + radius + 1, size)):
        rival = keys[other] >> BITS
        if rival < cost or (rival == cost and other < at):
            return False
    return True


def _gauge(
    lanes: Any, start: int, size: int, spans: Any, firsts: Any, units: Any, word_firsts: Any,
    words: Any, softened: Any, prices: Any, likely: Any, hard: Any, soft: Any, doubts: Any,
    states: Any, parts: Any, came_from: Any, found: Any,
) -> int:  # fmt: skip
    """What alignments show, a row of `found` (alignments, 8) each, as `paths` measures it.

    units (3, all units): column, price of leaving out, charge of the gap behind. likely: by cost.
    spans (alignments, 3): plan, first step of the time line, length. The words of plan `p` start at
    words[word_firsts[p]] to, exclusive, words[word_firsts[p + 1]]. The rest is room.
    """
    _take(lanes, start, size, softened, hard, soft)
    for step in range(uint64(size)):
        doubts[step] = 0.0
    for column in range(uint64(lanes.shape[0])):
        for step in range(uint64(size)):
            doubts[step] += likely[uint64(hard[step, column])]
    for row in range(spans.shape[0]):
        plan, begins, length = spans[row, 0], spans[row, 1] - start, spans[row, 2]
        own = units[:, firsts[plan] : firsts[plan + 1]]
        starts = words[word_firsts[plan] : word_firsts[plan + 1]]
        trace_inner(soft, own, prices, begins, begins + length - 1, states, came_from, parts)
        for unit in range(own.shape[1]):
            if parts[0, unit] >= 0:  # counted from where the alignment begins
                parts[0, unit] -= begins
                parts[1, unit] -= begins
        shown(parts, own.shape[1], starts, prices[5], length, found[row])
        doubt = 1.0
        for unit in range(own.shape[1]):
            if parts[0, unit] >= 0:
                doubt *= doubts[begins + parts[0, unit]]
        found[row, 7] = doubt
    return 0


@compiled
def _take(lanes: Any, start: int, size: int, softened: Any, hard: Any, soft: Any) -> None:
    """The costs of `size` steps of the time line from `start`, into `hard` and `soft`."""
    steps = lanes.shape[1]
    done = 0
    while done < size:
        lane, step = (start + done) // steps, (start + done) % steps
        some = min(min(size - done, steps - step), BLOCK)  # what fits in the nearest cache
        shift, byte = uint8(lane // PACKED * 4), uint64(lane % PACKED)
        for column in range(uint64(lanes.shape[0])):
            for more in range(uint64(some)):
                level = (lanes[column, uint64(step) + more, byte] >> shift) & uint8(15)
                hard[uint64(done) + more, column] = COSTS[uint64(level)]
        done += some
    for step in range(uint64(size if softened.shape[0] else 0)):
        for column in range(uint64(lanes.shape[0])):
            soft[step, column] = hard[step, column]
        for pair in range(softened.shape[0]):
            column, other, price = softened[pair, 0], softened[pair, 1], softened[pair, 2]
            dearer = min(np.int64(hard[step, other]) + price, 255)
            if dearer < soft[step, column]:
                soft[step, column] = dearer


FUNCTIONS: dict[str, Callable[..., int]] = {"choose": _choose, "seek": _seek, "gauge": _gauge}
