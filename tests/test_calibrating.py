"""Scores become probabilities that are right, and intervals that narrow with what is known."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from earshot.topics.calibrating import Curve, left_out, probability


def drawn(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and answers that are yes with the probability of their log-odds."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1.5, count)
    return scores, random.random(count) < 1 / (1 + np.exp(-scores))


def reference(scores: np.ndarray, truth: np.ndarray, new: float) -> tuple[float, float]:
    """Both ends by the definition: isotonic regressions with the new score as no and as yes."""
    ends = []
    for answer in (0.0, 1.0):
        x, y = np.append(scores, new), np.append(truth.astype(float), answer)
        ends.append(float(IsotonicRegression().fit(x, y).predict([new])[0]))
    return ends[0], ends[1]


@pytest.mark.parametrize("new", [-5.0, -0.31, 0.0, 0.4, 2.0, 9.0])
def test_the_ends_are_those_of_the_definition(new: float) -> None:
    scores, truth = drawn(60)
    low, high = Curve.of(scores, truth).interval(np.array([new, scores[7]]))
    assert (low[0], high[0]) == pytest.approx(reference(scores, truth, new))
    assert (low[1], high[1]) == pytest.approx(reference(scores, truth, scores[7]))


def test_a_recording_is_judged_by_the_others() -> None:
    scores, truth = drawn(40)
    scores[3] = scores[4]  # equal ones too
    low, high = left_out(scores, truth)
    for at in (0, 3, 17):
        others = np.arange(40) != at
        wanted = reference(scores[others], truth[others], scores[at])
        assert (low[at], high[at]) == pytest.approx(wanted)


def test_more_recordings_narrow_the_interval() -> None:
    widths = []
    for count in (30, 150, 900):
        low, high = Curve.of(*drawn(count)).interval(np.linspace(-2, 2, 9))
        assert (low <= high).all() and (low >= 0).all() and (high <= 1).all()
        widths.append(float((high - low).mean()))
    assert widths[0] > 1.5 * widths[1] > 1.5 * widths[2]


def test_probabilities_are_right_on_others() -> None:
    curve = Curve.of(*drawn(1500))
    scores, truth = drawn(3000, seed=1)
    sure = probability(*curve.interval(scores))
    for least, most in ((0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.0)):
        some = (sure >= least) & (sure < most)
        assert truth[some].mean() == pytest.approx(sure[some].mean(), abs=0.06)


def test_scores_that_say_nothing_give_the_share() -> None:
    truth = np.array([True] * 30 + [False] * 70)
    low, high = Curve.of(np.zeros(100), truth).interval(np.zeros(1))
    assert low[0] == pytest.approx(30 / 101) and high[0] == pytest.approx(31 / 101)
