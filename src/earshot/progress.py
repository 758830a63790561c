"""Adding as a person sees it: a bar that moves, and Ctrl-C that works.

It knows how far adding is, and nothing of what is added.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from earshot.outcome import Progress, ProgressCallback
from earshot.present import Terminal, clock, printable


@contextmanager
def stoppable(shown: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """A progress callback in which Ctrl-C takes effect, block by block; a second one at once.

    Raised just anywhere, KeyboardInterrupt is lost when it meets the decoder, which calls back into
    Python to read and swallows what is raised there.
    """
    stopped = False

    def stop(_signal: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(signal.SIGINT, before)

    def go_on(progress: Progress) -> None:
        if stopped:
            raise KeyboardInterrupt
        if shown is not None:
            shown(progress)

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # whoever started us wants it otherwise
        yield go_on
        return
    signal.signal(signal.SIGINT, stop)
    try:
        yield go_on
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def until_stopped() -> Iterator[Callable[[], bool]]:
    """Ctrl-C, and what a supervisor sends, are the end of the input; a second one is rude."""
    stopped = False
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True
        signal.signal(number, before[signal.Signals(number)])

    for one in before:
        signal.signal(one, stop)
    try:
        yield lambda: stopped
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def progress_bar() -> Iterator[ProgressCallback | None]:
    """A progress bar on standard error with x real time, where a person sees it."""
    terminal = Terminal(stderr=True)
    if not terminal.is_terminal:
        yield None
        return
    # A bar is heavy to load, and nobody sees one while searching.
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as ProgressBar

    bar = ProgressBar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[heard]}", markup=False),
        TimeRemainingColumn(),
        console=terminal,
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    )
    task = bar.add_task("", heard="", total=None)
    file, begun = 0, time.monotonic()

    def show_progress(progress: Progress) -> None:
        nonlocal file, begun
        if progress.file != file:
            file, begun = progress.file, time.monotonic()
            bar.reset(task)
        speed = progress.seconds / max(time.monotonic() - begun, 1e-9)
        done, whole = progress.seconds, progress.duration
        heard = f"{clock(progress.seconds)}, {speed:.0f} x real time"
        if progress.fetched is not None:
            done, whole = progress.fetched, progress.bytes
            heard = f"{progress.fetched / 1e6:.1f} MB fetched"
            begun = time.monotonic()
        bar.update(
            task,
            description=f"{progress.file}/{progress.files} {printable(Path(progress.path).name)}",
            completed=done,
            total=whole,
            heard=heard,
        )

    with bar:
        yield show_progress
