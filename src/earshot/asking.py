"""What stands on a command line -> the query language: words, filters, files of queries.

It knows how filters are written, and nothing of what they mean.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from earshot.errors import UsageError
from earshot.present import parse_time
from earshot.query import FILTERS, Filter
from earshot.types import Span

_NAMED = re.compile(rf"((?:{'|'.join(FILTERS)})(?:\.[^\s:]+)?):(\S.*\s.*)", re.DOTALL)

_SPAN = re.compile(r"(.+)@([\d:.]+)-([\d:.]+)", re.DOTALL)


def joined(words: Sequence[str]) -> str:
    """The words of a command line as one query.

    A shell takes quotes away: `title:"my talk" budget` comes as two words, the first of which
    has a space in it, and is quoted again.
    """
    if len(words) == 1:
        return words[0]
    return " ".join(
        str(Filter(match[1], match[2])) if (match := _NAMED.fullmatch(word)) else word
        for word in words
    )


def filters(
    *,
    tag: Sequence[str] | None = None,
    meta: Mapping[str, str] | None = None,
    **single: str | int | None,
) -> str:
    """Filters in the query language; None and nothing leave one out."""
    found = [Filter("tag", one) for one in tag or ()]
    found += [Filter(name, str(value)) for name, value in single.items() if value is not None]
    found += [Filter(f"meta.{name}", value) for name, value in (meta or {}).items()]
    return " ".join(map(str, found))


def pairs(given: Sequence[str] | None) -> dict[str, str]:
    """`NAME=VALUE`s by name; raises UsageError for what has no `=`, or a name twice."""
    found: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not (name and equals):
            raise UsageError(f"'{one}' is no metadata: write NAME=VALUE, as in speaker=bob")
        if name in found:
            raise UsageError(f"the metadata '{name}' is given twice")
        found[name] = value
    return found


def example(text: str) -> tuple[str, Span | None]:
    """An example to search by: an audio file, or a recording and a span of it (`ID@12.3-13.1`)."""
    match = _SPAN.fullmatch(text)
    if match is None or Path(text).exists():
        return text, None
    return match[1], Span(parse_time(match[2]), parse_time(match[3]))


def read_queries(path: Path | None) -> Iterator[str]:
    """The lines of a file of queries (`-`: standard input), without empty ones."""
    try:
        text = sys.stdin.read() if str(path) == "-" else Path(str(path)).read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not text in UTF-8 (byte {error.start})") from error
    return (line.strip() for line in text.splitlines() if line.strip())
