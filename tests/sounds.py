"""Audio and video files of exactly known content, written by real encoders.

`encode` writes any container and codec; `ticks` makes short bursts at known times, which
`tick_times` finds again in what was decoded, so that a test can say by how much time was shifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TICK_SECONDS = 0.03
TICK_HZ = 900.0
LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}


def tone(hertz: float, seconds: float, rate: int, amplitude: float = 0.5) -> Floats:
    """A sine, (samples,)."""
    times = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def hiss(seconds: float, rate: int, amplitude: float = 0.1, seed: int = 0) -> Floats:
    """White noise, (samples,)."""
    random = np.random.default_rng(seed)
    return (amplitude * random.standard_normal(round(seconds * rate))).astype(np.float32)


def ticks(times: Sequence[float], seconds: float, rate: int) -> Floats:
    """Silence with a short burst centred at each time, (samples,)."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for time in times:
        first = round((time - TICK_SECONDS) * rate)
        at = np.arange(first, first + round(2 * TICK_SECONDS * rate)) / rate - time
        bell = np.exp(-0.5 * (at / (TICK_SECONDS / 4)) ** 2)
        samples[first : first + len(at)] += 0.5 * bell * np.cos(2 * np.pi * TICK_HZ * at)
    return samples


def tick_times(samples: Floats, rate: int = 16_000) -> list[float]:
    """Where the bursts of `ticks` are in (samples,), in seconds."""
    pattern = ticks([TICK_SECONDS], 2 * TICK_SECONDS, rate)
    likeness = np.correlate(samples, pattern, "same")
    found = []
    while likeness.max() > 0.5 * float(pattern @ pattern):
        best = int(likeness.argmax())
        found.append(best / rate)
        near = round(2 * TICK_SECONDS * rate)
        likeness[max(best - near, 0) : best + near] = 0.0
    return sorted(found)


def encode(
    path: Path,
    samples: npt.NDArray[Any],
    rate: int,
    codec: str,
    *,
    container: str | None = None,
    video: str | None = None,
    starts: float = 0.0,
    gap: tuple[float, float] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write (samples,) or (channels, samples) with an encoder and, if wanted, a picture.

    `starts` delays the sound in seconds against the picture, `gap` makes the timestamps jump: from
    (first) seconds on they are (second) seconds later. `options` go to the container.
    """
    samples = np.atleast_2d(samples)
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        picture = _Picture(out, video) if video else None
        settings = {"strict": "-2"} if codec == "vorbis" else {}
        stream = out.add_stream(codec, rate=rate, options=settings)
        stream.layout = LAYOUTS[len(samples)]
        if codec == "wmav2":
            stream.bit_rate = 64_000
        for first, frame in _frames(samples, rate, stream.layout.name):
            shift = starts + (gap[1] if gap and first / rate >= gap[0] else 0.0)
            frame.pts = first + round(shift * rate)
            if picture:
                picture.show(until=shift + first / rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        if picture:
            picture.end()
    return path


def _frames(
    samples: npt.NDArray[Any], rate: int, layout: str
) -> Iterator[tuple[int, av.AudioFrame]]:
    for first in range(0, samples.shape[1], 1024):
        piece = np.ascontiguousarray(samples[:, first : first + 1024], np.float32)
        frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout=layout)
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        yield first, frame


class _Picture:
    """A dull film of ten pictures a second, encoded as far as the sound has come."""

    def __init__(self, out: Any, codec: str) -> None:
        self.out = out
        self.stream = out.add_stream(codec, rate=10)
        self.stream.width, self.stream.height, self.stream.pix_fmt = 32, 32, "yuv420p"
        self.shown = 0

    def show(self, until: float) -> None:
        """Encode the pictures up to a time in seconds."""
        while self.shown / 10 <= until:
            pixels = np.full((32, 32, 3), 9 * self.shown % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = self.shown, Fraction(1, 10)
            self.out.mux(self.stream.encode(frame))
            self.shown += 1

    def end(self) -> None:
        """Encode what the encoder holds back."""
        self.out.mux(self.stream.encode(None))
