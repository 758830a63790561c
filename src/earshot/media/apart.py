"""Decoding in a process apart, so that a crash, a hang or a bomb in a decoder costs one recording.

Decoders are large, written in C, and fed with bytes of strangers. One process (`media.child`) does
the work for file after file, confined in memory, and gives PCM through a pipe; it is replaced when
it crashes, keeps us waiting for too long, or is not let finish. While it decodes a block, the one
before is listened to. How much sound a file may hold is limited here. This module knows nothing of
codecs, and nothing of what is done with the PCM.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earshot.errors import MediaError
from earshot.media.child import BLOCK, END, ERRORS, FAILED, HEADER, INFO, SHAPE
from earshot.media.opening import MediaInfo, PathLike, shown
from earshot.media.reading import BLOCK_SECONDS, Channels
from earshot.media.resampling import MOST_SPLIT

try:
    import fcntl
except ImportError:  # Windows, where pipes are what they are
    fcntl = None  # type: ignore[assignment]

CHILD = ("-P", "-c", "from earshot.media.child import main; main()")
FREE_HOURS = 2.0
"""A file may hold so much sound whatever its size."""

START_SECONDS = 60.0  # for Python and FFmpeg to be loaded, on a busy machine
MOST_TOLD = 1 << 20  # bytes of what headers tell, or of an error
_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 20
_SOURCE = Path(__file__).resolve().parents[2]
_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost.

    `memory`: bytes that its decoding may take. `patience`: seconds that it may keep us waiting in
    all, and one more for each second of sound that it gave. `hours`: of sound that it may hold, any
    number if None. `bytes_per_second`: beyond FREE_HOURS, sound must fill so many bytes of the file
    (the leanest codecs for speech need 75; silence, and bombs, a few).
    """

    memory: int = 1 << 30
    patience: float = 60.0
    hours: float | None = None
    bytes_per_second: float = 0.0


STRANGERS = Limits(hours=24.0, bytes_per_second=32.0)
"""For files that anyone may send."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What a file's headers say of it, and its blocks, as `earshot.media.blocks` gives them."""

    info: MediaInfo
    blocks: Iterator[NDArray[np.float32]]


class Decoder:
    """Decodes file after file in a process apart; `close` it, or use it as a context."""

    def __init__(self, limits: Limits = Limits()) -> None:
        self.limits = limits
        self._process: _Process | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process; it is started again when it is needed."""
        if self._process is not None:
            self._process.end()
        self._process = None

    def hear(
        self,
        path: PathLike,
        *,
        channels: Channels = "auto",
        sample_rate: int,
        block_seconds: float = BLOCK_SECONDS,
    ) -> Heard:
        """As `earshot.media.probe` and `earshot.media.blocks`, whose errors it raises.

        Also MediaError where decoding crashed or went over a limit. The blocks of one file at a
        time: those of the file before end when another is begun.
        """
        name = shown(path)
        request = {
            "path": os.fspath(path),
            "channels": channels,
            "sample_rate": sample_rate,
            "block_seconds": block_seconds,
        }
        process = self._asked(request, name)
        budget = _Budget(self.limits.patience)
        try:
            kind, body = self._message(process, budget, name, MOST_TOLD)
            if kind != INFO:
                raise MediaError(f"{name} cannot be decoded: its decoder gave nonsense.")
            info = MediaInfo(**json.loads(body))
            # It may be a guess, of which only what is far too long is believed.
            self._require((info.duration or 0.0) / 2, path, name)
        except BaseException:
            self._settle(process)
            raise
        most = SHAPE.size + 4 * MOST_SPLIT * round(block_seconds * sample_rate)
        return Heard(info, self._blocks(process, budget, path, most, sample_rate))

    def _blocks(
        self, process: _Process, budget: _Budget, path: PathLike, most: int, rate: int
    ) -> Iterator[NDArray[np.float32]]:
        name = shown(path)
        samples = 0
        try:
            while True:
                kind, body = self._message(process, budget, name, most)
                if kind == END:
                    return
                count, length = SHAPE.unpack_from(body) if len(body) >= SHAPE.size else (0, 0)
                if kind != BLOCK or len(body) != SHAPE.size + 4 * count * length:
                    raise MediaError(f"{name} cannot be decoded: its decoder gave nonsense.")
                samples += length
                budget.earned = samples / rate
                self._require(budget.earned, path, name)
                yield np.frombuffer(body, np.float32, offset=SHAPE.size).reshape(count, length)
        finally:
            self._settle(process)

    def _asked(self, request: dict[str, object], name: str) -> _Process:
        """A process that has begun with a request."""
        line = json.dumps(request).encode() + b"\n"
        if self._process is not None and self._process.idle:
            with contextlib.suppress(OSError):  # it may have been killed while it waited
                self._process.ask(line)
                return self._process
        self.close()
        try:
            self._process = _Process(self.limits.memory)
            self._process.ask(line)
        except OSError as error:
            raise MediaError(
                f"{name} cannot be decoded: no process can be started for it "
                f"({error.strerror or error})."
            ) from error
        return self._process

    def _message(
        self, process: _Process, budget: _Budget, name: str, most: int
    ) -> tuple[bytes, bytes]:
        """The next message; the errors that it tells are raised."""
        try:
            kind, length = HEADER.unpack(process.read(HEADER.size, budget))
            if length > max(most, MOST_TOLD):
                raise MediaError(f"{name} cannot be decoded: its decoder gave nonsense.")
            body = process.read(length, budget)
        except _OutOfPatienceError:
            raise MediaError(
                f"{name} cannot be decoded: {budget.waited:.0f} s of waiting brought "
                f"{budget.earned:.0f} s of sound."
            ) from None
        except EOFError:
            raise MediaError(f"{name} cannot be decoded: {process.epitaph()}.") from None
        process.idle = kind in (END, FAILED)
        if kind == FAILED:
            told = json.loads(body)
            raise ERRORS.get(told["kind"], MediaError)(told["sentence"])
        return kind, body

    def _settle(self, process: _Process) -> None:
        """A file is done with: a process that is not goes, with whatever it still does."""
        if not process.idle:
            process.end()
            if self._process is process:
                self._process = None

    def _require(self, seconds: float, path: PathLike, name: str) -> None:
        """MediaError where a file holds more sound than it may."""
        limits = self.limits
        if limits.hours is not None and seconds > limits.hours * 3600:
            raise MediaError(
                f"{name} holds more than {limits.hours:g} hours of sound, which are taken at most."
            )
        if limits.bytes_per_second and seconds > FREE_HOURS * 3600:
            size = Path(path).stat().st_size
            if size < seconds * limits.bytes_per_second:
                raise MediaError(
                    f"{name} holds more than {seconds / 3600:.1f} hours of sound in {size} bytes: "
                    "so little is no recording of anything."
                )


class _OutOfPatienceError(Exception):
    """There was no answer in the time that there was."""


class _Budget:
    """How long a file may keep us waiting: `patience` seconds, and as long as it gave sound."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self.waited = 0.0
        self.earned = 0.0

    @property
    def left(self) -> float:
        return self._patience + self.earned - self.waited


