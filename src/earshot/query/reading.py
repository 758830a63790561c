"""A query's text -> a tree, or one sentence that points at the character that is wrong.

Tightest first: words side by side are one phrase; `|` between phrases that will do equally;
`NEAR`; `NOT`; `AND`, which may be left out before NOT and beside filters; `OR`. Then the tree is
checked: every way to fulfil it must name something to search for, and no part may contradict
another. How words sound and whether they are too short is not known here.

    query   = all {"OR" all}
    all     = item {["AND"] item}
    item    = ["NOT"] (near | filter)
    near    = choice {"NEAR/" seconds choice}
    choice  = phrase {"|" phrase}
    phrase  = (words | "(" query ")") {words | "(" choice ")" | filter}
"""

from __future__ import annotations

from earshot.errors import QueryError
from earshot.query.checks import Kind, checked, kind
from earshot.query.filters import value_of
from earshot.query.tokens import Sign, Token, refusal, tokens
from earshot.query.tree import And, Choice, Filter, Near, Node, Not, Or, Phrase, Said

DEEPEST = 20  # parentheses within each other
MOST_WORDINGS = 32  # texts that one query is searched for in


def read(query: str) -> Node:
    """The tree of a query that can be searched for; raises QueryError of one line otherwise."""
    tree = _Reader(query).whole()
    if kind(tree) is Kind.FILTER:
        raise refusal(query, 0, "there are only filters here, and nothing to search for: add words")
    return tree


def read_filters(text: str) -> Node | None:
    """The tree of a text of filters alone, None if it is empty; raises QueryError otherwise."""
    if not text.strip():
        return None
    tree = _Reader(text).whole()
    if kind(tree) is not Kind.FILTER:
        raise refusal(text, 0, "only filters can stand here, as in tag:news")
    return tree


class _Reader:
    """Reads one query from left to right, one token ahead."""

    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = list(tokens(query))
        self._at = 0
        self._depth = 0
        # Filters that stood among words: they belong to what AND joins around them.
        self._aside: list[Filter] = []

    def whole(self) -> Node:
        """The tree of the whole query."""
        if self._next.kind == "end":
            raise QueryError("The query is empty: give at least one word.", 0)
        tree = self._any()
        if self._next.kind == ")":
            raise self._refuse("nothing opens this ')' (for the sign itself write \\))")
        checked(self._query, tree, MOST_WORDINGS)
        return tree

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _skip(self, kind: Sign) -> bool:
        found = self._next.kind == kind
        self._at += found
        return found

    def _refuse(self, reason: str, at: int | None = None) -> QueryError:
        return refusal(self._query, self._next.start if at is None else at, reason)

    def _any(self) -> Node:
        at = self._next.start
        items = [self._all()]
        while self._skip("OR"):
            items.append(self._all())
        return items[0] if len(items) == 1 else Or(tuple(items), at)

    def _all(self) -> Node:
        at = self._next.start
        outside, self._aside = self._aside, []
        items: list[Node] = []
        while True:
            item = self._item()
            items += [item, *self._aside]
            self._aside.clear()
            if self._skip("AND") or self._next.kind in ("NOT", "filter"):
                continue
            if self._next.kind in ("words", "(") and isinstance(_bare(item), Filter):
                continue
            break
        if self._next.kind in ("words", "("):
            raise self._refuse("before this AND, OR, NEAR or | is missing")
        self._aside = outside
        return items[0] if len(items) == 1 else And(tuple(items), at)

    def _item(self) -> Node:
        at = self._next.start
        if self._skip("NOT"):
            if self._next.kind == "NOT":
                raise self._refuse("NOT stands here twice")
            return Not(self._item(), at)
        if self._next.kind == "filter":
            return self._filter()
        return self._near()

    def _near(self) -> Node:
        left = self._choice()
        while self._next.kind == "NEAR":
            near = self._take()
            start = self._next.start
            right = self._choice()
            left = Near(self._said(left, near.start), self._said(right, start), near.seconds,
                        near.start)  # fmt: skip
        return left

    def _said(self, node: Node, at: int) -> Said:
        if isinstance(node, Phrase | Choice | Near):
            return node
        raise self._refuse("beside NEAR come words, or NEAR again, not AND, OR, NOT, filters", at)

    def _choice(self) -> Node:
        at = self._next.start
        first = self._phrase()
        if self._next.kind != "|":
            return first
        options = self._options(first, at)
        while self._skip("|"):
            start = self._next.start
            options += self._options(self._phrase(), start)
        unique = tuple(dict.fromkeys(options))
        return unique[0] if len(unique) == 1 else Choice(unique, at)

    def _options(self, node: Node, at: int) -> list[Phrase]:
        if isinstance(node, Choice):
            return list(node.options)
        if isinstance(node, Phrase):
            return [node]
        raise self._refuse("| stands between words and phrases: write OR instead", at)

    def _phrase(self) -> Node:
        at = self._next.start
        parts: list[str | Choice] = []
        while True:
            if self._next.kind == "words":
                _join(parts, self._take().text)
            elif self._next.kind == "(":
                here = self._next.start
                inner = self._group()
                if isinstance(inner, Choice):
                    parts.append(inner)
                elif isinstance(inner, Phrase):
                    for part in inner.parts:
                        _join(parts, part)
                elif not parts:
                    return inner
                else:
                    raise self._refuse("before this '(' AND, OR or NEAR is missing", here)
            elif self._next.kind == "filter" and parts:
                self._aside.append(self._filter())
            else:
                break
        if not parts:
            raise self._missing()
        if len(parts) == 1 and isinstance(parts[0], Choice):
            return parts[0]
        return Phrase(tuple(parts), at)

    def _missing(self) -> QueryError:
        """What to say where words should come and do not."""
        before = self._tokens[self._at - 1] if self._at else None
        here = self._next
        if here.kind == "filter":
            return self._refuse("a filter cannot stand here: put it in front of the words")
        if here.kind == "NOT":
            return self._refuse("NOT cannot stand here: join it with AND")
        if before is not None and before.kind == "(" and here.kind == ")":
            return self._refuse("there is nothing between these parentheses", before.start)
        if before is not None and before.kind not in ("words", "filter"):
            return self._refuse(f"behind {before.text} words are missing" + _literally(before),
                                before.start)  # fmt: skip
        return self._refuse(f"before {here.text} words are missing" + _literally(here))

    def _group(self) -> Node:
        opening = self._take()
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._refuse(
                f"more than {DEEPEST} parentheses stand within each other", opening.start
            )
        tree = self._any()
        if not self._skip(")"):
            raise self._refuse("this '(' is never closed (for the sign itself write \\()",
                               opening.start)  # fmt: skip
        self._depth -= 1
        return tree

    def _filter(self) -> Filter:
        token = self._take()
        found = Filter(token.name, token.text, token.start)
        try:
            value_of(found)
        except QueryError as error:
            raise self._refuse(str(error), token.start) from None
        return found


def _join(parts: list[str | Choice], part: str | Choice) -> None:
    """Texts side by side are one text."""
    if parts and isinstance(part, str) and isinstance(parts[-1], str):
        parts[-1] = f"{parts[-1]} {part}"
    else:
        parts.append(part)


def _bare(node: Node) -> Node:
    return node.item if isinstance(node, Not) else node


def _literally(token: Token) -> str:
    if token.kind in ("AND", "OR", "NOT", "NEAR"):
        return f' (for the word itself write "{token.text.lower()}")'
    return ""
