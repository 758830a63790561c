"""The pass over everything against the recurrence, and its trees against one plan at a time."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.lanes import BLOCK, LANES, Track, blocks, laid
from earshot.search.align import Plan, Tolerance, plan, readable, scan, unpack
from earshot.search.lowest import Program, programs, run

BLANK = 4


def by_block(tracks: tuple[Track, ...], program: Program, *cuts: int) -> np.ndarray:
    """Lowest costs (ends, blocks of the time line), in steps, run in pieces cut at `cuts`."""
    lanes = tracks[0].lanes
    length = lanes.shape[1] // BLOCK
    lowest = np.empty((len(program.plans), length * LANES), program.dtype)
    edges = [0, *sorted(min(cut, length) for cut in cuts), length]
    for first, end in pairwise(edges):
        run(lanes, program, first, end, lowest)
    lines = lowest.reshape(-1, length, LANES).transpose(0, 2, 1)
    return lines.reshape(len(program.plans), -1).astype(int) * program.scale


@st.composite
def searches(draw: st.DrawFn) -> tuple[tuple[Track, ...], list[Plan]]:
    """Activations of four units and a blank in lanes, and what to look for in them."""
    unit = draw(st.sampled_from([1, 2]))  # prices of even steps go into fewer bits
    prices = Tolerance(
        clip=unit * draw(st.integers(1, 120)),
        stay=unit * draw(st.integers(1, 9)),
        gap=unit * draw(st.integers(1, 5)),
        pause=unit * draw(st.integers(1, 5)),
        gap_clip=unit * draw(st.integers(1, 120)),
        deletion=unit * draw(st.integers(0, 120)),
        limit=unit * draw(st.integers(0, 45)),
    )
    plans = []
    for phones in draw(
        st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=7), min_size=1, max_size=6)
    ):
        words = (0, *draw(st.sets(st.integers(1, 7), max_size=1)))
        starts = [word for word in words if word < len(phones)]
        plans.append(plan(phones, starts, blank=BLANK, tolerance=prices))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loud = draw(st.sampled_from([3.0, 30.0, 90.0]))
    lengths = draw(st.lists(st.integers(0, 1500), min_size=1, max_size=5))
    costs = [np.minimum(generator.gamma(1.0, loud, (n, 5)), 255).astype(np.uint8) for n in lengths]
    return laid(costs), plans


@settings(max_examples=40, deadline=None)
@given(searches(), st.sampled_from([3, 1000]), st.lists(st.integers(0, 30), max_size=2))
def test_it_says_of_every_block_what_the_recurrence_says(
    search: tuple[tuple[Track, ...], list[Plan]], most: int, cuts: list[int]
) -> None:
    tracks, plans = search
    seen = []
    for program in programs(plans, most=most):
        for index, found in zip(program.plans, by_block(tracks, program, *cuts), strict=True):
            seen.append(index)
            for track in tracks:
                prices = unpack(scan(readable(track.costs()), plans[index]))[0]
                for block in range(blocks(track.frames)):
                    least = prices[block * BLOCK : (block + 1) * BLOCK].min(initial=1 << 40)
                    here = found[track.first + block]
                    limit = plans[index].limit
                    assert here == least if least <= limit else here > limit
    assert sorted(seen) == list(range(len(plans)))


@pytest.mark.parametrize(("units", "bits"), [(12, 8), (13, 16), (100, 16)])
def test_short_queries_are_counted_in_eight_bits(units: int, bits: int) -> None:
    ready = plan([index % 4 for index in range(units)], (0,), blank=BLANK, tolerance=Tolerance())
    (program,) = programs([ready])
    assert program.dtype.itemsize * 8 == bits
    generator = np.random.default_rng(units)
    tracks = laid([generator.choice([0, 20, 144], (3000, 5)).astype(np.uint8)])
    prices = unpack(scan(readable(tracks[0].costs()), ready))[0]
    found = by_block(tracks, program)[0]
    least = [int(prices[at : at + BLOCK].min()) for at in range(0, 3000, BLOCK)]
    assert [min(one, ready.limit + 1) for one in found[:120].tolist()] == [
        min(one, ready.limit + 1) for one in least
    ]


def test_plans_that_begin_alike_share_their_beginning() -> None:
    words = [[0, 1, 2, 3], [0, 1, 2], [0, 1, 3], [2, 1]]
    plans = [plan(word, (0,), blank=BLANK, tolerance=Tolerance()) for word in words]
    (program,) = programs(plans)
    assert len(program.nodes) == 4 + 0 + 1 + 2
    assert len(list(programs(plans, most=1))) == 4
