"""What is learned of a label: its kind, its questions, what must be left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from earshot.errors import UsageError
from earshot.topics.labels import Verdict
from earshot.topics.targets import Target, joined, target


def learned(values: Sequence[str | None]) -> Target:
    """The target of recordings with these values."""
    names = [f"r{number}" for number in range(len(values))]
    verdicts = {name: Verdict(value, 1.0, ()) for name, value in zip(names, values, strict=True)}
    return target("fraud", verdicts, [*names, "unlabelled"])


@pytest.mark.parametrize(
    ("values", "kind", "order"),
    [
        (["yes", "no"], "yes/no", ("no", "yes")),
        (["1", "0"], "yes/no", ("0", "1")),
        (["passed", "failed"], "yes/no", ("failed", "passed")),
        (["sale", "no"], "yes/no", ("no", "sale")),
        (["low", "high"], "yes/no", ("high", "low")),
        (["10", "9", "8.5"], "grades", ("8.5", "9", "10")),
        (["1", "2", "?"], "values", ("1", "2", "?")),
        (["billing", "fault", "moving"], "values", ("billing", "fault", "moving")),
    ],
)
def test_the_kind_follows_from_the_values(
    values: list[str], kind: str, order: tuple[str, ...]
) -> None:
    found = learned(values * 6)
    assert (found.kind, found.values) == (kind, order)
    assert [found.values[at] for at in found.truth] == values * 6
    assert len(found.questions) == {"yes/no": 1, "grades": 2, "values": 3}[kind]


def test_answers_of_grades_rise() -> None:
    found = learned(["1", "2", "3"] * 5)
    assert found.questions == ("> 1", "> 2")
    assert found.answers(0)[:3].tolist() == [False, True, True]
    assert found.answers(1)[:3].tolist() == [False, False, True]
    sure = joined("grades", np.array([[0.9, 0.2], [0.3, 0.6]]))
    assert sure[0] == pytest.approx([0.1, 0.7, 0.2])
    assert sure[1] == pytest.approx([0.7, 0.0, 0.3])  # more than 2 is more than 1 too


def test_probabilities_of_values_sum_to_one() -> None:
    yes = np.array([[0.9, 0.3, 0.3], [0.0, 0.0, 0.0]])
    assert joined("values", yes).sum(axis=1) == pytest.approx([1.0, 1.0])
    assert joined("yes/no", np.array([[0.2]])).tolist() == [[0.8, 0.2]]


def test_what_cannot_be_used_is_told() -> None:
    found = learned(["yes"] * 8 + ["no"] * 5 + ["maybe"] * 2 + [None])
    assert len(found.recordings) == 13
    assert found.left_out == (
        "of 1 recordings reviewers say one thing as often as another",
        "'maybe' is left out, only 2 of the recordings are labelled so",
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (["yes", "no"] * 4, "'fraud' is known of 8 recordings of this library: at least 10"),
        ([], "'fraud' is known of 0 recordings"),
        (["yes"] * 20, "all recordings that are labelled 'fraud' are 'yes': label at least 3"),
        (["yes"] * 20 + ["no"], r"are 'yes' \('no' 1: too few\)"),
        ([str(n) + "x" for n in range(60)] * 3, "has 60 values, expected up to 50"),
        ([f"call {n}" for n in range(20)], "has 20 values, and none that 3 recordings have"),
    ],
)
def test_too_little_is_a_sentence(values: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        learned(values)
