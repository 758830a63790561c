"""Lanes: what is laid into them comes out, as near as four bits allow."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.lanes import (
    BLOCK,
    LANES,
    LEVELS,
    WALL,
    blocks,
    costs_of,
    laid,
    levels,
    unpack,
)


def random_costs(frames: int, units: int = 3, seed: int = 0) -> np.ndarray:
    """Costs (frames, units)."""
    return np.random.default_rng(seed).integers(0, 256, (frames, units), np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 400), max_size=5), st.integers(0, 99), st.integers(0, 450),
    st.integers(0, 450),
)  # fmt: skip
def test_what_is_laid_comes_out(lengths: list[int], seed: int, start: int, end: int) -> None:
    tracks = [random_costs(frames, 3, seed + at) for at, frames in enumerate(lengths)]
    found = laid(tracks)
    assert [one.frames for one in found] == lengths
    for one, costs in zip(found, tracks, strict=True):
        kept = costs_of(levels(costs))
        assert (one.costs() == kept).all()
        assert (one.costs(start, end) == kept[start:end]).all()
        assert not one.lanes.flags.writeable


def test_between_tracks_and_behind_the_last_there_is_a_wall() -> None:
    tracks = laid([random_costs(BLOCK), random_costs(3), random_costs(BLOCK - 1)])
    line = unpack(tracks[0].lanes[1])
    assert len(line) == LANES * BLOCK
    inside = np.zeros(len(line), bool)
    for one in tracks:
        assert (line[(one.first + blocks(one.frames)) * BLOCK - 1]) == WALL
        inside[one.first * BLOCK : one.first * BLOCK + one.frames] = True
    assert ((line == WALL) == ~inside).all()


def test_levels_are_the_nearest_costs() -> None:
    known = np.array(LEVELS)
    every = np.arange(256, dtype=np.uint8)
    kept = costs_of(levels(every)).astype(int)
    assert (np.abs(kept - every) == np.abs(known[:, None] - every).min(axis=0)).all()
    assert costs_of(np.array([WALL], np.uint8)) == [255]
