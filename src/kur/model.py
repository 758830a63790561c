"""Containers -> a Keras model: walks the `model` section, expands loops and templates, builds.

Knows the Kurfile and the layers; knows nothing of files of data, losses or training.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kur.arguments import ArgumentError, bind
from kur.backend import KerasRefusedError, keras, reason, without_keras
from kur.containers import (
    COMMON_KEYS,
    OPERATORS,
    Apply,
    Container,
    For,
    ForEach,
    Input,
    Output,
    Path,
    Scope,
    parse,
)
from kur.data.supplier import Source
from kur.errors import KurfileError, nearest
from kur.layers import LAYERS, Tensor, TimeStep
from kur.marks import Mark
from kur.reader import Kurfile

# Layers that move values and change none: what they give is still what the activation gave.
_MOVES_ONLY = ("flatten", "reshape", "expand", "squeeze", "transpose", "repeat", "upsample")


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


@dataclass(frozen=True)
class Outline:
    """What is known of a model without building it: names, and everything that is wrong."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    errors: tuple[KurfileError, ...]


class _Unknown:
    """The tensor of a layer while a model is only checked: its shape is not known."""

    @property
    def shape(self) -> Any:
        raise KerasRefusedError


def check(kurfile: Kurfile) -> Outline:
    """Walk the model of `kurfile` without Keras and without data, on past every error.

    Names, kinds, arguments, inputs, loops and templates are checked; shapes are not. What is known
    of the layers goes into `kurfile.state`, as when the model is built.
    """
    errors: list[KurfileError] = []
    with without_keras():
        try:
            builder = _Builder(kurfile, None, errors)
            builder.containers(kurfile.model, {}, ("model",))
            outputs = builder.outputs()
        except KurfileError as error:
            return Outline((), (), (*errors, error))
    # A loop meets the same error in each turn.
    once = {str(error): error for error in errors}
    return Outline(tuple(builder.inputs), tuple(outputs), tuple(once.values()))


def build(kurfile: Kurfile, sources: Mapping[str, Source]) -> Model:
    """Build the model of `kurfile`; `sources` are those of the data, used where the Kurfile does
    not say the shape and type of an input."""
    builder = _Builder(kurfile, sources)
    builder.containers(kurfile.model, {}, ("model",))
    return builder.finish()


