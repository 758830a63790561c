"""Lay the units of a pronunciation against activations: exact, fuzzy, fast.

An alignment walks through states shaped like the network's own grammar (CTC):

    unit 1 -> gap -> unit 2 -> gap -> ... -> unit m

One unit holds one frame or more; the gap (the blank) between two units is optional, except between
two equal ones, where the network cannot do without it. A frame costs what the network's best unit
there leads by over the unit of the state, so an alignment's cost is a log-likelihood ratio
against the best free path over the same span: 0 when the ear heard exactly this. What the ear
missed, replaced or added is paid for at the prices of `Tolerance`, never forbidden. Start and end
are free: for every frame the kernel finds the cheapest alignment that ends there, and its start.

All costs are integers in steps of 1/16 nat: results are the same on every machine.

This module knows nothing of text, files, recordings or confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import int32, int64, uint64

from earshot.errors import QueryError

Costs = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.int32]
Columns = npt.NDArray[np.int64]
Origins = npt.NDArray[np.generic]

STEPS_PER_NAT = 16

# A key is `cost << AGE_BITS | age` in an int32, age being the alignment's length in frames: one
# minimum chooses the cheapest alignment and, among equals, the shortest. FAR stands for "cannot be
# reached": far above any limit, with room to add itself twice more without overflow. Every frame
# but the first of a unit costs 1 or more, so an age overflows only where the cost is FAR already.
AGE_BITS = 15
FAR = 1 << 29
NOTHING = np.int32(np.iinfo(np.int32).max)

# How many sections of one track are scanned side by side, as SIMD lanes, by how many times longer
# the track is than a section's warm-up (measured: more lanes, more warm-up).
LANES = ((256, 64), (32, 32), (4, 16), (0, 1))

# Frames that are laid out for the lanes at a time: few enough to stay in the nearest cache.
BLOCK = 16

_F = TypeVar("_F", bound=Callable[..., object])


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
    """A pronunciation made ready for the kernel (a tuple, because numba takes those as they are).

    Arrays have one element per unit. phones: uint64, column of the unit. again, again2: keys added
    when coming straight from the unit before, or the one before that: FAR if it is the same unit,
    else 0. skip: key of leaving out the unit before, last_skip: of leaving out the last. charge:
    key of a frame in the gap after the unit. clip, gap_clip, limit: costs; stay: a key. words:
    indexes where words start. No alignment within `limit` is longer than `warm_up` frames.
    """

    phones: npt.NDArray[np.uint64]
    again: Keys
    again2: Keys
    skip: Keys
    charge: Keys
    words: npt.NDArray[np.int64]
    last_skip: int
    clip: int
    gap_clip: int
    stay: int
    blank: int
    limit: int
    warm_up: int


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """One alignment spelled out, one element per unit, frames counted from the track's start.

    first, last: int64 frames of each unit, both -1 where it was left out. costs: int64, what each
    unit cost (its frames, or its deletion). gaps: int64, what the gap after each unit cost.
    """

    first: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    costs: npt.NDArray[np.int64]
    gaps: npt.NDArray[np.int64]


def compiled(function: _F) -> _F:
    """Compile `function` with numba at its first call; kept on disk where that can be written.

    Numba keeps it beside the source or in the user's cache folder (NUMBA_CACHE_DIR says where
    else). Where neither can be written, as in a read-only container, every process compiles anew.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(_F, numba.njit(cache=True, **options)(function))
    except RuntimeError:
        return cast(_F, numba.njit(**options)(function))


def readable(costs: npt.NDArray[np.generic]) -> Costs:
    """`costs` as the kernel takes them: plain, C-contiguous and read-only (memory maps stay so)."""
    array = np.ascontiguousarray(costs, dtype=np.uint8).view(np.ndarray)
    array.flags.writeable = False
    return array


