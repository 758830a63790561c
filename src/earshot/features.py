"""PCM blocks -> windows of log-mel frames, each with the context that its edges need.

A network hears a window; what it says of the context at the window's edges is thrown away, so that
the activations of a recording do not depend on where its blocks were cut. Knows nothing of files
or networks; what a frame is, `kur.features` defines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kur.features import FbankOptions, Frames, features

Pcm = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Window:
    """Frames of one window: (frames, mel_bins) float32, of which the first `before` and all from
    `before + count` on are context."""

    frames: Frames
    before: int
    count: int


def windows(
    blocks: Iterable[Pcm],
    options: FbankOptions,
    *,
    sample_rate: int,
    context_seconds: float,
    multiple: int,
    window_seconds: float = 60.0,
) -> Iterator[Window]:
    """Windows that together cover the PCM of all `blocks` (mono, float32, any lengths) once.

    `context_seconds` is how far the network looks to each side; the features' own window is added
    to it. `before` and `count` are multiples of `multiple` frames, but for the `count` of the last
    window. At most a window and its context are held in memory.
    """
    hop = round(options.hop_seconds * sample_rate)
    step = hop * multiple
    look = context_seconds + options.mean_window_seconds / 2 + options.frame_seconds
    context = math.ceil(look * sample_rate / step) * step
    size = max(1, round(window_seconds * sample_rate / step)) * step
    held = np.zeros(0, np.float32)
    done = 0  # samples of `held` that are context of what comes next
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= done + size + context:
            yield _window(held[: done + size + context], done, size, hop, sample_rate, options)
            keep = max(0, done + size - context)
            done, held = done + size - keep, held[keep:]
    rest = len(held) - done
    if options.frames_in(rest, sample_rate) > 0:
        yield _window(held, done, rest, hop, sample_rate, options)


def _window(
    pcm: Pcm, before: int, count: int, hop: int, sample_rate: int, options: FbankOptions
) -> Window:
    frames = features(pcm, sample_rate, options)
    first = before // hop
    last = min(len(frames), options.frames_in(before + count, sample_rate))
    return Window(frames, first, last - first)