class _Builder:
    def __init__(
        self,
        kurfile: Kurfile,
        sources: Mapping[str, Source] | None,
        errors: list[KurfileError] | None = None,
    ) -> None:
        """`sources` None: not known. With `errors`, what is wrong is put there, and the walk goes
        on with the next container."""
        self.kurfile = kurfile
        self.sources = sources
        self.errors = errors
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
            try:
                self._container(parse(self.kurfile, item, scope, (*path, i)))
            except KurfileError as error:
                if self.errors is None:
                    raise
                self.errors.append(error)
                self._skip(item, (*path, i))

    def _skip(self, item: Any, path: Path) -> None:
        """Stand something unknown where a container was wrong, for those after it."""
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(item.get("input"), str):
            name = item["input"]
        mark = self.kurfile.mark(path, item)
        node = Node(str(name), "unknown", _Unknown(), mark)
        if isinstance(name, str):
            self.nodes.setdefault(name, node)
        if self.last is not None and not (isinstance(item, dict) and "inputs" in item):
            self.last.consumed = True
        self.last = node

    def _tensor(self, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; something unknown where Keras may not be asked."""
        try:
            return make()
        except KerasRefusedError:
            return _Unknown()

    def outputs(self) -> dict[str, Node]:
        """The containers that are outputs; an input that nothing takes is an error."""
        for name in self.inputs:
            if not self.nodes[name].consumed:
                error = self.nodes[name].mark.error(
                    f"no layer takes the input {name!r}", ("model",)
                )
                if self.errors is None:
                    raise error
                self.errors.append(error)
        outputs = {
            node.name: node
            for node in self.nodes.values()
            if node.kind != "input" and (node.sink or not node.consumed)
        }
        if not outputs and not self.errors:
            raise self.kurfile.error(None, ("model",), "the model has no output")
        return outputs

    def finish(self) -> Model:
        """The Keras model between the inputs and the sinks."""
        outputs = self.outputs()
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

    def _container(self, c: Container) -> None:
        if not c.common.get("when", True):
            return
        was_freezing = self.freezing
        self.freezing = bool(c.common.get("freeze", was_freezing))
        try:
            self._built(c)
        finally:
            self.freezing = was_freezing
        self._tag(c)

    def _built(self, c: Container) -> None:
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

    def _error(self, c: Container, message: str, *inside: Any) -> KurfileError:
        return self.kurfile.error(None, (*c.path, *inside), message)

    def _bind(self, c: Container, kind: type, value: Any, shorthand: str | None = None) -> Any:
        """The arguments of an operator as its dataclass."""
        try:
            return kind(**bind(kind, value, what=repr(c.kind), shorthand=shorthand))
        except ArgumentError as error:
            inside = (c.kind, error.key) if error.key else (c.kind,)
            raise self._error(c, str(error), *inside) from None

    def _name(self, c: Container, given: object = None) -> str:
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

    def _take_inputs(self, c: Container) -> None:
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

    def _before(self, c: Container, several: bool = False) -> Node:
        """The container that `c` stands on."""
        if self.last is None:
            raise self._error(c, "no input before this layer; begin with 'input: NAME'")
        if self.last.kind == "group" and not several:
            count = len(self.last.tensor)
            message = f"'{c.kind}' takes one input, found {count}; join them with 'merge'"
            raise self._error(c, message, "inputs")
        return self.last

    def _remember(self, node: Node, c: Container) -> None:
        node.sink = bool(c.common.get("sink"))
        self.nodes[node.name] = node
        self.state["layers"].append(node.name)
        if self.freezing and node.layer:
            self.frozen.append(node.layer)
        self.last = node

    def _tag(self, c: Container) -> None:
        """`tag` is the last layer that has it, `oldest` the first."""
        for key in ("tag", "oldest"):
            tags = c.common.get(key, [])
            for tag in tags if isinstance(tags, list | tuple) else [tags]:
                if key == "tag":
                    self.state["tags"][tag] = self._before(c).name
                else:
                    self.state["oldest"].setdefault(tag, self._before(c).name)

    def _input(self, c: Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "input"))
        given = self._bind(c, Input, value, "name")
        name = c.common.get("name", given.name)
        if name is None:
            raise self._error(c, "an input needs a name: 'input: NAME'")
        name = self._name(c, name)
        source = self.sources.get(name) if self.sources is not None else None
        if given.shape is None and source is None and self.sources is not None:
            known = list(self.sources)
            message = f"the data has no source named {name!r}{nearest(name, known)} and no 'shape' "
            message += f"is given; sources: {', '.join(known) or 'none'}"
            raise self._error(c, message, "input")
        shape = self._shape(c, given.shape, source)
        kind = given.type or (source.type if source else "float32")
        tensor = self._tensor(lambda: keras().Input(shape, name=name, dtype=kind))
        self.inputs[name] = tensor
        self.layers.add(name)
        self._remember(Node(name, "input", tensor, c.mark), c)

    def _shape(
        self, c: Container, given: list[int | None] | None, source: Source | None
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

    def _output(self, c: Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "output"))
        given = self._bind(c, Output, value, "name")
        name = self._name(c, given.name)
        before = self._before(c)
        before.consumed = True
        node = Node(name, "output", before.tensor, c.mark, before.steps)
        node.activation = before.activation
        self._remember(node, c)
        node.sink = True

    def _layer(self, c: Container) -> None:
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
            tensor = self._tensor(lambda: spec.build(before.tensor, layer, **arguments))
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

    def _loop(self, c: Container) -> None:
        value, path = c.value, (*c.path, c.kind)
        if isinstance(value, dict):
            # The layers inside wait for the loop's variables.
            value = {
                key: one if key == "iterate" else self.kurfile.evaluate(one, c.scope, (*path, key))
                for key, one in value.items()
            }
        before = set(self.nodes)
        loop = self._bind(c, For if c.kind == "for" else ForEach, value)
        if isinstance(loop, For):
            if loop.range < 0:
                message = f"a whole number from 0 on expected, found {loop.range}"
                raise self._error(c, message, c.kind, "range")
            rounds = [{loop.with_index: i} for i in range(loop.range)]
        else:
            rounds = [{loop.loop_var: one, loop.with_index: i} for i, one in enumerate(loop.items)]
        for variables in rounds:
            self.containers(loop.iterate, {**c.scope, **variables}, (*path, "iterate"))
        self._name_last(c, before)

    def _template(self, c: Container) -> None:
        if c.kind in self.open_templates:
            way = " -> ".join([*self.open_templates, c.kind])
            raise self._error(c, f"the template {c.kind!r} uses itself: {way}")
        arguments = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        inner = {**c.scope, "args": arguments, "inputs": c.common.get("inputs", [])}
        if isinstance(arguments, dict):
            inner.update(arguments)
        before = set(self.nodes)
        self.open_templates.append(c.kind)
        try:
            self.containers(self.kurfile.templates[c.kind], inner, ("templates", c.kind))
        finally:
            self.open_templates.pop()
        self._name_last(c, before)

    def _name_last(self, c: Container, before: set[str]) -> None:
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

    def _inside(self, c: Container) -> tuple[list[Any], Path]:
        """The layers inside `residual` or `parallel`, given alone or under `apply`."""
        path = (*c.path, c.kind)
        if isinstance(c.value, dict):
            path = (*path, "apply")
        return self._bind(c, Apply, c.value, "apply").apply, path

    def _parallel(self, c: Container) -> None:
        # The layers that may stand here work on each time step alone as they are.
        inner, path = self._inside(c)
        before, was_by_step = set(self.nodes), self.by_step
        self.by_step = True
        try:
            self.containers(inner, c.scope, path)
        finally:
            self.by_step = was_by_step
        self._name_last(c, before)

    def _residual(self, c: Container) -> None:
        inner, path = self._inside(c)
        start = self._before(c)
        self.containers(inner, c.scope, path)
        end = self._before(c)
        if start is end:
            raise self._error(c, "no layers inside", c.kind)
        name = self._name(c)
        layer = self._layer_name(name)
        tensor = self._tensor(lambda: self._sum(c, start, end, layer))
        start.consumed = end.consumed = True
        self._remember(Node(name, "residual", tensor, c.mark, end.steps, layer), c)

    def _sum(self, c: Container, start: Node, end: Node, layer: str) -> Tensor:
        """Start and end of a residual, added; they must be alike."""
        shapes = [tuple(node.tensor.shape[1:]) for node in (start, end)]
        added = end.steps[len(start.steps) :]
        open_length = None in shapes[0][:1]
        if shapes[0] != shapes[1] or (open_length and not all(s.keeps_length for s in added)):
            what = f"turn {shapes[0]} into {shapes[1]}"
            if shapes[0] == shapes[1]:
                what = "change the number of time steps"
            message = f"the layers inside {what}; a residual must keep the shape"
            raise self._error(c, f"{message} ({_origin(start)})", c.kind)
        return keras().layers.Add(name=layer)([start.tensor, end.tensor])


def _origin(node: Node) -> str:
    """Where the input of a layer that does not fit comes from, and its shape."""
    if node.kind == "group" and isinstance(node.tensor[0], _Unknown):
        return f"it has {len(node.tensor)} inputs"
    if node.kind == "group":
        shapes = ", ".join(str(tuple(tensor.shape[1:])) for tensor in node.tensor)
        return f"its inputs have the shapes {shapes}"
    if isinstance(node.tensor, _Unknown):
        return f"its input is {node.name!r} of line {node.mark.line}"
    shape = tuple(node.tensor.shape[1:])
    return f"its input, {node.name!r} of line {node.mark.line}, has the shape {shape}"
