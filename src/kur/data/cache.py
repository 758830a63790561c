"""A cache of log-mel frames on disk, so that a clip is decoded once and not once an epoch.

Two files: `KEY.frames` (float16, one clip after the other) and `KEY.index` (one JSON line a clip,
written after its frames, so that a killed run leaves nothing half). Knows nothing of how frames
are made.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from kur.errors import KurError
from kur.features import Frames

try:
    import fcntl
except ImportError:  # Windows, where only one process at a time may fill a cache
    fcntl = None  # type: ignore[assignment]


class FrameCache:
    """Frames by name, appended as they come; safe for the threads of many processes."""

    def __init__(self, folder: Path, key: str, bins: int) -> None:
        self._frames = folder / f"{key}.frames"
        self._index = folder / f"{key}.index"
        self._bins = bins
        self._lock = threading.Lock()
        self._where: dict[str, tuple[int, int]] = {}
        self._end = 0  # frames written
        self._read = 0  # bytes of the index that are known
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked() as index:
                self._catch_up(index)
        except OSError as error:
            raise KurError(f"{folder}: cannot be used as a cache: {error.strerror}") from None

    def get(self, name: str) -> Frames | None:
        """The frames of `name` as float32 (frames, bins); None if they are not here yet."""
        found = self._where.get(name) or self._found_since(name)
        if found is None:
            return None
        start, count = found
        offset, values = start * self._bins * 2, count * self._bins
        flat = np.fromfile(self._frames, np.float16, values, offset=offset)
        if len(flat) < values:
            return None  # the disk kept the index and lost the frames: they are made anew
        return flat.reshape(count, self._bins).astype(np.float32)

    def put(self, name: str, frames: Frames) -> Frames:
        """Keep the frames of `name`, and return them as `get` will from now on."""
        kept = frames.astype(np.float16)
        try:
            with self._lock, self._locked() as index:
                self._catch_up(index)
                if name not in self._where:
                    self._append(name, kept.tobytes(), len(kept), index)
        except OSError as error:
            raise KurError(f"{self._frames}: cannot be written: {error.strerror}") from None
        return kept.astype(np.float32)

    def _found_since(self, name: str) -> tuple[int, int] | None:
        """Where `name` is, if another process has put it since the index was last read."""
        try:
            if self._index.stat().st_size > self._read:
                with self._lock, self._locked() as index:
                    self._catch_up(index)
        except FileNotFoundError:
            return None  # it was removed, and is written anew by the next `put`
        except OSError as error:
            raise KurError(f"{self._index}: cannot be read: {error.strerror}") from None
        return self._where.get(name)

    def _append(self, name: str, data: bytes, count: int, index: BinaryIO) -> None:
        self._frames.touch()
        with self._frames.open("r+b") as file:
            file.seek(self._end * self._bins * 2)
            file.write(data)
        line = json.dumps([name, self._end, count]).encode() + b"\n"
        index.seek(self._read)
        index.write(line)
        index.flush()
        self._where[name] = (self._end, count)
        self._end += count
        self._read += len(line)

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        """The index, open, while no other process writes to this cache."""
        with self._index.open("a+b"):
            pass
        with self._index.open("r+b") as index:
            if fcntl is not None:
                fcntl.flock(index, fcntl.LOCK_EX)  # let go when the file is closed
            yield index

    def _catch_up(self, index: BinaryIO) -> None:
        """Read what other processes wrote since; cut off half a line that a killed one left."""
        index.seek(self._read)
        for line in index:
            if not line.endswith(b"\n"):
                index.truncate(self._read)
                break
            try:
                name, start, count = json.loads(line)
            except ValueError:
                message = f"{self._index}: damaged; remove it and {self._frames.name}"
                raise KurError(message) from None
            self._where[name] = (start, count)
            self._end = max(self._end, start + count)
            self._read += len(line)
