"""Which phrases might tell recordings apart: candidates, found without looking at any label.

Four kinds, each of which a library of any size can afford to search for exhaustively:

- words of the network's lexicon that were heard, sound for sound, in some recordings, and pairs of
  words that often follow each other (its language model), likewise;
- sequences of units that many recordings share, so that terms no dictionary holds count;
- words and short phrases of texts that the user gives;
- the user's own phrases.

"Heard sound for sound" looks at the ear's best guesses alone and misses much; a candidate needs it
in two recordings only, and is then searched for everywhere as any query is. This module knows what
activations and a lexicon are, and nothing of how a phrase is searched for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError
from earshot.language import Language
from earshot.units import Pronunciation

Origin = Literal["word", "sounds", "text", "given"]

WORDS, PAIRS, SEQUENCES = 2400, 600, 600
"""Candidates of each kind at most: those that most recordings share come first."""

TEXT_PHRASES = 1500
"""Words and phrases at most that texts of the user bring."""

WAYS = 3
"""Pronunciations of a candidate that are searched for."""

LEAST_UNITS = 4
"""Shorter candidates are heard inside other words everywhere."""

_IN_RECORDINGS = 2  # a candidate of the library's own is heard in so many
_SEQUENCE_UNITS = (6, 7, 8, 9, 10)
_WORD_UNITS = range(LEAST_UNITS, 13)
_PAIR_UNITS = range(7, 13)
_TOO_COMMON = 0.8  # sequences that more of the recordings share tell nothing apart
_BASE = 64  # a sequence is a number of digits of this base; 64 bits hold ten, longer ones wrap
_TEXT_WORDS = 3
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

Units = npt.NDArray[np.uint8]
Keys = npt.NDArray[np.uint64]


class _Costs(Protocol):
    def costs(self) -> npt.NDArray[np.uint8]:
        """Costs (frames, units)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A phrase that may tell recordings apart, how it may sound, and where it comes from."""

    text: str
    ways: tuple[Pronunciation, ...]
    origin: Origin


class Heard:
    """The ear's best guesses of recordings: by recording, what it heard of each channel."""

    def __init__(self, tracks: Iterable[tuple[str, _Costs]], units: Sequence[str], blank: int):
        self.units = tuple(units)
        self.blank = blank
        self._said: dict[str, list[Units]] = {}
        for recording, track in tracks:
            self._said.setdefault(recording, []).append(guessed(track.costs(), blank))

    def __len__(self) -> int:
        return len(self._said)

    def shared(self, length: int) -> tuple[Keys, npt.NDArray[np.int64]]:
        """Sequences of so many units, as sorted keys, and in how many recordings each was heard."""
        own = [
            np.unique(np.concatenate([keys(said, length) for said in sides]))
            for sides in self._said.values()
        ]
        found, counts = np.unique(
            np.concatenate([np.zeros(0, np.uint64), *own]), return_counts=True
        )
        return found, counts.astype(np.int64)


def guessed(costs: npt.NDArray[np.uint8], blank: int) -> Units:
    """The best unit of each frame (frames, units), repetitions and blanks left out (CTC)."""
    best = costs.argmin(axis=1)
    changed = np.append(True, best[1:] != best[:-1])
    found: Units = best[changed & (best != blank)].astype(np.uint8)
    return found


def keys(said: Units, length: int) -> Keys:
    """The key of each run of so many units."""
    count = max(len(said) - length + 1, 0)
    found = np.zeros(count, np.uint64)
    for at in range(length):
        found = found * np.uint64(_BASE) + said[at : at + count].astype(np.uint64) + np.uint64(1)
    return found


def of_library(heard: Heard, language: Language | None) -> list[Candidate]:
    """Words, pairs of words and sequences that were heard in some recordings, the commonest first.

    Without a language model, or where it is not in the network's units: sequences alone.
    """
    shared = {length: heard.shared(length) for length in {*_WORD_UNITS, *_SEQUENCE_UNITS}}
    words: list[Candidate] = []
    if language is not None:
        words = [
            *_heard(_words(language), shared, heard, WORDS),
            *_heard(_pairs(language), shared, heard, PAIRS),
        ]
    known = {way.units for one in words for way in one.ways}
    return [*words, *_sequences(heard, shared, known)]


def of_text(text: str, spell: Spell) -> list[Candidate]:
    """Words of a text and phrases of up to three, the most frequent first.

    What cannot be searched for, or is too short to be told from other words, is left out.
    """
    counts: Counter[str] = Counter()
    for sentence in re.split(r"[.!?;:\n]+", text):
        words = _WORD.findall(sentence)
        for size in range(1, _TEXT_WORDS + 1):
            counts.update(
                " ".join(words[at : at + size]).lower() for at in range(len(words) - size + 1)
            )
    found: list[Candidate] = []
    for phrase, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        if len(found) == TEXT_PHRASES:
            break
        if " " in phrase and count < 2 and len(counts) > TEXT_PHRASES:
            continue
        if (one := _spelled(phrase, spell, "text")) and len(one.ways[0].units) >= LEAST_UNITS:
            found.append(one)
    return found


def given(phrases: Iterable[str], spell: Spell) -> list[Candidate]:
    """The user's own phrases; raises QueryError for one that cannot be searched for."""
    return [
        Candidate(phrase, tuple(spell.pronunciations(phrase))[:WAYS], "given")
        for phrase in dict.fromkeys(phrases)
    ]


