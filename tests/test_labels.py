"""Opinions: what is kept, who overrules whom, what many reviewers together say."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from earshot.errors import LibraryError, UsageError
from earshot.topics.labels import Labels, Opinion


def test_a_reviewers_opinion_takes_the_place_of_the_last(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    labels.put([Opinion("a" * 12, "fraud", "yes", "anna"), Opinion("a" * 12, "fraud", "no", "bob")])
    labels.put([Opinion("a" * 12, "fraud", "no", "anna")])
    assert [(one.reviewer, one.value) for one in labels.opinions("fraud")] == [
        ("anna", "no"),
        ("bob", "no"),
    ]
    assert all(one.at for one in labels.opinions())


def test_what_most_reviewers_say_counts(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    said = {"one": ["yes", "YES", "no"], "two": ["no", "yes"], "three": ["No"]}
    labels.put(
        Opinion(name, "fraud", value, f"reviewer {at}")
        for name, values in said.items()
        for at, value in enumerate(values)
    )
    verdicts = labels.verdicts("fraud")
    assert verdicts["one"].value in ("yes", "YES")
    assert verdicts["one"].agreement == pytest.approx(2 / 3)
    assert verdicts["two"].value is None
    assert verdicts["three"].value == verdicts["three"].opinions[0].value.replace("No", "no")
    [summary] = labels.summaries()
    assert (summary.recordings, summary.disputed, summary.undecided) == (3, 2, 1)


def test_a_correction_overrules_everybody(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    labels.put([Opinion("one", "fraud", "yes", "anna"), Opinion("one", "fraud", "yes", "bob")])
    labels.put([Opinion("one", "fraud", "no")], alone=True)
    assert [one.value for one in labels.opinions("fraud")] == ["no"]


def test_unknown_labels_are_answered_with_those_there_are(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    with pytest.raises(UsageError, match="there are none: earshot label import"):
        labels.require("fraud")
    labels.put([Opinion("one", "fraud", "yes")])
    assert labels.require("Fraud") == "fraud"
    with pytest.raises(UsageError, match="there is no label 'topic'; there are: fraud"):
        labels.remove("topic")
    assert labels.remove("fraud") == 1
    assert labels.names() == ()


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    assert Labels(tmp_path).opinions() == ()
    assert not list(tmp_path.iterdir())
    with pytest.raises(LibraryError, match="is no library"):
        Labels(tmp_path / "nowhere").put([])


def test_a_newer_or_damaged_file_says_so(tmp_path: Path) -> None:
    labels = Labels(tmp_path)
    labels.put([Opinion("one", "fraud", "yes")])
    with sqlite3.connect(labels.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LibraryError, match="format 99, this version reads up to 1"):
        labels.opinions()
    labels.path.write_bytes(b"no database at all" * 100)
    with pytest.raises(LibraryError, match=r"labels\.db: the labels cannot be read"):
        labels.opinions()
