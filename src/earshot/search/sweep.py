"""Plans over tracks: every place where an alignment is cheapest, and how often a cost comes by.

Tracks are swept in a few threads, each track for all plans while it is in the processor's cache.
Results are the same for any number of threads.

This module knows nothing of text, confidence, or whether a place is a mention.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.search.align import AGE_BITS, Columns, Costs, Keys, Plan, compiled, scan, soften

# Alignments that end this close together (seconds) are one: the cheapest is kept.
NEIGHBOURHOOD_SECONDS = 0.2

# Extreme values are counted by window of this length: "how low did the cost fall this second?".
WINDOW_SECONDS = 1.0

# Below this many frames times plans, starting threads costs more than it saves.
WORTH_THREADS = 400_000

# Groups of tracks that a thread takes, about: more even out their lengths.
GROUPS_PER_THREAD = 4


@dataclass(frozen=True, slots=True, eq=False)
class Sweep:
    """What one plan found.

    rows: int64 (found, 4): track, first and last frame, cost in steps; by track, then time.
    histogram: int64 (plan.limit + 2,): windows of WINDOW_SECONDS by their lowest cost, the last
    element counting those that have none within the limit.
    """

    rows: npt.NDArray[np.int64]
    histogram: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """Which units the ear takes for which: steps (units, units), and the column of the blank."""

    steps: Costs
    blank: int

    def soften(self, costs: Costs, plans: Sequence[Plan]) -> Costs:
        """Costs (frames, units) after confusions, for the units that `plans` need."""
        wanted = [int(unit) for one in plans for unit in one.phones]
        return soften(costs, self.steps, wanted, self.blank)


def sweep(
    tracks: Sequence[Costs],
    plans: Sequence[Plan],
    *,
    frame_seconds: float,
    confusion: Confusion | None = None,
    threads: int | None = None,
) -> list[Sweep]:
    """Scan every plan over every track (both made `readable`): one sweep a plan."""
    radius = max(round(NEIGHBOURHOOD_SECONDS / frame_seconds), 1)
    window = max(round(WINDOW_SECONDS / frame_seconds), 1)

    def run(group: range) -> list[Sweep]:
        return _sweep_group(tracks, group, plans, radius, window, confusion)

    workers = threads or processors()
    if workers == 1 or sum(len(costs) for costs in tracks) * len(plans) < WORTH_THREADS:
        return run(range(len(tracks)))
    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(run, groups(tracks, workers * GROUPS_PER_THREAD)))
    return [
        Sweep(
            np.concatenate([part[index].rows for part in parts]),
            np.sum([part[index].histogram for part in parts], axis=0, dtype=np.int64),
        )
        for index in range(len(plans))
    ]


def groups(tracks: Sequence[Costs], count: int) -> Iterable[range]:
    """`tracks` in about `count` runs of about equal length."""
    share = sum(len(costs) for costs in tracks) / count
    first = size = 0
    for index, costs in enumerate(tracks):
        size += len(costs)
        if size >= share:
            yield range(first, index + 1)
            first, size = index + 1, 0
    if first < len(tracks):
        yield range(first, len(tracks))


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def lowest_nearby(keys: Keys, radius: int, limit: int) -> Columns:
    """Frames whose cost, at most `limit`, is the lowest within `radius` frames on either side.

    keys: (frames,) as from `scan`. Of equal neighbours the earliest counts.
    """
    ends = np.empty(len(keys) // (radius + 1) + 1, np.int64)
    return ends[: _lowest_nearby(keys, radius, limit, ends)]


def count_lowest(keys: Keys, window: int, histogram: Columns) -> None:
    """Add to `histogram` the lowest cost of each window of `keys`; too high ones to its last."""
    _count_lowest(keys, window, histogram)


def _sweep_group(
    tracks: Sequence[Costs],
    group: range,
    plans: Sequence[Plan],
    radius: int,
    window: int,
    confusion: Confusion | None,
) -> list[Sweep]:
    """`sweep` over some of the tracks, one after the other."""
    histograms = [np.zeros(one.limit + 2, np.int64) for one in plans]
    rows = [[np.zeros((0, 4), np.int64)] for _ in plans]
    for index in group:
        costs = confusion.soften(tracks[index], plans) if confusion else tracks[index]
        for one, histogram, found in zip(plans, histograms, rows, strict=True):
            keys = scan(costs, one)
            count_lowest(keys, window, histogram)
            ends = lowest_nearby(keys, radius, one.limit)
            if len(ends):
                picked = keys[ends].astype(np.int64)
                starts = ends - (picked & ((1 << AGE_BITS) - 1)) + 1
                track = np.full(len(ends), index, np.int64)
                found.append(np.column_stack((track, starts, ends, picked >> AGE_BITS)))
    return [
        Sweep(np.concatenate(found), histogram)
        for found, histogram in zip(rows, histograms, strict=True)
    ]


@compiled
def _lowest_nearby(keys: Keys, radius: int, limit: int, ends: Columns) -> int:
    """Fill `ends`; returns how many there are."""
    count = 0
    frames = keys.shape[0]
    for frame in range(frames):
        cost = keys[frame] >> AGE_BITS
        if cost > limit:
            continue
        lowest = True
        for other in range(max(frame - radius, 0), min(frame + radius + 1, frames)):
            rival = keys[other] >> AGE_BITS
            if rival < cost or (rival == cost and other < frame):
                lowest = False
                break
        if lowest:
            ends[count] = frame
            count += 1
    return count


@compiled
def _count_lowest(keys: Keys, window: int, histogram: Columns) -> None:
    for first in range(0, keys.shape[0], window):
        lowest = keys[first]
        for frame in range(first + 1, min(first + window, keys.shape[0])):
            lowest = min(lowest, keys[frame])
        histogram[min(lowest >> AGE_BITS, histogram.shape[0] - 1)] += 1
