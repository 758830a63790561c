"""The line of progress, pauses, and hooks that a Kurfile names."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from tiny_kur import POINTS, kurfile

from kur import cli, session
from kur.errors import KurError
from kur.hooks import ProgressLine
from kur.train import State


def progress(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is shown of three batches, a minute and more apart, and of the end of the epoch."""
    stream, now = io.StringIO(), [1000.0]
    monkeypatch.setattr("kur.hooks.time.monotonic", lambda: now[0])
    monkeypatch.setenv("COLUMNS", "160")
    line = ProgressLine(stream, terminal)
    state = State(until=2)
    line.on_epoch(state, {"validation accuracy": 0.25})
    for batch in (1, 2, 3):
        state.batch, state.samples = batch, 8 * batch
        line.on_batch(state, 10, 2.0, 0.01)
        now[0] += 80
    state.epoch, state.batch, state.seconds = 1, 0, 3725.0
    line.on_epoch(state, {"training loss": 1.5, "validation accuracy": 0.9})
    line.on_end(state, "success")
    return stream.getvalue()


def test_a_line_where_nothing_can_be_written_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 seconds and 8 samples a batch; 10 batches in each of two epochs."""
    lines = progress(False, monkeypatch).splitlines()
    assert lines[2] == (
        "epoch 1/2  batch 2/10  loss 2.0000  rate 1.00e-02  0.1 samples/s  "
        "0:10:40 left of the epoch, 0:24:00 of all"
    )
    assert lines[-1] == (
        "epoch 1/2  training loss 1.5000  validation accuracy 90.0 %  1:02:05 trained"
    )
    assert len(lines) == 5 and "\x1b" not in "".join(lines)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = progress(True, monkeypatch)
    assert "\x1b[?25l" in shown and shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    for text in ("epoch 1/2", "3/10", "loss 2.0000", "left of the epoch", "accuracy 25.0 %"):
        assert text in shown
    assert shown.rstrip().endswith("1:02:05 trained")


def test_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda: asked.append("") or "")
    (tmp_path / "k.yml").write_text(POINTS.replace("epochs: 3", "epochs: 1"))
    assert cli.main(["train", str(tmp_path / "k.yml"), "--step"]) == 0
    assert len(asked) == 5
    assert cli.main(["test", str(tmp_path / "k.yml"), "--step"]) == 0
    assert len(asked) == 6


@pytest.mark.parametrize(
    ("hooks", "message"),
    [
        ("[plott: x.png]", "train.hooks.0.plott: unknown hook 'plott' (did you mean 'plot'?); kn"),
        ("[plot]", "train.hooks.0.plot: a plot needs a path, or 'loss_per_batch' and the like"),
        ("[{plot: {loss: x}}]", "train.hooks.0.plot.loss: the hook plot has no argument 'loss'"),
        (
            "[[plot]]",
            "train.hooks.0: a hook is a mapping such as 'NAME: {path: ...}', found ['plot']",
        ),
        ("[tensorboard]", "train.hooks.0.tensorboard: the hook tensorboard needs 'path'; accepted"),
        ("[slack: '#x']", "train.hooks.0.slack: 'slack' needs 'url', that of an incoming webhook"),
    ],
)
def test_hooks_that_cannot_be(hooks: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(KurError) as caught:
        session.training(kurfile(tmp_path, POINTS, train__hooks=hooks))
    assert message in str(caught.value)
