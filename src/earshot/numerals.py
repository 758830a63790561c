"""Numbers as they are spoken in English: what may be said for "1945", "$3.50" or "3:45 pm".

`RULES` pairs each way to write a number, a date, a time or a price with a function that gives its
readings. A reading is a sequence of lower-case words, a letter's name being the letter with a dot
("p. m."), as the CMU dictionary has it. Alternatives come best first. It knows nothing of how
words sound, nor of the text around a number.

Number words are written out here rather than taken from `inflect`, whose import takes two
seconds, a hundred times what a search may spend before it starts; the tests hold both equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date

Words = tuple[str, ...]
Slots = list[list[Words]]  # one after the other, each with its alternatives, best first
Reader = Callable[[re.Match[str]], Slots | None]  # None: it only looked like one

# fmt: off
_SMALL = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)
_TENS = ("", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_POWERS = (
    "", "thousand", "million", "billion", "trillion", "quadrillion", "quintillion", "sextillion",
    "septillion", "octillion", "nonillion", "decillion",
)
MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)
# fmt: on
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MONTH = (
    r"(?P<month>jan(?:uary|\.)?|feb(?:ruary|\.)?|mar(?:ch|\.)?|apr(?:il|\.)?|may|june?\.?|july?\.?|"
    r"aug(?:ust|\.)?|sept?(?:ember|\.)?|oct(?:ober|\.)?|nov(?:ember|\.)?|dec(?:ember|\.)?)"
)
_NUMBER = r"(?P<number>\d{1,3}(?:,\d{3})+(?!\d)|\d+)"
_END = r"(?![A-Za-z0-9])"
_DAY = r"(?P<day>[0-3]?\d)(?P<ending>st|nd|rd|th)?"
_YEAR = rf"(?:,?\s+(?P<year>1[1-9]\d\d|20\d\d){_END})?"
_NOON = r"(?:\s?(?P<noon>[ap])\.?\s?m(?![a-z])\.?)"

# Symbol -> one, many, one hundredth, many hundredths.
_CURRENCIES = {
    "$": ("dollar", "dollars", "cent", "cents"),
    "£": ("pound", "pounds", "penny", "pence"),
    "€": ("euro", "euros", "cent", "cents"),
    "¥": ("yen", "yen", "sen", "sen"),
    "₹": ("rupee", "rupees", "paisa", "paise"),
}
_MAGNITUDES = {"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion"}

# Longer digit strings are hardly ever read as one number.
LONGEST_CARDINAL = 15


def cardinal(number: int, joint: str = "") -> Words:
    """A whole number from 0 to below 10**36: 121 -> one hundred twenty one.

    `joint` is said before what follows the hundreds ("and": one hundred and twenty one).
    """
    if number < 20:
        return (_SMALL[number],)
    if number < 100:
        tens, ones = divmod(number, 10)
        return (_TENS[tens], _SMALL[ones]) if ones else (_TENS[tens],)
    if number < 1000:
        hundreds, rest = divmod(number, 100)
        said: Words = (_SMALL[hundreds], "hundred")
        return (*said, *_joined(joint), *cardinal(rest)) if rest else said
    power = (len(str(number)) - 1) // 3
    high, rest = divmod(number, 1000**power)
    said = (*cardinal(high, joint), _POWERS[power])
    if not rest:
        return said
    return (*said, *(_joined(joint) if rest < 100 else ()), *cardinal(rest, joint))


def ordinal(number: int) -> Words:
    """22 -> twenty second."""
    *most, last = cardinal(number)
    if last in _ORDINALS:
        return (*most, _ORDINALS[last])
    return (*most, last[:-1] + "ieth" if last.endswith("y") else last + "th")


def digits(written: str, zero: str = "zero") -> Words:
    """Digit by digit: "405" -> four zero five."""
    return tuple(zero if digit == "0" else _SMALL[int(digit)] for digit in written)


def year(number: int) -> list[Words]:
    """Readings of a year from 1100 to 2099, best first."""
    century, rest = divmod(number, 100)
    if number % 1000 < 10:  # 2000 to 2009
        oh = [(*cardinal(century), "oh", *cardinal(rest))] if rest else []
        return [cardinal(number), *([cardinal(number, "and"), *oh] if rest else [])]
    if rest == 0:
        return [(*cardinal(century), "hundred")]
    if rest < 10:
        return [(*cardinal(century), "oh", *cardinal(rest)), cardinal(number)]
    paired = (*cardinal(century), *cardinal(rest))
    # 1968 may be any number, and from 2010 on both are said of years.
    return [paired, cardinal(number), cardinal(number, "and")]


def integer(written: str) -> list[Words]:
    """Readings of a string of digits without commas, best first."""
    length = len(written)
    by_digit = [digits(written), *([digits(written, "oh")] if "0" in written else [])]
    if length > 1 and written[0] == "0":
        double = [("double", "oh", *digits(written[2:]))] if written[:2] == "00" else []
        return [*by_digit, *double]
    if length > LONGEST_CARDINAL:
        return by_digit
    number = int(written)
    whole = _distinct([cardinal(number), cardinal(number, "and")])
    if number == 0:
        return [("zero",), ("oh",)]
    if length < 3:
        return [whole[0]]
    if length >= 7 and not written.endswith("000"):
        return [*by_digit, whole[0]]
    if length == 4 and 1100 <= number < 2100:
        return _distinct([*year(number), *whole, *by_digit])
    if length == 3:
        pair = [(_SMALL[int(written[0])], *_two_digits(written[1:]))]
        return _distinct([*whole, *(pair if number % 100 else []), *by_digit])
    if length == 4 and number % 100 == 0 and number % 1000:
        return [*whole, (*cardinal(number // 100), "hundred")]
    pairs = [(*cardinal(number // 100), *_two_digits(written[2:]))] if length == 4 else []
    return [*whole, *(pairs if number % 100 else []), *by_digit]


def _distinct(readings: list[Words]) -> list[Words]:
    """Each reading once, where it came first."""
    return list(dict.fromkeys(readings))


def _joined(joint: str) -> Words:
    return (joint,) if joint else ()


def _two_digits(written: str) -> Words:
    """ "05" -> oh five, "45" -> forty five."""
    return ("oh", *digits(written[1])) if written[0] == "0" else cardinal(int(written))


def _value(match: re.Match[str], group: str = "number") -> int:
    """The group's number; commas dropped."""
    return int(match[group].replace(",", ""))


