"""PCM of a file: all of it in blocks, or one span; memory never depends on the file's length.

This module joins opening, decoding and resampling; it knows nothing of what is done with the PCM.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earshot.errors import MediaError, UsageError
from earshot.media.decoding import pieces
from earshot.media.opening import PathLike, Source, opened, shown
from earshot.media.resampling import MOST_SPLIT, Plan, aligned, resampled
from earshot.media.sides import plan_for

Channels = Literal["auto", "mix", "split"]
SAMPLE_RATE = 16_000  # Hz: what speech networks listen to
BLOCK_SECONDS = 30.0


def channel_plan(path: PathLike) -> Plan:
    """How to listen to a file: "split" if its two channels carry different speech, else "mix".

    Looks at the first minutes with sound (see `earshot.media.sides`). MediaError as for `blocks`.
    """
    with opened(path) as source:
        return "mix" if source.info.channels == 1 else plan_for(pieces(source))


def blocks(
    path: PathLike,
    *,
    channels: Channels = "auto",
    sample_rate: int = SAMPLE_RATE,
    block_seconds: float = BLOCK_SECONDS,
) -> Iterator[NDArray[np.float32]]:
    """All of a file's audio, float32 (channels, samples) in [-1, 1], in blocks of equal length.

    Only the last block may be shorter. "split" gives every channel (at most 8), "mix" one channel,
    "auto" follows `channel_plan`. Raises MediaError, possibly after some blocks, if the file cannot
    be listened to from its beginning to its end; blocks that came before are then not all of it.
    """
    plan = channel_plan(path) if channels == "auto" else _checked(channels)
    with _prepared(path, plan) as source:
        yield from _regrouped(
            resampled(pieces(source), sample_rate, plan), round(block_seconds * sample_rate)
        )


def read(
    path: PathLike,
    start: float,
    end: float,
    *,
    channels: Channels = "split",
    sample_rate: int = SAMPLE_RATE,
) -> NDArray[np.float32]:
    """The audio from `start` to `end` seconds, float32 (channels, samples) in [-1, 1].

    The same samples that `blocks` gives there. A span that reaches over the file's end is cut
    there; one that lies wholly behind it is a MediaError, an empty one a UsageError.
    """
    stretches = span(path, start, end, channels=channels, sample_rate=sample_rate)
    return np.concatenate(list(stretches), axis=1)


def span(
    path: PathLike, start: float, end: float, *, channels: Channels, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """As `read`, in stretches of about a second, of which there is at least one."""
    if not (isfinite(start) and isfinite(end) and max(start, 0.0) < end):
        raise UsageError(f"{start:g} to {end:g} s is no span of {shown(path)}.")
    plan = channel_plan(path) if channels == "auto" else _checked(channels)
    first, last = round(max(start, 0.0) * sample_rate), round(end * sample_rate)
    with _prepared(path, plan) as source:
        found = aligned(pieces(source, max(start, 0.0)), sample_rate)
        head = next(found, None)
        at = last if head is None else round(head.start * sample_rate)
        if head is not None and first < at:  # a hole in a recording whose microphone was muted
            count = 1 if plan == "mix" else head.samples.shape[0]
            yield np.zeros((count, min(at, last) - first), np.float32)
        empty = head is None or at <= first
        for stretch in resampled(chain([head] if head else [], found), sample_rate, plan):
            if at >= last:
                break
            wanted = stretch[:, max(first - at, 0) : last - at]
            at += stretch.shape[1]
            if wanted.shape[1]:
                empty = False
                yield wanted
        if empty:
            raise MediaError(f"{source.name} ends before {start:g} s.")


def _checked(channels: Channels) -> Plan:
    if channels == "mix":
        return "mix"
    if channels == "split":
        return "split"
    raise UsageError(f"channels can be auto, mix or split, not {channels!r}.")


def _regrouped(
    stretches: Iterator[NDArray[np.float32]], size: int
) -> Iterator[NDArray[np.float32]]:
    """The same samples in arrays of `size`, the last one shorter."""
    if size < 1:
        raise UsageError("a block must be at least one sample long.")
    held: list[NDArray[np.float32]] = []
    count = 0
    for stretch in stretches:
        held.append(stretch)
        count += stretch.shape[1]
        while count >= size:
            whole = np.concatenate(held, axis=1)
            yield whole[:, :size]
            held, count = [whole[:, size:]], count - size
    if count:
        yield np.concatenate(held, axis=1)


@contextmanager
def _prepared(path: PathLike, plan: Plan) -> Iterator[Source]:
    with opened(path) as source:
        if plan == "split" and source.info.channels > MOST_SPLIT:
            raise MediaError(
                f"{source.name} has {source.info.channels} channels, of which at most {MOST_SPLIT} "
                "can be kept apart: mix them."
            )
        yield source
