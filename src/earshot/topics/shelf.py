"""Topics on disk: what was learned of a label, as one JSON file that holds LightGBM's own text.

`LIBRARY/topics/NAME.json`, written whole or not at all, says its format; nothing in it is code, and
each text of trees is checked against its digest before LightGBM reads it. Models of older formats
are read for ever; one of a newer format is refused by a sentence. This module knows nothing of how
a topic is learned.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from earshot.errors import LibraryError, UsageError
from earshot.index.durable import write_atomically, writing
from earshot.topics.calibrating import Curve
from earshot.topics.candidates import Candidate
from earshot.topics.evidence import FOLDER
from earshot.topics.model import Example, Question, Report, Sign, Suspect, Topic
from earshot.topics.targets import questions
from earshot.topics.trees import Grown, Line
from earshot.topics.validation import Figure, Point
from earshot.units import Pronunciation

FORMAT = 1

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)


def path_of(folder: Path, name: str) -> Path:
    """Where the topic of this name lies; UsageError for what is no name."""
    if not _NAME.fullmatch(name) or name.endswith(".json"):
        raise UsageError(
            f"'{name[:80]}' is no name for a topic: expected up to 64 letters, digits, '-', '_' or "
            "'.', a letter or digit first"
        )
    return folder / FOLDER / f"{name}.json"


def names(folder: Path) -> list[str]:
    """The names of all topics of a library's folder, in order."""
    there = (path.stem for path in (folder / FOLDER).glob("*.json"))
    return sorted(name for name in there if _NAME.fullmatch(name))


def save(folder: Path, topic: Topic) -> None:
    """Write a topic, in the place of one of the same name; LibraryError where it cannot be."""
    path = path_of(folder, topic.name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, (json.dumps(_fields(topic), indent=1) + "\n").encode())


