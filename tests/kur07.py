"""Makes tests/golden/kur07: weights and a log as Kur 0.7 left them on disk, of one tiny network.

    python tests/kur07.py FOLDER

The bytes are laid as Kur's own writer laid them: two zeros, a type (0x0D float, 0x0C int), the
number of dimensions, each as a big-endian 32-bit number, the values big-endian. Names of weights
are those of Keras 2 on TensorFlow (`/` written `_`), Keras 1 on Theano, and PyTorch. The golden
folders are never written again; this shows how they came to be.
"""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

KURFILE = """
model:
  - input: {name: x, shape: [6, 3]}
  - convolution: {kernels: 4, size: 3}
  - batch_normalization
  - activation: relu
  - flatten
  - dense: 5
    name: middle/one
  - dense: 2
    name: y
"""


def write_idx(path: Path, data: Array) -> None:
    """One array, as Kur wrote it."""
    number, kind = (0x0D, ">f4") if data.dtype.kind == "f" else (0x0C, ">i4")
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, number, data.ndim]) + struct.pack(f">{data.ndim}I", *data.shape)
    path.write_bytes(head + data.astype(kind).tobytes())


def network() -> dict[str, dict[str, Array]]:
    """The weights of each layer, with the axes of Keras."""
    rng = np.random.default_rng(7)

    def some(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32)

    return {
        "..convolution.0": {"kernel": some(3, 3, 4), "bias": some(4)},
        "..batch_normalization.0": {
            "gamma": some(4),
            "beta": some(4),
            "moving_mean": some(4),
            "moving_variance": some(4) ** 2 + 0.5,
        },
        "middle/one": {"kernel": some(24, 5), "bias": some(5)},
        "y": {"kernel": some(5, 2), "bias": some(2)},
    }


def by_keras(folder: Path) -> None:
    """Keras 2 on TensorFlow."""
    for layer, weights in network().items():
        for weight, array in weights.items():
            name = f"{layer}/{weight}:0".replace("/", "_")
            write_idx(folder / f"{layer.replace('/', '_')}+{name}.kur", array)


def by_theano(folder: Path) -> None:
    """Keras 1 on Theano, whose convolutions run through their kernels backwards."""
    old = {"kernel": "W", "bias": "b", "moving_mean": "running_mean"}
    old["moving_variance"] = "running_std"
    for layer, weights in network().items():
        for weight, array in weights.items():
            turned = array[::-1] if "convolution" in layer and weight == "kernel" else array
            safe = layer.replace("/", "_")
            write_idx(folder / f"{safe}+{safe}_{old.get(weight, weight)}.kur", turned)


def by_torch(folder: Path) -> None:
    """PyTorch: outputs first, and names that are attributes of Python."""
    old = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
    old |= {"moving_mean": "running_mean", "moving_variance": "running_var"}
    for layer, weights in network().items():
        safe = "layer_" + re.sub(r"^[^a-zA-Z_]|[^a-zA-Z0-9_]", "_", layer)
        for weight, array in weights.items():
            turned = array.transpose() if weight == "kernel" else array
            write_idx(folder / f"{safe}+{old[weight]}.kur", turned)


def log(folder: Path) -> None:
    """Three epochs of four batches of 16 samples."""
    losses = np.linspace(2.0, 0.9, 12).astype(np.float32)
    batches = np.arange(1, 13, dtype=np.int32)
    times = np.linspace(1.5, 18.0, 12).astype(np.float32)
    for name, values in (("total", losses), ("y", losses), ("batch", batches), ("time", times)):
        write_idx(folder / f"batch_loss_{name}", values)
    means = losses.reshape(3, 4).mean(axis=1)
    for name, values in (("total", means), ("batch", batches[3::4]), ("time", times[3::4])):
        write_idx(folder / f"training_loss_{name}", values)
    valid = np.array([1.9, 1.2, 1.3], np.float32)
    for tags in ("loss", "loss.default"):
        for name, values in (("total", valid), ("batch", batches[3::4]), ("time", times[3::4])):
            write_idx(folder / f"validation_{tags}_{name}", values)
    (folder / "summary.yml").write_text(
        "batches: 12\nclocks: {all: 21.5, batch: 12.0, train: 18.0, validate: 3.5}\nepochs: 3\n"
        "samples: 192\nsessions: 2\nversion: 3\n"
    )


if __name__ == "__main__":
    root = Path(sys.argv[1])
    by_keras(root / "keras")
    by_theano(root / "theano")
    by_torch(root / "torch")
    log(root / "log")
