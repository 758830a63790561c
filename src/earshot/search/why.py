"""Why a mention is one: its alignment step by step, and what its confidence is made of.

The alignment is the one that the score came from: the same plan over the same costs, between the
frames where the search found it. This module knows nothing of text, files or terminals.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from earshot.lanes import Costs, Track
from earshot.search.align import STEPS_PER_NAT, Plan, Trace, readable, trace
from earshot.search.confidence import FEATURES, Pronunciation
from earshot.search.ear import Ear
from earshot.types import Reason, Step, Why


def explain(
    pronunciation: Pronunciation,
    track: Track,
    frames: tuple[int, int],
    features: Sequence[float],
    ear: Ear,
) -> Why:
    """Why `pronunciation` was heard between two frames of a track, both included.

    features: those of the hit, in the order of FEATURES.
    """
    first, last = frames
    costs = readable(track.costs(first, last + 1))
    ready = ear.plan(pronunciation)
    found = trace(costs, ready, 0, len(costs) - 1)
    weights = ear.calibration.weights
    reasons = tuple(
        Reason(feature.name, feature.meaning, value, weight * value)
        for feature, value in zip(FEATURES, features, strict=True)
        if (weight := weights.get(feature.name, 0.0))
    )
    bias = ear.calibration.bias
    steps = tuple(_Stretch(costs, ready, found, first, ear).steps())
    return Why(steps, reasons, bias, bias + sum(reason.adds for reason in reasons))


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """An alignment, and the costs (frames, units) that it was laid against, from frame `first`."""

    costs: Costs
    plan: Plan
    found: Trace
    first: int
    ear: Ear

    def steps(self) -> Iterator[Step]:
        """The steps in the order of time; units that were left out after the gap before them."""
        now, word, spoken = 0, -1, 0
        starts = set(self.plan.words.tolist())
        missing: list[tuple[int, int, int]] = []
        for at, column in enumerate(self.plan.phones.tolist()):
            word = max(word + (at in starts), 0)
            begin, end = int(self.found.first[at]), int(self.found.last[at]) + 1
            if begin < 0:
                missing.append((column, int(self.found.costs[at]), word))
                continue
            if begin > now:
                yield self._between(now, begin, spoken)
            for left_out, cost, of in missing:
                yield self._step("missing", left_out, begin, begin, cost, of)
            missing.clear()
            heard = self._heard(begin, end, column)
            name = self.ear.units[column]
            kind = "heard" if name in heard else "replaced" if heard else "faint"
            yield self._step(kind, column, begin, end, int(self.found.costs[at]), word)
            now, spoken = end, word
        for left_out, cost, of in missing:
            yield self._step("missing", left_out, now, now, cost, of)

    def _between(self, begin: int, end: int, word: int) -> Step:
        """What lies between two units: the gap that the first of them leaves."""
        [before] = np.flatnonzero(self.found.last == begin - 1)
        kind = "added" if self._heard(begin, end, None) else "gap"
        return self._step(kind, None, begin, end, int(self.found.gaps[before]), word)

    def _step(
        self, kind: str, column: int | None, begin: int, end: int, cost: int, word: int
    ) -> Step:
        seconds = self.ear.frame_seconds
        return Step(
            kind,  # type: ignore[arg-type]
            "" if column is None else self.ear.units[column],
            " ".join(self._heard(begin, end, column)),
            round((self.first + begin) * seconds, 3),
            round((self.first + end) * seconds, 3),
            cost / STEPS_PER_NAT,
            self._sure(self.plan.blank if column is None else column, begin, end),
            word,
        )

    def _heard(self, begin: int, end: int, sought: int | None) -> list[str]:
        """The ear's best guess in these frames: units, without what is nothing.

        Of equally good ones it is the unit that was sought.
        """
        costs = self.costs[begin:end]
        wanted = self.plan.blank if sought is None else sought
        best = np.where(costs[:, wanted] == 0, wanted, costs.argmin(axis=1)).tolist()
        return [self.ear.units[unit] for unit, _ in groupby(best) if unit != self.plan.blank]

    def _sure(self, column: int, begin: int, end: int) -> float:
        """The highest probability of a unit in these frames."""
        if begin == end:
            return 0.0
        scores = np.exp(self.costs[begin:end].astype(np.float64) / -STEPS_PER_NAT)
        each: npt.NDArray[np.float64] = scores[:, column] / scores.sum(axis=1)
        return round(float(each.max()), 4)
