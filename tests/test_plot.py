"""Pictures of a training: drawn from the log, and showing what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_kur import POINTS, kurfile

from kur import plot, session
from kur.arguments import ArgumentError
from kur.errors import KurError
from kur.log import Log
from kur.train import State

LINES: list[dict[str, Any]] = [
    *(
        {"step": i, "epoch": (i - 1) // 10, "loss": 3 / i, "seconds": 40.0 * i}
        for i in range(1, 21)
    ),
    {
        "step": 20,
        "epoch": 2,
        "seconds": 800.0,
        "figures": {"training loss": 0.4, "validation loss": 0.3, "validation accuracy": 0.9},
    },
]


def test_pictures_are_drawn(tmp_path: Path) -> None:
    names = ("loss_per_batch", "loss_per_time", "throughput_per_time")
    each = ", ".join(f"{name}: out/{name}.png" for name in names)
    hooks = f"[{{plot: {{{each}}}}}, {{plot: out/all.svg}}]"
    text = POINTS.replace("epochs: 3", "epochs: 1")
    session.training(kurfile(tmp_path, text, train__hooks=hooks)).run()
    for name in names:
        assert (tmp_path / f"out/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (tmp_path / "out/all.svg").read_text()
    assert not [one for one in (tmp_path / "out").iterdir() if one.name.startswith(".part")]


def curves(axis: Any) -> dict[str, tuple[list[float], list[float]]]:
    return {
        line.get_label(): (list(map(float, line.get_xdata())), list(map(float, line.get_ydata())))
        for line in axis.lines
    }


def test_what_the_pictures_show() -> None:
    by_batch = curves(plot._loss_by_batch(LINES).axes[0])
    assert by_batch["batch"][0] == list(range(1, 21)) and by_batch["batch"][1][2] == 1.0
    assert by_batch["validation loss"] == ([20.0], [0.3]) and "validation accuracy" not in by_batch
    picture = plot._loss_by_time(LINES)
    assert curves(picture.axes[0])["training loss"][0] == [pytest.approx(800 / 60)]
    assert picture.axes[0].get_xlabel() == "time in training (minutes)"
    [(at, speed)] = curves(plot._throughput(LINES).axes[0]).values()
    assert len(at) == 19 and speed == pytest.approx([1 / 40] * 19)
    both = plot._all_by_batch(LINES).axes
    assert list(curves(both[1])) == ["validation accuracy"] and len(both) == 2


def test_a_log_with_little_in_it() -> None:
    for lines in ([], LINES[:1], LINES[-1:]):
        for draw in (plot._loss_by_batch, plot._loss_by_time, plot._throughput, plot._all_by_batch):
            assert len(draw(lines).axes) >= 1


def test_pictures_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="drawn from the log; give 'log'"):
        plot.Plot(base=tmp_path, log=Log(None), path="x.png")
    wrong = plot.Plot(base=tmp_path, log=Log(tmp_path / "log.jsonl"), path="x.pgn")
    with pytest.raises(KurError, match=r"x\.pgn: the plot cannot be written: "):
        wrong.on_epoch(State(), {})
