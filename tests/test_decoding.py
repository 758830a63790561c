"""Activations as words: the beam against every sequence of words that there is."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st
from test_language import LEXICON, UNITS, opened

from earshot.decoding import CUT, NOTHING, Beam, _given, decode, follow, spelled
from earshot.language import Language

BLANK = len(UNITS) - 1
SOUNDS = ("K", "AE", "N", "AA", "T", "B", "AY", "AH")
WIDE = Beam(width=2000, span=1e6, least=-1e6, model=0.7, word=-0.3, blank=0.4)
Floats = npt.NDArray[np.float32]


def noise(seed: int, frames: int) -> Floats:
    """Activations that could be anything the words of the lexicon are made of."""
    scores = np.full((frames, len(UNITS)), -30.0, np.float32)
    heard = [UNITS.index(unit) for unit in SOUNDS] + [BLANK]
    scores[:, heard] = np.random.default_rng(seed).normal(0.0, 2.0, (frames, len(heard)))
    return scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))


def said(*units: str) -> Floats:
    """Activations in which each unit is heard for a frame, and nothing after it."""
    scores = np.full((2 * len(units), len(UNITS)), -9.0, np.float32)
    for at, unit in enumerate(units):
        scores[2 * at, UNITS.index(unit)] = scores[2 * at + 1, BLANK] = -0.01
    return scores


def by_ctc(log_posteriors: Floats, units: list[int]) -> float:
    """ln of what CTC gives a sequence of units: the sum over all of its alignments, plainly."""
    if not units:
        return float(log_posteriors[:, BLANK].sum())
    states = [BLANK]
    for unit in units:
        states += [unit, BLANK]
    alpha = [float(log_posteriors[0, BLANK]), float(log_posteriors[0, states[1]])]
    alpha += [-np.inf] * (len(states) - 2)
    for frame in log_posteriors[1:]:
        before, alpha = alpha, []
        for at, state in enumerate(states):
            ways = [before[at], before[at - 1] if at else -np.inf]
            if at > 1 and state not in (BLANK, states[at - 2]):
                ways.append(before[at - 2])
            alpha.append(float(np.logaddexp.reduce(ways)) + float(frame[state]))
    return float(np.logaddexp.reduce(alpha[-2:]))


def worth(log_posteriors: Floats, words: tuple[str, ...], end: str, language: Language) -> float:
    """What words are worth before the word `end`, all their ways of being said together."""
    heard = log_posteriors.copy()
    heard[:, BLANK] -= WIDE.blank
    ways = [LEXICON[word].split("|") for word in words]
    sounds = [
        by_ctc(heard, [UNITS.index(unit) for way in chosen for unit in way.split()])
        for chosen in product(*ways)
    ]
    tables = language.tables
    total, state = float(np.logaddexp.reduce(sounds)), NOTHING
    for word in (*words, end):
        likely, state = _given(tables, state, int(tables.numbers[language.line(word)]))
        total += WIDE.model * likely
    return total + WIDE.word * len(words)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.integers(2, 6), st.sampled_from(list(LEXICON)))
def test_hardly_anything_is_likelier_than_what_is_decoded(seed: int, frames: int, end: str) -> None:
    language = opened()
    heard = noise(seed, frames)
    found = decode(heard, BLANK, language.tables, WIDE, before=language.line(end))
    words = tuple(language.word(word.line).lower() for word in found)
    best = max(
        worth(heard, several, end, language)
        for count in range(4)
        for several in product(LEXICON, repeat=count)
    )
    # Prefixes that the model cannot tell apart any more are joined, and the likeliest path of them
    # counts: that loses a little against the sum over each sequence's own paths.
    assert worth(heard, words, end, language) >= best - 1.0


def test_what_was_said_clearly_is_decoded_word_by_word() -> None:
    language = opened()
    heard = said("AE", "N", "K", "AE", "N", "N", "AA", "T")
    found = decode(heard, BLANK, language.tables)
    assert [language.word(word.line) for word in found] == ["Ann", "can", "not"]
    assert [(word.first, word.last) for word in found] == [(0, 2), (3, 8), (9, 14)]
    assert decode(heard[:0], BLANK, language.tables) == []


def test_a_word_that_is_cut_off_is_left_out_unless_it_must_be_whole() -> None:
    language = opened()
    heard = said("K", "AE", "N", "N", "AA")
    [word] = decode(heard, BLANK, language.tables, before=CUT)
    assert language.word(word.line) == "can"
    whole = decode(heard, BLANK, language.tables, WIDE, before=language.line("tab"))
    assert [language.word(word.line) for word in whole] == ["can", "not"]
    assert decode(heard, BLANK, language.tables, WIDE) == whole


def test_a_narrow_beam_gives_words_too() -> None:
    language = opened()
    narrow = decode(noise(1, 60), BLANK, language.tables, Beam(width=2, span=3.0))
    assert all(0 <= word.line < len(LEXICON) for word in narrow)
    assert follow(language.tables, []) == NOTHING


def test_without_a_lexicon_units_are_said_once() -> None:
    heard = said("K", "K", "AE")
    heard = np.repeat(heard, 2, axis=0)
    assert [UNITS[unit] for unit in spelled(heard, BLANK)] == ["K", "K", "AE"]
