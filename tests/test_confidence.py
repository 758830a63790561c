"""Confidence: what alignments show, how rare a cost is, and the file that turns it to a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_ear import BLANK, FRAME_SECONDS, Sounds, SyntheticEar, sounds

from earshot.errors import NetworkError
from earshot.lanes import Track, laid
from earshot.search import Calibration
from earshot.search.align import Plan, Tolerance, plan, readable, scan, unpack
from earshot.search.confidence import EVEN, FEATURES, features, log_alarms, log_rivals, said
from earshot.search.sought import Sought, measured
from earshot.search.sweep import Sweep

NAMES = [feature.name for feature in FEATURES]


def shown(
    heard: list[int], phones: tuple[int, ...], words: tuple[int, ...] = (0,)
) -> dict[str, float]:
    """Features of the cheapest alignment with activations certain of `heard`, by name."""
    costs = np.full((len(heard), 40), 255, np.uint8)
    costs[np.arange(len(heard)), heard] = 0
    (track,) = laid([costs])
    ready = plan(phones, words, blank=BLANK, tolerance=Tolerance(limit=1000))
    prices, ages = unpack(scan(readable(track.costs()), ready))
    end = int(np.argmin(prices))
    spelled = replace(sounds(phones, words), log_probability=-1.5)
    values = described(track, (end - int(ages[end]) + 1, end), ready, spelled)
    return dict(zip(NAMES, values, strict=True))


def described(track: Track, frames: tuple[int, int], ready: Plan, way: Sounds) -> list[float]:
    """The features of one alignment, 2.5 being its alarms."""
    shows = measured(Sought.of([ready]), [track], np.array([[0, 0, *frames]]))
    known = (np.array([one]) for one in (2.5, *said(way), 0.0))
    (values,) = features(shows, *known, frame_seconds=FRAME_SECONDS).tolist()
    return values


def test_a_word_heard_exactly() -> None:
    shows = shown([9, 1, 2, 3, 9], (1, 2, 3))
    assert shows["alarms"] == 2.5
    assert shows["cost"] == shows["worst"] == shows["gap"] == shows["deleted"] == 0.0
    assert shows["clean"] == 1.0
    assert shows["length"] == pytest.approx(np.log(3))
    assert shows["pace"] == pytest.approx(np.log(0.04 / 0.08))
    assert shows["pace_squared"] == pytest.approx(shows["pace"] ** 2)
    assert shows["doubt"] == pytest.approx(0.0, abs=0.01)
    assert (shows["log_probability"], shows["spelled"]) == (-1.5, 0.0)


def test_a_word_with_a_unit_left_out_and_one_misheard() -> None:
    prices = Tolerance()
    shows = shown([1, 2, 4, 5, 9, 7], (1, 2, 3, 4, 5, 6, 7))
    assert shows["deleted"] == pytest.approx(1 / 7)
    assert shows["clean"] == pytest.approx(5 / 7)
    assert shows["worst"] == prices.clip / 16
    assert shows["cost"] == pytest.approx((prices.clip + prices.deletion) / 16 / 7)


def test_a_pause_between_words_counts_as_pause_not_as_pace() -> None:
    shows = shown([1, 2, *[BLANK] * 10, 3, 4], (1, 2, 3, 4), (0, 2))
    assert shows["pause"] == pytest.approx(10 * FRAME_SECONDS)
    assert shows["pace"] == pytest.approx(np.log(4 * 0.04 / (4 * 0.08)))
    assert shows["gap"] == pytest.approx(10 * Tolerance().pause / 16 / 4)
    within = shown([1, 2, *[BLANK] * 3, 3, 4], (1, 2, 3, 4))
    assert within["pause"] == 0.0
    assert within["pace"] == pytest.approx(np.log(7 * 0.04 / (4 * 0.08)))


def test_a_pause_is_measured_past_units_left_out() -> None:
    said = [1, 1, *[BLANK] * 4, 3, 4]
    shows = shown(said, (1, 2, 3, 4), (0, 1, 3))
    assert shows["deleted"] == 0.25
    assert shows["pause"] == pytest.approx(4 * 0.04)


def test_doubt_is_how_many_units_were_equally_likely() -> None:
    (track,) = laid([np.zeros((3, 40), np.uint8)])
    ready = plan([0, 1, 2], (0,), blank=BLANK, tolerance=Tolerance())
    values = described(track, (0, 2), ready, sounds((0, 1, 2)))
    assert values[NAMES.index("doubt")] == pytest.approx(np.log(40))


@given(st.lists(st.floats(-3, 3), min_size=len(NAMES), max_size=len(NAMES)), st.integers(0, 99))
def test_nothing_is_worth_more_than_the_bound(weights: list[float], seed: int) -> None:
    dice = np.random.default_rng(seed)
    known = Calibration(weights=dict(zip(NAMES, weights, strict=True)), curve=())
    shown = dice.gamma(1.0, 2.0, (20, len(NAMES)))
    column = NAMES.index
    for name in ("clean", "deleted", "spelled"):
        shown[:, column(name)] = dice.random(20)
    shown[:, column("alarms")] += 1.5
    shown[:, column("length")] = np.log(7)
    shown[:, column("log_probability")] = -1.0
    shown[:, column("pace")] = dice.normal(0, 1, 20)
    shown[:, column("pace_squared")] = shown[:, column("pace")] ** 2
    shown[:, column("rivals")] = -2.5
    alarms, probability, rivals = (np.array([one]) for one in (1.5, -1.0, -2.5))
    most = known.most_confident(np.log(7), probability, alarms, np.zeros(1), rivals)
    assert known.confidence(shown).max() <= most[0] + 1e-12
    shown[:, column("cost")] = 1.0 + dice.random(20)
    shown[:, column("gap")] = dice.random(20)
    units = shown[:, column("cost")] - shown[:, column("gap")]
    shown[:, column("worst")] = units * (1.0 + dice.random(20))
    most = known.most_confident(np.log(7), probability, alarms, np.ones(1), rivals)
    assert known.confidence(shown).max() <= most[0] + 1e-12
    pace = shown[:, column("pace")]
    most = known.most_confident(np.log(7), probability, alarms, np.ones(1), rivals, pace)
    assert (known.confidence(shown) <= most + 1e-12).all()


@given(st.lists(st.integers(0, 50), min_size=2, max_size=200), st.integers(1, 20))
def test_false_alarms_grow_with_the_cost(counts: list[int], units: int) -> None:
    histogram = np.array(counts, np.int64)
    alarms = log_alarms(histogram, np.arange(len(counts) - 1), units, 1.0)
    assert np.isfinite(alarms).all()
    assert (np.diff(alarms) >= 0).all()


def test_rivals_are_what_the_costs_promise_by_the_hour() -> None:
    never, surely = EVEN + 50.0, EVEN - 50.0
    scores = [np.array([surely, never]), np.array([surely, never])]
    windows = [np.array([4, 1000]), np.array([6, 1000])]
    assert log_rivals(scores, windows, 0.5) == pytest.approx(np.log(6))
    assert log_rivals(scores, windows, 3.0) == pytest.approx(np.log(2))
    assert log_rivals([np.array([EVEN])], [np.array([3])], 1.0) == pytest.approx(np.log(1.5))
    assert np.isfinite(log_rivals([np.array([never])], [np.array([0])], 1.0))


def test_expected_false_alarms_are_those_that_come() -> None:
    ear = SyntheticEar(21)
    words = [ear.word(length) for length in (3, 4, 5, 6) for _ in range(10)]
    wide = Tolerance(limit=70)
    plans = [plan(word, (0,), blank=BLANK, tolerance=wide) for word in words]
    first, second = (
        Sweep(laid([ear.babble(25_000)]), plans, frame_seconds=FRAME_SECONDS) for _ in range(2)
    )
    places = second.rows([one.limit for one in plans])
    hours = 25_000 * FRAME_SECONDS / 3600
    for expected in (20.0, 60.0, 200.0):
        came = 0
        for known, rows, word in zip(first.histograms, places, words, strict=True):
            alarms = log_alarms(known, rows[:, 3], len(word), 1.0)
            came += int((alarms <= np.log(expected)).sum())
        assert expected / 3 < came / hours / len(words) < expected * 1.5


def test_a_few_true_mentions_do_not_hide_how_rare_a_cost_is() -> None:
    histogram = np.zeros(400, np.int64)
    histogram[200:300] = 12
    said = histogram.copy()
    said[:20] += 1
    costs = np.array([0, 50, 150])
    expected = log_alarms(histogram, costs, 9, 1.0)
    assert log_alarms(said, costs, 9, 1.0) == pytest.approx(expected, abs=0.5)


def test_longer_queries_have_fewer_false_alarms_at_no_cost() -> None:
    histogram = np.zeros(50, np.int64)
    rates = [log_alarms(histogram, np.array([0]), units, 1.0)[0] for units in range(1, 8)]
    assert rates == sorted(rates, reverse=True)


def test_the_uncalibrated_confidence_is_one_mention_an_hour_against_its_false_alarms() -> None:
    features = np.zeros((3, len(FEATURES)))
    features[:, 0] = np.log([1.0, 9.0, 0.01])
    assert Calibration().confidence(features) == pytest.approx([0.5, 0.1, 1 / 1.01])


def test_weights_and_curve_make_the_confidence() -> None:
    features = np.zeros((2, len(FEATURES)))
    features[1, NAMES.index("cost")] = 2.0
    calibration = Calibration(bias=1.0, weights={"cost": -1.5})
    expected = 1 / (1 + np.exp([-1.0, 2.0]))
    assert calibration.confidence(features) == pytest.approx(expected)
    curved = replace(calibration, curve=((-4.0, 0.0), (0.0, 0.4), (2.0, 0.8)))
    assert curved.confidence(features) == pytest.approx([0.6, 0.2])
    assert curved.with_weights(0.0, {}).confidence(features) == pytest.approx([0.5, 0.5])


def full() -> Calibration:
    return Calibration(
        tolerance=Tolerance(clip=70, limit=33),
        lead_seconds=0.07,
        tail_seconds=-0.01,
        bias=0.25,
        weights={"alarms": -0.5, "clean": 1.0},
        curve=((-30.0, 0.0), (0.1, 0.4), (30.0, 1.0)),
        background=tuple(readable(SyntheticEar(1).babble(frames)) for frames in (50, 20)),
    )


def test_a_calibration_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    written = full()
    written.save(path)
    read = Calibration.open(path)
    for name in ("tolerance", "lead_seconds", "tail_seconds", "bias", "weights", "curve"):
        assert getattr(read, name) == getattr(written, name)
    assert [one.tolist() for one in read.background] == [one.tolist() for one in written.background]
    Calibration().save(path)
    assert Calibration.open(path).weights == Calibration().weights
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"format": 1, "confusion": None}))
    assert Calibration.open(path).weights == Calibration().weights


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format=3), "has format 3, this version reads up to 2"),
        (lambda content: content.pop("bias"), "lacks 'bias'"),
        (lambda content: content["tolerance"].pop("gap"), "lacks 'gap'"),
        (lambda content: content["weights"].update(mood=1.0), "unknown feature mood"),
        (lambda content: content.update(bias="much"), "is damaged"),
        (lambda content: content.update(curve=[1.0]), "is damaged"),
        (lambda content: content.update(confusion={}), "not searched with any more"),
        (lambda content: content.update(background="gone.safetensors"), "gone.safetensors"),
    ],
)
def test_a_damaged_calibration_is_refused_in_a_sentence(
    tmp_path: Path, change: Change, message: str
) -> None:
    path = tmp_path / "confidence.json"
    full().save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(NetworkError, match=message) as caught:
        Calibration.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_calibration_at_all_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "confidence.json"
    with pytest.raises(NetworkError, match="cannot be read"):
        Calibration.open(path)
    for text, message in (("{", "is not JSON"), ("[]", "has format None"), ("7", "format None")):
        path.write_text(text)
        with pytest.raises(NetworkError, match=message):
            Calibration.open(path)
    full().save(path)
    path.with_name("background.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(NetworkError, match="is damaged"):
        Calibration.open(path)
