"""Candidate phrases: heard in the recordings themselves, or taken from a user's texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import BLANK, UNITS, speller
from spoken_library import calls, spoken, spoken_library

from earshot.errors import QueryError
from earshot.lanes import laid
from earshot.language import Language
from earshot.network import SHIPPED
from earshot.topics.candidates import (
    Candidate,
    Heard,
    distinct,
    given,
    guessed,
    keys,
    of_library,
    of_text,
)


def test_what_is_guessed_is_what_was_said() -> None:
    costs = spoken("invoice harbour", np.random.default_rng(0), 0.0)
    assert [UNITS[at] for at in guessed(costs, BLANK)] == [
        "IH",
        "N",
        "V",
        "OY",
        "S",
        "HH",
        "AA",
        "R",
        "B",
        "ER",
    ]
    assert len(guessed(costs[:0], BLANK)) == 0


def test_keys_tell_sequences_apart() -> None:
    said = np.random.default_rng(0).integers(0, 39, 500).astype(np.uint8)
    for length in (1, 4, 10):
        runs = [tuple(said[at : at + length].tolist()) for at in range(len(said) - length + 1)]
        found = keys(said, length).tolist()
        assert len(found) == len(runs)
        assert len(dict(zip(runs, found, strict=True))) == len(set(found)) == len(set(runs))
    assert len(keys(said[:3], 4)) == 0


def test_words_of_the_lexicon_and_unknown_terms_are_heard(tmp_path: Path) -> None:
    term = "/Z-UW-K-AH-M-OY-D/"
    talks, _ = calls(40)
    for number in range(0, 40, 4):
        talks[f"call {number}"][0] += f" {term}"
    with spoken_library(tmp_path, talks) as library:
        field = library.field()
        tracks = [(one.recording, one.heard) for one in field.tracks.tracks]
    heard = Heard(tracks, UNITS, BLANK)
    language = Language.open(SHIPPED, UNITS)
    found = of_library(heard, language)
    words = {one.text for one in found if one.origin == "word"}
    assert {"invoice", "lantern", "contract"} <= words
    sounds = [" ".join(one.ways[0].units) for one in found if one.origin == "sounds"]
    assert any("Z UW K AH M OY" in one or "UW K AH M OY D" in one for one in sounds)
    without = of_library(heard, None)
    assert without and all(one.origin == "sounds" for one in without)


def test_a_sequence_of_one_recording_is_none() -> None:
    random = np.random.default_rng(0)
    texts = ["invoice", "harbour", "contract invoice"]
    tracks = [(str(n), laid([spoken(text, random, 0.0)])[0]) for n, text in enumerate(texts)]
    found, counts = Heard(tracks, UNITS, BLANK).shared(5)
    assert counts.max() == 2
    assert (
        int(keys(np.array([UNITS.index(u) for u in ["IH", "N", "V", "OY", "S"]]), 5)[0])
        in found[counts == 2]
    )


class Spell:
    """The real speller, as a library offers it."""

    def pronunciations(self, phrase: str) -> list[object]:
        return list(speller().pronunciations(phrase))


def test_texts_give_their_words_and_phrases() -> None:
    text = "Cancel my contract! I'd like to cancel my contract, please; 契約 §§ a"
    found = of_text(text, Spell())  # type: ignore[arg-type]
    texts = [one.text for one in found]
    assert {"cancel", "contract", "cancel my contract", "please", "my contract"} <= set(texts)
    assert texts.index("cancel my contract") < texts.index("please")  # said twice
    assert not {"a", "契約", "i'd"} & set(texts)
    assert of_text("", Spell()) == []  # type: ignore[arg-type]


def test_the_users_own_phrases_must_be_searchable() -> None:
    found = given(["verify", "/K AE T/", "verify"], Spell())  # type: ignore[arg-type]
    assert [one.text for one in found] == ["verify", "/K AE T/"]
    with pytest.raises(QueryError):
        given(["§§"], Spell())  # type: ignore[arg-type]


def test_what_sounds_alike_is_one() -> None:
    ways = tuple(speller().pronunciations("their"))
    both = [Candidate("their", ways, "word"), Candidate("there", ways, "given")]
    assert distinct(both) == both[:1]
