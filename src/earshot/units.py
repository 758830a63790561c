"""Text of a query to pronunciations in a network's units, best first.

What may be said for the text comes from `spoken`, how a word sounds from `lexicon` (with the
endings -s, -'s, -ed and -ing added by rule) and, for words that no dictionary holds, from
`letters`. Phones between slashes, as in /K ER/, are taken as they are. It knows nothing of audio
or of how pronunciations are searched for, and loads neither the acoustic network nor, before it
meets an unknown word, the one for letters.
"""

from __future__ import annotations

import difflib
import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from earshot.errors import NetworkError, QueryError
from earshot.letters import Letters
from earshot.lexicon import Lexicon, Phones
from earshot.spoken import RANK_COST, Spoken, spoken

Ending = Callable[[Phones], Phones]

# The phones of the CMU dictionary without stress: the units of a network before it is trained.
# fmt: off
PHONES: Phones = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH",
    "IH", "IY", "JH", "K", "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH",
    "UW", "V", "W", "Y", "Z", "ZH",
)
# fmt: on

LONGEST_QUERY = 200  # characters
_WAYS = 8  # pronunciations of a query, if no other number is asked for
MOST_UNITS = 60  # about five seconds of speech; longer queries are hardly said twice alike
FEWEST_UNITS = 2  # one phone is found everywhere
SPOKEN_LIMIT = 4  # readings of the text that are tried
LETTERS_LIMIT = 3  # pronunciations of a word that no dictionary holds
REMEMBERED_WORDS = 50_000

_SIBILANTS = frozenset({"S", "Z", "SH", "ZH", "CH", "JH"})
_VOICELESS = frozenset({"P", "T", "K", "F", "TH", *_SIBILANTS - {"Z", "ZH", "JH"}})
# "bus" is no plural; shorter stems are hardly ever inflected words.
_SHORTEST_STEM = 3
_DIRECT = re.compile(r"(?<!\S)/([^/]*)/(?!\S)")


@dataclass(frozen=True, slots=True)
class Pronunciation:
    """A sequence of units that may sound like a query.

    `words` holds the index in `units` at which each word starts, `spelled` tells for each word
    whether it was pronounced from its letters rather than from a dictionary, `rank` counts from
    0, best first. `log_probability` compares a query's pronunciations with each other: 0 is the
    usual reading in the dictionary's first pronunciations, each step to a later alternative costs
    log 2 (`RANK_COST`), and a word from letters what the letters network finds.
    """

    units: Phones
    words: tuple[int, ...]
    rank: int
    log_probability: float
    spelled: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class _Sound:
    """One way a word may sound."""

    phones: Phones
    log_probability: float
    spelled: bool


@dataclass(frozen=True, slots=True)
class _Partial:
    """The pronunciation of the first words of a reading."""

    units: Phones
    words: tuple[int, ...]
    log_probability: float
    spelled: tuple[bool, ...]

    def then(self, sound: _Sound) -> _Partial:
        return _Partial(
            self.units + sound.phones,
            (*self.words, len(self.units)),
            self.log_probability + sound.log_probability,
            (*self.spelled, sound.spelled),
        )


