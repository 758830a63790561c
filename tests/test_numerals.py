"""Number words against `inflect`, and how numbers, dates, times and prices are read."""

from __future__ import annotations

import re

import inflect
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.numerals import RULES, cardinal, digits, integer, ordinal, year

REFERENCE = inflect.engine()


def plain(text: str) -> tuple[str, ...]:
    return tuple(re.sub("[,-]", " ", text).split())


def readings(text: str) -> list[str]:
    """All readings of a text that is one number, each slot's alternatives in order."""
    for pattern, reader in RULES:
        if (match := pattern.match(text)) and (slots := reader(match)) is not None:
            assert match.end() == len(text), f"{text[match.end() :]!r} is left over"
            ways = [""]
            for slot in slots:
                ways = [f"{way} {' '.join(words)}".strip() for words in slot for way in ways]
            return ways
    raise AssertionError(f"no rule reads {text!r}")


@given(st.one_of(st.integers(0, 3000), st.integers(0, 10**9), st.integers(0, 10**36 - 1)))
@settings(max_examples=100, deadline=None)
def test_number_words_equal_inflect(number: int) -> None:
    assert cardinal(number) == plain(REFERENCE.number_to_words(number, andword=""))
    assert cardinal(number, "and") == plain(REFERENCE.number_to_words(number))
    nth = REFERENCE.ordinal(REFERENCE.number_to_words(number, andword=""))
    assert ordinal(number) == plain(nth)


@given(st.text("0123456789", min_size=1, max_size=20))
def test_every_string_of_digits_has_distinct_readings(written: str) -> None:
    found = integer(written)
    assert found
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[a-z]+", word) for words in found for word in words)
    if len(written) > 2:
        assert digits(written) in found


@pytest.mark.parametrize("number", [1100, 1492, 1900, 1905, 1999, 2000, 2005, 2010, 2016, 2099])
def test_years_are_read_as_years_and_as_numbers(number: int) -> None:
    found = integer(str(number))
    assert found[0] == year(number)[0]
    assert cardinal(number) in found
    assert found[0] != cardinal(number) or 2000 <= number < 2010


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0", ["zero", "oh"]),
        ("12", ["twelve"]),
        ("101", ["one hundred one", "one hundred and one", "one oh one"]),
        ("411", ["four hundred eleven", "four eleven", "four one one"]),
        ("007", ["zero zero seven", "oh oh seven", "double oh seven"]),
        ("1500", ["fifteen hundred", "one thousand five hundred"]),
        ("1905", ["nineteen oh five", "one thousand nine hundred five"]),
        ("2005", ["two thousand five", "two thousand and five", "twenty oh five"]),
        ("2016", ["twenty sixteen", "two thousand sixteen", "two thousand and sixteen"]),
        ("6439", ["six thousand four hundred thirty nine", "sixty four thirty nine"]),
        ("5500", ["five thousand five hundred", "fifty five hundred"]),
        ("90,000", ["ninety thousand"]),
        ("1,000,000", ["one million"]),
        ("2000000", ["two million"]),
        ("5551234", ["five five five one two three four"]),
        ("1" * 20, [" ".join(["one"] * 20)]),
        ("555-1234", ["five five five one two three four"]),
        ("555-1204", ["five five five one two zero four", "five five five one two oh four"]),
        ("(555) 123-4567", ["five five five one two three four five six seven"]),
        ("+1 555 010 4567", ["plus one five five five zero one zero four five six seven"]),
        ("3.14", ["three point one four", "three point fourteen"]),
        ("0.5", ["zero point five", "point five", "oh point five"]),
        (".5", ["zero point five", "point five"]),
        ("1,234.5", ["one thousand two hundred thirty four point five"]),
        ("3.11.2", ["three point eleven point two", "three dot eleven dot two"]),
        ("1st", ["first"]),
        ("22nd", ["twenty second"]),
        ("1,000th", ["one thousandth"]),
        ("$3.50", ["three dollars and fifty cents", "three dollars fifty", "three fifty"]),
        ("$1", ["one dollar"]),
        ("$1.01", ["one dollar and one cent", "one dollar one", "one oh one"]),
        ("$0.99", ["ninety nine cents"]),
        ("$150", ["one hundred fifty dollars", "one hundred and fifty dollars"]),
        ("£5", ["five pounds"]),
        ("£1.20", ["one pound and twenty pence", "one pound twenty"]),
        ("€20", ["twenty euros"]),
        ("20€", ["twenty euros"]),
        ("¥500", ["five hundred yen"]),
        ("₹100", ["one hundred rupees"]),
        ("$5-10", ["five to ten dollars", "five ten dollars"]),
        ("£2-3m", ["two to three million pounds"]),
        ("$2 million", ["two million dollars"]),
        ("$3.5bn", ["three point five billion dollars"]),
        ("$1.5", ["one point five dollars"]),
        ("3:45", ["three forty five", "quarter to four"]),
        ("9:00", ["nine o'clock", "nine"]),
        ("9:05", ["nine oh five"]),
        ("12:30", ["twelve thirty", "half past twelve"]),
        ("11:15", ["eleven fifteen", "quarter past eleven"]),
        ("15:00", ["fifteen hundred"]),
        ("3:45 p.m.", ["three forty five p. m."]),
        ("10:00 AM", ["ten a. m."]),
        ("9am", ["nine a. m."]),
        ("9 P.M", ["nine p. m."]),
        ("2016-05-01", ["may first twenty sixteen", "may one two thousand sixteen"]),
        ("5/1/2016", ["may first twenty sixteen", "january fifth twenty sixteen"]),
        ("13/2/1999", ["february thirteenth nineteen ninety nine"]),
        ("1.5.2016", ["may first twenty sixteen", "january fifth twenty sixteen"]),
        ("7/4/76", ["july fourth seventy six"]),
        ("May 1st 2016", ["may first twenty sixteen", "first of may twenty sixteen"]),
        ("may 1", ["may first", "may one"]),
        ("Sept. 11, 2001", ["september eleventh two thousand one"]),
        (
            "14 June 1800",
            ["fourteenth of june eighteen hundred", "june fourteenth eighteen hundred"],
        ),
        ("14th of June, 1800", ["fourteenth of june eighteen hundred"]),
        ("14th June, 1800", ["fourteenth june eighteen hundred"]),
        ("1 May", ["first of may", "may first", "one may"]),
        ("1990s", ["nineteen nineties"]),
        ("'60s", ["sixties"]),
        ("80's", ["eighties"]),
        ("1900s", ["nineteen hundreds"]),
        ("2000s", ["two thousands"]),
        ("1/2", ["one half", "a half"]),
        ("3/4", ["three quarters", "three fourths"]),
        ("1/8", ["one eighth", "an eighth"]),
        ("5 1/2", ["five and a half"]),
        ("10k", ["ten k.", "ten thousand"]),
    ],
)
def test_readings(written: str, expected: list[str]) -> None:
    found = readings(written)
    assert found[0] == expected[0]
    for one in expected:
        assert one in found


@pytest.mark.parametrize("written", ["25:00", "9:75", "2016-13-01", "45/45/2016", "13pm", "24/7"])
def test_what_only_looks_like_a_time_or_a_date_is_read_otherwise(written: str) -> None:
    for pattern, reader in RULES:
        if (match := pattern.match(written)) and (slots := reader(match)) is not None:
            assert slots
            return
    raise AssertionError(f"nothing reads the beginning of {written!r}")
