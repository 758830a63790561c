"""Pictures of a training, drawn from its log: losses by batch and by time, and throughput.

Knows nothing of networks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kur.arguments import ArgumentError
from kur.data.supplier import resolve
from kur.errors import KurError
from kur.hooks import hook, is_share
from kur.log import Log
from kur.train import State

Lines = Sequence[dict[str, Any]]
_POINTS = 200  # of a curve of throughput; single batches only shimmer


@hook("plot")
class Plot:
    """Pictures of the log so far, drawn anew after each epoch; any ending that matplotlib knows.

    `path` has losses and rates by batch; `loss_per_batch`, `loss_per_time` and
    `throughput_per_time` are one picture each.
    """

    def __init__(
        self,
        *,
        base: Path,
        log: Log,
        path: str | None = None,
        loss_per_batch: str | None = None,
        loss_per_time: str | None = None,
        throughput_per_time: str | None = None,
    ) -> None:
        if log.path is None:
            raise ArgumentError("a plot is drawn from the log; give 'log' in the train section")
        self._log = log
        wanted = {
            _all_by_batch: path,
            _loss_by_batch: loss_per_batch,
            _loss_by_time: loss_per_time,
            _throughput: throughput_per_time,
        }
        self._pictures = [(draw, resolve(base, one)) for draw, one in wanted.items() if one]
        if not self._pictures:
            raise ArgumentError("a plot needs a path, or 'loss_per_batch' and the like with one")

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Nothing: pictures are drawn once an epoch."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Draw the log."""
        lines = self._log.read()
        for draw, path in self._pictures:
            picture = draw(lines)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                # The ending says the kind, so it must stay the ending.
                temporary = path.with_name(f".part-{path.name}")
                picture.savefig(temporary, dpi=110)
                temporary.replace(path)
            except (OSError, ValueError) as error:
                raise KurError(f"{path}: the plot cannot be written: {error}") from None


def _all_by_batch(lines: Lines) -> Any:
    """Losses, and below them the figures that are shares."""
    rates = [name for name in _figures(lines) if is_share(name)]
    picture = _empty(1 + bool(rates))
    axes = picture.axes
    _draw_losses(axes[0], lines, "step", 1.0)
    for name in rates:
        _draw_figure(axes[1], lines, name, "step", 1.0)
    for axis, title in zip(axes, ("loss", "share"), strict=False):
        _finish(axis, "batches", title)
    return picture


def _loss_by_batch(lines: Lines) -> Any:
    picture = _empty(1)
    _draw_losses(picture.axes[0], lines, "step", 1.0)
    _finish(picture.axes[0], "batches", "loss")
    return picture


def _loss_by_time(lines: Lines) -> Any:
    timed = [line for line in lines if "seconds" in line]
    unit, seconds = _unit(timed)
    picture = _empty(1)
    _draw_losses(picture.axes[0], timed, "seconds", seconds)
    _finish(picture.axes[0], f"time in training ({unit})", "loss")
    return picture


def _throughput(lines: Lines) -> Any:
    timed = [line for line in lines if "seconds" in line]
    batches = [line for line in timed if "loss" in line] or timed
    unit, seconds = _unit(batches)
    # The ends of equal parts; what goes by between two of them is one point.
    ends = np.unique(np.linspace(0, len(batches) - 1, min(_POINTS, len(batches))).astype(int))
    at = np.array([batches[i]["seconds"] for i in ends], float)
    steps = np.array([batches[i]["step"] for i in ends], float)
    later = np.diff(at) > 0
    picture = _empty(1)
    axis = picture.axes[0]
    axis.plot(at[1:][later] / seconds, np.diff(steps)[later] / np.diff(at)[later], marker=".")
    axis.set_ylim(bottom=0)
    _finish(axis, f"time in training ({unit})", "batches a second")
    return picture


def _empty(rows: int) -> Any:
    # Only a plot needs matplotlib, which takes a second to import.
    from matplotlib.figure import Figure

    picture = Figure(figsize=(9, 3.5 * rows), layout="constrained")
    picture.subplots(rows, 1, sharex=True)
    return picture


def _draw_losses(axis: Any, lines: Lines, x: str, unit: float) -> None:
    batches = [line for line in lines if "loss" in line]
    if batches:
        losses = [line["loss"] for line in batches]
        at = [line[x] / unit for line in batches]
        thin = 0.4 if len(losses) > 500 else 1.0
        axis.plot(at, losses, linewidth=thin, alpha=0.5, label="batch")
        # The first batches are often so bad that nothing else could be seen.
        shown = sorted(losses)[int(0.98 * (len(losses) - 1))]
        axis.set_ylim(min(0.0, *losses), 1.1 * shown if shown > 0 else None)
    for name in _figures(lines):
        if not is_share(name):
            _draw_figure(axis, lines, name, x, unit)


def _draw_figure(axis: Any, lines: Lines, name: str, x: str, unit: float) -> None:
    points = [line for line in lines if name in line.get("figures", {})]
    values = [line["figures"][name] for line in points]
    axis.plot([line[x] / unit for line in points], values, marker=".", label=name)


def _figures(lines: Lines) -> list[str]:
    return list(dict.fromkeys(name for line in lines for name in line.get("figures", {})))


def _unit(lines: Lines) -> tuple[str, float]:
    """A unit of time for so long a log, and its seconds."""
    longest = max((line["seconds"] for line in lines), default=0.0)
    if longest > 3 * 3600:
        return "hours", 3600.0
    return ("minutes", 60.0) if longest > 180 else ("seconds", 1.0)


def _finish(axis: Any, x: str, y: str) -> None:
    axis.set(xlabel=x, ylabel=y)
    axis.grid(alpha=0.3)
    if axis.get_legend_handles_labels()[0]:
        axis.legend()
