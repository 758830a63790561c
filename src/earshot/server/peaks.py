"""A recording's file -> its waveform, worked out once and kept.

A peak is the lowest and the highest sample of 10 ms, one byte each: 720 KB an hour. It knows
nothing of libraries.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot import media
from earshot.types import Span

A_SECOND = 100
"""Peaks a second that are kept."""

_RATE = 16_000
_STEP = _RATE // A_SECOND
_SCALE = 127.0

Peaks = npt.NDArray[np.int8]


def peaks(source: Path, kept: Path, digest: str) -> Peaks:
    """Peaks (n, 2) of all of a file, from `kept` if that is of the same file (`digest`).

    Raises MediaError where the file cannot be read. Blocks.
    """
    mark = np.frombuffer(bytes.fromhex(digest[:32]), np.int8).reshape(-1, 2)
    with suppress(OSError, ValueError):
        found: Peaks = np.load(kept, allow_pickle=False, mmap_mode="r")
        if found.dtype == np.int8 and np.array_equal(found[: len(mark)], mark):
            return found[len(mark) :]
    made = _peaks(source)
    part = kept.with_name(f"{kept.name}.{secrets.token_hex(8)}.part")
    with suppress(OSError):  # it is worked out again the next time
        with part.open("wb") as file:
            np.save(file, np.concatenate([mark, made]), allow_pickle=False)
        part.replace(kept)
    return made


def narrowed(whole: Peaks, span: Span, width: int) -> npt.NDArray[np.float32]:
    """The `width` peaks (width, 2) of a span, from -1 to 1."""
    first = span.start * A_SECOND
    edges = first + np.arange(width + 1) * (span.end * A_SECOND - first) / width
    starts = np.minimum(np.floor(edges[:-1]).astype(int), len(whole) - 1)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
    found = np.zeros((width, 2), np.float32)
    for at, (start, end) in enumerate(zip(starts, ends, strict=True)):
        found[at] = whole[start:end, 0].min(), whole[start:end, 1].max()
    return found / np.float32(_SCALE)


def _peaks(source: Path) -> Peaks:
    made: list[Peaks] = []
    left = np.zeros(0, np.float32)
    for block in media.blocks(source, channels="mix", sample_rate=_RATE):
        left = np.concatenate([left, block[0]])
        whole = len(left) // _STEP * _STEP
        made.append(_narrowest(left[:whole].reshape(-1, _STEP)))
        left = left[whole:]
    if len(left):
        made.append(_narrowest(left[None]))
    return np.concatenate(made) if made else np.zeros((1, 2), np.int8)


def _narrowest(steps: npt.NDArray[np.float32]) -> Peaks:
    if not len(steps):
        return np.zeros((0, 2), np.int8)
    both = np.stack([steps.min(axis=1), steps.max(axis=1)], axis=1)
    scaled: Peaks = np.round(np.clip(both, -1, 1) * _SCALE).astype(np.int8)
    return scaled
