"""Jobs -> recordings: one process of the server has the jobs of the queue listened to.

Which one is a matter of a file lock: whoever holds it listens, and when it dies, however that is,
another one takes over and does again what was not finished. Each of `listeners` children (see
`listener`) does one job at a time; a cancelled job's child is ended. Knows nothing of requests.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from earshot.errors import EarshotError
from earshot.server import intake, keys, queue
from earshot.server.errors import Refused
from earshot.server.keys import Caller
from earshot.server.metrics import ENDED, HEARD
from earshot.server.queue import Job
from earshot.server.service import Service, Shelf, digest_of
from earshot.server.settings import Settings

LOG = logging.getLogger("earshot.server.listening")

LOOK_SECONDS = 0.5
"""How often the queue is looked at for jobs that other processes put there."""

TELL_SECONDS = 0.5
"""How often a job's progress is written down, at most."""

_STALE_SECONDS = 24 * 3600.0  # what lies in scratch so long was left by a crash


class Listening:
    """The jobs' one worker; `run` ends only by being cancelled."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self) -> None:
        """Wait until no other process listens, then do all jobs."""
        count = self._service.settings.listeners
        if not count:
            return
        async with _alone(self._service.settings.folder / "listening.lock"):
            await self._service.call(_tidy, self._service.settings.folder)
            if again := await queue.recover(self._service.store):
                LOG.info("%d jobs go on that a server before this one had begun", again)
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(self._work())

    async def _work(self) -> None:
        child = Child()
        try:
            while True:
                try:
                    await self._next(child)
                except EarshotError as error:
                    LOG.error("%s", error)
                    await asyncio.sleep(LOOK_SECONDS)
                except Exception:
                    LOG.exception("a job could not be done")
                    await asyncio.sleep(LOOK_SECONDS)
        finally:
            await child.end()

    async def _next(self, child: Child) -> None:
        service = self._service
        service.news.clear()
        job = await queue.claim(service.store)
        if job is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(service.news.wait(), LOOK_SECONDS)
            return
        shelf = await service.call(service.shelf, job.project)
        try:
            if await self._may(job):
                job = await self._fetched(child, job, shelf)
                LOG.info("job %s: listening to %s", job.id, job.name)
                answer = await self._done(child, job, _hearing(job, shelf, service.settings))
                await self._ended(job, shelf, answer)
                return
        except _Cancelled:
            await child.end()
        except _Failed as failure:
            LOG.info("job %s failed: %s", job.id, failure)
            await queue.end(service.store, job.id, "failed", code=failure.code, note=str(failure))
            ENDED.labels("failed").inc()
        except asyncio.CancelledError:  # the server ends in order: that is no attempt
            await child.end()
            await queue.change(
                service.store, job.id, state="queued", heard=0.0, attempts=job.attempts - 1
            )
            raise
        await self._clean(job, shelf)

    async def _may(self, job: Job) -> bool:
        """Whether the job's key may have it listened to; if not, it fails."""
        key = None if job.key is None else await keys.get(self._service.store, job.key)
        if key is not None:
            caller = Caller(job.project, key.scope, key.id, key.limits)
            try:
                await self._service.allowance.require_hours(caller)
            except Refused as refusal:
                raise _Failed(refusal.code, str(refusal)) from None
        return True

    async def _fetched(self, child: Child, job: Job, shelf: Shelf) -> Job:
        """The job with a file: what is known by its URL is fetched first."""
        if job.path is not None:
            return job
        service = self._service
        part = shelf.scratch / f"fetch-{job.id}"
        settings = service.settings
        LOG.info("job %s: fetching %s", job.id, job.name)
        answer = await self._done(
            child,
            job,
            {
                "url": job.url,
                "path": str(part),
                "networks": settings.fetch_networks,
                "most_bytes": settings.max_upload_bytes,
            },
        )
        digest = await service.call(digest_of, part)
        name = intake.plain_name(answer["name"])
        path = await service.call(shelf.keep, part, digest, name)
        about = intake.titled(job.about, name, digest)
        job = replace(job, path=str(path), digest=digest, bytes=answer["bytes"], about=about)
        if not await queue.found(service.store, job):
            raise _Cancelled
        return job

    async def _done(self, child: Child, job: Job, task: dict[str, Any]) -> dict[str, Any]:
        """Let the child do a task; returns its last word, raises _Failed if that is a failure."""
        told = 0.0
        answers = child.do(task)
        waiting: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(anext(answers))
        known: dict[str, Any] = {"heard": 0.0}
        try:
            while True:
                with suppress(TimeoutError):
                    answer = await asyncio.wait_for(asyncio.shield(waiting), TELL_SECONDS)
                    if answer.get("outcome") == "failed":
                        raise _Failed(answer["code"], answer["note"])
                    if "outcome" in answer:
                        return answer
                    known = {name: value for name, value in answer.items() if value is not None}
                    waiting = asyncio.ensure_future(anext(answers))
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    # Where nothing new is known this still tells of a job that was cancelled.
                    if not await queue.change(self._service.store, job.id, **known):
                        raise _Cancelled
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError, _Failed):
                await waiting

    async def _ended(self, job: Job, shelf: Shelf, answer: dict[str, Any]) -> None:
        store = self._service.store
        recording = answer.get("recording")
        known = {"note": answer["note"], "recording": recording}
        duration = answer["duration"]
        known |= {"heard": duration, "duration": duration}
        # After a crash it may have been written by the child that the crash left behind.
        already = int(answer["outcome"] == "skipped" and job.attempts == 1)
        if await queue.end(store, job.id, "done", already=already, **known):
            ENDED.labels("done").inc()
            if answer["outcome"] == "added":
                HEARD.inc(duration)
                await self._service.usage.heard(job.project, job.key, duration)
            LOG.info("job %s: recording %s %s", job.id, recording, answer["outcome"])
        elif not already:  # cancelled while the last of it was written
            await self._service.change(shelf.library.remove, str(recording))
            await self._clean(job, shelf)

    async def _clean(self, job: Job, shelf: Shelf) -> None:
        """Delete the file of a job that came to nothing, unless something else needs it."""
        if job.path is None or job.path in await queue.files_in_use(
            self._service.store, job.project
        ):
            return
        recordings = await self._service.call(shelf.library.list)
        if job.path not in {one.path for one in recordings}:
            await self._service.call(shelf.discard, job.path)


