"""A query's text -> its tokens: words, quotes, phones, operators, filters, parentheses.

Operators are words in capitals that stand alone; quotes open where a word could begin; a backslash
takes the meaning of the sign behind it. Everything else is a word, so that what people type means
what it says: `$3.50`, `AT&T`, `12"`, `7:30`, `main()`. What tokens mean together is not known here.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from earshot.errors import QueryError
from earshot.query.tree import FILTERS, NEAR_SECONDS

LONGEST = 2000  # characters
LONGEST_NEAR = 3600.0  # seconds

Sign = Literal["words", "filter", "AND", "OR", "NOT", "NEAR", "(", ")", "|", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of a query: `text` without quotes and escapes, `start` and `end` in the query.

    A filter has its `name`, NEAR its `seconds`.
    """

    kind: Sign
    text: str
    start: int
    end: int
    name: str = ""
    seconds: float = 0.0


def refusal(query: str, at: int, reason: str) -> QueryError:
    """A QueryError of one line that shows where in the query it is."""
    before, after = query[:at], query[at:]
    left = ("..." if len(before) > _AROUND else "") + before[-_AROUND:]
    right = after[:_AROUND] + ("..." if len(after) > _AROUND else "")
    shown = " ".join(f"{left}>>>{right}".split())
    return QueryError(f"{reason}, at character {at + 1}: {shown}", at)


def tokens(query: str) -> Iterator[Token]:
    """The tokens of a query, the last of kind `end`; raises QueryError."""
    if len(query) > LONGEST:
        raise QueryError(
            f"The query has {len(query)} characters, and at most {LONGEST} can be read: ask for "
            "less at a time",
            LONGEST,
        )
    at = 0
    while True:
        at = _past_spaces(query, at)
        if at == len(query):
            yield Token("end", "", at, at)
            return
        token = _token(query, at)
        yield token
        at = token.end


_SIGNS: dict[str, Sign] = {
    "(": "(", ")": ")", "|": "|", "AND": "AND", "OR": "OR", "NOT": "NOT",
}  # fmt: skip
_AROUND = 30  # characters that an error shows on either side
_QUOTES = {'"': '"', "“": "”", "„": "“”", "”": "”"}
_ESCAPED = frozenset('()|"\\“”„:')
_PHONES = re.compile(r"/[^/]*/(?=[\s)|]|\Z)")
_NAMED = re.compile(r"([A-Za-z]+)(\.[^\s:.\"()|\\][^\s:\"()|\\]*)?:")
_CALL = re.compile(r"\([^\s()|]*\)")  # the parentheses of main(), word(s)
_NEAR = re.compile(r"NEAR(/.*)?", re.DOTALL)
_SECONDS = re.compile(r"/(\d{1,4}(?:\.\d{1,3})?)s?", re.ASCII)


def _past_spaces(query: str, at: int) -> int:
    while at < len(query) and query[at].isspace():
        at += 1
    return at


def _token(query: str, at: int) -> Token:
    sign = query[at]
    if sign in _SIGNS:
        return Token(_SIGNS[sign], sign, at, at + 1)
    if sign in _QUOTES:
        text, end = _quote(query, at)
        return Token("words", text, at, end)
    if match := _PHONES.match(query, at):
        return Token("words", " ".join(match[0].split()), at, match.end())
    if match := _NAMED.match(query, at):
        if match[1] in FILTERS:
            return _filter(query, match)
        _refuse_misspelt(query, match)
    text, end = _word(query, at)
    written = query[at:end]
    if written in _SIGNS:
        return Token(_SIGNS[written], written, at, end)
    if match := _NEAR.fullmatch(written):
        return _near(query, at, end, match[1])
    return Token("words", text, at, end)


def _word(query: str, at: int) -> tuple[str, int]:
    """The word that begins here, without its escapes, and where it ends."""
    said = []
    start = at
    while at < len(query) and not query[at].isspace() and query[at] not in "|)":
        if query[at] == "(":
            glued = _CALL.match(query, at) if at > start else None
            if glued is None:
                break
            said.append(glued[0])
            at = glued.end()
            continue
        following = query[at + 1 : at + 2]
        # At the beginning it also takes the meaning of AND, NEAR/5, tag: and the like.
        if query[at] == "\\" and (following in _ESCAPED or (at == start and following.isalpha())):
            at += 1
        said.append(query[at])
        at += 1
    return "".join(said), at


def _quote(query: str, at: int) -> tuple[str, int]:
    """What stands between the quotes that open here, and where they end."""
    said = []
    closing = _QUOTES[query[at]]
    here = at + 1
    while here < len(query) and query[here] not in closing:
        if query[here] == "\\" and (query[here + 1 : here + 2] or " ") in f'\\"{closing}':
            here += 1
        said.append(query[here])
        here += 1
    if here == len(query):
        raise refusal(query, at, "this quote is never closed")
    text = " ".join("".join(said).split())
    if not text:
        raise refusal(query, at, "there is nothing between these quotes")
    return text, here + 1


def _near(query: str, at: int, end: int, given: str | None) -> Token:
    if given is None:
        return Token("NEAR", "NEAR", at, end, seconds=NEAR_SECONDS)
    match = _SECONDS.fullmatch(given)
    if match is None or not 0 < float(match[1]) <= LONGEST_NEAR:
        raise refusal(
            query,
            at + len("NEAR"),
            f"behind NEAR/ come seconds, up to {LONGEST_NEAR:g}, as in NEAR/10",
        )
    return Token("NEAR", "NEAR", at, end, seconds=float(match[1]))


def _filter(query: str, match: re.Match[str]) -> Token:
    name, dotted = match[1], match[2]
    if (name == "meta") != bool(dotted):
        hint = "meta. and a name, as in meta.speaker:bob" if name == "meta" else f"{name}:VALUE"
        raise refusal(query, match.start(), f"this filter is written {hint}")
    at = match.end()
    if query[at : at + 1] in _QUOTES:
        text, end = _quote(query, at)
        if end < len(query) and not query[end].isspace() and query[end] not in ")|":
            raise refusal(query, end, "behind a filter's quotes comes a space")
    else:
        text, end = _word(query, at)
    if not text:
        raise refusal(
            query,
            at,
            f"the filter {match[0]} needs a value straight behind it (to search for the word, "
            f'write "{match[0]}")',
        )
    return Token("filter", text, match.start(), end, name + (dotted or ""))


def _refuse_misspelt(query: str, match: re.Match[str]) -> None:
    """`tags:news` is no phrase; `note:this` may be one."""
    follows = query[match.end() : match.end() + 1]
    near = difflib.get_close_matches(match[1].lower(), FILTERS, n=1, cutoff=0.8)
    if near and follows and not follows.isspace():
        raise refusal(
            query,
            match.start(),
            f"there is no filter {match[0]} (did you mean {near[0]}:? to search for the words, put "
            "them between quotes)",
        )
