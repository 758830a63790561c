"""Words about time -> a stretch of days: `since May`, `last year`, `between 2015 and 2018`.

Years, months and days are texts as the query language has them (2016, 2016-05, 2016-05-17), so that
they can be compared as texts. "After 2016" begins with 2017, "since 2016" with 2016; a month
without a year is the latest one. This module knows nothing of what the rest of a sentence means.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, timedelta

NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "fifteen": 15, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "hundred": 100, "dozen": 12, "couple": 2, "few": 3,
    "several": 5,
}  # fmt: skip
NUMBER = rf"(?:\d{{1,4}}|(?:an? )?(?:{'|'.join(sorted(NUMBERS, key=len, reverse=True))})(?: of)?)"

_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
_MONTH = rf"(?:{'|'.join(_MONTHS)}|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)\.?"
_YEAR = r"(?:19|20)\d\d"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"
_FULL = (
    rf"(?:{_YEAR}-\d\d-\d\d|{_YEAR}-\d\d|{_NTH} (?:of )?{_MONTH},? {_YEAR}"
    rf"|{_MONTH} {_NTH},? {_YEAR}|{_MONTH},? {_YEAR}|the (?:19|20)?\d0s|yesterday|today"
    r"|(?:the )?(?:last|past|previous|this) (?:year|month|week)"
    rf"|(?:the )?(?:last|past) {NUMBER} (?:days?|weeks?|months?|years?))"
)
_ANY = rf"(?:{_FULL}|{_YEAR}|{_MONTH})"
_RULES = tuple(
    (name, re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE))
    for name, pattern in (
        ("between", rf"between ({_ANY}) and ({_ANY})"),
        ("between", rf"from ({_ANY}) (?:to|until|till|through|up to) ({_ANY})"),
        ("since", rf"from ({_ANY}) (?:on(?:wards?)?|to (?:today|now))"),
        ("since", rf"(?:since|starting (?:in|from|with)|as of) ({_ANY})"),
        ("after", rf"(?:after|later than|newer than) ({_ANY})"),
        ("before", rf"(?:before|earlier than|older than|prior to) ({_ANY})"),
        ("until", rf"(?:until|till|up to|through) ({_ANY})"),
        ("in", rf"(?:on |in )?(?:the )?({_NTH} (?:of )?{_MONTH},? {_YEAR})"),
        ("in", rf"(?:in|during|of|on|from|for|over|within) ({_ANY})"),
        ("in", rf"({_FULL})"),
    )
)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days from `after` on and before `before`, each a year, a month or a day; None: no limit."""

    after: str | None = None
    before: str | None = None

    def within(self, other: Stretch) -> Stretch:
        """This, and what of `other` it says nothing about."""
        return Stretch(self.after or other.after, self.before or other.before)


ALWAYS = Stretch()


def dated(text: str, today: date) -> tuple[Stretch, str]:
    """The stretch that a sentence names, and the sentence without those words."""
    found = ALWAYS
    for name, pattern in _RULES:
        while (match := pattern.search(text)) is not None:
            spans = [period(one, today) for one in match.groups()]
            if None in spans:
                break
            (first, behind), last = spans[0] or ("", ""), spans[-1] or ("", "")
            if name == "between":
                first, behind = sorted([first, last[0]])[0], sorted([behind, last[1]])[1]
            stretch = {
                "since": Stretch(after=first), "after": Stretch(after=behind),
                "before": Stretch(before=first), "until": Stretch(before=behind),
            }.get(name, Stretch(first, behind))  # fmt: skip
            found = found.within(stretch)
            text = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
    return found, text


def period(text: str, today: date) -> tuple[str, str] | None:
    """The first day, month or year of a period, and the one behind it; None for what is none."""
    words = text.lower().replace(",", " ").replace(".", "").removeprefix("the ").split()
    plain = " ".join(words)
    if re.fullmatch(r"(?:19|20)?\d0s", plain):
        first = int(plain[:-1]) if len(plain) == 5 else int(plain[:2]) + 1900
        first += 100 if first <= 1920 and len(plain) != 5 else 0
        return str(first), str(first + 10)
    if plain in ("today", "yesterday"):
        return _day(today - timedelta(days=plain == "yesterday"))
    if words[0] in ("last", "past", "previous", "this"):
        return _relative(words, today)
    try:
        if match := re.fullmatch(r"(\d{4})-(\d\d)(?:-(\d\d))?", plain):
            year, month, day = (int(part or 0) for part in match.groups())
            return _day(date(year, month, day)) if day else _month(year, month)
        if re.fullmatch(_YEAR, plain):
            return plain, str(int(plain) + 1)
        return _named(words, today)
    except ValueError:
        return None


def number(text: str) -> int | None:
    """What `20`, `twenty` or `a dozen` counts."""
    words = text.lower().removesuffix(" of").split()
    if not words:
        return None
    if words[-1].isdecimal():
        return int(words[-1])
    return NUMBERS.get(words[-1])


def _relative(words: list[str], today: date) -> tuple[str, str] | None:
    this = words[0] == "this"
    unit = words[-1].removesuffix("s")
    if len(words) > 2:  # the last three months: up to and with today
        count = number(" ".join(words[1:-1])) or 0
        if unit in ("day", "week"):
            first = today - timedelta(days=count * (7 if unit == "week" else 1))
        else:
            months = today.year * 12 + today.month - 1 - count * (12 if unit == "year" else 1)
            if months < 12:
                return None
            year, month = divmod(months, 12)
            first = date(year, month + 1, min(today.day, 28))
        return first.isoformat(), _day(today)[1]
    if unit == "year":
        return str(today.year - (not this)), str(today.year + this)
    if unit == "month":
        before = date(today.year, today.month, 1) - timedelta(days=1)
        return _month(today.year, today.month) if this else _month(before.year, before.month)
    monday = today - timedelta(days=today.weekday() + (0 if this else 7))
    return monday.isoformat(), (monday + timedelta(days=7)).isoformat()


def _named(words: list[str], today: date) -> tuple[str, str] | None:
    """A period with the name of a month in it."""
    month = next((at for word in words if (at := _month_number(word))), None)
    if month is None:
        return None
    numbers = [int(re.sub(r"\D", "", word)) for word in words if word[0].isdigit()]
    years = [one for one in numbers if one > 31]
    days = [one for one in numbers if one <= 31]
    year = years[0] if years else today.year - (month > today.month)
    return _day(date(year, month, days[0])) if days else _month(year, month)


def _month_number(word: str) -> int:
    fitting = [at for at, name in enumerate(_MONTHS, 1) if name.startswith(word) and len(word) > 2]
    return fitting[0] if fitting else 9 if word == "sept" else 0


def _day(day: date) -> tuple[str, str]:
    return day.isoformat(), (day + timedelta(days=1)).isoformat()


def _month(year: int, month: int) -> tuple[str, str]:
    date(year, month, 1)  # raises ValueError for what is no month
    behind = (year, month + 1) if month < 12 else (year + 1, 1)
    return f"{year:04d}-{month:02d}", f"{behind[0]:04d}-{behind[1]:02d}"