def distinct(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Without those that sound like one before them."""
    seen: set[tuple[str, ...]] = set()
    found = []
    for one in candidates:
        sound = tuple(one.ways[0].units)
        if sound not in seen:
            seen.add(sound)
            found.append(one)
    return found


class Spell(Protocol):
    """What turns a text into pronunciations; a library does."""

    def pronunciations(self, phrase: str) -> Sequence[Pronunciation]:
        """Pronunciations, best first; QueryError for what cannot be searched for."""


_Sounds = Iterator[tuple[str, tuple[str, ...], tuple[int, ...]]]
_Shared = Mapping[int, tuple[Keys, npt.NDArray[np.int64]]]


def _spelled(phrase: str, spell: Spell, origin: Origin) -> Candidate | None:
    try:
        return Candidate(phrase, tuple(spell.pronunciations(phrase))[:WAYS], origin)
    except QueryError:
        return None


def _words(language: Language) -> _Sounds:
    """All words of the lexicon with their sounds; those that the language model knows best first.

    So of words that sound alike the usual one is meant.
    """
    tables = language.tables
    likely = np.where(tables.numbers > 0, tables.single[tables.numbers], -np.inf)
    for line in np.argsort(-likely, kind="stable").tolist():
        units = language.sounds(line)
        if len(units) in _WORD_UNITS:
            yield language.word(line), units, (0,)


def _pairs(language: Language) -> _Sounds:
    """Pairs of words that follow each other more often than by chance, with their sounds."""
    tables = language.tables
    line_of = np.zeros(len(tables.single), np.int64)
    lines = np.flatnonzero(tables.numbers)
    line_of[tables.numbers[lines]] = lines
    first = np.repeat(np.arange(len(tables.first_pair) - 1), np.diff(tables.first_pair))
    drawn = tables.pair - tables.single[tables.pair_words]
    for pair in np.flatnonzero((first > 0) & (tables.pair_words > 0) & (drawn > 2.0)).tolist():
        one, other = int(line_of[first[pair]]), int(line_of[tables.pair_words[pair]])
        units = (*(before := language.sounds(one)), *language.sounds(other))
        if len(units) in _PAIR_UNITS:
            yield f"{language.word(one)} {language.word(other)}", units, (0, len(before))


def _heard(sounds: _Sounds, shared: _Shared, heard: Heard, most: int) -> list[Candidate]:
    """Those that were heard sound for sound in some recordings, the commonest first."""
    number = {unit: at for at, unit in enumerate(heard.units)}
    by_length: dict[int, list[tuple[str, tuple[str, ...], tuple[int, ...]]]] = {}
    for one in sounds:
        by_length.setdefault(len(one[1]), []).append(one)
    found: dict[tuple[str, ...], tuple[int, str, tuple[int, ...]]] = {}
    for length, those in sorted(by_length.items()):
        known, counts = shared[length]
        spelled = np.array([[number[unit] for unit in units] for _, units, _ in those], np.uint8)
        sought = np.zeros(len(those), np.uint64)
        for column in spelled.T:
            sought = sought * np.uint64(_BASE) + column.astype(np.uint64) + np.uint64(1)
        at = np.minimum(np.searchsorted(known, sought), max(len(known) - 1, 0))
        there = known[at] == sought if len(known) else np.zeros(len(those), np.bool_)
        for index in np.flatnonzero(there).tolist():
            text, units, starts = those[index]
            if (count := int(counts[at[index]])) >= _IN_RECORDINGS:
                found.setdefault(units, (count, text, starts))
    order = sorted(found.items(), key=lambda one: (-one[1][0], -len(one[0]), one[1][1]))
    return [
        Candidate(text, (_way(units, starts),), "word") for units, (_, text, starts) in order[:most]
    ]


def _sequences(heard: Heard, shared: _Shared, known: set[tuple[str, ...]]) -> list[Candidate]:
    """Sequences that many recordings share; of those that lie in each other the longer one."""
    least = max(_IN_RECORDINGS + 1, len(heard) // 50)
    most = max(_TOO_COMMON * len(heard), least)
    ranked: list[tuple[int, int, int]] = []
    for length in _SEQUENCE_UNITS:
        found, counts = shared[length]
        (which,) = np.nonzero((counts >= least) & (counts <= most))
        best = which[np.argsort(-counts[which], kind="stable")][: 4 * SEQUENCES]
        ranked += [(int(counts[at]), length, int(found[at])) for at in best.tolist()]
    # Longer ones are rarer and tell more: a sequence counts by how often, and how long, it is.
    ranked.sort(key=lambda one: (-one[0] * one[1] ** 2, one[2]))
    taken: list[str] = [f" {' '.join(units)} " for units in known]
    whole = "\n".join(taken)
    candidates: list[Candidate] = []
    for _, length, key in ranked:
        if len(candidates) == SEQUENCES:
            break
        units = _units_of(key, length, heard.units)
        inner = f" {' '.join(units[1:-1])} "
        if inner in whole:  # all but its edges is there already
            continue
        whole += f"\n {' '.join(units)} "
        candidates.append(Candidate(f"/{' '.join(units)}/", (_way(units, (0,)),), "sounds"))
    return candidates


def _units_of(key: int, length: int, units: Sequence[str]) -> tuple[str, ...]:
    digits = []
    for _ in range(length):
        key, digit = divmod(key - 1, _BASE)
        digits.append(units[digit])
    return tuple(reversed(digits))


def _way(units: tuple[str, ...], starts: tuple[int, ...]) -> Pronunciation:
    return Pronunciation(units, starts, 0, 0.0, (False,) * len(starts))
