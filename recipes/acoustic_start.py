"""Weights to train on from: those of the network that ships, taken out of its ONNX file.

    python recipes/acoustic_start.py --out recipes/work/more_1/start.safetensors

The ONNX file holds dense layers in 8 bits and batch normalization as three numbers a channel (mean,
factor, offset): what it divided by is measured anew, on training speech. So that the network can be
trained on without its first weights being kept anywhere else, by whoever has more speech.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from kur.assemble import Assembly, assemble
from kur.backend import keras
from kur.checkpoint import save_weights
from kur.reader import Kurfile

HERE = Path(__file__).resolve().parent
NETWORK = HERE.parent / "src" / "earshot" / "networks" / "english" / "network.onnx"
BATCHES = 12  # of training speech, about 20 minutes, to measure deviations on

Array = NDArray[np.float32]


def main(arguments: list[str] | None = None) -> int:
    """Write the weights file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--kurfile", type=Path, default=HERE / "acoustic.yml")
    parser.add_argument("--network", type=Path, default=NETWORK)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    kurfile = Kurfile(options.kurfile)
    kurfile.parse()
    assembly = assemble(kurfile, ("train",), "torch", precision="float32")
    steps = list(constants(onnx.load(str(options.network))))
    place(assembly.model.keras, steps)
    normalise(assembly)
    save_weights(options.out, assembly.model.keras, {"from": str(options.network.name)})
    print(f"{options.out}: weights of {options.network}")
    return 0


def constants(network: Any) -> Iterator[tuple[str, Array]]:
    """What each step of the graph holds, in its order: (kind of step, array)."""
    held = {one.name: numpy_helper.to_array(one) for one in network.graph.initializer}
    scales = {
        name.removesuffix("_scale"): array
        for name, array in held.items()
        if name.endswith("_scale")
    }
    for node in network.graph.node:
        for name in node.input:
            if name in held and name.endswith("_quantized"):
                stem = name.removesuffix("_quantized")
                zero = held[f"{stem}_zero_point"].astype(np.float32)
                yield "MatMul", (held[name].astype(np.float32) - zero) * scales[stem]
            elif name in held and not name.endswith(("_scale", "_zero_point")):
                yield node.op_type, held[name].astype(np.float32)


def place(model: Any, steps: list[tuple[str, Array]]) -> None:
    """Set the variables of a Keras model, whose layers stand in the order of the graph."""
    waiting = iter(steps)

    def following(kind: str) -> Array:
        found, array = next(waiting)
        if found != kind:
            raise SystemExit(f"{kind} expected in the network's file, found {found}")
        return array

    for layer in model.layers:
        kind = type(layer).__name__
        if kind == "Conv1D":
            layer.kernel.assign(following("Conv").transpose(2, 1, 0))
        elif kind == "DepthwiseConv2D":
            layer.kernel.assign(following("Conv").transpose(2, 3, 0, 1))
        elif kind == "BatchNormalization":
            layer.moving_mean.assign(following("Sub").ravel())
            # Right while the variance is said to be 1, until `normalise` has measured it.
            layer.gamma.assign(following("Mul").ravel() * np.sqrt(1 + layer.epsilon))
            layer.moving_variance.assign(np.ones(layer.moving_variance.shape, np.float32))
            layer.beta.assign(following("Add").ravel())
        elif kind == "Dense":
            layer.kernel.assign(following("MatMul"))
            layer.bias.assign(following("Add"))
        elif layer.weights:
            raise SystemExit(f"a layer of the kind {kind} is not known here")
    if next(waiting, None) is not None:
        raise SystemExit("the network's file holds more layers than the Kurfile")


def normalise(assembly: Assembly) -> None:
    """Measure what each batch normalization divides by, and leave what it gives as it was."""
    model, provider = assembly.model, assembly.data["train"][""]
    layers = [one for one in model.keras.layers if type(one).__name__ == "BatchNormalization"]
    inside = keras().Model(model.keras.inputs, [one.input for one in layers])
    sums = [np.zeros(one.gamma.shape[0]) for one in layers]
    count = [0] * len(layers)
    for _, batch in zip(range(BATCHES), provider.batches(1, training=True), strict=False):
        found = inside.predict_on_batch({name: batch[name] for name in model.inputs})
        for i, (layer, values) in enumerate(zip(layers, found, strict=True)):
            flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
            sums[i] += np.square(flat - layer.moving_mean.numpy()).sum(axis=0)
            count[i] += len(flat)
    for layer, total, number in zip(layers, sums, count, strict=True):
        variance = (total / number).astype(np.float32)
        wider = np.sqrt((variance + layer.epsilon) / (1 + layer.epsilon))
        layer.gamma.assign(layer.gamma.numpy() * wider)
        layer.moving_variance.assign(variance)


if __name__ == "__main__":
    sys.exit(main())
