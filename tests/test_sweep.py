"""Sweeping tracks: local minima and histograms against their definitions, threads against none."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import BLANK, FRAME_SECONDS, SyntheticEar

from earshot.search.align import AGE_BITS, NOTHING, Keys, Tolerance, plan, readable, scan
from earshot.search.sweep import Confusion, Sweep, count_lowest, groups, lowest_nearby, sweep


def as_keys(costs: list[int | None]) -> Keys:
    return np.array([NOTHING if one is None else one << AGE_BITS | 9 for one in costs], np.int32)


some_costs = st.lists(st.none() | st.integers(0, 12), max_size=60)


@settings(max_examples=100, deadline=None)
@given(some_costs, st.integers(1, 6), st.integers(0, 12))
def test_the_cheapest_of_its_surroundings_is_kept(
    costs: list[int | None], radius: int, limit: int
) -> None:
    known = [99 if one is None else one for one in costs]
    expected = [
        frame
        for frame, cost in enumerate(known)
        if cost <= limit
        and all(cost < other for other in known[max(frame - radius, 0) : frame])
        and all(cost <= other for other in known[frame : frame + radius + 1])
    ]
    assert lowest_nearby(as_keys(costs), radius, limit).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(some_costs, st.integers(1, 9))
def test_windows_are_counted_by_their_lowest_cost(costs: list[int | None], window: int) -> None:
    histogram = np.zeros(10, np.int64)
    count_lowest(as_keys(costs), window, histogram)
    known = [9 if one is None else one for one in costs]
    lowest = [min(min(known[at : at + window]), 9) for at in range(0, len(known), window)]
    assert histogram.tolist() == np.bincount(lowest, minlength=10).tolist()


def same(one: list[Sweep], other: list[Sweep]) -> bool:
    return all(
        np.array_equal(a.rows, b.rows) and np.array_equal(a.histogram, b.histogram)
        for a, b in zip(one, other, strict=True)
    )


def test_threads_change_nothing() -> None:
    ear = SyntheticEar(2)
    tracks = [readable(ear.babble(frames)) for frames in (9000, 0, 40, 20_000, 3000, 12_000)]
    plans = [
        plan(ear.word(length), (0,), blank=BLANK, tolerance=Tolerance())
        for length in (1, 3, 5, 6, 8, 9, 10, 12, 14, 16)
    ]
    alone = sweep(tracks, plans, frame_seconds=FRAME_SECONDS, threads=1)
    assert same(alone, sweep(tracks, plans, frame_seconds=FRAME_SECONDS, threads=3))
    windows = 360 + 0 + 2 + 800 + 120 + 480
    assert all(one.histogram.sum() == windows for one in alone)
    assert len(alone[1].rows) > 0


def test_rows_tell_where_the_cheapest_alignments_lie() -> None:
    ear = SyntheticEar(3)
    track = readable(ear.babble(4000))
    ready = plan(ear.word(3), (0,), blank=BLANK, tolerance=Tolerance())
    (found,) = sweep([track[:10], track], [ready], frame_seconds=FRAME_SECONDS)
    keys = scan(track, ready)
    assert (found.rows[:, 0] == 1).all()
    for _, start, end, cost in found.rows.tolist():
        assert keys[end] == cost << AGE_BITS | (end - start + 1)


def test_confusions_are_applied_to_what_is_scanned() -> None:
    ear = SyntheticEar(4)
    track = readable(ear.babble(600))
    steps = np.full((40, 40), 255, np.uint8)
    np.fill_diagonal(steps, 0)
    ready = [plan(ear.word(4), (0,), blank=BLANK, tolerance=Tolerance(limit=80))]
    plain = sweep([track], ready, frame_seconds=FRAME_SECONDS)
    never = sweep([track], ready, frame_seconds=FRAME_SECONDS, confusion=Confusion(steps, BLANK))
    assert same(plain, never)
    steps[:, :39] = 0
    free = sweep([track], ready, frame_seconds=FRAME_SECONDS, confusion=Confusion(steps, BLANK))
    assert free[0].rows[:, 3].min() < plain[0].rows[:, 3].min()


def test_nothing_to_sweep_is_an_empty_sweep() -> None:
    ready = plan([1, 2], (0,), blank=BLANK, tolerance=Tolerance())
    (found,) = sweep([], [ready], frame_seconds=FRAME_SECONDS)
    assert found.rows.shape == (0, 4)
    assert found.histogram.sum() == 0
    assert sweep([], [], frame_seconds=FRAME_SECONDS) == []


@given(st.lists(st.integers(0, 50), max_size=30), st.integers(1, 9))
def test_groups_cover_all_tracks_in_order(lengths: list[int], count: int) -> None:
    tracks = [np.zeros((length, 2), np.uint8) for length in lengths]
    covered = [index for group in groups(tracks, count) for index in group]
    assert covered == list(range(len(tracks)))
