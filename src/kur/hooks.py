"""What watches a training: the line of progress on the terminal, messages, pauses.

Hooks that a Kurfile can name are classes registered with `hook`. Knows nothing of networks.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from kur.entries import Choice, choose
from kur.log import Log
from kur.reader import Kurfile
from kur.slack import Slack
from kur.step import OnBatch
from kur.train import State, Watcher

HOOKS: dict[str, Callable[..., Watcher]] = {}
_SMOOTHING = 0.98
# How often a line is printed where nothing can be written over, in seconds.
_PLAIN_EVERY = 60.0


def hook(name: str) -> Callable[[type], type]:
    """Register a class as the training hook `name`; its keyword parameters are its options, and
    `base` (where relative paths start) and `log` are given by the program if it takes them."""

    def register(kind: type) -> type:
        HOOKS[name] = kind
        return kind

    return register


class ProgressLine:
    """Where the training is: a bar that is rewritten in place on a terminal, a line once a minute
    elsewhere, and a line that stays at the end of each epoch."""

    def __init__(self, stream: IO[str] | None = None, terminal: bool | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() if terminal is None else terminal
        self._bar: Any = None
        self._task: Any = None
        self._shown = 0.0
        self._smooth: float | None = None
        self._began = (0.0, 0, 0)  # when this epoch was gone on with, its batch, samples
        self._figures: Mapping[str, float] = {}

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Show the smoothed loss, the last figures, the speed and the time that is left."""
        now = time.monotonic()
        if self._smooth is None:
            self._smooth, self._began = loss, (now, state.batch, state.samples)
        self._smooth = _SMOOTHING * self._smooth + (1 - _SMOOTHING) * loss
        if now - self._shown < (0.2 if self._terminal else _PLAIN_EVERY):
            return
        self._shown = now
        if self._terminal:
            self._draw(state, batches, rate)
        else:
            self._print(
                f"epoch {_of(state.epoch + 1, state.until)}  batch {state.batch}/{batches}  "
                f"loss {self._smooth:.4f}  rate {rate:.2e}{self._pace(state, batches)}"
            )

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Keep a line with every figure."""
        self._figures = {name: one for name, one in figures.items() if "training" not in name}
        shown = "  ".join(f"{name} {_figure(name, value)}" for name, value in figures.items())
        between = f"{state.epoch + 1} after batch {state.batch}"
        where = between if state.batch else _of(state.epoch, state.until)
        if not state.batch:
            self._smooth = None
        self._clear()
        self._print(f"epoch {where}  {shown}  {clock(state.seconds)} trained")

    def on_end(self, state: State, reason: str) -> None:
        """Give the terminal back."""
        self._clear()

    def _pace(self, state: State, batches: int) -> str:
        """Samples a second, and the time that is left of the epoch and of all of them."""
        began, batch, samples = self._began
        went = time.monotonic() - began
        if state.batch <= batch or went <= 0:
            return ""
        each = went / (state.batch - batch)
        text = f"  {(state.samples - samples) / went:.1f} samples/s"
        text += f"  {clock(each * (batches - state.batch))} left of the epoch"
        if state.until is not None and state.until > state.epoch + 1:
            rest = (state.until - state.epoch) * batches - state.batch
            text += f", {clock(each * rest)} of all"
        return text

    def _draw(self, state: State, batches: int, rate: float) -> None:
        # Only a bar on a terminal needs it.
        from rich import progress
        from rich.console import Console
        from rich.table import Column
        from rich.text import Text

        class Said(progress.ProgressColumn):
            """What gives way where the terminal is narrow."""

            def render(self, task: progress.Task) -> Text:
                return Text(task.fields["said"], no_wrap=True, overflow="ellipsis")

        if self._bar is None:
            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(12, table_column=Column(no_wrap=True)),
                progress.MofNCompleteColumn(table_column=Column(no_wrap=True)),
                Said(table_column=Column()),
                console=Console(file=self._stream, force_terminal=True),
                transient=True,
            )
            self._task = self._bar.add_task("", total=batches, said="")
            self._bar.start()
        last = "".join(f"  {name} {_figure(name, one)}" for name, one in self._figures.items())
        said = f"loss {self._smooth:.4f}{self._pace(state, batches)}  rate {rate:.1e}{last}"
        self._bar.update(
            self._task,
            description=f"epoch {_of(state.epoch + 1, state.until)}",
            completed=state.batch,
            total=batches,
            said=said,
        )

    def _clear(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _print(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


@hook("slack")
class SlackMessages(Slack):
    """Posts to Slack when the training begins, after each epoch, and when it ends; see
    `kur.slack`."""

    def on_start(self, state: State) -> None:
        """Say so."""
        self.post("Started training.")

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Nothing."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Say how it went."""
        if state.batch:
            return
        total = "all" if state.until is None else state.until
        info = {name.capitalize(): f"{value:.4f}" for name, value in figures.items()}
        self.post(f"Finished epoch {state.epoch} of {total}.", info)

    def on_end(self, state: State, reason: str) -> None:
        """Say why."""
        self.post("Training has ended.", {"Reason": reason})


class Pause:
    """Waits for Enter after each batch of a training."""

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Wait."""
        wait(f"Train, epoch {state.epoch + 1}, batch {state.batch}: loss {loss:.4f}")

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Nothing."""


def pause_after(what: str) -> OnBatch:
    """Something that waits for Enter after each batch of `what`."""
    count = 0

    def pause(batch: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        nonlocal count
        count += 1
        wait(f"{what}, batch {count}")

    return pause


def wait(said: str) -> None:
    """Say something and wait for Enter; where nobody can press it, go on."""
    print(said, file=sys.stderr)
    print("Press ENTER to continue...", end="", file=sys.stderr, flush=True)
    with contextlib.suppress(EOFError):
        input()


def make_hooks(kurfile: Kurfile, entries: Sequence[Any], log: Log) -> tuple[Watcher, ...]:
    """Watchers for the entries of `train.hooks`; KurfileError names the line of a wrong one."""
    choices = [
        hook_choice(kurfile, entry, ("train", "hooks", i), log) for i, entry in enumerate(entries)
    ]
    return tuple(choice.made() for choice in choices if choice is not None)


def hook_choice(
    kurfile: Kurfile, entry: Any, path: tuple[Any, ...], log: Log | None
) -> Choice | None:
    """What an entry of `train.hooks` asks for; None if its `when` says no. Without a log it can be
    looked at, and not be made."""
    return choose(kurfile, entry, path, HOOKS, "hook", {"base": kurfile.path.parent, "log": log})


def is_share(name: str) -> bool:
    """Whether a figure is a share of something, shown in percent."""
    return name.endswith(("rate", "accuracy", "CER", "PER", "WER"))


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def _of(count: int, until: int | None) -> str:
    return str(count) if until is None else f"{count}/{until}"


def _figure(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if is_share(name) else f"{value:.4f}"
