"""What was said around a mention: spelled roughly, the words sought as they were typed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import BLANK, UNITS, said_at, say, tone_library, write_wav

from earshot.lanes import Track, laid
from earshot.library import Library
from earshot.network import SHIPPED
from earshot.snippets import AROUND_SECONDS, Writer
from earshot.types import Mention, Snippet

TEXT = "monday contract harbour invoice lantern monday contract invoice"
LONG = " ".join(["contract lantern"] * 12)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("talks")
    with tone_library(folder / "library") as opened:
        opened.add([write_wav(folder / "talk.wav", say(TEXT))])
        opened.add([write_wav(folder / "long.wav", say(f"{LONG} harbour {LONG} invoice {LONG}"))])
        yield opened


def best(library: Library, query: str, title: str) -> Mention:
    result = library.search(query, None, snippets=True)
    [one, *_] = [mention for mention in result.mentions if mention.title == title]
    return one


def told(mention: Mention) -> Snippet:
    assert mention.snippet is not None
    return mention.snippet


def test_words_around_are_spelled_and_the_sought_are_as_typed(library: Library) -> None:
    snippet = told(best(library, "InVoice", "talk"))
    start, end = snippet.sought[0]
    assert snippet.text[start:end] == "InVoice"
    # The ear of these tests is as little sure as ears are: it may hear a word too many.
    assert snippet.text.startswith("~ Monday contract") and "harb" in snippet.text[:start]
    assert snippet.text[end:].split()[:1] + snippet.text.split()[-1:] != ["…", "…"]
    assert "lantern" in snippet.text[end:] and "Monday contract" in snippet.text[end:]
    assert "…" not in snippet.text[:start]  # the recording begins here


def test_what_is_cut_off_says_so_and_is_no_longer_than_a_line(library: Library) -> None:
    snippet = told(best(library, "harbour", "long"))
    before, after = snippet.text.split(" harbour ")
    assert before.startswith("~ … ") and after.endswith(" …")
    words = [word for word in before.split() + after.split() if word in ("contract", "lantern")]
    assert len(words) >= 3
    a_word = len(say(LONG)) / 16000 / 24
    assert len(words) <= 2 * AROUND_SECONDS / a_word + 2


def test_phrases_that_are_near_stand_with_what_is_between(library: Library) -> None:
    snippet = told(best(library, "harbour NEAR/9 lantern", "talk"))
    assert [snippet.text[a:b] for a, b in snippet.sought] == ["harbour", "lantern"]
    assert "invoice" in snippet.text[snippet.sought[0][1] : snippet.sought[1][0]]
    far = told(best(library, "harbour NEAR/60 invoice", "long"))
    assert far.text.count("…") == 4  # both ends of what is between are shown


def test_nothing_is_spelled_unless_asked_for(library: Library) -> None:
    assert all(mention.snippet is None for mention in library.search("harbour").mentions)
    result = library.search("harbour", by_recording=True, snippets=True)
    assert all(mention.snippet for group in result.groups for mention in group.mentions)


def test_an_example_is_spelled_too(library: Library) -> None:
    [mention] = [m for m in library.search("harbour", None).mentions if m.title == "talk"]
    like = library.search_like(mention, snippets=True)
    [same] = [one for one in like.mentions if one.title == "talk"]
    snippet = told(same)
    assert "like" not in snippet.text
    [(start, end)] = snippet.sought
    assert snippet.text[start:end].lower().startswith("harb")
    assert abs(same.start - said_at(TEXT, "harbour")) < 0.2


def letters(text: str, units: str) -> tuple[Track, ...]:
    """Activations that hear each letter of a text, and nothing between."""
    costs = np.full((2 * len(text), len(units)), 80, np.uint8)
    for at, letter in enumerate(text):
        costs[2 * at, units.index(letter)] = costs[2 * at + 1, 0] = 0
    return laid([costs])


def test_a_network_of_letters_is_spelled_by_its_letters(tmp_path: Path) -> None:
    units = "_|ABCEHORT"
    writer = Writer.open(tmp_path, tuple(units), 0, 0.04)
    assert writer.language is None
    [track] = letters("HE|ACTED|AT".replace("D", "R"), units)
    assert writer.words(track, 0, track.frames) == [("he acter at", 0, track.frames - 1)]


def test_a_network_of_other_phones_is_spelled_in_them(tmp_path: Path) -> None:
    writer = Writer.open(tmp_path, ("<blank>", "aː", "tʃ", "ʊ"), 0, 0.04)
    costs = np.full((3, 4), 80, np.uint8)
    costs[0, 2] = costs[1, 1] = costs[2, 3] = 0
    [track] = laid([costs])
    assert writer.words(track, 0, 3) == [("tʃ aː ʊ", 0, 2)]
    assert writer.words(track, 2, 2) == []


def test_the_words_of_a_phrase_are_looked_up_as_they_are_typed() -> None:
    writer = Writer.open(SHIPPED, UNITS, BLANK, 0.04)
    assert writer.language is not None
    lines = writer.lines("Don’t “Xyzzy” London, please!")
    assert [line >= 0 for line in lines] == [True, False, True, True]
    assert writer.language.word(lines[2]) == "London"
