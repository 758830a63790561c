"""Activations as costs: how far each unit lies behind the best unit of its frame.

`cost[t, u] = max_v logp[t, v] - logp[t, u] >= 0`, in steps of 1/16 nat, cut off at 255 steps
(15.9 nats, a probability of one in eight million). The best unit of a frame costs 0. Nothing but
resolution is lost: posteriors sum to one, so `log_posteriors` gives the scores back. What is kept
of these bytes is four bits each (`earshot.lanes`).

This module knows nothing of files and of where the activations come from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from earshot.lanes import Costs

STEPS_PER_NAT = 16
"""Resolution: one step of a cost is 1/16 nat, a factor of 1.06 in probability."""

MAX_COST = 255
"""Cost, in steps, of a unit that is out of the question."""


def costs(log_posteriors: npt.NDArray[np.float32]) -> Costs:
    """Quantise log-posteriors (frames, units) to costs (frames, units) of one byte each.

    Raises ValueError for anything that is not two-dimensional, or a frame without any score:
    a NaN in it, or every unit at minus infinity.
    """
    scores = np.asarray(log_posteriors, dtype=np.float32)
    if scores.ndim != 2 or scores.shape[1] == 0:
        raise ValueError(f"activations have shape {scores.shape}, expected (frames, units)")
    best = scores.max(axis=1, keepdims=True)
    # A maximum over a row with a NaN is NaN, so this one look covers the whole row.
    if not np.isfinite(best).all():
        frame = int(np.argmin(np.isfinite(best[:, 0])))
        raise ValueError(f"the activations of frame {frame} are not numbers")
    steps = np.rint((best - scores) * STEPS_PER_NAT)
    quantised: Costs = np.minimum(steps, MAX_COST).astype(np.uint8)
    return quantised


def log_posteriors(quantised: Costs) -> npt.NDArray[np.float32]:
    """Turn costs (frames, units) back into log-posteriors (frames, units), natural logarithms.

    Each frame's probabilities sum to one; each score is within 1/16 nat of the one that was
    quantised, as long as that was within 15.9 nats of the frame's best.
    """
    scores = quantised.astype(np.float32) / np.float32(-STEPS_PER_NAT)
    normaliser = np.log(np.exp(scores).sum(axis=1, keepdims=True))
    result: npt.NDArray[np.float32] = scores - normaliser
    return result
