"""The command `earshot serve`: settings in, a server that runs until it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from earshot.errors import MissingExtra
from earshot.options import LibraryFolder, NetworkChoice, folder_of
from earshot.present import complain, say


def serve(
    context: typer.Context,
    library: LibraryFolder = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Listen here (else 127.0.0.1).")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Listen on this port (else 8765).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that answer requests (else 1).")
    ] = None,
    listeners: Annotated[
        int | None, typer.Option(min=0, help="Processes that listen to recordings (else 1).")
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The server's own tables (else SQLite in the library)."),
    ] = None,
    network: NetworkChoice = None,
    logs: Annotated[
        Literal["json", "text"] | None, typer.Option(help="Form of the log's lines.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Settings in TOML (else what EARSHOT_CONFIG names)."),
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Print all settings as TOML and end.")
    ] = False,
) -> None:
    """Serve the library over HTTP: upload audio, give queries, get mentions."""
    try:
        # The extra `serve`: only this command needs it.
        from earshot.server.serving import serve as run
        from earshot.server.settings import load
    except ImportError as error:
        raise MissingExtra("the HTTP server", "serve") from error
    flags = {
        "library": folder_of(context, library), "host": host, "port": port, "workers": workers,
        "listeners": listeners, "database": database, "network": network, "logs": logs,
    }  # fmt: skip
    loaded = load(config, flags)
    if print_config:
        for line in loaded.printed().splitlines():
            say(line)
        return
    run(loaded.settings, complain)