def plan(
    phones: Sequence[int],
    words: Sequence[int],
    *,
    blank: int,
    tolerance: Tolerance,
    deletions: npt.NDArray[np.integer] | None = None,
) -> Plan:
    """Make a pronunciation ready: `phones` are columns of the activations, `words` word starts.

    `deletions` (units,) gives each unit its own price of being left out, instead of
    `tolerance.deletion`. Raises QueryError when there is nothing to search for or too much.
    """
    count = len(phones)
    if not count:
        raise QueryError("The query has no sound to search for.")
    limit = tolerance.limit * count
    if limit >= FAR >> AGE_BITS:
        raise QueryError(f"The query is too long to search for in one piece ({count} sounds).")
    columns = np.asarray(phones, np.int64)
    price = np.full(count, tolerance.deletion, np.int64)
    if deletions is not None:
        price = np.asarray(deletions, np.int64)[columns]
    charge = np.full(count, tolerance.gap, np.int64)
    charge[[start - 1 for start in words if start > 0]] = tolerance.pause
    cheapest = min(tolerance.stay, tolerance.gap, tolerance.pause)
    if cheapest < 1:
        raise ValueError("stay, gap and pause cost at least 1: alignments must not last for free")
    return Plan(
        phones=columns.astype(np.uint64),
        again=_same(columns, 1),
        again2=_same(columns, 2),
        skip=_key(np.concatenate(([0], price[:-1]))),
        charge=_key(charge),
        words=np.asarray(words, np.int64),
        last_skip=int(price[-1]) << AGE_BITS,
        clip=tolerance.clip,
        gap_clip=tolerance.gap_clip,
        stay=tolerance.stay << AGE_BITS,
        blank=blank,
        limit=limit,
        # Each frame but the first of a unit costs `cheapest` or more.
        warm_up=count + limit // cheapest,
    )


def scan(costs: Costs, plan: Plan) -> Keys:
    """For every frame, the key of the cheapest alignment of `plan` that ends there.

    costs: (frames, units) from `readable`. Returns (frames,) keys, NOTHING where the cheapest
    alignment costs more than `plan.limit`; `unpack` tells cost and start. The same, frame by
    frame, as one run over the whole track, though sections of it are scanned side by side.
    """
    keys = np.full(len(costs), NOTHING, np.int32)
    if len(costs):
        sections = next(lanes for longer, lanes in LANES if len(costs) >= longer * plan.warm_up)
        _scan(costs, plan, sections, keys)
    return keys


