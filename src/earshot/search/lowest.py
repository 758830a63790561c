"""How low the cost of each plan falls in every block of the time line: the pass over everything.

All 64 lanes advance side by side (`vectors`), and plans that begin alike are walked together: they
form a tree of units, in which each unit and its gap advance once a frame, whatever number of plans
go through them. Costs are whole numbers of 8 bits where the limits allow it, else of 16, and
saturate; both give exactly the costs of `align.scan`, cut off above each plan's limit.

A lane does not begin with nothing before it, but where the lane before it ends. So a run starts
`warm_up` frames early, at the end of the lanes, and hands every lane's states to the next one when
it comes to the beginning: no alignment within the limit is longer.

This module knows nothing of tracks, of where in a block the cost is lowest and how it came about.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, LANES, LEVELS, Costs, Lanes
from earshot.search.align import Columns, Plan
from earshot.search.native import kernel

Lowest = npt.NDArray[np.unsignedinteger[Any]]
"""Lowest costs (ends, blocks * LANES), in units of `Program.scale` steps, as 8 or 16 bits."""

# Nodes of a program: their states lie in the second nearest cache.
NODES = 2000

_ROW = BLOCK * LANES  # numbers that one row of emissions takes
_STATES = 3 * LANES  # and the states of one node
_TRAIL = (BLOCK + 1) * LANES  # of what was before each step of a block, and after the last
_SLOT = 3 * _TRAIL
_LOW, _GAP, _LEAST = range(3)  # the trails of a slot: see `vectors.walk`


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Plans that are run together: `plans` are their indexes, in the order of the ends.

    One unit of a cost stands for `scale` steps. No alignment is longer than `warm_up` frames.
    Nodes are walked through a block at a time, each before those that follow it; what a node leaves
    behind lies in a slot, which belongs to the next node of that depth once nothing follows any
    more. nodes (nodes, 6): by node, the trail that leads to it, and that which does when the unit
    between is left out; where the emissions of its unit and of its gap lie; the price of leaving
    out; its own slot. ends (ends, 4): by end, its node, the least of the last unit and of the one
    before it, and the price of leaving out the last. sources (sources, 2): what emissions are made
    of: column, where to; tables: by source and level the cost, 16 low bytes and 16 high ones.
    head: the price of staying, the highest number, and how many slots there are. Places count
    numbers; prices are in scaled steps.
    """

    plans: tuple[int, ...]
    scale: int
    warm_up: int
    dtype: np.dtype[Any]
    nodes: Columns
    ends: Columns
    sources: Columns
    tables: Costs
    head: Columns

    @property
    def most(self) -> int:
        """The cost that stands for any higher one."""
        return int(np.iinfo(self.dtype).max)

    def states(self) -> npt.NDArray[Any]:
        """Room for the states."""
        return room(len(self.nodes) * _STATES, self.dtype)

    def trails(self) -> npt.NDArray[Any]:
        """Room for what nodes leave behind."""
        return room(int(self.head[2]) * _SLOT, self.dtype)

    def emissions(self) -> npt.NDArray[Any]:
        """Room for the emissions of a block."""
        return room(len(self.sources) * _ROW, self.dtype)


