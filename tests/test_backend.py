"""Backends: what names and devices mean, and that the same Kurfile trains on each of them.

Keras runs on one backend in a process. So JAX and TensorFlow have processes of their own, which
load it once and fork for each training; torch is the backend of all other tests.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_train import everything, run
from tiny_kur import POINTS
from zygote import Zygote

from kur import backend as backends
from kur.backend import Backend, resolve, select
from kur.errors import KurError

OTHERS = ("jax", "tensorflow")
# As the tests of training, but long enough to learn the points; validated on all of them.
LEARNED = (
    POINTS.replace("epochs: 3", "epochs: 6")
    .replace("{count: 40}", "{count: 62}")
    .replace("batch_size: 8", "batch_size: 12")
    .replace("peak: 0.02", "peak: 0.05")
    .replace("batches: 2", "batches: 5")
)


def accuracy(folder: Path) -> float:
    """The best one in the validation."""
    lines = [json.loads(line) for line in (folder / "out/log.jsonl").read_text().splitlines()]
    return max(one["figures"]["validation accuracy"] for one in lines if "figures" in one)


@pytest.fixture(scope="module", params=OTHERS)
def zygote(request: pytest.FixtureRequest) -> Iterator[Zygote]:
    """Processes on a backend; JAX sees four devices."""
    flags = "--xla_force_host_platform_device_count=4"
    one = Zygote(request.param, XLA_FLAGS=flags, TF_CPP_MIN_LOG_LEVEL="2")
    one.backend = request.param
    yield one
    one.close()


@pytest.fixture(scope="module")
def whole(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that was never stopped."""
    folder = tmp_path_factory.mktemp(zygote.backend)
    assert train(zygote, folder) == 0, (folder / "stderr").read_text()
    return folder


def train(zygote: Zygote, folder: Path, *options: str, kill: tuple[str, int] = ("", 0)) -> int:
    if not (folder / "k.yml").exists():
        (folder / "k.yml").write_text(LEARNED)
    return zygote(folder, "train", "k.yml", "--backend", zygote.backend, *options, kill=kill)


def test_the_same_accuracy_on_each(whole: Path, tmp_path: Path) -> None:
    run(tmp_path, LEARNED)
    assert accuracy(tmp_path) >= 0.9 and accuracy(whole) >= 0.9


def test_killed_and_started_again(zygote: Zygote, whole: Path, tmp_path: Path) -> None:
    """After a batch, and in the middle of writing a checkpoint: bit for bit the same."""
    assert train(zygote, tmp_path, kill=("batch", 18)) == -9
    assert train(zygote, tmp_path, kill=("disk", 4)) == -9
    assert train(zygote, tmp_path) == 0
    assert everything(tmp_path) == everything(whole)


def test_a_loss_that_is_no_number(zygote: Zygote, tmp_path: Path) -> None:
    """The step has changed nothing, so that the layer can be told."""
    options = ("-s", "train.optimizer={name: sgd, learning_rate: 1e30}")
    assert train(zygote, tmp_path, *options) == 1
    said = (tmp_path / "stderr").read_text().splitlines()[-1]
    assert "train: the loss is not a number in epoch 1, batch 2, sample point " in said
    assert "the first layer that gives no numbers is '..dense.1' of k.yml:8; lower the " in said


def test_several_devices_of_jax(zygote: Zygote, whole: Path, tmp_path: Path) -> None:
    """The batch is global: the losses are those of one device, also where the last batch of an
    epoch cannot be cut into equal parts."""
    setting = f"settings.backend={{name: {zygote.backend}, parallel: 4, device: cpu}}"
    assert train(zygote, tmp_path, "-s", setting) == 0, (tmp_path / "stderr").read_text()
    said = (tmp_path / "stderr").read_text()
    if zygote.backend != "jax":
        assert "tensorflow trains on one device here; 'jax' spreads batches over several" in said
        return
    losses = [
        [one["loss"] for one in everything(folder)["log"] if "loss" in one]
        for folder in (tmp_path, whole)
    ]
    assert len(losses[0]) == 36 and losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, Backend("torch")),
        ("pytorch", Backend("torch")),
        ("keras", Backend("tensorflow")),
        ("theano", Backend("jax")),
        ({"name": "keras", "backend": "theano"}, Backend("jax")),
        ({"name": "keras", "backend": "tensorflow", "device": "cpu"}, Backend("tensorflow", ())),
        ({"backend": "tensorflow"}, Backend("tensorflow")),
        ({"name": "pytorch", "device": "gpu1"}, Backend("torch", (1,))),
        ({"name": "jax", "device": "gpu", "parallel": 2}, Backend("jax", (0, 1, 2, 3), 2)),
        ({"name": "jax", "device": "gpu"}, Backend("jax", (0, 1, 2, 3))),
        ({"name": "jax", "device": "gpu0-2,gpu!1"}, Backend("jax", (0, 2), 2)),
        ({"name": "torch", "parallel": 4}, Backend("torch")),
        ({"name": "jax", "variant": ["test"], "gpu_busy_load": 5.0}, Backend("jax")),
    ],
)
def test_what_settings_mean(
    setting: Any, expected: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "gpu_count", lambda: 4)
    assert resolve(setting) == expected


def test_another_name_by_the_command_line() -> None:
    assert resolve({"name": "keras", "backend": "theano", "device": "cpu"}, "torch") == Backend(
        "torch", ()
    )


def test_theano_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "kur"):
        assert resolve("theano").name == "jax"
    assert [one.getMessage() for one in caplog.records] == [
        "Theano's development ended in 2017; the backend 'jax' takes its place"
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tensorflw", "unknown backend 'tensorflw' (did you mean 'tensorflow'?); accepted: torch"),
        ({"name": "torch", "device": "gpu7"}, "the device 'gpu7' is not there: this machine has "),
        ({"name": "jax", "parallel": 0}, "'parallel' must be at least 1, found 0"),
        ({"name": "jax", "devise": "cpu"}, "'backend' has no argument 'devise' (did you mean 'd"),
        ("jax", "Keras already runs on torch; start a new process to use jax"),
    ],
)
def test_backends_that_cannot_be(
    setting: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backends, "gpu_count", lambda: 1)
    backends.keras()
    with pytest.raises(KurError) as caught:
        select(setting)
    assert str(caught.value).startswith(message)


def test_what_the_frameworks_are_told() -> None:
    told = backends._environment
    assert told(Backend("torch", (2, 3)))["KERAS_TORCH_DEVICE"] == "cuda:2"
    assert told(Backend("torch", ()))["KERAS_TORCH_DEVICE"] == "cpu"
    assert told(Backend("jax", (2, 3)))["JAX_CUDA_VISIBLE_DEVICES"] == "2,3"
    assert told(Backend("jax", ())) == {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    assert told(Backend("torch")) == {"KERAS_BACKEND": "torch"}
