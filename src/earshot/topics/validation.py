"""How well a label is told from what was heard, asked of recordings that were not learned from.

Repeated cross-validation: everything that looks at answers (elimination of phrases, trees) is done
anew inside each fold, recordings of a group never lie on both sides. From it come scores of every
recording by trees that have not seen it, what each phrase added to them, and from those all
figures, with intervals by the bootstrap over groups. This module knows nothing of files, of what a
phrase sounds like, and of where labels come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt

from earshot.search.tasks import in_threads, processors
from earshot.topics.calibrating import left_out, probability
from earshot.topics.features import Table
from earshot.topics.targets import Target, joined
from earshot.topics.trees import folds, grow

FOLDS = 5
REPEATS = 3

CURVE = (25, 50, 100, 200, 400, 800, 1600, 3200)
"""Numbers of labelled recordings at which the learning curve is measured, as far as they go."""

_DRAWS = 4  # at each point of the curve
_HELD_OUT = 400  # recordings at most that a point of the curve is measured on
_RESAMPLES = 400

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured number and the interval in which it lies with 95 % confidence."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Point:
    """A point of the learning curve: accuracy after so many labelled recordings."""

    recordings: int
    accuracy: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """What trees say of recordings that they have not seen.

    scores: (recordings, questions) log-odds, the mean over repeats; yes: their probabilities, each
    calibrated on all other recordings; low, high: the ends of their intervals; probabilities:
    (recordings, values). adds: by question and recording, what each phrase added (phrase, log-odds,
    mean over repeats), the most first.
    """

    scores: Floats
    yes: Floats
    low: Floats
    high: Floats
    probabilities: Floats
    adds: Sequence[Sequence[Sequence[tuple[int, float]]]] = field(default=())


def tested(
    table: Table,
    target: Target,
    groups: Ints,
    *,
    repeats: int = REPEATS,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Tested:
    """Cross-validate."""
    questions, count = len(target.questions), len(target.truth)
    jobs = [
        (question, train, test, seed + 100 * repeat + number)
        for repeat in range(repeats)
        for number, (train, test) in enumerate(folds(target.truth, groups, FOLDS, seed + repeat))
        for question in range(questions)
    ]
    sums = np.zeros((count, questions))
    adds: list[list[dict[int, float]]] = [[{} for _ in range(count)] for _ in range(questions)]
    done = 0

    def job(at: int) -> None:
        nonlocal done
        question, train, test, own = jobs[at]
        grown = grow(table.rows(train), target.answers(question)[train], groups[train], own)
        there = table.rows(test)
        sums[test, question] += grown.scores(there) / repeats
        shares = grown.contributions(there)[:, : len(grown.phrases)] / repeats
        for row, share in zip(test.tolist(), shares.tolist(), strict=True):
            mine = adds[question][row]
            for phrase, add in zip(grown.phrases, share, strict=True):
                mine[phrase] = mine.get(phrase, 0.0) + add
        done += 1
        if progress is not None:
            progress(done / len(jobs))

    in_threads([partial(job, at) for at in range(len(jobs))], processors())
    low, high = (np.empty_like(sums) for _ in range(2))
    for question in range(questions):
        truth = target.answers(question)
        low[:, question], high[:, question] = left_out(sums[:, question], truth)
    yes = probability(low, high)
    ranked = [
        [sorted(mine.items(), key=lambda one: -abs(one[1])) for mine in each] for each in adds
    ]
    return Tested(sums, yes, low, high, joined(target.kind, yes), ranked)


def figures(
    probabilities: Floats, truth: Ints, groups: Ints, kind: str, scores: Floats | None = None
) -> dict[str, Figure]:
    """Accuracy, F1, AUC, Brier score and, of grades, the mean error in steps, with intervals.

    F1 and AUC are those of the second of two values; of several the mean over the values. scores:
    (recordings, questions) what the AUC ranks by, else the probabilities.
    """
    ranks = probabilities if scores is None or scores.shape[1] == 1 else scores
    if scores is not None and scores.shape[1] == 1:
        ranks = np.column_stack((-scores[:, 0], scores[:, 0]))
    if ranks.shape[1] != probabilities.shape[1]:
        ranks = probabilities
    members = [np.flatnonzero(groups == one) for one in np.unique(groups)]
    random = np.random.default_rng(0)
    all_rows = np.arange(len(truth))
    measured = _measured(probabilities, ranks, truth, kind, all_rows)
    drawn: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(_RESAMPLES):
        chosen = random.integers(0, len(members), len(members))
        rows = np.concatenate([members[at] for at in chosen.tolist()])
        for name, value in _measured(probabilities, ranks, truth, kind, rows).items():
            if np.isfinite(value):
                drawn[name].append(value)
    found = {}
    for name, value in measured.items():
        low, high = np.quantile(drawn[name] or [value], (0.025, 0.975)).tolist()
        found[name] = Figure(value, low, high)
    return found


def curve(
    table: Table,
    target: Target,
    groups: Ints,
    *,
    sizes: Sequence[int] = CURVE,
    draws: int = _DRAWS,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
) -> tuple[Point, ...]:
    """Accuracy after so many labelled recordings, on others: the mean of some draws, and the
    lowest and highest of them."""
    count = len(target.truth)
    jobs = [(size, draw) for size in sizes if size <= 0.8 * count for draw in range(draws)]
    found: dict[int, list[float]] = {}
    done = 0

    def job(at: int) -> None:
        nonlocal done
        size, draw = jobs[at]
        train, test = _drawn(target, groups, size, seed + draw)
        if train is not None and test is not None:
            sure = predicted(table, target, groups, train, test, seed + draw)
            right = sure.argmax(axis=1) == target.truth[test]
            found.setdefault(size, []).append(float(right.mean()))
        done += 1
        if progress is not None:
            progress(done / len(jobs))

    in_threads([partial(job, at) for at in range(len(jobs))], processors())
    return tuple(
        Point(size, float(np.mean(own)), min(own), max(own)) for size, own in sorted(found.items())
    )


def predicted(
    table: Table, target: Target, groups: Ints, train: Ints, test: Ints, seed: int
) -> Floats:
    """Probabilities of the values of some recordings (test, values), learned from others."""
    own, there = table.rows(train), table.rows(test)
    yes = np.empty((len(test), len(target.questions)))
    for question in range(len(target.questions)):
        truth = target.answers(question)[train]
        scores = grow(own, truth, groups[train], seed).scores(there)
        yes[:, question] = 1 / (1 + np.exp(-scores))
    return joined(target.kind, yes)


def _drawn(target: Target, groups: Ints, size: int, seed: int) -> tuple[Ints | None, Ints | None]:
    """So many recordings of whole groups to learn from, and others; None where a value lacks."""
    random = np.random.default_rng(seed)
    names = random.permutation(np.unique(groups))
    order = np.concatenate([np.flatnonzero(groups == one) for one in names.tolist()])
    train, rest = order[:size], order[size:]
    rest = rest[~np.isin(groups[rest], groups[train])][:_HELD_OUT]
    enough = np.bincount(target.truth[train], minlength=len(target.values)).min() >= 2
    return (train, rest) if enough and len(rest) else (None, None)


def _measured(
    probabilities: Floats, ranks: Floats, truth: Ints, kind: str, rows: Ints
) -> dict[str, float]:
    sure, right = probabilities[rows], truth[rows]
    said = sure.argmax(axis=1)
    values = range(sure.shape[1])
    asked = [1] if kind == "yes/no" else [one for one in values if (right == one).any()]
    one_hot = np.eye(sure.shape[1])[right]
    areas = [auc(ranks[rows, one], right == one) for one in asked if 0 < (right == one).mean() < 1]
    found = {
        "accuracy": float((said == right).mean()),
        "f1": float(np.mean([_f1(said == one, right == one) for one in asked])),
        "auc": float(np.mean(areas)) if areas else float("nan"),
        "brier": float(((sure - one_hot) ** 2).sum(axis=1).mean() / 2),
    }
    if kind == "grades":
        middle = sure @ np.arange(sure.shape[1])
        found["error"] = float(np.abs(middle - right).mean())
    return found


def _f1(said: npt.NDArray[np.bool_], right: npt.NDArray[np.bool_]) -> float:
    both = int((said & right).sum())
    return 2 * both / max(int(said.sum() + right.sum()), 1)


def auc(scores: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """The chance that one that is has a higher score than one that is not; NaN without either."""
    positive = int(truth.sum())
    negative = len(truth) - positive
    if not positive or not negative:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    ranks = float(middle[place][truth].sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)
