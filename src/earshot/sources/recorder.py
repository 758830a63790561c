"""A microphone, or any line, recorded for weeks: a file a minute, silence left out.

Sound comes in blocks and is written as it comes, as Opus in Ogg, into a spool: `record` runs until
its source ends. A file holds sound without gaps and tells in its name when it began; a long silence
ends it, and the next sound begins another one. Whatever kills the program, what had been written of
the file at work is made a whole file at the next start. The disk that the spool takes is bounded:
the oldest files go first. This module knows nothing of libraries and servers.
"""

from __future__ import annotations

import json
import queue
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from earshot.errors import MediaError, MissingExtra, UsageError
from earshot.index.durable import discard, publish, writing

if TYPE_CHECKING:
    from earshot.media import Growing

Floats = npt.NDArray[np.float32]

RATE = 16_000  # samples a second: what the network listens to
SUFFIX, PART = ".opus", ".opus.part"
MOST_WAITING = 600
"""Blocks that wait to be written; more are lost, and counted. Of a tenth of a second: a minute."""

_BLOCK = RATE // 10


@dataclass(frozen=True, slots=True)
class Options:
    """How to record: `length` seconds a file; below `threshold` dB of full scale it is silent.

    After `quiet` seconds of silence nothing is written any more, until there is sound again; `lead`
    seconds before that are written too. `threshold` None: everything is written. `keep` bounds the
    bytes of the spool, None: not at all; `bit_rate` is bits a second.
    """

    length: float = 60.0
    threshold: float | None = -50.0
    quiet: float = 3.0
    lead: float = 0.5
    keep: int | None = 20 << 30
    bit_rate: int = 24_000


@dataclass(frozen=True, slots=True)
class Written:
    """A file that is done: when it began, its seconds, and which old files were given up for it."""

    path: Path
    began: datetime
    seconds: float
    given_up: tuple[Path, ...] = ()


class Source(Protocol):
    """Where sound comes from; `Microphone` is one."""

    lost: int
    """Blocks that came too fast to be kept."""

    def blocks(self) -> Iterator[Floats]:
        """Mono samples (samples,) in [-1, 1] at RATE, as they come; nothing while none come."""


