"""Weights and logs of Kur 0.7 (tests/golden/kur07; see kur07.py), loaded and gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kur07 import KURFILE, network, write_idx
from tiny_kur import POINTS, kurfile

from kur import session
from kur.checkpoint import load_weights, save_weights
from kur.errors import KurError
from kur.legacy import _column, lines_of, load_folder, read_log, restore
from kur.log import Log
from kur.model import Model, build

GOLDEN = Path(__file__).parent / "golden" / "kur07"


def model(folder: Path, text: str = KURFILE) -> Model:
    return build(kurfile(folder, text), {})


def reference(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What the network of the golden weights gives, in numpy: (batch, 6, 3) -> (batch, 2)."""
    layers = network()
    conv, norm = layers["..convolution.0"], layers["..batch_normalization.0"]
    padded = np.pad(x, ((0, 0), (1, 1), (0, 0)))
    parts = [np.einsum("btc,co->bto", padded[:, i : i + 6], conv["kernel"][i]) for i in range(3)]
    y = sum(parts) + conv["bias"]
    y = (y - norm["moving_mean"]) / np.sqrt(norm["moving_variance"] + 1e-3)
    y = np.maximum(y * norm["gamma"] + norm["beta"], 0).reshape(len(x), -1)
    y = y @ layers["middle/one"]["kernel"] + layers["middle/one"]["bias"]
    return y @ layers["y"]["kernel"] + layers["y"]["bias"]


@pytest.mark.parametrize("by", ["keras", "theano", "torch"])
def test_old_weights_compute_the_same(by: str, tmp_path: Path) -> None:
    net = model(tmp_path)
    restore(GOLDEN / by, net)
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype(np.float32)
    found = net.keras.predict_on_batch({"x": x})["y"]
    np.testing.assert_allclose(found, reference(x), rtol=1e-4, atol=1e-4)


RECURRENT = """
model:
  - input: {name: x, shape: [null, 3]}
  - recurrent: {size: 8, type: TYPE, bidirectional: yes, merge: concat}
    name: r
"""


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_recurrent_layers_of_torch(kind: str, tmp_path: Path) -> None:
    """Against PyTorch itself."""
    torch = pytest.importorskip("torch")
    theirs = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[kind](
        3, 4, batch_first=True, bidirectional=True
    )
    for name, tensor in theirs.state_dict().items():
        write_idx(tmp_path / "w" / f"layer_r+{name}.kur", tensor.numpy())
    net = model(tmp_path, RECURRENT.replace("TYPE", kind))
    load_folder(tmp_path / "w", net)
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    with torch.no_grad():
        wanted = theirs(torch.from_numpy(x))[0].numpy()
    found = next(iter(net.keras.predict_on_batch({"x": x}).values()))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def changed(tmp_path: Path, by: str = "keras") -> Path:
    return Path(shutil.copytree(GOLDEN / by, tmp_path / "w"))


def refused(folder: Path, net: Model) -> str:
    """The message, after making sure that nothing was changed."""
    before = [np.array(one) for one in net.keras.get_weights()]
    with pytest.raises(KurError) as caught:
        restore(folder, net)
    after = zip(before, net.keras.get_weights(), strict=True)
    assert all(np.array_equal(one, other) for one, other in after)
    return str(caught.value)


def test_old_weights_that_do_not_fit(tmp_path: Path) -> None:
    net, folder = model(tmp_path), changed(tmp_path)
    where = f"{tmp_path}/k.yml"
    (folder / "y+y_bias:0.kur").unlink()
    assert refused(folder, net) == (
        f"{folder}: no bias of the layer 'y' ({where}:10); it has y_kernel:0 for it"
    )
    write_idx(folder / "y+y_bias:0.kur", np.zeros(3, np.float32))
    assert refused(folder, net) == (
        f"{folder}/y+y_bias:0.kur: has the shape (3,), the bias of the layer 'y' ({where}:10) has "
        "(2,)"
    )
    (folder / "y+y_bias:0.kur").write_bytes(b"hello")
    assert refused(folder, net).startswith(f"{folder}/y+y_bias:0.kur: not an IDX file")
    other = model(tmp_path, KURFILE.replace("name: y", "name: z"))
    assert refused(folder, other).endswith(
        "no kernel of the layer 'z' " + f"({where}:10); it has no file for that layer"
    )
    (tmp_path / "empty").mkdir()
    assert refused(tmp_path / "empty", net) == (
        f"{tmp_path}/empty: a folder without weights of Kur (LAYER+WEIGHT.kur)"
    )


def test_recurrent_layers_of_old_keras_are_refused(tmp_path: Path) -> None:
    write_idx(tmp_path / "w/r+r_kernel:0.kur", np.zeros((3, 12), np.float32))
    net = model(tmp_path, RECURRENT.replace("TYPE", "gru"))
    assert refused(tmp_path / "w", net) == (
        f"{tmp_path}/w: the weights of 'r' ({tmp_path}/k.yml:4) cannot be used: Keras 1 and 2 "
        "computed the gates of recurrent layers otherwise"
    )