def load(folder: Path, name: str) -> Topic:
    """Read a topic; UsageError where there is none, LibraryError for one that is damaged."""
    path = path_of(folder, name)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = names(folder)
        known = f"there are: {', '.join(there)}" if there else "there are none: earshot topic train"
        raise UsageError(f"there is no topic '{name}'; {known}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise LibraryError(f"{path}: cannot be read ({error}): train the topic again") from None
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise LibraryError(
            f"{path}: has format {found}, this version reads format {FORMAT}: install a newer "
            "Earshot, or train the topic again"
        )
    try:
        return _topic(content)
    except (LookupError, TypeError, ValueError) as error:
        raise LibraryError(f"{path}: is damaged ({error}): train the topic again") from None


def remove(folder: Path, name: str) -> None:
    """Delete a topic; UsageError where there is none."""
    path = path_of(folder, name)
    if not path.exists():
        load(folder, name)  # says which there are
    with writing(path):
        path.unlink()


def every(folder: Path) -> Iterator[Topic]:
    """All topics that can be read."""
    for name in names(folder):
        yield load(folder, name)


def _fields(topic: Topic) -> dict[str, Any]:
    asked = [
        {
            "asks": one.asks,
            "phrases": list(one.grown.phrases),
            "orders": [list(pair) for pair in one.grown.orders],
            "trees": one.grown.text,
            **({"line": asdict(one.grown.line)} if one.grown.line else {}),
            "sha256": _digest(one.grown.text),
            "scores": [round(x, 6) for x in one.curve.scores.tolist()],
            "low": [round(x, 6) for x in one.curve.low.tolist()],
            "high": [round(x, 6) for x in one.curve.high.tolist()],
            "signs": [asdict(sign) for sign in one.signs],
        }
        for one in topic.questions
    ]
    report = topic.report
    return {
        "format": FORMAT,
        "name": topic.name,
        "label": topic.label,
        "kind": topic.kind,
        "values": list(topic.values),
        "network": topic.network,
        "trained": topic.trained,
        "phrases": [asdict(one) for one in topic.phrases],
        "questions": asked,
        "recordings": list(topic.recordings),
        "usual": [list(one) for one in topic.usual],
        "seen": [list(each) for each in topic.seen],
        "figures": {name: asdict(one) for name, one in report.figures.items()},
        "baselines": {name: asdict(one) for name, one in report.baselines.items()},
        "curve": [asdict(one) for one in report.curve],
        "counts": [list(one) for one in report.counts],
        "notes": list(report.notes),
        "suspects": [asdict(one) for one in topic.suspects],
        "rule": topic.rule,
    }


def _topic(content: Mapping[str, Any]) -> Topic:
    """A topic from the content of its file; raises what a damaged content makes it raise."""
    phrases = tuple(candidate(one) for one in content["phrases"])
    kind, values = content["kind"], tuple(map(str, content["values"]))
    if kind not in ("yes/no", "values", "grades"):
        raise ValueError(f"no kind of label is {kind!r}")
    asked = tuple(_question(one, len(phrases)) for one in content["questions"])
    if len(asked) != len(questions(kind, values)):
        raise ValueError(f"{len(asked)} questions for {len(values)} values")
    report = Report(
        {name: Figure(**one) for name, one in content["figures"].items()},
        {name: Figure(**one) for name, one in content["baselines"].items()},
        tuple(Point(**one) for one in content["curve"]),
        tuple((str(value), int(count)) for value, count in content["counts"]),
        tuple(content["notes"]),
    )
    topic = Topic(
        str(content["name"]),
        str(content["label"]),
        kind,
        values,
        str(content["network"]),
        str(content["trained"]),
        phrases,
        asked,
        tuple(map(str, content["recordings"])),
        tuple((float(mean), float(spread)) for mean, spread in content["usual"]),
        tuple(tuple(map(float, each)) for each in content["seen"]),
        report,
        tuple(_suspect(one) for one in content["suspects"]),
        content["rule"],
    )
    if len(topic.usual) != len(phrases) or len(topic.seen) != len(asked):
        raise ValueError("its parts do not fit each other")
    return topic


def _question(one: Mapping[str, Any], phrases: int) -> Question:
    own = tuple(map(int, one["phrases"]))
    orders = tuple((int(first), int(second)) for first, second in one["orders"])
    numbers = {*own, *(at for pair in orders for at in pair)}
    if not own or min(numbers) < 0 or max(numbers) >= phrases:
        raise ValueError("its trees count phrases that it does not have")
    if _digest(one["trees"]) != one["sha256"]:
        raise ValueError("a text of trees is not what its digest says")
    curve = Curve(*(np.array(one[name], np.float64) for name in ("scores", "low", "high")))
    if not len(curve.low) == len(curve.high) == 2 * len(curve.scores) + 1:
        raise ValueError("a curve has not the points that it should")
    line = _line(one["line"], len(own)) if "line" in one else None
    grown = Grown(own, orders, one["trees"], line)
    return Question(str(one["asks"]), grown, curve, tuple(map(_sign, one["signs"])))


def _line(one: Mapping[str, Any], phrases: int) -> Line:
    weights, means = (tuple(map(float, one[name])) for name in ("weights", "means"))
    if not len(weights) == len(means) == phrases:
        raise ValueError("a line has not the weights that it should")
    return Line(weights, means, float(one["offset"]))


def _sign(one: Mapping[str, Any]) -> Sign:
    return replace(Sign(**one), examples=tuple(Example(**each) for each in one["examples"]))


def _suspect(one: Mapping[str, Any]) -> Suspect:
    examples = tuple((str(phrase), Example(**each)) for phrase, each in one["examples"])
    return replace(Suspect(**one), examples=examples)


def candidate(one: Mapping[str, Any]) -> Candidate:
    """A phrase from its fields in a file; raises ValueError and the like for what is none."""
    ways = tuple(
        Pronunciation(
            tuple(way["units"]), tuple(way["words"]), way["rank"], way["log_probability"],
            tuple(way["spelled"]),
        )
        for way in one["ways"]
    )  # fmt: skip
    if not ways or not all(way.units for way in ways):
        raise ValueError(f"the phrase {one['text']!r} has no sound")
    return Candidate(str(one["text"]), ways, one["origin"])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
