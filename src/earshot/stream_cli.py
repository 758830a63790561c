"""The command `earshot stream`: a recording that grows, read from a pipe.

Words and exit statuses only; `streaming` does the work, `media` reads the pipe.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from earshot.about import about
from earshot.asking import pairs
from earshot.library import Library
from earshot.options import (
    LibraryFolder,
    NetworkChoice,
    NewDate,
    NewMetas,
    NewTags,
    folder_of,
)
from earshot.present import clock, say
from earshot.progress import until_stopped


def stream(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="TITLE", help="What to call the recording.")],
    library: LibraryFolder = None,
    raw: Annotated[
        str | None,
        typer.Option(
            metavar="FORM", help="Samples without a header: s16le, f32le, mulaw ... (FFmpeg)."
        ),
    ] = None,
    rate: Annotated[
        int, typer.Option(min=1000, max=768_000, help="Of --raw: samples a second.")
    ] = 16_000,
    sides: Annotated[int, typer.Option(min=1, max=8, help="Of --raw: channels.")] = 1,
    channels: Annotated[
        Literal["mix", "split"],
        typer.Option(help="Hear all channels as one (mix) or each by itself (split)."),
    ] = "mix",
    tag: NewTags = None,
    meta: NewMetas = None,
    date: NewDate = None,
    network: NetworkChoice = None,
) -> None:
    """Listen to standard input while it grows: what was said can be searched within two seconds.

    Any container that can be read without seeking (WAV, MP3, Ogg, FLAC, Matroska, MPEG-TS), or
    bare samples with --raw, such as `ffmpeg -i ADDRESS -f wav -` gives. The recording ends with its
    input, or with Ctrl-C.
    """
    from earshot import media  # loads FFmpeg

    known = about(date=date, tags=tag or (), meta=pairs(meta))
    bare = None if raw is None else media.Bare(raw, rate, sides)
    folder: Path | None = folder_of(context, library)
    opened = Library(folder) if network is None else Library(folder, network)
    with opened, until_stopped() as stopped:
        with opened.stream(name, channels=channels, about=known) as growing:
            said = False
            for piece in media.live(sys.stdin.fileno(), "the input", bare=bare, stop=stopped):
                growing.write(piece.samples, piece.rate)
                if not said and growing.recording.growing:
                    say(f"listening {growing.recording.id}  {name}")
                    said = True
        recording = growing.recording
    say(f"added {recording.id}  {clock(recording.duration)}  {name}")