def test_several_sizes_in_one_dense_are_refused(tmp_path: Path) -> None:
    net = model(tmp_path, "model: [input: {name: x, shape: [3]}, {dense: [4, 4], name: y}]")
    write_idx(tmp_path / "w/y+y_kernel:0.kur", np.zeros((4, 4), np.float32))
    write_idx(tmp_path / "w/y+y_bias:0.kur", np.zeros(4, np.float32))
    assert "Kur named only the last of several sizes in one 'dense'" in (
        refused(tmp_path / "w", net)
    )


def test_files_of_no_layer_are_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = changed(tmp_path)
    write_idx(folder / "old+old_kernel:0.kur", np.zeros(3, np.float32))
    restore(folder, model(tmp_path))
    assert "no layer for old+old_kernel:0.kur" in caplog.text


def test_the_old_log() -> None:
    old = read_log(GOLDEN / "log")
    assert (old.epochs, old.batches, old.samples, old.seconds) == (3, 12, 192, 21.5)
    lines = lines_of(old)
    batches = [line for line in lines if "loss" in line]
    assert [line["step"] for line in batches] == list(range(1, 13))
    assert [line["epoch"] for line in batches] == [0] * 4 + [1] * 4 + [2] * 4
    assert batches[0]["loss"] == 2.0 and batches[0]["seconds"] == 1.5
    ends = [line for line in lines if "figures" in line]
    assert [(one["step"], one["epoch"], one["samples"]) for one in ends] == [
        (4, 1, 64),
        (8, 2, 128),
        (12, 3, 192),
    ]
    assert ends[1]["figures"]["validation loss"] == pytest.approx(1.2)


OLD = {
    "train__weights": "{initial: old, best: old, last: last}",
    "train__checkpoint": "null",
    "train__log": "log",
    "train__stop_when": "{epochs: 1}",
}


def test_an_old_run_is_gone_on_with(tmp_path: Path) -> None:
    """Its weights are where the new ones go, its log tells how far it came."""
    shutil.copytree(GOLDEN / "log", tmp_path / "log")
    made = session.training(kurfile(tmp_path, POINTS, **OLD))
    plain = made._model
    for path, array in zip(
        ["..dense.0+..dense.0_{}:0.kur", "..dense.1+..dense.1_{}:0.kur"], (2, 16), strict=True
    ):
        size = {2: 16, 16: 4}[array]
        write_idx(tmp_path / "old" / path.format("kernel"), np.full((array, size), 0.5, np.float32))
        write_idx(tmp_path / "old" / path.format("bias"), np.zeros(size, np.float32))
    state = made.run()
    assert (state.epoch, state.step, state.samples) == (4, 17, 232)
    assert state.best <= 1.2 + 1e-6
    assert [one["epoch"] for one in Log(tmp_path / "log/log.jsonl").read() if "figures" in one] == [
        *(1, 2, 3, 4)
    ]
    assert (tmp_path / "last").is_file() and (tmp_path / "old").is_dir()
    load_weights(tmp_path / "last", plain.keras)
    again = session.training(kurfile(tmp_path, POINTS, **OLD)).run()
    assert again.epoch == 5


def test_new_weights_stand_beside_an_old_folder(tmp_path: Path) -> None:
    from kur.checkpoint import place

    net = model(tmp_path)
    (tmp_path / "w").mkdir()
    save_weights(place(tmp_path / "w"), net.keras)
    assert (tmp_path / "w.safetensors").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "summary.yml: cannot be read: "),
        ("- 1", "summary.yml: not the summary of a log of Kur"),
        ("epochs: x", "summary.yml: epochs must be a whole number, found 'x'"),
        ("epochs: !!python/object/apply:os.system [ls]", "summary.yml: cannot be read: "),
    ],
)
def test_old_logs_that_cannot_be(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "summary.yml").write_text(text)
    with pytest.raises(KurError) as caught:
        read_log(tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("batch_loss_total", ("batch", ("loss",), "total")),
        ("validation_loss.default_total", ("validation", ("loss", "default"), "total")),
        ("batch_loss_my__out", ("batch", ("loss",), "my_out")),
        ("validation_loss.a..b_time", ("validation", ("loss", "a.b"), "time")),
        ("training_null_x", ("training", (), "x")),
        ("training_my_old_tag_x", ("training", ("my_old_tag",), "x")),
        ("summary.yml", None),
        ("log.jsonl", None),
    ],
)
def test_names_of_columns(name: str, column: Any) -> None:
    assert _column(name) == column


@given(st.text(max_size=30))
def test_any_name_is_a_column_or_not(name: str) -> None:
    found = _column(name)
    assert found is None or found[0] in ("batch", "training", "validation")
