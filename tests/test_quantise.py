"""Costs are what the formula says, and lose nothing but resolution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from earshot.index.quantise import MAX_COST, STEPS_PER_NAT, costs, log_posteriors

SHAPES = st.tuples(st.integers(0, 6), st.integers(1, 5))
LOGITS = arrays.arrays(np.float32, SHAPES, elements=st.floats(-30, 30, width=32))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-posteriors of logits, in double precision."""
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def plain_costs(scores: np.ndarray) -> list[list[int]]:
    """The formula, one number after the other."""
    return [
        [min(MAX_COST, round(float(max(row) - score) * STEPS_PER_NAT)) for score in row]
        for row in scores.astype(np.float32)
    ]


@settings(deadline=None)
@given(LOGITS)
def test_costs_are_the_formula(logits: np.ndarray) -> None:
    scores = log_softmax(logits).astype(np.float32)
    quantised = costs(scores)
    assert quantised.dtype == np.uint8
    assert quantised.shape == scores.shape
    assert (
        np.abs(quantised - np.array(plain_costs(scores)).reshape(scores.shape)).max(initial=0) <= 1
    )


@settings(deadline=None)
@given(LOGITS)
def test_best_unit_costs_nothing(logits: np.ndarray) -> None:
    assert (costs(logits).min(axis=1, initial=MAX_COST) == 0).all()


@settings(deadline=None)
@given(arrays.arrays(np.float32, SHAPES, elements=st.floats(-7, 7, width=32)))
def test_posteriors_come_back(logits: np.ndarray) -> None:
    scores = log_softmax(logits)
    restored = log_posteriors(costs(scores.astype(np.float32)))
    assert restored.dtype == np.float32
    assert np.abs(restored - scores).max(initial=0) <= 1 / STEPS_PER_NAT + 1e-3
    assert np.allclose(np.exp(restored).sum(axis=1), 1, atol=1e-5)


def test_impossible_units_cost_the_most() -> None:
    assert costs(np.array([[0.0, -np.inf, -15.9, -100.0]], np.float32)).tolist() == [
        [0, 255, 254, 255]
    ]


@pytest.mark.parametrize(
    "scores",
    [
        np.array([[0.0, -1.0], [np.nan, 0.0]], np.float32),
        np.array([[0.0, -1.0], [-np.inf, -np.inf]], np.float32),
    ],
)
def test_a_frame_without_scores_is_refused(scores: np.ndarray) -> None:
    with pytest.raises(ValueError, match="frame 1"):
        costs(scores)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 4), (3, 0)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="shape"):
        costs(np.zeros(shape, np.float32))
