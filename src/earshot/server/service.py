"""What routes work with: settings, database, and each project's library, media and threads.

    service.store                        the server's own tables
    shelf = service.shelf("default")     one project: its library, its media
    await service.call(shelf.library.search, "harbour")   engine calls run in threads

It knows nothing of requests. The project `default` is the library that the server was given; others
lie beside the server's database.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request

from earshot.errors import LibraryBusy
from earshot.index import FILE, NetworkEntry, index_writer
from earshot.library import Library
from earshot.server.keys import DEFAULT_PROJECT
from earshot.server.settings import Settings
from earshot.server.store import Store
from earshot.server.usage import Allowance, Usage

P = ParamSpec("P")
T = TypeVar("T")

_LOOK_AGAIN = 0.2  # seconds
_PATIENCE = 60.0  # seconds for which others who write are waited for
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,8}")


@dataclass(frozen=True, slots=True)
class Shelf:
    """One project: its library, and the folder where what was uploaded is kept by content."""

    project: str
    library: Library
    folder: Path

    @property
    def media(self) -> Path:
        """Uploaded files, by digest."""
        return self.folder / "media"

    @property
    def scratch(self) -> Path:
        """What is on its way: uploads, and what is being heard."""
        return self.folder / "scratch"

    def incoming(self) -> Path:
        """A new name for a file that is on its way."""
        return self.scratch / f"{secrets.token_hex(16)}.part"

    def kept(self, digest: str, suffix: str = "") -> Path:
        """Where the file with this SHA-256 is kept; the suffix is made harmless."""
        return self.media / digest[:2] / (digest + suffix_of(suffix))

    def keep(self, part: Path, digest: str, suffix: str) -> Path:
        """Move a complete upload to where it is kept, for good; blocks."""
        place = self.kept(digest, suffix)
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(place)
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return place

    def discard(self, path: str) -> None:
        """Delete a file if it is one that was uploaded; files of the user's are left alone."""
        if Path(path).is_relative_to(self.media):
            with suppress(OSError):
                Path(path).unlink()


class Service:
    """Everything that a request may need; one a process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = Store(settings.database_url)
        self.usage = Usage(self.store)
        self.allowance = Allowance(settings, self.usage)
        self._shelves: dict[str, Shelf] = {}
        self._threads = ThreadPoolExecutor(settings.search_threads, "earshot-search")
        self.news = asyncio.Event()
        """Set when a job was queued in this process."""

    def shelf(self, project: str) -> Shelf:
        """A project's library and media, made when they are not there."""
        shelf = self._shelves.get(project)
        if shelf is None:
            shelf = self._shelves[project] = opened_shelf(self.settings, project)
        return shelf

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that blocks in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(function, *args, **kwargs))

    async def change(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run something that writes to a library, and wait for others who write to it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return await self.call(function, *args, **kwargs)
            except LibraryBusy:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_LOOK_AGAIN)

    async def close(self) -> None:
        """Let go of everything."""
        await self.usage.write()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for shelf in self._shelves.values():
            shelf.library.close()
        await self.store.close()


def opened_shelf(settings: Settings, project: str) -> Shelf:
    """A project's library, made when it is not there; blocks."""
    folder = settings.library
    if project != DEFAULT_PROJECT:
        folder = settings.folder / "projects" / project
    library = Library(folder, settings.network or None)
    if not (folder / FILE).exists():
        # An empty one: nothing else may lie in its folder before.
        with index_writer(folder, NetworkEntry.of(library.listener()), patience=_PATIENCE):
            pass
    shelf = Shelf(project, library, folder / "server")
    for each in (shelf.media, shelf.scratch):
        each.mkdir(parents=True, exist_ok=True)
    return shelf


def suffix_of(name: str) -> str:
    """The ending of a file's name if it is harmless, else nothing."""
    ending = Path(name.replace("\\", "/")).suffix if not name.startswith(".") else name
    return ending.lower() if _SUFFIX.fullmatch(ending) else ""


def digest_of(path: Path) -> str:
    """SHA-256 of a file; blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


Here = Annotated[Service, Depends(_service)]
"""A route's parameter of this type is the service."""
