"""Evaluation: everything in its order, with or without truth, and what is written."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_train import run
from tiny_kur import POINTS, kurfile

from kur import cli, session
from kur.data.pickles import read_pickle
from kur.errors import KurError
from kur.evaluate import Findings, write

EVALUATE = """
evaluate:
  data: [points: {count: 21, seed: 5}]
  provider: {batch_size: 8}
  destination: out/results.pkl
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(folder)
    return folder


def evaluated(folder: Path, **overrides: str) -> Any:
    return session.evaluating(kurfile(folder, POINTS + EVALUATE, **overrides))[""]


def test_results_are_in_the_order_of_the_data(trained: Path) -> None:
    found = evaluated(trained)
    data = pickle.loads((trained / "out/results.pkl").read_bytes())
    assert list(data) == ["result", "truth"] and list(data["result"]) == ["quadrant"]
    assert data["result"]["quadrant"].shape == (21, 4)
    assert np.allclose(data["result"]["quadrant"].sum(axis=1), 1, atol=1e-5)
    one_by_one = evaluated(trained, evaluate__provider="{batch_size: 1}").result["quadrant"]
    np.testing.assert_allclose(data["result"]["quadrant"], one_by_one, atol=1e-6)
    assert data["truth"]["quadrant"].tolist() == found.truth["quadrant"].tolist()
    assert read_pickle((trained / "out/results.pkl").read_bytes(), "results").keys() == data.keys()
    assert found.truth["note"][20] == "note 20" and "point" not in found.truth


def test_no_truth_is_needed(trained: Path) -> None:
    """The data has no source that is called after the output."""
    text = (POINTS + EVALUATE).replace("name: quadrant", "name: corner")
    text = text.replace("target: quadrant", "target: corner, source: quadrant")
    made = kurfile(trained, text, evaluate__destination="out/alone.pkl")
    session.evaluating(made)
    assert list(pickle.loads((trained / "out/alone.pkl").read_bytes())) == ["result"]


def test_csv(trained: Path) -> None:
    target = "{path: out/results.txt, format: csv}"
    found = evaluated(trained, evaluate__destination=target)
    lines = (trained / "out/results.txt").read_text().splitlines()
    assert lines[0] == "quadrant_0,quadrant_1,quadrant_2,quadrant_3,truth_quadrant"
    assert len(lines) == 22
    first = [float(one) for one in lines[1].split(",")]
    assert first == pytest.approx([*found.result["quadrant"][0], found.truth["quadrant"][0]])


def test_several_sets(trained: Path) -> None:
    sets = "{a: [{points: {count: 3}}], b: [{points: {count: 5}}]}"
    made = kurfile(trained, POINTS + EVALUATE, evaluate__data=sets)
    assert {
        name: len(one.result["quadrant"]) for name, one in session.evaluating(made).items()
    } == {
        "a": 3,
        "b": 5,
    }
    assert [one.name for one in session.destinations(made)] == ["results-a.pkl", "results-b.pkl"]
    assert all(one.exists() for one in session.destinations(made))


def test_the_command(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (trained / "e.yml").write_text(POINTS + EVALUATE)
    monkeypatch.setattr("sys.stdin", io.StringIO())  # nobody presses Enter
    assert cli.main(["evaluate", str(trained / "e.yml"), "--step"]) == 0
    out, err = capsys.readouterr()
    assert out == f"results: {trained}/out/results.pkl\n"
    assert err.count("Press ENTER to continue...") == 3 and "evaluate, batch 3" in err
    assert cli.main(["evaluate", str(trained / "e.yml"), "-s", "evaluate.destination=null"]) == 0
    assert "21 samples were evaluated; 'destination' or 'hooks' in the" in capsys.readouterr().err
    assert cli.main(["evaluate", str(trained / "e.yml"), "-s", "evaluate.weights=none.w"]) == 1
    said = f"evaluate.weights: {trained}/none.w: no such weights file\n"
    assert capsys.readouterr().err == f"kur: -s evaluate.weights=none.w: {said}"


@pytest.mark.parametrize("name", ["deep/x.pkl", "deep/x.csv"])
def test_what_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "deep").write_text("")
    with pytest.raises(KurError, match=r"deep/x\.\w+: cannot be written: "):
        write(tmp_path / name, None, {"a": np.zeros(2)})


def test_csv_holds_numbers_of_one_shape(tmp_path: Path) -> None:
    with pytest.raises(KurError, match="'a' has no one shape or is no number; use the format"):
        write(tmp_path / "x.csv", None, {"a": [np.zeros(2), np.zeros(3)]})
    with pytest.raises(KurError, match="only numbers go into a CSV file"):
        write(tmp_path / "x.csv", None, "a text")
    assert list(tmp_path.iterdir()) == []


def test_truths_are_those_of_the_outputs() -> None:
    truth = {"a": np.zeros(2), "c": np.ones(2)}
    assert Findings({"a": np.ones(2)}, truth, "xy").truths() == {"a": truth["a"]}
    assert Findings({"b": np.ones(2)}, truth, "xy").truths() is None
