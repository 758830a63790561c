"""Pieces of any rate and any channels -> PCM of one rate, either every channel or one mix.

The conversion itself is libswresample's: band-limited, its delay compensated, its tail flushed, so
that sample `n` of the result is what was heard at `n / rate` seconds. This module knows nothing of
files, codecs and spans.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from math import gcd
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from earshot.media.bare import LAYOUTS
from earshot.media.decoding import Piece

Plan = Literal["mix", "split"]
MOST_SPLIT = 8  # channels that can be searched one by one

# How loud a channel is in a mix. Dialogue of films is in the middle, and the surround channels are
# as loud as in the usual downmix (ITU-R BS.775); rumble says nothing.
MIX_WEIGHTS = {"FC": 1.0, "LFE": 0.0, "LFE2": 0.0}
OTHER_WEIGHT = 0.5**0.5
# libswresample wants the name of a layout: any with the right number of channels will do, as they
# are passed through one by one.


def aligned(pieces: Iterator[Piece], rate: int) -> Iterator[Piece]:
    """Drop as few first samples as needed for the first one left to fall on a sample of `rate`.

    Then a span that is decoded alone has exactly the samples it has within the whole.
    """
    for piece in pieces:
        index = round(piece.start * piece.rate)
        surplus = -index % (piece.rate // gcd(piece.rate, rate))
        if surplus < piece.samples.shape[1]:
            start = (index + surplus) / piece.rate
            rest = piece.samples[:, surplus:]
            yield from chain([Piece(rest, piece.rate, start, piece.channels)], pieces)
            return


def resampled(pieces: Iterator[Piece], rate: int, plan: Plan) -> Iterator[NDArray[np.float32]]:
    """PCM at `rate` Hz, float32 (channels, samples) in [-1, 1], in stretches of about a second.

    "mix" gives one channel, "split" as many as the first piece has, up to `MOST_SPLIT`.
    """
    resampler = Resampler(rate, plan)
    for piece in pieces:
        yield from resampler.feed(piece)
    yield from resampler.flush()


class Resampler:
    """Turns pieces, as they come, into PCM at `rate` Hz; see `resampled`."""

    def __init__(self, rate: int, plan: Plan) -> None:
        self._rate = rate
        self._plan = plan
        self._resampler: av.AudioResampler | None = None
        self._from, self._count = 0, 0

    def feed(self, piece: Piece) -> Iterator[NDArray[np.float32]]:
        """What can be given after one more piece."""
        self._count = self._count or (1 if self._plan == "mix" else piece.samples.shape[0])
        layout = LAYOUTS[self._count - 1]
        if piece.rate != self._from:
            yield from self.flush()
        if self._resampler is None:
            self._from = piece.rate
            self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=self._rate)
        samples = np.ascontiguousarray(_with_channels(piece, self._count))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate = piece.rate
        yield from _converted(self._resampler, frame)

    def flush(self) -> Iterator[NDArray[np.float32]]:
        """What is left when no more pieces come."""
        if self._resampler is not None:
            yield from _converted(self._resampler, None)
        self._resampler = None


def _converted(
    resampler: av.AudioResampler, frame: av.AudioFrame | None
) -> Iterator[NDArray[np.float32]]:
    """What the resampler gives for a frame; None flushes it."""
    for out in resampler.resample(frame):
        if out is not None:
            # Lossy codecs and the filter overshoot full scale a little.
            yield np.clip(out.to_ndarray(), -1.0, 1.0)


def _with_channels(piece: Piece, count: int) -> NDArray[np.float32]:
    """The piece's samples with `count` channels; a mix on each, if it has another number."""
    if piece.samples.shape[0] == count:
        return piece.samples
    weights = np.array([MIX_WEIGHTS.get(name, OTHER_WEIGHT) for name in piece.channels], np.float32)
    if not weights.any():
        weights[:] = 1.0
    mixed = (weights / weights.sum()) @ piece.samples
    return np.broadcast_to(mixed, (count, mixed.shape[0]))
