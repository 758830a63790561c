"""The kernel against its definition: a recurrence in plain Python, one frame after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import SyntheticEar

from earshot.errors import QueryError
from earshot.lanes import Costs
from earshot.search.align import (
    DEAREST,
    NOTHING,
    Plan,
    Tolerance,
    plan,
    readable,
    scan,
    trace,
    unpack,
)

BLANK = 4
FAR = (10**9, 0)

Alignment = tuple[int, int]  # cost, length in frames


def plain_scan(
    costs: Costs, phones: list[int], words: tuple[int, ...], prices: Tolerance, blank: int = BLANK
) -> list[Alignment]:
    """Cheapest alignment, the shortest of equals, that ends at each frame: (cost, frames)."""

    def then(state: Alignment, cost: int) -> Alignment:
        return state[0] + cost, state[1]

    count = len(phones)
    units, gaps, ends = [FAR] * count, [FAR] * count, []
    for row in costs.tolist():
        new_units, new_gaps = [], []
        for at in range(count):
            ways = [then(units[at], prices.stay)]
            if at == 0:
                ways.append((0, 0))
            if at == 1:
                ways.append((prices.deletion, 0))
            for back, price in ((1, 0), (2, prices.deletion)):
                if at >= back:
                    ways.append(then(gaps[at - back], price))
                    if phones[at - back] != phones[at]:
                        ways.append(then(units[at - back], price))
            cost, frames = min(ways)
            new_units.append((cost + min(row[phones[at]], prices.clip), frames + 1))
            cost, frames = min(gaps[at], units[at])
            charge = prices.pause if at + 1 in words else prices.gap
            new_gaps.append((cost + min(row[blank], prices.gap_clip) + charge, frames + 1))
        units, gaps = new_units, new_gaps
        ends.append(min(units[-1], then(units[-2], prices.deletion) if count > 1 else FAR))
    return ends


def assert_as_plain(
    costs: Costs, phones: list[int], words: tuple[int, ...], prices: Tolerance
) -> Plan:
    ready = plan(phones, words, blank=BLANK, tolerance=prices)
    keys = scan(costs, ready)
    found = list(zip(*(part.tolist() for part in unpack(keys)), strict=True))
    expected = plain_scan(costs, phones, words, prices)
    for frame, (cost, frames) in enumerate(expected):
        if cost > ready.limit:
            assert keys[frame] == NOTHING
        else:
            assert found[frame] == (cost, frames)
    return ready


@st.composite
def searches(draw: st.DrawFn) -> tuple[Costs, list[int], tuple[int, ...], Tolerance]:
    """Activations of four units and a blank, something to look for in them, and prices."""
    phones = draw(st.lists(st.integers(0, 3), min_size=1, max_size=6))
    words = (0, *draw(st.sets(st.integers(1, len(phones)), max_size=2)))
    prices = Tolerance(
        clip=draw(st.integers(1, 255)),
        stay=draw(st.integers(1, 9)),
        gap=draw(st.integers(1, 9)),
        pause=draw(st.integers(1, 9)),
        gap_clip=draw(st.integers(1, 255)),
        deletion=draw(st.integers(0, 255)),
        limit=draw(st.integers(0, 90)),
    )
    frames = draw(st.integers(0, 160))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loud = draw(st.sampled_from([3.0, 30.0, 90.0]))
    costs = np.minimum(generator.gamma(1.0, loud, (frames, 5)), 255).astype(np.uint8)
    return readable(costs), phones, tuple(word for word in words if word < len(phones)), prices


@settings(max_examples=80, deadline=None)
@given(searches())
def test_the_kernel_does_what_the_recurrence_says(
    search: tuple[Costs, list[int], tuple[int, ...], Tolerance],
) -> None:
    assert_as_plain(*search)


@settings(max_examples=40, deadline=None)
@given(searches())
def test_a_trace_adds_up_to_the_cost_and_spells_a_path(
    search: tuple[Costs, list[int], tuple[int, ...], Tolerance],
) -> None:
    costs, phones, words, prices = search
    ready = plan(phones, words, blank=BLANK, tolerance=prices)
    keys = scan(costs, ready)
    cost, frames = unpack(keys)
    for end in np.flatnonzero(keys != NOTHING)[::5].tolist():
        start = end - int(frames[end]) + 1
        shown = trace(costs, ready, start, end)
        assert shown.costs.sum() + shown.gaps.sum() == cost[end]
        heard = np.flatnonzero(shown.first >= 0)
        assert shown.first[heard[0]] == start
        assert shown.last[heard[-1]] == end
        assert (shown.first[heard] <= shown.last[heard]).all()
        assert (shown.first[heard][1:] > shown.last[heard][:-1]).all()
        assert (np.diff(heard) <= 2).all()
        assert (shown.costs[shown.first < 0] == prices.deletion).all()


def heard_as(*units: int, frames: int = 1) -> Costs:
    """Activations in which each of `units` is certain for `frames`, the rest out of reach."""
    costs = np.full((len(units) * frames, 5), 255, np.uint8)
    costs[np.arange(len(costs)), np.repeat(units, frames)] = 0
    return readable(costs)


def cheapest(costs: Costs, phones: list[int], words: tuple[int, ...] = (0,)) -> int:
    keys = scan(costs, plan(phones, words, blank=BLANK, tolerance=Tolerance(limit=1000)))
    return int(unpack(keys)[0].min())


def test_what_was_heard_exactly_costs_nothing() -> None:
    assert cheapest(heard_as(3, 0, 1, 2, 3), [0, 1, 2]) == 0


def test_prices_are_those_of_the_tolerance() -> None:
    prices = Tolerance()
    assert cheapest(heard_as(0, 0, 1), [0, 1]) == 0, "a word may start within a unit"
    assert cheapest(heard_as(3, 0, 1, 1, 2), [0, 1, 2]) == prices.stay
    assert cheapest(heard_as(0, BLANK, 1), [0, 1]) == prices.gap
    assert cheapest(heard_as(0, BLANK, 1), [0, 1], (0, 1)) == prices.pause
    assert cheapest(heard_as(0, 3, 1, 2), [0, 1, 2]) == prices.gap + prices.gap_clip
    for heard in ((0, 2, 3), (1, 2, 3), (0, 1, 2)):
        assert cheapest(heard_as(*heard), [0, 1, 2, 3]) == prices.deletion


def test_a_unit_heard_as_another_costs_the_clip() -> None:
    prices = Tolerance(deletion=255)
    keys = scan(heard_as(0, 3, 2), plan([0, 1, 2], (0,), blank=BLANK, tolerance=prices))
    assert int(unpack(keys)[0].min()) == prices.clip


def test_equal_units_in_a_row_need_a_blank_between() -> None:
    assert cheapest(heard_as(0, BLANK, 0), [0, 0]) == Tolerance().gap
    assert cheapest(heard_as(0, 0), [0, 0]) > Tolerance().gap


def test_words_are_found_across_a_pause_and_not_across_a_minute() -> None:
    prices = Tolerance()
    second = [BLANK] * 25
    assert cheapest(heard_as(0, 1, *second, 2, 3), [0, 1, 2, 3], (0, 2)) == 25 * prices.pause
    minute = scan(
        heard_as(0, 1, *second * 60, 2, 3),
        plan([0, 1, 2, 3], (0, 2), blank=BLANK, tolerance=prices),
    )
    assert unpack(minute)[1][minute != NOTHING].max(initial=0) < 200


def test_memory_maps_and_slices_are_read_where_they_lie(tmp_path: Path) -> None:
    said = SyntheticEar(1).babble(500)
    said.tofile(tmp_path / "costs")
    mapped = np.memmap(tmp_path / "costs", np.uint8, "r", shape=said.shape)
    ready = plan([1, 2, 3], (0,), blank=39, tolerance=Tolerance())
    taken = readable(mapped[100:400])
    assert np.shares_memory(taken, mapped)
    assert (scan(taken, ready) == scan(readable(said[100:400].copy()), ready)).all()


def test_what_cannot_be_searched_for_is_refused() -> None:
    with pytest.raises(QueryError, match="no sound"):
        plan([], (), blank=BLANK, tolerance=Tolerance())
    with pytest.raises(QueryError, match=r"too long .*500 sounds"):
        plan([0, 1] * 250, (0,), blank=BLANK, tolerance=Tolerance())
    with pytest.raises(ValueError, match="at least 1"):
        plan([0], (0,), blank=BLANK, tolerance=Tolerance(stay=0))


def test_the_longest_query_does_not_overflow() -> None:
    costs = readable(np.full((1500, 5), 255))
    costs = readable(np.where(np.arange(1500)[:, None] % 2, costs, 0))
    most = (DEAREST - 1) // Tolerance().limit
    assert_as_plain(costs, [index % 3 for index in range(most)], (0,), Tolerance())
    with pytest.raises(QueryError, match="too long"):
        assert_as_plain(costs, [index % 3 for index in range(most + 1)], (0,), Tolerance())
