"""What was heard of each phrase -> what answers the query, with one probability each.

A phrase where it was heard has its calibrated probability. From there:

- *Choice*: of phrases heard in the same place the most probable one remains.
- *NEAR*: two that are near enough are one mention, whose probability is the product; each is used
  once, in its most probable pair.
- *A recording* is as likely to hold a phrase, a choice or a NEAR as its most probable mention.
  AND multiplies, OR is 1 minus the product of what is missing, NOT is what is missing to 1.
- *A mention* answers a query as likely as it is a mention, times how likely its recording answers
  the query if it is one. So a query of one phrase has the phrase's own probabilities.

All treats what is heard in different places as independent. Nothing here knows what scanned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from earshot.query.scopes import holds
from earshot.query.tree import And, Choice, Filter, Near, Node, Not, Or, Phrase, nodes
from earshot.types import Heard, Recording

SHARED = 0.3
"""Two that share more than this of the shorter one are the same mention."""

HeardOf: TypeAlias = Callable[[Phrase | Choice, str], Sequence[Heard]]
"""All that was heard of a phrase's or choice's wordings in a recording, by its id."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One mention: what was heard, in the order in which it was said; one thing, or several near.

    `probability` is that of the mention, `confidence` that of its being an answer.
    """

    recording: str
    heard: tuple[Heard, ...]
    probability: float
    confidence: float

    @property
    def start(self) -> float:
        """Second at which the first begins."""
        return self.heard[0].start

    @property
    def end(self) -> float:
        """Second at which the last ends."""
        return max(one.end for one in self.heard)

    @property
    def score(self) -> float:
        """Mean score: 0 is perfect."""
        return sum(one.score for one in self.heard) / len(self.heard)


def answers(
    tree: Node,
    recordings: Iterable[str],
    heard: HeardOf,
    rows: Mapping[str, Recording],
) -> tuple[list[Answer], dict[str, float]]:
    """Mentions that answer a tree, and by recording how likely it does; in no order.

    rows: what is known of recordings, needed where a tree has filters.
    """
    found: list[Answer] = []
    sure: dict[str, float] = {}
    for recording in recordings:
        one = _One(recording, heard, rows.get(recording))
        mentions = one.answers(tree)
        if mentions:
            found += mentions
            sure[recording] = one.holds(tree, None)
    return found, sure


def alone(tree: Node) -> Phrase | Choice | None:
    """The phrase that a tree looks for, if its mentions answer the tree just as likely as they are.

    So it is where a tree is one phrase of one wording, with filters or without, that stands under
    nothing but AND: filters are applied before anything is heard.
    """
    if isinstance(tree, And):
        heard = [
            item
            for item in tree.items
            if any(isinstance(node, Phrase | Choice) for node in nodes(item))
        ]
        return alone(heard[0]) if len(heard) == 1 else None
    return tree if isinstance(tree, Phrase | Choice) and len(tree.wordings()) == 1 else None


def ordered(found: Iterable[Answer]) -> list[Answer]:
    """The most confident first; equal ones in an order that no search changes."""
    return sorted(
        found,
        key=lambda one: (
            -one.confidence, -one.score, one.recording, one.heard[0].channel, one.start, one.end
        ),
    )  # fmt: skip


class _One:
    """A query's answer from one recording."""

    def __init__(self, recording: str, heard: HeardOf, row: Recording | None) -> None:
        self._recording = recording
        self._heard = heard
        self._row = row
        self._known: dict[int, list[Answer]] = {}

    def answers(self, tree: Node) -> list[Answer]:
        """The mentions that answer a tree."""
        return [
            Answer(one.recording, one.heard, one.probability, one.probability * rest)
            for node, one in self._shown(tree)
            if (rest := self.holds(tree, node)) > 0
        ]

    def holds(self, node: Node, given: Node | None) -> float:
        """How likely the recording answers a node, if one mention of `given` is true."""
        if node is given:
            return 1.0
        if isinstance(node, Filter):
            return float(self._row is not None and holds(node, self._row) is True)
        if isinstance(node, Not):
            if self._row is not None and (known := holds(node, self._row)) is not None:
                return float(known)
            return 1.0 - self.holds(node.item, given)
        if isinstance(node, And):
            return _product(self.holds(item, given) for item in node.items)
        if isinstance(node, Or):
            return 1.0 - _product(1.0 - self.holds(item, given) for item in node.items)
        return max((one.probability for one in self._mentions(node)), default=0.0)

    def _shown(self, node: Node) -> list[tuple[Node, Answer]]:
        """Mentions of what a node looks for, each with the part of the tree that it is of."""
        if isinstance(node, Phrase | Choice | Near):
            return [(node, one) for one in self._mentions(node)]
        if isinstance(node, And):
            return [pair for item in node.items for pair in self._shown(item)]
        if isinstance(node, Or):
            return _apart(pair for item in node.items for pair in self._shown(item))
        return []

    def _mentions(self, node: Phrase | Choice | Near) -> list[Answer]:
        """Mentions of one thing, those that overlap merged."""
        if id(node) not in self._known:
            if isinstance(node, Near):
                found = self._pairs(node)
            else:
                found = [
                    Answer(self._recording, (one,), one.confidence, one.confidence)
                    for one in self._heard(node, self._recording)
                ]
                if len(node.wordings()) > 1:
                    found = [one for _, one in _apart((node, one) for one in found)]
            self._known[id(node)] = found
        return self._known[id(node)]

    def _pairs(self, node: Near) -> list[Answer]:
        """Two that are near each other, the most probable pairs first, each used once."""
        right = sorted(self._mentions(node.right), key=lambda one: one.start)
        pairs = []
        for one in self._mentions(node.left):
            for other in right:
                if other.start - one.end > node.seconds:
                    break
                if one.start - other.end <= node.seconds and not _overlap(one, other):
                    pairs.append((one, other))
        pairs.sort(key=lambda pair: (-pair[0].probability * pair[1].probability, _gap(*pair)))
        used: set[int] = set()
        found = []
        for pair in pairs:
            if used.isdisjoint(map(id, pair)):
                used.update(map(id, pair))
                both = sorted(
                    (part for one in pair for part in one.heard), key=lambda part: part.start
                )
                joint = pair[0].probability * pair[1].probability
                found.append(Answer(self._recording, tuple(both), joint, joint))
        return found


def _apart(found: Iterable[tuple[Node, Answer]]) -> list[tuple[Node, Answer]]:
    """Of mentions that overlap, the most probable one."""
    kept: list[tuple[Node, Answer]] = []
    for pair in sorted(found, key=lambda pair: (-pair[1].probability, -pair[1].score)):
        if not any(_overlap(pair[1], other) for _, other in kept):
            kept.append(pair)
    return kept


def _overlap(one: Answer, other: Answer) -> bool:
    """Whether parts of the two are the same mention."""
    return any(
        this.channel == that.channel
        and min(this.end, that.end) - max(this.start, that.start)
        > SHARED * min(this.end - this.start, that.end - that.start)
        for this in one.heard
        for that in other.heard
    )


def _gap(one: Answer, other: Answer) -> float:
    return max(one.start, other.start) - min(one.end, other.end)


def _product(factors: Iterable[float]) -> float:
    product = 1.0
    for factor in factors:
        product *= factor
    return product
