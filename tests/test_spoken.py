"""Written text to spoken words: words, acronyms, abbreviations, symbols, other scripts."""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import QueryError
from earshot.lexicon import Lexicon
from earshot.numerals import Words
from earshot.spoken import combine, spoken

LEXICON = Lexicon.open(Path(__file__).parents[1] / "src/earshot/networks/english/lexicon.txt")
WORD = re.compile(r"[a-z'](?:[a-z'-]*[a-z'])?|[a-z]\.(?:'s)?")


def known(word: str) -> bool:
    return word in LEXICON


def ways(text: str, limit: int = 4) -> list[str]:
    return [" ".join(one.words) for one in spoken(text, known, limit)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # words
        ("Hello, world!", ["hello world"]),
        ("“Bravo!” ‘Quiet’", ["bravo quiet"]),
        ("it’s o'clock", ["it's o'clock"]),
        ("'em 'tis rock 'n' roll", ["'em 'tis rock 'n roll"]),
        ("the dogs' bowls", ["the dogs' bowls"]),
        ("café naïve Œuvre Straße Łódź", ["cafe naive oeuvre strasse lodz"]),
        ("Ｈｅｌｌｏ ﬁne", ["hello fine"]),
        ("well-known much-loved x-ray", ["well-known much loved x-ray"]),
        ("re-elect", ["reelect", "re elect"]),
        ("hello ☃ 😀 world\x00\u200b", ["hello world"]),
        ("I saw a cat", ["i saw a cat"]),
        ("plan b", ["plan b."]),
        ("vitamin A", ["vitamin a.", "vitamin a"]),
        ("blahish", ["blahish"]),
        # letters
        ("NASA", ["nasa", "n. a. s. a."]),
        ("FBI", ["fbi", "f. b. i."]),
        ("ICMP", ["i. c. m. p.", "icmp"]),
        ("PBX", ["p. b. x."]),
        ("rtx", ["r. t. x.", "rtx"]),
        ("my TV", ["my t. v.", "my tv"]),
        ("PBXs", ["p. b. x.'s"]),
        ("HANG ON", ["hang on"]),
        ("Please HANG ON", ["please hang on", "please hang o. n."]),
        ("US", ["u. s.", "us"]),
        ("AT&T and R & D", ["a. t. and t. and r. and d."]),
        ("U.S.A. U.S.", ["u. s. a. u. s."]),
        ("Press 1 for A.M, or 2 for P.M.", ["press one for a. m. or two for p. m."]),
        ("T. S. Eliot", ["t. s. eliot"]),
        ("e.g. this", ["e. g. this", "for example this"]),
        ("Ph.D.", ["p. h. d."]),
        # letters and digits
        ("MP3", ["m. p. three"]),
        ("B2B", ["b. two b."]),
        ("GPT-4", ["g. p. t. four"]),
        ("covid19", ["covid nineteen"]),
        ("COVID-19", ["c. o. v. i. d. nineteen", "covid nineteen"]),
        ("12-digit", ["twelve digit"]),
        ("3D", ["three d."]),
        ("H.323", ["h. three hundred twenty three", "h. three twenty three"]),
        ("OpenAI", ["open ai", "openai"]),
        ("McMichael", ["mcmichael"]),
        ("snake_case", ["snake case", "snake underscore case"]),
        # abbreviations
        ("Mr. Pickwick", ["mister pickwick"]),
        ("Dr. Smith", ["doctor smith", "drive smith"]),
        ("Elm Dr.", ["elm drive", "elm doctor"]),
        ("St. John", ["saint john", "street john"]),
        ("st john", ["saint john", "street john"]),
        ("Wall St.", ["wall street", "wall saint"]),
        ("this vs. that, etc.", ["this versus that et cetera", "this v. s. that et cetera"]),
        ("No. 5", ["number five"]),
        ("no. 5", ["number five"]),
        ("Oh, no.", ["oh no"]),
        ("in Oct. 2016", ["in october twenty sixteen"]),
        # symbols and measures
        ("50% & more", ["fifty percent and more"]),
        ("#1", ["number one", "hash one", "pound one"]),
        ("press # or *", ["press pound or star", "press hash or star"]),
        ("C++ and C#", ["c. plus plus and c. sharp", "c. plus plus and c. hash"]),
        ("bob@example.com", ["bob at example dot com"]),
        ("www.asterisk.org", ["w. w. w. dot asterisk dot org"]),
        ("and/or", ["and or", "and slash or"]),
        ("24/7", ["twenty four seven", "twenty four slash seven"]),
        ("-5", ["minus five", "negative five"]),
        ("10-20", ["ten to twenty", "ten twenty"]),
        ("4x4", ["four by four", "four times four"]),
        ("5½", ["five and a half", "five and one half"]),
        ("5 km, 1 km", ["five kilometers one kilometer"]),
        ("60Hz", ["sixty hertz"]),
        ("20 °C", ["twenty degrees celsius"]),
        ("5G", ["five g."]),
        ("World War II", ["world war two", "world war the second"]),
        ("WWII", ["world war two", "second world war", "w. w. two"]),
        ("WW1 and WWI", ["world war one and world war one"]),
        ("tea w/ milk w/o sugar", ["tea with milk without sugar"]),
        ("24/7 w/e", ["twenty four seven w. e."]),
        (".NET", ["dot net", "net"]),
        ("pp. 5-7, p. 9", ["pages five to seven page nine", "p. p. five to seven page nine"]),
        ("6'2\"", ["six two", "six foot two"]),
        ("50¢", ["fifty cents"]),
        ("f*%# off", ["f. off"]),
        # numbers in a text; what numbers alone are read as is tested in test_numerals
        ("in 1999", ["in nineteen ninety nine", "in one thousand nine hundred ninety nine"]),
        ("1939-1945", ["nineteen thirty nine to nineteen forty five"]),
        ("meet at 9am on May 1st", ["meet at nine a. m. on may first"]),
    ],
)
def test_readings(text: str, expected: list[str]) -> None:
    found = ways(text)
    assert found[0] == expected[0]
    for one in expected:
        assert one in found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("?!", "only symbols"),
        ("&", "only symbols"),
        ("😀", "only symbols"),
        ("привет", "'п'"),
        ("hello 世界", "'世'"),
        ("٣", "'٣'"),
    ],
)
def test_what_cannot_be_said_is_one_sentence(text: str, reason: str) -> None:
    with pytest.raises(QueryError, match=reason) as caught:
        spoken(text, known)
    assert "\n" not in str(caught.value)


