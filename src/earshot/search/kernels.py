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

from numba import uint64

from earshot.lanes import BLOCK, LANES, PACKED
from earshot.search import beam, paths, place_kernels, vectors
from earshot.search.compiled import compiled

_STATES = 3 * LANES  # numbers of the states of one node


# The pass over everything.


def _run(
    packed: Any, blocks: int, nodes: Any, ends: Any, sources: Any, tables: Any, head: Any,
    start: int, first: int, end: int, states: Any, trails: Any, emissions: Any, lowest: Any,
    size: int, offset: int,
) -> int:  # fmt: skip
    """The lowest costs of blocks `first` to `end`, from `offset` on in `lowest` (ends, size).

    Begins at block `start`, which may be negative: it counts back into the lanes before.
    """
    most = head[1]
    for at in range(states.shape[0]):
        states[at] = most
    for at in range(2 * vectors.SLOT):
        trails[at] = most
    for at in range(vectors.SLOT, vectors.SLOT + 2 * vectors.TRAIL):
        trails[at] = 0
    for block in range(start, end):
        if block % blocks == 0 and block > start:
            _hand_on(states, most)
        at = uint64(block % blocks)
        _decode(packed, blocks * BLOCK, at * uint64(BLOCK), sources, tables, emissions)
        to = uint64(offset) + at * uint64(LANES)
        _advance(states, trails, nodes, head, emissions, ends, block >= first, lowest, size, to)
    return 0


@compiled
def _advance(
    states: Any, trails: Any, nodes: Any, head: Any, emissions: Any, ends: Any, counts: bool,
    lowest: Any, size: int, to: int,
) -> None:  # fmt: skip
    """One block on; where it counts, the least costs of the ends go to `to` in `lowest`."""
    lanes = uint64(vectors.WIDTH // states.itemsize)
    end = uint64(0)
    for node in range(uint64(nodes.shape[0])):
        own = uint64(nodes[node, 5])
        for lane in range(uint64(0), uint64(LANES), lanes):
            vectors.walk(
                states, node * uint64(_STATES) + lane, trails, uint64(nodes[node, 0]) + lane,
                uint64(nodes[node, 1]) + lane, own + lane, emissions,
                uint64(nodes[node, 2]) + lane, uint64(nodes[node, 3]) + lane, nodes[node, 4],
                head[0], uint64(BLOCK),
            )  # fmt: skip
        while counts and end < uint64(ends.shape[0]) and ends[end, 0] == node:
            for lane in range(uint64(0), uint64(LANES), lanes):
                vectors.end(
                    trails, uint64(ends[end, 1]) + lane, uint64(ends[end, 2]) + lane, ends[end, 3],
                    lowest, end * uint64(size) + uint64(to) + lane,
                )  # fmt: skip
            end += uint64(1)


@compiled
def _decode(packed: Any, steps: int, first: int, sources: Any, tables: Any, emissions: Any) -> None:
    """The emissions of a block from step `first`: (rows, steps of a block, lanes)."""
    for source in range(uint64(sources.shape[0])):
        at = (uint64(sources[source, 0]) * uint64(steps) + uint64(first)) * uint64(PACKED)
        to = uint64(sources[source, 1])
        table = source * uint64(2 * vectors.LEVELS_THERE)
        for _ in range(BLOCK):
            vectors.decode(packed, at, tables, table, emissions, to)
            at += uint64(PACKED)
            to += uint64(LANES)


@compiled
def _hand_on(states: Any, most: int) -> None:
    """Every lane's states to the next lane; nothing comes before the first."""
    for row in range(states.shape[0] // LANES):
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


# Which count.


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
    "distinct": _distinct,
    "scan": paths.scan,
    "trace": paths.trace,
    "decode": beam.decode,
    **place_kernels.FUNCTIONS,
}
"""Every kernel by its name in `native.KERNELS`."""
