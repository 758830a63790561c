"""Text of a query to pronunciations, in whatever units and language a network has.

`network.json` says in `speller` how its texts are read:

    {"reading": "english", "joined": {"AA R": "AA+R"}}
        English in phones: `earshot.units`; `joined` are two phones that one unit stands for
    {"reading": "plain", "delimiter": "|", "case": "upper", "numbers": "english"}
        any language: words are looked up in the folder's lexicon.txt, pronounced by its
        letters.safetensors, or written in units that are letters; each where it is there.
        `delimiter` is the unit between words, `case` that of the letters ("upper", "lower" or
        null), `numbers` who reads figures and abbreviations ("english" or null: nobody)

Without `speller`, English is read where the units are English phones and there is a lexicon. Knows
nothing of audio or of search.
"""

from __future__ import annotations

import difflib
import heapq
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

from earshot.errors import NetworkError, QueryError
from earshot.letters import Letters
from earshot.lexicon import Lexicon, Phones
from earshot.network import read_description, usual_head
from earshot.spoken import RANK_COST, spoken
from earshot.units import (
    FEWEST_UNITS,
    LETTERS_LIMIT,
    LONGEST_QUERY,
    MOST_UNITS,
    PHONES,
    REMEMBERED_WORDS,
    Pronunciation,
    Speller,
)

CASES = ("upper", "lower", None)
DELIMITERS = ("|", " ", "▁")
"""Units that stand between words where network.json does not say which does."""

_DIRECT = re.compile(r"(?<!\S)/([^/]*)/(?!\S)")
_JOINTS = re.compile(r"[-\u2010-\u2015/_.,:;\u2026]+")


class AnySpeller(Protocol):
    """What a search needs of a speller."""

    def pronunciations(self, text: str, limit: int = 8) -> Sequence[Pronunciation]:
        """Pronunciations of `text`, best first; QueryError where there are none."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What network.json says in `speller`."""

    english: bool
    joined: Mapping[str, str]
    delimiter: str | None
    case: str | None
    numbers: str | None


def open_speller(folder: Path) -> AnySpeller:
    """The speller of the network in `folder`; NetworkError where a file is missing or damaged."""
    path = folder / "network.json"
    metadata = read_description(folder)
    try:
        head = metadata["heads"][usual_head(metadata)]
        units = list(head["units"])
        del units[head["blank"]]
        if not units or not all(isinstance(unit, str) for unit in units):
            raise ValueError("its units are not a list of names")
        reading = _reading(metadata.get("speller"), units, folder)
    except (LookupError, TypeError, ValueError) as error:
        raise NetworkError(
            f"{path}: what it says of units and speller is damaged ({type(error).__name__}: "
            f"{error})"
        ) from None
    if reading.english:
        return Speller.open(folder, units, reading.joined)
    return PlainSpeller(folder, units, reading)


def _reading(said: Any, units: Sequence[str], folder: Path) -> Reading:
    """How a network's texts are read; ValueError for what no speller is."""
    if said is None:
        english = (folder / "lexicon.txt").exists() and set(units) <= set(PHONES)
        delimiter = next((one for one in DELIMITERS if one in units), None)
        return Reading(english, {}, delimiter, case_of(units), None)
    if not isinstance(said, dict) or said.get("reading") not in ("english", "plain"):
        raise ValueError(f"speller is {said!r}, expected a reading, 'english' or 'plain'")
    joined = said.get("joined") or {}
    if not isinstance(joined, dict):
        raise ValueError(f"joined is {joined!r}, expected an object")
    reading = Reading(
        said["reading"] == "english",
        {str(phones): str(unit) for phones, unit in joined.items()},
        said.get("delimiter"),
        said.get("case"),
        said.get("numbers"),
    )
    if reading.delimiter is not None and reading.delimiter not in units:
        raise ValueError(f"the delimiter {reading.delimiter!r} is no unit")
    if reading.case not in CASES or reading.numbers not in ("english", None):
        raise ValueError(f"speller has case {reading.case!r} and numbers {reading.numbers!r}")
    return reading


def case_of(units: Sequence[str]) -> str | None:
    """The case that letters have among the units; None where both are there, or none has any."""
    letters = "".join(unit for unit in units if len(unit) == 1)
    upper, lower = letters != letters.lower(), letters != letters.upper()
    return None if upper == lower else "upper" if upper else "lower"


