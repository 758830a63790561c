"""Evaluation hooks: what each prints, and what it hands to the next."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train import run
from tiny_kur import POINTS, kurfile

from kur import session
from kur.errors import KurError
from kur.evaluate import Findings
from kur.evaluation_hooks import About, Current, apply_hooks, make_evaluation_hooks, texts_of
from kur.marks import MarkedDict, MarkedList

SYMBOLS = ["a", "b", "c"]


def hooks(folder: Path, *entries: Any) -> Any:
    return make_evaluation_hooks(kurfile(folder, POINTS), "evaluate", MarkedList(entries))


def one_hot(units: str, letters: str = "abc-") -> np.ndarray[Any, Any]:
    return np.eye(len(letters), dtype=np.float32)[[letters.index(one) for one in units]]


def about(every: bool = True, **more: Any) -> About:
    vocabulary = more.get("vocabulary", {"transcript": SYMBOLS})
    return About(["utterance"], ["asr"], vocabulary, more.get("split", {}), every)


SPEECH = Findings(
    {"asr": [one_hot("aa-ab"), one_hot("-c-c")]},
    {"transcript_raw": ["aab", "cb"]},
    ["one", "two"],
)


def test_transcripts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = apply_hooks(hooks(tmp_path, "transcript"), SPEECH, about())
    assert capsys.readouterr().out == (
        'Prediction: "aab"\nTruth: "aab"\nPrediction: "cc"\nTruth: "cb"\n'
    )
    assert left == Current("aab", "aab")
    apply_hooks(hooks(tmp_path, "transcript"), SPEECH, about(every=False))
    assert capsys.readouterr().out == 'Prediction: "aab"\nTruth: "aab"\n'


def test_transcripts_of_other_kinds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Words; the blank first; another output and key; numbers as the truth; none at all."""
    options = {"word": True, "warp": True, "output": "said", "input": "my"}
    rows = {"said": [one_hot("-ba", "-abc")]}
    known = about(vocabulary={"my_transcript": SYMBOLS})
    made = hooks(tmp_path, MarkedDict({"transcript": MarkedDict(options)}))
    apply_hooks(made, Findings(rows, {"my_transcript_raw": [[1, 0]]}, ["x"]), known)
    assert capsys.readouterr().out == 'Prediction: "b a"\nTruth: "b a"\n'
    assert apply_hooks(made, Findings(rows, {}, ["x"]), known).truth is None
    assert capsys.readouterr().out == 'Prediction: "b a"\n'


def test_transcripts_that_cannot_be(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KurError, match="no output is named 'asr'; outputs: said"):
        apply_hooks(hooks(tmp_path, "transcript"), Findings({"said": []}, {}, []), about())
    with pytest.raises(KurError, match="the data has no vocabulary 'transcript'; it has: none"):
        apply_hooks(hooks(tmp_path, "transcript"), SPEECH, about(vocabulary={}))
    twice = hooks(tmp_path, "transcript", "transcript")
    apply_hooks(twice, SPEECH, about())
    assert "the hook before has left no outputs; set 'passthrough: yes'" in caplog.text
    again = hooks(tmp_path, "transcript", MarkedDict({"transcript": {"passthrough": True}}))
    assert apply_hooks(again, SPEECH, about()) == Current("aab", "aab")


def test_texts_merge_repeats_and_drop_blanks() -> None:
    assert texts_of([one_hot("aab--bc")], SYMBOLS, "") == ["abbc"]
    assert texts_of([one_hot("-")], SYMBOLS, "") == [""]


def test_output_writes_what_it_is_given(tmp_path: Path) -> None:
    made = hooks(tmp_path, MarkedDict({"output": "a.pkl"}), "transcript")
    made += hooks(tmp_path, MarkedDict({"output": MarkedDict({"path": "b.pkl", "format": "pkl"})}))
    apply_hooks(made, SPEECH, about())
    first, second = (pickle.loads((tmp_path / one).read_bytes()) for one in ("a.pkl", "b.pkl"))
    assert list(first) == ["result"] and first["result"]["asr"][1].shape == (4, 4)
    assert second == {"result": "aab", "truth": "aab"}


