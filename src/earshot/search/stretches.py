"""A stretch of a track, taken out of the lanes it lies in: costs (frames, units), frame by frame.

Called by compiled code, for stretches of seconds. This module knows nothing of what is sought.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import uint8, uint64

from earshot.lanes import PACKED, Costs, Lanes, costs_of
from earshot.search.align import Columns, Confusion, Plan
from earshot.search.compiled import compiled

_COSTS = costs_of(np.arange(16, dtype=np.uint8))


def sources(plan: Plan, confusion: Confusion | None) -> Columns:
    """Rows (column, other column, price) that `soften_into` takes for the units of a plan."""
    rows = [
        (column, *heard)
        for column in sorted(set(plan.phones.tolist()))
        for heard in (confusion.heard(column) if confusion is not None else ())
    ]
    return np.array(rows, np.int64).reshape(-1, 3)


def columns(plan: Plan, softened: Columns) -> Columns:
    """The columns of activations that a plan needs, with those that `softened` draws on."""
    needed: Sequence[int] = [plan.blank, *plan.phones.tolist(), *softened[:, 1].tolist()]
    return np.unique(np.array(needed, np.int64))


@compiled
def take(lanes: Lanes, first: int, wanted: Columns, frames: int, costs: Costs) -> None:
    """Fill the `wanted` columns of `costs` (frames or more, units) from step `first` of the line.

    lanes: (units, steps, 32).
    """
    steps = uint64(lanes.shape[1])
    for wanted_one in wanted:
        column = uint64(wanted_one)
        lane, step = uint64(first) // steps, uint64(first) % steps
        for frame in range(uint64(frames)):
            packed = lanes[column, step, lane % uint64(PACKED)]
            high = uint8(lane // uint64(PACKED) * uint64(4))
            costs[frame, column] = _COSTS[uint64((packed >> high) & uint8(15))]
            step += uint64(1)
            if step == steps:
                lane, step = lane + uint64(1), uint64(0)


@compiled
def soften_into(costs: Costs, frames: int, softened: Columns, hard: Costs) -> None:
    """Lower columns of `costs` to what others cost, plus a price; see `sources`.

    hard: room for a copy of `costs`, so that what has been lowered lowers no other.
    """
    if softened.shape[0] == 0:
        return
    hard[:frames] = costs[:frames]
    for row in range(softened.shape[0]):
        column, other, price = softened[row]
        for frame in range(frames):
            dearer = min(np.int64(hard[frame, other]) + price, 255)
            if dearer < costs[frame, column]:
                costs[frame, column] = dearer
