"""The layers that a Kurfile can name, each a function whose signature is its schema.

A layer takes a tensor (or several, where it merges) and its keyword arguments, and returns a
tensor. Shapes are written without the batch: a sequence is (time, channels), a picture (height,
width, channels). Knows nothing of Kurfiles, data or training; Keras is imported when a layer is
built, so that a Kurfile can be checked without it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kur.activations import activate, known_activation
from kur.arguments import ArgumentError, parameters
from kur.backend import keras
from kur.errors import nearest
from kur.timing import TimeStep

Tensor = Any
Build = Callable[..., Tensor]
Border = Literal["same", "valid"]
_note = logging.getLogger("kur").warning


@dataclass(frozen=True, slots=True)
class LayerKind:
    """A layer: its name, the function that builds it, the argument that a bare value stands for,
    whether it takes several inputs, and what it does along time, given all of its arguments."""

    name: str
    build: Build
    shorthand: str | None
    merges: bool
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
    time: Callable[[Mapping[str, Any]], TimeStep | None] | None = None,
) -> Callable[[Build], Build]:
    """Register a function as the layer `name`; it is called as f(tensor, name, **arguments)."""

    def register(build: Build) -> Build:
        LAYERS[name] = LayerKind(name, build, shorthand, merges, time)
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


def _highway(x: Tensor, transformed: Tensor, gate: Tensor, name: str) -> Tensor:
    """gate * transformed + (1 - gate) * x: what passes the gate is transformed, the rest goes on
    as it is (Srivastava et al., 2015)."""
    if x.shape[1:] != transformed.shape[1:]:
        message = f"a highway must keep the shape, found {tuple(x.shape[1:])} in and "
        raise ArgumentError(f"{message}{tuple(transformed.shape[1:])} out", "highway")
    layers = keras().layers
    changed = layers.Multiply(name=f"{name}-changed")([gate, transformed])
    kept = layers.Multiply(name=f"{name}-kept")([1.0 - gate, x])
    return layers.Add(name=f"{name}-sum")([changed, kept])


# Gates begin nearly shut, so that a deep network begins as one that hands its input on.
_SHUT = -2.0


@layer("dense", shorthand="size")
def dense(
    x: Tensor,
    name: str,
    *,
    size: int | list[int],
    flatten: bool = False,
    highway: bool = False,
    bias: bool = True,
) -> Tensor:
    """Fully connected: the last axis becomes `size`; a list makes several in a row.

    `flatten` makes one axis of all before; `highway` lets a learned share of the input pass by.
    """
    _positive(size, "size")
    layers = keras().layers
    if flatten:
        x = layers.Flatten(name=f"{name}-flatten")(x)
    sizes = [size] if isinstance(size, int) else size
    for i, one in enumerate(sizes, 1):
        own = name if i == len(sizes) else f"{name}-{i}"
        y = layers.Dense(one, use_bias=bias, name=own)(x)
        if highway:
            shut = keras().initializers.Constant(_SHUT)
            gate = layers.Dense(
                one, activation="sigmoid", bias_initializer=shut, name=f"{name}-{i}-gate"
            )
            y = _highway(x, y, gate(x), f"{name}-{i}")
        x = y
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
    highway: bool = False,
    bias: bool = True,
    separable: bool = False,
    depthwise: bool = False,
    dilation: int = 1,
    activation: str | None = None,
) -> Tensor:
    """Convolution over time (one axis), pictures (two) or volumes (three), as the input has axes.

    `kernels` output channels; `depthwise` gives each channel a filter of its own (`kernels` is
    then left out); `separable` is depthwise followed by a dense layer of `kernels`; `highway` lets
    a learned share of the input pass by. `activation` is one that follows, as in the first versions
    of Kur; a layer of its own says the same.
    """
    if activation is not None:
        given = {**locals(), "activation": None}
        return _activated(convolution(**given), name, activation)
    layers = keras().layers
    if highway:
        again: dict[str, Any] = {"size": size, "strides": strides, "border": border}
        again |= {"kernels": kernels, "separable": separable, "depthwise": depthwise}
        again["dilation"] = dilation
        y = convolution(x, name, bias=bias, **again)
        gate = convolution(x, f"{name}-gate", bias=False, **again)
        gate = layers.Activation("sigmoid", name=f"{name}-open")(gate + _SHUT)
        return _highway(x, y, gate, name)
    axes = _axes(x, "a convolution")
    if depthwise == (kernels is not None):
        raise ValueError("a convolution needs 'kernels', or 'depthwise: yes' and no 'kernels'")
    if kernels is not None:
        _positive(kernels, "kernels")
    _positive(dilation, "dilation")
    width, step = _by_axis(size, axes, "size"), _by_axis(strides, axes, "strides")
    common: dict[str, Any] = {"padding": border, "use_bias": bias, "dilation_rate": dilation}
    common["name"] = name
    if depthwise and axes == 1:
        return _depthwise_over_time(x, width[0], step[0], dilation, common)
    if depthwise or separable:
        if axes == 3:
            raise ValueError("a depthwise or separable convolution takes one or two axes, found 3")
        kind = ("Depthwise" if depthwise else "Separable") + f"Conv{axes}D"
        filters = () if depthwise else (kernels,)
        return getattr(layers, kind)(*filters, width, strides=step, **common)(x)
    return getattr(layers, f"Conv{axes}D")(kernels, width, strides=step, **common)(x)


def _activated(x: Tensor, name: str, kind: str) -> Tensor:
    try:
        return activate(x, f"{name}-activation", kind)
    except ArgumentError as error:
        raise ArgumentError(str(error), "activation") from None


def _depthwise_over_time(
    x: Tensor, width: int, step: int, dilation: int, common: dict[str, Any]
) -> Tensor:
    """As a picture one pixel wide: the two-dimensional kernels of the backends are far faster."""
    picture = keras().ops.expand_dims(x, 2)
    options = {**common, "strides": step, "dilation_rate": (dilation, 1)}
    return keras().ops.squeeze(keras().layers.DepthwiseConv2D((width, 1), **options)(picture), 2)


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
    merge: Literal["multiply", "add", "average", "concat"] | None = None,
    outer_activation: str | None = "tanh",
    gates: Literal["sigmoid", "hard_sigmoid"] = "sigmoid",
    reset_after: bool = True,
) -> Tensor:
    """GRU or LSTM over time; `sequence: no` keeps the last step only.

    A bidirectional one joins both ways by `merge` (average); `concat` gives each way half of
    `size`. `outer_activation` is that of the state, not one that follows the layer.
    `reset_after: no` is the GRU of 2014, which resets the state before it is multiplied.
    """
    _positive(size, "size")
    if len(x.shape) != 3:
        raise ValueError("a recurrent layer needs (time, channels)")
    if merge is not None and not bidirectional:
        raise ArgumentError("'merge' joins two ways and needs 'bidirectional: yes'", "merge")
    inside = outer_activation or "tanh"
    inside = "linear" if inside == "none" else known_activation(inside, "outer_activation")
    if merge == "concat":
        if size < 2:
            raise ArgumentError("'size' must be at least 2 for two ways, found 1", "size")
        if size % 2:
            _note("the layer %r: its size %d is made even: two ways share it", name, size)
        size //= 2
    layers = keras().layers
    kind = {"gru": layers.GRU, "lstm": layers.LSTM}[type]
    options: dict[str, Any] = {"activation": inside, "recurrent_activation": gates}
    options |= {"reset_after": reset_after} if type == "gru" else {}
    modes = {"multiply": "mul", "add": "sum", "average": "ave", "concat": "concat"}
    if not bidirectional:
        return kind(size, return_sequences=sequence, name=name, **options)(x)
    # Named, because a name that Keras makes up depends on what was built before.
    inner = kind(size, return_sequences=sequence, name=f"{name}-{type}", **options)
    return layers.Bidirectional(inner, merge_mode=modes[merge or "average"], name=name)(x)


@layer("activation", shorthand="type")
def activation(
    x: Tensor, name: str, *, type: str | None = "none", alpha: float | None = None
) -> Tensor:
    """Every activation of Keras by name: relu, gelu, softmax, log_softmax, tanh, ..., none.

    `alpha` is the slope of leakyrelu (0.3) and leaky_relu (0.2) below 0, and the scale of elu (1);
    prelu learns its slopes.
    """
    return activate(x, name, type or "none", alpha)


@layer("batch_normalization")
def batch_normalization(x: Tensor, name: str, *, axis: int = -1, momentum: float = 0.99) -> Tensor:
    """Each channel to mean 0 and deviation 1 over the batch (Ioffe and Szegedy, 2015)."""
    return keras().layers.BatchNormalization(axis=axis, momentum=momentum, name=name)(x)


@layer("layer_normalization")
def layer_normalization(x: Tensor, name: str, *, axis: int = -1) -> Tensor:
    """Each step to mean 0 and deviation 1 over its channels (Ba et al., 2016)."""
    return keras().layers.LayerNormalization(axis=axis, name=name)(x)


@layer("dropout", shorthand="fraction")
def dropout(x: Tensor, name: str, *, fraction: float, independent: bool = True) -> Tensor:
    """Zeroes a `fraction` of values while training; not `independent`: whole channels at once."""
    _fraction(fraction, "fraction")
    layers = keras().layers
    axes = len(x.shape) - 2
    # A vector has no axis that a channel runs along.
    spatial = not independent and axes in (1, 2, 3)
    kind = getattr(layers, f"SpatialDropout{axes}D") if spatial else layers.Dropout
    return kind(fraction, seed=_seed(), name=name)(x)


def _fraction(value: float, key: str) -> None:
    if not 0 <= value < 1:
        raise ArgumentError(f"{key!r} must be at least 0 and below 1, found {value}", key)


def _seed() -> int:
    """Without a seed of its own a layer draws from the backend's one generator, whose state no
    checkpoint holds. `random` is what Keras seeds its layers from, and is seeded by the caller."""
    return random.randrange(2**31)


@layer("embedding")
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


_MERGES = {
    "concat": "Concatenate",
    "add": "Add",
    "multiply": "Multiply",
    "average": "Average",
    "maximum": "Maximum",
    "minimum": "Minimum",
    "subtract": "Subtract",
}
_SHORT = {"concatenate": "concat", "sum": "add", "mul": "multiply", "ave": "average"}
_SHORT |= {"max": "maximum", "min": "minimum", "mean": "average"}


@layer("merge", shorthand="mode", merges=True)
def merge(x: list[Tensor], name: str, *, mode: str | None = "concat", axis: int = -1) -> Tensor:
    """Several inputs to one: concat (default), add, multiply, average, maximum, minimum, subtract.

    `axis` is that of concat (batch not counted; negative counts from the end).
    """
    short = (mode or "concat").lower()
    kind = _MERGES.get(_SHORT.get(short, short))
    if kind is None:
        hint = nearest(mode or "", _MERGES)
        raise ArgumentError(
            f"unknown 'mode' {mode!r}{hint}; accepted: {', '.join(_MERGES)}", "mode"
        )
    if not isinstance(x, list):
        return x
    along = {"axis": axis + 1 if axis >= 0 else axis} if kind == "Concatenate" else {}
    return getattr(keras().layers, kind)(name=name, **along)(x)


@layer("attention", shorthand="heads", time=_everything)
def attention(
    x: Tensor,
    name: str,
    *,
    heads: int,
    size: int | None = None,
    dropout: float = 0.0,
    causal: bool = False,
) -> Tensor:
    """Each time step looks at all others (Vaswani et al., 2017), through `heads` of `size` each.

    `size` is by default such that the heads together are as wide as the input. `causal`: at
    earlier steps only. Steps know nothing of their place unless it is part of them.
    """
    _positive(heads, "heads")
    _fraction(dropout, "dropout")
    if size is not None:
        _positive(size, "size")
    if len(x.shape) != 3:
        raise ValueError("attention needs (time, channels)")
    channels = int(x.shape[-1])
    if size is None and channels % heads:
        message = f"{heads} heads do not divide the {channels} channels of the input; give 'size'"
        raise ArgumentError(message, "heads")
    looks = keras().layers.MultiHeadAttention(
        heads, size or channels // heads, dropout=dropout, seed=_seed(), name=name
    )
    return looks(x, x, use_causal_mask=causal)


@layer("squeeze_excite", shorthand="reduce", time=_everything)
def squeeze_excite(x: Tensor, name: str, *, reduce: int = 8) -> Tensor:
    """Scales each channel by what all time steps (or pixels) say of it (Hu et al., 2018)."""
    _positive(reduce, "reduce")
    layers = keras().layers
    axes = _axes(x, "squeeze_excite")
    channels = x.shape[-1]
    pool = getattr(layers, f"GlobalAveragePooling{axes}D")
    mean = pool(keepdims=True, name=f"{name}-mean")(x)
    inner = layers.Dense(max(1, channels // reduce), activation="relu", name=f"{name}-in")(mean)
    gate = layers.Dense(channels, activation="sigmoid", name=f"{name}-out")(inner)
    return layers.Multiply(name=name)([x, gate])
