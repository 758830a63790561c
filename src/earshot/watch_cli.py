"""The command `earshot watch`: folders whose audio is added as it lands.

Words and exit statuses only; `sources.watching` does the work.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from earshot.about import about
from earshot.asking import pairs as named
from earshot.library import Library
from earshot.options import (
    ChannelsChoice,
    LibraryFolder,
    NetworkChoice,
    NewMetas,
    NewTags,
    folder_of,
)
from earshot.outcome import Outcome, Status
from earshot.present import clock, printable, say
from earshot.progress import until_stopped

_SHORTEST, _LONGEST = 1.0, 10.0  # seconds between two looks: as long as a look takes


def watch(
    context: typer.Context,
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="What to watch.")],
    library: LibraryFolder = None,
    once: Annotated[
        bool, typer.Option("--once", help="Add what is there, and end.")
    ] = False,
    settle: Annotated[
        float,
        typer.Option(min=0.0, metavar="SECONDS", help="Unchanged so long, it is complete."),
    ] = 3.0,
    pairs: Annotated[
        bool,
        typer.Option("--pairs/--no-pairs", help="Join NAME-in and NAME-out to one call (or rx, tx "
                     "...)."),
    ] = True,
    channels: ChannelsChoice = "auto",
    tag: NewTags = None,
    meta: NewMetas = None,
    network: NetworkChoice = None,
) -> None:  # fmt: skip
    """Add audio as it lands in folders: complete files only, each once, with what is said of it.

    A CSV or JSON file beside the audio tells its agent, customer, date, queue ... It goes on where
    it was when it is started again, and ends with Ctrl-C.
    """
    from earshot.sources.watching import Watch, Watched  # hashing, SQLite

    folder = folder_of(context, library)
    opened = Library(folder) if network is None else Library(folder, network)
    options = Watched(
        settle=settle,
        pair=settle if once else Watched().pair,
        pairs=pairs,
        channels=channels,
        about=about(tags=tag or (), meta=named(meta)),
    )
    counts: Counter[Status] = Counter()
    with opened, until_stopped() as stopped, Watch(opened, folders, options) as watching:
        while not stopped():
            begun = time.monotonic()
            for outcome in watching.look():
                counts[outcome.status] += 1
                _print(outcome)
                if stopped():
                    break
            if once and not watching.waiting:
                break
            _rest(min(max(_SHORTEST, time.monotonic() - begun), _LONGEST), stopped)
    say(", ".join(f"{counts[status]} {status.value}" for status in Status))
    if once and counts[Status.FAILED]:
        raise typer.Exit(1)


def _print(outcome: Outcome) -> None:
    note = f" ({outcome.note})" if outcome.note else ""
    if outcome.status is Status.FAILED or outcome.recording is None:
        print(printable(f"{outcome.path}: {outcome.note}"), file=sys.stderr, flush=True)
    else:
        row = outcome.recording
        say(f"{outcome.status.value} {row.id}  {clock(row.duration)}  {outcome.path}{note}")


def _rest(seconds: float, stopped: Callable[[], bool]) -> None:
    """Wait, but not when it is time to end."""
    until = time.monotonic() + seconds
    while not stopped() and (left := until - time.monotonic()) > 0:
        time.sleep(min(left, 0.2))
