"""A file of Opus that grows while it is heard: what was written is not lost when the program dies.

A page is written a second, and with the system at once. A file that was cut can be mended: all its
whole pages become a new file. This module knows nothing of where the sound comes from.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from earshot.errors import MediaError
from earshot.media.opening import shown

PAGE_MICROSECONDS = 1_000_000
BIT_RATE = 24_000  # bits a second: speech that nobody tells from the original


class Growing:
    """An open file of Opus, one channel at `rate` samples a second.

    Raises MediaError when it cannot be written.
    """

    def __init__(self, path: Path, rate: int, bit_rate: int = BIT_RATE) -> None:
        self.path = path
        self.rate = rate
        self._samples = 0
        with _written(path):
            self._file = path.open("wb", buffering=0)
            options = {"page_duration": str(PAGE_MICROSECONDS)}
            self._container = av.open(self._file, "w", format="ogg", options=options)
            self._stream: Any = self._container.add_stream("libopus", rate=rate, layout="mono")
            self._stream.bit_rate = bit_rate

    @property
    def seconds(self) -> float:
        """Length of what was written."""
        return self._samples / self.rate

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append (samples,) in [-1, 1]."""
        plain = np.ascontiguousarray(samples, np.float32)[None, :]
        frame = av.AudioFrame.from_ndarray(plain, format="flt", layout="mono")
        frame.sample_rate, frame.pts = self.rate, self._samples
        frame.time_base = Fraction(1, self.rate)
        with _written(self.path):
            self._container.mux(self._stream.encode(frame))
        self._samples += len(samples)

    def close(self) -> None:
        """End the file, and force it to the disk."""
        with _written(self.path):
            self._container.mux(self._stream.encode(None))
            self._container.close()
            os.fsync(self._file.fileno())
            self._file.close()


def mend(cut: Path, target: Path) -> float:
    """Make a whole file of what can be read of one that was cut; returns its seconds.

    Raises MediaError where there is nothing to be read.
    """
    seconds = 0.0
    with _written(cut), av.open(str(cut), format="ogg") as source:
        if not source.streams.audio:
            raise MediaError(f"{shown(cut)} holds no sound.")
        stream = source.streams.audio[0]
        with av.open(str(target), "w", format="ogg") as whole:
            copy = whole.add_stream_from_template(stream)
            with suppress(av.FFmpegError):  # the end, where it was cut
                for packet in source.demux(stream):
                    if packet.dts is None or packet.pts is None or not packet.duration:
                        continue
                    seconds = float((packet.pts + packet.duration) * packet.time_base)
                    packet.stream = copy
                    whole.mux(packet)
    if seconds <= 0:
        target.unlink(missing_ok=True)
        raise MediaError(f"{shown(cut)} holds no sound.")
    return seconds


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise MediaError(f"{shown(path)} cannot be written: {reason}.") from error
