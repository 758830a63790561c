"""Containers -> a Keras model: builds the layers that the walk through the `model` section meets.

Knows the Kurfile and the layers; knows nothing of files of data, losses or training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kur.arguments import ArgumentError, bind
from kur.backend import KerasRefusedError, keras, reason, without_keras
from kur.containers import Container, Input, Output, Reuse
from kur.data.supplier import Source
from kur.errors import KurfileError, nearest
from kur.graph import Model, Node, Span, Unknown, again
from kur.layers import LAYERS, Tensor
from kur.reader import Kurfile
from kur.timing import fold, unfold
from kur.walk import Walk

__all__ = ["Model", "Node", "Outline", "build", "check"]

# Layers that move values and change none: what they give is still what the activation gave.
_MOVES_ONLY = ("flatten", "reshape", "expand", "squeeze", "transpose", "repeat", "upsample")


@dataclass(frozen=True)
class Outline:
    """What is known of a model without building it: everything that is wrong, and the names (a
    model without tensors; None if it could not be walked to its end)."""

    errors: tuple[KurfileError, ...]
    model: Model | None


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
            return Outline((*errors, error), None)
    # A loop meets the same error in each turn.
    once = {str(error): error for error in errors}
    names = builder.names
    model = Model(None, tuple(builder.inputs), tuple(outputs), names.nodes, names.aliases)
    return Outline(tuple(once.values()), model)


def build(kurfile: Kurfile, sources: Mapping[str, Source]) -> Model:
    """Build the model of `kurfile`; `sources` are those of the data, used where the Kurfile does
    not say the shape and type of an input."""
    builder = _Builder(kurfile, sources)
    builder.containers(kurfile.model, {}, ("model",))
    return builder.finish()


class _Builder(Walk):
    def __init__(
        self,
        kurfile: Kurfile,
        sources: Mapping[str, Source] | None,
        errors: list[KurfileError] | None = None,
    ) -> None:
        """`sources` None: not known."""
        super().__init__(kurfile, errors)
        self.sources = sources
        self.inputs: dict[str, Tensor] = {}
        self.frozen: list[str] = []
        self.frames = 0
        self.makers |= {
            "input": self._input,
            "output": self._output,
            "layer": self._layer,
            "parallel": self._parallel,
            "residual": self._residual,
            "reuse": self._reuse,
        }

    def _tensor(self, make: Callable[[], Tensor]) -> Tensor:
        """What `make` gives; something unknown where Keras may not be asked."""
        try:
            return make()
        except KerasRefusedError:
            return Unknown()

    def outputs(self) -> dict[str, Node]:
        """The containers that are outputs; an input that nothing takes is an error."""
        for name in self.inputs:
            if not self.names.nodes[name].consumed:
                error = self.names.nodes[name].mark.error(
                    f"no layer takes the input {name!r}", ("model",)
                )
                if self.errors is None:
                    raise error
                self.errors.append(error)
        outputs = {
            node.name: node
            for node in self.names.nodes.values()
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
            if any(one.name == name or one.name.startswith(f"{name}-") for name in self.frozen):
                one.trainable = False
        names = self.names
        return Model(model, tuple(self.inputs), tuple(outputs), names.nodes, names.aliases)

    def _remember(self, node: Node, c: Container, before: Node | None) -> None:
        """A container that has been built on `before`."""
        node.sink, node.frame = bool(c.common.get("sink")), self.frame
        self.names.add(node)
        if before is not None:
            node.inputs = before.inputs if before.kind == "group" else (before,)
            self.spans[node.name] = Span(before.tensor, node, node.steps[len(before.steps) :])
        if self.freezing and node.layer:
            self.frozen.append(node.layer)
        self.last = node

    def _input(self, c: Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "input"))
        given = self._bind(c, Input, value, "name")
        if self.frame:
            raise self._error(c, "an input cannot stand in 'parallel'")
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
        written = [given.shape] if isinstance(given.shape, int) else given.shape
        shape = self._shape(c, written, source)
        kind = given.type or (source.type if source else "float32")
        tensor = self._tensor(lambda: keras().Input(shape, name=name, dtype=kind))
        self.inputs[name] = tensor
        self.names.layer(name, taken=True)
        self._remember(Node(name, "input", tensor, c.mark), c, None)

    def _shape(
        self, c: Container, given: list[int | None] | None, source: Source | None
    ) -> tuple[int | None, ...]:
        """The shape that is written, with what it leaves open taken from the data."""
        # A single number is a vector of one, whoever describes it.
        there = (source.shape or (1,)) if source else None
        if given is None or there is None:
            return tuple(given or there or (1,))
        wanted = given or [1]
        fits = len(wanted) == len(there) and all(
            one is None or other is None or one == other
            for one, other in zip(wanted, there, strict=True)
        )
        if not fits:
            message = f"the shape {given} does not fit the data, which has {list(there)}"
            raise self._error(c, message, "input", "shape")
        return tuple(
            other if one is None else one for one, other in zip(wanted, there, strict=True)
        )

    def _output(self, c: Container) -> None:
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "output"))
        given = self._bind(c, Output, value, "name")
        name = self._name(c, given.name)
        before = self._before(c)
        before.consumed = True
        node = Node(name, "output", before.tensor, c.mark, before.steps)
        node.activation = before.activation
        self._remember(node, c, before)
        node.sink = True

    def _layer(self, c: Container) -> None:
        spec = LAYERS[c.kind]
        before = self._before(c, several=spec.merges)
        name = self._name(c)
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        if c.kind == "activation" and value is None:
            value = "none"
        layer = self.names.layer(name)
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
        self._remember(node, c, before)

    def _parallel(self, c: Container) -> None:
        """Time steps become samples of their own for the layers inside."""
        inner, path = self._inside(c)
        name, start = self._name(c), self._before(c)
        layer, outer = self.names.layer(name), self.frame
        try:
            folded = self._tensor(lambda: fold(start.tensor, f"{layer}-fold"))
        except ValueError as error:
            raise self._error(c, f"{error} ({_origin(start)})", c.kind) from None
        self.frames += 1
        self.frame = self.frames
        self.last = entry = Node(start.name, "steps", folded, start.mark, frame=self.frame)
        entry.inputs = (start,)
        try:
            self.containers(inner, c.scope, path)
            last = self._before(c)
            if last is entry:
                raise self._error(c, "no layers inside", c.kind)
            for node in self.names.nodes.values():
                if node.frame == self.frame and (node.sink or not (node.consumed or node is last)):
                    message = f"the layer {node.name!r} inside 'parallel' cannot be an output"
                    raise node.mark.error(message, path)
        finally:
            self.frame = outer
        tensor = self._tensor(lambda: unfold(last.tensor, start.tensor, layer))
        start.consumed = last.consumed = True
        node = Node(name, "parallel", tensor, c.mark, start.steps, layer)
        node.activation = last.activation
        self._remember(node, c, start)
        node.inputs = (last,)

    def _reuse(self, c: Container) -> None:
        """A layer or a group of layers once more, with the same weights."""
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, "reuse"))
        target = self._bind(c, Reuse, value, "target").target
        span = self.spans.get(target)
        if span is None:
            known = [one for one in self.spans if not one.startswith("..")]
            hint = f"{nearest(target, known)}; named so far: {', '.join(known) or 'none'}"
            raise self._error(c, f"no layer before this one is named {target!r}{hint}", "reuse")
        several = isinstance(span.source, list)
        name, before = self._name(c), self._before(c, several)
        try:
            tensor = self._tensor(lambda: again(span, before.tensor))
        except (ValueError, TypeError) as error:
            where = f"{target!r} of line {span.node.mark.line}"
            message = f"{where} does not fit here: {reason(error)} ({_origin(before)})"
            raise self._error(c, message, "reuse") from None
        before.consumed = True
        node = Node(name, "reuse", tensor, c.mark, (*before.steps, *span.steps))
        node.activation = span.node.activation
        self._remember(node, c, before)

    def _residual(self, c: Container) -> None:
        inner, path = self._inside(c)
        start = self._before(c)
        self.containers(inner, c.scope, path)
        end = self._before(c)
        if start is end:
            raise self._error(c, "no layers inside", c.kind)
        name = self._name(c)
        layer = self.names.layer(name)
        tensor = self._tensor(lambda: self._sum(c, start, end, layer))
        start.consumed = end.consumed = True
        self._remember(Node(name, "residual", tensor, c.mark, end.steps, layer), c, start)
        self.names.nodes[name].inputs = (start, end)

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
    nodes = node.inputs if node.kind == "group" else (node,)
    told = []
    for one in nodes:
        shape = ""
        if not isinstance(one.tensor, Unknown):
            shape = f", has the shape {tuple(one.tensor.shape[1:])}"
        told.append(f"{one.name!r} of line {one.mark.line}{shape}")
    if node.kind == "group":
        return f"its inputs: {'; '.join(told)}"
    return f"its input, {told[0]}" if ", has" in told[0] else f"its input is {told[0]}"
