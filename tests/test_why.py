"""Why a mention is one: the alignment that its score came from, against plain prices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import BLANK, FRAME_SECONDS, UNITS, SyntheticEar, sounds, track
from test_align import plain_scan

from earshot.lanes import Costs, laid
from earshot.search import Calibration, Ear, explain, search_tracks
from earshot.search.align import STEPS_PER_NAT, Tolerance, readable
from earshot.search.confidence import FEATURES
from earshot.types import Step, Why

VOICE = SyntheticEar(5, miss=0.15, swap=0.2, add=0.15)
LEXICON = [VOICE.word(length) for length in (5, 6, 7, 8, 9, 6, 7)]
CALIBRATION = Calibration(
    Tolerance(gap=3, pause=1),
    background=(readable(SyntheticEar(6).babble(5000)),),
    bias=0.5,
    weights={"alarms": -1.0, "worst": -0.25, "deleted": -3.0},
)
EAR = Ear(UNITS, BLANK, FRAME_SECONDS, CALIBRATION)


def plain_price(step: Step, costs: Costs, prices: Tolerance, pause: bool) -> float:
    """What a step costs, in nats, told from its times alone."""
    if step.kind == "missing":
        return prices.deletion / STEPS_PER_NAT
    first, last = (round(at / FRAME_SECONDS) for at in (step.start, step.end))
    if step.sought:
        each = costs[first:last, UNITS.index(step.sought)].tolist()
        return (sum(min(c, prices.clip) for c in each) + prices.stay * (len(each) - 1)) / 16
    charge = prices.pause if pause else prices.gap
    each = costs[first:last, BLANK].tolist()
    return sum(min(c, prices.gap_clip) + charge for c in each) / 16


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, len(LEXICON) - 1), min_size=3, max_size=6), st.integers(0, 4))
def test_the_alignment_is_the_one_that_the_score_came_from(said: list[int], at: int) -> None:
    spoken = VOICE.speak(LEXICON, said, 0.2)
    wanted = [LEXICON[word] for word in said[at % len(said) :][:2]]
    starts = [0, len(wanted[0])][: len(wanted)]
    query = sounds([phone for word in wanted for phone in word], starts)
    searched = track("one", spoken.costs)
    hits = search_tracks(
        [query],
        [searched],
        Ear(UNITS, BLANK, FRAME_SECONDS, CALIBRATION),
    )
    costs = searched.heard.costs()
    phones = [UNITS.index(unit) for unit in query.units]
    plain = plain_scan(costs, phones, tuple(query.words), CALIBRATION.tolerance, BLANK)
    for hit in hits:
        why = explain(query, searched.heard, hit.frames, hit.features, EAR)
        first, last = hit.frames
        # The score is that of the cheapest alignment that ends there, by the plain recurrence.
        assert (round(why.cost * STEPS_PER_NAT), last - first + 1) == plain[last]
        assert why.cost == pytest.approx(-hit.score * len(query.units))
        assert_spelled_out(why, query.units, (first, last), costs)
        odds = 1 / (1 + np.exp(-why.log_odds))
        assert odds == pytest.approx(hit.confidence, abs=1e-6)


def assert_spelled_out(
    why: Why, units: tuple[str, ...], frames: tuple[int, int], costs: Costs
) -> None:
    """Every unit once and in order, every frame once and in order, each at its price."""
    assert [step.sought for step in why.steps if step.sought] == list(units)
    now = frames[0]
    for index, step in enumerate(why.steps):
        assert round(step.start / FRAME_SECONDS) == now
        now = round(step.end / FRAME_SECONDS)
        after = [later.word for later in why.steps[index + 1 :] if later.sought]
        pause = not step.sought and bool(after) and after[0] != step.word
        price = plain_price(step, costs, CALIBRATION.tolerance, pause)
        assert step.cost == pytest.approx(price)
        best = {UNITS[u] for u in costs[round(step.start / FRAME_SECONDS) : now].argmin(axis=1)}
        assert (step.kind == "missing") == (step.start == step.end)
        if step.kind == "replaced":
            assert step.sought not in step.heard.split() and set(step.heard.split()) <= best
        if step.kind == "gap":
            assert not step.heard
    assert now == frames[1] + 1


def test_what_was_heard_as_sought_is_sure_and_free() -> None:
    """K AE T, heard K, then AE and AH equally, then nothing where T should be."""
    costs = np.full((3, len(UNITS)), 80, np.uint8)
    k, ae, ah, t = (UNITS.index(unit) for unit in ("K", "AE", "AH", "T"))
    costs[0, k] = costs[1, ae] = costs[1, ah] = costs[2, BLANK] = 0
    costs[2, t] = 16
    why = explain(sounds([k, ae, t]), *laid([costs]), (0, 2), [0.0] * len(FEATURES), EAR)
    assert [(step.kind, step.heard, step.cost) for step in why.steps] == [
        ("heard", "K", 0.0),
        ("heard", "AE", 0.0),
        ("faint", "", 1.0),
    ]
    assert why.steps[0].sure > 0.75 and 0.35 < why.steps[1].sure < 0.5
    assert why.steps[2].sure == pytest.approx(why.steps[0].sure * np.exp(-1), abs=0.1)
