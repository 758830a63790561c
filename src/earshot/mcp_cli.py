"""The command `earshot mcp`: a library for programs that speak the Model Context Protocol.

Standard output is for the protocol alone; `bot.assistant` does the work.
"""

from __future__ import annotations

import typer

from earshot.errors import MissingExtra
from earshot.library import Library
from earshot.options import LibraryFolder, NetworkChoice, folder_of


def mcp(
    context: typer.Context, library: LibraryFolder = None, network: NetworkChoice = None
) -> None:
    """Give a library to assistants: search, list, play, ask, over standard input and output."""
    try:
        from earshot.bot.assistant import server  # an extra, and half a second to load
    except ImportError as error:
        raise MissingExtra("mcp, the Model Context Protocol,", "mcp") from error
    folder = folder_of(context, library)
    with Library(folder) if network is None else Library(folder, network) as opened:
        server(opened).run()
