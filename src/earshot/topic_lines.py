"""Topics as people read them on a terminal, and as programs read them as JSON.

It knows what a topic tells, and nothing of libraries.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from earshot.present import plain_table, printable, say

if TYPE_CHECKING:
    from earshot.topics import (
        Alert,
        Drift,
        Evaluation,
        Example,
        Figure,
        Judgement,
        Rule,
        Sign,
        Topic,
    )

_FIGURES = {
    "accuracy": "of the answers are right",
    "f1": "F1",
    "auc": "AUC",
    "brier": "Brier score (0 is perfect)",
    "error": "steps between grade and answer, on average",
}
_PERCENT = ("accuracy",)


def topic_line(topic: Topic) -> str:
    """A topic as one line of JSON: all but its trees."""
    report = topic.report
    fields: dict[str, Any] = {
        "name": topic.name,
        "label": topic.label,
        "kind": topic.kind,
        "values": topic.values,
        "trained": topic.trained,
        "recordings": len(topic.recordings),
        "counts": dict(report.counts),
        "figures": {name: asdict(one) for name, one in report.figures.items()},
        "baselines": {name: asdict(one) for name, one in report.baselines.items()},
        "curve": [asdict(one) for one in report.curve],
        "notes": report.notes,
        "questions": [
            {"asks": one.asks, "phrases": [asdict(sign) | {"weight": sign.weight}
                                           for sign in one.signs]}
            for one in topic.questions
        ],
        "suspects": [asdict(one) for one in topic.suspects],
        "rule": topic.rule,
    }  # fmt: skip
    return json.dumps(_rounded(fields))


def print_topic(
    terminal: Console, topic: Topic, titles: Mapping[str, str], *, phrases: int, suspects: int
) -> None:
    """Show a topic to a person; titles: of recordings, by id."""
    report = topic.report
    counts = ", ".join(f"{value} {count}" for value, count in report.counts)
    terminal.print(Text(printable(f"{topic.name}: tells '{topic.label}' ({counts})"), "bold"))
    terminal.print(Text(_head(topic)), soft_wrap=True)
    for note in report.notes:
        terminal.print(Text(f"note: {printable(note)}", style="dim"), soft_wrap=True)
    terminal.print(_figures_table(report.figures, report.baselines))
    if report.curve:
        points = "  ".join(f"{one.recordings}: {one.accuracy:.0%}" for one in report.curve)
        terminal.print(Text(f"accuracy after so many labelled recordings  {points}"))
    for question in topic.questions:
        if phrases:
            terminal.print(Text(f"\n{_asks(topic, question.asks)}", style="bold"))
            terminal.print(_signs_table(question.signs[:phrases], titles))
    if suspects and topic.suspects:
        wrong = sum(one.wrong for one in topic.suspects)
        line = f"\nlabels that look wrong: {wrong}, the most suspect first"
        terminal.print(Text(line, style="bold"))
        for one in topic.suspects[:suspects]:
            title = printable(titles.get(one.recording, "(removed)"))
            terminal.print(Text(f"{one.recording}  {title}  {printable(one.reason)}"),
                           soft_wrap=True)  # fmt: skip
            for phrase, example in one.examples[:2]:
                terminal.print(Text(f"    {_clip(example)}  # {printable(phrase)}", style="dim"),
                               soft_wrap=True)  # fmt: skip
        name = topic.label
        say = f"To correct one: earshot label set RECORDING '{name}' VALUE, then train again."
        terminal.print(Text(printable(say), style="dim"), soft_wrap=True)


def print_judgements(
    terminal: Console, topic: Topic, found: Sequence[Judgement], wanted: int, *, as_json: bool
) -> None:
    """Show what a topic says of recordings; wanted: the value whose probability is shown."""
    if as_json:
        for one in found:
            recording = one.recording
            fields = asdict(one) | {
                "recording": recording.id,
                "title": recording.title,
                "probabilities": dict(zip(topic.values, one.probabilities, strict=True)),
            }
            terminal.file.write(json.dumps(_rounded(fields)) + "\n")
        return
    value = topic.values[wanted]
    shown = plain_table("Id", "Recording", "Is", "Surely", f"P({value})", "Because")
    for one in found:
        title = Text(printable(one.recording.title) + (" *" if one.known else ""))
        because = ", ".join(
            f"{each.phrase}{'' if each.heard else ' not heard'} {each.adds:+.1f}"
            for each in one.because
        )
        shown.add_row(
            one.recording.id, title, Text(printable(one.value)),
            f"{one.probability:.0%} ({one.low:.0%}-{one.high:.0%})",
            f"{one.probabilities[wanted]:.0%}", Text(printable(because), style="dim"),
        )  # fmt: skip
    terminal.print(shown)
    if any(one.known for one in found):
        terminal.print(Text("* it has learned from this recording", style="dim"))


def print_evaluation(terminal: Console, topic: Topic, found: Evaluation) -> None:
    """Show how a topic does on recordings that it has not learned from."""
    terminal.print(Text(f"{found.recordings} labelled recordings that it has not learned from"))
    terminal.print(_figures_table(found.figures, {}))
    shown = plain_table("Labelled", "Told", "Recordings")
    for (label, told), count in sorted(found.confused.items()):
        style = "" if label == told else "red"
        shown.add_row(Text(printable(label)), Text(printable(told), style=style), str(count))
    terminal.print(shown)


def rule_text(topic: Topic, rule: Rule | None) -> str:
    """What a topic alerts on, in a sentence."""
    if rule is None:
        return f"{topic.name} has no rule to alert by: give --precision, --per-day or --cost"
    text = f"{topic.name} alerts on '{rule.value}' from {rule.threshold:.0%} on"
    if rule.precision is None:
        return f"{text}, which no recording that it learned from reaches"
    recall = f", {rule.recall:.0%} of all are told" if rule.recall is not None else ""
    return f"{text}: of those it learned from, {rule.precision:.0%} of the alerts are right{recall}"


def print_alert(alert: Alert, *, as_json: bool) -> None:
    """Show an alert."""
    one = alert.judgement
    if as_json:
        fields = {
            "topic": alert.topic,
            "label": alert.label,
            "value": alert.rule.value,
            "probability": alert.probability,
            "threshold": alert.rule.threshold,
            "recording": one.recording.id,
            "title": one.recording.title,
            "because": [asdict(each) for each in one.because],
        }
        line = json.dumps(_rounded(fields))
    else:
        chance = f"{alert.rule.value} {alert.probability:.0%}"
        line = f"{alert.topic}  {chance}  {one.recording.id}  {one.recording.title}"
    say(line)


def print_drift(terminal: Console, topic: Topic, found: Drift) -> None:
    """Show whether recordings have changed."""
    if not found.drifts:
        text = f"{found.recordings} recordings sound like those that '{topic.name}' learned from"
        terminal.print(Text(printable(text)))
        return
    text = (
        f"{found.recordings} recordings sound otherwise than those that '{topic.name}' learned "
        "from: label some of them and train again"
    )
    terminal.print(Text(printable(text)), soft_wrap=True)
    shown = plain_table("Phrase", "Strength before", "Now", "By chance")
    for one in found.phrases:
        shown.add_row(
            Text(printable(one.phrase)), f"{one.before:+.2f}", f"{one.now:+.2f}",
            f"{one.chance:.1e}",
        )  # fmt: skip
    if found.phrases:
        terminal.print(shown)
    if found.answers < 0.01:
        terminal.print(Text(f"answers are spread otherwise (by chance: {found.answers:.1e})"))


def _head(topic: Topic) -> str:
    return (
        f"learned {topic.trained[:16].replace('T', ' ')} UTC from {len(topic.recordings)} "
        f"recordings, {len(topic.phrases)} phrases decide"
    )


def _asks(topic: Topic, asks: str) -> str:
    """What speaks for an answer, as a heading."""
    return printable(f"speaks for '{topic.label}: {asks}' (+), or against it (-)")


def _figures_table(figures: Mapping[str, Figure], baselines: Mapping[str, Figure]) -> Any:
    shown = plain_table("On recordings not learned from", "", "95 % interval")
    for name, one in figures.items():
        shown.add_row(_FIGURES.get(name, name), *_figure(one, name in _PERCENT))
    for name, one in baselines.items():
        shown.add_row(Text(f"{_FIGURES['accuracy']}: {name}", style="dim"), *_figure(one, True))
    return shown


def _figure(one: Figure, percent: bool) -> tuple[str, str]:
    if percent:
        return f"{one.value:.1%}", f"{one.low:.1%} to {one.high:.1%}"
    return f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}"


def _signs_table(signs: Sequence[Sign], titles: Mapping[str, str]) -> Any:
    shown = plain_table("Weight", "Phrase", "In yes", "In no", "To hear it")
    for one in signs:
        clip = _clip(one.examples[0]) if one.examples else ""
        shown.add_row(
            Text(f"{one.weight:+.2f}", style="green" if one.weight > 0 else "red"),
            Text(printable(one.phrase)), f"{one.in_yes:.0%}", f"{one.in_no:.0%}",
            Text(clip, style="dim"),
        )  # fmt: skip
    return shown


def _clip(example: Example) -> str:
    return f"earshot clip {example.recording} {example.start:.1f} {example.end:.1f}"


def _rounded(value: Any) -> Any:
    """Numbers no longer than they mean something."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {str(name): _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    return value
