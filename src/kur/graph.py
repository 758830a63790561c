"""A built network: its containers as nodes, and what can be asked of it by their names.

Lengths and shapes at a layer, weights saved and restored, layers applied once more. Knows tensors
and lengths in time; knows nothing of Kurfiles, data or training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kur.backend import KerasRefusedError, keras, reason
from kur.checkpoint import load_weights, save_weights
from kur.errors import KurError, nearest
from kur.layers import Tensor
from kur.marks import Mark
from kur.timing import TimeStep

Shape = tuple[int | None, ...]


@dataclass
class Node:
    """One built container: its tensor, where it stands, and how it changes lengths in time.

    `source` is what went in: one tensor, or a list of them where several nodes were named (kind
    "group", whose `tensor` is that list and whose `inputs` are the nodes). `layer` is the name of
    its Keras layer; layers inside it begin with that name and a '-'. `frame` is the 'parallel' that
    it stands in, 0 outside of any.
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
    inputs: tuple[Node, ...] = ()
    frame: int = 0


class Unknown:
    """The tensor of a layer while a model is only checked: its shape is not known."""

    @property
    def shape(self) -> Any:
        """Raises KerasRefusedError: what asks for it is left out of the check."""
        raise KerasRefusedError


@dataclass(frozen=True, slots=True)
class Span:
    """What lies between a tensor and another one, to be applied once more by 'reuse'."""

    source: Tensor
    node: Node
    steps: tuple[TimeStep, ...]


@dataclass
class Model:
    """A built network: Keras model with inputs and outputs by name, and its containers.

    `aliases` has the further names of nodes: a group's last layer keeps its own name as one.
    """

    keras: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: dict[str, Node] = field(repr=False)
    aliases: dict[str, str] = field(default_factory=dict, repr=False)

    def node(self, name: str) -> Node:
        """The node of that name, or of that further name; KurError if there is none."""
        found = self.nodes.get(self.aliases.get(name, name))
        if found is None:
            known = [*self.nodes, *self.aliases]
            raise KurError(f"no layer is named {name!r}{nearest(name, known)}")
        return found

    def output_named(self, name: str) -> str | None:
        """The output that `name` means: an output's own name, or that of the layer whose values
        an output hands on; None if it is no output."""
        known = self.aliases.get(name, name)
        if known in self.outputs or known not in self.nodes:
            return known if known in self.outputs else None
        tensor = self.nodes[known].tensor
        return next((one for one in self.outputs if self.nodes[one].tensor is tensor), None)

    def length_at(self, output: str, lengths: Any, start: str | None = None) -> Any:
        """Lengths in time steps of an input, or of the layer `start` -> lengths at `output`.

        Goes through the strides between; KurError where `output` is not reached from `start`.
        """
        steps = self.node(output).steps
        if start is not None:
            before = self.node(start).steps
            if not self._leads(start, output) or steps[: len(before)] != before:
                raise KurError(f"the layer {output!r} does not follow from {start!r}")
            steps = steps[len(before) :]
        for step in steps:
            lengths = step.length_after(lengths)
        return lengths

    def _leads(self, start: str, end: str) -> bool:
        """Whether `end` is, or is worked out from, the layer `start`."""
        wanted = self.node(start).tensor
        waiting, seen = [self.node(end)], set()
        while waiting:
            node = waiting.pop()
            if node.tensor is wanted:
                return True
            if id(node) not in seen:
                seen.add(id(node))
                waiting.extend(node.inputs)
        return False

    def get_shape_at_layer(
        self, name: str, assumptions: Mapping[str, tuple[int | None, ...]] | None = None
    ) -> Shape:
        """Shape of a layer's values without the batch; None where it varies.

        `assumptions` has the shapes that other layers (inputs, as a rule) are assumed to have:
        `get_shape_at_layer("asr", {"utterance": (200, 161)})`.
        """
        node = self.node(name)
        if not assumptions:
            return tuple(node.tensor.shape[1:])
        given = {self.node(one).name: tuple(shape) for one, shape in assumptions.items()}
        starts = [self.nodes[one] for one in {**dict.fromkeys(self.inputs), **given}]
        tensors = {id(one.tensor): one for one in starts}
        if id(node.tensor) in tensors:
            return given.get(tensors[id(node.tensor)].name, tuple(node.tensor.shape[1:]))
        library = keras()
        sources = [one.tensor for one in tensors.values()]
        assumed = [
            library.KerasTensor(
                (None, *given.get(one.name, one.tensor.shape[1:])), dtype=one.tensor.dtype
            )
            for one in tensors.values()
        ]
        try:
            found = library.Function(sources, node.tensor)._run_through_graph(
                assumed, operation_fn=lambda layer: layer.compute_output_spec
            )
        except (ValueError, TypeError) as error:
            raise KurError(
                f"no shape at {name!r} under these assumptions: {reason(error)}"
            ) from None
        return tuple(found.shape[1:])

    def save(self, path: str | Path) -> None:
        """Write the weights, as safetensors."""
        save_weights(Path(path), self.keras)

    def restore(self, path: str | Path) -> None:
        """Set the weights from a file; KurError where names or shapes do not fit."""
        load_weights(Path(path), self.keras)


def again(span: Span, onto: Tensor) -> Tensor:
    """What lies on the way of `span`, with the same weights, applied to another tensor.

    ValueError where that does not fit, or where the way has other inputs as well.
    """
    if span.node.tensor is span.source:
        return onto
    way = keras().Function(span.source, span.node.tensor)
    return way._run_through_graph(onto)
