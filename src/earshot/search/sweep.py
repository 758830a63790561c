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
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from earshot.lanes import BLOCK, LANES, PACKED, WALL, Lanes, Track
from earshot.search.align import Columns, Plan
from earshot.search.lowest import Lowest, Program, programs, room, run
from earshot.search.native import kernel
from earshot.search.sought import Sought, Source
from earshot.search.tasks import in_threads, processors

# Alignments that end this close together (seconds) are one: the cheapest is kept.
NEIGHBOURHOOD_SECONDS = 0.2

# Blocks that one thread runs through at a time: many more than a query's warm-up takes.
RUN_BLOCKS = 512

# Windows that one thread looks into at a time.
LOOK = 512

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
        # Where the blocks of each piece begin, all lanes of all pieces one behind the other.
        self.edges = np.cumsum([0, *(one.blocks * LANES for one in self.pieces)])


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
        threads: int | None = None,
        ready: Sequence[Program] | None = None,
    ) -> None:
        """`ready`: the programs of the plans, if they have been made already."""
        self._plans = plans
        self.radius = max(round(NEIGHBOURHOOD_SECONDS / frame_seconds), 1)
        self._threads = threads or processors()
        self._laid = laid = tracks if isinstance(tracks, Laid) else Laid(tracks)
        self.pieces = laid.pieces
        self._lowest: list[tuple[Lowest, int]] = [(np.zeros(0, np.uint8), 1)] * len(plans)
        self.histograms = [np.zeros(one.limit + 2, np.int64) for one in plans]
        for program in programs(plans) if ready is None else ready:
            found = self._run(program)
            for end, index in enumerate(program.plans):
                self._lowest[index] = (found[end], program.scale)
        counting = [self._counting(index) for index in range(len(plans))]
        self._work(counting, laid.windows * len(plans) > WORTH_THREADS * LANES)

    @cached_property
    def sought(self) -> Sought:
        """The plans, to be looked for."""
        return Sought.of(self._plans)

    def rows(self, ceilings: Sequence[int]) -> list[Rows]:
        """For each plan, the places where its cost is lowest nearby and not above its ceiling.

        A place is where the cheapest alignment that ends there costs no more than those that end
        within NEIGHBOURHOOD_SECONDS; of equal ones the earliest counts.
        """
        within = np.minimum(np.array(ceilings, np.int64), self.sought.limits)
        bounds = self.sought.bounds(within, self.radius)
        tasks = [
            self._seeking(piece, windows[at : at + LOOK], bounds)
            for piece, windows in zip(self.pieces, self.windows(ceilings), strict=True)
            for at in range(0, len(windows), LOOK)
        ]
        every = np.concatenate([np.zeros((0, 5), np.int64), *self._work(tasks, len(tasks) > 1)])
        every = every[np.lexsort((every[:, 3], every[:, 1], every[:, 0]))]
        edges = np.searchsorted(every[:, 0], np.arange(len(ceilings) + 1))
        return [every[low:high, 1:] for low, high in pairwise(edges.tolist())]

    def windows(self, ceilings: Sequence[int] | Columns, *, by_time: bool = False) -> list[Columns]:
        """By piece, where plans cost no more than their ceilings: windows (windows, 5).

        A window is the step of the time line where it begins, the plan, where its track begins and
        ends, and which of the piece that is. They are in the order in which they lie in memory, or
        in that of time.
        """
        places, plans = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for plan, ceiling in enumerate(ceilings):
            if ceiling >= 0:
                found, scale = self._lowest[plan]
                limit = min(ceiling, self._plans[plan].limit)
                places.append(np.flatnonzero(found <= limit // scale))
                plans.append(np.full(len(places[-1]), plan))
        every, plan_of = np.concatenate(places), np.concatenate(plans)
        number = np.searchsorted(self._laid.edges, every, side="right") - 1
        lengths = np.array([one.blocks for one in self.pieces], np.int64)
        block, lane = np.divmod(every - self._laid.edges[number], LANES)
        line = lane * lengths[number] + block if len(every) else every
        order = np.lexsort((line, number)) if by_time else np.argsort(every, kind="stable")
        cuts = np.searchsorted(number[order], np.arange(1, len(self.pieces)))
        made = []
        for piece, mine in zip(self.pieces, np.split(order, cuts), strict=False):
            here = line[mine]
            track = np.searchsorted(piece.first, here, side="right") - 1
            begins = piece.first[track] * BLOCK
            ends = begins + piece.frames[track]
            made.append(np.column_stack((here * BLOCK, plan_of[mine], begins, ends, track)))
        return made

    def lows(self, index: int) -> tuple[list[Lowest], int]:
        """How low the cost of a plan falls: by piece (blocks, lanes), in units of so many steps.

        Numbers above the plan's limit mean that there is none within it.
        """
        found, scale = self._lowest[index]
        each = np.split(found, self._laid.edges[1:-1])
        return [one.reshape(-1, LANES) for one in each[: len(self.pieces)]], scale

    def _run(self, program: Program) -> Lowest:
        """How low the cost of each plan of a program falls (plans, blocks of all lanes)."""
        edges = self._laid.edges.tolist()
        shape = (len(program.plans), edges[-1])
        lowest = room(math.prod(shape), program.dtype).reshape(shape)
        tasks: list[Callable[[], None]] = []
        for piece, edge in zip(self.pieces, edges, strict=False):
            for first in range(0, piece.blocks, RUN_BLOCKS):
                end = min(first + RUN_BLOCKS, piece.blocks)
                tasks.append(_running(piece.lanes, program, first, end, lowest, edge))
        self._work(tasks, edges[-1] // LANES * len(program.nodes) > WORTH_THREADS)
        for piece, edge in zip(self.pieces, edges, strict=False):
            if piece.others is not None:
                mine = lowest[:, edge : edge + piece.blocks * LANES]
                mine[:, piece.others.reshape(-1)] = program.most
        return lowest

    def _counting(self, index: int) -> Callable[[], None]:
        def count() -> None:
            histogram, (found, scale) = self.histograms[index], self._lowest[index]
            count_into = kernel("count8" if found.dtype == np.uint8 else "count16")
            count_into(found, self._plans[index].limit // scale, scale, histogram)
            histogram[-1] = self._laid.windows - histogram[:-1].sum()

        return count

    def _seeking(self, piece: Piece, windows: Columns, bounds: Columns) -> Callable[[], Columns]:
        def seek() -> Columns:
            """Plan, track, first and last frame, cost."""
            asked = np.ascontiguousarray(windows[:, :4])
            found = self.sought.places(Source.of(piece.lanes), asked, bounds, self.radius)
            mine = windows[found[:, 0]]
            first, last = found[:, 1] - mine[:, 2], found[:, 2] - mine[:, 2]
            return np.column_stack((mine[:, 1], piece.index[mine[:, 4]], first, last, found[:, 3]))

        return seek

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
    lanes: Lanes, program: Program, first: int, end: int, lowest: Lowest, offset: int
) -> Callable[[], None]:
    return lambda: run(lanes, program, first, end, lowest, offset)
