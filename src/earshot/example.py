"""A piece of sound as a query: what the ear heard in it -> the unit sequences that it may be.

The most probable sequences under CTC stand for the lattice of all of them: they are searched for as
the pronunciations of a phrase are. It knows where activations come from, a file or a library, and
nothing of how is searched.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError, UsageError
from earshot.index import Snapshot, log_posteriors
from earshot.letters import prefix_beam_search
from earshot.types import Recording, Span
from earshot.units import FEWEST_UNITS, MOST_UNITS, Pronunciation

if TYPE_CHECKING:
    from earshot.adding import Listener

LONGEST_SECONDS = 15.0
"""Of sound that is taken as an example: more than MOST_UNITS are hardly said in less."""

WAYS = 8  # unit sequences that are searched for
_BEAM = 32
_LEAST = -7.0  # units less probable than this in a frame are not tried there


def pronunciations(
    log_posteriors: npt.NDArray[np.float32], units: Sequence[str], blank: int
) -> list[Pronunciation]:
    """Up to WAYS sequences of units that may have been said, the most probable first.

    log_posteriors: (frames, units). Probabilities are relative to the best, which has 1. Raises
    QueryError when there is too little speech in it, or too much.
    """
    found = prefix_beam_search(log_posteriors, blank, _BEAM, _LEAST)
    best = found[0][0] if found else ()
    if len(best) > MOST_UNITS:
        raise QueryError(
            f"the example is {len(best)} phones long, and at most {MOST_UNITS} can be searched "
            "for: give a shorter piece"
        )
    fits = [one for one in found if FEWEST_UNITS <= len(one[0]) <= MOST_UNITS][:WAYS]
    if not fits:
        raise QueryError("no speech was heard in the example, or hardly a sound of it")
    top = fits[0][1]
    return [
        Pronunciation(tuple(units[at] for at in way), (0,), rank, log_p - top, (False,))
        for rank, (way, log_p) in enumerate(fits)
    ]


def said_in(
    snapshot: Snapshot, recording: Recording, span: Span, channel: int | None
) -> npt.NDArray[np.float32]:
    """Log-posteriors (frames, units) of a span of a recording.

    Without a `channel`, those of the one that is spoken on. Raises QueryError for more than a long
    phrase, UsageError for a recording that is gone.
    """
    if span.duration > LONGEST_SECONDS:
        raise QueryError(f"an example is {LONGEST_SECONDS:g} seconds long at most")
    network = snapshot.manifest.network
    first = int(span.start / network.frame_seconds)
    last = max(round(span.end / network.frame_seconds), 1)
    pieces = [
        heard.costs(first, last)
        for entry, heard in zip(snapshot.tracks, snapshot.heard, strict=True)
        if entry.recording == recording.id and channel in (None, entry.channel)
    ]
    if not pieces:
        raise UsageError(f"the recording '{recording.title}' has just been removed")
    return log_posteriors(max(pieces, key=lambda piece: int((piece[:, network.blank] > 0).sum())))


def heard_in(path: Path, network: Listener) -> npt.NDArray[np.float32]:
    """Log-posteriors (frames, units) of an audio file.

    Raises QueryError for more than a long phrase, MediaError for what cannot be listened to.
    """
    from earshot import media  # loads FFmpeg

    if (media.probe(path).duration or 0.0) > LONGEST_SECONDS:
        raise QueryError(f"{path}: an example is {LONGEST_SECONDS:g} seconds long at most")
    blocks = media.blocks(path, channels="mix", sample_rate=network.sample_rate)
    mono = (block[0] for block in islice(blocks, 1))  # a block is 30 seconds
    pieces = list(network.listen(mono))
    return np.concatenate(pieces) if pieces else np.zeros((0, len(network.units)), np.float32)
