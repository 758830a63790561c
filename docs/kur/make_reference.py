"""Writes reference.md: what a Kurfile can name, read from signatures and docstrings.

    python docs/kur/make_reference.py

A test holds that the file is what this makes. It knows how to write Markdown, and nothing of Keras.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kur import assemble, containers, evaluation_hooks, hooks, layers, losses, optimizers, session
from kur.arguments import described, parameters
from kur.data.provider import ProviderOptions
from kur.data.supplier import SUPPLIERS
from kur.schema import Checkpoint, Destination, Elapsed, LogTarget, StopWhen, TrainWeights

OUT = Path(__file__).with_name("reference.md")
REGISTERED = (assemble.REGISTERED, session.REGISTERED)  # imported for what they register
# Given by the program, never by a Kurfile.
PROVIDED = ("base", "trained", "settings_seed", "log", "kurfile", "model", "names", "losses")
OPERATORS = {
    "input": containers.Input,
    "output": containers.Output,
    "for": containers.For,
    "for_each": containers.ForEach,
    "residual": containers.Apply,
    "parallel": containers.Apply,
    "reuse": containers.Reuse,
}
CHECKS = """### debug

Prints its value, evaluated, while the network is built: `debug: "{{ layers }}"`.

### assert

Ends the building with an error unless its value (or each of a list) is true:
`assert: "{{ depth > 2 }}"`.
"""
SECTIONS = {
    "stop_when": StopWhen,
    "elapsed": Elapsed,
    "weights": TrainWeights,
    "checkpoint": Checkpoint,
    "log": LogTarget,
    "destination": Destination,
}
INTRODUCTION = """# Reference

Made from the code by `docs/kur/make_reference.py`. An argument marked with * is required. Where a
short form is given, the value may stand alone: `dense: 10` is `dense: {size: 10}`.
"""


def reference() -> str:
    """The whole page."""
    return "\n".join([INTRODUCTION, *_lines()])


def _lines() -> Iterator[str]:
    yield "## Layers\n"
    for name, make in _own({name: one.build for name, one in layers.LAYERS.items()}):
        yield from _entry(name, make, layers.LAYERS[name].shorthand)
    yield "## Operators\n"
    for name, operator in OPERATORS.items():
        yield from _entry(name, operator, None)
    yield CHECKS
    yield "## Suppliers\n"
    for name, make in _own(SUPPLIERS):
        yield from _entry(name, make, None)
    yield "## The provider\n"
    yield from _entry("batch_provider", ProviderOptions, None)
    yield "## Losses\n"
    for name, make in _own(losses.LOSSES):
        yield from _entry(name, make, None)
    yield "## Optimizers\n"
    yield "`clip: {norm: 1}` or `clip: {abs: 1}` limits the gradients of each.\n"
    for name, make in _own(optimizers.OPTIMIZERS):
        yield from _entry(name, make, None)
    yield from _entry("learning_rate", optimizers.Schedule, None)
    yield "## Hooks of training\n"
    for name, make in _own(hooks.HOOKS):
        yield from _entry(name, make, None)
    yield "## Hooks of validation, test and evaluation\n"
    for name, make in _own(evaluation_hooks.EVALUATION_HOOKS):
        yield from _entry(name, make, None)
    yield "## Options of the sections\n"
    for name, kind in SECTIONS.items():
        yield from _entry(name, kind, None)


def _own(registry: Mapping[str, Callable[..., Any]]) -> list[tuple[str, Callable[..., Any]]]:
    """What Kur itself has registered, by name; a program may have added more."""
    return sorted(one for one in registry.items() if one[1].__module__.startswith("kur."))


def _entry(name: str, what: Callable[..., Any], shorthand: str | None) -> Iterator[str]:
    yield f"### {name}\n"
    about = inspect.getdoc(what) or ""
    if about and not about.startswith(f"{getattr(what, '__name__', '')}("):  # a dataclass's own
        yield f"{_plain(about)}\n"
    if shorthand is not None:
        yield f"Short form: `{name}: {shorthand.upper()}`.\n"
    hints = typing.get_type_hints(what.__init__ if inspect.isclass(what) else what)
    rows = [
        f"| `{key}`{'*' if one.default is inspect.Parameter.empty else ''} "
        f"| {described(hints.get(key, Any))} | {_default(one.default)} |"
        for key, one in _given(what).items()
    ]
    if rows:
        yield "| argument | accepted | default |\n|---|---|---|"
        yield "\n".join(rows) + "\n"
    else:
        yield "It takes no arguments.\n"


def _given(what: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    return {key: one for key, one in parameters(what).items() if key not in PROVIDED}


def _default(value: object) -> str:
    if value is inspect.Parameter.empty:
        return ""
    names = {None: "nothing", True: "yes", False: "no"}
    if value is None or isinstance(value, bool):
        return names[value]
    if isinstance(value, str | int | float):
        return f"`{value}`"
    if isinstance(value, tuple) and all(isinstance(one, int | float) for one in value):
        return f"`{list(value)}`"
    return "see above"


def _plain(text: str) -> str:
    """A docstring as Markdown: its lists and indented lines stay."""
    return text.strip()


if __name__ == "__main__":
    OUT.write_text(reference(), encoding="utf-8")
    print(OUT)
    sys.exit(0)
