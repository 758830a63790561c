"""Lay the units of a pronunciation against activations: exact and fuzzy.

An alignment walks through states shaped like the network's own grammar (CTC):

    unit 1 -> gap -> unit 2 -> gap -> ... -> unit m

One unit holds one frame or more; the gap (the blank) between two units is optional, except between
two equal ones, where the network cannot do without it. A frame costs what the network's best unit
there leads by over the unit of the state, so an alignment's cost is a log-likelihood ratio
against the best free path over the same span: 0 when the ear heard exactly this. What the ear
missed, replaced or added is paid for at the prices of `Tolerance`, never forbidden. Start and end
are free: for every frame there is a cheapest alignment that ends there, and its start.

All costs are integers in steps of 1/16 nat: results are the same on every machine. Here stands what
a single stretch of a track needs; `lowest` finds the stretches that are worth it.

This module knows nothing of text, files, recordings or confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError
from earshot.lanes import Costs
from earshot.search.native import kernel

Keys = npt.NDArray[np.int64]
Columns = npt.NDArray[np.int64]

STEPS_PER_NAT = 16

# A key is `cost << AGE_BITS | age`, age being the alignment's length in frames: one minimum chooses
# the cheapest alignment and, among equals, the shortest.
AGE_BITS = 24
NOTHING = np.iinfo(np.int64).max

# A unit that cost less than this was heard cleanly.
CLEAN_NATS = 1.0

# Alignments dearer than this, in steps, cannot be asked for.
DEAREST = 1 << 13


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What an alignment pays for what was not heard as written; steps of 1/16 nat.

    clip      the most that one frame of a unit costs: the price of a unit heard as another
    stay      each further frame of the same unit
    gap       each frame between two units of a word, so that words do not stretch
    pause     each frame between two words: a second of silence costs 25 of these
    gap_clip  the most that a frame between units costs beyond that: the price of an added sound
    deletion  a unit left out altogether (never two in a row)
    limit     alignments above this many steps per unit are not reported
    """

    clip: int = 110
    stay: int = 2
    gap: int = 2
    pause: int = 2
    gap_clip: int = 80
    deletion: int = 90
    limit: int = 40


class Plan(NamedTuple):
    """A pronunciation made ready for the kernels.

    phones: int64, by unit, its column. deletions: by unit, the price of leaving it out. charge: by
    unit, what a frame in the gap after it costs. words: indexes where words start. The rest as in
    `Tolerance`, in steps; `limit` is the whole alignment's, and none within it is longer than
    `warm_up` frames.
    """

    phones: Columns
    deletions: Columns
    charge: Columns
    words: Columns
    clip: int
    gap_clip: int
    stay: int
    blank: int
    limit: int
    warm_up: int

    @property
    def cheapest(self) -> int:
        """The least that any frame but the first of a unit costs."""
        return int(min(self.stay, *self.charge.tolist()))

    def units(self, columns: Columns | None = None) -> Columns:
        """What kernels take: (3, units) columns, prices of leaving out, charges.

        columns: those of the activations that there are, rising, if these are not all.
        """
        phones = self.phones if columns is None else np.searchsorted(columns, self.phones)
        return np.array((phones, self.deletions, self.charge), np.int64)

    def prices(self, columns: Columns | None = None) -> Columns:
        """What kernels take beside it: clip, gap_clip, stay, blank, limit, a clean unit's most."""
        blank = self.blank if columns is None else int(np.searchsorted(columns, self.blank))
        clean = round(CLEAN_NATS * STEPS_PER_NAT)
        return np.array((self.clip, self.gap_clip, self.stay, blank, self.limit, clean), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One alignment spelled out, one element per unit, frames counted from the track's start.

    first, last: int64 frames of each unit, both -1 where it was left out. costs: int64, what each
    unit cost (its frames, or its deletion). gaps: int64, what the gap after each unit cost.
    """

    first: Columns
    last: Columns
    costs: Columns
    gaps: Columns


def readable(costs: npt.NDArray[np.generic]) -> Costs:
    """`costs` as the kernel takes them: plain, C-contiguous and read-only."""
    array = np.ascontiguousarray(costs, dtype=np.uint8).view(np.ndarray)
    array.flags.writeable = False
    return array


def plan(
    phones: Sequence[int],
    words: Sequence[int],
    *,
    blank: int,
    tolerance: Tolerance,
) -> Plan:
    """Make a pronunciation ready: `phones` are columns of the activations, `words` word starts.

    Raises QueryError when there is nothing to search for or too much.
    """
    count = len(phones)
    if not count:
        raise QueryError("The query has no sound to search for.")
    limit = tolerance.limit * count
    if limit >= DEAREST:
        raise QueryError(f"The query is too long to search for in one piece ({count} sounds).")
    columns = np.asarray(phones, np.int64)
    price = np.full(count, tolerance.deletion, np.int64)
    charge = np.full(count, tolerance.gap, np.int64)
    charge[[start - 1 for start in words if start > 0]] = tolerance.pause
    cheapest = min(tolerance.stay, tolerance.gap, tolerance.pause)
    if cheapest < 1:
        raise ValueError("stay, gap and pause cost at least 1: alignments must not last for free")
    return Plan(
        phones=columns,
        deletions=price,
        charge=charge,
        words=np.asarray(words, np.int64),
        clip=tolerance.clip,
        gap_clip=tolerance.gap_clip,
        stay=tolerance.stay,
        blank=blank,
        limit=limit,
        # Each frame but the first of a unit costs `cheapest` or more.
        warm_up=count + limit // cheapest,
    )


def scan(costs: Costs, plan: Plan) -> Keys:
    """For every frame, the key of the cheapest alignment of `plan` that ends there.

    costs: (frames, units) from `readable`. Returns (frames,) keys, NOTHING where the cheapest
    alignment costs more than `plan.limit`; `unpack` tells cost and length.
    """
    keys = np.empty(len(costs), np.int64)
    states = np.empty((4, len(plan.phones)), np.int64)
    kernel("scan")(costs, plan.units(), plan.prices(), states, keys)
    return keys


def unpack(keys: Keys) -> tuple[Columns, Columns]:
    """Costs and lengths in frames that `keys` hold."""
    return keys >> AGE_BITS, keys & ((1 << AGE_BITS) - 1)


def trace(costs: Costs, plan: Plan, start: int, end: int) -> Trace:
    """Spell out the cheapest alignment of `plan` from frame `start` to frame `end`, inclusive."""
    count = len(plan.phones)
    parts = np.empty((4, count), np.int64)
    states = np.empty((4, count), np.int64)
    came_from = np.empty((end - start + 1, count), np.uint8)
    kernel("trace")(costs, plan.units(), plan.prices(), start, end, states, came_from, parts)
    return Trace(*parts)
