"""The command `earshot video`: pages of video sites, playlists and channels into the library.

Words and exit statuses only; `sources.videos` fetches.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import replace
from typing import Annotated

import typer

from earshot.about import about
from earshot.errors import FetchError
from earshot.library import Library
from earshot.options import LibraryFolder, NetworkChoice, NewTags, folder_of
from earshot.outcome import Status
from earshot.present import clock, printable, say
from earshot.progress import progress_bar, stoppable
from earshot.sources import home

VIDEOS = "videos"  # the folder, beside what sources remember, where files of video sites lie


def video(
    context: typer.Context,
    pages: Annotated[
        list[str], typer.Argument(metavar="URL...", help="Pages, playlists, channels.")
    ],
    library: LibraryFolder = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Of a playlist or channel, so many at most.")
    ] = None,
    tag: NewTags = None,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Ask private networks too.")
    ] = False,
    network: NetworkChoice = None,
) -> None:
    """Add what video sites show: a page, a playlist or a channel; captions are kept beside."""
    from earshot.fetching import ANY_NETWORK, Rules  # all of HTTP, which no search needs
    from earshot.sources.videos import fetched, listed

    rules = Rules(allowed=ANY_NETWORK if allow_private else ())
    known = about(tags=tag or ())
    counts: Counter[Status] = Counter()
    folder = folder_of(context, library)
    opened = Library(folder) if network is None else Library(folder, network)
    with opened, progress_bar() as shown, stoppable(shown) as progress:
        for page in pages:
            try:
                videos = listed(page, rules, limit)
            except FetchError as error:
                counts[Status.FAILED] += 1
                _complain(str(error))
                continue
            for one in videos:
                found = fetched(one, home(opened.path) / VIDEOS, rules)
                if found.path is None or found.about is None:
                    counts[Status.FAILED] += 1
                    _complain(f"{one.title}: {found.problem}")
                    continue
                said = replace(found.about, tags=known.tags)
                for outcome in opened.add([found.path], about=said, progress=progress).outcomes:
                    counts[outcome.status] += 1
                    if outcome.recording is None:
                        _complain(f"{found.title}: {outcome.note}")
                        continue
                    beside = f", {len(found.captions)} captions" if found.captions else ""
                    row = outcome.recording
                    say(f"{outcome.status} {row.id}  {clock(row.duration)}  {found.title}{beside}")
    say(", ".join(f"{counts[status]} {status.value}" for status in Status))
    if counts[Status.FAILED]:
        raise typer.Exit(1)


def _complain(text: str) -> None:
    print(printable(text).rstrip("."), file=sys.stderr, flush=True)
