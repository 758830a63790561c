"""A topic on recordings: what it says of each, how surely, and because of what.

The same whether a recording is judged alone, as it arrives, or among all of a library afterwards:
what is heard in it does not depend on others. Also: how well a topic does on labelled recordings
that it has not learned from. This module knows nothing of how a topic is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earshot.errors import OtherNetwork, UsageError
from earshot.library import Library
from earshot.topics.calibrating import Floats, probability
from earshot.topics.evidence import Progress, gather
from earshot.topics.features import table
from earshot.topics.labels import Labels
from earshot.topics.model import Example, Topic
from earshot.topics.targets import answers, joined
from earshot.topics.telling import examples
from earshot.topics.validation import Figure, figures
from earshot.types import Recording

_REASONS = 3


@dataclass(frozen=True, slots=True)
class Because:
    """A phrase that decided: whether it was heard, what that added to the log-odds, and where."""

    phrase: str
    heard: bool
    adds: float
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a topic says of a recording.

    `value` is the likeliest, `probability` its own; low, high: the interval in which that lies, as
    far as the labelled recordings can tell. probabilities: of all values, in the topic's order.
    known: whether the topic learned from this recording, so that it cannot be surprised by it.
    """

    recording: Recording
    value: str
    probability: float
    low: float
    high: float
    probabilities: tuple[float, ...]
    because: tuple[Because, ...]
    known: bool = False


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a topic does on labelled recordings that it has not learned from.

    confused: by label and answer the number of recordings.
    """

    recordings: int
    figures: Mapping[str, Figure]
    confused: Mapping[tuple[str, str], int]


def judge(
    library: Library,
    topic: Topic,
    recordings: Sequence[Recording],
    progress: Progress | None = None,
) -> tuple[Judgement, ...]:
    """What a topic says of these recordings of the library, in their order.

    Raises OtherNetwork where another network made the library than the topic was trained with.
    """
    if not recordings:
        return ()
    field = library.field()
    if field.snapshot.manifest.network.fingerprint != topic.network:
        raise OtherNetwork(
            f"the topic '{topic.name}' was trained with another network than the one that made "
            f"{library.path}: train it again"
        )
    evidence = gather(field, library.path, topic.phrases, [one.id for one in recordings], progress)
    numbers = table(evidence)
    scores = np.column_stack([one.grown.scores(numbers) for one in topic.questions])
    ends = [one.curve.interval(scores[:, at]) for at, one in enumerate(topic.questions)]
    low, high = (np.column_stack([each[side] for each in ends]) for side in (0, 1))
    yes = probability(low, high)
    sure = joined(topic.kind, yes)
    adds = [one.grown.contributions(numbers) for one in topic.questions]
    least = [{sign.phrase: sign.least for sign in one.signs} for one in topic.questions]
    learned = frozenset(topic.recordings)
    found = []
    for row, recording in enumerate(recordings):
        # Steps of the calibration make ties: the scores decide those.
        value = int(sure[row].argmax())
        question = _question(topic, value)
        right = bool(answers(topic.kind, np.array([value]), question)[0])
        ends_of = (low[row, question], high[row, question])
        bottom, top = ends_of if right else (1 - ends_of[1], 1 - ends_of[0])
        if topic.kind == "grades":
            bottom, top = _of_grade(low[row], high[row], value)
        own = topic.questions[question].grown.phrases
        order = np.argsort(-np.abs(adds[question][row, : len(own)]), kind="stable")[:_REASONS]
        because = tuple(
            Because(
                topic.phrases[own[at]].text,
                bool(
                    numbers.values[row, own[at], 0] >= least[question][topic.phrases[own[at]].text]
                ),
                float(adds[question][row, at]),
                examples(evidence, numbers, own[at], np.array([row]), 1),
            )
            for at in order.tolist()
        )
        chance = float(sure[row, value])
        found.append(
            Judgement(
                recording, topic.values[value], chance, min(float(bottom), chance),
                max(float(top), chance), tuple(map(float, sure[row])), because,
                recording.id in learned,
            )
        )  # fmt: skip
    return tuple(found)


def evaluate(
    library: Library,
    topic: Topic,
    label: str | None = None,
    where: str = "",
    progress: Progress | None = None,
) -> Evaluation:
    """Compare a topic with what is labelled of recordings that it has not learned from.

    label: another label that has the same values (default: the topic's own). Raises UsageError
    where there are none.
    """
    labels = Labels(library.path)
    label = labels.require(label or topic.label)
    known = {value.casefold(): at for at, value in enumerate(topic.values)}
    learned = frozenset(topic.recordings)
    verdicts = labels.verdicts(label)
    asked: list[Recording] = []
    truth = []
    for one in library.list(where):
        said = verdicts[one.id].value if one.id in verdicts else None
        if said is not None and one.id not in learned and said.casefold() in known:
            asked.append(one)
            truth.append(known[said.casefold()])
    if not asked:
        raise UsageError(
            f"no recording is labelled '{label}' that the topic '{topic.name}' has not learned "
            f"from; `earshot topic show {topic.name}` has figures of its own, which are from "
            "recordings that it had not seen either"
        )
    found = judge(library, topic, asked, progress)
    sure = np.array([one.probabilities for one in found])
    right = np.array(truth, np.int64)
    measured = figures(sure, right, np.arange(len(right)), topic.kind)
    confused: dict[tuple[str, str], int] = {}
    for judged, at in zip(found, truth, strict=True):
        key = (topic.values[at], judged.value)
        confused[key] = confused.get(key, 0) + 1
    return Evaluation(len(asked), measured, confused)


def _question(topic: Topic, value: int) -> int:
    """The question whose answer tells most of a value."""
    if topic.kind == "values":
        return value
    if topic.kind == "yes/no":
        return 0
    return min(value, len(topic.questions) - 1)


def _of_grade(low: Floats, high: Floats, value: int) -> tuple[float, float]:
    """The interval of a grade: above the one before it, and not above itself."""
    above = (1.0, 1.0) if value == 0 else (float(low[value - 1]), float(high[value - 1]))
    beyond = (0.0, 0.0) if value == len(low) else (float(low[value]), float(high[value]))
    return max(above[0] - beyond[1], 0.0), min(max(above[1] - beyond[0], 0.0), 1.0)
