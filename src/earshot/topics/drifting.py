"""Do recordings still sound like those that a topic learned from?

Two questions, each asked of recordings that it has not learned from: is some phrase of its own
heard much more, or less, strongly than it was (a z-test each, all together by Holm's correction),
and are its probabilities spread otherwise (Kolmogorov and Smirnov)? A topic whose recordings have
changed may be wrong without knowing: label some of the new ones and train again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.errors import UsageError
from earshot.library import Library
from earshot.topics.calibrating import probability
from earshot.topics.evidence import Progress, gather
from earshot.topics.features import table
from earshot.topics.model import Topic
from earshot.types import Recording

FEWEST = 20
"""Recordings without which nothing is said of drift."""

CHANCE = 0.01
"""How often drift is told where there is none."""


@dataclass(frozen=True, slots=True)
class Change:
    """A phrase that is heard otherwise than it was: mean strengths, and the chance of that."""

    phrase: str
    before: float
    now: float
    chance: float


@dataclass(frozen=True, slots=True)
class Drift:
    """What has changed in so many recordings: `phrases`, the least likely by chance first, and
    whether the answers are spread otherwise (`answers`: the chance of a difference so large)."""

    recordings: int
    phrases: tuple[Change, ...]
    answers: float

    @property
    def drifts(self) -> bool:
        """Whether anything has changed that chance does not explain."""
        return bool(self.phrases) or self.answers < CHANCE


def drift(
    library: Library,
    topic: Topic,
    recordings: Sequence[Recording],
    progress: Progress | None = None,
) -> Drift:
    """Compare recordings with those that the topic learned from, which are left out.

    Raises UsageError for fewer than FEWEST others.
    """
    learned = frozenset(topic.recordings)
    new = [one.id for one in recordings if one.id not in learned]
    if len(new) < FEWEST:
        raise UsageError(
            f"{len(new)} recordings are there that '{topic.name}' has not learned from: at least "
            f"{FEWEST} are needed to tell whether they differ"
        )
    numbers = table(gather(library.field(), library.path, topic.phrases, new, progress))
    best = numbers.values[:, :, 0].astype(np.float64)
    mean, spread = np.array(topic.usual).T
    error = np.maximum(spread, 1e-3) * math.sqrt(1 / len(new) + 1 / len(topic.recordings))
    chances = [math.erfc(abs(one) / math.sqrt(2)) for one in (best.mean(axis=0) - mean) / error]
    changed = []
    for rank, at in enumerate(np.argsort(chances, kind="stable").tolist()):
        if chances[at] * (len(chances) - rank) >= CHANCE / 2:
            break
        now = float(best[:, at].mean())
        changed.append(Change(topic.phrases[at].text, float(mean[at]), now, chances[at]))
    answers = [1.0]
    for number, question in enumerate(topic.questions):
        low, high = question.curve.interval(question.grown.scores(numbers))
        # What a calibration says of equal scores differs a little: that is no drift.
        then = np.array(topic.seen[number]).round(1)
        answers.append(same(probability(low, high).round(1), then))
    return Drift(len(new), tuple(changed), min(min(answers) * 2 * len(topic.questions), 1.0))


def same(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    """The chance that two samples of one distribution differ so much (Kolmogorov, Smirnov)."""
    values = np.unique(np.concatenate((one, other)))
    shares = [
        np.searchsorted(np.sort(sample), values, side="right") / len(sample)
        for sample in (one, other)
    ]
    apart = float(np.abs(shares[0] - shares[1]).max())
    count = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    size = (count + 0.12 + 0.11 / count) * apart
    if size < 0.2:
        return 1.0
    terms = ((-1) ** (k - 1) * math.exp(-2 * (k * size) ** 2) for k in range(1, 101))
    return min(max(2 * math.fsum(terms), 0.0), 1.0)
