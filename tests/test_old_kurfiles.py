"""Kurfiles in the shape in which people wrote them for the Kur of 2017 run as they stand."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from kur import cli

HERE = Path(__file__).parent / "old_kurfiles"
FILES = {"points": ("above", 1), "pictures": ("labels", 10), "letters": ("next", 5)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Kurfiles and data in the formats that they name."""
    made = tmp_path / "old"
    shutil.copytree(HERE, made)
    chance = np.random.default_rng(3)
    for name in ("train.pkl", "validate.pkl"):
        point = chance.uniform(-1, 1, (20, 2))
        above = np.where(point[:, 1] > np.sin(point[:, 0]), 1.0, -1.0)
        (made / name).write_bytes(pickle.dumps({"point": point, "above": above}))
    letters = np.eye(5, dtype=int)[chance.integers(0, 5, (12, 4))]
    lines = [{"before": one[:3].tolist(), "next": one[3].tolist()} for one in letters]
    (made / "letters.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (made / "pictures").mkdir()
    for part in (1, 2, 3):
        flat = chance.integers(0, 256, (8, 3072), np.uint8)
        batch = {"data": flat, "labels": list(range(8)), "batch_label": "x"}
        (made / "pictures" / f"data_batch_{part}").write_bytes(pickle.dumps(batch, 2))
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize("name", FILES)
def test_every_command_runs(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output, width = FILES[name]
    for command in ("validate", "dump", "build", "train", "test", "evaluate"):
        chosen = [] if command in ("validate", "dump") else ["--backend", "torch"]
        assert cli.main([command, f"{name}.yml", *chosen]) == 0, capsys.readouterr().err
    assert (folder / f"{name}-log").is_dir()
    with (folder / "output.pkl").open("rb") as file:
        said = pickle.load(file)
    assert said["result"][output].shape[1] == width
    assert len(said["truth"][output]) == len(said["result"][output])


def test_the_dump_has_both_names_and_every_loop(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dump", "pictures.yml"]) == 0
    dumped = json.loads(capsys.readouterr().out)
    assert dumped["training"] == dumped["train"] and dumped["testing"] == dumped["validation"]
    assert dumped["train"]["data"] == [{"cifar": {"path": "pictures", "parts": [1, 2]}}]
    assert dumped["train"]["epochs"] == {"number": 2, "mode": "additional"}
    assert dumped["model"][1]["for"]["range"] == "{{ cnn.kernels|length }}"


def test_a_repeated_warning_is_printed_once() -> None:
    once = cli._Once()
    records = [
        logging.LogRecord("kur", level, "", 1, text, (), None)
        for level, text in [(30, "a"), (30, "a"), (30, "b"), (20, "c"), (20, "c"), (40, "a")]
    ]
    assert [once.filter(record) for record in records] == [True, False, True, True, True, True]
