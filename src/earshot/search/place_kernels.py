"""Kernels that work out places: where exactly a plan was heard in a window, and how.

What a plan needs of each step is taken out of the lanes once, as rows of bytes that lie side by
side; the units then go through time abreast (`vectors.stretch`). Arguments that several share:

    source, apart, stride, steps, start    where levels lie: in flat bytes, columns `apart` of each
             other, steps `stride`, `steps` of them in each of the lanes, which lie as
             `earshot.lanes` packs them; a step of the time line counts from `start`
    padded   plan `p` has padded[p] to padded[p + 1] of `columns`, a multiple of ABREAST: those of
             its units, then the blank's, once or more
    units    (3, all units): number in its plan, price of leaving out, charge of the gap behind;
             those of plan `p` are firsts[p] to firsts[p + 1], exclusive
    prices   of all plans, as `align.Plan.prices` says

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
NEVER = 1 << 29  # with room to add to it; no ceiling is as high


def _choose(
    scores: Any,
    counts: Any,
    widths: Any,
    first: Any,
    wanted: Any,
    levels: Any,
    at: Any,
    ceilings: Any,
) -> int:
    """By plan the cost up to which its windows are among the `wanted` likeliest of its query.

    scores, counts (plans, costs): by cost, rising, how likely an accident is, and how many windows
    there are; of each plan the first `widths` count. The plans of query `q` are first[q] to
    first[q + 1]. Of windows that are equally likely all are taken, but none whose score is above
    its query's of `levels`; -1 where none is. at: room.
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
            if best == np.inf or best > levels[query] or total >= wanted[query]:
                break
            for plan in range(low, high):
                while at[plan] < widths[plan] and scores[plan, at[plan]] <= best:
                    total += counts[plan, at[plan]]
                    at[plan] += 1
        for plan in range(low, high):
            ceilings[plan] = at[plan] - 1
    return 0


def _seek(
    source: Any, apart: int, stride: int, steps: int, start: int, windows: Any, padded: Any,
    columns: Any, counts: Any, rules: Any, deletions: Any, prices: Any, bounds: Any, radius: int,
    offsets: Any, rows: Any, blanks: Any, trails: Any, keys: Any, found: Any,
) -> int:  # fmt: skip
    """Where costs are lowest nearby and not above a plan's ceiling, in windows; how many.

    windows (count, 4): step of the time line where a window begins, plan, and where its track does
    and ends. counts: by plan, its units. rules (4 * all columns) as `vectors.stretch` takes them;
    deletions: by plan, the price of leaving out the last unit. bounds (plans, 3): the ceiling, how
    many steps before a window may matter, and what each of them costs at least. found (places, 4):
    number of the window, first and last step of the time line, cost. The rest is room: `trails` of
    three, the first of which one step long.
    """
    for at in range(2 * ABREAST):  # every alignment starts in the gap of a unit in front
        trails[at] = NEVER
    trails[2 * ABREAST - 1] = 0
    total = 0
    for window in range(uint64(windows.shape[0])):
        begins, plan, high = windows[window, 0], windows[window, 1], windows[window, 3]
        ceiling, count = bounds[plan, 0], uint64(counts[plan])
        first, width = uint64(padded[plan]), uint64(padded[plan + 1] - padded[plan])
        for at in range(width):
            offsets[at] = columns[first + at] * apart
        stop = min(begins + BLOCK + radius, high)
        size = _reach(
            source, stride, steps, start, begins - radius, stop,
            max(begins - bounds[plan, 1], windows[window, 2]), offsets, width,
            ceiling + np.int64(count) * bounds[plan, 2], bounds[plan, 2],
            min(prices[0], prices[1]), rows,
        )  # fmt: skip
        _go(
            rows, width, count, first, uint64(size), prices, rules, uint64(columns.shape[0]),
            deletions[plan], blanks, trails, keys,
        )  # fmt: skip
        origin = stop - np.int64(size)
        for step in range(begins, min(begins + BLOCK, high)):
            key = keys[step - origin]
            cost = key >> BITS
            if cost <= ceiling and _lowest_nearby(keys, step - origin, cost, radius, stop - origin):
                found[total, 0] = window
                found[total, 1] = step + 1 - (key & ((1 << BITS) - 1))
                found[total, 2] = step
                found[total, 3] = cost
                total += 1
    return total