def record(
    source: Source,
    spool: Path,
    options: Options = Options(),
    *,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[Written]:
    """Write what comes from `source` into `spool`, one file after the other, as they are done.

    Raises LibraryError or MediaError when the spool cannot be written; what was written is kept.
    """
    if options.length < 1 or options.quiet < 0 or options.lead < 0:
        raise UsageError("a file has a second or more, and no time is less than nothing")
    from earshot.media import Growing  # loads FFmpeg

    with writing(spool):
        spool.mkdir(parents=True, exist_ok=True)
    yield from recover(spool)
    lead: deque[Floats] = deque(maxlen=max(1, round(options.lead * RATE / _BLOCK)))
    file: Growing | None = None
    began = now()
    silent = 0.0
    try:
        for block in source.blocks():
            sound = options.threshold is None or level(block) > options.threshold
            silent = 0.0 if sound else silent + len(block) / RATE
            if file is None and not sound:
                lead.append(block)
                continue
            if file is None:
                before = sum(len(one) for one in lead) + len(block)
                began = now() - timedelta(seconds=before / RATE)
                file = Growing(spool / (_named(began) + PART), RATE, options.bit_rate)
                for one in lead:
                    file.write(one)
                lead.clear()
            file.write(block)
            if file.seconds >= options.length or silent > options.quiet:
                whole, file = file, None
                yield _closed(whole, began, options)
    finally:
        last = None if file is None else _closed(file, began, options)
    if last is not None:
        yield last


def recover(spool: Path) -> Iterator[Written]:
    """Make whole files of what was being written when the program was killed."""
    from earshot.media import mend  # see `record`

    for part in sorted(spool.glob(f"*{PART}")):
        target = part.with_name(part.name.removesuffix(".part"))
        beside = part.with_name(part.name + ".tmp")
        with suppress(MediaError), writing(target):
            seconds = mend(part, beside)
            began = _time_of(part)
            _describe(target, began)
            publish(beside, target)
            yield Written(target, began, seconds)
        discard(part)


def level(block: Floats) -> float:
    """How loud a block is: dB of full scale, of its root mean square."""
    power = float(np.mean(np.square(block, dtype=np.float64))) if len(block) else 0.0
    return 10 * float(np.log10(power + 1e-12))


class Microphone:
    """A microphone or line of this computer, through sounddevice; a context manager.

    `device` is its name or a part of it, or its number; None: the one that the system prefers.
    Raises MissingExtra, and UsageError for a device that cannot be used.
    """

    def __init__(
        self, device: str | None = None, *, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.lost = 0
        self._stopped = stopped
        self._waiting: queue.Queue[Floats] = queue.Queue(MOST_WAITING)
        try:
            import sounddevice  # an extra, and a library of the system
        except ImportError as error:
            raise MissingExtra("sounddevice, which records,", "record") from error
        except OSError as error:
            raise UsageError(
                f"nothing can be recorded: {error}; install PortAudio (libportaudio2 on Debian)"
            ) from error
        chosen = int(device) if device is not None and device.isdecimal() else device
        try:
            self._stream = sounddevice.InputStream(
                RATE, _BLOCK, chosen, channels=1, dtype="float32", callback=self._came
            )
        except (sounddevice.PortAudioError, ValueError) as error:
            raise UsageError(f"nothing can be recorded: {' '.join(str(error).split())}") from error

    def __enter__(self) -> Microphone:
        self._stream.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.stop()
        self._stream.close()

    def blocks(self) -> Iterator[Floats]:
        """See `Source.blocks`; ends when it is stopped, or the device goes away."""
        while not self._stopped():
            try:
                yield self._waiting.get(timeout=0.5)
            except queue.Empty:
                if not self._stream.active:
                    return

    def _came(self, data: Any, _frames: int, _time: Any, _status: Any) -> None:
        """Called by the system's thread, which must never wait."""
        try:
            self._waiting.put_nowait(np.array(data[:, 0], np.float32))
        except queue.Full:
            self.lost += 1


def _closed(file: Growing, began: datetime, options: Options) -> Written:
    """End the file at work, and give it its name; old files make room for it."""
    file.close()
    target = file.path.with_name(file.path.name.removesuffix(".part"))
    _describe(target, began)
    with writing(target):
        publish(file.path, target)
    gone = tuple(_bounded(target.parent, options.keep, target))
    return Written(target, began, file.seconds, gone)


def _named(began: datetime) -> str:
    return began.strftime("%Y%m%dT%H%M%S%f")[:18] + "Z"


def _time_of(path: Path) -> datetime:
    """When a file began, by its name."""
    with suppress(ValueError):
        return datetime.strptime(path.name[:18], "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
    return datetime.fromtimestamp(path.stat().st_mtime, UTC)


def _describe(target: Path, began: datetime) -> None:
    """What is known of a file, beside it, where `earshot watch` and `earshot push` find it."""
    local = began.astimezone()
    told = {"title": f"{local:%Y-%m-%d %H:%M:%S}", "date": local.isoformat(timespec="seconds")}
    with writing(target):
        target.with_suffix(".json").write_text(json.dumps(told), "utf-8")


def _bounded(spool: Path, keep: int | None, newest: Path) -> Iterator[Path]:
    """Delete the oldest files until the spool has its size again; never the newest."""
    if keep is None:
        return
    files = [(path, path.stat().st_size) for path in sorted(spool.glob(f"*{SUFFIX}"))]
    total = sum(size for _, size in files)
    for path, size in files:
        if total <= keep or path == newest:
            return
        discard(path)
        discard(path.with_suffix(".json"))
        total -= size
        yield path
