"""Scores -> probabilities, with intervals: Venn-Abers predictors.

A recording's score is put among those of recordings whose answer is known and which the trees had
not seen. Twice a rising curve is fitted through all of them (isotonic regression), once as if the
answer were no, once as if it were yes: between what the two curves say there lies the probability.
The fewer recordings there are with such scores, the wider the interval (Vovk, Petej: Venn-Abers
predictors, UAI 2014). This module knows nothing of trees and of what the scores are of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Scores at most that a curve has: of more, those that are nearly the same are one.
_POINTS = 150

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Where scores lead: at and between the sorted `scores` (count,) the two ends of the interval.

    low, high: (2 * count + 1,): below the first score, at it, between it and the second, ...
    """

    scores: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, scores: Floats, truth: Bools) -> Curve:
        """Learned from scores and answers (recordings,)."""
        if len(scores) > _POINTS:
            steps = np.quantile(scores, np.linspace(0, 1, _POINTS))
            scores = steps[np.searchsorted(steps, scores).clip(0, _POINTS - 1)]
        values, weights, sums = _pooled(scores, truth)
        ends = [
            _ends(values, weights, sums, at // 2, among=at % 2 == 1)
            for at in range(2 * len(values) + 1)
        ]
        low, high = np.array(ends).T
        # The curves rise; each end was found by itself, and rounding must not show.
        return cls(values, np.maximum.accumulate(low), np.maximum.accumulate(high))

    def interval(self, scores: Floats) -> tuple[Floats, Floats]:
        """Lower and upper ends of the probabilities of these scores."""
        left = np.searchsorted(self.scores, scores, side="left")
        right = np.searchsorted(self.scores, scores, side="right")
        at = left + right
        return self.low[at], self.high[at]


def left_out(scores: Floats, truth: Bools) -> tuple[Floats, Floats]:
    """The interval of each recording, learned from all others."""
    values, weights, sums = _pooled(scores, truth)
    place = np.searchsorted(values, scores)
    low, high = np.empty(len(scores)), np.empty(len(scores))
    for each, (at, answer) in enumerate(zip(place.tolist(), truth.tolist(), strict=True)):
        weights[at] -= 1
        sums[at] -= answer
        low[each], high[each] = _ends(values, weights, sums, at, among=True)
        weights[at] += 1
        sums[at] += answer
    return low, high


def probability(low: Floats, high: Floats) -> Floats:
    """The one number in an interval that loses least, whatever the answer."""
    found: Floats = high / (1 - low + high)
    return found


def _pooled(scores: Floats, truth: Bools) -> tuple[Floats, Floats, Floats]:
    """Different scores, how many recordings have each, and how many of those are yes."""
    values, place = np.unique(scores.astype(np.float64), return_inverse=True)
    weights = np.bincount(place, minlength=len(values)).astype(np.float64)
    sums = np.zeros(len(values))
    np.add.at(sums, place, truth)
    return np.asarray(values, np.float64), weights, sums


def _ends(
    values: Floats, weights: Floats, sums: Floats, at: int, *, among: bool
) -> tuple[float, float]:
    """What both curves say where a new recording is put: at a score, or before it."""
    if among:
        weights, sums = weights.copy(), sums.copy()
    else:
        weights, sums = np.insert(weights, at, 0.0), np.insert(sums, at, 0.0)
    weights[at] += 1
    low = _rising(weights, sums, at)
    sums[at] += 1
    return low, _rising(weights, sums, at)


def _rising(weights: Floats, sums: Floats, at: int) -> float:
    """What the rising curve through means (of `sums` over `weights`) says at one of them."""
    from sklearn.isotonic import isotonic_regression  # only to learn, never to apply

    some = weights > 0
    fitted = isotonic_regression(sums[some] / weights[some], sample_weight=weights[some])
    return float(np.clip(fitted[int(some[:at].sum())], 0.0, 1.0))
