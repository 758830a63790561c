"""Many queries at once against the same queries one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import BLANK, FRAME_SECONDS, UNITS, Sounds, SyntheticEar, sounds
from test_likeliest import WEIGHTS

from earshot.lanes import laid
from earshot.search import (
    Calibration,
    Ear,
    Found,
    Track,
    likeliest,
    mentions,
    search_columns,
)
from earshot.search.align import readable


def found(
    queries: Sequence[Sequence[Sounds]], tracks: Sequence[Track], calibration: Calibration,
    least: float, threads: int,
) -> list[Found]:  # fmt: skip
    return search_columns(
        queries,
        tracks,
        Ear(UNITS, BLANK, FRAME_SECONDS, calibration),
        min_confidence=least,
        threads=threads,
    )


@settings(max_examples=4, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.booleans(), st.sampled_from([0, 3, 60]),
    st.sampled_from([0.0, 0.3]),
)  # fmt: skip
def test_many_queries_find_what_each_finds_alone(
    seed: int, apart: bool, cap: int, least: float
) -> None:
    ear = SyntheticEar(seed)
    dice = ear.rng
    lexicon = ear.lexicon(8)
    spoken = [ear.speak(lexicon, dice.integers(0, 8, 25).tolist(), 0.1).costs for _ in range(3)]
    lying = [laid([one])[0] for one in spoken] if apart else laid(spoken)[1:]
    tracks = [Track(f"{at}", 0, one) for at, one in enumerate(lying)]
    queries: list[list[Sounds]] = []
    for _ in range(6):
        chosen = [lexicon[at] for at in dice.integers(0, 8, int(dice.integers(1, 4)))]
        starts = tuple(np.cumsum([0, *map(len, chosen)])[:-1].tolist())
        phones = [unit for word in chosen for unit in word]
        way = replace(sounds(phones[:-1] or phones), log_probability=-0.7, spelled=(True,))
        queries.append([sounds(phones, starts), way][: int(dice.integers(1, 3))])
    queries.append([])
    calibration = Calibration(
        background=(readable(ear.babble(1500)),),
        weights=WEIGHTS,
        bias=float(dice.normal(6, 2)),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(likeliest, "CANDIDATES", cap)
        patched.setattr(mentions, "CROWD", 1 << 30)
        expected = [found([one], tracks, calibration, least, 1)[0] for one in queries]
        patched.setattr(mentions, "CROWD", 1)
        for threads in (1, 3):
            together = found(queries, tracks, calibration, least, threads)
            for mine, theirs in zip(together, expected, strict=True):
                for name in Found.__slots__:
                    assert np.array_equal(getattr(mine, name), getattr(theirs, name)), name
