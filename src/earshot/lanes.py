"""Costs as they are stored and scanned: four bits each, 64 stretches of time side by side.

Tracks are laid end to end on one time line, and the line is cut into 64 lanes of equal length.
What is kept is an array (units, steps, 32) of bytes: byte `j` of a step holds the level of a unit
in lane `j` (low four bits) and in lane `j + 32` (high ones). So all lanes of a unit lie in one
piece, step after step, as the search wants to read them, and a search that asks for ten units
touches the memory of ten only. Short recordings fill lanes as well as long ones do.

A track starts at the beginning of a block of 25 steps, and ends with at least one step of wall:
no alignment passes one, so neighbours on the line know nothing of each other.

This module knows nothing of files, of the network and of how costs are searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

LANES = 64
"""Stretches of the time line that lie side by side."""

BLOCK = 25
"""Steps of a block: tracks start at blocks, and lanes are so many blocks long."""

LEVELS = (0, 2, 4, 6, 8, 12, 16, 20, 24, 32, 40, 48, 64, 80, 144)
"""What the levels 0 to 14 stand for: costs in steps of 1/16 nat."""

WALL = len(LEVELS)
"""The level that stands for no sound at all: between tracks, and behind the last."""

PACKED = LANES // 2

Costs = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint8]
Lanes = npt.NDArray[np.uint8]

_COSTS = np.array([*LEVELS, 255], np.uint8)
# The nearest level of each cost; of two equally near ones the lower.
_NEAREST = np.abs(np.arange(256)[:, None] - np.array(LEVELS)).argmin(axis=1).astype(np.uint8)


def levels(costs: Costs) -> Levels:
    """The nearest level of each cost."""
    found: Levels = _NEAREST[costs]
    return found


def costs_of(found: Levels) -> Costs:
    """The costs that levels stand for; 255 for the wall."""
    costs: Costs = _COSTS[found]
    return costs


def blocks(frames: int) -> int:
    """How many blocks a track takes, its wall included."""
    return frames // BLOCK + 1


def steps(frames: Sequence[int]) -> int:
    """How many steps the lanes have in which tracks of so many `frames` each lie."""
    return -(-sum(blocks(count) for count in frames) // LANES) * BLOCK


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A track where it lies: `lanes` (units, steps, 32), its `first` block, its length."""

    lanes: Lanes
    first: int
    frames: int

    @property
    def units(self) -> int:
        """Number of units."""
        return int(self.lanes.shape[0])

    def costs(self, start: int = 0, end: int | None = None) -> Costs:
        """Costs (frames, units) from frame `start` to `end`, exclusive, in steps of 1/16 nat."""
        start, end, _ = slice(start, end).indices(self.frames)
        line = self.first * BLOCK + np.arange(start, max(start, end))
        lane, step = np.divmod(line, max(self.lanes.shape[1], 1))
        packed = self.lanes[:, step, lane % PACKED].T
        found: Levels = (packed >> (lane // PACKED * 4).astype(np.uint8)[:, None]) & np.uint8(15)
        return costs_of(found)


def pack(
    frames: Sequence[int], units: int, row: Callable[[int], Sequence[Levels]]
) -> Iterator[Lanes]:
    """Lanes (steps, 32) of one unit after the other.

    row(unit): for each track, its levels (frames,) of that unit.
    """
    length = steps(frames)
    starts = np.cumsum([0, *(blocks(count) for count in frames)])[:-1] * BLOCK
    line = np.empty(LANES * length, np.uint8)
    for unit in range(units):
        line[:] = WALL
        for start, track in zip(starts.tolist(), row(unit), strict=True):
            line[start : start + len(track)] = track
        lanes = line.reshape(LANES, length)
        yield np.ascontiguousarray((lanes[:PACKED] | lanes[PACKED:] << 4).T)


def unpack(packed: Lanes) -> Levels:
    """The time line (steps * 64,) of one unit's lanes (steps, 32)."""
    line: Levels = np.concatenate((packed.T & 15, packed.T >> 4)).reshape(-1)
    return line


def laid(costs: Sequence[Costs]) -> tuple[Track, ...]:
    """Tracks of costs (frames, units) each, laid into lanes of their own."""
    if not costs:
        return ()
    found = [levels(one) for one in costs]
    frames = [len(one) for one in costs]
    units = costs[0].shape[1]
    rows = pack(frames, units, lambda unit: [one[:, unit] for one in found])
    lanes = np.stack(list(rows)) if units else np.zeros((0, steps(frames), PACKED), np.uint8)
    lanes.flags.writeable = False
    return placed(lanes, frames)


def placed(lanes: Lanes, frames: Sequence[int]) -> tuple[Track, ...]:
    """Tracks of so many frames each that lie in `lanes` one after the other."""
    first = 0
    tracks = []
    for count in frames:
        tracks.append(Track(lanes, first, count))
        first += blocks(count)
    return tuple(tracks)
