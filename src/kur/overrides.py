"""Options of the command line laid over a tree: `train.optimizer.learning_rate=1e-4`.

It knows marked data and the names of sections; it knows nothing of files or evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kur import yaml_marks
from kur.errors import KurError, KurfileError, nearest
from kur.marks import Mark, MarkedDict, MarkedList
from kur.schema import all_names, canonical, names_of


def apply(tree: MarkedDict, overrides: Mapping[str, str]) -> MarkedDict:
    """`tree` with a value put at each dotted path; the tree itself is left as it was.

    Steps are keys, or numbers in lists; dictionaries that are missing on the way are made. A
    value is read as YAML would read it, unless it is a template. Raises KurfileError for a path
    that leads nowhere.
    """
    for dotted, text in overrides.items():
        mark = Mark(f"-s {dotted}={text}", 0)
        steps = dotted.split(".")
        if not all(steps):
            raise mark.error("expected section.key=value")
        known = all_names()
        if steps[0] not in known and steps[0] not in tree:
            message = f"unknown section {steps[0]!r}{nearest(steps[0], known)}"
            raise mark.error(f"{message}; accepted: {', '.join(known)}")
        for name in names_of(canonical(steps[0])):
            if name in tree:
                steps[0] = name
        tree = _put(tree, steps, _value(text, mark), mark, ())
    return tree


def _value(text: str, mark: Mark) -> Any:
    if "{{" in text or "{%" in text:
        return text
    try:
        return yaml_marks.load(text, mark.file)
    except KurfileError:
        return text


def _put(node: Any, steps: list[str], value: Any, mark: Mark, done: tuple[str, ...]) -> Any:
    """A copy of `node` with `value` at `steps`: what aliases share elsewhere stays as it is."""
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(node, MarkedList):
        items = node.copy()
        at = int(step) if step.isdecimal() else -1
        if not 0 <= at < len(items):
            last = len(items) - 1
            raise mark.error(f"{'.'.join(done)} is a list; expected a number from 0 to {last}")
        items[at] = _put(items[at], rest, value, mark, (*done, step))
        items.marks[at] = mark
        return items
    if node is not None and not isinstance(node, MarkedDict):
        raise _not_inside(node, step, mark, done)
    keys = node.copy() if isinstance(node, MarkedDict) else MarkedDict({}, mark)
    key = next((one for one in keys if str(one) == step), step)
    keys[key] = _put(keys.get(key), rest, value, mark, (*done, step))
    keys.marks[key] = mark
    return keys


def _not_inside(node: object, step: str, mark: Mark, done: tuple[str, ...]) -> KurError:
    name = ".".join(done)
    return mark.error(f"{name} is {node!r}, not a dictionary with a {step!r}; set {name} first")
