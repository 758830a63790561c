"""Activations by name: those of Keras, and those that Kur had under names of its own.

Knows nothing of Kurfiles.
"""

from __future__ import annotations

from typing import Any

from kur.arguments import ArgumentError
from kur.backend import keras
from kur.errors import nearest

Tensor = Any

# What Keras knows by name, listed so that a Kurfile can be checked without it.
# fmt: off
ACTIVATIONS = (
    "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
    "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish",
    "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
    "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink",
    "threshold",
)
# fmt: on
# Names of Kur and of the Keras of its day, and what they mean: a Keras layer and its arguments.
_ADVANCED: dict[str, tuple[str, dict[str, Any]]] = {
    "leakyrelu": ("LeakyReLU", {"negative_slope": 0.3}),
    "leaky_relu": ("LeakyReLU", {"negative_slope": 0.2}),
    "prelu": ("PReLU", {}),
    "elu": ("ELU", {"alpha": 1.0}),
}


def activate(x: Tensor, name: str, kind: str, alpha: float | None = None) -> Tensor:
    """The activation `kind` of `x`, as a Keras layer `name`; `none` gives `x` itself.

    ArgumentError where there is no such activation, or where it takes no `alpha`.
    """
    kind = kind.lower()
    if alpha is not None and not _ADVANCED.get(kind, ("", {}))[1]:
        raise ArgumentError(f"{kind!r} takes no 'alpha'; leakyrelu, leaky_relu and elu do", "alpha")
    if kind in _ADVANCED:
        make, given = _ADVANCED[kind]
        if alpha is not None:
            given = dict.fromkeys(given, alpha)
        if make == "PReLU":
            # One slope for each channel, whatever the length.
            given = {"shared_axes": list(range(1, len(x.shape) - 1)) or None}
        return getattr(keras().layers, make)(name=name, **given)(x)
    if kind == "none":
        return x
    kind = known_activation(kind, "type")
    # Probabilities are kept in full precision whatever the rest of the network computes in.
    precise = {"dtype": "float32"} if kind in ("softmax", "log_softmax") else {}
    return keras().layers.Activation(kind, name=name, **precise)(x)


def known_activation(name: str, key: str) -> str:
    """The name as Keras has it; ArgumentError about `key` where there is none."""
    if name.lower() not in ACTIVATIONS:
        accepted = ", ".join([*ACTIVATIONS, *sorted({*_ADVANCED} - {*ACTIVATIONS}), "none"])
        hint = nearest(name, [*ACTIVATIONS, *_ADVANCED])
        raise ArgumentError(f"unknown activation {name!r}{hint}; accepted: {accepted}", key)
    return name.lower()
