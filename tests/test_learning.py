"""A topic from labels to answers: what decides is found, what is wrong is told, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from spoken_library import PLAN, calls, labelled, spoken_library

from earshot.errors import UsageError
from earshot.topics import judge, load, names, train


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
