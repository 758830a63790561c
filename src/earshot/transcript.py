"""A recording of a library as a text, as well as the ear can spell it: words with their times.

The stored activations are decoded as snippets are, piece by piece, cut where nobody speaks. It is a
guess, and nothing is ever searched in it. This module knows nothing of queries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from earshot.errors import UsageError
from earshot.index import log_posteriors, open_snapshot, require_network
from earshot.library import Library
from earshot.network import SHIPPED, Network
from earshot.snippets import Writer
from earshot.types import Recording

if TYPE_CHECKING:
    from earshot.lanes import Track

LONGEST_SECONDS = 20.0
"""Of what is decoded at once; it is cut in the longest pause of its second half."""

PARAGRAPH_PAUSE_SECONDS = 1.5
PARAGRAPH_WORDS = 100
"""A paragraph ends at such a pause, or behind so many words at the next shorter one."""


@dataclass(frozen=True, slots=True)
class SpelledWord:
    """A word that was probably said: seconds, channel, and how clearly it was heard (0 to 1)."""

    text: str
    start: float
    end: float
    channel: int
    clarity: float


def transcribed(library: Library, recording: Recording) -> tuple[SpelledWord, ...]:
    """What was said in all channels of a recording, in order of time.

    Takes about a second for four minutes. Raises UsageError for a recording that is gone,
    LibraryError where the library cannot be read.
    """
    network = library.listener()
    snapshot = open_snapshot(library.path)
    require_network(snapshot.manifest, network.fingerprint, library.path)
    folder = network.folder if isinstance(network, Network) else SHIPPED
    writer = _opened(folder, tuple(network.units), network.blank, network.frame_seconds)
    found: list[SpelledWord] = []
    there = False
    for entry, track in zip(snapshot.tracks, snapshot.heard, strict=True):
        if entry.recording == recording.id:
            there = True
            found += _words(track, entry.channel, writer)
    if not there:
        raise UsageError(f"the recording '{recording.title}' has just been removed")
    return tuple(sorted(found, key=lambda word: (word.start, word.channel)))


def paragraphs(words: Sequence[SpelledWord]) -> list[tuple[float, str]]:
    """Words as paragraphs, each with its start in seconds."""
    made: list[list[SpelledWord]] = []
    for word in words:
        pause = word.start - made[-1][-1].end if made else np.inf
        long = bool(made) and len(made[-1]) >= PARAGRAPH_WORDS
        if pause > PARAGRAPH_PAUSE_SECONDS / (4 if long else 1):
            made.append([])
        made[-1].append(word)
    return [(each[0].start, " ".join(word.text for word in each)) for each in made]


def _words(track: Track, channel: int, writer: Writer) -> Iterator[SpelledWord]:
    seconds = writer.frame_seconds
    for first, end in pairwise([0, *_cuts(track, writer)]):
        heard = np.exp(log_posteriors(track.costs(first, end)).max(axis=1))
        for text, begin, last in writer.words(track, first, end):
            clarity = float(heard[begin - first : last - first + 1].mean())
            yield SpelledWord(text, begin * seconds, (last + 1) * seconds, channel, clarity)


def _cuts(track: Track, writer: Writer) -> Iterator[int]:
    """Frames at which pieces end; the last one is the track's end."""
    most = writer.frames(LONGEST_SECONDS)
    first = 0
    while track.frames - first > most:
        middle = first + most // 2
        silent = track.costs(middle, first + most)[:, writer.blank] == 0
        first = middle + _longest_run(silent.tolist())
        yield first
    if track.frames > first:
        yield track.frames


def _longest_run(silent: Sequence[bool]) -> int:
    """The middle of the longest run of silent frames; the end where there is none."""
    best, at, length = (0, len(silent)), 0, 0
    for at, one in enumerate(silent):
        length = length + 1 if one else 0
        best = max(best, (length, at - length // 2), key=lambda run: run[0])
    return best[1]


@lru_cache(maxsize=2)
def _opened(folder: Path, units: tuple[str, ...], blank: int, frame_seconds: float) -> Writer:
    return Writer.open(folder, units, blank, frame_seconds)
