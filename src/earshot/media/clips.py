"""Cut a span out of a file and write it as a file of its own.

The clip keeps the source's channels and, where the format can, its sample rate. It appears under
its name only when it is complete. This module knows nothing of mentions.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fractions import Fraction
from io import FileIO
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from earshot.errors import MediaError, UsageError
from earshot.media.bare import LAYOUTS
from earshot.media.opening import PathLike, probe, shown
from earshot.media.reading import Channels, span
from earshot.media.resampling import MOST_SPLIT


@dataclass(frozen=True, slots=True)
class ClipFormat:
    """How to write files with one suffix: FFmpeg's names, and what the codec can hold.

    `rates` are the sample rates it accepts in Hz, ascending, none meaning any; `bit_rate` is bits a
    second and channel.
    """

    container: str
    codec: str
    rates: tuple[int, ...] = ()
    most_channels: int = MOST_SPLIT
    bit_rate: int | None = None


OPUS = ClipFormat("ogg", "libopus", (8_000, 12_000, 16_000, 24_000, 48_000), bit_rate=48_000)
MP3_RATES = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
CLIP_FORMATS = {
    ".flac": ClipFormat("flac", "flac"),
    ".mp3": ClipFormat("mp3", "libmp3lame", MP3_RATES, most_channels=2, bit_rate=64_000),
    ".ogg": OPUS,
    ".opus": OPUS,
    ".wav": ClipFormat("wav", "pcm_s16le"),
}
HIGHEST_CLIP_RATE = 192_000  # Hz


def write_clip(source: PathLike, start: float, end: float, target: PathLike) -> Path:
    """Write `source` from `start` to `end` seconds to `target`, in the format that its suffix says.

    A span that reaches over the file's end is cut there. A file with more channels than the format
    holds is mixed to one. An existing target is replaced, at once and only by a complete clip.
    Returns the target; raises MediaError if it cannot be written or the source not be read,
    UsageError for an unknown suffix, an empty span, or a target that is the source itself.
    """
    path = Path(target)
    form = CLIP_FORMATS.get(path.suffix.lower())
    if form is None:
        known = ", ".join(sorted(CLIP_FORMATS))
        raise UsageError(f"{shown(path)}: a clip's name must end in one of {known}.")
    info = probe(source)
    if path.exists() and path.samefile(source):
        raise UsageError(f"{shown(path)} is the recording itself: give the clip another name.")
    channels: Channels = "split" if info.channels <= form.most_channels else "mix"
    rate = _rate(info.sample_rate, form)
    stretches = span(source, start, end, channels=channels, sample_rate=rate)
    first = next(stretches)  # before the target is touched: this is where a bad source shows
    with written(path) as file:
        encode(file, form, rate, first, stretches)
    return path


def _rate(source_rate: int, form: ClipFormat) -> int:
    """The lowest rate that the format knows and that loses nothing, or else its highest."""
    for rate in form.rates:
        if rate >= source_rate:
            return rate
    return form.rates[-1] if form.rates else min(source_rate, HIGHEST_CLIP_RATE)


def encode(
    file: FileIO,
    form: ClipFormat,
    rate: int,
    first: NDArray[np.float32],
    rest: Iterator[NDArray[np.float32]],
) -> None:
    """Write stretches (channels, samples) at `rate` to an open file."""
    channels = first.shape[0]
    with av.open(file, "w", format=form.container) as container:
        stream = container.add_stream(form.codec, rate=rate)
        stream.layout = LAYOUTS[channels - 1]
        if form.bit_rate:
            stream.bit_rate = form.bit_rate * channels
        at = 0
        for samples in chain([first], rest):
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples), format="fltp", layout=stream.layout.name
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
            at += samples.shape[1]
        container.mux(stream.encode(None))


class _Target(FileIO):
    """A file that remembers why it could not be written; FFmpeg only gets to know that."""

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of `data`; returns its length, or -1 after a failure."""
        left = memoryview(data).cast("B")
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            self.failure = self.failure or error
            return -1
        return memoryview(data).nbytes


@contextmanager
def written(path: Path) -> Iterator[_Target]:
    """A file that gets its name when it is complete; whatever fails, nothing is left behind."""
    part = path.with_name(f".clip-{secrets.token_hex(6)}.part")
    try:
        with _Target(part, "x") as file:
            try:
                yield file
            except av.FFmpegError as error:
                raise file.failure or error from error
            if file.failure:
                raise file.failure
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, av.FFmpegError) as error:
        reason = error.strerror or str(error)
        raise MediaError(f"{shown(path)} cannot be written: {reason}.") from error
    finally:
        with suppress(OSError):  # it has its new name, or never came to be
            part.unlink()