class Speller:
    """Pronounces texts for one network; build it with `Speller.open`."""

    def __init__(
        self,
        folder: Path,
        units: Sequence[str],
        lexicon: Lexicon,
        joined: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._units = frozenset(units)
        self.lexicon = lexicon
        self._joined = {tuple(phones.split()): unit for phones, unit in (joined or {}).items()}
        self._sounds = lru_cache(REMEMBERED_WORDS)(self._look_up)

    @classmethod
    def open(
        cls,
        folder: Path,
        units: Sequence[str] | None = None,
        joined: Mapping[str, str] | None = None,
    ) -> Speller:
        """A speller for the network in `folder`, which holds network.json and lexicon.txt.

        `units` names the units where there is no network yet, as when its training data is
        prepared (then `PHONES`). `joined` maps phones that follow each other in a word ("AA R")
        to the one unit that a network has for them. Raises `NetworkError` if a file is missing or
        damaged.
        """
        if units is None:
            units = _units_of(folder / "network.json")
        return cls(folder, units, Lexicon.open(folder / "lexicon.txt"), joined)

    def pronunciations(self, text: str, limit: int = _WAYS) -> list[Pronunciation]:
        """Up to `limit` pronunciations of a query, best first, no two with the same units.

        Each reading of the text is there with its best pronunciation before any has a second.
        Raises `QueryError` for a text that is empty, only symbols, one letter, longer than
        `LONGEST_QUERY` characters or `MOST_UNITS` phones, in other than Latin letters, or with
        an unknown phone between slashes.
        """
        if len(text) > LONGEST_QUERY:
            raise QueryError(
                f"The query has {len(text)} characters, and at most {LONGEST_QUERY} can be "
                "searched for: give a shorter phrase."
            )
        if (
            len(re.findall(r"\w", text)) == 1
            and not _DIRECT.search(text)
            and text.strip().isalpha()
        ):
            raise QueryError(
                f"The query {text.strip()!r} is a single letter, which is found everywhere: give "
                "at least one word."
            )
        # The likeliest may be too long to search for where a rarer reading is not.
        found = self._ranked(text, max(_WAYS, limit))
        fits = [one for one in found if FEWEST_UNITS <= len(one.units) <= MOST_UNITS]
        if not fits and len(found[0].units) < FEWEST_UNITS:
            raise QueryError(
                f"The query {text.strip()!r} is a single phone long, which is found everywhere: "
                "give a longer word or phrase."
            )
        if not fits:
            raise QueryError(
                f"The query is {len(found[0].units)} phones long, and at most {MOST_UNITS} can be "
                "searched for: give a shorter phrase."
            )
        return [
            Pronunciation(one.units, one.words, rank, one.log_probability, one.spelled)
            for rank, one in enumerate(fits[: max(1, limit)])
        ]

    def transcript(self, text: str) -> Pronunciation:
        """The most probable pronunciation of a text of any length, such as a clip's transcript.

        Raises `QueryError` for a text with nothing to say or in other than Latin letters.
        """
        best = self._ranked(text, 1)[0]
        return Pronunciation(best.units, best.words, 0, best.log_probability, best.spelled)

    def phones(self, text: str) -> Phones:
        """The units of `transcript`."""
        return self.transcript(text).units

    def _ranked(self, text: str, limit: int) -> list[_Partial]:
        """The best pronunciations of a text; at least one."""
        by_reading = [
            self._of_reading(reading, limit) for reading in self._readings(text, SPOKEN_LIMIT)
        ]
        first = [ways[0] for ways in by_reading if ways]
        others = [way for ways in by_reading for way in ways[1:]]
        if not first:
            raise QueryError(
                f"No pronunciation was found for {text.strip()!r}: write it otherwise."
            )
        chosen: dict[Phones, _Partial] = {}
        for way in (*_best(first, limit), *_best(others, limit)):
            known = chosen.get(way.units)
            if known is None and len(chosen) == limit:
                continue
            if known is None or way.log_probability > known.log_probability:
                chosen[way.units] = way
        return _best(chosen.values(), limit)

    def _readings(self, text: str, limit: int) -> list[Spoken]:
        """What may be said for the text; phones between slashes are words of their own."""
        best = [Spoken((), 0.0)]
        parts = _DIRECT.split(text)
        for at, part in enumerate(parts):
            if at % 2:
                spoken_part = [Spoken((f"/{self._direct(part)}/",), 0.0)]
            elif len(parts) == 1 or re.search(r"\w", part):
                spoken_part = spoken(part, self._known, limit)
            else:
                continue
            longer = [
                Spoken(one.words + more.words, one.log_probability + more.log_probability)
                for one in best
                for more in spoken_part
            ]
            best = heapq.nlargest(limit, longer, key=lambda one: one.log_probability)
        return best

    def _direct(self, written: str) -> str:
        """The phones between two slashes, checked; stress digits are dropped."""
        phones = [phone.upper().rstrip("012") for phone in written.split()]
        if not phones:
            raise QueryError("There are no phones between the slashes: write them as in /K ER/.")
        for phone in phones:
            if phone not in self._units:
                valid = sorted(self._units)
                near = difflib.get_close_matches(phone, valid, n=3, cutoff=0.4)
                nearest = f"nearest to it are {', '.join(near)} of " if near else ""
                raise QueryError(
                    f"{phone!r} between slashes is no phone this network knows ({nearest}"
                    f"{' '.join(valid)})."
                )
        return " ".join(phones)

    def _of_reading(self, reading: Spoken, limit: int) -> list[_Partial]:
        """The best pronunciations of one reading, best first, no two with the same units."""
        partials = [_Partial((), (), reading.log_probability, ())]
        for word in reading.words:
            longer: dict[Phones, _Partial] = {}
            for partial in partials:
                for sound in self._sounds(word):
                    way = partial.then(sound)
                    same = longer.get(way.units)
                    if same is None or way.log_probability > same.log_probability:
                        longer[way.units] = way
            # What follows adds the same to all: what is not among the best now never will be.
            partials = _best(longer.values(), limit)
        return partials

    def _known(self, word: str) -> bool:
        return bool(self._dictionary(word))

    def _look_up(self, word: str) -> tuple[_Sound, ...]:
        """How a spoken word may sound, best first."""
        if word.startswith("/"):
            return (_Sound(tuple(word.strip("/").split()), 0.0, False),)
        if entries := self._dictionary(word):
            self._check(entries, self.lexicon.path)
            return tuple(
                _Sound(phones, added - rank * RANK_COST, False)
                for rank, entry in enumerate(entries)
                for phones, added in self._joins(entry)
            )
        # 's is a matter of rule even where what it stands behind is not in the dictionary.
        stem, add = next(contractions(word), (word, tuple))
        heard = self._letters.pronunciations(stem, LETTERS_LIMIT)
        return tuple(
            _Sound(phones, added + one.log_probability, True)
            for one in heard
            for phones, added in self._joins(add(one.phones))
        )

    def _joins(self, phones: Phones) -> Iterator[tuple[Phones, float]]:
        """The phones of a word, first with those made one that the network may hear as one."""
        made: list[str] = []
        at = 0
        while self._joined and at < len(phones):
            unit = self._joined.get(phones[at : at + 2])
            made.append(unit or phones[at])
            at += 2 if unit else 1
        if made and len(made) < len(phones):
            yield tuple(made), 0.0
            yield phones, -RANK_COST
        else:
            yield phones, 0.0

    def _dictionary(self, word: str) -> list[Phones]:
        """The lexicon's pronunciations of a word, or of its stem with the ending added."""
        if found := self.lexicon.pronunciations(word):
            return found
        for stem, add in (*contractions(word), *inflections(word)):
            if found := self.lexicon.pronunciations(stem):
                return [add(phones) for phones in found]
        return []

    @cached_property
    def _letters(self) -> Letters:
        path = self._folder / "letters.safetensors"
        letters = Letters.open(path)
        self._check([letters.units[: letters.blank] + letters.units[letters.blank + 1 :]], path)
        return letters

    def _check(self, entries: Iterable[Phones], source: Path) -> None:
        """Raises `NetworkError` where a pronunciation has what is no unit of the network."""
        for phones in entries:
            for phone in phones:
                if phone not in self._units:
                    raise NetworkError(
                        f"{source}: it has the phone {phone!r}, which is no unit of the network in "
                        f"{self._folder}"
                    )


def with_s(phones: Phones) -> Phones:
    """The plural, possessive or third person: cats, dogs, boxes."""
    if phones[-1] in _SIBILANTS:
        return (*phones, "IH", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def with_ed(phones: Phones) -> Phones:
    """The past: wanted, asked, called."""
    if phones[-1] in ("T", "D"):
        return (*phones, "IH", "D")
    return (*phones, "T" if phones[-1] in _VOICELESS else "D")


def contractions(word: str) -> Iterator[tuple[str, Ending]]:
    """What a word is without 's, 'd, 'll, 've or 're, and how to add that again."""
    stem, apostrophe, rest = word.rpartition("'")
    if apostrophe and stem and rest in _CONTRACTED:
        yield stem, _CONTRACTED[rest]


def inflections(word: str) -> Iterator[tuple[str, Ending]]:
    """The stems that a word with an ending may have, likelier ones first, and how to add it.

    On the words of the CMU dictionary whose stem it holds too, the rules are right for 93 % of
    those in -s, 92 % in -ed and 90 % in -ing.
    """
    for ending, add in (("s", with_s), ("ed", with_ed), ("ing", _with_ing)):
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST_STEM or word.endswith("ss"):
            continue
        if ending == "s":
            candidates = [stem]
            if word.endswith("ies"):
                candidates = [word[:-3] + "y", stem]
            elif word.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
                candidates = [word[:-2], stem]
        else:
            candidates = [stem + "e", stem]
            if stem[-1] == stem[-2]:
                candidates.append(stem[:-1])
            if ending == "ed" and stem.endswith("i"):
                candidates.append(stem[:-1] + "y")
        for candidate in candidates:
            yield candidate, add


def _with_ing(phones: Phones) -> Phones:
    return (*phones, "IH", "NG")


_CONTRACTED: dict[str, Ending] = {
    "s": with_s,
    "d": with_ed,
    "ll": lambda phones: (*phones, "AH", "L"),
    "ve": lambda phones: (*phones, "AH", "V"),
    "re": lambda phones: (*phones, "ER"),
}


def _best(partials: Iterable[_Partial], limit: int) -> list[_Partial]:
    """The most probable ones, best first; among equals the one that came first."""
    return sorted(partials, key=lambda one: -one.log_probability)[:limit]


def _units_of(path: Path) -> list[str]:
    """The units of the network that network.json describes, without the blank."""
    try:
        head = json.loads(path.read_bytes())["heads"]["phones"]
        units, blank = list(head["units"]), head["blank"]
        del units[blank]
    except FileNotFoundError:
        raise NetworkError(
            f"{path}: the description of the network is missing from its folder"
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NetworkError(
            f"{path}: the description of the network is damaged (expected heads.phones.units, a "
            f"list, and heads.phones.blank, an index into it; {type(error).__name__}: {error})"
        ) from None
    if not units or not all(isinstance(unit, str) for unit in units):
        raise NetworkError(f"{path}: heads.phones.units must be a list of names")
    return units