def _too_long(match: re.Match[str]) -> bool:
    return len(match["number"]) > LONGEST_CARDINAL


def _whole(match: re.Match[str]) -> Slots:
    """Integers, with commas or without."""
    if "," in match["number"] and not _too_long(match):
        number = _value(match)
        return [_distinct([cardinal(number), cardinal(number, "and")])]
    return [integer(match["number"].replace(",", ""))]


def _decimal(match: re.Match[str]) -> Slots:
    """3.14, .5, and versions such as 3.11.2."""
    first, *others = match[0].replace(",", "").split(".")
    if first.lstrip("0"):
        heads = [cardinal(int(first)) if len(first) <= LONGEST_CARDINAL else digits(first)]
    else:
        heads = [("zero",), (), ("oh",)]
    if len(others) > 1:
        slots: Slots = [heads]
        for part in others:
            slots += [[("point",), ("dot",)], integer(part)[:1]]
        return slots
    readings = [digits(others[0])]
    if 2 <= len(others[0]) <= 3:
        readings.append(integer(others[0])[0])
    if "0" in others[0]:
        readings.append(digits(others[0], "oh"))
    return [heads, [("point",)], _distinct(readings)]


def _nth(match: re.Match[str]) -> Slots | None:
    """1st, 22nd, 1,000th."""
    return None if _too_long(match) else [[ordinal(_value(match))]]


def _decade(match: re.Match[str]) -> Slots:
    """1990s, 80s, '60s."""
    century = cardinal(int(match["century"])) if match["century"] else ()
    if match["decade"] != "0":
        tens = _TENS[int(match["decade"])]
        return [[(*century, tens[:-1] + "ies" if tens.endswith("y") else tens + "s")]]
    if match["century"] == "20":
        return [[("two", "thousands")]]
    return [[(*century, "hundreds")]] if century else [[("two", "thousands"), ("oh", "ohs")]]


def _money(match: re.Match[str]) -> Slots | None:
    """$3.50, £5, $2 million, 20€."""
    if _too_long(match):
        return None
    one, many, penny, pence = _CURRENCIES[match["currency"]]
    number, small = _value(match), match["small"]
    amount = cardinal(number)
    magnitude = (match["magnitude"] or "").lower()
    if magnitude:
        said = _MAGNITUDES.get(magnitude, magnitude)
        point = ("point", *digits(small)) if small else ()
        return [[(*amount, *point, said, many)]]
    name = one if number == 1 else many
    if not small or int(small) == 0:
        whole = [(*amount, name), *([(*cardinal(number, "and"), name)] if number > 100 else [])]
        return [_distinct(whole)]
    if len(small) == 1:
        return [[(*amount, "point", *digits(small), many)]]
    rest = cardinal(int(small))
    coins = (*rest, penny if int(small) == 1 else pence)
    if number == 0:
        return [[coins, ("zero", "point", *digits(small), many)]]
    return [
        [
            (*amount, name, "and", *coins),
            (*amount, name, *rest),
            (*amount, *_two_digits(small)),
            (*amount, name, *coins),
        ]
    ]