class _Process:
    """The process apart and the pipes to it; `idle` while it waits for a request."""

    def __init__(self, memory: int) -> None:
        # No folder but those on this program's path is looked into, the current one neither.
        paths = [str(_SOURCE), *(path for path in sys.path if path)]
        own = {"PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
        self._popen = subprocess.Popen(
            [sys.executable, *CHILD, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, **own},
            start_new_session=True,  # Ctrl-C is for the one that adds, who ends the other
        )
        self.idle = True
        self._ended = False
        assert self._popen.stdout is not None
        self._out = self._popen.stdout.fileno()
        self._started = False
        if hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux; whole blocks are waiting then
            with contextlib.suppress(OSError):
                fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)

    def ask(self, line: bytes) -> None:
        """Send a request; OSError where nobody is there to read it."""
        assert self._popen.stdin is not None
        self.idle = False
        self._popen.stdin.write(line)

    def read(self, count: int, budget: _Budget) -> bytes:
        """So many bytes; EOFError where they never come, _OutOfPatienceError where not in time."""
        if self._ended:  # its pipe's number may be another one's by now
            raise EOFError
        got = bytearray()
        while len(got) < count:
            begun = time.monotonic()
            patience = budget.left + (0.0 if self._started else START_SECONDS)
            ready = patience > 0 and self._poll.poll(patience * 1000)
            if self._started:
                budget.waited += time.monotonic() - begun
            if not ready:
                raise _OutOfPatienceError
            self._started = True
            some = os.read(self._out, min(count - len(got), _READ_BYTES))
            if not some:
                raise EOFError
            got += some
        return bytes(got)

    def epitaph(self) -> str:
        """Why it is there no more."""
        if self._ended:
            return "another file was begun meanwhile"
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._popen.wait(_END_SECONDS)
            if status == -signal.SIGKILL:
                return "the system stopped it, as it does where memory is short"
            if status == -signal.SIGXCPU:
                return "it takes too long"
            if status < 0:
                return f"it makes its decoder crash ({signal.Signals(-status).name})"
        return "its decoder ended without an answer"

    def end(self) -> None:
        """Let it end if it is idle, else end it."""
        if not self.idle:
            self._popen.kill()
        self._ended = True
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self._popen.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
