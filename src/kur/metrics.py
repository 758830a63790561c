"""Error rates and accuracy that people read beside the loss.

Plain Python and numpy; knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def edit_distance(found: Sequence[Any], wanted: Sequence[Any]) -> int:
    """Least number of substitutions, insertions and deletions from `found` to `wanted`
    (Levenshtein, 1966)."""
    row = list(range(len(wanted) + 1))
    for i, one in enumerate(found, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(wanted, 1):
            replaced = diagonal + (0 if one == other else 1)
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, replaced)
    return row[-1]


def greedy(scores: NDArray[np.floating], blank: int) -> list[int]:
    """Best unit of each frame of (frames, units), repeats merged, blanks dropped."""
    best = scores.argmax(axis=-1)
    return [
        int(unit)
        for i, unit in enumerate(best)
        if unit != blank and (i == 0 or unit != best[i - 1])
    ]


def words(symbols: Sequence[int], space: int) -> list[tuple[int, ...]]:
    """Symbols cut into words at each `space`."""
    found: list[list[int]] = [[]]
    for one in symbols:
        if one == space:
            found.append([])
        else:
            found[-1].append(one)
    return [tuple(word) for word in found if word]


class ErrorRate:
    """Edits per wanted symbol, summed over many transcripts."""

    def __init__(self) -> None:
        self.edits = 0
        self.symbols = 0

    def add(self, found: Sequence[Any], wanted: Sequence[Any]) -> None:
        """Count one transcript."""
        self.edits += edit_distance(found, wanted)
        self.symbols += len(wanted)

    @property
    def value(self) -> float:
        """The rate; 0 where nothing was wanted."""
        return self.edits / self.symbols if self.symbols else 0.0


class Accuracy:
    """Share of samples (or steps) whose best class is the right one."""

    def __init__(self) -> None:
        self.right = 0
        self.total = 0

    def add(
        self,
        scores: NDArray[np.floating],
        truth: NDArray[Any],
        counted: NDArray[np.floating] | None = None,
    ) -> None:
        """Count a batch: scores (..., classes), truth of the same shape or without classes;
        `counted` is 1 where a step counts and 0 where it is padding."""
        wanted = truth.argmax(axis=-1) if truth.shape == scores.shape else truth
        hits = scores.argmax(axis=-1) == wanted.reshape(scores.shape[:-1])
        if counted is not None:
            hits = hits[counted > 0]
        self.right += int(hits.sum())
        self.total += hits.size

    @property
    def value(self) -> float:
        """The share; 0 where nothing was counted."""
        return self.right / self.total if self.total else 0.0
