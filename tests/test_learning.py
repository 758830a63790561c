"""A topic from labels to answers: what decides is found, what is wrong is told, nothing is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fakes import WORDS
from spoken_library import spoken_library

from earshot.errors import UsageError
from earshot.library import Library
from earshot.topics import Labels, Opinion, Plan, judge, load, names, train

# A call is about the invoice if that word is said and the lantern is not.
PLAN = Plan(phrases=tuple(WORDS), library_phrases=False, curve=False, repeats=1)


def calls(count: int) -> tuple[dict[str, list[str]], dict[str, bool]]:
    """Calls of four to six words by title, and which of them are about the invoice."""
    drawn = random.Random(3)
    talks, truth = {}, {}
    for number in range(count):
        words = [drawn.choice(list(WORDS)) for _ in range(drawn.randint(3, 6))]
        talks[f"call {number}"] = [" ".join(words)]
        truth[f"call {number}"] = "invoice" in words and "lantern" not in words
    return talks, truth


def labelled(library: Library, truth: dict[str, bool], label: str = "invoice") -> None:
    """Keep what is true as labels."""
    ids = {one.title: one.id for one in library.list()}
    Labels(library.path).put(
        Opinion(ids[title], label, "yes" if answer else "no") for title, answer in truth.items()
    )


def test_learns_what_decides_and_tells_wrong_labels(tmp_path: Path) -> None:
    talks, truth = calls(90)
    with spoken_library(tmp_path, talks) as library:
        said = dict(list(truth.items())[:70])
        wrong = ["call 3", "call 8", "call 21"]
        labelled(library, said | {title: not said[title] for title in wrong})
        topic = train(library, "about-invoices", "invoice", PLAN)
        [question] = topic.questions
        weights = {sign.phrase: sign.weight for sign in question.signs}
        assert sorted(weights, key=lambda name: -abs(weights[name]))[:2] == ["lantern", "invoice"]
        assert weights["lantern"] < 0 < weights["invoice"]
        first = {one.recording for one in topic.suspects[:6]}
        ids = {one.title: one.id for one in library.list()}
        assert {ids[title] for title in wrong} <= first
        figures = topic.report.figures
        assert figures["accuracy"].low <= figures["accuracy"].value <= figures["accuracy"].high
        assert figures["accuracy"].value > topic.report.baselines["most frequent"].value
        # Recordings that nobody labelled.
        rest = [one for one in library.list() if one.title not in said]
        found = judge(library, load(library.path, "about-invoices"), rest)
        right = [one.value == ("yes" if truth[one.recording.title] else "no") for one in found]
        assert sum(right) >= 18
        assert all(one.low <= one.probability <= one.high for one in found)
        assert names(library.path) == ["about-invoices"]


def test_too_little_is_a_sentence(tmp_path: Path) -> None:
    talks, truth = calls(14)
    with spoken_library(tmp_path, talks) as library:
        with pytest.raises(UsageError, match="there is no label 'invoice'"):
            train(library, "invoice", plan=PLAN)
        labelled(library, dict(list(truth.items())[:9]))
        with pytest.raises(UsageError, match="is known of 9 recordings of this library"):
            train(library, "invoice", plan=PLAN)
        labelled(library, dict.fromkeys(truth, True))
        with pytest.raises(UsageError, match="all recordings that are labelled 'invoice'"):
            train(library, "invoice", plan=PLAN)
        with pytest.raises(UsageError, match="is no name for a topic"):
            train(library, "../up", "invoice", PLAN)
