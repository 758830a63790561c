"""A query as a tree, and a tree as text again: `read(str(tree))` gives the tree back.

    Phrase   words said one after the other; a part of it may be a choice
    Choice   several phrases, any of which will do
    Near     two things said within so many seconds of each other
    And, Or, Not   recordings, by what is said in them
    Filter   recordings, by what is known of them

A tree says nothing of how it is answered, and knows neither sounds nor libraries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import TypeAlias

FILTERS = (
    "tag", "title", "date", "after", "before", "channel", "longer", "shorter", "id", "meta",
)  # fmt: skip
"""The names that a filter can have; `meta` is followed by a dot and a name of the user's."""

OPERATORS = ("AND", "OR", "NOT", "NEAR")
NEAR_SECONDS = 10.0
"""How near NEAR is when it does not say."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words in this order: texts, and choices between phrases; `at` is where it stands."""

    parts: tuple[str | Choice, ...]
    at: int = field(default=0, compare=False)

    def wordings(self) -> tuple[str, ...]:
        """Every text that the choices in it make, in the order in which they are written."""
        ways = ((part,) if isinstance(part, str) else part.wordings() for part in self.parts)
        return tuple(dict.fromkeys(" ".join(way) for way in product(*ways)))

    def __str__(self) -> str:
        return " ".join(
            quoted_words(part) if isinstance(part, str) else f"({part})" for part in self.parts
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """Any one of these phrases."""

    options: tuple[Phrase, ...]
    at: int = field(default=0, compare=False)

    def wordings(self) -> tuple[str, ...]:
        """Every text of every phrase."""
        return tuple(dict.fromkeys(text for one in self.options for text in one.wordings()))

    def __str__(self) -> str:
        return " | ".join(map(str, self.options))


@dataclass(frozen=True, slots=True)
class Near:
    """Both said in one recording, at most so many seconds apart, in any order."""

    left: Said
    right: Said
    seconds: float = NEAR_SECONDS
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        right = f"({self.right})" if isinstance(self.right, Near) else str(self.right)
        return f"{self.left} NEAR/{self.seconds:g} {right}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Recordings of which this is known; `name` is one of FILTERS, or `meta.` and a name."""

    name: str
    value: str
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        plain = _PLAIN_VALUE.fullmatch(self.value)
        return f"{self.name}:{self.value if plain else _quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class Not:
    """Recordings that the rest is not true of."""

    item: Node
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        inner = f"({self.item})" if isinstance(self.item, And | Or | Not) else str(self.item)
        return f"NOT {inner}"


@dataclass(frozen=True, slots=True)
class And:
    """Recordings that all of it is true of."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return " AND ".join(
            f"({item})" if isinstance(item, And | Or) else str(item) for item in self.items
        )


@dataclass(frozen=True, slots=True)
class Or:
    """Recordings that any of it is true of."""

    items: tuple[Node, ...]
    at: int = field(default=0, compare=False)

    def __str__(self) -> str:
        return " OR ".join(
            f"({item})" if isinstance(item, Or) else str(item) for item in self.items
        )


Said: TypeAlias = Phrase | Choice | Near
"""What has mentions: a place in a recording where it was said."""

Node: TypeAlias = Phrase | Choice | Near | Filter | Not | And | Or


def nodes(tree: Node) -> Iterator[Node]:
    """A tree's nodes, parents first, without what is inside of phrases and choices."""
    yield tree
    if isinstance(tree, And | Or):
        for item in tree.items:
            yield from nodes(item)
    elif isinstance(tree, Near):
        yield from nodes(tree.left)
        yield from nodes(tree.right)
    elif isinstance(tree, Not):
        yield from nodes(tree.item)


def quoted_words(text: str) -> str:
    """Words as a query says them: bare where that means the same, else between quotes."""
    bare = all(
        _PLAIN_WORD.fullmatch(word) and word not in OPERATORS
        for word in _PHONES.sub("", text).split()
    )
    return text if bare else _quoted(text)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


# What needs no quotes, whatever stands around it.
_PLAIN_WORD = re.compile(r"[^\W_](?:[\w.,'$€£%-]*[^\W_])?")
_PHONES = re.compile(r"(?<!\S)/[A-Za-z ]+[A-Za-z]/(?!\S)")
_PLAIN_VALUE = re.compile(r"\w[\w.:+-]*")
