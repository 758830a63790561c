"""Trees and their tests: noise is not learned, groups are not split, what decides is found."""

from __future__ import annotations

import numpy as np
import pytest

from earshot.topics import validation
from earshot.topics.features import KINDS, Table
from earshot.topics.targets import Target
from earshot.topics.trees import folds, grow, screened
from earshot.topics.validation import auc, curve, figures


def made(count: int, phrases: int, seed: int = 0) -> tuple[Table, np.random.Generator]:
    """Numbers of phrases that mean nothing."""
    random = np.random.default_rng(seed)
    values = random.normal(0, 1, (count, phrases, len(KINDS))).astype(np.float32)
    when = random.uniform(0, 60, (count, phrases)).astype(np.float32)
    return Table(values, when, np.zeros((count, phrases), np.int8)), random


def asked(truth: np.ndarray) -> Target:
    """A target of two values."""
    names = tuple(f"r{number}" for number in range(len(truth)))
    return Target("x", "yes/no", ("no", "yes"), names, truth.astype(np.int64), np.ones(len(truth)))


def test_fifty_recordings_of_noise_teach_nothing() -> None:
    """The choice of phrases is inside the folds: of 800 some go well with any labels."""
    table, random = made(50, 800)
    areas = []
    for _ in range(4):  # of 50 labels one draw lies anywhere from 0.3 to 0.75, the mean does not
        truth = random.random(50) < 0.5
        found = validation.tested(table, asked(truth), np.arange(50), repeats=1)
        areas.append(auc(found.scores[:, 0], truth))
    area = float(np.mean(areas))
    assert 0.3 < area < 0.67
    best = table.values[:, screened(table, truth)[0], 0].astype(np.float64)
    assert max(auc(best, truth), auc(-best, truth)) > area  # outside, noise looks like a finding


def test_what_decides_is_found_and_told() -> None:
    table, _ = made(120, 60)
    truth = (table.values[:, 7, 0] > 0) & (table.values[:, 9, 0] < 0.5)
    found = validation.tested(table, asked(truth), np.arange(120), repeats=1)
    measured = figures(found.probabilities, truth.astype(np.int64), np.arange(120), "yes/no")
    assert measured["accuracy"].value > 0.8
    assert measured["accuracy"].low < measured["accuracy"].value < measured["accuracy"].high
    decided = [each[0][0] for each in found.adds[0]]
    assert set(np.bincount(decided).argsort()[-2:].tolist()) == {7, 9}
    grown = grow(table, truth, np.arange(120), 0)
    assert {7, 9} <= set(grown.phrases[:3])
    # What phrases and orders add sums to the score, but for what all have in common.
    rest = grown.scores(table) - grown.contributions(table).sum(axis=1)
    assert rest == pytest.approx(rest[0], abs=1e-6)
    assert grown.text == grow(table, truth, np.arange(120), 0).text


def test_the_order_of_two_phrases_counts() -> None:
    table, _ = made(200, 4)
    truth = table.when[:, 1] > table.when[:, 2]
    found = validation.tested(table, asked(truth), np.arange(200), repeats=1)
    assert auc(found.scores[:, 0], truth) > 0.9


def test_groups_are_never_on_both_sides() -> None:
    groups = np.repeat(np.arange(12), 5)
    truth = (np.arange(60) % 3 == 0).astype(np.int64)
    for train, test in folds(truth, groups, 5, 0):
        assert not set(groups[train]) & set(groups[test])
        assert set(train) | set(test) == set(range(60))


def test_a_learned_voice_is_no_topic() -> None:
    """Labels follow the speaker, and so does how phrases sound: with groups, nothing is found."""
    table, random = made(80, 20)
    groups = np.repeat(np.arange(8), 10)
    voices = random.normal(0, 1, (8, 20))
    table.values[:, :, 0] = voices[groups] + random.normal(0, 0.1, (80, 20))
    labels = np.array([0, 1] * 4)[groups]
    alone = validation.tested(table, asked(labels), np.arange(80), repeats=1)
    grouped = validation.tested(table, asked(labels), groups, repeats=1)
    assert auc(alone.scores[:, 0], labels == 1) > 0.95
    assert auc(grouped.scores[:, 0], labels == 1) < 0.8


def test_the_curve_rises_with_labels() -> None:
    table, _ = made(220, 40)
    truth = table.values[:, 5, 0] + table.values[:, 6, 0] > 0
    points = curve(table, asked(truth), np.arange(220), sizes=(25, 150, 400), draws=2)
    assert [one.recordings for one in points] == [25, 150]  # 400 are not there
    assert points[0].accuracy < points[1].accuracy
    assert all(one.low <= one.accuracy <= one.high for one in points)


def test_the_area_is_the_chance_of_the_right_order() -> None:
    scores, truth = np.array([1.0, 2, 2, 3, 0]), np.array([False, True, False, True, False])
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[truth] for b in scores[~truth]]
    assert auc(scores, truth) == pytest.approx(np.mean(pairs))
    assert np.isnan(auc(scores, np.zeros(5, np.bool_)))