def unpack(keys: Keys) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Costs and lengths in frames that `keys` hold."""
    return keys >> AGE_BITS, keys & ((1 << AGE_BITS) - 1)


def soften(costs: Costs, confusion: Costs, columns: Sequence[int], blank: int) -> Costs:
    """Costs after what the ear is known to confuse.

    confusion (units, units): steps that hearing column v costs when u was said; its diagonal is 0
    and 255 means never. The columns named become min over v of costs[t, v] + confusion[u, v],
    v running over all units but the blank; the other columns stay as they are.
    """
    softened = costs.copy()
    for column in sorted(set(columns)):
        heard = [
            v for v in range(confusion.shape[1])
            if v not in (column, blank) and confusion[column, v] < 255
        ]  # fmt: skip
        if heard:
            index = np.asarray(heard, np.int64)
            _soften(costs, index, confusion[column, index], column, softened)
    return readable(softened)


def trace(costs: Costs, plan: Plan, start: int, end: int) -> Trace:
    """Spell out the cheapest alignment of `plan` from frame `start` to frame `end`, inclusive."""
    return Trace(*_trace(costs, plan, start, end))


def _key(costs: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
    return (costs << AGE_BITS).astype(np.int32)


def _same(columns: npt.NDArray[np.int64], back: int) -> npt.NDArray[np.int32]:
    """FAR where a unit equals the one `back` places before, else 0."""
    keys = np.zeros(len(columns), np.int32)
    keys[back:][columns[back:] == columns[:-back]] = FAR
    return keys


# Kernel. Numba widens int32 + int32 to int64, which would halve the SIMD lanes: hence the casts.
# Indexes are unsigned because numba otherwise tests each for being negative.


@compiled
def _scan(costs: Costs, plan: Plan, sections: int, keys: Keys) -> None:
    """The track in `sections`, one SIMD lane each, all advancing together.

    A section starts `warm_up` frames early, on the ground of the one before it: no alignment
    within the limit is longer, so its keys do not depend on anything earlier.
    """
    frames = costs.shape[0]
    count = plan.phones.shape[0]
    lanes = uint64(sections)
    clip, gap_clip, stay = int32(plan.clip), int32(plan.gap_clip), int32(plan.stay)
    last_skip = int32(plan.last_skip)
    # Two states per unit (the unit, the gap after it) and lane, and two units of margin in front:
    # the gap of the second is where every alignment starts, at no cost.
    states = np.full((count + 2) * 2 * sections, FAR, np.int32)
    states[3 * sections : 4 * sections] = 0
    emissions = np.zeros(BLOCK * (count + 1) * sections, np.uint8)
    length = (frames + sections - 1) // sections
    steps = min(length + plan.warm_up, length * sections)
    for step in range(steps):
        if step % BLOCK == 0:
            _gather(costs, plan, sections, length, length - steps + step, emissions)
        if (steps - step) % length == 0 and steps - step <= length * sections:
            # The track begins here for this lane; what it walked through before was not there.
            for state in range(4, 2 * count + 4):
                states[state * sections + (steps - step) // length - 1] = FAR
        now = uint64(step % BLOCK * (count + 1)) * lanes
        for back in range(count):
            at = count - 1 - back
            _advance(
                states, uint64(at) * uint64(2) * lanes, lanes, emissions,
                now + uint64(at) * lanes, now + uint64(count) * lanes, plan.again[at],
                plan.again2[at], plan.skip[at], plan.charge[at], stay, clip, gap_clip,
            )  # fmt: skip
        if step >= steps - length:
            end = uint64(2 * count) * lanes
            for lane in range(lanes):
                unit, earlier = states[end + uint64(2) * lanes + lane], states[end + lane]
                key = min(unit, int32(earlier + last_skip))
                frame = (int64(lane) + 1) * length - steps + step
                if frame < frames and key >> AGE_BITS <= plan.limit:
                    keys[frame] = key


@compiled
def _gather(
    costs: Costs, plan: Plan, sections: int, length: int, first: int, emissions: Costs
) -> None:
    """Costs of the next BLOCK frames of all sections, side by side: (frames, units, lanes).

    The blank comes after the last unit. Frames of the first section count from `first`; frames
    that are not in the track hold anything.
    """
    width = uint64(costs.shape[1])
    count = uint64(plan.phones.shape[0])
    lanes = uint64(sections)
    flat = costs.reshape(-1)
    for section in range(sections):
        to = uint64(section)
        for inner in range(BLOCK):
            frame = min(max(section * length + first + inner, 0), costs.shape[0] - 1)
            row = uint64(frame) * width
            for at in range(count):
                emissions[to] = flat[row + plan.phones[at]]
                to += lanes
            emissions[to] = flat[row + uint64(plan.blank)]
            to += lanes


@compiled
def _advance(
    states: Keys, at: int, lanes: int, emissions: Costs, unit_at: int, gap_at: int,
    again: int, again2: int, skip: int, charge: int, stay: int, clip: int, gap_clip: int,
) -> None:  # fmt: skip
    """One unit and its gap, all lanes, one frame on; units are advanced last to first.

    at, unit_at, gap_at: where the arrays hold the first lane.
    """
    far, one, shift = int32(FAR), int32(1), int32(AGE_BITS)
    for lane in range(lanes):
        here = at + lane
        unit = states[here + uint64(4) * lanes]
        gap = states[here + uint64(5) * lanes]
        before = min(
            states[here + uint64(3) * lanes], int32(states[here + uint64(2) * lanes] + again)
        )
        earlier = int32(min(states[here + lanes], int32(states[here] + again2)) + skip)
        best = min(min(before, earlier), int32(unit + stay))
        cost = int32(min(int32(emissions[unit_at + lane]), clip) << shift)
        states[here + uint64(4) * lanes] = min(int32(best + int32(cost + one)), far)
        cost = int32(min(int32(emissions[gap_at + lane]), gap_clip) << shift)
        cost = int32(cost + int32(charge + one))
        states[here + uint64(5) * lanes] = min(int32(min(gap, unit) + cost), far)


@compiled
def _soften(costs: Costs, heard: Columns, prices: Costs, column: int, softened: Costs) -> None:
    """softened[:, column] = min(costs[:, column], costs[:, heard] + prices)."""
    for frame in range(costs.shape[0]):
        best = int32(costs[frame, column])
        for index in range(heard.shape[0]):
            best = min(best, int32(int32(costs[frame, heard[index]]) + int32(prices[index])))
        softened[frame, column] = best


# What a unit was reached from, in `_walk` and `_trace`.
_STAYED, _UNIT, _GAP, _UNIT_BUT_ONE, _GAP_BUT_ONE, _START, _START_BUT_ONE = range(7)


@compiled
def _trace(costs: Costs, plan: Plan, start: int, end: int) -> tuple[Columns, ...]:
    """The arrays of a Trace."""
    count = plan.phones.shape[0]
    from_unit = np.zeros((end - start + 1, count), np.int8)
    from_gap = np.zeros((end - start + 1, count), np.bool_)
    at = _walk(costs, plan, start, end, from_unit, from_gap)
    first, last = np.full(count, -1, np.int64), np.full(count, -1, np.int64)
    unit_costs, gap_costs = np.zeros(count, np.int64), np.zeros(count, np.int64)
    if at < count - 1:
        unit_costs[at + 1] = plan.last_skip >> AGE_BITS
    in_gap = False
    for back in range(end - start + 1):
        step = end - start - back
        frame = start + step
        if in_gap:
            blanked = min(int64(costs[frame, plan.blank]), plan.gap_clip)
            gap_costs[at] += blanked + (plan.charge[at] >> AGE_BITS)
            in_gap = from_gap[step, at]
            continue
        last[at] = max(last[at], frame)
        first[at] = frame
        unit_costs[at] += min(int64(costs[frame, plan.phones[at]]), plan.clip)
        came = from_unit[step, at]
        if came == _STAYED:
            unit_costs[at] += plan.stay >> AGE_BITS
        elif came in (_UNIT, _GAP):
            at -= 1
        elif came in (_UNIT_BUT_ONE, _GAP_BUT_ONE, _START_BUT_ONE):
            unit_costs[at - 1] = plan.skip[at] >> AGE_BITS
            at -= 2
        in_gap = came in (_GAP, _GAP_BUT_ONE)
    return first, last, unit_costs, gap_costs


@compiled
def _walk(
    costs: Costs, plan: Plan, start: int, end: int, from_unit: Origins, from_gap: Origins
) -> int:
    """The kernel's recurrence from one start, keeping in from_* where each state came from.

    from_unit (frames, units): one of the constants above; from_gap: whether the gap went on.
    Returns the index of the last unit that is not left out.
    """
    count: int = plan.phones.shape[0]
    units = np.full(count, FAR, np.int64)
    gaps = np.full(count, FAR, np.int64)
    options = np.zeros(7, np.int64)
    for frame in range(start, end + 1):
        blanked = int64(min(int64(costs[frame, plan.blank]), plan.gap_clip)) << AGE_BITS
        for back in range(count):
            at = count - 1 - back
            options[:] = FAR
            options[_STAYED] = units[at] + plan.stay
            if at >= 1:
                options[_UNIT] = units[at - 1] + plan.again[at]
                options[_GAP] = gaps[at - 1]
            if at >= 2:
                options[_UNIT_BUT_ONE] = units[at - 2] + plan.again2[at] + plan.skip[at]
                options[_GAP_BUT_ONE] = gaps[at - 2] + plan.skip[at]
            if frame == start and at == 0:
                options[_START] = 0
            if frame == start and at == 1:
                options[_START_BUT_ONE] = plan.skip[at]
            came = np.argmin(options)
            from_unit[frame - start, at] = came
            from_gap[frame - start, at] = gaps[at] < units[at]
            emission = min(int64(costs[frame, plan.phones[at]]), plan.clip) << AGE_BITS
            gaps[at] = min(min(gaps[at], units[at]) + blanked + plan.charge[at], FAR)
            units[at] = min(options[came] + emission, FAR)
    if count > 1 and units[count - 2] + plan.last_skip < units[count - 1]:
        count -= 1
    return count - 1
