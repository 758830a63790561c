"""The layers that a Kurfile can name, each a function whose signature is its schema.

A layer takes a tensor (or several, where it merges) and its keyword arguments, and returns a
tensor. Shapes are written without the batch: a sequence is (time, channels), a picture (height,
width, channels). Knows nothing of Kurfiles, data or training; Keras is imported when a layer is
built, so that a Kurfile can be checked without it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from kur.arguments import ArgumentError, parameters
from kur.backend import keras
from kur.errors import nearest

Tensor = Any
Build = Callable[..., Tensor]
Border = Literal["same", "valid"]


@dataclass(frozen=True, slots=True)
class TimeStep:
    """What a layer does along the first axis, time: each step that it gives sees `size` steps (0:
    all of them), the next one `stride` further on; each step is then given `times` times."""

    size: int = 1
    stride: int = 1
    border: str = "same"
    times: int = 1

    @property
    def keeps_length(self) -> bool:
        """Whether it gives as many steps as it takes, however many those are."""
        return self.stride == self.times == 1 and (self.border == "same" or self.size == 1)

    def length_after(self, length: Any) -> Any:
        """Length (int or integer array) after the layer."""
        if self.border == "same":
            return -(-length * self.times // self.stride)
        return (length * self.times - self.size) // self.stride + 1


def stride_of(steps: Sequence[TimeStep]) -> Fraction:
    """Steps that go in for each step that comes out of one layer after the other."""
    return Fraction(math.prod(s.stride for s in steps), math.prod(s.times for s in steps))


def reach_of(steps: Sequence[TimeStep]) -> int | None:
    """How many steps that go in, on each side, a step that comes out may depend on.

    None: all of them, or steps that do not line up with the input (borders that are cut).
    """
    reach, stride = 0, Fraction(1)
    for step in steps:
        if step.size == 0 or (step.border == "valid" and step.size != step.stride):
            return None
        if step.size > 1:
            # One more, because the padding before a stride is not the same on both sides.
            reach += math.ceil((step.size - 1) * stride / 2) + 1
        stride *= Fraction(step.stride, step.times)
    return reach


@dataclass(frozen=True, slots=True)
class LayerKind:
    """A layer: its name, the function that builds it, the argument that a bare value stands for,
    whether it takes several inputs, whether it works on each time step (or picture) alone as well,
    and what it does along time, given all of its arguments."""

    name: str
    build: Build
    shorthand: str | None
    merges: bool
    by_step: bool
    time: Callable[[Mapping[str, Any]], TimeStep | None] | None

    def time_step(self, arguments: Mapping[str, Any]) -> TimeStep | None:
        """What the layer does along time; None where each step stays by itself."""
        if self.time is None:
            return None
        defaults = {name: one.default for name, one in parameters(self.build).items()}
        return self.time({**defaults, **arguments})


LAYERS: dict[str, LayerKind] = {}


def layer(
    name: str,
    *,
    shorthand: str | None = None,
    merges: bool = False,
    by_step: bool = False,
    time: Callable[[Mapping[str, Any]], TimeStep | None] | None = None,
) -> Callable[[Build], Build]:
    """Register a function as the layer `name`; it is called as f(tensor, name, **arguments)."""

    def register(build: Build) -> Build:
        LAYERS[name] = LayerKind(name, build, shorthand, merges, by_step, time)
        return build

    return register


def _window(given: Mapping[str, Any]) -> TimeStep | None:
    """Convolutions and pools."""
    size, stride = _first(given["size"]), _first(given["strides"])
    seen = (size - 1) * int(given.get("dilation", 1)) + 1
    return None if seen == stride == 1 else TimeStep(seen, stride, str(given["border"]))


def _everything(given: Mapping[str, Any]) -> TimeStep:
    """Layers whose every step hears all others."""
    return TimeStep(0)


def _first(value: Any) -> int:
    return int(value[0]) if isinstance(value, list) else int(value)


def _positive(value: int | list[int], key: str) -> int | list[int]:
    if min([value] if isinstance(value, int) else value, default=0) < 1:
        raise ArgumentError(f"{key!r} must be at least 1, found {value!r}", key)
    return value


def _by_axis(value: int | list[int], axes: int, key: str) -> tuple[int, ...]:
    """One number for each axis; a single one goes for all."""
    _positive(value, key)
    found = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(found) != axes:
        message = f"{key!r} has {len(found)} numbers where the input has {axes} axes to move along"
        raise ArgumentError(message, key)
    return found


def _axes(x: Tensor, what: str) -> int:
    axes = len(x.shape) - 2
    if axes not in (1, 2, 3):
        wanted = "(time, channels), (height, width, channels) or a volume"
        raise ValueError(f"{what} needs {wanted}")
    return axes


@layer("dense", shorthand="size", by_step=True)
def dense(
    x: Tensor, name: str, *, size: int | list[int], flatten: bool = False, bias: bool = True
) -> Tensor:
    """Fully connected: the last axis becomes `size`; a list makes several in a row."""
    _positive(size, "size")
    layers = keras().layers
    if flatten:
        x = layers.Flatten(name=f"{name}-flatten")(x)
    for i, one in enumerate([size] if isinstance(size, int) else size):
        x = layers.Dense(one, use_bias=bias, name=name if i == 0 else f"{name}-{i}")(x)
    return x


@layer("convolution", time=_window)
def convolution(
    x: Tensor,
    name: str,
    *,
    kernels: int | None = None,
    size: int | list[int],
    strides: int | list[int] = 1,
    border: Border = "same",
    bias: bool = True,
    separable: bool = False,
    depthwise: bool = False,
    dilation: int = 1,
) -> Tensor:
    """Convolution over time (one axis), pictures (two) or volumes (three), as the input has axes.

    `kernels` output channels; `depthwise` gives each channel a filter of its own (`kernels` is
    then left out); `separable` is depthwise followed by a dense layer of `kernels`.
    """
    layers = keras().layers
    axes = _axes(x, "a convolution")
    if depthwise == (kernels is not None):
        raise ValueError("a convolution needs 'kernels', or 'depthwise: yes' and no 'kernels'")
    if kernels is not None:
        _positive(kernels, "kernels")
    _positive(dilation, "dilation")
    width, step = _by_axis(size, axes, "size"), _by_axis(strides, axes, "strides")
    common: dict[str, Any] = {
        "padding": border,
        "use_bias": bias,
        "dilation_rate": dilation,
        "name": name,
    }
    if depthwise and axes == 1:
        # As a picture one pixel wide: the two-dimensional kernels of the backends are far faster.
        common["dilation_rate"] = (dilation, 1)
        picture = keras().ops.expand_dims(x, 2)
        picture = layers.DepthwiseConv2D((*width, 1), strides=step[0], **common)(picture)
        return keras().ops.squeeze(picture, 2)
    if depthwise or separable:
        if axes == 3:
            raise ValueError("a depthwise or separable convolution takes one or two axes, found 3")
        kind = ("Depthwise" if depthwise else "Separable") + f"Conv{axes}D"
        filters = () if depthwise else (kernels,)
        return getattr(layers, kind)(*filters, width, strides=step, **common)(x)
    return getattr(layers, f"Conv{axes}D")(kernels, width, strides=step, **common)(x)


@layer("pool", shorthand="size", time=_window)
def pool(
    x: Tensor,
    name: str,
    *,
    size: int | list[int],
    strides: int | list[int] = 1,
    type: Literal["max", "average"] = "max",
    border: Border = "valid",
) -> Tensor:
    """Largest or mean value of each window of `size`."""
    axes = _axes(x, "a pool")
    kind = ("MaxPooling" if type == "max" else "AveragePooling") + f"{axes}D"
    width, step = _by_axis(size, axes, "size"), _by_axis(strides, axes, "strides")
    return getattr(keras().layers, kind)(width, strides=step, padding=border, name=name)(x)


@layer("recurrent", shorthand="size", time=_everything)
def recurrent(
    x: Tensor,
    name: str,
    *,
    size: int,
    type: Literal["gru", "lstm"] = "gru",
    sequence: bool = True,
    bidirectional: bool = False,
    merge: Literal["multiply", "add", "average", "concat"] = "average",
    outer_activation: str | None = None,
) -> Tensor:
    """GRU or LSTM over time; `sequence: no` keeps the last step only."""
    _positive(size, "size")
    layers = keras().layers
    kind = {"gru": layers.GRU, "lstm": layers.LSTM}[type]
    modes = {"multiply": "mul", "add": "sum", "average": "ave", "concat": "concat"}
    if bidirectional:
        # Named, because a name that Keras makes up depends on what was built before.
        inner = kind(size, return_sequences=sequence, name=f"{name}-{type}")
        x = layers.Bidirectional(inner, merge_mode=modes[merge], name=name)(x)
    else:
        x = kind(size, return_sequences=sequence, name=name)(x)
    if outer_activation is not None:
        _check_activation(outer_activation, "outer_activation")
        x = layers.Activation(outer_activation, name=f"{name}-activation")(x)
    return x


@layer("activation", shorthand="type", by_step=True)
def activation(x: Tensor, name: str, *, type: str | None) -> Tensor:
    """Every activation of Keras by name: relu, gelu, softmax, log_softmax, tanh, ..., none."""
    if type is None or type == "none":
        return x
    _check_activation(type, "type")
    # Probabilities are kept in full precision whatever the rest of the network computes in.
    precise = {"dtype": "float32"} if type in ("softmax", "log_softmax") else {}
    return keras().layers.Activation(type, name=name, **precise)(x)


def _check_activation(name: str, key: str) -> None:
    module = keras().activations
    others = ("get", "serialize", "deserialize")
    known = [one for one in dir(module) if one[0] != "_" and one not in others]
    known = [one for one in known if callable(getattr(module, one))]
    if name not in known:
        accepted = ", ".join([*known, "none"])
        hint = nearest(name, known)
        raise ArgumentError(f"unknown activation {name!r}{hint}; accepted: {accepted}", key)


@layer("batch_normalization", by_step=True)
def batch_normalization(x: Tensor, name: str, *, axis: int = -1, momentum: float = 0.99) -> Tensor:
    """Each channel to mean 0 and deviation 1 over the batch (Ioffe and Szegedy, 2015)."""
    return keras().layers.BatchNormalization(axis=axis, momentum=momentum, name=name)(x)


@layer("layer_normalization", by_step=True)
def layer_normalization(x: Tensor, name: str, *, axis: int = -1) -> Tensor:
    """Each step to mean 0 and deviation 1 over its channels (Ba et al., 2016)."""
    return keras().layers.LayerNormalization(axis=axis, name=name)(x)


@layer("dropout", shorthand="fraction", by_step=True)
def dropout(x: Tensor, name: str, *, fraction: float, independent: bool = True) -> Tensor:
    """Zeroes a `fraction` of values while training; not `independent`: whole channels at once."""
    if not 0 <= fraction < 1:
        raise ArgumentError(
            f"'fraction' must be at least 0 and below 1, found {fraction}", "fraction"
        )
    layers = keras().layers
    kind = layers.Dropout if independent else getattr(layers, f"SpatialDropout{len(x.shape) - 2}D")
    # Without a seed of its own a layer draws from the backend's one generator, whose state no
    # checkpoint holds. `random` is what Keras seeds its layers from, and is seeded by the caller.
    return kind(fraction, seed=random.randrange(2**31), name=name)(x)


@layer("embedding", by_step=True)
def embedding(x: Tensor, name: str, *, vocab_size: int, size: int) -> Tensor:
    """Whole numbers below `vocab_size` -> vectors of `size`."""
    _positive(vocab_size, "vocab_size")
    _positive(size, "size")
    return keras().layers.Embedding(vocab_size, size, name=name)(x)


@layer("flatten")
def flatten(x: Tensor, name: str) -> Tensor:
    """All axes but the batch become one."""
    return keras().layers.Flatten(name=name)(x)


@layer("reshape", shorthand="shape")
def reshape(x: Tensor, name: str, *, shape: list[int]) -> Tensor:
    """The same values in another shape (batch not counted; -1 is worked out)."""
    return keras().layers.Reshape(tuple(shape), name=name)(x)


@layer("expand", shorthand="dimension")
def expand(x: Tensor, name: str, *, dimension: int) -> Tensor:
    """A new axis of length 1 (batch not counted; negative counts from the end)."""
    return keras().ops.expand_dims(x, dimension + 1 if dimension >= 0 else dimension)


@layer("squeeze", shorthand="dimension")
def squeeze(x: Tensor, name: str, *, dimension: int) -> Tensor:
    """An axis of length 1 less (batch not counted; negative counts from the end)."""
    return keras().ops.squeeze(x, dimension + 1 if dimension >= 0 else dimension)


@layer("transpose", shorthand="axes")
def transpose(x: Tensor, name: str, *, axes: list[int], include_batch: bool = False) -> Tensor:
    """Axes in another order (batch not counted unless `include_batch`)."""
    order = axes if include_batch else [0, *(axis + 1 for axis in axes)]
    if sorted(order) != list(range(len(x.shape))):
        first = 0 if include_batch else 1
        wanted = list(range(len(x.shape) - first))
        raise ArgumentError(f"'axes' must hold each of {wanted} once, found {axes}", "axes")
    return keras().ops.transpose(x, order)


@layer("repeat", shorthand="count")
def repeat(x: Tensor, name: str, *, count: int) -> Tensor:
    """A vector -> `count` time steps of it."""
    return keras().layers.RepeatVector(count, name=name)(x)


@layer("upsample", shorthand="times", time=lambda given: TimeStep(times=int(given["times"])))
def upsample(x: Tensor, name: str, *, times: int) -> Tensor:
    """Each time step `times` times in a row."""
    _positive(times, "times")
    return keras().layers.UpSampling1D(times, name=name)(x)


@layer("merge", shorthand="mode", merges=True)
def merge(x: list[Tensor], name: str, *, mode: str = "concat", axis: int = -1) -> Tensor:
    """Several inputs to one: concat (default), add, multiply, average, maximum, minimum."""
    if not isinstance(x, list):
        raise ValueError("'merge' needs several inputs, such as 'inputs: [one, two]'")
    layers = keras().layers
    kinds = {
        "concat": layers.Concatenate,
        "add": layers.Add,
        "multiply": layers.Multiply,
        "average": layers.Average,
        "maximum": layers.Maximum,
        "minimum": layers.Minimum,
    }
    short = {"concatenate": "concat", "sum": "add", "mul": "multiply", "ave": "average"}
    kind = kinds.get(short.get(mode, mode))
    if kind is None:
        hint = nearest(mode, kinds)
        raise ArgumentError(f"unknown 'mode' {mode!r}{hint}; accepted: {', '.join(kinds)}", "mode")
    along = {"axis": axis} if kind is layers.Concatenate else {}
    return kind(name=name, **along)(x)


@layer("squeeze_excite", shorthand="reduce", time=_everything)
def squeeze_excite(x: Tensor, name: str, *, reduce: int = 8) -> Tensor:
    """Scales each channel by what all time steps say of it (Hu et al., 2018)."""
    _positive(reduce, "reduce")
    layers = keras().layers
    channels = x.shape[-1]
    mean = layers.GlobalAveragePooling1D(keepdims=True, name=f"{name}-mean")(x)
    inner = layers.Dense(max(1, channels // reduce), activation="relu", name=f"{name}-in")(mean)
    gate = layers.Dense(channels, activation="sigmoid", name=f"{name}-out")(inner)
    return layers.Multiply(name=name)([x, gate])
