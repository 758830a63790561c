"""Layers and losses give the same numbers on torch, JAX and TensorFlow.

Keras runs on one backend in a process: this file is a script as well, which is run on each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TEXT = """\
model:
  - input: {name: sound, shape: [null, 6]}
  - {convolution: {kernels: 6, size: 3, strides: 2, highway: no}, name: half}
  - {convolution: {kernels: 6, size: 3, separable: yes}, name: separable}
  - {convolution: {size: 3, depthwise: yes, highway: yes}, name: depthwise}
  - {batch_normalization: , name: batch}
  - {activation: leakyrelu, name: leaky}
  - {recurrent: {size: 6, bidirectional: yes, merge: concat}, name: gru}
  - {recurrent: {size: 6, type: lstm, outer_activation: relu, gates: hard_sigmoid}, name: lstm}
  - {attention: 2, name: attention}
  - {layer_normalization: , name: layer}
  - {squeeze_excite: 2, name: squeeze}
  - {parallel: [dense: [5, 6], activation: gelu], name: parallel}
  - {reuse: layer, name: again}
  - {merge: multiply, inputs: [again, lstm], name: merged}
  - {pool: {size: 2, type: average}, name: pool}
  - {dense: 4, name: said, inputs: merged}
  - {recurrent: {size: 4, sequence: no, reset_after: no}, name: last, inputs: merged}
  - {activation: softmax, name: class}
loss:
  - &ctc {name: ctc, target: said, input_length: long, output: text, output_length: count,
          relative_to: sound}
  - {<<: *ctc, variant: [warp, loss_scale], normalize: labels}
  - {name: categorical_crossentropy, target: class}
  - {name: mean_squared_error, target: pool, source: wanted}
"""


def main(folder: Path) -> None:
    """All outputs of the network and the losses of each sample, written to `found.npz`."""
    from tiny_kur import kurfile

    from kur.assemble import losses
    from kur.backend import keras, select
    from kur.model import build

    select(os.environ["KERAS_BACKEND"])
    made = kurfile(folder, TEXT)
    model = build(made, {})
    rng = np.random.default_rng(0)
    for variable in sorted(model.keras.variables, key=lambda one: str(one.path)):
        noise = rng.normal(scale=0.3, size=variable.shape)
        variable.assign(np.abs(noise) + 0.3 if "variance" in variable.path else noise)
    batch = {
        "sound": rng.normal(size=(3, 14, 6)).astype(np.float32),
        "long": np.array([14, 11, 12]),
        "text": np.array([[0, 1, 1], [2, 0, 9], [1, 9, 9]]),
        "count": np.array([[3], [2], [1]]),
        "class": np.array([0, 3, 1]),
        "wanted": rng.normal(size=(3, 6, 6)),
        "sample": ["a", "b", "c"],
    }
    tensors = {name: node.tensor for name, node in model.nodes.items() if not node.frame}
    everything = keras().Model(model.keras.inputs, tensors)
    found = everything.predict_on_batch({"sound": batch["sound"]})
    ops = keras().ops
    for i, loss in enumerate(losses(made, model)):
        truth = {name: ops.convert_to_tensor(one) for name, one in loss.truth(batch).items()}
        value = loss.value(truth, ops.convert_to_tensor(found[loss.target]))
        found[f"loss {i}"] = ops.convert_to_numpy(value)
    np.savez(folder / "found.npz", **found)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """What each backend says."""
    everything = {}
    for backend in ("torch", "jax", "tensorflow"):
        folder = tmp_path_factory.mktemp(backend)
        here = os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        here["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        done = subprocess.run(
            [sys.executable, __file__, str(folder)], env=here, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        with np.load(folder / "found.npz") as arrays:
            everything[backend] = {name: arrays[name] for name in arrays.files}
    return everything


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_every_layer_and_loss(backend: str, found: dict[str, dict[str, np.ndarray]]) -> None:
    assert set(found[backend]) == set(found["torch"]) and len(found["torch"]) == 22
    for name, array in found["torch"].items():
        assert np.isfinite(array).all() and np.abs(array).max() > 0
        np.testing.assert_allclose(found[backend][name], array, rtol=1e-4, atol=1e-4, err_msg=name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
