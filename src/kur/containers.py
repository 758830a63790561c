"""One container of the `model` section as it is written: its kind, its value, the common keys.

Also what the operators (loops, inputs, outputs, groups) take. Knows the names of layers; knows
nothing of tensors or of how containers follow each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kur.activations import ACTIVATIONS
from kur.errors import nearest
from kur.layers import LAYERS
from kur.marks import Mark, MarkedDict
from kur.reader import Kurfile

COMMON_KEYS = ("name", "tag", "oldest", "inputs", "sink", "freeze", "when")
OPERATORS = (
    "input", "output", "for", "for_each", "residual", "parallel", "reuse", "debug", "assert"
)  # fmt: skip
# What YAML 1.1 reads as yes and no, where a template has made a text of it.
_YES, _NO = ("yes", "true", "on"), ("no", "false", "off", "")

# What other libraries call a layer -> what a Kurfile says.
_ELSEWHERE = {
    "lstm": "recurrent: {size: 64, type: lstm}",
    "gru": "recurrent: {size: 64, type: gru}",
    "rnn": "recurrent: 64",
    "bidirectional": "recurrent: {size: 64, bidirectional: yes}",
    "conv1d": "convolution: {kernels: 64, size: 3}",
    "conv2d": "convolution: {kernels: 64, size: [3, 3]}",
    "conv3d": "convolution: {kernels: 64, size: [3, 3, 3]}",
    "maxpool": "pool: {size: 2, type: max}",
    "maxpooling": "pool: {size: 2, type: max}",
    "averagepooling": "pool: {size: 2, type: average}",
    "batchnorm": "batch_normalization",
    "layernorm": "layer_normalization",
    "linear": "dense: 64",
    "fullyconnected": "dense: 64",
    "concat": "merge: concat",
    "concatenate": "merge: concat",
    "add": "merge: add",
    "timedistributed": "parallel: {apply: [...]}",
}

Path = tuple[Any, ...]
Scope = Mapping[str, Any]
InputType = Literal["float16", "float32", "float64", "uint8", "int32", "int64", "bool"]


@dataclass(frozen=True, slots=True)
class Container:
    """A container as it is written: its kind, the value below that, and the common keys."""

    kind: str
    value: Any
    common: Mapping[str, Any]
    mark: Mark
    scope: Scope
    path: Path


@dataclass(frozen=True, kw_only=True)
class Input:
    """What `input` takes; what is left out comes from the data."""

    name: str | None = None
    shape: int | list[int | None] | None = None
    type: InputType | None = None


@dataclass(frozen=True, kw_only=True)
class For:
    """What `for` takes: `iterate` is built for 0, 1, ... range - 1."""

    range: int
    iterate: list[Any]
    with_index: str = "index"


@dataclass(frozen=True, kw_only=True)
class ForEach:
    """What `for_each` takes: `iterate` is built for each of `items` (a number: for 0, 1, ...)."""

    items: int | list[Any]
    iterate: list[Any]
    loop_var: str = "item"
    with_index: str = "index"


@dataclass(frozen=True, kw_only=True)
class Apply:
    """What `residual` and `parallel` take: the layers inside."""

    apply: list[Any]


@dataclass(frozen=True, kw_only=True)
class Output:
    """What `output` takes."""

    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Reuse:
    """What `reuse` takes: the name of the layer, or group of layers, to apply once more."""

    target: str


def parse(kurfile: Kurfile, item: Any, scope: Scope, path: Path) -> Container:
    """The container `item` that stands at `path`, its common keys evaluated.

    Raises KurfileError for what is no container, and for a kind that nobody knows.
    """
    known = [*LAYERS, *OPERATORS, *kurfile.templates]
    mark = kurfile.mark(path, item)
    if isinstance(item, str):
        item = MarkedDict({item: None}, mark)
    if not isinstance(item, dict):
        message = f"a layer is a mapping such as 'dense: 10', found {item!r}"
        raise mark.error(message, path)
    kinds = [key for key in item if key not in COMMON_KEYS]
    if len(kinds) != 1:
        found = ", ".join(map(repr, kinds)) or "none"
        hint = "; are its arguments indented below it?" if kinds and kinds[0] in known else ""
        if len(kinds) > 1 and all(one in known for one in kinds):
            hint = "; each layer begins with a '-' of its own"
        raise mark.error(f"one layer type expected, found {found}{hint}", path)
    kind = str(kinds[0])
    if kind not in known:
        message = f"unknown layer {kind!r}{_meant(kind, known)}; known: {', '.join(known)}"
        raise mark.error(message, (*path, kind))
    common = {
        key: kurfile.evaluate(item[key], scope, (*path, key))
        for key in COMMON_KEYS
        if item.get(key) is not None
    }
    for key in ("sink", "freeze"):
        if common.get(key) is not None and not isinstance(as_flag(common[key]), bool):
            message = f"yes or no expected, found {common[key]!r}"
            raise kurfile.error(None, (*path, key), message)
    for key in ("sink", "freeze", "when"):
        if key in common:
            common[key] = as_flag(common[key])
    if isinstance(common.get("name"), list | dict):
        message = f"'name' must be a text, found {common['name']!r}"
        raise kurfile.error(None, (*path, "name"), message)
    return Container(kind, item[kinds[0]], common, mark, scope, path)


def _meant(kind: str, known: list[str]) -> str:
    """Which layer was meant by a word that is none, as a hint for a message."""
    plain = re.sub(r"_|\d+d$", "", kind.lower())
    said = _ELSEWHERE.get(kind.lower()) or _ELSEWHERE.get(plain)
    if said is None and kind.lower() in ACTIVATIONS:
        said = f"activation: {kind.lower()}"
    return f" (did you mean {said!r}?)" if said else nearest(kind, known)


def as_flag(value: object) -> object:
    """Yes or no where `value` is a text that says so; any other value as it is."""
    if isinstance(value, str) and value.lower() in (*_YES, *_NO):
        return value.lower() in _YES
    return value
