"""The optimizers and learning-rate schedules that a Kurfile can name.

Knows nothing of networks or data; the schedule is worked out here and handed to Keras step by
step, so that it is the same on every backend and after every resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kur.arguments import ArgumentError, bind, parameters
from kur.backend import keras
from kur.errors import nearest

Rate = float | dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Learning rate by step: rises from 0 over the share `warmup` of all steps, then falls from
    `peak` to `final` (`cosine`, `linear`), or stays (`constant`)."""

    peak: float
    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    warmup: float = 0.0
    final: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.peak) and self.peak > 0):
            raise ArgumentError(f"the learning rate must be above 0, found {self.peak}", "peak")
        if not 0 <= self.warmup < 1:
            message = f"'warmup' is a share of all steps, from 0 to below 1, found {self.warmup}"
            raise ArgumentError(message, "warmup")
        if not 0 <= self.final <= self.peak:
            message = f"'final' must be from 0 to 'peak' ({self.peak}), found {self.final}"
            raise ArgumentError(message, "final")

    @property
    def needs_total(self) -> bool:
        """Whether the rate depends on how many steps there are in all."""
        return self.schedule != "constant" or self.warmup > 0

    def at(self, step: int, total: int) -> float:
        """Rate of step `step` (from 0) of `total`."""
        rise = self.warmup * total
        if step < rise:
            return min(self.peak, self.peak * (step + 1) / rise)
        if self.schedule == "constant":
            return self.peak
        part = min(1.0, (step - rise) / max(1.0, total - rise))
        fall = (1 + math.cos(math.pi * part)) / 2 if self.schedule == "cosine" else 1 - part
        return self.final + (self.peak - self.final) * fall


@dataclass(frozen=True, slots=True)
class Optimizer:
    """A Keras optimizer and the schedule of its learning rate."""

    keras: Any
    schedule: Schedule


# Each is made with a rate of 1, because the schedule sets the rate before every step.
def _adam(*, learning_rate: Rate = 0.001) -> Any:
    return keras().optimizers.Adam(1.0)


def _adamw(*, learning_rate: Rate = 0.001, weight_decay: float = 0.004) -> Any:
    return keras().optimizers.AdamW(1.0, weight_decay=weight_decay)


def _sgd(*, learning_rate: Rate = 0.01, momentum: float = 0.0, nesterov: bool = False) -> Any:
    return keras().optimizers.SGD(1.0, momentum=momentum, nesterov=nesterov)


def _adadelta(*, learning_rate: Rate = 1.0) -> Any:
    return keras().optimizers.Adadelta(1.0)


def _rmsprop(*, learning_rate: Rate = 0.001) -> Any:
    return keras().optimizers.RMSprop(1.0)


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
}


def _clip(*, norm: float | None = None, abs: float | None = None) -> dict[str, float]:
    if (norm is None) == (abs is None):
        raise ArgumentError("'clip' takes one of 'norm' and 'abs'")
    key, value = ("norm", norm) if norm is not None else ("abs", abs)
    if value is None or not value > 0:
        raise ArgumentError(f"{key!r} of 'clip' must be above 0, found {value}", key)
    return {"global_clipnorm" if key == "norm" else "clipvalue": value}


def make_optimizer(setting: Mapping[str, Any] | str | None) -> Optimizer:
    """The optimizer of a `train.optimizer` setting: a name or {name, learning_rate, clip, ...}.

    `learning_rate` is a number or {peak, schedule, warmup, final}; `clip` is {norm} (of all
    gradients together) or {abs} (of each value). ArgumentError names the key ('clip.norm').
    """
    given = dict(setting) if isinstance(setting, Mapping) else {"name": setting}
    name = str(given.pop("name", None) or "adam")
    if name not in OPTIMIZERS:
        message = f"unknown optimizer {name!r}{nearest(name, OPTIMIZERS)}"
        raise ArgumentError(f"{message}; known: {', '.join(OPTIMIZERS)}", "name")
    clip = given.pop("clip", None)
    make = OPTIMIZERS[name]
    arguments = bind(make, given, what=f"the optimizer {name}")
    rate = arguments.get("learning_rate", parameters(make)["learning_rate"].default)
    if not isinstance(rate, dict):
        rate = {"peak": rate, "schedule": "constant"}
    schedule = _inside(Schedule, rate, "learning_rate")
    clipping = {} if clip is None else _inside(_clip, clip, "clip")
    optimizer = make(**arguments)
    for key, value in clipping.items():
        setattr(optimizer, key, value)
    return Optimizer(optimizer, schedule)


def _inside(function: Callable[..., Any], value: Any, key: str) -> Any:
    """`function` with the arguments that stand under `key`."""
    try:
        return function(**bind(function, value, what=repr(key)))
    except ArgumentError as error:
        inner = f"{key}.{error.key}" if error.key else key
        raise ArgumentError(str(error), inner) from None
