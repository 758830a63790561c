"""What layers do along time: strides and windows, and time steps as samples of their own.

Knows nothing of particular layers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from kur.backend import keras

Tensor = Any


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


@functools.cache
def _folding() -> tuple[type, type]:
    """Two layers: time steps become samples, and samples time steps again."""
    library = keras()
    ops = library.ops

    class Fold(library.layers.Layer):  # type: ignore[misc,name-defined]
        """(batch, time, ...) -> (batch * time, ...)"""

        def call(self, x: Tensor) -> Tensor:
            return ops.reshape(x, (-1, *ops.shape(x)[2:]))

        def compute_output_shape(self, x_shape: tuple[Any, ...]) -> tuple[Any, ...]:
            return (None, *x_shape[2:])

    class Unfold(library.layers.Layer):  # type: ignore[misc,name-defined]
        """(batch * time, ...) -> (batch, time, ...), the time being that of `like`."""

        def call(self, x: Tensor, like: Tensor) -> Tensor:
            return ops.reshape(x, (-1, ops.shape(like)[1], *ops.shape(x)[1:]))

        def compute_output_shape(
            self, x_shape: tuple[Any, ...], like_shape: tuple[Any, ...]
        ) -> tuple[Any, ...]:
            return (*like_shape[:2], *x_shape[1:])

    return Fold, Unfold


def fold(x: Tensor, name: str) -> Tensor:
    """Each time step as a sample of its own: (batch, time, ...) -> (batch * time, ...)."""
    if len(x.shape) < 3:
        raise ValueError("time steps are needed, each with values of its own")
    return _folding()[0](name=name)(x)


def unfold(x: Tensor, like: Tensor, name: str) -> Tensor:
    """The time steps that `fold` made samples of `like`, as such again."""
    return _folding()[1](name=name)(x, like)
