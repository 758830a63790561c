"""Whether a tree can be answered: does it say what to look for, and nothing twice and against it?

It knows what the parts of a tree mean for each other, and nothing of how they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from earshot.query.filters import value_of
from earshot.query.tokens import refusal
from earshot.query.tree import And, Choice, Filter, Near, Node, Not, Or, Phrase, nodes


class Kind(Enum):
    """What a part of a tree gives."""

    MENTIONS = "places where something was said"
    FILTER = "recordings, chosen by what is known of them"
    ABSENCE = "recordings in which something was not said"


def kind(node: Node) -> Kind | None:
    """What a node gives; None for an OR whose sides give different things."""
    if isinstance(node, Filter):
        return Kind.FILTER
    if isinstance(node, Not):
        return Kind.FILTER if kind(node.item) is Kind.FILTER else Kind.ABSENCE
    if isinstance(node, And):
        kinds = {kind(item) for item in node.items}
        return next((one for one in Kind if one in kinds and one is not Kind.FILTER), Kind.FILTER)
    if isinstance(node, Or):
        kinds = {kind(item) for item in node.items}
        return kinds.pop() if len(kinds) == 1 else None
    return Kind.MENTIONS


def checked(query: str, tree: Node, most_wordings: int) -> None:
    """Raises QueryError for a tree that nothing can answer."""
    wordings = 0
    for node in nodes(tree):
        if isinstance(node, Phrase | Choice):
            wordings += _count(node, most_wordings)
            if wordings > most_wordings:
                raise refusal(
                    query,
                    node.at,
                    f"up to here the query has more than {most_wordings} different wordings: ask "
                    "for less at a time",
                )
        elif isinstance(node, Or):
            _check_or(query, node)
        elif isinstance(node, Not) and kind(node.item) is Kind.ABSENCE:
            raise refusal(query, node.at, "this NOT stands before another NOT: leave both out")
    _check_channels(query, tree, True)
    for node in nodes(tree):
        if isinstance(node, And):
            _check_and(query, node)
    if kind(tree) is Kind.ABSENCE:
        raise refusal(
            query, tree.at, "this says only what must not be said: add what to search for"
        )


def _count(node: Phrase | Choice, enough: int) -> int:
    """How many texts a phrase makes, counted without making them, up to a little over `enough`."""
    if isinstance(node, Choice):
        return min(sum(_count(one, enough) for one in node.options), enough + 1)
    count = 1
    for part in node.parts:
        count = min(count * (1 if isinstance(part, str) else _count(part, enough)), enough + 1)
    return count


def _check_or(query: str, node: Or) -> None:
    kinds = [kind(item) for item in node.items]
    for item, one in zip(node.items, kinds, strict=True):
        if one is Kind.ABSENCE:
            raise refusal(
                query,
                item.at,
                "a side of OR says only what must not be said: add what to search for",
            )
        if one is Kind.FILTER and Kind.MENTIONS in kinds:
            raise refusal(
                query,
                item.at,
                "a side of OR has filters only, the other has words: add words to it",
            )


def _check_channels(query: str, node: Node, beside_words: bool) -> None:
    """A channel is a matter of words: it says where these are heard."""
    if isinstance(node, Filter):
        if node.name == "channel" and not beside_words:
            raise refusal(query, node.at, "channel: stands beside words, or behind NOT beside them")
    elif isinstance(node, And):
        for item in node.items:
            _check_channels(query, item, True)
    elif isinstance(node, Or):
        for item in node.items:
            _check_channels(query, item, False)
    elif isinstance(node, Not):
        _check_channels(query, node.item, beside_words and isinstance(node.item, Filter))


def _check_and(query: str, node: And) -> None:
    """No item may be the contrary of another."""
    seen: dict[Node, Node] = {}
    for item in node.items:
        contrary = item.item if isinstance(item, Not) else Not(item)
        if contrary in seen:
            raise refusal(
                query, item.at, "this contradicts what stands before it: nothing fits both"
            )
        seen[item] = item
    filters = [item for item in node.items if isinstance(item, Filter)]
    for at, one in enumerate(filters):
        if any(_exclude(one, other) for other in filters[:at]):
            raise refusal(
                query, one.at, "this filter contradicts one before it: no recording fits both"
            )


def _exclude(one: Filter, other: Filter) -> bool:
    """Whether two filters leave nothing."""
    pair = {one.name: value_of(one), other.name: value_of(other)}
    if one.name == other.name:
        return one.name == "channel" and one.value != other.value
    if pair.keys() == {"longer", "shorter"}:
        return float(pair["longer"]) >= float(pair["shorter"])
    if pair.keys() == {"after", "before"}:
        return str(pair["after"]) >= str(pair["before"])
    return False


def said(node: Node) -> Iterator[Phrase | Choice | Near]:
    """The parts of a tree whose mentions answer it, in order: not those that stand behind NOT."""
    if isinstance(node, Phrase | Choice | Near):
        yield node
    elif isinstance(node, And | Or):
        for item in node.items:
            yield from said(item)