def _money_range(match: re.Match[str]) -> Slots:
    """$5-10, $2-3 million."""
    many = _CURRENCIES[match["currency"]][1]
    magnitude = (match["magnitude"] or "").lower()
    end = (_MAGNITUDES.get(magnitude, magnitude), many) if magnitude else (many,)
    return [[cardinal(int(match["least"]))], [("to",), ()], [(*cardinal(int(match["most"])), *end)]]


def _time(match: re.Match[str]) -> Slots | None:
    """3:45, 9:00, 15:30, 3:45 pm."""
    hour, minute = int(match["hour"]), int(match["minute"])
    if hour > 24 or minute > 59:
        return None
    noon: Slots = [[(f"{match['noon'].lower()}.", "m.")]] if match["noon"] else []
    hours = cardinal(hour)
    if minute == 0 and hour > 12:
        return [[(*hours, "hundred"), (*hours, "o'clock")], *noon]
    if minute == 0:
        return [[hours] if noon else [(*hours, "o'clock"), hours], *noon]
    readings = [(*hours, *_two_digits(match["minute"]))]
    following = cardinal(hour % 12 + 1)
    if minute == 15:
        readings += [("quarter", "past", *hours), ("quarter", "after", *hours)]
    elif minute == 30:
        readings += [("half", "past", *hours)]
    elif minute == 45:
        readings += [("quarter", "to", *following)]
    return [readings, *noon]


def _hour(match: re.Match[str]) -> Slots | None:
    """9am, 10 p.m."""
    if int(match["hour"]) > 12:
        return None
    return [[cardinal(int(match["hour"]))], [(f"{match['noon'].lower()}.", "m.")]]


def _iso_date(match: re.Match[str]) -> Slots | None:
    """2016-05-01."""
    found = _calendar(int(match["year"]), int(match["month_number"]), int(match["day"]))
    if found is None:
        return None
    return [_days(found.month, found.day), year(found.year)]


def _slashed_date(match: re.Match[str]) -> Slots | None:
    """5/1/2016 and 1.5.2016: in the United States the month comes first, elsewhere the day."""
    first, second, written = int(match["first"]), int(match["second"]), match["year"]
    full = int(written) if len(written) == 4 else 2000 + int(written)
    american, other = _calendar(full, first, second), _calendar(full, second, first)
    days = [_days(found.month, found.day) for found in (american, other) if found]
    if not days or not 1100 <= full < 2100:
        return None
    if match["separator"] == "." and american and other:
        days.reverse()
    years = year(full) if len(written) == 4 else [_two_digits(written), *year(full)[:1]]
    return [_distinct([*(both[0] for both in days), days[0][1]]), years]


def _named_date(match: re.Match[str]) -> Slots | None:
    """May 1st, May 1 2016, 14th of June, 1800."""
    month = next(at for at, name in enumerate(MONTHS, 1) if name[:3] == match["month"][:3].lower())
    found = _calendar(2000, month, int(match["day"]))
    if found is None:
        return None
    name, nth = MONTHS[month - 1], ordinal(found.day)
    if match.start("day") < match.start("month"):
        days = [(*nth, "of", name), (*nth, name), (name, *nth), (*cardinal(found.day), name)]
        if match["ending"] and not match["of"]:  # "14th June" is read as it is written
            days[:2] = days[1::-1]
    else:
        days = _days(month, found.day)
    return [days, *([year(int(match["year"]))] if match["year"] else [])]


def _calendar(in_year: int, month: int, day: int) -> date | None:
    try:
        return date(in_year, month, day)
    except ValueError:
        return None


def _days(month: int, day: int) -> list[Words]:
    """May first, may one, first of may."""
    name = MONTHS[month - 1]
    return [
        (name, *ordinal(day)),
        (name, *cardinal(day)),
        (*ordinal(day), "of", name),
        (name, "the", *ordinal(day)),
    ]


