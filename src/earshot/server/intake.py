"""What was sent -> a job: the one way into a library, for every interface that takes audio.

    received = await receive(request, shelf.incoming(), ...)
    job = await take(service, caller, received, about=..., channels="auto")
    job = await finished(service, job)

The same file costs once: what the library has is done at once, what is being listened to already is
the job that is there. It knows nothing of JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import PurePosixPath

from fastapi import Request

from earshot.about import NOTHING, About
from earshot.about import about as checked
from earshot.errors import UsageError
from earshot.fetching import address, shown
from earshot.index import recordings_in
from earshot.server import queue
from earshot.server.keys import Caller
from earshot.server.queue import ENDED, Job
from earshot.server.receiving import Received, receive
from earshot.server.service import Service

CHANNELS = ("auto", "mix", "split")
_LOOK_SECONDS = 0.1


async def received(request: Request, service: Service, caller: Caller) -> Received:
    """The file that a request brings, on the disk; within the caller's limit of size."""
    await service.allowance.require_hours(caller)
    shelf = await service.call(service.shelf, caller.project)
    most = caller.limits.max_upload_bytes or service.settings.max_upload_bytes
    return await receive(
        request, shelf.incoming(), most_bytes=most, patience=service.settings.body_seconds
    )


async def take(
    service: Service,
    caller: Caller,
    file: Received,
    *,
    name: str = "",
    about: About = NOTHING,
    channels: str = "auto",
) -> Job:
    """Queue a file that was received, or return the job that makes it needless.

    `name` is a file name, whose ending is kept and whose stem is the title unless `about` has one.
    """
    service.usage.count(caller.project, caller.key, uploads=1, bytes=file.bytes)
    if channels not in CHANNELS:
        file.path.unlink(missing_ok=True)
        raise UsageError(f"channels are {', '.join(CHANNELS)}, not '{channels}'")
    shelf = await service.call(service.shelf, caller.project)
    name = plain_name(name or file.filename)
    about = titled(about, name, file.digest)
    job = Job(
        queue.new_id(), caller.project, caller.key, name or file.digest[:12],
        digest=file.digest, bytes=file.bytes, channels=channels, about=about,
    )  # fmt: skip
    known = await service.call(_known, service, caller.project, file.digest)
    if known:
        file.path.unlink(missing_ok=True)
        now = time.time()
        job = replace(
            job, state="done", recording=file.digest[:12], already=True, started=now, ended=now
        )
        return await queue.put(service.store, job)
    path = await service.call(shelf.keep, file.path, file.digest, name)
    job = await queue.put(service.store, replace(job, path=str(path)))
    service.news.set()
    return job


async def take_url(
    service: Service,
    caller: Caller,
    url: str,
    *,
    name: str = "",
    about: About = NOTHING,
    channels: str = "auto",
) -> Job:
    """Queue a file that is to be fetched; raises AddressRefused for what is no URL to fetch."""
    address(url)
    if channels not in CHANNELS:
        raise UsageError(f"channels are {', '.join(CHANNELS)}, not '{channels}'")
    await service.allowance.require_hours(caller)
    service.usage.count(caller.project, caller.key, uploads=1)
    job = Job(
        queue.new_id(), caller.project, caller.key, plain_name(name) or shown(url)[-200:],
        url=url, channels=channels, about=about,
    )  # fmt: skip
    job = await queue.put(service.store, job)
    service.news.set()
    return job


async def finished(service: Service, job: Job, seconds: float | None = None) -> Job:
    """The job when it has ended, or as it is after so many seconds."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while job.state not in ENDED and (deadline is None or time.monotonic() < deadline):
        await asyncio.sleep(_LOOK_SECONDS)
        job = await queue.get(service.store, job.id) or replace(job, state="failed")
    return job


def plain_name(name: str) -> str:
    """The last part of a file's name, whatever system it comes from, of at most 200 characters."""
    last = PurePosixPath(name.replace("\\", "/")).name
    plain = "".join(sign for sign in last if sign.isprintable()).strip()
    return "" if plain in ("", ".", "..") else plain[-200:]


def titled(about: About, name: str, digest: str) -> About:
    """`about` with a title: its own, or the name without its ending, or a piece of the digest."""
    if about.title is not None:
        return about
    stem = PurePosixPath(name).stem if name else ""
    return replace(about, title=checked(title=stem.strip() or digest[:12]).title)


def pairs(given: Iterable[str]) -> dict[str, str]:
    """Metadata from texts `name=value`; raises UsageError."""
    found = {}
    for text in given:
        name, sign, value = text.partition("=")
        if not sign:
            raise UsageError(f"metadata are given as name=value, not as '{text}'")
        found[name.strip()] = value
    return found


def _known(service: Service, project: str, digest: str) -> bool:
    """Whether the library has a recording of this file."""
    library = service.shelf(project).library
    if digest[:12] not in recordings_in(library.path):
        return False
    return any(one.digest == digest for one in library.list(f"id:{digest[:12]}"))
