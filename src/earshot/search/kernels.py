"""What runs as machine code, written for Numba: see `native`, which compiles and calls it.

Nothing here allocates, raises, or calls anything but what stands here and in `vectors`: room is
handed in. Arguments that several share:

    lanes       (units, steps, 32) bytes, as `earshot.lanes` packs them
    nodes, ends, sources, tables, head   a program, as `lowest.Program` says
    units       (4, units) of a plan: column, price of leaving out, charge of the gap behind, and
                where words start in the first `words` elements; prices: of a plan, `PRICES`

Indexes are unsigned where speed matters, because Numba otherwise tests each for being negative.
This module knows nothing of who calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types, uint8, uint64

from earshot.lanes import BLOCK, LANES, PACKED, costs_of
from earshot.search import vectors

_OPTIONS = {"nogil": True, "error_model": "numpy"}
_COSTS = costs_of(np.arange(16, dtype=np.uint8))
_ROW = BLOCK * LANES  # numbers that one row of emissions takes
_NODE = 3 * LANES  # and the states of one node

FAR = 1 << 56
AGE_BITS = 24  # of a key of `scan`

_F = TypeVar("_F", bound=Callable[..., object])


def _inner(function: _F) -> _F:
    """Compiled into what calls it."""
    return cast(_F, numba.njit(**_OPTIONS)(function))


def dispatcher(name: str) -> Callable[..., int]:
    """A kernel to be called through Numba."""
    return numba.njit(**_OPTIONS)(_FUNCTIONS[name])  # type: ignore[no-any-return]


def assembly(name: str, takes: str) -> tuple[str, str]:
    """The full name of a kernel and LLVM's text of it, with all that it calls.

    takes: the types of its arguments, as `native.KERNELS` has them.
    """
    one: Any = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(
        _FUNCTIONS[name]
    )
    kinds = []
    for part in takes.split():
        kind, _, dimensions = part.partition(":")
        scalar = numba.from_dtype(np.dtype(kind))
        kinds.append(types.Array(scalar, int(dimensions), "C") if dimensions else scalar)
    one.compile(tuple(kinds))
    (made,) = one.overloads.values()
    return made.fndesc.llvm_func_name, one.inspect_llvm(one.signatures[0])


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


@_inner
def _advance(states: Any, step: int, nodes: Any, head: Any, emissions: Any) -> None:
    """One frame on; units are advanced last to first, since each reads what was before it."""
    count = uint64(nodes.shape[0])
    for back in range(count):
        node = count - uint64(1) - back
        vectors.advance(
            states, (node + uint64(2)) * uint64(_NODE), nodes[node, 0], nodes[node, 1],
            emissions, nodes[node, 2] + step, nodes[node, 3] + step, nodes[node, 4], head[0],
        )  # fmt: skip


@_inner
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


@_inner
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
    lanes: Any, windows: Any, columns: Any, nodes: Any, ends: Any, sources: Any, tables: Any,
    head: Any, ceiling: int, radius: int, before: int, packed: Any, states: Any, emissions: Any,
    keys: Any, rows: Any,
) -> int:  # fmt: skip
    """Where the cost is lowest nearby and not above `ceiling`, in windows; how many, in `rows`.

    windows (3, count): the step of the time line where each begins, and where its track does and
    ends. 64 of them are laid side by side with what is `before` them and `radius` steps behind, and
    run again, with keys that hold cost and length. rows (found, 4): the window's number, first and
    last step, cost.
    """
    size = before + BLOCK + radius
    kept = BLOCK + 2 * radius
    found = 0
    for first in range(0, windows.shape[1], LANES):
        batch = min(LANES, windows.shape[1] - first)
        for at in range(uint64(columns.shape[0] * size * PACKED)):
            packed[at] = 255
        for lane in range(batch):
            _lay(lanes, columns, windows[0, first + lane] - before, windows[1, first + lane],
                 windows[2, first + lane], size, lane, packed)  # fmt: skip
        for at in range(uint64(states.shape[0])):
            states[at] = head[1]
        for at in range(_NODE + LANES, _NODE + 3 * LANES):
            states[at] = 0
        for block in range(0, size, BLOCK):
            count = min(BLOCK, size - block)
            _decode(packed, size, block, count, sources, tables, emissions)
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


@_inner
def _lay(
    lanes: Any, columns: Any, start: int, low: int, high: int, size: int, to: int, packed: Any
) -> None:
    """`size` steps of the line from `start` into lane `to` of `packed` (columns, size, 32).

    Only those from `low` to `high`, exclusive; the rest are walls already.
    """
    steps = lanes.shape[1]
    begins, ends = max(start, low), min(start + size, high)
    high_half = to >= PACKED
    for index in range(columns.shape[0]):
        place = uint64((index * size + begins - start) * PACKED + to % PACKED)
        at = begins
        while at < ends:
            lane, step = at // steps, at % steps
            some = min(ends - at, steps - step)
            shift = uint8(lane // PACKED * 4)
            byte = uint64(lane % PACKED)
            column = uint64(columns[index])
            for more in range(uint64(some)):
                level = (lanes[column, uint64(step) + more, byte] >> shift) & uint8(15)
                if high_half:
                    packed[place] = (packed[place] & uint8(15)) | (level << uint8(4))
                else:
                    packed[place] = level | uint8(240)
                place += uint64(PACKED)
            at += some


@_inner
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


# What an alignment is made of.


def _scan(costs: Any, units: Any, prices: Any, states: Any, keys: Any) -> int:
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


def _trace(
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


@_inner
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


@_inner
def _prepare(units: Any, states: Any) -> None:
    """Nothing has been reached; and, by unit, what it costs more to come without a gap from the
    one before, and from that before it: equal units need one between."""
    for at in range(units.shape[1]):
        states[0, at] = states[1, at] = FAR
        states[2, at] = FAR if at > 0 and units[0, at] == units[0, at - 1] else 0
        states[3, at] = FAR if at > 1 and units[0, at] == units[0, at - 2] else 0


def _measure(
    lanes: Any, spans: Any, units: Any, prices: Any, words: Any, columns: Any, softened: Any,
    likely: Any, hard: Any, soft: Any, states: Any, parts: Any, came_from: Any, found: Any,
) -> int:  # fmt: skip
    """What alignments show, one a row of `found` (alignments, 8).

    spans (alignments, 2): the step of the time line where each begins, and its length. Columns of
    `units`, `prices` and `softened` count in `columns`. likely (16,): by level, how likely a unit
    is against the best one. Costs are in steps, times in frames: cost of the units; of the worst;
    units that were heard cleanly; that were left out; cost of the gaps; longest pause between
    words; speech; product, over the units heard, of how many units were equally likely. `hard`,
    `soft` (frames, columns), `states`, `parts` and `came_from` are room.
    """
    clean_cost = prices[5]
    for row in range(spans.shape[0]):
        line, size = spans[row, 0], spans[row, 1]
        for index in range(columns.shape[0]):
            _column(lanes, columns[index], line, size, index, hard, soft)
        for pair in range(softened.shape[0]):
            column, other, price = softened[pair, 0], softened[pair, 1], softened[pair, 2]
            for frame in range(size):
                dearer = min(np.int64(hard[frame, other]) + price, 255)
                if dearer < soft[frame, column]:
                    soft[frame, column] = dearer
        _trace_inner(soft, units, prices, 0, size - 1, states, came_from, parts)
        cost = worst = clean = deleted = gaps = pause = pauses = word = 0
        doubt = 1.0
        spoken_until, spoken_from = -1, size
        for unit in range(units.shape[1]):
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
            doubt *= _equally_likely(lanes, line + parts[0, unit], likely)
        found[row, 0], found[row, 1], found[row, 2], found[row, 3] = cost, worst, clean, deleted
        found[row, 4], found[row, 5] = gaps, pause
        found[row, 6] = spoken_until - spoken_from + 1 - pauses
        found[row, 7] = doubt
    return 0


_trace_inner = _inner(_trace)


@_inner
def _column(lanes: Any, column: int, line: int, size: int, to: int, hard: Any, soft: Any) -> None:
    """The costs of a column of the lanes, `size` steps from `line`, into column `to` of both."""
    steps = lanes.shape[1]
    lane, step = line // steps, line % steps
    for frame in range(size):
        packed = lanes[uint64(column), uint64(step), uint64(lane % PACKED)]
        cost = _COSTS[uint64((packed >> uint8(lane // PACKED * 4)) & uint8(15))]
        hard[frame, to] = cost
        soft[frame, to] = cost
        step += 1
        if step == steps:
            lane, step = lane + 1, 0


@_inner
def _equally_likely(lanes: Any, line: int, likely: Any) -> float:
    """How many units were as likely as the best one in a step of the time line."""
    steps = uint64(lanes.shape[1])
    lane, step = uint64(line) // steps, uint64(line) % steps
    shift = uint8(lane // uint64(PACKED) * uint64(4))
    total = 0.0
    for column in range(uint64(lanes.shape[0])):
        packed = lanes[column, step, lane % uint64(PACKED)]
        total += likely[uint64((packed >> shift) & uint8(15))]
    return total


_FUNCTIONS = {
    "run8": _run,
    "run16": _run,
    "count8": _count,
    "count16": _count,
    "places": _places,
    "measure": _measure,
    "distinct": _distinct,
    "scan": _scan,
    "trace": _trace,
}