def test_mnist_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = np.array([[1], [1], [7], [0]])
    rows = np.eye(10, dtype=np.float32)[[1, 2, 7, 0]]
    findings = Findings({"labels": rows}, {"labels": truth}, ["a"] * 4)
    apply_hooks(hooks(tmp_path, "mnist"), findings, about())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["LABEL", "CORRECT", "TOTAL", "ACCURACY"] and len(lines) == 12
    assert lines[2].split() == ["1", "1", "2", "50.0%"] and lines[3].split()[-1] == "0.0%"
    assert lines[-1].split() == ["ALL", "3", "4", "75.0%"]
    one_hot_truth = Findings({"x": rows}, {"x": rows}, ["a"] * 4)
    apply_hooks(hooks(tmp_path, "mnist"), one_hot_truth, about())
    assert capsys.readouterr().out.splitlines()[-1].split() == ["ALL", "4", "4", "100.0%"]


def test_mnist_without_truth(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    apply_hooks(hooks(tmp_path, "mnist"), Findings({"x": np.eye(10)}, {}, ["a"] * 10), about())
    assert "nothing to count" in caplog.text


def test_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {"next": np.stack([one_hot("abc", "abc"), one_hot("cca", "abc")])}
    truth = {"raw_seen": [["x", "a", "b"], ["y"]], "raw_next": ["abc", "ccb"]}
    known = About(["seen"], ["next"], {"next": SYMBOLS}, {}, every=False)
    left = apply_hooks(hooks(tmp_path, "text"), Findings(rows, truth, ["1", "2"]), known)
    assert capsys.readouterr().out.splitlines() == [
        *("Input:", 'seen: "xab"'),
        *("Prediction:", 'next: "abc"'),
        *("Truth:", 'next: "abc"'),
    ]
    assert left == Current({"next": "abc"}, {"next": "abc"})
    with pytest.raises(KurError, match="the output 'next' has no vocabulary; known: none"):
        nothing = About(["seen"], ["next"], {}, {}, every=False)
        apply_hooks(hooks(tmp_path, "text"), Findings(rows, truth, ["1"]), nothing)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("transcripts", "unknown hook 'transcripts' (did you mean 'transcript'?); known: output,"),
        (
            MarkedDict({"output": None}),
            "the hook output needs 'path'; accepted (* required): path*",
        ),
        (MarkedDict({"slack": "#x"}), "'slack' needs 'url', that of an incoming webhook"),
        (MarkedDict({"mnist": {"x": 1}}), "the hook mnist has no argument 'x'; it takes no arg"),
        (MarkedDict({"a": 1, "b": 2}), "one hook expected, found a, b"),
    ],
)
def test_hooks_that_cannot_be(entry: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(KurError) as caught:
        hooks(tmp_path, entry)
    assert "evaluate.hooks.0" in str(caught.value) and message in str(caught.value)


def test_hooks_of_test_and_validate(tmp_path: Path) -> None:
    """They get the first batch, as in Kur."""
    made = {
        "validate__hooks": "[{output: v.pkl}]",
        "test__hooks": "[{output: t.pkl}]",
        "validate__provider": "{batch_size: 3}",
        "test__provider": "{batch_size: 4}",
        "train__stop_when__epochs": "1",
    }
    run(tmp_path, **made)
    assert len(pickle.loads((tmp_path / "v.pkl").read_bytes())["result"]["quadrant"]) == 3
    figures = session.testing(kurfile(tmp_path, POINTS, **made))
    assert set(figures) == {""}
    found = pickle.loads((tmp_path / "t.pkl").read_bytes())
    assert found["result"]["quadrant"].shape == (4, 4) and len(found["truth"]["quadrant"]) == 4


def test_several_test_sets_have_an_average(tmp_path: Path) -> None:
    run(tmp_path, train__stop_when__epochs="1")
    sets = "{a: [{points: {count: 12}}], b: [{points: {count: 4, flipped: yes}}]}"
    found = session.testing(kurfile(tmp_path, POINTS, test__data=sets))
    mean = (12 * found["a"]["loss"] + 4 * found["b"]["loss"]) / 16
    assert found["average"] == {"loss": pytest.approx(mean)}
