"""The command `earshot show`: what is known of a recording, and a picture of what was heard."""

from __future__ import annotations

import typer

from earshot.asking import joined
from earshot.errors import UsageError
from earshot.library import Library
from earshot.options import (
    Channel,
    From,
    Json,
    LibraryFolder,
    Name,
    Plot,
    PlotQuery,
    To,
    folder_of,
)
from earshot.present import Terminal, clock, parse_time, print_recording, recording_line, say
from earshot.types import Span


def show(
    context: typer.Context,
    recording: Name,
    library: LibraryFolder = None,
    plot: Plot = None,
    query: PlotQuery = None,
    start: From = None,
    end: To = None,
    channel: Channel = None,
    as_json: Json = False,
) -> None:
    """Show what is known of a recording, or draw what was heard of it (--plot FILE)."""
    if plot is None and (query, start, end, channel) != (None, None, None, None):
        raise UsageError("--query, --from, --to and --channel are for a picture: give --plot FILE")
    with Library(folder_of(context, library)) as opened:
        found = opened.show(recording)
        if plot is None:
            if as_json:
                print(recording_line(found))
            else:
                print_recording(Terminal(), found)
            return
        from earshot.picturing import draw  # only for a picture

        span = None
        if start is not None or end is not None:
            until = parse_time(end) if end is not None else found.duration
            span = Span(parse_time(start or "0"), until)
        wanted = joined([query]) if query is not None else None
        shown = draw(opened, found, plot, query=wanted, span=span, channel=(channel or 1) - 1)
    say(f"{plot}: '{found.title}' from {clock(shown.start)} to {clock(shown.end)}")
