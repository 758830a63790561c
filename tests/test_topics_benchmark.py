"""The benchmark of topics: words as phrases, long calls out of short ones, and what it reports."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import bags
import joined
import topics
import topics_elsewhere
from fakes import WORDS, say, tone_library, write_wav

from earshot.topics import Plan
from earshot.topics.targets import Target

SAID = {"billing": "invoice monday", "moving": "harbour lantern"}


@pytest.fixture
def corpus(tmp_path: Path) -> topics.Corpus:
    """Calls of two topics in tones, as `calls.py` would leave them; the label of one is wrong."""
    folder = tmp_path / "calls"
    rows, truth, lines = [], [], []
    for number in range(28):
        part = "held_out" if number >= 24 else "train"
        (folder / part).mkdir(parents=True, exist_ok=True)
        topic = ("billing", "moving")[number % 2]
        path = f"{part}/call_{number:04}.wav"
        customer = say(SAID[topic])
        agent = np.zeros_like(customer)
        opening = say("contract")
        agent[: len(opening)] = opening
        noise = np.random.default_rng(number).normal(0, 1e-4, (2, len(agent))).astype(np.float32)
        write_wav(folder / path, np.stack([agent, customer]) + noise)
        given = "billing" if number == 3 else topic
        rows.append([path, given])
        truth.append([path, topic, "no" if number % 3 else "yes", "topic" if number == 3 else ""])
        turns = [
            {"side": "agent", "text": "Contract"}, {"side": "customer", "text": SAID[topic]}
        ]  # fmt: skip
        lines.append(json.dumps({"path": path, "turns": turns}))
    for name, some in (("labels.csv", rows[:24]), ("held_out.csv", rows[24:])):
        _write(folder / name, [["path", "topic"], *some])
    _write(folder / "truth.csv", [["path", "topic", "topic_named", "wrong"], *truth])
    (folder / "said.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return topics.Corpus.read(folder)


def test_a_topic_is_learned_and_judged_on_held_out_calls(
    corpus: topics.Corpus, tmp_path: Path
) -> None:
    plan = Plan(phrases=tuple(WORDS), library_phrases=False, curve=False, repeats=1)
    with tone_library(tmp_path / "a") as library, tone_library(tmp_path / "b") as held_out:
        heard = topics.hear(library, corpus, "train")
        topics.hear(held_out, corpus, "held_out")
        row = topics.learned(library, held_out, corpus, "topic", 24, plan)
    assert heard["recordings"] == 24
    assert row["accuracy"] == 1.0
    assert row["most_frequent"] == 0.5
    assert row["wrong_labels_in_first_15_percent"] == 1.0  # the one wrong label is found
    assert "topic                after    24: 100.0%" in topics.as_rows([row])


def test_words_really_said_are_learned_from_by_the_same_trees(corpus: topics.Corpus) -> None:
    found = topics.beside(corpus, corpus.said, [24], ["topic"])
    assert found == {"topic": {"24": 1.0}}


def test_words_lie_where_they_were_said() -> None:
    words = bags.words_of([(0, "Hello there."), (1, "Hello, it's me")], seconds_a_word=0.5)
    assert [(one.text, one.side, one.start) for one in words] == [
        ("hello", 0, 0.0), ("there", 0, 0.5), ("hello", 1, 1.0), ("it's", 1, 1.5), ("me", 1, 2.0)
    ]  # fmt: skip


def test_words_of_one_call_alone_tell_nothing() -> None:
    calls = {"a": bags.words_of([(0, "one two")]), "b": bags.words_of([(1, "two three")])}
    numbers = bags.table_of(calls)
    assert numbers.values.shape[:2] == (2, 1)  # "two" is all that they share
    given = Target("x", "yes/no", ("no", "yes"), ("a", "b"), np.array([0, 1]), np.ones(2))
    assert given.answers(0).tolist() == [False, True]


def test_long_calls_are_made_of_calls_of_one_label(
    corpus: topics.Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joined, "SECONDS", 8.0)
    with tone_library(tmp_path / "a") as library:
        topics.hear(library, corpus, "train")
        labels = {
            one.id: corpus.truth[f"train/{Path(one.path).name}"]["topic"] for one in library.list()
        }
        made = joined.make(library, labels, tmp_path / "long", 4)
    with tone_library(tmp_path / "long") as long:
        lengths = [one.duration for one in long.list()]
        invoices = {one.recording for one in long.search("invoice", top=50).mentions}
    assert [label for _, label in made] == ["billing", "moving", "billing", "moving"]
    assert all(8.0 <= length < 8.0 + 3.0 for length in lengths)
    assert invoices == {id for id, label in made if label == "billing"}


def test_calls_that_the_library_cannot_read_end_the_benchmark(
    corpus: topics.Corpus, tmp_path: Path
) -> None:
    (corpus.folder / "train" / "call_0001.wav").write_bytes(b"no sound")
    with (
        tone_library(tmp_path / "a") as library,
        pytest.raises(RuntimeError, match=r"call_0001\.wav was not added"),
    ):
        topics.hear(library, corpus, "train")


def test_labels_of_real_speech(tmp_path: Path) -> None:
    digits = tmp_path / "spoken_digits"
    digits.mkdir()
    row = {"audio": "a/4_x.flac", "text": "four", "speaker": "x", "duration": 0.5}
    (digits / "manifest.jsonl").write_text(json.dumps(row), encoding="utf-8")
    assert topics_elsewhere.digits(tmp_path) == [
        topics_elsewhere.Clip(digits / "a/4_x.flac", "four", "x")
    ]
    assert topics_elsewhere.children(tmp_path) == []  # no such corpus there


def _write(path: Path, rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows(rows)