class PlainSpeller:
    """Pronounces texts of any language by a lexicon, a letters network or the letters themselves.

    `folder` may hold lexicon.txt and letters.safetensors; units that are letters need neither.
    """

    def __init__(self, folder: Path, units: Sequence[str], reading: Reading) -> None:
        self._folder = folder
        self._units = frozenset(units)
        self._reading = reading
        self._written = {
            unit for unit in units if not is_special(unit) and unit != reading.delimiter
        }
        self._longest = max((len(unit) for unit in self._written), default=1)
        self._sounds = lru_cache(REMEMBERED_WORDS)(self._look_up)

    def pronunciations(self, text: str, limit: int = 8) -> list[Pronunciation]:
        """Up to `limit` pronunciations of a query, best first, no two with the same units.

        Raises `QueryError` for a text that is empty, too long or too short, or has what no unit
        of the network stands for.
        """
        if len(text) > LONGEST_QUERY:
            raise QueryError(
                f"The query has {len(text)} characters, and at most {LONGEST_QUERY} can be "
                "searched for: give a shorter phrase."
            )
        found: dict[Phones, Pronunciation] = {}
        for words, log_probability in self._readings(text):
            for one in self._of_words(words, log_probability, max(1, limit)):
                known = found.get(one.units)
                if known is None or one.log_probability > known.log_probability:
                    found[one.units] = one
        ranked = heapq.nlargest(limit, found.values(), key=lambda one: one.log_probability)
        fits = [one for one in ranked if FEWEST_UNITS <= len(one.units) <= MOST_UNITS]
        if not fits:
            long = len(ranked[0].units) > MOST_UNITS
            size = f"{len(ranked[0].units)} units long" if long else "a single unit long"
            why = (
                f"at most {MOST_UNITS} can be searched for: give a shorter phrase"
                if long
                else "which is found everywhere: give a longer word or phrase"
            )
            raise QueryError(f"The query {text.strip()[:40]!r} is {size}, {why}.")
        return [
            Pronunciation(one.units, one.words, rank, one.log_probability, one.spelled)
            for rank, one in enumerate(fits)
        ]

    def phones(self, text: str) -> Phones:
        """The units of a text of any length, such as a clip's transcript, word by word."""
        words, log_probability = next(self._readings(text))
        return next(self._of_words(words, log_probability, 1)).units

    def _readings(self, text: str) -> Iterator[tuple[list[str], float]]:
        """The words that may be said for a text, best first."""
        parts = _DIRECT.split(unicodedata.normalize("NFC", text))
        if self._reading.numbers == "english" and len(parts) == 1:
            for one in spoken(text, lambda word: True):
                yield [word.rstrip(".") for word in one.words], one.log_probability
            return
        words: list[str] = []
        for at, part in enumerate(parts):
            words += [f"/{part}/"] if at % 2 else self._split(part)
        if not words:
            raise QueryError("The query is empty: give at least one word.")
        yield words, 0.0

    def _split(self, text: str) -> Iterator[str]:
        """The words of a text; those with hyphens are one where the lexicon holds them so."""
        for token in text.split():
            inner = [at for at, one in enumerate(token) if unicodedata.category(one)[0] in "LN"]
            if not inner:
                continue
            end = inner[-1] + 1
            while end < len(token) and unicodedata.category(token[end])[0] == "M":
                end += 1  # vowel signs of many scripts follow their letter
            word = token[inner[0] : end]
            known = self._lexicon is not None and word.lower() in self._lexicon
            yield from [word] if known else filter(None, _JOINTS.split(word))

    def _of_words(
        self, words: Sequence[str], log_probability: float, limit: int
    ) -> Iterator[Pronunciation]:
        """The best pronunciations of words, with the delimiter between them and without."""
        best: list[tuple[float, tuple[tuple[Phones, bool], ...]]] = [(log_probability, ())]
        for word in words:
            longer = [
                (so_far + added, (*said, (units, spelled)))
                for so_far, said in best
                for units, added, spelled in self._sounds(word)
            ]
            best = heapq.nlargest(limit, longer, key=lambda one: one[0])
        delimiter = self._reading.delimiter
        between = [(delimiter,), ()] if delimiter and len(words) > 1 else [()]
        for rank, gap in enumerate(between):
            for sure, said in best:
                units: Phones = ()
                starts = []
                for sounds, _ in said:
                    units += gap if units else ()
                    starts.append(len(units))
                    units += sounds
                spelled = tuple(one for _, one in said)
                yield Pronunciation(units, tuple(starts), 0, sure - rank * RANK_COST, spelled)

    def _look_up(self, word: str) -> tuple[tuple[Phones, float, bool], ...]:
        """How a word may sound, best first: units, log-probability, whether from its letters."""
        if word.startswith("/"):
            return ((self._direct(word.strip("/")), 0.0, False),)
        lower = word.lower()
        if self._lexicon and (entries := self._lexicon.pronunciations(lower)):
            self._check(entries, self._lexicon.path)
            return tuple((one, -rank * RANK_COST, False) for rank, one in enumerate(entries))
        if self._letters:
            self._check([self._letters.units], self._letters_path, self._letters.blank)
            heard = self._letters.pronunciations(lower, LETTERS_LIMIT)
            if heard:
                return tuple((one.phones, one.log_probability, True) for one in heard)
        return ((self._spelled(word), 0.0, bool(self._lexicon)),)

    def _spelled(self, word: str) -> Phones:
        """A word in units that are its letters, the longest that fits first."""
        case = self._reading.case
        text = word.upper() if case == "upper" else word.lower() if case == "lower" else word
        units: list[str] = []
        at = 0
        while at < len(text):
            sizes = range(self._longest, 0, -1)
            pieces = (text[at : at + size] for size in sizes)
            unit = next((piece for piece in pieces if piece in self._written), "")
            if unit or not text[at].isalnum():  # a mark that the network does not hear
                units += [unit] if unit else []
            else:
                units.append(self._nearest(text[at], word))
            at += len(unit) or 1
        if not units:
            raise QueryError(f"The query has {word!r}, which no unit of the network stands for.")
        return tuple(units)

    def _nearest(self, letter: str, word: str) -> str:
        """The unit for a letter that is none: in the other case, or without its accent."""
        bare = unicodedata.normalize("NFD", letter)[0]
        for other in (letter.lower(), letter.upper(), bare, bare.lower(), bare.upper()):
            if other in self._written:
                return other
        what = "digit" if letter.isdigit() else "letter"
        where = (
            f"the lexicon of the network has no word {word!r} and it"
            if self._lexicon
            else "the network"
        )
        help_ = "write numbers as words" if letter.isdigit() else "write it otherwise"
        raise QueryError(
            f"The query has the {what} {letter!r}, and {where} has no unit for it: {help_}, or "
            "give units between slashes."
        )

    def _direct(self, written: str) -> Phones:
        """The units between two slashes, checked."""
        units = tuple(written.split())
        if not units:
            raise QueryError("There are no units between the slashes: write them as in /a b/.")
        for unit in units:
            if unit not in self._units:
                valid = sorted(self._written)
                near = difflib.get_close_matches(unit, valid, n=3, cutoff=0.4)
                nearest = f"nearest to it are {', '.join(near)} of " if near else ""
                raise QueryError(
                    f"{unit!r} between slashes is no unit of this network ({nearest}"
                    f"{' '.join(valid)})."
                )
        return units

    @cached_property
    def _lexicon(self) -> Lexicon | None:
        path = self._folder / "lexicon.txt"
        return Lexicon.open(path) if path.exists() else None

    @property
    def _letters_path(self) -> Path:
        return self._folder / "letters.safetensors"

    @cached_property
    def _letters(self) -> Letters | None:
        return Letters.open(self._letters_path) if self._letters_path.exists() else None

    def _check(self, entries: Sequence[Phones], source: Path, blank: int | None = None) -> None:
        """Raises `NetworkError` where a pronunciation has what is no unit of the network."""
        for units in entries:
            for at, unit in enumerate(units):
                if unit not in self._units and at != blank:
                    raise NetworkError(
                        f"{source}: it has {unit!r}, which is no unit of the network in "
                        f"{self._folder}"
                    )


def is_special(unit: str) -> bool:
    """Whether a unit is a sign for the model rather than something that is said: <s>, [UNK]."""
    return len(unit) > 1 and (unit[0] + unit[-1]) in ("<>", "[]")
