"""When a topic should call somebody: a rule, the threshold that follows from it, and alerts.

A rule says what is wanted: so many alerts a day, such a share of them right, or what a missed one
costs against a false one; the threshold comes from probabilities that recordings were given by
trees which had not seen them. Alerts are values; `write_mail` drops one as a file of an e-mail,
others may send them elsewhere. Which recordings were looked at is remembered beside the topic,
after what was found in them is in the caller's hands: an alert may come twice, never not at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from earshot.errors import UsageError
from earshot.index.durable import discard, write_atomically, writing
from earshot.library import Library
from earshot.topics import shelf
from earshot.topics.evidence import Progress
from earshot.topics.judging import Judgement, judge
from earshot.topics.model import Topic
from earshot.topics.targets import joined
from earshot.types import Recording

By = Literal["probability", "precision", "cost", "per-day"]

_TOLD = ".told"
_DAY = 86400.0
_RECENT_DAYS = 30.0

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is alerted on: recordings of a value, and how the threshold is chosen.

    wanted: of `probability` the threshold itself, of `precision` the share of the alerts that are
    to be right, of `cost` what a missed one costs if a false one costs 1, of `per-day` how many
    alerts a day. threshold: the probability from which on there is an alert. precision, recall: of
    alerts at that threshold, on recordings not learned from; None where nothing reaches it.
    """

    value: str
    by: By
    wanted: float
    threshold: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Alert:
    """A recording that a topic calls somebody for; probability: that of the rule's value."""

    topic: str
    label: str
    rule: Rule
    probability: float
    judgement: Judgement


def rule_of(topic: Topic) -> Rule | None:
    """The topic's rule, if it has one."""
    return Rule(**topic.rule) if topic.rule is not None else None


def set_rule(
    library: Library, topic: Topic, value: str, by: By, wanted: float, *, retroactive: bool = False
) -> Rule:
    """Let a topic alert on recordings of a value; keeps it in the library.

    retroactive: recordings that are there already are alerted on as well. Raises UsageError for a
    value that the topic does not know, or where nothing fulfils the rule.
    """
    rate = None
    if by == "per-day":
        found = library.list()
        sure = np.array([one.probabilities for one in judge(library, topic, found)])
        rate = (sure[:, _value(topic, value)], recordings_a_day(found))
    rule = chosen(topic, value, by, wanted, rate)
    shelf.save(library.path, replace(topic, rule=asdict(rule)))
    if not retroactive:
        _remember(library.path, topic.name, [one.id for one in library.list()])
    return rule


def without_rule(library: Library, topic: Topic) -> None:
    """Let a topic alert no more."""
    shelf.save(library.path, replace(topic, rule=None))
    discard(_path(library.path, topic.name))


def renewed(topic: Topic, rule: Rule) -> Topic:
    """A topic that was trained again, with the rule that it had and the threshold that follows now.

    Where nothing fulfils it any more it has none, and a note says so. The threshold of so many a
    day stays: how often recordings come is not learned.
    """
    try:
        if rule.by != "per-day":
            rule = chosen(topic, rule.value, rule.by, rule.wanted)
        else:
            _value(topic, rule.value)
        return replace(topic, rule=asdict(rule))
    except UsageError as error:
        note = f"it alerts no more: {error}"
        notes = (*topic.report.notes, note)
        return replace(topic, rule=None, report=replace(topic.report, notes=notes))


def chosen(
    topic: Topic, value: str, by: By, wanted: float, rate: tuple[Floats, float] | None = None
) -> Rule:
    """The rule with its threshold. rate: the probabilities of that value of recordings as they
    come, and how many come a day; for `per-day` alone."""
    at = _value(topic, value)
    sure, truth = _unseen(topic, at)
    if by == "probability":
        _inside(wanted, 0.0, 1.0, "a probability")
        threshold = wanted
    elif by == "cost":
        _inside(wanted, 0.0, 1e6, "a cost")
        # An alert is worth it where what it saves, on average, is more than what it costs.
        threshold = 1 / (1 + wanted)
    elif by == "precision":
        _inside(wanted, 0.0, 1.0, "a precision")
        threshold = _precise(sure, truth, wanted, topic, value)
    else:
        _inside(wanted, 0.0, 1e6, "a number of alerts")
        threshold = _as_many(wanted, rate)
    shown = sure >= threshold
    precision = float(truth[shown].mean()) if shown.any() else None
    recall = float(shown[truth].mean()) if truth.any() else None
    return Rule(topic.values[at], by, wanted, round(threshold, 4), precision, recall)


