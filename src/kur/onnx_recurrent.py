"""Recurrent layers as the GRU and LSTM of ONNX, for any number of steps.

Keras goes from step to step in Python, of which a trace would keep the number of steps. While a
network is traced, each of its recurrent layers is one operator instead, with the same weights.
Knows nothing of Kurfiles.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.checkpoint import numpy_of
from kur.errors import KurError

Array = NDArray[np.float32]

# Activations by their Keras name: that of ONNX with its alpha and beta (None: it takes none).
_NAMES: dict[str, tuple[str, float | None, float | None]] = {
    "relu": ("Relu", None, None),
    "tanh": ("Tanh", None, None),
    "sigmoid": ("Sigmoid", None, None),
    "softsign": ("Softsign", None, None),
    "softplus": ("Softplus", None, None),
    "linear": ("Affine", 1.0, 0.0),
    "elu": ("Elu", 1.0, None),
    "hard_sigmoid": ("HardSigmoid", 1 / 6, 0.5),
}


@contextlib.contextmanager
def as_operators(model: Any) -> Iterator[None]:
    """Inside, every GRU and LSTM of a Keras model on torch is traced as one operator; what it gives
    then has the right shape, and values that mean nothing."""
    layers = [one for one in model._flatten_layers() if type(one).__name__ in ("GRU", "LSTM")]
    replaced = []
    try:
        for layer in layers:
            operator = _operator(layer)
            replaced.append((layer, layer.call))
            layer.call = operator
        yield
    finally:
        for layer, call in replaced:
            layer.call = call


def _operator(layer: Any) -> Any:
    """A function that takes the place of `layer.call`."""
    # Only an export needs torch itself rather than Keras.
    import torch

    kind, size = type(layer).__name__, int(layer.units)
    attributes = {"hidden_size_i": size, **_activations(layer, kind)}
    if kind == "GRU":
        # Whether the state is multiplied before it is reset.
        attributes["linear_before_reset_i"] = int(layer.reset_after)
    weights = tuple(torch.from_numpy(one) for one in _weights(layer, kind))
    sequence, backwards = bool(layer.return_sequences), bool(layer.go_backwards)
    step = _step_of_torch()

    def call(sequences: Any, *_given: Any, **_options: Any) -> Any:
        # The operator goes forwards; Keras gives what goes backwards in the order of its steps.
        x = torch.flip(sequences, [1]) if backwards else sequences
        return step.apply(x, *weights, kind, sequence, size, tuple(sorted(attributes.items())))

    return call


@functools.cache
def _step_of_torch() -> Any:
    # Only an export needs torch itself rather than Keras.
    import torch

    class Recurrent(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, r: Any, b: Any, *given: Any) -> Any:
            _kind, sequence, size, _attributes = given
            shape = (x.shape[0], x.shape[1], size) if sequence else (x.shape[0], size)
            return x.new_zeros(shape)

        @staticmethod
        def symbolic(g: Any, x: Any, w: Any, r: Any, b: Any, *given: Any) -> Any:
            kind, sequence, size, attributes = given
            steps_first = g.op("Transpose", x, perm_i=[1, 0, 2])
            count = 2 if kind == "GRU" else 3
            outputs = g.op(kind, steps_first, w, r, b, outputs=count, **dict(attributes))
            one = g.op("Constant", value_t=torch.tensor([1 if sequence else 0]))
            found = g.op("Squeeze", outputs[0 if sequence else 1], one)
            if sequence:
                found = g.op("Transpose", found, perm_i=[1, 0, 2])
            sizes = [None, None, size] if sequence else [None, size]
            found.setType(x.type().with_sizes(sizes))
            return found

    return Recurrent


def _activations(layer: Any, kind: str) -> dict[str, Any]:
    """Names of gates and of the state's activation, as attributes of the operator."""
    names = [layer.recurrent_activation.__name__, layer.activation.__name__]
    for name in names:
        if name not in _NAMES:
            known = ", ".join(_NAMES)
            message = f"ONNX has no recurrent layer with the activation {name}"
            raise KurError(f"{message}; it has: {known}")
    # An LSTM uses the state's activation twice: for what is stored and for what is given.
    found = [_NAMES[name] for name in (names if kind == "GRU" else [*names, names[1]])]
    attributes: dict[str, Any] = {"activations_s": [name for name, _, _ in found]}
    for key, place in (("activation_alpha_f", 1), ("activation_beta_f", 2)):
        values = [one[place] for one in found if one[place] is not None]
        if values:
            attributes[key] = values
    return attributes


def _weights(layer: Any, kind: str) -> tuple[Array, Array, Array]:
    """Weights of the input, of the state, and both biases, as ONNX orders their gates.

    Keras has (inputs, gates * units); ONNX (directions, gates * units, inputs).
    """
    cell, size = layer.cell, int(layer.units)
    order = [0, 1, 2] if kind == "GRU" else [0, 3, 1, 2]  # i, f, c, o -> i, o, f, c

    def arranged(array: Any) -> Array:
        pieces = np.split(np.asarray(array, np.float32), len(order), axis=-1)
        return np.concatenate([pieces[i] for i in order], axis=-1)

    biases = np.zeros((2, len(order) * size), np.float32)
    if cell.use_bias:
        bias = numpy_of(cell.bias)
        # One for the input, and one for the state where that is multiplied before it is reset.
        biases[: len(np.atleast_2d(bias))] = bias
    kernels = (numpy_of(one) for one in (cell.kernel, cell.recurrent_kernel))
    w, r = (np.ascontiguousarray(arranged(one).T[None]) for one in kernels)
    return w, r, np.ascontiguousarray(arranged(biases).reshape(1, -1))
