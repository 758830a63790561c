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
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import uint64

from earshot.lanes import BLOCK, LANES, LEVELS, PACKED, Lanes
from earshot.search import vectors
from earshot.search.align import Confusion, Plan
from earshot.search.compiled import compiled

Lowest = npt.NDArray[np.unsignedinteger[Any]]
"""Lowest costs (ends, blocks, lanes), in units of `Program.scale` steps, as 8 or 16 bits."""

_Places = npt.NDArray[np.uint64]

# Nodes of a program: what a block does to their states happens in the second nearest cache.
NODES = 1200

_ROW = BLOCK * LANES  # numbers that one row of emissions takes
_NODE = 3 * LANES  # and the states of one node


class Code(NamedTuple):
    """A tree of plans, ready for the kernel (a tuple, because numba takes those as they are).

    before, earlier, skip: by node, see `vectors.advance`; unit, gap: by node, its emissions. last,
    last_before, last_skip: by end, see `vectors.end`. columns, to, price, clip, charge, least: by
    source of emissions, see `vectors.decode`. Places count elements; prices are in scaled steps.
    """

    before: _Places
    earlier: _Places
    unit: _Places
    gap: _Places
    skip: npt.NDArray[Any]
    stay: npt.NDArray[Any]
    last: _Places
    last_before: _Places
    last_skip: npt.NDArray[Any]
    columns: _Places
    to: _Places
    price: npt.NDArray[Any]
    clip: npt.NDArray[Any]
    charge: npt.NDArray[Any]
    least: npt.NDArray[np.bool_]
    double: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Plans that are run together: `plans` are their indexes, in the order of the ends.

    One unit of a cost stands for `scale` steps. No alignment is longer than `warm_up` frames.
    """

    plans: tuple[int, ...]
    scale: int
    warm_up: int
    nodes: int
    code: Code

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of costs: 8 or 16 bits."""
        return self.code.skip.dtype

    @property
    def most(self) -> int:
        """The cost that stands for any higher one."""
        return int(np.iinfo(self.dtype).max)


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
    states = np.empty((program.nodes + 2) * _NODE, program.dtype)
    emissions = np.empty((int(program.code.to.max()) // _ROW + 1) * _ROW, program.dtype)
    _run(lanes.reshape(-1), lanes.shape[1] // BLOCK, program.code, first - warm, first, end,
         program.dtype.type(program.most), states, emissions, lowest.reshape(-1))  # fmt: skip


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
        self._sources: list[tuple[int, int, int, int, int, bool]] = []
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
        node = np.array(self._nodes, np.int64).T
        end = np.array(self._ends, np.int64).T
        source = np.array(self._sources, np.int64).T
        places, kind = np.uint64, self._kind
        code = Code(
            node[0].astype(places),
            node[1].astype(places),
            node[2].astype(places),
            node[3].astype(places),
            node[4].astype(kind),
            np.array([self._price(self._stay)], kind),
            end[0].astype(places),
            end[1].astype(places),
            end[2].astype(kind),
            source[0].astype(places),
            source[1].astype(places),
            source[2].astype(kind),
            source[3].astype(kind),
            source[4].astype(kind),
            source[5].astype(np.bool_),
            np.array([self._scale == 1]),
        )
        return Program(tuple(self._plans), self._scale, self._warm_up, self.nodes, code)

    def _row(self, column: int, clip: int, charge: int, blank: int) -> int:
        """Where the emissions of a unit, or of a gap, lie."""
        key = (column, clip, charge)
        if key not in self._rows:
            at = self._rows[key] = len(self._rows) * _ROW
            heard = [(column, 0)]
            if self._confusion is not None and column != blank:
                heard += self._confusion.heard(column)
            for which, (other, extra) in enumerate(heard):
                price, clip, charge = (self._price(steps) for steps in (extra, *key[1:]))
                self._sources.append((other, at, price, clip, charge, which > 0))
        return self._rows[key]

    def _price(self, steps: int) -> int:
        return min(steps // self._scale, self._most)


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


# Kernel. Indexes are unsigned because numba otherwise tests each for being negative.


@compiled
def _run(
    packed: Lanes, blocks: int, code: Code, start: int, first: int, end: int, most: int,
    states: Any, emissions: Any, lowest: Any,
) -> None:  # fmt: skip
    """`run`; `start` may be negative: it counts back from the beginning into the lanes before."""
    states[:] = most
    states[_NODE + LANES : _NODE + 3 * LANES] = 0
    size = uint64(blocks * LANES)
    for block in range(start, end):
        if block % blocks == 0 and block > start:
            _hand_on(states, most)
        at = uint64(block % blocks)
        _decode(packed, uint64(blocks * BLOCK), at * uint64(BLOCK), code, emissions)
        to = at * uint64(LANES)
        ends = code.last.shape[0] if block >= first else 0
        for which in range(ends):
            place = to + uint64(which) * size
            lowest[place : place + uint64(LANES)] = most
        for step in range(BLOCK):
            _advance(states, uint64(step * LANES), code, emissions)
            for which in range(ends):
                vectors.end(states, code.last[which], code.last_before[which],
                            code.last_skip[which], lowest, to + uint64(which) * size)  # fmt: skip


@compiled
def _advance(states: Any, step: int, code: Code, emissions: Any) -> None:
    """One frame on; units are advanced last to first, since each reads what was before it."""
    nodes = uint64(code.before.shape[0])
    for back in range(nodes):
        node = nodes - uint64(1) - uint64(back)
        vectors.advance(
            states, (node + uint64(2)) * uint64(_NODE), code.before[node], code.earlier[node],
            emissions, code.unit[node] + step, code.gap[node] + step, code.skip[node],
            code.stay[0],
        )  # fmt: skip


@compiled
def _decode(packed: Lanes, steps: int, first: int, code: Code, emissions: Any) -> None:
    """The emissions of one block: (rows, steps of the block, lanes)."""
    for source in range(code.columns.shape[0]):
        at = (code.columns[source] * steps + first) * uint64(PACKED)
        to = code.to[source]
        for _ in range(BLOCK):
            vectors.decode(packed, at, code.double[0], code.price[source], code.clip[source],
                           code.charge[source], emissions, to, code.least[source])  # fmt: skip
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
