"""The commands that look after a library: `earshot optimize` and `earshot check`.

Words and exit statuses only; `upkeep` does the work.
"""

from __future__ import annotations

from typing import Annotated

import typer

from earshot.library import Library
from earshot.options import LibraryFolder, folder_of
from earshot.present import complain, say


def optimize(context: typer.Context, library: LibraryFolder = None) -> None:
    """Merge small segments, free what was removed, bring old formats up to date.

    Searches go on meanwhile. Removing frees its space at once; this is for what could not be freed
    then, for many small files, and for libraries that an older Earshot made.
    """
    with Library(folder_of(context, library)) as opened:
        done = opened.optimize()
    segments = f"{done.segments_before} -> {done.segments} segments"
    upgraded = f", {done.upgraded} of them of an older format" if done.upgraded else ""
    size = f"{done.bytes_before:,} -> {done.bytes:,} bytes"
    grown = "" if done.freed >= 0 else " (formats of before may be smaller for short recordings)"
    say(f"{segments}{upgraded}; {size}: {max(done.freed, 0):,} bytes freed{grown}")


def check(
    context: typer.Context,
    library: LibraryFolder = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Mend what can be mended; nothing healthy is given up."),
    ] = False,
    media: Annotated[
        bool,
        typer.Option("--media", help="Read the recordings' own files too, not only their sizes."),
    ] = False,
) -> None:
    """Read the whole library and say what is wrong with it, one sentence each.

    Ends with 1 if the library is not whole. Files that moved or changed are told, but do no harm.
    """
    with Library(folder_of(context, library)) as opened:
        found = opened.repair(media=media) if repair else opened.check(media=media)
    left = [one for one in found if one.harmful and not one.repaired]
    for one in found:
        if one in left:
            complain(str(one))
        else:
            say(str(one))
    if left:
        raise typer.Exit(1)
    say("the library is whole" if found else "everything is as it was written")
