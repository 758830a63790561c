"""Where each phrase of a query needs to be searched: filters are applied before anything is heard.

What is known of a recording may decide a query, or a part of it, without listening: then none of
its tracks is scanned for that part. This module knows nothing of what a scan is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from earshot.query.filters import fits, value_of
from earshot.query.tree import And, Choice, Filter, Near, Node, Not, Or, Phrase, nodes
from earshot.types import Recording

Tracks = frozenset[int]
Scopes = Mapping[int, Tracks]
"""By `id` of a phrase or choice of a tree: the tracks that it is searched in, as indexes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A track: the recording's id, and the channel counted from 0."""

    recording: str
    channel: int


def all_of(filters: Node | None, tree: Node) -> Node:
    """A tree under filters that stand outside of it, as if they had been written in front."""
    if filters is None:
        return tree
    return And((*(filters.items if isinstance(filters, And) else (filters,)), tree), tree.at)


def narrowed(tree: Node) -> bool:
    """Whether a tree has filters, so that something must be known of recordings."""
    return any(isinstance(node, Filter) for node in nodes(tree))


def scopes(tree: Node, places: Sequence[Place], rows: Mapping[str, Recording]) -> Scopes:
    """The tracks (indexes in `places`) that each phrase and choice of a tree is searched in.

    rows: what is known of recordings, by id; those that are not there are searched nowhere if the
    tree has filters.
    """
    found: dict[int, Tracks] = {}
    everywhere = frozenset(range(len(places)))
    if narrowed(tree):
        everywhere = frozenset(at for at in everywhere if places[at].recording in rows)
    _narrow(tree, everywhere, places, rows, found)
    return found


def holds(node: Node, recording: Recording) -> bool | None:
    """Whether a node is true of a recording as far as filters decide that; None: they do not."""
    if isinstance(node, Filter):
        return True if node.name == "channel" else fits(node, recording)
    if isinstance(node, Not):
        if _channel(node.item):
            return True
        inner = holds(node.item, recording)
        return None if inner is None else not inner
    if isinstance(node, And | Or):
        decides = isinstance(node, Or)
        values = [holds(item, recording) for item in node.items]
        if decides in values:
            return decides
        return None if None in values else not decides
    return None


def named(tree: Node | None) -> tuple[str, ...] | None:
    """How an id begins, one of these ways, if filters are to hold for its recording; None: anyhow.

    So whoever looks for one recording need not read what is known of all.
    """
    if isinstance(tree, Filter) and tree.name == "id":
        return (str(value_of(tree)),)
    if isinstance(tree, And):
        return next((one for item in tree.items if (one := named(item)) is not None), None)
    if isinstance(tree, Or):
        each = [named(item) for item in tree.items]
        return None if None in each else tuple(way for one in each for way in one or ())
    return None


def _narrow(
    node: Node,
    tracks: Tracks,
    places: Sequence[Place],
    rows: Mapping[str, Recording],
    found: dict[int, Tracks],
) -> None:
    if isinstance(node, Phrase | Choice):
        found[id(node)] = tracks
        return
    items: tuple[Node, ...] = ()
    if isinstance(node, Near):
        items = (node.left, node.right)
    elif isinstance(node, Not):
        items = (node.item,)
    elif isinstance(node, Or):
        items = node.items
    elif isinstance(node, And):
        items = node.items
        if narrowed(node):
            there = {places[at].recording for at in tracks}
            there = {one for one in there if holds(node, rows[one]) is not False}
            heard = _heard(node)
            tracks = frozenset(
                at for at in tracks if places[at].recording in there and heard(places[at].channel)
            )
    for item in items:
        _narrow(item, tracks, places, rows, found)


def _heard(node: And) -> Callable[[int], bool]:
    """Which channels the words of a node are searched on."""
    only = {value_of(one) for one in node.items if isinstance(one, Filter) and _channel(one)}
    but = {
        value_of(one.item)
        for one in node.items
        if isinstance(one, Not) and isinstance(one.item, Filter) and _channel(one)
    }
    return lambda channel: (not only or channel + 1 in only) and channel + 1 not in but


def _channel(node: Node) -> bool:
    one = node.item if isinstance(node, Not) else node
    return isinstance(one, Filter) and one.name == "channel"