def alerts(
    library: Library, topic: Topic, progress: Progress | None = None
) -> tuple[list[Alert], Callable[[], None]]:
    """Alerts on recordings that were not looked at yet, the surest first; and what to call when
    they are delivered, so that they are not told again.

    Raises UsageError for a topic without a rule.
    """
    rule = rule_of(topic)
    if rule is None:
        raise UsageError(
            f"the topic '{topic.name}' has no rule to alert by: earshot topic alert {topic.name}"
        )
    told = _told(library.path, topic.name)
    there = library.list()
    # What grows is not over: it is judged when it is.
    new = [one for one in there if one.id not in told and one.growing is None]
    at = _value(topic, rule.value)
    found = [
        Alert(topic.name, topic.label, rule, one.probabilities[at], one)
        for one in judge(library, topic, new, progress)
        if one.probabilities[at] >= rule.threshold
    ]
    found.sort(key=lambda one: -one.probability)
    done = [one.id for one in there if one.growing is None]
    return found, lambda: _remember(library.path, topic.name, done)


def write_mail(folder: Path, alert: Alert, sender: str, receivers: Sequence[str]) -> Path:
    """Drop an alert as the file of an e-mail (RFC 5322), whole or not at all; its path."""
    one = alert.judgement
    chance = alert.probability
    mail = EmailMessage()
    mail["Subject"] = _line(f"{alert.label}: {alert.rule.value} ({chance:.0%}): "
                            f"{one.recording.title}")  # fmt: skip
    mail["From"] = _line(sender)
    mail["To"] = ", ".join(map(_line, receivers))
    mail["Date"] = datetime.now(UTC)
    mail["X-Earshot-Recording"] = one.recording.id
    mail["X-Earshot-Topic"] = alert.topic
    lines = [
        f"Recording {one.recording.id} '{one.recording.title}' is '{alert.rule.value}' by the "
        f"topic '{alert.topic}', with a probability of {chance:.0%} (alerts from "
        f"{alert.rule.threshold:.0%} on).",
        "",
        "Because of:",
    ]
    for why in one.because:
        lines.append(f"- {why.phrase}{'' if why.heard else ' (not heard)'}: {why.adds:+.1f}")
        lines += [
            f"    earshot clip {each.recording} {each.start:.1f} {each.end:.1f}"
            for each in why.examples
            if why.heard
        ]
    mail.set_content("\n".join([*lines, ""]))
    path = folder / f"{alert.topic}-{one.recording.id}.eml"
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, mail.as_bytes())
    return path


def recordings_a_day(recordings: Sequence[Recording]) -> float:
    """How many come a day, by the dates of those of the last thirty days that there are."""
    times = np.sort([datetime.fromisoformat(one.added).timestamp() for one in recordings])
    if not len(times):
        return 0.0
    recent = times[times >= times[-1] - _RECENT_DAYS * _DAY]
    return len(recent) / max(float(recent[-1] - recent[0]) / _DAY, 1.0)


def _value(topic: Topic, value: str) -> int:
    for at, name in enumerate(topic.values):
        if name.casefold() == value.casefold():
            return at
    raise UsageError(
        f"the topic '{topic.name}' knows no value '{value}': it knows {', '.join(topic.values)}"
    )


def _unseen(topic: Topic, value: int) -> tuple[Floats, Bools]:
    """Of the recordings learned from: the probability of a value, unseen, and who has it."""
    labelled = {one.recording: one.labelled for one in topic.suspects}
    truth = np.array([labelled.get(name) == topic.values[value] for name in topic.recordings])
    return joined(topic.kind, np.array(topic.seen).T)[:, value], truth


def _precise(sure: Floats, truth: Bools, wanted: float, topic: Topic, value: str) -> float:
    order = np.argsort(-sure, kind="stable")
    right = np.cumsum(truth[order]) / np.arange(1, len(order) + 1)
    ranked = sure[order]
    last = np.append(ranked[1:] < ranked[:-1], True)  # of equal ones all alert, or none
    enough = np.flatnonzero(last & (right >= wanted))
    if not len(enough):
        best = float(right[last].max())
        raise UsageError(
            f"at no threshold {wanted:.0%} of the alerts of '{topic.name}' on '{value}' are right, "
            f"at best {best:.0%}: ask for less, or label more recordings"
        )
    return float(ranked[enough[-1]])


def _as_many(wanted: float, rate: tuple[Floats, float] | None) -> float:
    if rate is None or not len(rate[0]) or not rate[1]:
        raise UsageError("the library has no recordings from which to tell how many come a day")
    sure, a_day = rate
    share = min(wanted / a_day, 1.0)
    return float(np.quantile(sure, 1 - share))


def _inside(number: float, least: float, most: float, what: str) -> None:
    if not least < number <= most:
        raise UsageError(f"{number:g} is not {what}: expected more than {least:g}, up to {most:g}")


def _path(folder: Path, name: str) -> Path:
    return shelf.path_of(folder, name).with_suffix(_TOLD)


def _told(folder: Path, name: str) -> frozenset[str]:
    try:
        return frozenset(json.loads(_path(folder, name).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return frozenset()  # told twice rather than never


def _remember(folder: Path, name: str, recordings: Sequence[str]) -> None:
    write_atomically(_path(folder, name), json.dumps(list(recordings)).encode())


def _line(text: str) -> str:
    """A text that fits into a header: no title may bring headers of its own."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
