"""The two sides of a call, each in a file of its own -> one file with a channel for each.

Both begin at the same moment, as recorders of telephone lines write them; the shorter one is
silent to the end of the other. This module knows nothing of what is done with the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earshot.media.clips import CLIP_FORMATS, encode, written
from earshot.media.opening import PathLike, probe
from earshot.media.reading import blocks

HIGHEST_RATE = 48_000  # Hz


def join(sides: Sequence[PathLike], target: Path) -> Path:
    """Write `target` (FLAC), whose channels are `sides`, each mixed to one; the same bytes again.

    Raises MediaError if a side cannot be listened to from its beginning to its end, or the target
    not be written; then there is no target.
    """
    rate = min(max(probe(side).sample_rate for side in sides), HIGHEST_RATE)
    together = _together([blocks(side, channels="mix", sample_rate=rate) for side in sides])
    first = next(together)  # before the target is touched: this is where a bad side shows
    with written(target) as file:
        encode(file, CLIP_FORMATS[".flac"], rate, first, together)
    return target


def _together(sides: Sequence[Iterator[NDArray[np.float32]]]) -> Iterator[NDArray[np.float32]]:
    """Blocks (channels, samples) of all sides at once."""
    nothing = np.zeros((1, 0), np.float32)
    for pieces in zip_longest(*sides, fillvalue=nothing):
        both = np.zeros((len(pieces), max(piece.shape[1] for piece in pieces)), np.float32)
        for channel, piece in enumerate(pieces):
            both[channel, : piece.shape[1]] = piece[0]
        yield both
