"""Plans over tracks: how low the cost falls, second by second, and where exactly it is lowest.

A sweep looks at everything once (`lowest`) and counts the windows of a second by their lowest cost.
The places themselves are worked out afterwards, and only in windows that are worth it: who asks
says up to which cost. Work is done in a few threads; results are the same for any number of them,
and however the tracks are laid into lanes.

This module knows nothing of text, confidence, or whether a place is a mention.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, LANES, PACKED, WALL, Lanes, Track
from earshot.search.align import Columns, Confusion, Plan
from earshot.search.lowest import Lowest, Program, precise, programs, room, run
from earshot.search.native import kernel
from earshot.search.tasks import in_threads, processors

# Alignments that end this close together (seconds) are one: the cheapest is kept.
NEIGHBOURHOOD_SECONDS = 0.2

# Blocks that one thread runs through at a time: many more than a query's warm-up takes.
RUN_BLOCKS = 512

# Windows that one thread looks into at a time.
LOOK = 4 * LANES

# Below so many blocks times nodes, or windows, threads cost more than they save.
WORTH_THREADS = 4000

Rows = npt.NDArray[np.int64]
"""Places (found, 4): track, first and last frame, cost in steps; by track, then time."""

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Piece:
    """The tracks that lie in the same lanes: their indexes, first blocks (rising), frames."""

    lanes: Lanes
    index: Columns
    first: Columns
    frames: Columns

    @property
    def blocks(self) -> int:
        """Blocks of a lane."""
        return int(self.lanes.shape[1]) // BLOCK

    @cached_property
    def others(self) -> npt.NDArray[np.bool_] | None:
        """Which (block, lane) belong to none of the tracks, if a track of others may lie there."""
        ends = self.first + self.frames // BLOCK + 1
        whole = self.first[0] == 0 and (self.first[1:] == ends[:-1]).all()
        rest = np.arange(ends[-1], LANES * self.blocks)
        if whole and len(rest) < LANES:
            lane, block = np.divmod(rest, self.blocks)
            packed = self.lanes[0, block * BLOCK, lane % PACKED] >> (lane // PACKED * 4)
            if (packed & 15 == WALL).all():
                return None
        line = np.zeros(LANES * self.blocks + 1, np.int64)
        np.add.at(line, self.first, 1)
        np.add.at(line, ends, -1)
        free: npt.NDArray[np.bool_] = np.cumsum(line[:-1]) == 0
        return free.reshape(LANES, self.blocks).T


class Laid:
    """Tracks to be swept: what does not depend on any plan is worked out once."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self.tracks = tuple(tracks)
        self.pieces = _pieces(self.tracks)
        self.frames = int(sum(one.frames.sum() for one in self.pieces))
        self.windows = int(sum((-(-one.frames // BLOCK)).sum() for one in self.pieces))


class Sweep:
    """Every plan over every track; `histograms` has one a plan.

    A histogram (limit + 2,) counts windows by their lowest cost, in steps, the last element those
    that have none within the limit. A window is a block of a track (`earshot.lanes.BLOCK` frames).
    """

    def __init__(
        self,
        tracks: Sequence[Track] | Laid,
        plans: Sequence[Plan],
        *,
        frame_seconds: float,
        confusion: Confusion | None = None,
        threads: int | None = None,
        ready: Sequence[Program] | None = None,
    ) -> None:
        """`ready`: the programs of the plans, if they have been made already."""
        self._plans = plans
        self._confusion = confusion
        self.radius = max(round(NEIGHBOURHOOD_SECONDS / frame_seconds), 1)
        self._threads = threads or processors()
        laid = tracks if isinstance(tracks, Laid) else Laid(tracks)
        self.pieces, windows = laid.pieces, laid.windows
        self._places: list[tuple[list[Lowest], int]] = [([], 1)] * len(plans)
        self.histograms = [np.zeros(one.limit + 2, np.int64) for one in plans]
        for program in programs(plans, confusion) if ready is None else ready:
            found = self._lowest(program)
            for end, index in enumerate(program.plans):
                self._places[index] = ([one[end] for one in found], program.scale)
        counting = [self._counting(index, windows) for index in range(len(plans))]
        self._work(counting, windows * len(plans) > WORTH_THREADS * LANES)

    def rows(self, ceilings: Sequence[int]) -> list[Rows]:
        """For each plan, the places where its cost is lowest nearby and not above its ceiling.

        A place is where the cheapest alignment that ends there costs no more than those that end
        within NEIGHBOURHOOD_SECONDS; of equal ones the earliest counts.
        """
        tasks: list[Callable[[], Rows]] = []
        sizes = []
        for index, ceiling in enumerate(ceilings):
            mine = self._looking(index, min(ceiling, self._plans[index].limit))
            tasks += mine
            sizes.append(len(mine))
        done = iter(self._work(tasks, len(tasks) > 1))
        nothing = np.zeros((0, 4), np.int64)
        found = [np.concatenate([nothing, *(next(done) for _ in range(size))]) for size in sizes]
        return [one[np.lexsort((one[:, 2], one[:, 0]))] for one in found]

    def windows(self, index: int, piece: int, ceiling: int) -> Columns:
        """Where in a piece a plan costs no more than its ceiling: block * LANES + lane, rising."""
        found, scale = self._places[index]
        return np.flatnonzero(found[piece].reshape(-1) <= ceiling // scale)

    def lows(self, index: int) -> tuple[list[Lowest], int]:
        """How low the cost of a plan falls: by piece (blocks, lanes), in units of so many steps.

        Numbers above the plan's limit mean that there is none within it.
        """
        return self._places[index]

    def _lowest(self, program: Program) -> list[Lowest]:
        """How low the cost of each plan of a program falls, by piece."""
        found: list[Lowest] = []
        tasks: list[Callable[[], None]] = []
        blocks = 0
        for piece in self.pieces:
            shape = (len(program.plans), piece.blocks, LANES)
            lowest = room(math.prod(shape), program.dtype).reshape(shape)
            found.append(lowest)
            blocks += piece.blocks
            for first in range(0, piece.blocks, RUN_BLOCKS):
                end = min(first + RUN_BLOCKS, piece.blocks)
                tasks.append(_running(piece.lanes, program, first, end, lowest))
        self._work(tasks, blocks * len(program.nodes) > WORTH_THREADS)
        for piece, lowest in zip(self.pieces, found, strict=True):
            if piece.others is not None:
                lowest[:, piece.others] = program.most
        return found

    def _counting(self, index: int, windows: int) -> Callable[[], None]:
        def count() -> None:
            histogram, (found, scale) = self.histograms[index], self._places[index]
            for lowest in found:
                count_into = kernel("count8" if lowest.dtype == np.uint8 else "count16")
                limit = self._plans[index].limit // scale
                count_into(lowest.reshape(-1), limit, scale, histogram)
            histogram[-1] = windows - histogram[:-1].sum()

        return count

    def _looking(self, index: int, ceiling: int) -> list[Callable[[], Rows]]:
        """Tasks that work out the rows of one plan."""
        if ceiling < 0:
            return []
        found, scale = self._places[index]
        plan = self._plans[index]
        program, columns = precise(plan, self._confusion)
        count, cheapest = len(plan.phones), plan.cheapest
        before = self.radius + count + ceiling // cheapest
        reach, most = ceiling + count * cheapest, min(plan.clip, plan.gap_clip)
        bounds = np.array((ceiling, self.radius, before, reach, cheapest, most), np.int64)
        tasks = []
        for piece, lowest in zip(self.pieces, found, strict=True):
            places = np.flatnonzero(lowest.reshape(-1) <= ceiling // scale)
            # In the order of the lanes' steps: what lies side by side is read once for all.
            block, lane = np.divmod(places, LANES)
            line = lane * piece.blocks + block
            for start in range(0, len(line), LOOK):
                some = line[start : start + LOOK]
                tasks.append(_looking(piece, some, program, columns, bounds))
        return tasks

    def _work(self, tasks: Sequence[Callable[[], _T]], worth: bool) -> list[_T]:
        return in_threads(tasks, self._threads if worth else 1)


def _pieces(tracks: Iterable[Track]) -> list[Piece]:
    """Tracks by the lanes they lie in; empty ones left out."""
    together: dict[int, list[tuple[int, int, int]]] = {}
    lanes: dict[int, Lanes] = {}
    for index, track in enumerate(tracks):
        if track.frames:
            lanes[id(track.lanes)] = track.lanes
            together.setdefault(id(track.lanes), []).append((track.first, index, track.frames))
    pieces = []
    for key, found in together.items():
        first, index, frames = np.array(sorted(found), np.int64).T.copy()
        pieces.append(Piece(lanes[key], index, first, frames))
    return pieces


def _running(
    lanes: Lanes, program: Program, first: int, end: int, lowest: Lowest
) -> Callable[[], None]:
    return lambda: run(lanes, program, first, end, lowest)


def _looking(
    piece: Piece, line: Columns, program: Program, columns: Columns, bounds: Columns
) -> Callable[[], Rows]:
    """Look into blocks of the time line.

    columns: those that the program's sources count; bounds: as the kernel takes them.
    """
    radius, before = bounds[1:3].tolist()
    steps = piece.lanes.shape[1]

    def look() -> Rows:
        track = np.searchsorted(piece.first, line, side="right") - 1
        begins = piece.first[track] * BLOCK
        windows = np.array((line * BLOCK, begins, begins + piece.frames[track]))
        size = before + BLOCK + radius
        there = room(len(columns) * size * PACKED, np.dtype(np.uint8))
        keys = room((BLOCK + 2 * radius) * LANES, program.dtype)
        rows = np.empty((len(line) * (BLOCK // (radius + 1) + 1), 4), np.int64)
        count = kernel("places")(
            piece.lanes.reshape(-1), steps, windows, columns * (steps * PACKED), program.nodes,
            program.ends, program.sources, program.tables, program.head, bounds, there,
            program.states(), program.emissions(), keys, rows,
        )  # fmt: skip
        found = rows[:count]
        window = found[:, 0].copy()
        found[:, 0] = piece.index[track[window]]
        found[:, 1:3] -= begins[window, None]
        return found

    return look
