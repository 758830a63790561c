"""What filters mean: which recordings, and which of their channels, a filter is true of.

Texts are compared without regard to case and accents' encoding; tags whole, titles and metadata by
what they contain. Dates may be a year, a month or a day. It knows recordings, and nothing of how
they are kept.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date
from typing import TypeAlias

from earshot.errors import QueryError
from earshot.query.tree import Filter
from earshot.types import Recording

Value: TypeAlias = str | float

_DATE = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?", re.ASCII)
_LENGTH = re.compile(
    r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s?)?", re.ASCII
)
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)", re.ASCII)
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def value_of(one: Filter) -> Value:
    """A filter's value as it is compared; raises QueryError when it is none."""
    if one.name in ("date", "after", "before"):
        return plain_date(one.value)
    if one.name in ("longer", "shorter"):
        return length(one.value)
    if one.name == "channel":
        if not re.fullmatch("[1-9][0-9]?", one.value):
            raise QueryError(f"'{one.value}' is no channel: they are counted 1, 2, ...")
        return float(one.value)
    if one.name == "id" and not re.fullmatch("[0-9a-fA-F]{4,12}", one.value):
        raise QueryError(f"'{one.value}' is no id: it has 4 to 12 digits, 0 to 9 and a to f")
    return folded(one.value)


def plain_date(text: str) -> str:
    """A year, a month or a day, as 2020, 2020-05, 2020-05-17; raises QueryError for others."""
    match = _DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        raise QueryError(
            f"'{text}' is no date: write a year, a month or a day, as in 2020-05-17"
        ) from None
    return text


def length(text: str) -> float:
    """Seconds of `90`, `90s`, `10m`, `1h30m` or `0:10:00`; raises QueryError for others."""
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        if minutes < 60 and seconds < 60:
            return hours * 3600 + minutes * 60 + seconds
    match = _LENGTH.fullmatch(text)
    if match is None or not text:
        raise QueryError(f"'{text}' is no length: write it as in 90s, 10m, 1h30m or 0:10:00")
    return sum(_SECONDS[unit] * float(part or 0) for unit, part in match.groupdict().items())


def folded(text: str) -> str:
    """A text as it is compared."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(unicodedata.normalize("NFKC", plain).split())


def fits(one: Filter, recording: Recording) -> bool:
    """Whether a filter is true of a recording; of `channel`, whether there is such a channel."""
    value = value_of(one)
    if isinstance(value, float):
        if one.name == "channel":
            return value <= recording.channels
        return (recording.duration > value) if one.name == "longer" else (
            recording.duration < value
        )  # fmt: skip
    if one.name == "tag":
        return any(folded(tag) == value for tag in recording.tags)
    if one.name == "id":
        return recording.id.startswith(value)
    if one.name == "title":
        return value in folded(recording.title)
    if one.name.startswith("meta."):
        wanted = folded(one.name.removeprefix("meta."))
        return any(
            folded(key) == wanted and value in folded(given) for key, given in recording.meta
        )
    return recording.recorded is not None and _dated(one.name, value, recording.recorded)


def _dated(name: str, value: str, recorded: str) -> bool:
    """Dates of ISO 8601 are in the order of their texts; a day begins with its month's text."""
    if name == "after":
        return recorded >= value
    return recorded < value if name == "before" else recorded.startswith(value)
