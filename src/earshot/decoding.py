"""Activations as words: the likeliest words that sound so, by a lexicon and a language model.

A prefix beam search under CTC (Hannun et al., "First-pass large vocabulary continuous speech
recognition using bi-directional recurrent DNNs", 2014), its prefixes kept as places in a tree of
pronunciations: of all that stand at the same place and are followed by the same words, whatever
the model is asked next, the likelier remains and takes the other's probability with it. What comes
out is a guess. This module knows nothing of files, queries or what is done with the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import numpy.typing as npt

from earshot.language import Tables
from earshot.search.native import kernel

Floats = npt.NDArray[np.float32]

_ROOM = 1 << 12  # prefixes of a frame, and more for each of the beam's width
_CURVE = np.log1p(np.exp(-np.arange(16 * 64 + 1) / 64))  # ln(1 + exp(-x)), as `beam` looks it up

# What the model goes by: nothing; the last word (0: where a sentence begins); from PAIRS on a pair.
NOTHING = -1
SENTENCE = 0
PAIRS = 1 << 20

# What comes after the end, where it is not a word that is known: some word, or the rest of one.
WHOLE = -1
CUT = -2


@dataclass(frozen=True, slots=True)
class Beam:
    """How far a decoder looks.

    width   prefixes that survive a frame; span, nats that they may lie behind the best of it
    least   units less probable than this in a frame are not tried there
    model   what a nat of the language model counts, beside one of the ear
    word    added for each word
    blank   taken from the blank in each frame: it swallows sounds that were hardly heard
    """

    width: int = 300
    span: float = 16.0
    least: float = -8.0
    model: float = 1.0
    word: float = -0.7
    blank: float = 1.5


@dataclass(frozen=True, slots=True)
class Word:
    """A word that was decoded: its line of the lexicon, and its first and last frame."""

    line: int
    first: int
    last: int


def decode(
    log_posteriors: Floats,
    blank: int,
    tables: Tables,
    beam: Beam = Beam(),
    *,
    after: int = NOTHING,
    before: int = WHOLE,
) -> list[Word]:
    """The likeliest words of activations (frames, units).

    after: what the model goes by at first, see `follow`. before: the line of the word that comes
    next, or WHOLE; CUT where a word may be cut off by the end, and is then left out.
    """
    heard = np.array(log_posteriors, np.float32, order="C")
    heard[:, blank] -= beam.blank
    settings = np.array((beam.span, beam.least, beam.model, beam.word))
    room = 64 * beam.width + _ROOM
    count = len(heard)
    found = np.empty((count + 1, 2), np.int64)
    size = kernel("decode")(
        heard, blank, *tables, settings, after, before, _CURVE,
        np.full(1 << (2 * room - 1).bit_length(), -1, np.int64),
        np.empty((room, 6), np.int64), np.empty((room, 3)),
        np.empty((beam.width, 6), np.int64), np.empty((beam.width, 3)),
        np.empty(256, np.int64), np.empty((count * beam.width + 1, 3), np.int64), found,
    )  # fmt: skip
    words = []
    first = 0
    for line, last in found[:size][::-1].tolist():
        words.append(Word(line, first, last))
        first = last + 1
    return words


def follow(tables: Tables, lines: list[int]) -> int:
    """What the model goes by after words, by their lines of the lexicon (-1: one it lacks)."""
    state = NOTHING
    for line in lines:
        state = NOTHING if line < 0 else _given(tables, state, int(tables.numbers[line]))[1]
    return state


def spelled(log_posteriors: Floats, blank: int) -> list[int]:
    """The units of activations without any lexicon: the best of each frame, said once."""
    best = log_posteriors.argmax(axis=1).tolist()
    return [unit for unit, _ in groupby(best) if unit != blank]


def _given(tables: Tables, state: int, word: int) -> tuple[float, int]:
    """ln probability of a word after what the model goes by, and what it goes by then."""
    last = int(tables.pair_words[state - PAIRS]) if state >= PAIRS else state
    at = -1
    then = word if word > 0 else NOTHING
    if last >= 0:
        at = _place(tables.pair_words, tables.first_pair, last, word)
        if at >= 0 and tables.first_triple[at] < tables.first_triple[at + 1]:
            then = PAIRS + at
    left = 0.0
    if state >= PAIRS:
        place = _place(tables.triple_words, tables.first_triple, state - PAIRS, word)
        if place >= 0:
            return float(tables.triple[place]), then
        left = float(tables.pair_left[state - PAIRS])
    if at >= 0:
        return left + float(tables.pair[at]), then
    if last >= 0:
        left += float(tables.single_left[last])
    return left + float(tables.single[word]), then


def _place(words: npt.NDArray[np.uint16], first: npt.NDArray[np.int32], of: int, word: int) -> int:
    """Where `word` stands among those that follow `of`, or -1."""
    start, end = int(first[of]), int(first[of + 1])
    at = start + int(np.searchsorted(words[start:end], word))
    return at if at < end and words[at] == word else -1
