"""The commands `earshot key`: make, list and revoke the keys of the HTTP API."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

from earshot.errors import MissingExtra
from earshot.options import Json, LibraryFolder, folder_of
from earshot.present import say

if TYPE_CHECKING:
    from earshot.server.keys import Key
    from earshot.server.store import Store

T = TypeVar("T")

key_app = typer.Typer(help="Keys of the HTTP API: create, list, revoke.")

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings in TOML, as of earshot serve."),
]
Database = Annotated[
    str | None, typer.Option("--database", metavar="URL", help="As of earshot serve.")
]


@key_app.command(epilog="Example: earshot key create --name laptop --scope write --expires 90d")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="What it is for.")],
    scope: Annotated[
        Literal["read", "write", "admin"],
        typer.Option(help="read: search; write: also upload and edit; admin: also remove."),
    ] = "read",
    project: Annotated[
        str, typer.Option(help="Whose recordings it sees; each project has its own.")
    ] = "default",
    expires: Annotated[
        str | None, typer.Option(metavar="TIME", help="Counts no more after 12h, 90d, 1y ...")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=1, help="At most so many (else as set for all).")
    ] = None,
    hours_per_day: Annotated[
        float | None, typer.Option(min=0.0, help="Hours of audio a day (else as set for all).")
    ] = None,
    max_upload_bytes: Annotated[
        int | None, typer.Option(min=1, help="Largest file (else as set for all).")
    ] = None,
    library: LibraryFolder = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Make a key and print it: this once, since only a digest is kept."""
    keys = _keys()
    limits = keys.Limits(requests_per_minute, hours_per_day, max_upload_bytes)
    until = keys.expiry(expires) if expires else None

    async def made(store: Store) -> tuple[Key, str]:
        found: tuple[Key, str] = await keys.create(
            store, name, scope, project, expires=until, limits=limits
        )
        return found

    _, secret = _with_store(made, folder_of(context, library), database, config)
    say(secret)


@key_app.command("list", epilog="Example: earshot key list --json")
def list_(
    context: typer.Context,
    library: LibraryFolder = None,
    database: Database = None,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """List keys: what they are for, not what they are."""
    keys = _keys()
    folder = folder_of(context, library)
    found: list[Key] = _with_store(keys.every, folder, database, config)
    for key in found:
        if as_json:
            say(json.dumps(asdict(key)))
        else:
            state = f"  ({key.refusal()})" if key.refusal() else ""
            say(f"{key.id}  {key.scope:<5}  {key.project}  {key.name}{state}")


@key_app.command(epilog="Example: earshot key revoke laptop")
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id or its name.")],
    library: LibraryFolder = None,
    database: Database = None,
    config: Config = None,
) -> None:
    """Let a key count no more, from this moment on."""
    keys = _keys()

    async def revoked(store: Store) -> Key:
        found: Key = await keys.revoke(store, key)
        return found

    gone = _with_store(revoked, folder_of(context, library), database, config)
    say(f"revoked {gone.id} ({gone.name})")


def _keys() -> Any:
    try:
        # The extra `serve`: no other command needs it.
        from earshot.server import keys, serving  # noqa: F401 (all that it needs is there)
    except ImportError as error:
        raise MissingExtra("the HTTP server", "serve") from error
    return keys


def _with_store(
    work: Callable[[Store], Awaitable[T]],
    library: Path | None,
    database: str | None,
    config: Path | None,
) -> T:
    """What `work` makes of the server's database, which is made if it is not there."""
    # See `_keys`.
    import asyncio

    from earshot.server.keys import DEFAULT_PROJECT
    from earshot.server.service import opened_shelf
    from earshot.server.settings import load
    from earshot.server.store import Store

    settings = load(config, {"library": library, "database": database}).settings
    opened_shelf(settings, DEFAULT_PROJECT).library.close()

    async def done() -> T:
        store = Store(settings.database_url)
        try:
            await store.prepare()
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(done())