def room(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """So many numbers, undefined, that start at a cache line: no vector then lies in two."""
    line = 64
    space = np.empty(count * dtype.itemsize + line, np.uint8)
    start = -space.ctypes.data % line
    return space[start : start + count * dtype.itemsize].view(dtype)


def programs(plans: Sequence[Plan], most: int = NODES) -> Iterator[Program]:
    """All plans, in trees of `most` nodes or few more."""
    scales = [_scale(one) for one in plans]
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for index, (one, scale) in enumerate(zip(plans, scales, strict=True)):
        bits = 8 if one.limit // scale < 255 else 16
        kinds.setdefault((bits, scale, one.stay), []).append(index)
    for (bits, scale, _), indexes in sorted(kinds.items()):
        tree = _Tree(scale, np.dtype(f"uint{bits}"))
        for index in sorted(indexes, key=lambda index: _path(plans[index])):
            tree.add(index, plans[index])
            if tree.nodes >= most:
                yield tree.program()
                tree = _Tree(scale, np.dtype(f"uint{bits}"))
        if tree.nodes:
            yield tree.program()


def run(
    lanes: Lanes, program: Program, first: int, end: int, lowest: Lowest, offset: int = 0
) -> None:
    """Fill in `lowest` what belongs to blocks `first` to `end`, exclusive, of `lanes`.

    lanes: (units, steps, 32) as `earshot.lanes` packs them. lowest: (ends, blocks * LANES of these
    and other lanes), where those of these begin at `offset`. Costs above a plan's limit are
    anything above its limit.
    """
    warm = -(-program.warm_up // BLOCK)
    kernel("run8" if program.dtype == np.uint8 else "run16")(
        lanes.reshape(-1), lanes.shape[1] // BLOCK, program.nodes, program.ends, program.sources,
        program.tables, program.head, first - warm, first, end, program.states(),
        program.trails(), program.emissions(), lowest.reshape(-1), lowest.shape[1], offset,
    )  # fmt: skip


def _path(plan: Plan) -> list[tuple[int, ...]]:
    """By unit what its node depends on: plans in this order form a tree walked in its depth."""
    skips = [0, *plan.deletions.tolist()]
    prices = (plan.clip, plan.gap_clip)
    steps = zip(plan.phones.tolist(), plan.charge.tolist(), skips, strict=False)
    return [(*prices, *one) for one in steps]


class _Tree:
    """Plans, added in the order of their paths, merged where they begin alike."""

    def __init__(self, scale: int, kind: np.dtype[Any]) -> None:
        self._scale = scale
        self._kind = kind
        self._most = int(np.iinfo(kind).max)
        self._branch: list[tuple[tuple[int, ...], int]] = []  # of the last plan: steps, and nodes
        self._nodes: list[tuple[int, ...]] = []
        self._ends: list[tuple[int, int, int, int]] = []
        self._sources: list[tuple[int, int]] = []
        self._tables: list[list[int]] = []
        self._rows: dict[tuple[int, int, int], int] = {}
        self._plans: list[int] = []
        self._stay = self._warm_up = self._deepest = 0

    @property
    def nodes(self) -> int:
        """How many there are."""
        return len(self._nodes)

    def add(self, index: int, plan: Plan) -> None:
        """Lay a plan into the tree."""
        self._plans.append(index)
        self._stay, self._warm_up = plan.stay, max(self._warm_up, plan.warm_up)
        path = _path(plan)
        shared = 0
        while (
            shared < min(len(path), len(self._branch)) and self._branch[shared][0] == path[shared]
        ):
            shared += 1
        del self._branch[shared:]
        phones = plan.phones.tolist()
        for at in range(shared, len(path)):
            *_, phone, charge, skip = path[at]
            # From an equal unit only its gap leads here: else it would be the same unit still.
            # Slot 0 is where nothing is, slot 1 the beginning: its gap costs nothing.
            before = _trail(at + 1, _GAP if at and phones[at - 1] == phone else _LOW)
            earlier = _trail(at, _GAP if at > 1 and phones[at - 2] == phone else _LOW)
            unit = self._row(phone, plan.clip, 0)
            gap = self._row(plan.blank, plan.gap_clip, charge)
            self._branch.append((path[at], len(self._nodes)))
            own = _trail(at + 2, _LOW)
            self._nodes.append((before, earlier, unit, gap, self._price(skip), own))
        last = len(path) + 1
        self._deepest = max(self._deepest, last)
        self._ends.append(
            (
                self._branch[-1][1],
                _trail(last, _LEAST),
                _trail(last - 1, _LEAST),
                self._price(int(plan.deletions[-1])),
            )
        )

    def program(self) -> Program:
        """All that was added."""
        costs = np.array(self._tables, np.int64)
        return Program(
            tuple(self._plans),
            self._scale,
            self._warm_up,
            self._kind,
            np.array(self._nodes, np.int64),
            np.array(self._ends, np.int64),
            np.array(self._sources, np.int64),
            np.stack((costs & 255, costs >> 8), axis=1).astype(np.uint8).reshape(-1),
            np.array((self._price(self._stay), self._most, self._deepest + 1), np.int64),
        )

    def _row(self, column: int, clip: int, charge: int) -> int:
        """Where the emissions of a unit, or of a gap, lie."""
        key = (column, clip, charge)
        if key not in self._rows:
            at = self._rows[key] = len(self._rows) * _ROW
            self._sources.append((column, at))
            self._tables.append(_table(clip, charge, self._scale, self._most))
        return self._rows[key]

    def _price(self, steps: int) -> int:
        """What is added to a state."""
        return min(steps // self._scale, self._most)


@lru_cache(maxsize=64)
def _table(clip: int, charge: int, scale: int, most: int) -> list[int]:
    """By level, what a frame costs; a wall, the last level, costs more than anything."""
    return [min((min(cost, clip) + charge) // scale, most) for cost in LEVELS] + [most]


def _trail(slot: int, part: int) -> int:
    """Where a trail lies."""
    return slot * _SLOT + part * _TRAIL


def _scale(plan: Plan) -> int:
    """2 if everything that a plan pays is a multiple of two steps, else 1."""
    prices = [plan.clip, plan.gap_clip, plan.stay, *plan.charge.tolist(), *plan.deletions.tolist()]
    return 2 if math.gcd(*prices, *LEVELS) % 2 == 0 else 1
