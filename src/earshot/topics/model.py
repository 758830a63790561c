"""What a topic is: questions answered by trees, and all that is known of how well they do.

Frozen values only. This module knows nothing of how a topic is learned, or kept on disk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from earshot.topics.calibrating import Curve
from earshot.topics.candidates import Candidate
from earshot.topics.targets import Kind
from earshot.topics.trees import Grown
from earshot.topics.validation import Figure, Point


@dataclass(frozen=True, slots=True)
class Example:
    """A mention that one can play: seconds in a recording (about), by channel from 0, and its
    strength (see `earshot.topics.features`)."""

    recording: str
    channel: int
    start: float
    end: float
    strength: float


@dataclass(frozen=True, slots=True)
class Sign:
    """A phrase that speaks for or against an answer.

    heard, unheard: what it adds to the log-odds, on average, where it is heard and where it is not;
    it is heard where its strength is `least` or more. in_yes, in_no: the share of recordings with
    either answer in which it is. examples: where, in recordings that it speaks for.
    """

    phrase: str
    origin: str
    heard: float
    unheard: float
    in_yes: float
    in_no: float
    least: float
    examples: tuple[Example, ...] = ()

    @property
    def weight(self) -> float:
        """How much hearing it rather than not speaks for yes, in log-odds."""
        return self.heard - self.unheard


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """What answers one question with yes or no: trees, and the way from scores to probabilities."""

    asks: str
    grown: Grown
    curve: Curve
    signs: tuple[Sign, ...]


@dataclass(frozen=True, slots=True)
class Suspect:
    """A recording whose label may be wrong.

    labelled, rather: what it is called, and what it seems to be, with that probability; quality: 0
    to 1, the lowest are the most suspect; wrong: whether it is among those that are probably wrong.
    reason: a sentence; examples: the mentions to listen to, with their phrases.
    """

    recording: str
    labelled: str
    rather: str
    probability: float
    quality: float
    wrong: bool
    reason: str
    examples: tuple[tuple[str, Example], ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a topic from recordings that it had not seen.

    figures, baselines by name; counts: (value, recordings) learned from; notes: what could not be
    used, and what should be known.
    """

    figures: Mapping[str, Figure]
    baselines: Mapping[str, Figure]
    curve: tuple[Point, ...]
    counts: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Topic:
    """A model that predicts a label from mentions.

    `phrases` are all that its questions' trees count, in their numbers; `recordings` the ids it
    learned from; `usual` the mean strength of each phrase in them and its deviation, and `seen`
    the probabilities that it gave them unseen, by question: what drift is told from.
    """

    name: str
    label: str
    kind: Kind
    values: tuple[str, ...]
    network: str
    trained: str
    phrases: tuple[Candidate, ...]
    questions: tuple[Question, ...]
    recordings: tuple[str, ...]
    usual: tuple[tuple[float, float], ...]
    seen: tuple[tuple[float, ...], ...]
    report: Report
    suspects: tuple[Suspect, ...] = ()
    rule: Mapping[str, Any] | None = None


def chosen(phrases: Sequence[Candidate], grown: Sequence[Grown]) -> tuple[list[int], list[Grown]]:
    """The phrases that any trees count, and the trees with the numbers of those."""
    used = sorted({at for one in grown for at in one.phrases})
    place = {at: number for number, at in enumerate(used)}
    renumbered = [
        Grown(
            tuple(place[at] for at in one.phrases),
            tuple((place[first], place[second]) for first, second in one.orders),
            one.text,
            one.line,
        )
        for one in grown
    ]
    return used, renumbered
