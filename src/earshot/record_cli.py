"""The commands `earshot record` and `earshot push`: a line recorded, and sent to a server.

Words and exit statuses only; `sources.recorder` and `sources.pushing` do the work.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from earshot.errors import UsageError
from earshot.present import clock, complain, printable, say
from earshot.progress import until_stopped
from earshot.query.filters import length

KEY_VARIABLE = "EARSHOT_KEY"
_SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

Spool = Annotated[Path, typer.Argument(metavar="SPOOL", help="A folder for what is recorded.")]


def record(
    spool: Spool,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="Microphone or line: its name or number.")
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=60.0, help="Length of a file: no more is ever lost.")
    ] = 1.0,
    threshold: Annotated[
        float, typer.Option(max=0.0, metavar="DB", help="Below this level it is silent.")
    ] = -50.0,
    everything: Annotated[bool, typer.Option("--everything", help="Record silence too.")] = False,
    keep: Annotated[
        str, typer.Option(metavar="SIZE", help="The spool's size; the oldest go first: 500M, 20G.")
    ] = "20G",
    duration: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="End after so long: 8h, 30m.")
    ] = None,
) -> None:
    """Record a microphone or a line for as long as you like: a file a minute, silence left out.

    `earshot watch SPOOL` adds the files to a library here, `earshot push SPOOL` sends them to a
    server. It ends with Ctrl-C.
    """
    from earshot.sources.recorder import Microphone, Options
    from earshot.sources.recorder import record as recorded  # NumPy

    options = Options(
        length=minutes * 60.0, threshold=None if everything else threshold, keep=_bytes(keep)
    )
    seconds = None if duration is None else length(duration)
    files, heard = 0, 0.0
    with until_stopped() as stopped, Microphone(device, stopped=_ended(stopped, seconds)) as source:
        say(f"recording into {spool}")
        for file in recorded(source, spool, options):
            files += 1
            heard += file.seconds
            say(f"{file.path.name}  {clock(file.seconds)}")
            if file.given_up:
                complain(f"{len(file.given_up)} old files were deleted: the spool holds {keep}")
    if source.lost:
        complain(f"{source.lost / 10:.1f} seconds were lost: this computer was too busy")
    say(f"{files} files, {clock(heard)} of sound")


def push(
    spool: Spool,
    server: Annotated[str, typer.Option(metavar="URL", help="The server: https://ear.example")],
    key: Annotated[
        str | None,
        typer.Option(envvar=KEY_VARIABLE, metavar="KEY", help="One that may write."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep what was sent, in the folder `pushed`.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="Send what is there, and end.")] = False,
) -> None:
    """Send the files of a spool to a server, in order, each once, whenever it can be reached.

    What was sent leaves the spool. A file that was interrupted goes on where it was.
    """
    from earshot.sources.pushing import (  # all of HTTP, which no search needs
        Pushed,
        Server,
        push_for_ever,
    )
    from earshot.sources.pushing import push as pushed

    def told(one: Pushed) -> None:
        counts[bool(one.problem)] += 1
        if one.problem:
            print(printable(f"{one.path}: {one.problem}"), file=sys.stderr, flush=True)
        else:
            say(f"sent {one.path.name}" + (f"  (job {one.job})" if one.job else ""))

    counts = [0, 0]
    there = Server(server, key)
    with until_stopped() as stopped:
        if once:
            for one in pushed(spool, there, keep=keep):
                told(one)
                if stopped():
                    break
        else:
            for one in push_for_ever(spool, there, stopped, keep=keep, told=complain):
                told(one)
    say(f"{counts[0]} sent, {counts[1]} refused")
    if counts[1]:
        raise typer.Exit(1)


def _ended(stopped: Callable[[], bool], seconds: float | None) -> Callable[[], bool]:
    until = None if seconds is None else time.monotonic() + seconds
    return lambda: stopped() or (until is not None and time.monotonic() >= until)


def _bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?", text.strip(), re.IGNORECASE)
    if match is None or not float(match[1]):
        raise UsageError(f"'{text}' is no size: write 500M or 20G")
    return int(float(match[1]) * _SIZES[match[2].upper()])
