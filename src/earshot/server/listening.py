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
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from earshot.errors import EarshotError
from earshot.server import queue
from earshot.server.queue import Job
from earshot.server.service import Service, Shelf

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
        LOG.info("job %s: listening to %s", job.id, job.name)
        try:
            answer = await self._heard(child, job, shelf)
        except _Cancelled:
            await child.end()
        except _Crashed as crash:
            note = f"the process that listened to it ended ({crash}): the file may be made to harm"
            await queue.end(service.store, job.id, "failed", code="crashed", note=note)
        else:
            await self._ended(job, shelf, answer)
            return
        await self._clean(job, shelf)

    async def _heard(self, child: Child, job: Job, shelf: Shelf) -> dict[str, Any]:
        """Let the child do a job; returns its last word."""
        settings = self._service.settings
        about = job.about
        task = {
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
        told = 0.0
        answers = child.do(task)
        waiting: asyncio.Task[dict[str, Any]] = asyncio.ensure_future(anext(answers))
        progress: dict[str, Any] = {}
        try:
            while True:
                with suppress(TimeoutError):
                    answer = await asyncio.wait_for(asyncio.shield(waiting), TELL_SECONDS)
                    if "outcome" in answer:
                        return answer
                    progress = answer
                    waiting = asyncio.ensure_future(anext(answers))
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    # Changes nothing where nothing is known yet, but tells of a cancelled job.
                    known = {"heard": progress.get("heard", 0.0)}
                    known |= {"duration": progress["duration"]} if progress.get("duration") else {}
                    if not await queue.change(self._service.store, job.id, **known):
                        raise _Cancelled
        finally:
            waiting.cancel()
            with suppress(asyncio.CancelledError, _Crashed):
                await waiting

    async def _ended(self, job: Job, shelf: Shelf, answer: dict[str, Any]) -> None:
        store = self._service.store
        recording = answer.get("recording")
        known = {"note": answer["note"], "recording": recording}
        if answer["outcome"] == "failed":
            LOG.info("job %s failed: %s", job.id, answer["note"])
            await queue.end(store, job.id, "failed", code=answer["code"], **known)
            await self._clean(job, shelf)
            return
        duration = answer["duration"]
        known |= {"heard": duration, "duration": duration}
        # After a crash it may have been written by the child that the crash left behind.
        already = int(answer["outcome"] == "skipped" and job.attempts == 1)
        if await queue.end(store, job.id, "done", already=already, **known):
            LOG.info("job %s: recording %s %s", job.id, recording, answer["outcome"])
        elif not already:  # cancelled while the last of it was written
            await self._service.call(shelf.library.remove, str(recording))
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


class _Crashed(Exception):
    """The child is gone."""


class Child:
    """A process that listens; it starts with the first task, and again after it has ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def do(self, task: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """Hand over a task; yields what the child says of it. Raises _Crashed."""
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
            raise _Crashed(await self._said_last(process)) from None
        while True:
            line = await process.stdout.readline()
            if not line:
                raise _Crashed(await self._said_last(process))
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


def stale(path: Path) -> bool:
    """Whether a file in scratch was left by a crash long ago."""
    try:
        return time.time() - path.stat().st_mtime > _STALE_SECONDS
    except OSError:
        return False
