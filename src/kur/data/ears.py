"""Processes beside the one that trains, in which clips are heard.

The threads of one Python take turns, and half of the work on a short clip holds that turn: in
threads it neither gets faster with more of them nor leaves the training in peace. So each thread
that wants a clip asks a process of its own, by a pipe: `python -m kur.data.ears`. Such a process
loads no backend and nothing of the program that trains, and ends when its pipe does, however that
came about. Knows nothing of caches or batches.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from kur.data.augment import View
from kur.data.clips import Clip
from kur.data.hearing import Hearing
from kur.features import Frames

_log = logging.getLogger(__name__)
# Clips that are heard without another process: starting one costs as much as some twenty clips.
_AT_FIRST = 64
_END_SECONDS = 5.0
_SOURCE = Path(__file__).resolve().parents[2]
_READY = "ready"
# What a process that was killed looks like from here.
_GONE = (OSError, EOFError, pickle.UnpicklingError)


def cores() -> int:
    """How many processors this process may use."""
    allowed = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(allowed(0)) if allowed else os.cpu_count() or 1


class Ears:
    """Hears clips, for any number of threads, each of which has a process to itself.

    The first clips, and all of them where there is one core or no process can be started, are
    heard by the thread that asks. What is heard is the same in either case.
    """

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._idle: list[_Process] = []  # `append` and `pop` are safe among threads
        self._alone = cores() == 1
        self._heard = 0

    def frames(self, clip: Clip, view: View) -> Frames:
        """What `Hearing.frames` gives; its errors, too. KurError for a clip that ends the process
        which decodes it."""
        self._heard += 1
        if self._alone or self._heard <= _AT_FIRST:
            return self._hearing.frames(clip, view)
        status = None
        for _ in range(2):  # a process may have been killed for another's fault
            process = self._process()
            if process is None:
                return self._hearing.frames(clip, view)
            try:
                found = process.ask(clip, view)
            except _GONE:
                status = process.end()
                continue
            except BaseException:
                process.end()  # its answer would be taken for that to the next question
                raise
            self._idle.append(process)
            if isinstance(found, Exception):
                raise found
            return found
        message = f"{clip.audio} ended the process that decoded it, twice (exit status {status})"
        raise clip.row.error(f"{message}; take it out of the manifest, or convert it")

    def rest(self) -> None:
        """End the processes that no thread is using; they are started again when wanted."""
        ended = []
        with contextlib.suppress(IndexError):
            while True:
                ended.append(self._idle.pop())
        for process in ended:
            process.end()

    def _process(self) -> _Process | None:
        """One that is free or new; None if none can be started."""
        with contextlib.suppress(IndexError):
            return self._idle.pop()
        try:
            return _Process(self._hearing)
        except _GONE as error:
            _log.warning("no process to decode in (%s); clips are decoded in threads", error)
            self._alone = True
            return None


class _Process:
    """One process and the pipes to it. _GONE if it cannot be started, or is there no more."""

    def __init__(self, hearing: Hearing) -> None:
        # No folder but those on this program's path is looked into, the current one neither.
        paths = [str(_SOURCE), *(path for path in sys.path if path)]
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,  # Ctrl-C is for the one that trains, who ends the others
        )
        try:
            # Rooms that were read already are read again there, and not sent.
            if self._answer(replace(hearing)) != _READY:
                raise EOFError("it answered something else")
        except BaseException:
            self.end()
            raise

    def ask(self, clip: Clip, view: View) -> Frames | Exception:
        """The frames of a clip, or why there are none."""
        found: Frames | Exception = self._answer((clip, view))
        return found

    def end(self) -> int:
        """Let it end; its exit status."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        try:
            return self._popen.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            return self._popen.wait()

    def _answer(self, question: Any) -> Any:
        asked, answered = self._popen.stdin, self._popen.stdout
        assert asked is not None and answered is not None
        pickle.dump(question, asked, pickle.HIGHEST_PROTOCOL)
        asked.flush()
        return pickle.load(answered)


def main() -> None:
    """Hear what is asked on standard input, in a way that is the first thing said there."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    questions = sys.stdin.buffer
    # Whatever a library prints goes elsewhere than the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(EOFError, BrokenPipeError):
        hearing: Hearing = pickle.load(questions)
        answer: Any = _READY
        while True:
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            clip, view = pickle.load(questions)
            answer = _heard(hearing, clip, view)
    os._exit(0)  # without a last flush to a pipe that nobody reads


def _heard(hearing: Hearing, clip: Clip, view: View) -> Frames | Exception:
    try:
        return hearing.frames(clip, view)
    except Exception as error:  # each is raised again by the one that asked
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # an exception with arguments of its own kind
            return RuntimeError(traceback.format_exc())
        return error


if __name__ == "__main__":
    main()
