"""A piece of sound as a query: sequences that were heard, and the words that sound like them."""

from __future__ import annotations

import numpy as np
import pytest
from test_decoding import BLANK, said
from test_language import LEXICON, UNITS, opened

from earshot.errors import QueryError
from earshot.example import WAYS, in_words, pronunciations
from earshot.units import MOST_UNITS


def test_words_come_before_what_was_heard() -> None:
    """K AE N with a vowel misheard: the word is searched for, and what was heard too."""
    heard = said("K", "EH", "N", "N", "AA", "T")
    heard[2, UNITS.index("AE")] = -1.5
    ways = pronunciations(heard, UNITS, BLANK, opened())
    units = [" ".join(one.units) for one in ways]
    assert "K EH N N AA T" in units and len(set(units)) == len(units)
    whole = {"K AE N N AA T", "K AE N AA T"}
    assert whole & set(units[: units.index("K EH N N AA T")])
    assert [one.rank for one in ways] == list(range(len(ways)))
    plain = pronunciations(heard, UNITS, BLANK)
    assert " ".join(plain[0].units) == "K EH N N AA T" and plain[0].log_probability == 0.0
    assert len(plain) <= WAYS


def test_words_say_where_they_start_and_how_likely_they_are() -> None:
    ways = in_words(said("AE", "N", "K", "AE", "N"), BLANK, opened())
    [best] = [one for one in ways if one.units == ("AE", "N", "K", "AE", "N")]
    assert best.words == (0, 2) and best.spelled == (False, False)
    assert best.log_probability == max(one.log_probability for one in ways) <= 0.0


def test_a_word_sounds_as_the_lexicon_says_first() -> None:
    language = opened()
    assert language.sounds(language.line("can")) == ("K", "AE", "N")
    assert {word: " ".join(language.sounds(language.line(word))) for word in LEXICON} == {
        word: ways.partition("|")[0] for word, ways in LEXICON.items()
    }


def test_too_little_and_too_much_are_refused() -> None:
    silence = np.full((9, len(UNITS)), -20.0, np.float32)
    silence[:, BLANK] = 0.0
    with pytest.raises(QueryError, match="no speech was heard"):
        pronunciations(silence, UNITS, BLANK, opened())
    with pytest.raises(QueryError, match="give a shorter piece"):
        pronunciations(said(*["K", "AE"] * MOST_UNITS), UNITS, BLANK, opened())