anything = st.one_of(
    st.text(max_size=40),
    st.text("aAbIVsxyz019.,:/-'& $€%#@+()°\n", max_size=25),
    st.lists(
        st.sampled_from(
            ["NASA", "2016", "5/1/2016", "3:45", "pm", "$3.50", ".", "-", "'", "U.S.A.", "Dr."]
        ),
        max_size=8,
    ).map(" ".join),
)


@given(anything, st.integers(1, 6))
@settings(max_examples=150, deadline=None)
def test_any_text_is_said_or_refused(text: str, limit: int) -> None:
    try:
        found = spoken(text, known, limit)
    except QueryError:
        return
    assert 1 <= len(found) <= limit
    assert len({one.words for one in found}) == len(found)
    assert all(WORD.fullmatch(word) for one in found for word in one.words), found
    log_p = [one.log_probability for one in found]
    assert log_p == sorted(log_p, reverse=True)
    assert log_p[0] <= 0
    assert found[0] == spoken(text, known, 1)[0]


@given(
    st.lists(
        st.lists(st.sampled_from([("a",), ("b",), ("a", "b"), ()]), min_size=1, max_size=3),
        max_size=4,
    ),
    st.integers(1, 5),
)
def test_the_best_ways_equal_all_ways(slots: list[list[Words]], limit: int) -> None:
    best: dict[Words, float] = {}
    for choice in itertools.product(*(range(len(slot)) for slot in slots)):
        words = sum((slot[rank] for slot, rank in zip(slots, choice, strict=True)), ())
        log_p = -sum(choice) * math.log(2)
        best[words] = max(best.get(words, -math.inf), log_p)
    expected = sorted((log_p for words, log_p in best.items() if words), reverse=True)[:limit]
    found = combine(slots, limit)
    assert [one.log_probability for one in found] == pytest.approx(expected)
    for one in found:
        assert one.log_probability == pytest.approx(best[one.words])
