"""What a built network says of itself: shapes, lengths, names of outputs; its weights."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from tiny_kur import kurfile

from kur.data.supplier import Source
from kur.errors import KurError
from kur.model import Model, build

SOURCES = {"sound": Source((None, 4)), "pixel": Source((6,))}


def made(folder: Path, text: str) -> Model:
    return build(kurfile(folder, dedent(text)), SOURCES)


def test_shapes_and_lengths_at_layers(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: sound
          - {convolution: {kernels: 6, size: 3, strides: 2}, name: half}
          - {convolution: {kernels: 6, size: 3, border: valid}, name: cut}
          - {parallel: [dense: 5], name: steps}
          - output: out
          - {dense: 2, inputs: half, name: side}
        """,
    )
    assert model.get_shape_at_layer("cut") == (None, 6)
    assert model.get_shape_at_layer("out", {"sound": (20, 4)}) == (8, 5)
    assert model.get_shape_at_layer("out", {"half": (20, 6)}) == (18, 5)
    assert model.get_shape_at_layer("sound", {"sound": (20, 4)}) == (20, 4)
    assert model.length_at("out", 20) == 8 and model.length_at("out", 20, "half") == 18
    assert model.length_at("out", 20, "out") == 20
    with pytest.raises(KurError, match=r"^the layer 'out' does not follow from 'side'$"):
        model.length_at("out", 20, "side")
    with pytest.raises(KurError, match=r"^no layer is named 'hlaf' \(did you mean 'half'\?\)$"):
        model.get_shape_at_layer("hlaf")
    with pytest.raises(KurError, match=r"^no shape at 'out' under these assumptions: "):
        model.get_shape_at_layer("out", {"sound": (20,)})


def test_weights_are_saved_and_restored(tmp_path: Path) -> None:
    text = "model: [input: pixel, {dense: 3, name: out}]\n"
    one, two = made(tmp_path, text), made(tmp_path, text)
    one.save(tmp_path / "w.safetensors")
    two.restore(str(tmp_path / "w.safetensors"))
    for first, second in zip(one.keras.get_weights(), two.keras.get_weights(), strict=True):
        assert (first == second).all()


def test_a_name_that_means_an_output(tmp_path: Path) -> None:
    text = "model: [input: pixel, {dense: 3, name: x}, output: out, {dense: 2, name: y}]\n"
    model = made(tmp_path, text)
    assert [model.output_named(one) for one in ("out", "x", "y", "pixel", "z")] == [
        "out", "out", "y", None, None,
    ]  # fmt: skip


def test_scalars_are_vectors_of_one(tmp_path: Path) -> None:
    model = build(kurfile(tmp_path, "model: [input: n, dense: 3]\n"), {"n": Source((), "float32")})
    assert tuple(model.nodes["n"].tensor.shape) == (None, 1)
    for shape in ("1", "[1]", "[]", "[null]"):
        text = f"model: [input: {{name: n, shape: {shape}}}, dense: 3]\n"
        model = build(kurfile(tmp_path, text), {"n": Source((), "float32")})
        assert tuple(model.nodes["n"].tensor.shape) == (None, 1)
    model = made(tmp_path, "model: [input: {name: m, shape: 7}, dense: 3]\n")
    assert tuple(model.nodes["m"].tensor.shape) == (None, 7)
