"""What watches a training: the line of progress on the terminal, and pictures of the curves.

Hooks that a Kurfile can name are classes registered with `hook`. Knows nothing of networks.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kur.arguments import ArgumentError, bind
from kur.data.supplier import resolve
from kur.errors import KurError, nearest
from kur.log import Log
from kur.marks import MarkedDict
from kur.reader import Kurfile
from kur.train import State, Watcher

HOOKS: dict[str, Callable[..., Watcher]] = {}
_SMOOTHING = 0.98


def hook(name: str) -> Callable[[type], type]:
    """Register a class as the training hook `name`; its keyword parameters are its options, and
    `base` (where relative paths start) and `log` are given by the program if it takes them."""

    def register(kind: type) -> type:
        HOOKS[name] = kind
        return kind

    return register


class ProgressLine:
    """One line that says where the training is: rewritten in place on a terminal, printed once a
    minute elsewhere, and kept at the end of each epoch."""

    def __init__(self) -> None:
        self._epoch_started = 0.0
        self._first_batch = 0
        self._shown = 0.0
        self._smooth: float | None = None

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Show the smoothed loss, the speed and the time that is left of the epoch."""
        now = time.monotonic()
        if self._smooth is None:
            self._first_batch, self._epoch_started, self._smooth = state.batch, now, loss
        self._smooth = _SMOOTHING * self._smooth + (1 - _SMOOTHING) * loss
        terminal = sys.stderr.isatty()
        if now - self._shown < (0.2 if terminal else 60):
            return
        self._shown = now
        left = ""
        if state.batch > self._first_batch:
            each = (now - self._epoch_started) / (state.batch - self._first_batch)
            left = f"  {_clock(each * (batches - state.batch))} left of the epoch"
        line = (
            f"epoch {_of(state.epoch + 1, state.until)}  batch {state.batch}/{batches}  "
            f"loss {self._smooth:.4f}  rate {rate:.2e}{left}"
        )
        start, end = ("\r\x1b[K", "") if terminal else ("", "\n")
        print(f"{start}{line}", end=end, file=sys.stderr, flush=True)

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Keep a line with every figure."""
        self._smooth = None
        shown = "  ".join(f"{name} {_figure(name, value)}" for name, value in figures.items())
        start = "\r\x1b[K" if sys.stderr.isatty() else ""
        line = f"epoch {_of(state.epoch, state.until)}  {shown}  {_clock(state.seconds)} trained"
        print(f"{start}{line}", file=sys.stderr, flush=True)


@hook("plot")
class Plot:
    """A picture of the losses and rates so far, drawn anew after each epoch."""

    def __init__(self, *, base: Path, log: Log, path: str) -> None:
        if log.path is None:
            raise ArgumentError("a plot is drawn from the log; give 'log' in the train section")
        self._path = resolve(base, path)
        self._log = log

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Nothing: the picture is drawn once an epoch."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Draw the log."""
        # Only a plot needs matplotlib, which takes a second to import.
        from matplotlib.figure import Figure

        lines = self._log.read()
        epochs = [line for line in lines if "figures" in line]
        names = list(dict.fromkeys(name for line in epochs for name in line["figures"]))
        rates = [name for name in names if _is_share(name)]
        picture = Figure(figsize=(9, 3.5 * (1 + bool(rates))), layout="constrained")
        axes = picture.subplots(1 + bool(rates), 1, sharex=True, squeeze=False)[:, 0]
        self._draw_batches(axes[0], [line for line in lines if "loss" in line])
        for name in names:
            points = [line for line in epochs if name in line["figures"]]
            axes[1 if name in rates else 0].plot(
                [line["step"] for line in points],
                [line["figures"][name] for line in points],
                marker=".",
                label=name,
            )
        for axis, title in zip(axes, ("loss", "share"), strict=False):
            axis.set(xlabel="batches", ylabel=title)
            axis.grid(alpha=0.3)
            axis.legend()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            picture.savefig(self._path, dpi=110)
        except (OSError, ValueError) as error:
            raise KurError(f"{self._path}: the plot cannot be written: {error}") from None

    def _draw_batches(self, axis: Any, lines: list[dict[str, Any]]) -> None:
        if not lines:
            return
        losses = [line["loss"] for line in lines]
        steps = [line["step"] for line in lines]
        axis.plot(steps, losses, linewidth=0.4, alpha=0.5, label="batch")
        # The first batches are often so bad that nothing else could be seen.
        shown = sorted(losses)[int(0.98 * (len(losses) - 1))]
        axis.set_ylim(min(0.0, *losses), 1.1 * shown if shown > 0 else None)


def make_hooks(
    kurfile: Kurfile, entries: Sequence[Any], base: Path, log: Log
) -> tuple[Watcher, ...]:
    """Watchers for the entries of `train.hooks`; KurfileError names the line of a wrong one."""
    made = []
    for i, entry in enumerate(entries):
        path: tuple[Any, ...] = ("train", "hooks", i)
        given = entry if isinstance(entry, MarkedDict) else MarkedDict({entry: None})
        if len(given) != 1:
            message = f"one hook expected, found {', '.join(map(str, given)) or 'none'}"
            raise kurfile.error(None, path, message)
        [(name, options)] = given.items()
        if name not in HOOKS:
            message = f"unknown hook {name!r}{nearest(name, HOOKS)}; known: {', '.join(HOOKS)}"
            raise kurfile.error(None, (*path, name), message)
        kind, provided = HOOKS[name], {"base": base, "log": log}
        try:
            what = f"the hook {name}"
            made.append(kind(**bind(kind, options, what=what, shorthand="path", provided=provided)))
        except ArgumentError as error:
            inside = (name, error.key) if error.key else (name,)
            raise kurfile.error(None, (*path, *inside), str(error)) from None
    return tuple(made)


def _of(count: int, until: int | None) -> str:
    return str(count) if until is None else f"{count}/{until}"


def _is_share(name: str) -> bool:
    """Whether a figure is a share of something, shown in percent."""
    return name.endswith(("rate", "accuracy"))


def _figure(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if _is_share(name) else f"{value:.4f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
