"""Weights and checkpoints: what is written is what is read, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from tiny_kur import kurfile

from kur.backend import keras
from kur.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from kur.errors import KurError
from kur.model import build
from kur.optimizers import make_optimizer

NET = """
model:
  - input: {name: x, shape: [null, 3]}
  - recurrent: {size: 4, bidirectional: yes}
  - batch_normalization
  - dropout: 0.5
  - {dense: 2, name: y}
"""


def network(folder: Path, text: str = NET, seed: int = 0) -> Any:
    keras().utils.set_random_seed(seed)
    return build(kurfile(folder, text), {}).keras


def optimizer_of(net: Any, name: str = "adam") -> Any:
    optimizer = make_optimizer(name).keras
    optimizer.build(net.trainable_variables)
    return optimizer


def trained(net: Any, optimizer: Any, steps: int = 2) -> None:
    net.compile(optimizer=optimizer, loss="mse")
    x = np.random.default_rng(0).normal(size=(4, 5, 3)).astype(np.float32)
    for _ in range(steps):
        net.train_on_batch({"x": x}, {"y": x[:, :, :2]})


def arrays(net: Any) -> list[np.ndarray[Any, Any]]:
    return [np.array(keras().ops.convert_to_numpy(one)) for one in net.variables]


def same(one: Any, other: Any) -> bool:
    pairs = zip(arrays(one), arrays(other), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def test_weights_come_back(tmp_path: Path) -> None:
    net, path = network(tmp_path), tmp_path / "deep" / "w.safetensors"
    trained(net, optimizer_of(net))
    save_weights(path, net, {"epoch": 3})
    other = network(tmp_path, seed=1)  # in Keras the layers of a second network are other ones
    load_weights(path, other)
    x = np.ones((1, 6, 3), np.float32)
    assert (net.predict_on_batch({"x": x})["y"] == other.predict_on_batch({"x": x})["y"]).all()
    assert [one.name for one in path.parent.iterdir()] == ["w.safetensors"]
    assert not any("seed" in name for name in load_file(path))


def test_a_checkpoint_brings_everything_back(tmp_path: Path) -> None:
    """Two networks that train on from one checkpoint, with dropout, stay the same."""
    path = tmp_path / "c.safetensors"
    net, other = network(tmp_path), network(tmp_path, seed=1)
    optimizer, other_optimizer = optimizer_of(net), optimizer_of(other)
    trained(net, optimizer)
    save_checkpoint(path, net, optimizer, {"epoch": 1, "best": float("inf"), "name": "ä"})
    assert load_checkpoint(path, other, other_optimizer) == {
        "epoch": 1,
        "best": float("inf"),
        "name": "ä",
    }
    assert same(net, other)
    trained(net, optimizer)
    trained(other, other_optimizer)
    assert same(net, other)


def test_the_weights_of_a_checkpoint_can_be_used_alone(tmp_path: Path) -> None:
    path, net, other = tmp_path / "c.safetensors", network(tmp_path), network(tmp_path, seed=1)
    save_checkpoint(path, net, optimizer_of(net), {})
    load_weights(path, other)
    weights = zip(net.get_weights(), other.get_weights(), strict=True)
    assert all(np.array_equal(a, b) for a, b in weights)


def test_seeds_of_early_checkpoints_are_left_out(tmp_path: Path) -> None:
    """They were called by a number that meant nothing in another process."""
    path, net = tmp_path / "c.safetensors", network(tmp_path)
    save_checkpoint(path, net, optimizer_of(net), {"epoch": 2})
    saved = load_file(path)
    early = {name: array for name, array in saved.items() if "seed/" not in name}
    assert len(early) < len(saved)
    early["model/seed_generator_7/seed_generator_state"] = np.zeros(2, np.uint32)
    metadata = {"format": "1", "kur": '{"kind": "checkpoint", "state": {"epoch": 2}}'}
    save_file(early, path, metadata)
    other = network(tmp_path, seed=1)
    assert load_checkpoint(path, other, optimizer_of(other)) == {"epoch": 2}
    load_weights(path, other)


def refused(path: Path, net: Any, optimizer: Any = None) -> str:
    """The message, after making sure that nothing was changed."""
    before = arrays(net)
    with pytest.raises(KurError) as caught:
        if optimizer is None:
            load_weights(path, net)
        else:
            load_checkpoint(path, net, optimizer)
    assert all(np.array_equal(a, b) for a, b in zip(before, arrays(net), strict=True))
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message.removeprefix(f"{path}: ")


def test_weights_of_another_network(tmp_path: Path) -> None:
    path, net = tmp_path / "w.safetensors", network(tmp_path)
    save_weights(path, net)
    assert refused(path, network(tmp_path, NET.replace("dense: 2", "dense: 3"))) == (
        "this is of another network (y/kernel has the shape (4, 2), not (4, 3))"
    )
    assert refused(path, network(tmp_path, NET.replace("name: y", "name: z"))) == (
        "this is of another network (missing: z/bias, z/kernel; unknown: y/bias, y/kernel)"
    )


def test_a_checkpoint_of_another_network_or_optimizer(tmp_path: Path) -> None:
    path, net = tmp_path / "c.safetensors", network(tmp_path)
    save_checkpoint(path, net, optimizer_of(net), {})
    other = network(tmp_path, NET.replace("name: y", "name: z"))
    assert refused(path, other, optimizer_of(other)) == (
        "this is of another network (missing: z/bias, z/kernel; unknown: y/bias, y/kernel); "
        "remove the file to train anew"
    )
    found = refused(path, net, optimizer_of(net, "sgd"))
    assert found.startswith("this is of another optimizer (missing: none; unknown: ")


def test_files_that_are_something_else(tmp_path: Path) -> None:
    path, net = tmp_path / "x.safetensors", network(tmp_path)
    assert refused(path, net) == "no such weights file"
    path.write_text("hello")
    assert refused(path, net).startswith("not a readable safetensors file: ")
    save_weights(path, net)
    path.write_bytes(path.read_bytes()[:-10])
    assert refused(path, net).startswith("not a readable safetensors file: ")
    save_file({"a": np.zeros(3)}, path)
    assert refused(path, net) == "not weights of Kur, or those of a newer one"
    save_file({"a": np.zeros(3)}, path, {"format": "2", "kur": json.dumps({})})
    assert refused(path, net) == "not weights of Kur, or those of a newer one"
    save_weights(path, net)
    found = refused(path, net, optimizer_of(net))
    assert found == "this is a weights file, not a checkpoint; name it in 'weights'"


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    net, path = network(tmp_path), tmp_path / "w.safetensors"
    save_weights(path, net)
    before = path.read_bytes()
    (tmp_path / ".w.safetensors.part").mkdir()  # what stands in the way, stands for a full disk
    with pytest.raises(KurError, match=r"w\.safetensors: cannot be written: "):
        save_weights(path, net)
    assert path.read_bytes() == before
    blocked = tmp_path / "w.safetensors" / "inside.safetensors"
    with pytest.raises(KurError, match="cannot be written"):
        save_weights(blocked, net)
