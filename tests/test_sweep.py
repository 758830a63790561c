"""Sweeping tracks against its definition, whatever the threads and wherever the tracks lie."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import BLANK, FRAME_SECONDS, SyntheticEar

from earshot import lanes
from earshot.lanes import BLOCK, laid
from earshot.search.align import Plan, Tolerance, plan, readable, scan, unpack
from earshot.search.sweep import Rows, Sweep

RADIUS = 5  # frames: 0.2 seconds


def plans_of(ear: SyntheticEar, *lengths: int, **prices: int) -> list[Plan]:
    tolerance = Tolerance(**prices)
    return [plan(ear.word(n), (0,), blank=BLANK, tolerance=tolerance) for n in lengths]


def plainly(tracks: list[lanes.Track], ready: Plan, ceiling: int) -> tuple[list[int], Rows]:
    """Histogram and rows of one plan, frame by frame."""
    histogram = [0] * (ready.limit + 2)
    rows = []
    for index, track in enumerate(tracks):
        costs = readable(track.costs())
        prices, ages = (part.tolist() for part in unpack(scan(costs, ready)))
        for at in range(0, len(prices), BLOCK):
            histogram[min(*prices[at : at + BLOCK], ready.limit + 1)] += 1
        for frame, price in enumerate(prices):
            before = prices[max(frame - RADIUS, 0) : frame]
            behind = prices[frame : frame + RADIUS + 1]
            if price <= ceiling and price < min(before, default=1e9) and price <= min(behind):
                rows.append((index, frame - ages[frame] + 1, frame, price))
    return histogram, np.array(rows, np.int64).reshape(-1, 4)


@settings(max_examples=15, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.integers(0, 700), min_size=1, max_size=5),
    st.booleans(),
    st.integers(1, 3),
)
def test_a_sweep_finds_what_every_frame_says(
    seed: int, lengths: list[int], apart: bool, threads: int
) -> None:
    ear = SyntheticEar(seed)
    costs = [ear.babble(frames) for frames in lengths]
    tracks = [laid([one])[0] for one in costs] if apart else list(laid(costs))
    plans = plans_of(ear, 1, 3, 4, 8, 14, limit=int(ear.rng.integers(20, 60)))
    found = Sweep(tracks, plans, frame_seconds=FRAME_SECONDS, threads=threads)
    ceilings = [int(ear.rng.integers(0, one.limit + 1)) for one in plans]
    for ready, histogram, ceiling, rows in zip(
        plans, found.histograms, ceilings, found.rows(ceilings), strict=True
    ):
        expected, places = plainly(tracks, ready, ceiling)
        assert histogram.tolist() == expected
        assert rows.tolist() == places.tolist()


@pytest.mark.parametrize("chosen", [[0], [1], [2, 0], [3, 1, 2]])
def test_tracks_that_are_not_asked_for_do_not_count(chosen: list[int]) -> None:
    ear = SyntheticEar(5)
    tracks = laid([ear.babble(frames) for frames in (2000, 26, 0, 900)])
    asked = [tracks[index] for index in chosen]
    (ready,) = plans_of(ear, 3)
    found = Sweep(asked, [ready], frame_seconds=FRAME_SECONDS)
    expected, places = plainly(asked, ready, ready.limit)
    assert found.histograms[0].tolist() == expected
    assert found.rows([ready.limit])[0].tolist() == places.tolist()


def test_threads_change_nothing() -> None:
    ear = SyntheticEar(2)
    tracks = laid([ear.babble(frames) for frames in (9000, 0, 40, 60_000, 3000, 12_000)])
    plans = plans_of(ear, 1, 3, 5, 6, 8, 9, 10, 12, 14, 16)
    limits = [one.limit for one in plans]
    one, other = (
        Sweep(tracks, plans, frame_seconds=FRAME_SECONDS, threads=threads) for threads in (1, 3)
    )
    for a, b in zip(one.histograms, other.histograms, strict=True):
        assert a.tolist() == b.tolist()
        assert a.sum() == 360 + 0 + 2 + 2400 + 120 + 480
    for mine, theirs in zip(one.rows(limits), other.rows(limits), strict=True):
        assert mine.tolist() == theirs.tolist()


def test_nothing_to_sweep_is_an_empty_sweep() -> None:
    (ready,) = plans_of(SyntheticEar(1), 2)
    found = Sweep([], [ready], frame_seconds=FRAME_SECONDS)
    assert found.rows([ready.limit])[0].shape == (0, 4)
    assert found.histograms[0].sum() == 0
    assert Sweep([], [], frame_seconds=FRAME_SECONDS).histograms == []
