"""A piece of sound as a query: what the ear heard in it -> the unit sequences that it may be.

The most probable sequences under CTC, and the words of the lexicon that sound like it, stand for
the lattice of all of them: they are searched for as the pronunciations of a phrase are. The words
matter where somebody else says the same: what is heard of one speaker is seldom exactly what is
heard of another, and what both meant to say lies between. It knows where activations come from, a
file or a library, and nothing of how is searched.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, islice, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError, UsageError
from earshot.index import Snapshot, log_posteriors
from earshot.language import Language
from earshot.letters import prefix_beam_search
from earshot.types import Recording, Span
from earshot.units import FEWEST_UNITS, MOST_UNITS, Pronunciation

if TYPE_CHECKING:
    from earshot.adding import Listener
    from earshot.decoding import Beam

LONGEST_SECONDS = 15.0
"""Of sound that is taken as an example: more than MOST_UNITS are hardly said in less."""

WAYS = 8  # unit sequences that are searched for
_BEHIND_WORDS = 1.5  # nats that what was heard is less likely said again than a word like it
_BEAM = 32
_LEAST = -7.0  # units less probable than this in a frame are not tried there


def pronunciations(
    log_posteriors: npt.NDArray[np.float32],
    units: Sequence[str],
    blank: int,
    language: Language | None = None,
) -> list[Pronunciation]:
    """Sequences of units that may have been said, the most probable first.

    log_posteriors: (frames, units). Without a `language` these are up to WAYS sequences that were
    heard, with probabilities relative to the best, which has 1; with one, words of it come before
    the likeliest of them. Raises QueryError when there is too little speech in it, or too much.
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
    words = in_words(log_posteriors, blank, language) if language is not None else []
    behind = _BEHIND_WORDS if words else 0.0
    ways = [(tuple(units[at] for at in way), log_p - fits[0][1] - behind) for way, log_p in fits]
    known = {one.units for one in words}
    heard = [way for way in ways if way[0] not in known][: WAYS // 2 if words else WAYS]
    return words + [
        Pronunciation(way, (0,), rank, log_p, (False,))
        for rank, (way, log_p) in enumerate(heard, start=len(words))
    ]


def in_words(
    log_posteriors: npt.NDArray[np.float32], blank: int, language: Language
) -> list[Pronunciation]:
    """Up to WAYS words, or several in a row, that may have been said, as they usually sound.

    Beams that trust the ear and the language model differently each find some; what more of them
    find is likelier.
    """
    from earshot.decoding import decode  # LLVM: a search by words needs none of it

    found: Counter[tuple[int, ...]] = Counter()
    for beam in _beams():
        found[tuple(one.line for one in decode(log_posteriors, blank, language.tables, beam))] += 1
    ways: list[Pronunciation] = []
    for lines, times in found.most_common(WAYS):
        said = [language.sounds(line) for line in lines]
        phones = tuple(unit for word in said for unit in word)
        if FEWEST_UNITS <= len(phones) <= MOST_UNITS:
            starts = tuple(accumulate(map(len, said[:-1]), initial=0))
            likely = math.log(times / found.total())
            ways.append(Pronunciation(phones, starts, len(ways), likely, (False,) * len(said)))
    return ways


def _beams() -> Iterator[Beam]:
    from earshot.decoding import Beam  # see `in_words`

    for model, blank, word in product((0.2, 0.5, 1.0), (0.0, 1.5, 3.0), (-1.0, -4.0)):
        yield Beam(width=100, model=model, blank=blank, word=word)


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
