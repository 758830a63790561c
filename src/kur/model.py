"""Containers -> a Keras model: walks the `model` section, expands loops and templates, builds.

Knows the Kurfile and the layers; knows nothing of files of data, losses or training.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kur.arguments import ArgumentError, bind
from kur.backend import keras, reason
from kur.data.supplier import Source
from kur.errors import KurfileError, nearest
from kur.layers import LAYERS, Tensor, TimeStep
from kur.marks import Mark, MarkedDict
from kur.reader import Kurfile

COMMON_KEYS = ("name", "tag", "oldest", "inputs", "sink", "freeze", "when")
OPERATORS = ("input", "output", "for", "for_each", "residual", "parallel")

# Layers that move values and change none: what they give is still what the activation gave.
_MOVES_ONLY = ("flatten", "reshape", "expand", "squeeze", "transpose", "repeat", "upsample")

Path = tuple[Any, ...]
Scope = Mapping[str, Any]
InputType = Literal["float16", "float32", "float64", "uint8", "int32", "int64", "bool"]


@dataclass
class Node:
    """One built container: its tensor, where it stands, and how it changes lengths in time.

    `layer` is the name of its Keras layer; layers inside it begin with that name and a '-'.
    """

    name: str
    kind: str
    tensor: Tensor
    mark: Mark
    steps: tuple[TimeStep, ...] = ()
    layer: str = ""
    activation: str | None = None
    consumed: bool = False
    sink: bool = False


@dataclass
class Model:
    """A built network: Keras model with inputs and outputs by name, and its containers."""

    keras: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: dict[str, Node] = field(repr=False)

    def length_at(self, output: str, lengths: Any) -> Any:
        """Lengths (in input time steps) -> lengths at `output`, through the strides between."""
        for step in self.nodes[output].steps:
            lengths = step.length_after(lengths)
        return lengths


def build(kurfile: Kurfile, sources: Mapping[str, Source]) -> Model:
    """Build the model of `kurfile`; `sources` are those of the data, used where the Kurfile does
    not say the shape and type of an input."""
    builder = _Builder(kurfile, sources)
    builder.containers(kurfile.model, {}, ("model",))
    return builder.finish()


@dataclass(frozen=True, slots=True)
class _Container:
    """A container as it is written: its kind, the value below that, and the common keys."""

    kind: str
    value: Any
    common: Mapping[str, Any]
    mark: Mark
    scope: Scope
    path: Path


@dataclass(frozen=True, kw_only=True)
class _Input:
    """What `input` takes; what is left out comes from the data."""

    name: str | None = None
    shape: list[int | None] | None = None
    type: InputType | None = None


@dataclass(frozen=True, kw_only=True)
class _For:
    """What `for` takes: `iterate` is built for 0, 1, ... range - 1."""

    range: int
    iterate: list[Any]
    with_index: str = "index"


@dataclass(frozen=True, kw_only=True)
class _ForEach:
    """What `for_each` takes: `iterate` is built for each of `items`."""

    items: list[Any]
    iterate: list[Any]
    loop_var: str = "item"
    with_index: str = "index"


@dataclass(frozen=True, kw_only=True)
class _Apply:
    """What `residual` and `parallel` take: the layers inside."""

    apply: list[Any]


@dataclass(frozen=True, kw_only=True)
class _Output:
    """What `output` takes."""

    name: str | None = None


class _Builder:
    def __init__(self, kurfile: Kurfile, sources: Mapping[str, Source]) -> None:
        self.kurfile = kurfile
        self.sources = sources
        self.nodes: dict[str, Node] = {}
        self.inputs: dict[str, Tensor] = {}
        self.last: Node | None = None
        self.counts: dict[str, int] = {}
        self.layers: set[str] = set()
        self.frozen: list[str] = []
        self.freezing = False
        self.by_step = False
        self.open_templates: list[str] = []
        self.state: dict[str, Any] = {"tags": {}, "oldest": {}, "layers": []}
        kurfile.state.update(self.state)
        for name in kurfile.templates:
            if name in (*LAYERS, *OPERATORS, *COMMON_KEYS):
                message = f"a template cannot have the name of the built-in {name!r}"
                raise kurfile.error(None, ("templates", name), message)

    def containers(self, items: Sequence[Any], scope: Scope, path: Path) -> None:
        """Build the containers of a list in their order, each on the one before."""
        if not isinstance(items, list):
            message = f"a list of layers expected, each begun by '-', found {items!r}"
            raise self.kurfile.error(None, path, message)
        for i, item in enumerate(items):
            self._container(self._parse(item, scope, (*path, i)))

    def finish(self) -> Model:
        """The Keras model between the inputs and the sinks."""
        for name in self.inputs:
            if not self.nodes[name].consumed:
                raise self.nodes[name].mark.error(f"no layer takes the input {name!r}", ("model",))
        outputs = {
            node.name: node
            for node in self.nodes.values()
            if node.kind != "input" and (node.sink or not node.consumed)
        }
        if not outputs:
            raise self.kurfile.error(None, ("model",), "the model has no output")
        try:
            model = keras().Model(
                inputs=self.inputs, outputs={name: node.tensor for name, node in outputs.items()}
            )
        except ValueError as error:
            raise self.kurfile.error(None, ("model",), reason(error)) from None
        for one in model.layers:
            if one.name in self.frozen or one.name.partition("-")[0] in self.frozen:
                one.trainable = False
        return Model(model, tuple(self.inputs), tuple(outputs), self.nodes)

    def _parse(self, item: Any, scope: Scope, path: Path) -> _Container:
        known = [*LAYERS, *OPERATORS, *self.kurfile.templates]
        mark = self.kurfile.mark(path, item)
        if isinstance(item, str):
            item = MarkedDict({item: None}, mark)
        if not isinstance(item, dict):
            message = f"a layer is a mapping such as 'dense: 10', found {item!r}"
            raise mark.error(message, path)
        kinds = [key for key in item if key not in COMMON_KEYS]
        if len(kinds) != 1:
            found = ", ".join(map(repr, kinds)) or "none"
            hint = "; are its arguments indented below it?" if kinds and kinds[0] in known else ""
            raise mark.error(f"one layer type expected, found {found}{hint}", path)
        kind = str(kinds[0])
        if kind not in known:
            message = f"unknown layer {kind!r}{nearest(kind, known)}; known: {', '.join(known)}"
            raise mark.error(message, (*path, kind))
        common = {
            key: self.kurfile.evaluate(item[key], scope, (*path, key))
            for key in COMMON_KEYS
            if item.get(key) is not None
        }
        return _Container(kind, item[kinds[0]], common, mark, scope, path)

    def _container(self, c: _Container) -> None:
        if not c.common.get("when", True):
            return
        was_freezing = self.freezing
        self.freezing = bool(c.common.get("freeze", was_freezing))
        if "inputs" in c.common:
            self._take_inputs(c)
        build = {
            "input": self._input,
            "output": self._output,
            "for": self._loop,
            "for_each": self._loop,
            "residual": self._residual,
            "parallel": self._parallel,
        }.get(c.kind, self._template if c.kind in self.kurfile.templates else self._layer)
        build(c)
        self.freezing = was_freezing
        self._tag(c)

    def _error(self, c: _Container, message: str, *inside: Any) -> KurfileError:
        return self.kurfile.error(None, (*c.path, *inside), message)

    def _bind(self, c: _Container, kind: type, value: Any, shorthand: str | None = None) -> Any:
        """The arguments of an operator as its dataclass."""
        try:
            return kind(**bind(kind, value, what=repr(c.kind), shorthand=shorthand))
        except ArgumentError as error:
            inside = (c.kind, error.key) if error.key else (c.kind,)
            raise self._error(c, str(error), *inside) from None

    def _name(self, c: _Container, given: object = None) -> str:
        """The container's own name or the next automatic one, which nobody else has."""
        name = c.common.get("name", given)
        if name is None:
            count = self.counts.get(c.kind, 0)
            self.counts[c.kind] = count + 1
            name = f"..{c.kind}.{count}"
        if str(name) in self.nodes:
            where = self.nodes[str(name)].mark.line
            raise self._error(c, f"the name {str(name)!r} is taken by the layer of line {where}")
        return str(name)

    def _layer_name(self, name: str) -> str:
        """A name for Keras, which gives it to backend parameters, where dots and slashes mean
        something else."""
        safe = re.sub(r"[./]", "_", name).strip("_") or "layer"
        while safe in self.layers:
            safe += "_"
        self.layers.add(safe)
        return safe

    def _take_inputs(self, c: _Container) -> None:
        given = c.common["inputs"]
        names = given if isinstance(given, list | tuple) else [given]
        for name in names:
            if name not in self.nodes:
                known = list(self.nodes)
                hint = f"{nearest(name, known)}; named so far: {', '.join(known) or 'none'}"
                raise self._error(c, f"no layer is named {name!r}{hint}", "inputs")
        chosen = [self.nodes[name] for name in names]
        if len(chosen) == 1:
            self.last = chosen[0]
        elif chosen:
            for node in chosen:
                node.consumed = True
            longest = max(chosen, key=lambda node: len(node.steps))
            tensors = [node.tensor for node in chosen]
            self.last = Node("", "group", tensors, c.mark, longest.steps)

    def _before(self, c: _Container, several: bool = False) -> Node:
        """The container that `c` stands on."""
        if self.last is None:
            raise self._error(c, "no input before this layer; begin with 'input: NAME'")
        if self.last.kind == "group" and not several:
            count = len(self.last.tensor)
            message = f"'{c.kind}' takes one input, found {count}; join them with 'merge'"
            raise self._error(c, message, "inputs")
        return self.last

    def _remember(self, node: Node, c: _Container) -> None:
        node.sink = bool(c.common.get("sink"))
        self.nodes[node.name] = node
        self.state["layers"].append(node.name)
        if self.freezing and node.layer:
            self.frozen.append(node.layer)
        self.last = node

    def _tag(self, c: _Container) -> None:
        """`tag` is the last layer that has it, `oldest` the first."""
        for key in ("tag", "oldest"):
            tags = c.common.get(key, [])
            for tag in tags if isinstance(tags, list | tuple) else [tags]:
                if key == "tag":
                    self.state["tags"][tag] = self._before(c).name
                else:
                    self.state["oldest"].setdefault(tag, self._before(c).name)

    def _input(self, c: _Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "input"))
        given = self._bind(c, _Input, value, "name")
        name = c.common.get("name", given.name)
        if name is None:
            raise self._error(c, "an input needs a name: 'input: NAME'")
        name = self._name(c, name)
        source = self.sources.get(name)
        if given.shape is None and source is None:
            known = list(self.sources)
            message = f"the data has no source named {name!r}{nearest(name, known)} and no 'shape' "
            message += f"is given; sources: {', '.join(known) or 'none'}"
            raise self._error(c, message, "input")
        shape = self._shape(c, given.shape, source)
        kind = given.type or (source.type if source else "float32")
        tensor = keras().Input(shape, name=name, dtype=kind)
        self.inputs[name] = tensor
        self.layers.add(name)
        self._remember(Node(name, "input", tensor, c.mark), c)

    def _shape(
        self, c: _Container, given: list[int | None] | None, source: Source | None
    ) -> tuple[int | None, ...]:
        """The shape that is written, with what it leaves open taken from the data."""
        if source is None or given is None:
            return tuple(given if given is not None else source.shape if source else ())
        fits = len(given) == len(source.shape) and all(
            one is None or other is None or one == other
            for one, other in zip(given, source.shape, strict=True)
        )
        if not fits:
            message = f"the shape {given} does not fit the data, which has {list(source.shape)}"
            raise self._error(c, message, "input", "shape")
        pairs = zip(given, source.shape, strict=True)
        return tuple(other if one is None else one for one, other in pairs)

    def _output(self, c: _Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "output"))
        given = self._bind(c, _Output, value, "name")
        name = self._name(c, given.name)
        before = self._before(c)
        before.consumed = True
        node = Node(name, "output", before.tensor, c.mark, before.steps)
        node.activation = before.activation
        self._remember(node, c)
        node.sink = True

    def _layer(self, c: _Container) -> None:
        spec = LAYERS[c.kind]
        before = self._before(c, several=spec.merges)
        name = self._name(c)
        if self.by_step and not spec.by_step:
            able = ", ".join(name for name, one in LAYERS.items() if one.by_step)
            raise self._error(c, f"'{c.kind}' cannot stand in 'parallel'; these can: {able}")
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        if c.kind == "activation" and value is None:
            value = "none"
        layer = self._layer_name(name)
        try:
            arguments = bind(spec.build, value, what=repr(c.kind), shorthand=spec.shorthand)
            tensor = spec.build(before.tensor, layer, **arguments)
        except ArgumentError as error:
            inside = (c.kind, error.key) if error.key else (c.kind,)
            raise self._error(c, str(error), *inside) from None
        except (ValueError, TypeError) as error:
            raise self._error(c, f"{reason(error)} ({_origin(before)})", c.kind) from None
        before.consumed = True
        step = spec.time_step(arguments)
        steps = before.steps if step is None else (*before.steps, step)
        node = Node(name, c.kind, tensor, c.mark, steps, layer)
        if c.kind == "activation":
            node.activation = arguments["type"]
        elif c.kind in _MOVES_ONLY:
            node.activation = before.activation
        self._remember(node, c)

    def _loop(self, c: _Container) -> None:
        value, path = c.value, (*c.path, c.kind)
        if isinstance(value, dict):
            # The layers inside wait for the loop's variables.
            value = {
                key: one if key == "iterate" else self.kurfile.evaluate(one, c.scope, (*path, key))
                for key, one in value.items()
            }
        before = set(self.nodes)
        loop = self._bind(c, _For if c.kind == "for" else _ForEach, value)
        if isinstance(loop, _For):
            if loop.range < 0:
                message = f"a whole number from 0 on expected, found {loop.range}"
                raise self._error(c, message, c.kind, "range")
            rounds = [{loop.with_index: i} for i in range(loop.range)]
        else:
            rounds = [{loop.loop_var: one, loop.with_index: i} for i, one in enumerate(loop.items)]
        for variables in rounds:
            self.containers(loop.iterate, {**c.scope, **variables}, (*path, "iterate"))
        self._name_last(c, before)

    def _template(self, c: _Container) -> None:
        if c.kind in self.open_templates:
            way = " -> ".join([*self.open_templates, c.kind])
            raise self._error(c, f"the template {c.kind!r} uses itself: {way}")
        arguments = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        inner = {**c.scope, "args": arguments, "inputs": c.common.get("inputs", [])}
        if isinstance(arguments, dict):
            inner.update(arguments)
        before = set(self.nodes)
        self.open_templates.append(c.kind)
        self.containers(self.kurfile.templates[c.kind], inner, ("templates", c.kind))
        self.open_templates.pop()
        self._name_last(c, before)

    def _name_last(self, c: _Container, before: set[str]) -> None:
        """The name and sink of a group belong to its last layer."""
        last = self.last
        if last is None or last.name in before or last.kind == "group":
            return
        last.sink = last.sink or bool(c.common.get("sink"))
        if "name" in c.common:
            name, old = self._name(c), last.name
            self.nodes = {name if key == old else key: one for key, one in self.nodes.items()}
            self.state["layers"] = [name if one == old else one for one in self.state["layers"]]
            last.name = name

    def _inside(self, c: _Container) -> tuple[list[Any], Path]:
        """The layers inside `residual` or `parallel`, given alone or under `apply`."""
        path = (*c.path, c.kind)
        if isinstance(c.value, dict):
            path = (*path, "apply")
        return self._bind(c, _Apply, c.value, "apply").apply, path

    def _parallel(self, c: _Container) -> None:
        # The layers that may stand here work on each time step alone as they are.
        inner, path = self._inside(c)
        before, was_by_step = set(self.nodes), self.by_step
        self.by_step = True
        self.containers(inner, c.scope, path)
        self.by_step = was_by_step
        self._name_last(c, before)

    def _residual(self, c: _Container) -> None:
        inner, path = self._inside(c)
        start = self._before(c)
        self.containers(inner, c.scope, path)
        end = self._before(c)
        shapes = [tuple(node.tensor.shape[1:]) for node in (start, end)]
        added = end.steps[len(start.steps) :]
        open_length = None in shapes[0][:1]
        if shapes[0] != shapes[1] or (open_length and not all(s.keeps_length for s in added)):
            what = f"turn {shapes[0]} into {shapes[1]}"
            if shapes[0] == shapes[1]:
                what = "change the number of time steps"
            message = f"the layers inside {what}; a residual must keep the shape"
            raise self._error(c, f"{message} ({_origin(start)})", c.kind)
        if start is end:
            raise self._error(c, "no layers inside", c.kind)
        name = self._name(c)
        layer = self._layer_name(name)
        tensor = keras().layers.Add(name=layer)([start.tensor, end.tensor])
        start.consumed = end.consumed = True
        self._remember(Node(name, "residual", tensor, c.mark, end.steps, layer), c)


def _origin(node: Node) -> str:
    """Where the input of a layer that does not fit comes from, and its shape."""
    if node.kind == "group":
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in node.tensor)
        return f"its inputs have the shapes {shapes}"
    shape = tuple(node.tensor.shape[1:])
    return f"its input, {node.name!r} of line {node.mark.line}, has the shape {shape}"