class _Cancelled(Exception):
    """The job that runs has been cancelled."""


class _Failed(Exception):
    """The job cannot be done: a code for programs, a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _crashed(how: str) -> _Failed:
    return _Failed(
        "crashed", f"the process that listened to it ended ({how}): the file may be made to harm"
    )


def _hearing(job: Job, shelf: Shelf, settings: Settings) -> dict[str, Any]:
    """The task of listening to a job's file."""
    about = job.about
    return {
        "library": str(shelf.library.path),
        "network": settings.network,
        "path": job.path,
        "scratch": str(shelf.scratch),
        "channels": job.channels,
        "most_seconds": settings.max_recording_hours * 3600,
        "about": {
            "title": about.title,
            "recorded": about.recorded,
            "tags": about.tags,
            "meta": about.meta,
        },
    }


class Child:
    """A process that listens; it starts with the first task, and again after it has ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def do(self, task: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Hand over a task; yields what the child says of it. Raises _Failed."""
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "earshot.server.listener",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is the server's, which ends it in its own time
            )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(task).encode() + b"\n")
            await process.stdin.drain()
        except ConnectionError:
            raise _crashed(await self._said_last(process)) from None
        while True:
            line = await process.stdout.readline()
            if not line:
                raise _crashed(await self._said_last(process))
            yield json.loads(line)

    async def end(self) -> None:
        """End the process, whatever it does: what it has not committed is done again."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _said_last(self, process: asyncio.subprocess.Process) -> str:
        self._process = None
        code = await process.wait()
        return f"signal {-code}" if code < 0 else f"status {code}"


@asynccontextmanager
async def _alone(path: Path) -> AsyncIterator[None]:
    """Hold a file's lock; the system frees it when the process ends, however it ends."""
    with path.open("ab") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOOK_SECONDS)
        yield


def _tidy(folder: Path) -> None:
    """Delete what crashes left long ago in the scratch folders; uploads in parts have their own."""
    for scratch in (folder / "scratch", *folder.glob("projects/*/server/scratch")):
        for path in scratch.glob("*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime < _STALE_SECONDS:
                    continue
                if path.is_dir():
                    shutil.rmtree(path)
                elif not path.name.startswith("upload-"):
                    path.unlink()
