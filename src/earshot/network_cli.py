"""The command `earshot network`: add, list, remove. Words only; `installed` does the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from earshot.installed import BACKGROUND_MINUTES, Adding, Installed, installed
from earshot.installed import add as add_network
from earshot.installed import remove as remove_network
from earshot.present import printable

network_app = typer.Typer(help="Networks that listen: add another one, list, remove.")


@network_app.command(
    epilog="Example: earshot network add facebook/wav2vec2-base-960h --language en"
)
def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="NAME_OR_FOLDER",
            help="A CTC model of the transformers library, or a network's folder.",
        ),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What to call it (else after its source).")
    ] = None,
    lexicon: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Words in the network's units: word unit unit ..."),
    ] = None,
    language: Annotated[
        Literal["en"] | None,
        typer.Option(help="Read numbers and abbreviations to a network of letters as English."),
    ] = None,
    background: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="PATH",
            help=f"Recordings that queries are measured against ({BACKGROUND_MINUTES:.0f} "
            "minutes are heard); may be given again.",
        ),
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Make dense layers four times as small, and faster.")
    ] = False,
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Open weights that are a pickle, which may run code."),
    ] = False,
) -> None:
    """Add a network, so that new libraries can be made with it (earshot add --network NAME)."""
    how = Adding(name, lexicon, language, tuple(background or ()), int8, trust_pickle)
    added = add_network(source, how)
    print(printable(f"added {_line(added)}"), flush=True)


@network_app.command("list", epilog="Example: earshot network list --json")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON lines instead of a table.")
    ] = False,
) -> None:
    """List the networks that are at hand."""
    for one in installed():
        print(json.dumps(_fields(one)) if as_json else printable(_line(one)), flush=True)


@network_app.command(epilog="Example: earshot network remove wav2vec2-base-960h")
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names of networks.")],
) -> None:
    """Remove added networks; libraries that they made cannot be searched without them."""
    for name in names:
        remove_network(name)
        print(printable(f"removed {name}"), flush=True)


def _line(one: Installed) -> str:
    if one.network is None:
        return f"{one.name}  cannot be used: {one.problem}"
    units = len(one.network.units) - 1
    rate = 1 / one.network.frame_seconds
    size = f"{one.bytes / 1e6:.0f} MB"
    return f"{one.name}  {one.network.fingerprint[:12]}  {units} units, {rate:.0f} a second, {size}"


def _fields(one: Installed) -> dict[str, object]:
    network = one.network
    return {
        "name": one.name,
        "folder": str(one.folder),
        "bytes": one.bytes,
        "fingerprint": network.fingerprint if network else None,
        "units": list(network.units) if network else None,
        "frame_seconds": network.frame_seconds if network else None,
        "problem": one.problem or None,
    }