def _fraction(match: re.Match[str]) -> Slots | None:
    """1/2, 3/4, 5 1/2; what is no usual fraction (24/7, 9/11) is left to other rules."""
    above, below = int(match["above"]), int(match["below"])
    if not 0 < above < below or below not in (2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 32, 100):
        return None
    names = {2: [("half",)], 4: [("quarter",), ("fourth",)]}.get(below, [ordinal(below)])
    plural = "s" if above > 1 else ""
    readings = [(*cardinal(above), *name[:-1], name[-1] + plural) for name in names]
    if above == 1:
        article = "an" if below == 8 else "a"
        readings.append((article, *names[0]))
    if match["number"] is None:
        return [[*readings, (*cardinal(above), "over", *cardinal(below))]]
    if below == 2:
        readings.reverse()  # five and a half
    return [integer(match["number"])[:1], [("and",)], readings]


def _telephone(match: re.Match[str]) -> Slots | None:
    """555-1234, (555) 123-4567, +44 20 7946 0000: digit by digit."""
    written = match[0]
    groups = re.findall(r"\d+", written)
    sizes = [len(group) for group in groups]
    if not 7 <= sum(sizes) <= 15 or max(sizes) < 3:
        return None
    marked = written[0] in "+(0" or sizes in ([3, 3, 4], [1, 3, 3, 4], [3, 4])
    if not marked and (len(groups) == 2 or not re.search("[-.]", written)):
        return None  # 1939-1945, or numbers side by side
    plus: Slots = [[("plus",), ()]] if written[0] == "+" else []
    together = "".join(groups)
    return [*plus, _distinct([digits(together), digits(together, "oh")])]


def _thousands(match: re.Match[str]) -> Slots | None:
    """10k."""
    amount = cardinal(_value(match))
    return [[(*amount, "k."), (*amount, "thousand")]]


def _rule(pattern: str, reader: Reader) -> tuple[re.Pattern[str], Reader]:
    return re.compile(pattern, re.IGNORECASE), reader


_MAGNITUDE = r"(?:\s?(?P<magnitude>thousand|million|billion|trillion|[kmb]|mn|bn)(?![a-z0-9]))?"
_SMALL_MONEY = r"(?:\.(?P<small>\d{1,2})(?!\d))?"
_CURRENCY = r"(?P<currency>[$£€¥₹])"

# Tried in this order at each place of a text; the first that fits is taken.
RULES: tuple[tuple[re.Pattern[str], Reader], ...] = (
    _rule(rf"(?P<year>1[1-9]\d\d|20\d\d)-(?P<month_number>\d\d?)-(?P<day>\d\d?){_END}", _iso_date),
    _rule(
        r"(?P<first>\d\d?)(?P<separator>[/.-])(?P<second>\d\d?)(?P=separator)"
        rf"(?P<year>\d{{4}}|\d\d){_END}",
        _slashed_date,
    ),
    _rule(rf"{MONTH}\s+{_DAY}{_END}{_YEAR}", _named_date),
    _rule(rf"{_DAY}\s+(?P<of>of\s+)?{MONTH}{_END}{_YEAR}", _named_date),
    _rule(rf"(?P<hour>\d\d?):(?P<minute>\d\d)(?!\d|:){_NOON}?", _time),
    _rule(rf"(?P<hour>\d\d?){_NOON}", _hour),
    _rule(
        rf"{_CURRENCY}\s?(?P<least>\d{{1,6}})\s?-\s?(?P<most>\d{{1,6}})(?![\d.,]){_MAGNITUDE}",
        _money_range,
    ),
    _rule(rf"{_CURRENCY}\s?{_NUMBER}{_SMALL_MONEY}{_MAGNITUDE}", _money),
    _rule(rf"{_NUMBER}{_SMALL_MONEY}{_MAGNITUDE}\s?{_CURRENCY}(?!\s?\d)", _money),
    _rule(r"\+?\(?\d{1,5}\)?(?:[ .-]{1,2}\(?\d{2,5}\)?){1,5}(?![A-Za-z0-9]|[.,:/]\d)", _telephone),
    _rule(rf"{_NUMBER}(?:st|nd|rd|th){_END}", _nth),
    _rule(rf"'?(?P<century>1[1-9]|20)?(?P<decade>\d)0'?s{_END}", _decade),
    _rule(r"(?:(?P<number>\d{1,4})\s+)?(?P<above>\d{1,2})/(?P<below>\d{1,3})(?![\d/])", _fraction),
    _rule(r"(?:\d{1,3}(?:,\d{3})+|\d+|(?<![A-Za-z0-9]))(?:\.\d+)+", _decimal),
    _rule(rf"(?P<number>\d{{1,3}})k{_END}", _thousands),
    _rule(_NUMBER, _whole),
)
