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
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, LANES, LEVELS, Costs, Lanes
from earshot.search.align import Columns, Confusion, Plan
from earshot.search.native import kernel

Lowest = npt.NDArray[np.unsignedinteger[Any]]
"""Lowest costs (ends, blocks, lanes), in units of `Program.scale` steps, as 8 or 16 bits."""

# Nodes of a program: what a block does to their states happens in the second nearest cache.
NODES = 1200

_ROW = BLOCK * LANES  # numbers that one row of emissions takes
_NODE = 3 * LANES  # and the states of one node


# Of numbers of 32 bits, those that hold a length in frames; the cost stands above them.
LENGTH_BITS = 16
_HIGHEST = (1 << LENGTH_BITS) - 1  # no cost is higher than 16 bits hold


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Plans that are run together: `plans` are their indexes, in the order of the ends.

    One unit of a cost stands for `scale` steps. No alignment is longer than `warm_up` frames.
    nodes (nodes, 5): by node, where the states lie that lead to it, and those that do when the unit
    between is left out; where the emissions of its unit and of its gap lie; the price of leaving
    out. ends (ends, 3): by end, the states of the last unit and of the one before it, and the price
    of leaving out the last. sources (sources, 3): what emissions are made of: column, where to,
    whether it only lowers what is there; tables: by source and level the cost, 16 low bytes and 16
    high ones. head: the price of staying, and the highest number. Places count numbers; prices are
    in scaled steps.
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
        return room((len(self.nodes) + 2) * _NODE, self.dtype)

    def emissions(self) -> npt.NDArray[Any]:
        """Room for the emissions of a block."""
        return room((int(self.sources[:, 1].max()) // _ROW + 1) * _ROW, self.dtype)


def room(count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """So many numbers, undefined, that start at a cache line: no vector then lies in two."""
    line = 64
    space = np.empty(count * dtype.itemsize + line, np.uint8)
    start = -space.ctypes.data % line
    return space[start : start + count * dtype.itemsize].view(dtype)


def precise(plan: Plan, confusion: Confusion | None) -> tuple[Program, Columns]:
    """One plan with the lengths of alignments, and the columns that its sources count in."""
    tree = _Tree(1, np.dtype(np.uint32), confusion)
    tree.add(0, plan)
    made = tree.program()
    columns = np.array(sorted(set(made.sources[:, 0].tolist())), np.int64)
    made.sources[:, 0] = np.searchsorted(columns, made.sources[:, 0])
    return made, columns


def programs(
    plans: Sequence[Plan], confusion: Confusion | None = None, most: int = NODES
) -> Iterator[Program]:
    """All plans, in trees of `most` nodes or few more."""
    scales = [_scale(one, confusion) for one in plans]
    kinds: dict[tuple[int, int, int], list[int]] = {}
    for index, (one, scale) in enumerate(zip(plans, scales, strict=True)):
        bits = 8 if one.limit // scale < 255 else 16
        kinds.setdefault((bits, scale, one.stay), []).append(index)
    for (bits, scale, _), indexes in sorted(kinds.items()):
        tree = _Tree(scale, np.dtype(f"uint{bits}"), confusion)
        for index in sorted(indexes, key=lambda index: plans[index].phones.tolist()):
            tree.add(index, plans[index])
            if tree.nodes >= most:
                yield tree.program()
                tree = _Tree(scale, np.dtype(f"uint{bits}"), confusion)
        if tree.nodes:
            yield tree.program()


def run(lanes: Lanes, program: Program, first: int, end: int, lowest: Lowest) -> None:
    """Fill `lowest` (ends, blocks of the lanes, 64) from block `first` to `end`, exclusive.

    lanes: (units, steps, 32) as `earshot.lanes` packs them. Costs above a plan's limit are
    anything above its limit.
    """
    warm = -(-program.warm_up // BLOCK)
    kernel("run8" if program.dtype == np.uint8 else "run16")(
        lanes.reshape(-1), lanes.shape[1] // BLOCK, program.nodes, program.ends, program.sources,
        program.tables, program.head, first - warm, first, end, program.states(),
        program.emissions(), lowest.reshape(-1),
    )  # fmt: skip


class _Tree:
    """Plans that are merged where they begin alike; nodes are numbered parents first."""

    def __init__(self, scale: int, kind: np.dtype[Any], confusion: Confusion | None) -> None:
        self._scale = scale
        self._kind = kind
        self._most = int(np.iinfo(kind).max)
        self._confusion = confusion
        self._children: dict[tuple[int, ...], int] = {}
        self._nodes: list[tuple[int, int, int, int, int]] = []
        self._ends: list[tuple[int, int, int]] = []
        self._sources: list[tuple[int, int, int]] = []
        self._tables: list[npt.NDArray[np.int64]] = []
        self._rows: dict[tuple[int, int, int], int] = {}
        self._plans: list[int] = []
        self._stay = self._warm_up = 0

    @property
    def nodes(self) -> int:
        """How many there are."""
        return len(self._nodes)

    def add(self, index: int, plan: Plan) -> None:
        """Lay a plan into the tree."""
        self._plans.append(index)
        self._stay, self._warm_up = plan.stay, max(self._warm_up, plan.warm_up)
        # Node 0 is where nothing is, node 1 the beginning: its gap costs nothing.
        above, parent = 0, 1
        phones = plan.phones.tolist()
        for at, (phone, charge) in enumerate(zip(phones, plan.charge.tolist(), strict=True)):
            skip = int(plan.deletions[at - 1]) if at else 0
            key = (parent, phone, charge, skip, plan.clip, plan.gap_clip)
            here = self._children.get(key)
            if here is None:
                here = self._children[key] = len(self._nodes) + 2
                # From an equal unit only its gap leads here: else it would be the same unit still.
                before = _part(parent, 1 if at and phones[at - 1] == phone else 2)
                earlier = _part(above, 1 if at > 1 and phones[at - 2] == phone else 2)
                unit = self._row(phone, plan.clip, 0, plan.blank)
                gap = self._row(plan.blank, plan.gap_clip, charge, plan.blank)
                self._nodes.append((before, earlier, unit, gap, self._price(skip)))
            above, parent = parent, here
        self._ends.append((_part(parent, 0), _part(above, 0), self._price(int(plan.deletions[-1]))))

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
            np.array((self._price(self._stay), self._most), np.int64),
        )

    def _row(self, column: int, clip: int, charge: int, blank: int) -> int:
        """Where the emissions of a unit, or of a gap, lie."""
        key = (column, clip, charge)
        if key not in self._rows:
            at = self._rows[key] = len(self._rows) * _ROW
            heard = [(column, 0)]
            if self._confusion is not None and column != blank:
                heard += self._confusion.heard(column)
            for which, (other, extra) in enumerate(heard):
                # A wall, the last level, costs more than anything.
                wall = min(self._most, _HIGHEST)
                costs = np.minimum(np.array(LEVELS) + extra, clip) + charge
                costs = np.minimum(costs // self._scale, wall)
                self._sources.append((other, at, int(which > 0)))
                self._tables.append(np.append(costs, wall))
        return self._rows[key]

    def _price(self, steps: int) -> int:
        """What is added to a state."""
        scaled = min(steps // self._scale, self._most, _HIGHEST)
        return scaled << (LENGTH_BITS if self._kind == np.uint32 else 0)


def _part(node: int, part: int) -> int:
    """Where a part of a node's states lies: 0 in the unit, 1 in the gap, 2 the lower of both."""
    return node * _NODE + part * LANES


def _scale(plan: Plan, confusion: Confusion | None) -> int:
    """2 if everything that a plan pays is a multiple of two steps, else 1."""
    prices = [plan.clip, plan.gap_clip, plan.stay, *plan.charge.tolist(), *plan.deletions.tolist()]
    if confusion is not None:
        prices += [price for column in set(plan.phones.tolist())
                   for _, price in confusion.heard(column)]  # fmt: skip
    return 2 if math.gcd(*prices, *LEVELS) % 2 == 0 else 1
