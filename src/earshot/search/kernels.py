"""What runs as machine code, written for Numba: see `native`, which compiles and calls it.

Nothing here allocates, raises, or calls anything but what stands here, in `paths` and in `vectors`:
room is handed in. Arguments that several share:

    packed   lanes (units, steps, 32) of bytes, as `earshot.lanes` packs them, in one row
    nodes, ends, sources, tables, head    a program, as `lowest.Program` says

Indexes are unsigned where speed matters, because Numba otherwise tests each for being negative.
This module knows nothing of who calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import uint8, uint64

from earshot.lanes import BLOCK, LANES, PACKED
from earshot.search import beam, crowd_kernels, paths, vectors
from earshot.search.compiled import compiled

_ROW = BLOCK * LANES  # numbers that one row of emissions takes
_COSTS = paths.COSTS
_NODE = 3 * LANES  # and the states of one node


# The pass over everything.


def _run(
    packed: Any, blocks: int, nodes: Any, ends: Any, sources: Any, tables: Any, head: Any,
    start: int, first: int, end: int, states: Any, emissions: Any, lowest: Any,
) -> int:  # fmt: skip
    """The lowest costs (ends, blocks, lanes) of blocks `first` to `end`, into `lowest`.

    Begins at block `start`, which may be negative: it counts back into the lanes before.
    """
    most = head[1]
    for at in range(states.shape[0]):
        states[at] = most
    for at in range(_NODE + LANES, _NODE + 3 * LANES):
        states[at] = 0
    size = uint64(blocks * LANES)
    for block in range(start, end):
        if block % blocks == 0 and block > start:
            _hand_on(states, most)
        at = uint64(block % blocks)
        _decode(packed, blocks * BLOCK, at * uint64(BLOCK), BLOCK, sources, tables, emissions)
        to = at * uint64(LANES)
        count = uint64(ends.shape[0]) if block >= first else uint64(0)
        for which in range(count):
            place = to + uint64(which) * size
            for lane in range(uint64(LANES)):
                lowest[place + lane] = most
        for step in range(BLOCK):
            _advance(states, step * LANES, nodes, head, emissions)
            for which in range(count):
                vectors.end(states, ends[which, 0], ends[which, 1], ends[which, 2],
                            lowest, to + uint64(which) * size)  # fmt: skip
    return 0


@compiled
def _advance(states: Any, step: int, nodes: Any, head: Any, emissions: Any) -> None:
    """One frame on; units are advanced last to first, since each reads what was before it."""
    count = uint64(nodes.shape[0])
    for back in range(count):
        node = count - uint64(1) - back
        vectors.advance(
            states, (node + uint64(2)) * uint64(_NODE), nodes[node, 0], nodes[node, 1],
            emissions, nodes[node, 2] + step, nodes[node, 3] + step, nodes[node, 4], head[0],
        )  # fmt: skip


@compiled
def _decode(
    packed: Any, steps: int, first: int, count: int, sources: Any, tables: Any, emissions: Any
) -> None:
    """The emissions of `count` steps from `first`: (rows, steps of a block, lanes)."""
    for source in range(uint64(sources.shape[0])):
        at = (uint64(sources[source, 0]) * uint64(steps) + uint64(first)) * uint64(PACKED)
        to = uint64(sources[source, 1])
        table = source * uint64(2 * vectors.LEVELS_THERE)
        for _ in range(count):
            if sources[source, 2]:
                vectors.decode_lower(packed, at, tables, table, emissions, to)
            else:
                vectors.decode(packed, at, tables, table, emissions, to)
            at += uint64(PACKED)
            to += uint64(LANES)


@compiled
def _hand_on(states: Any, most: int) -> None:
    """Every lane's states to the next lane; nothing comes before the first."""
    for row in range(2 * 3, states.shape[0] // LANES):
        at = row * LANES
        for back in range(LANES - 1):
            states[at + LANES - 1 - back] = states[at + LANES - 2 - back]
        states[at] = most


def _count(lowest: Any, limit: int, scale: int, histogram: Any) -> int:
    """Add to `histogram` how many of `lowest` are at each cost up to `limit`."""
    for index in range(uint64(lowest.shape[0])):
        cost = lowest[index]
        if cost <= limit:
            histogram[uint64(cost) * uint64(scale)] += 1
    return 0


# Where exactly.


def _places(
    packed: Any, steps: int, windows: Any, offsets: Any, nodes: Any, ends: Any, sources: Any,
    tables: Any, head: Any, bounds: Any, there: Any, states: Any, emissions: Any, keys: Any,
    rows: Any,
) -> int:  # fmt: skip
    """Where the cost is lowest nearby and not above a ceiling, in windows; how many, in `rows`.

    packed, steps: lanes, in one row, and how many steps they have; offsets: where in it the columns
    begin that the sources count. windows (3, count): the step of the time line where each begins,
    and where its track does and ends. bounds: the ceiling; how many steps are nearby; how many
    before a window may matter; and what `_lay` is told. 64 windows are laid side by side and run
    again, with keys that hold cost and length. rows (found, 4): the window's number, first and last
    step, cost.
    """
    ceiling, radius, before = bounds[0], bounds[1], bounds[2]
    size = before + BLOCK + radius
    kept = BLOCK + 2 * radius
    found = 0
    for first in range(0, windows.shape[1], LANES):
        batch = min(LANES, windows.shape[1] - first)
        for at in range(uint64(there.shape[0])):
            there[at] = 255
        earliest = size
        for lane in range(batch):
            begins, low, high = (
                windows[0, first + lane], windows[1, first + lane], windows[2, first + lane]
            )  # fmt: skip
            from_here = _lay(packed, steps, offsets, begins, low, high, bounds, lane, there)
            earliest = min(earliest, from_here)
        earliest = min(earliest, size - kept)
        for at in range(uint64(states.shape[0])):
            states[at] = head[1]
        for at in range(_NODE + LANES, _NODE + 3 * LANES):
            states[at] = 0
        for block in range(earliest, size, BLOCK):
            count = min(BLOCK, size - block)
            _decode(there, size, block, count, sources, tables, emissions)
            for step in range(count):
                _advance(states, step * LANES, nodes, head, emissions)
                to = block + step - (size - kept)
                if to >= 0:
                    for lane in range(uint64(LANES)):
                        keys[uint64(to * LANES) + lane] = head[1]
                    vectors.end(states, ends[0, 0], ends[0, 1], ends[0, 2], keys, to * LANES)
        for lane in range(batch):
            begins = windows[0, first + lane]
            for step in range(min(BLOCK, windows[2, first + lane] - begins)):
                key = keys[uint64((step + radius) * LANES + lane)]
                cost = key >> vectors.LENGTH_BITS
                if cost <= ceiling and _lowest_nearby(keys, step, cost, radius, lane):
                    rows[found, 0] = first + lane
                    rows[found, 1] = begins + step + 1 - (key & ((1 << vectors.LENGTH_BITS) - 1))
                    rows[found, 2] = begins + step
                    rows[found, 3] = cost
                    found += 1
    return found


@compiled
def _lay(
    packed: Any, steps: int, offsets: Any, begins: int, low: int, high: int, bounds: Any, to: int,
    there: Any,
) -> int:  # fmt: skip
    """A window that begins at a step of the line, and what matters before and behind it.

    Goes into lane `to` of `there` (columns, steps, 32), where else are walls. An alignment that
    reaches back over a frame costs what the cheapest of its units costs there, `bounds[5]` at
    most, and `bounds[4]` more for all frames but one a unit: once that is more than `bounds[3]`,
    what lies before does not matter. Returns from which step on anything lies there.
    """
    radius, before, left = bounds[1], bounds[2], bounds[3]
    size = before + BLOCK + radius
    last = min(begins + BLOCK + radius, high) - 1
    first = max(begins - before, low)
    lane, step = last // steps, last % steps
    count, more = uint64(offsets.shape[0]), uint64(size * PACKED)
    upper = uint8(to // PACKED * 4)
    others = uint8(240) >> upper
    for back in range(last - first + 1):
        index = last - back - begins + before
        shift = uint8(lane // PACKED * 4)
        here = uint64(step * PACKED + lane % PACKED)
        place = uint64(index * PACKED + to % PACKED)
        cheapest = uint8(255)
        for column in range(count):
            level = (packed[uint64(offsets[column]) + here] >> shift) & uint8(15)
            there[place] = (there[place] & others) | (level << upper)
            place += more
            cheapest = min(cheapest, _COSTS[uint64(level)])
        if index < before - radius:
            left -= min(np.int64(cheapest), bounds[5]) + bounds[4]
            if left < 0:
                return int(index)
        if step == 0:
            lane, step = lane - 1, steps
        step -= 1
    return int(before - begins + first)


@compiled
def _lowest_nearby(keys: Any, step: int, cost: int, radius: int, lane: int) -> bool:
    """Whether no step within `radius` has a lower cost, nor an earlier one the same."""
    for other in range(2 * radius + 1):
        rival = keys[uint64((step + other) * LANES + lane)] >> vectors.LENGTH_BITS
        if rival < cost or (rival == cost and other < radius):
            return False
    return True


def _distinct(rows: Any, place: Any, position: Any, longest: int, shared: float, kept: Any) -> int:
    """Mark in `kept` which rows share at most so much with any better one that is kept; how many.

    place: the order of rows by track and start; position: room; longest: frames of the longest.
    """
    count = rows.shape[0]
    total = 0
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
        total += alone
    return total


FUNCTIONS: dict[str, Callable[..., int]] = {
    "run8": _run,
    "run16": _run,
    "count8": _count,
    "count16": _count,
    "places": _places,
    "measure": paths.measure,
    "distinct": _distinct,
    "scan": paths.scan,
    "trace": paths.trace,
    "decode": beam.decode,
    **crowd_kernels.FUNCTIONS,
}
"""Every kernel by its name in `native.KERNELS`."""
