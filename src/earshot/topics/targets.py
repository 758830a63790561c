"""Verdicts -> what is to be learned: questions to be answered with yes or no.

A label of two values is one question. One of several is a question for each of its values; one
whose values are numbers, a grade, is a question for each step: is it more than this? This module
knows what values are called, and nothing of recordings' sounds or of how anything is learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot.errors import UsageError
from earshot.topics.labels import Verdict

Kind = Literal["yes/no", "values", "grades"]

FEWEST = 10
"""Labelled recordings without which nothing is learned."""

FEWEST_OF_A_VALUE = 3
"""A value that fewer recordings have is left out: nothing could be tested on it."""

MOST_VALUES = 50

_YES = ("yes", "true", "1", "y", "t", "pass", "passed", "present", "done")
_NO = ("no", "false", "0", "n", "f", "fail", "failed", "absent", "not done")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is learned of a label: by recording, which of the `values` it has.

    `values` are in their order (grades rising; of yes and no, no first), `truth` are indexes in
    them by recording, `agreement` the share of its reviewers who say so. `left_out` are sentences
    about what could not be used.
    """

    label: str
    kind: Kind
    values: tuple[str, ...]
    recordings: tuple[str, ...]
    truth: Ints
    agreement: Floats
    left_out: tuple[str, ...] = ()

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked of a recording, each answered by yes or no."""
        return questions(self.kind, self.values)

    def answers(self, question: int) -> Bools:
        """The right answers (recordings,) to a question."""
        return answers(self.kind, self.truth, question)

    def rows(self, which: Ints) -> Target:
        """The same of some recordings."""
        return Target(
            self.label, self.kind, self.values, tuple(self.recordings[at] for at in which.tolist()),
            self.truth[which], self.agreement[which],
        )  # fmt: skip


def target(label: str, verdicts: Mapping[str, Verdict], recordings: Sequence[str]) -> Target:
    """What is to be learned of a label, from these recordings.

    Raises UsageError where there is too little to learn from: fewer than FEWEST recordings, one
    value only, too many values.
    """
    notes = []
    known = {name: verdicts[name] for name in recordings if name in verdicts}
    undecided = [name for name, one in known.items() if one.value is None]
    if undecided:
        notes.append(f"of {len(undecided)} recordings reviewers say one thing as often as another")
    there = {name: one for name, one in known.items() if one.value is not None}
    counts = Counter(str(one.value) for one in there.values())
    if len(counts) > MOST_VALUES:
        raise UsageError(
            f"the label '{label}' has {len(counts)} values, expected up to {MOST_VALUES}: is it a "
            "label?"
        )
    rare = sorted(value for value, count in counts.items() if count < FEWEST_OF_A_VALUE)
    kept = {value: count for value, count in counts.items() if value not in rare}
    if len(kept) > 1:
        for value in rare:
            notes.append(
                f"'{value}' is left out, only {counts[value]} of the recordings are labelled so"
            )
        there = {name: one for name, one in there.items() if one.value in kept}
    _require(label, there, counts, kept)
    kind, values = _ordered(list(kept))
    number = {value: at for at, value in enumerate(values)}
    return Target(
        label,
        kind,
        values,
        tuple(there),
        np.array([number[str(one.value)] for one in there.values()], np.int64),
        np.array([one.agreement for one in there.values()]),
        tuple(notes),
    )


def questions(kind: Kind, values: Sequence[str]) -> tuple[str, ...]:
    """What is asked: of two values whether it is the second; of grades whether it is above each
    but the last; else of each value whether it is that."""
    if kind == "yes/no":
        return (values[1],)
    if kind == "grades":
        return tuple(f"> {value}" for value in values[:-1])
    return tuple(values)


def answers(kind: Kind, truth: Ints, question: int) -> Bools:
    """The right answers (recordings,) to a question."""
    if kind == "yes/no":
        right = truth == 1
    elif kind == "grades":
        right = truth > question
    else:
        right = truth == question
    return np.asarray(right, np.bool_)


def joined(kind: Kind, yes: Floats) -> Floats:
    """Probabilities of the values (recordings, values), of those of yes (recordings, questions)."""
    if kind == "yes/no":
        return np.concatenate((1 - yes, yes), axis=1)
    if kind == "grades":
        falling = np.minimum.accumulate(yes, axis=1)
        edges = np.pad(falling, ((0, 0), (1, 1)), constant_values=((0, 0), (1.0, 0.0)))
        return -np.diff(edges, axis=1)
    some = np.maximum(yes, 1e-9)
    found: Floats = some / some.sum(axis=1, keepdims=True)
    return found


def _require(
    label: str, there: Mapping[str, Verdict], counts: Mapping[str, int], kept: Mapping[str, int]
) -> None:
    if sum(counts.values()) < FEWEST or len(there) < FEWEST:
        raise UsageError(
            f"'{label}' is known of {len(there)} recordings of this library: at least {FEWEST} are "
            "needed to learn from, 50 and more are better"
        )
    if not kept:
        raise UsageError(
            f"'{label}' has {len(counts)} values, and none that {FEWEST_OF_A_VALUE} recordings "
            "have: is it a label?"
        )
    if len(kept) < 2:
        [value] = kept
        rest = ", ".join(f"'{name}' {count}" for name, count in counts.items() if name != value)
        others = f" ({rest}: too few)" if rest else ""
        raise UsageError(
            f"all recordings that are labelled '{label}' are '{value}'{others}: label at least "
            f"{FEWEST_OF_A_VALUE} that are not"
        )


def _ordered(values: list[str]) -> tuple[Kind, tuple[str, ...]]:
    """What kind of label has these values, and their order."""
    grades = {value: number for value in values if (number := _number(value)) is not None}
    if len(values) == 2:
        low = [value for value in values if value.casefold() in _NO]
        high = [value for value in values if value.casefold() in _YES]
        if len(low) == 1:
            return "yes/no", (low[0], next(value for value in values if value != low[0]))
        if len(high) == 1:
            return "yes/no", (next(value for value in values if value != high[0]), high[0])
        if len(grades) == 2:
            first, second = sorted(values, key=grades.__getitem__)
        else:
            first, second = sorted(values)
        return "yes/no", (first, second)
    if len(grades) == len(values):
        return "grades", tuple(sorted(values, key=grades.__getitem__))
    return "values", tuple(sorted(values))


def _number(value: str) -> float | None:
    try:
        found = float(value.replace(",", "."))
    except ValueError:
        return None
    return found if np.isfinite(found) else None
