"""Trees and a line on the strengths of phrases: what they say is the sum of what phrases add."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from spoken_library import PLAN, calls, labelled, spoken_library

from earshot.topics import judge, load, train
from earshot.topics.features import KINDS, Table
from earshot.topics.trees import grow


def heard(recordings: int, phrases: int, seed: int) -> tuple[Table, np.ndarray]:
    """Strengths of phrases of which each of the first eight tells a little, and a yes or no."""
    dice = np.random.default_rng(seed)
    truth = np.arange(recordings) % 2 == 1
    values = dice.normal(0, 1, (recordings, phrases, len(KINDS))).astype(np.float32)
    values[:, :8, :] += 1.0 * truth[:, np.newaxis, np.newaxis]
    values[:, :, 1:] = values[:, :, :1]
    when = dice.uniform(0, 60, (recordings, phrases)).astype(np.float32)
    return Table(values, when, np.zeros((recordings, phrases), np.int8)), truth


def test_what_phrases_add_makes_up_the_score() -> None:
    table, truth = heard(80, 40, 1)
    grown = grow(table, truth, np.arange(80), 0)
    adds, scores = grown.contributions(table).sum(axis=1), grown.scores(table)
    assert np.ptp(scores - adds) == pytest.approx(0.0, abs=1e-5)  # a constant is between them
    assert ((scores > 0) == truth).mean() > 0.9


def test_many_phrases_that_tell_a_little_each_are_told_on_other_recordings() -> None:
    table, truth = heard(60, 60, 2)
    others, answers = heard(200, 60, 3)
    grown = grow(table, truth, np.arange(60), 0)
    assert ((grown.scores(others) > 0) == answers).mean() > 0.7


def test_a_phrase_that_was_not_heard_at_all_leaves_a_finite_score() -> None:
    table, truth = heard(40, 10, 4)
    table.values[0, :, 0] = -np.inf
    grown = grow(table, truth, np.arange(40), 0)
    assert np.isfinite(grown.scores(table)).all()
    assert np.isfinite(grown.contributions(table)).all()


def test_a_line_is_kept_with_the_trees_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    talks, truth = calls(40)
    with spoken_library(tmp_path, talks) as library:
        labelled(library, truth)
        topic = train(library, "invoice", plan=PLAN)
        before = [one.probability for one in judge(library, topic, library.list())]
        kept = load(tmp_path, "invoice")
        after = [one.probability for one in judge(library, kept, library.list())]
    assert kept.questions[0].grown.line is not None
    assert after == pytest.approx(before, abs=1e-5)
    path = tmp_path / "topics" / "invoice.json"
    content = json.loads(path.read_text())
    content["questions"][0]["line"]["weights"].append(1.0)
    path.write_text(json.dumps(content))
    with pytest.raises(Exception, match="a line has not the weights that it should"):
        load(tmp_path, "invoice")
