"""Whole searches against their definition: every place of every track, described one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import (
    BLANK,
    FRAME_SECONDS,
    UNITS,
    Sounds,
    SyntheticEar,
    sounds,
)

from earshot.lanes import BLOCK, laid
from earshot.search import Calibration, Candidate, Ear, Track, candidates
from earshot.search import likeliest as module
from earshot.search.align import STEPS_PER_NAT, plan, readable, scan, trace, unpack
from earshot.search.confidence import EVEN, log_alarms

RADIUS = round(0.2 / FRAME_SECONDS)
# Weights of a calibration that was fitted: every feature counts.
WEIGHTS = {
    "alarms": -1.07, "cost": -0.1, "worst": -0.24, "clean": 0.2, "deleted": -3.8, "gap": -1.6,
    "pause": -0.3, "length": -1.5, "pace": 1.25, "pace_squared": -0.28, "doubt": -4.2,
    "log_probability": 0.9, "spelled": -0.1, "rivals": -1.5,
}  # fmt: skip


def plainly(
    pronunciations: Sequence[Sounds], tracks: Sequence[Track], calibration: Calibration
) -> list[Candidate]:
    """The likeliest places that do not overlap, and what each is worth."""
    hours = sum(one.heard.frames for one in tracks) * FRAME_SECONDS / 3600
    found = []
    promised = [1e-9]
    for index, one in enumerate(pronunciations):
        columns = [UNITS.index(unit) for unit in one.units]
        ready = plan(columns, one.words, blank=BLANK, tolerance=calibration.tolerance)
        histogram = np.zeros(ready.limit + 2, np.int64)
        lowest = []
        places = []
        for number, track in enumerate([*tracks, *calibration.ground]):
            costs = readable((track.heard if isinstance(track, Track) else track).costs())
            prices, ages = (part.tolist() for part in unpack(scan(costs, ready)))
            for at in range(0, len(prices), BLOCK):
                counts = module.OWN if number < len(tracks) else 1
                histogram[min(*prices[at : at + BLOCK], ready.limit + 1)] += counts
                if number < len(tracks):
                    lowest.append(min(prices[at : at + BLOCK]))
            for end, price in enumerate(prices):
                before = min(prices[max(end - RADIUS, 0) : end], default=math.inf)
                behind = min(prices[end : end + RADIUS + 1])
                if price <= ready.limit and price < before and price <= behind:
                    places.append((number, end - ages[end] + 1, end, price))
        alarms = log_alarms(
            histogram, np.arange(ready.limit + 1), len(columns), BLOCK * FRAME_SECONDS
        )
        score = alarms + math.log(min(max(hours, module.SHORTEST_HOURS), 1.0))
        score -= max(one.log_probability, -10.0)
        promised.append(sum(half(score[price]) for price in lowest if price <= ready.limit))
        found += [
            (score[price], price, number, end, index, start)
            for number, start, end, price in places
            if number < len(tracks)
        ]
    kept: list[Candidate] = []
    for score_here, price, number, end, index, start in sorted(found):
        rivals = [one for one in kept if one.track == number]
        if len(kept) < module.CANDIDATES + int(module.CANDIDATES_PER_HOUR * hours) and all(
            min(end, one.end) - max(start, one.start) + 1
            <= module.SHARED * (min(end - start, one.end - one.start) + 1)
            for one in rivals
        ):
            way = pronunciations[index]
            shown = described(way, tracks[number], start, end, calibration)
            shown[0] = score_here + max(way.log_probability, -10.0)
            shown[-1] = math.log(max(promised) / max(hours, 1.0))
            odds = calibration.bias + sum(
                calibration.weights.get(feature.name, 0.0) * value
                for feature, value in zip(module.FEATURES, shown, strict=True)
            )
            sure = 1 / (1 + math.exp(-min(max(odds, -30.0), 30.0)))
            kept.append(Candidate(number, index, start, end, price / 16, tuple(shown), sure))
    return sorted(kept, key=lambda one: (-one.confidence, one.cost, one.track, one.start))


def half(score: float) -> float:
    """1 where an accident is out of the question, 1/2 at EVEN, nothing above it."""
    return 1.0 / (1.0 + math.exp(min(max(score - EVEN, -50.0), 50.0)))


def described(
    one: Sounds, track: Track, start: int, end: int, calibration: Calibration
) -> list[float]:
    """The features of an alignment, but the first and the last."""
    costs = readable(track.heard.costs(start, end + 1))
    columns = [UNITS.index(unit) for unit in one.units]
    ready = plan(columns, one.words, blank=BLANK, tolerance=calibration.tolerance)
    found = trace(costs, ready, 0, len(costs) - 1)
    heard = np.flatnonzero(found.first >= 0)
    pauses = [
        int(found.first[at] - found.last[before] - 1)
        for before, at in pairwise(heard)
        if any(before < word <= at for word in one.words)
    ]
    spoken = int(found.last.max() - found.first[heard].min()) + 1 - sum(pauses)
    pace = math.log(max(spoken, 1) * FRAME_SECONDS / (len(columns) * 0.08))
    likely = np.exp(costs[found.first[heard]].astype(float) / -STEPS_PER_NAT)
    count = len(columns)
    return [
        0.0,
        (found.costs.sum() + found.gaps.sum()) / STEPS_PER_NAT / count,
        found.costs.max() / STEPS_PER_NAT,
        float((found.costs < STEPS_PER_NAT).sum()) / count,
        (count - len(heard)) / count,
        found.gaps.sum() / STEPS_PER_NAT / count,
        max(pauses, default=0) * FRAME_SECONDS,
        math.log(count),
        pace,
        pace * pace,
        float(np.log(likely.sum(axis=1)).mean()),
        max(one.log_probability, -10.0),
        sum(one.spelled) / len(one.spelled),
        0.0,
    ]


def assert_same(found: Sequence[Candidate], expected: Sequence[Candidate]) -> None:
    def place(one: Candidate) -> tuple[object, ...]:
        return one.track, one.pronunciation, one.start, one.end, one.cost

    assert list(map(place, found)) == list(map(place, expected))
    for one, other in zip(found, expected, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-9)
        assert one.features == pytest.approx(other.features, abs=1e-9)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.integers(0, 60))
def test_a_search_finds_what_its_definition_says(seed: int, apart: bool, cap: int) -> None:
    ear = SyntheticEar(seed)
    dice = ear.rng
    lexicon = ear.lexicon(6)
    spoken = [ear.speak(lexicon, dice.integers(0, 6, 25).tolist(), 0.1).costs for _ in range(2)]
    tracks = [
        Track(f"{at}", 0, one)
        for at, one in enumerate([laid([costs])[0] for costs in spoken] if apart else laid(spoken))
    ]
    word, other = (*lexicon[0], *lexicon[1]), lexicon[2]
    ways = [
        replace(sounds(word, (0, len(lexicon[0]))), log_probability=-0.1),
        replace(sounds(word[:-1], (0, len(lexicon[0]))), log_probability=-0.9),
        replace(sounds(other), log_probability=-1.4, spelled=(True,)),
    ][: int(dice.integers(1, 4))]
    calibration = Calibration(
        background=(readable(ear.babble(1500)),), weights=WEIGHTS, bias=float(dice.normal(6, 2))
    )
    before = module.CANDIDATES
    module.CANDIDATES = cap
    try:
        expected = plainly(ways, tracks, calibration)
        for top, least in ((None, 0.0), (None, 0.3), (3, 0.0), (3, 0.05)):
            (found,) = candidates(
                [ways],
                tracks,
                Ear(UNITS, BLANK, FRAME_SECONDS, calibration),
                top=top,
                min_confidence=least,
            )
            assert_same(found, [one for one in expected if one.confidence >= least][:top])
    finally:
        module.CANDIDATES = before