@compiled
def _reach(
    source: Any, stride: int, steps: int, start: int, near: int, stop: int, low: int, offsets: Any,
    width: int, left: int, cheapest: int, most: int, rows: Any,
) -> int:  # fmt: skip
    """Rows of what columns cost, back in time from step `stop`, which is not one of them.

    An alignment that reaches back over a step before `near` costs what the cheapest of its columns
    costs there, `most` at most, and `cheapest` for all steps but one a unit: once that is more than
    `left`, what lies before does not matter; nor does what lies before step `low`. Returns how many
    rows there are; the earliest is the last.
    """
    lane, step = (stop - 1 - start) // steps, (stop - 1 - start) % steps
    for back in range(stop - low):
        base = uint64(step * stride + lane % PACKED)
        to = uint64(back) * uint64(width)
        least = _heard(source, base, lane // PACKED * 4, offsets, width, rows, to)
        if stop - 1 - back < near:
            left -= min(least, most) + cheapest
            if left < 0:
                return int(back + 1)
        if step == 0:
            lane, step = lane - 1, steps
        step -= 1
    return int(stop - low)


@compiled
def _go(
    rows: Any, width: int, count: int, first: int, size: int, prices: Any, rules: Any, every: int,
    deletion: int, blanks: Any, trails: Any, keys: Any,
) -> None:  # fmt: skip
    """By step, in the order of time, the key of the cheapest alignment that ends there.

    rows: as `_reach` leaves them, the last first. The units' rules lie from `first` on in `rules`,
    which has four rows of `every` numbers.
    """
    back = (size - uint64(1)) * width
    for at in range(size):
        cost = min(np.int64(rows[back - at * width + count]), prices[1])
        blanks[at] = (cost << BITS) + 1
    half = uint64((trails.shape[0] - 2 * ABREAST) // 2)
    leads = mine = trails[: 2 * ABREAST]
    apart = uint64(0)
    for part in range((count + uint64(ABREAST - 1)) // uint64(ABREAST)):
        if part:
            leads, apart = mine, uint64(2 * ABREAST)
        mine = trails[uint64(2 * ABREAST) + (part & uint64(1)) * half :]
        behind = part * uint64(ABREAST)
        vectors.stretch(
            leads, apart, mine, rows, back + behind, width, prices[0], blanks, uint64(0), rules,
            first + behind, every, prices[2] << BITS, NEVER, size,
        )  # fmt: skip
    last = (count - uint64(1)) % uint64(ABREAST)
    skip = deletion << BITS
    for at in range(size):
        to = (at + uint64(1)) * uint64(2 * ABREAST)
        key = np.int64(mine[to + last])
        if last:
            key = min(key, np.int64(mine[to + last - uint64(1)]) + skip)
        elif count > uint64(1):
            key = min(key, np.int64(leads[to + uint64(ABREAST - 1)]) + skip)
        keys[at] = key


@compiled
def _lowest_nearby(keys: Any, at: int, cost: int, radius: int, size: int) -> bool:
    """Whether no step within `radius` has a lower cost, nor an earlier one the same."""
    for other in range(max(at - radius, 0), min(at + radius + 1, size)):
        rival = keys[other] >> BITS
        if rival < cost or (rival == cost and other < at):
            return False
    return True


@compiled
def _heard(source: Any, base: int, shift: int, offsets: Any, width: int, rows: Any, to: int) -> int:
    """What `width` columns cost in one step, to `to` in `rows`; returns the least of it."""
    least = 255
    for part in range(uint64(0), uint64(width), uint64(ABREAST)):
        least = min(
            least,
            vectors.hear(
                source, uint64(base), shift, offsets, part, COSTS, rows, uint64(to) + part
            ),
        )
    return least


def _gauge(
    source: Any, apart: int, stride: int, steps: int, start: int, spans: Any, padded: Any,
    columns: Any, firsts: Any, units: Any, word_firsts: Any, words: Any, prices: Any, offsets: Any,
    rows: Any, every: Any, states: Any, parts: Any, came_from: Any, found: Any, marks: Any,
) -> int:  # fmt: skip
    """What alignments show, the first seven numbers of a row of `found` each.

    spans (alignments, 3): plan, first step of the time line, length. The words of plan `p` start at
    words[word_firsts[p]] to, exclusive, words[word_firsts[p + 1]]. found: cost of the units; of the
    worst; units that were heard cleanly; that were left out; cost of the gaps; longest pause
    between words; speech; all costs in steps, times in frames. marks (alignments, units): by unit
    the step of the time line where it begins, -1 where it was left out and behind the last. The
    rest is room: `rows` (frames, columns), and the same in one row.
    """
    for row in range(spans.shape[0]):
        plan, begins, length = spans[row, 0], spans[row, 1], spans[row, 2]
        first, width = uint64(padded[plan]), uint64(padded[plan + 1] - padded[plan])
        for at in range(width):
            offsets[at] = columns[first + at] * apart
        lane, step = (begins - start) // steps, (begins - start) % steps
        for at in range(uint64(length)):
            _heard(
                source, uint64(step * stride + lane % PACKED), lane // PACKED * 4, offsets, width,
                every, at * uint64(rows.shape[1]),
            )  # fmt: skip
            step += 1
            if step == steps:
                lane, step = lane + 1, 0
        own = units[:, firsts[plan] : firsts[plan + 1]]
        starts = words[word_firsts[plan] : word_firsts[plan + 1]]
        prices[3] = own.shape[1]  # the blank stands behind the units
        trace_inner(rows, own, prices, 0, length - 1, states, came_from, parts)
        shown(parts, own.shape[1], starts, prices[5], length, found[row])
        for unit in range(marks.shape[1]):
            heard = unit < own.shape[1] and parts[0, unit] >= 0
            marks[row, unit] = begins + parts[0, unit] if heard else -1
    return 0


def _doubt(
    levels: Any, units: int, steps: int, lines: Any, likely: Any, places: Any, sums: Any
) -> int:
    """By step of the time line how many units were as likely as the best one, into `sums`.

    levels: lanes (units, steps, 32) in one row; lines: the steps; likely: by level, how likely a
    unit is against the best one. places (2, lines): room. Column after column: what lies side by
    side in memory is read together.
    """
    for at in range(lines.shape[0]):
        lane, step = lines[at] // steps, lines[at] % steps
        places[0, at], places[1, at] = step * PACKED + lane % PACKED, lane // PACKED * 4
        sums[at] = 0.0
    for column in range(units):
        first = column * steps * PACKED
        for at in range(uint64(lines.shape[0])):
            level = (levels[uint64(first + places[0, at])] >> uint8(places[1, at])) & uint8(15)
            sums[at] += likely[uint64(level)]
    return 0


def _take(lanes: Any, start: int, levels: Any) -> int:
    """The levels (steps, units) of the time line from step `start`, of all units."""
    steps = lanes.shape[1]
    done, size = 0, levels.shape[0]
    while done < size:
        lane, step = (start + done) // steps, (start + done) % steps
        some = min(min(size - done, steps - step), BLOCK)  # what fits in the nearest cache
        shift, byte = uint8(lane // PACKED * 4), uint64(lane % PACKED)
        for column in range(uint64(lanes.shape[0])):
            for more in range(uint64(some)):
                level = (lanes[column, uint64(step) + more, byte] >> shift) & uint8(15)
                levels[uint64(done) + more, column] = level
        done += some
    return 0


FUNCTIONS: dict[str, Callable[..., int]] = {
    "choose": _choose,
    "seek": _seek,
    "gauge": _gauge,
    "doubt": _doubt,
    "take": _take,
}
