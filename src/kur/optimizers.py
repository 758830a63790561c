"""The optimizers and learning-rate schedules that a Kurfile can name.

Knows nothing of networks or data; the schedule is worked out here and handed to Keras step by
step, so that it is the same on every backend and after every resume.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from kur.arguments import ArgumentError, bind, meant, parameters
from kur.backend import keras
from kur.errors import KurError, nearest

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
    """A Keras optimizer, the schedule of its learning rate, and what changes it on top.

    `decay` divides the rate by 1 + decay * step. `scale_rate` is a source of the data whose mean
    over the batch the rate is multiplied by (`sqrt`: by the root of that mean).
    """

    keras: Any
    schedule: Schedule
    decay: float = 0.0
    scale_rate: str | None = None
    scale_mode: str = "linear"

    def rate(self, step: int, total: int, batch: Mapping[str, Any]) -> float:
        """Learning rate of step `step` (from 0) of `total`, which learns from `batch`.

        KurError where the batch lacks the source of `scale_rate`, or where that has no mean above
        0.
        """
        rate = self.schedule.at(step, total) / (1 + self.decay * step)
        if self.scale_rate is None:
            return rate
        if self.scale_rate not in batch:
            hint = f"{nearest(self.scale_rate, batch)}; the data has {', '.join(batch)}"
            raise KurError(f"'scale_rate' needs the source {self.scale_rate!r}{hint}")
        mean = float(np.mean(np.asarray(batch[self.scale_rate], np.float64)))
        if not (math.isfinite(mean) and mean > 0):
            message = f"the mean of the source {self.scale_rate!r} over a batch is {mean}"
            raise KurError(f"'scale_rate': {message}, which is no factor for a learning rate")
        return rate * (math.sqrt(mean) if self.scale_mode == "sqrt" else mean)


# Each is made with a rate of 1, because the schedule sets the rate before every step. The other
# defaults are those of Kur.
def _adam(*, learning_rate: Rate | None = 0.001, epsilon: float = 1e-7) -> Any:
    return keras().optimizers.Adam(1.0, epsilon=epsilon)


def _adamw(
    *, learning_rate: Rate | None = 0.001, weight_decay: float = 0.004, epsilon: float = 1e-7
) -> Any:
    return keras().optimizers.AdamW(1.0, weight_decay=weight_decay, epsilon=epsilon)


def _sgd(
    *, learning_rate: Rate | None = 0.01, momentum: float = 0.0, nesterov: bool = False
) -> Any:
    return keras().optimizers.SGD(1.0, momentum=momentum, nesterov=nesterov)


def _adadelta(*, learning_rate: Rate | None = 1.0, rho: float = 0.95, epsilon: float = 1e-7) -> Any:
    return keras().optimizers.Adadelta(1.0, rho=rho, epsilon=epsilon)


def _rmsprop(*, learning_rate: Rate | None = 0.001, rho: float = 0.9, epsilon: float = 1e-8) -> Any:
    return keras().optimizers.RMSprop(1.0, rho=rho, epsilon=epsilon)


OPTIMIZERS: dict[str, Callable[..., Any]] = {
    "adam": _adam,
    "adamw": _adamw,
    "sgd": _sgd,
    "adadelta": _adadelta,
    "rmsprop": _rmsprop,
}


def optimizer(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as the optimizer `name`. It gives a Keras optimizer with a rate of 1; its
    keyword parameters are its options, and `learning_rate` is one of them."""

    def register(make: Callable[..., Any]) -> Callable[..., Any]:
        if "learning_rate" not in parameters(make):
            raise TypeError(f"the optimizer {name!r} takes no keyword argument 'learning_rate'")
        OPTIMIZERS[name] = make
        return make

    return register


def _every(
    *,
    clip: dict[str, Any] | None = None,
    decay: float | None = 0.0,
    scale_rate: str | None = None,
    scale_mode: Literal["linear", "sqrt"] = "linear",
) -> dict[str, Any]:
    """What all optimizers take beside their own arguments."""
    if decay is not None and not (math.isfinite(decay) and decay >= 0):
        raise ArgumentError(f"'decay' must be at least 0, found {decay}", "decay")
    return {"decay": decay or 0.0, "scale_rate": scale_rate, "scale_mode": scale_mode}


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
    gradients together) or {abs} (of each value); `decay`, `scale_rate` and `scale_mode` are those
    of Optimizer. ArgumentError names the key ('clip.norm').
    """
    given = dict(setting) if isinstance(setting, Mapping) else {"name": setting}
    name = str(given.pop("name", None) or "adam").lower()
    if name not in OPTIMIZERS:
        message = f"unknown optimizer {name!r}{nearest(name, OPTIMIZERS)}"
        raise ArgumentError(f"{message}; known: {', '.join(OPTIMIZERS)}", "name")
    make, what = OPTIMIZERS[name], f"the optimizer {name}"
    own, every = parameters(make), parameters(_every)
    for key in given:
        if key not in {**own, **every}:
            known = [*own, *every]
            message = f"{what} has no argument {key!r}{meant(key, known)}"
            raise ArgumentError(f"{message}; accepted: {', '.join(known)}", str(key))
    clip = given.pop("clip", None)
    shared = _every(**bind(_every, {k: v for k, v in given.items() if k in every}, what=what))
    arguments = bind(make, {k: v for k, v in given.items() if k in own}, what=what)
    rate = arguments.get("learning_rate")
    if rate is None:
        rate = own["learning_rate"].default
    if not isinstance(rate, dict):
        rate = {"peak": rate, "schedule": "constant"}
    schedule = _inside(Schedule, rate, "learning_rate")
    clipping = {} if clip is None else _inside(_clip, clip, "clip")
    optimizer = make(**arguments)
    for key, value in clipping.items():
        setattr(optimizer, key, value)
    return Optimizer(optimizer, schedule, **shared)


def _inside(function: Callable[..., Any], value: Any, key: str) -> Any:
    """`function` with the arguments that stand under `key`."""
    try:
        return function(**bind(function, value, what=repr(key)))
    except ArgumentError as error:
        inner = f"{key}.{error.key}" if error.key else key
        raise ArgumentError(str(error), inner) from None
