"""Layers: shapes, what they do along time, and what they say of arguments that do not fit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_kur import kurfile

from kur.activations import ACTIVATIONS
from kur.backend import keras
from kur.errors import KurError
from kur.layers import LAYERS
from kur.model import Model, build
from kur.timing import TimeStep, reach_of, stride_of

# Input shape, the layer as it is written, output shape; None is a length that varies.
SHAPES: list[tuple[list[int | None], str, tuple[int | None, ...]]] = [
    ([4], "dense: 3", (3,)),
    ([4], "dense: [5, 6, 7]", (7,)),
    ([2, 3], "dense: {size: 4, flatten: yes, bias: no}", (4,)),
    ([None, 3], "dense: 4", (None, 4)),
    ([None, 3], "convolution: {kernels: 4, size: 5}", (None, 4)),
    ([20, 3], "convolution: {kernels: 4, size: 5, strides: 2}", (10, 4)),
    ([20, 3], "convolution: {kernels: 4, size: 5, activation: relu}", (20, 4)),
    ([20, 3], "convolution: {kernels: 4, size: 5, border: valid}", (16, 4)),
    ([20, 3], "convolution: {kernels: 4, size: 5, border: valid, dilation: 2}", (12, 4)),
    ([20, 3], "convolution: {size: 5, depthwise: yes, strides: 2}", (10, 3)),
    ([20, 3], "convolution: {kernels: 6, size: 5, separable: yes}", (20, 6)),
    ([9, 8, 3], "convolution: {kernels: 4, size: [3, 2], strides: [1, 2]}", (9, 4, 4)),
    ([9, 8, 3], "convolution: {size: 3, depthwise: yes}", (9, 8, 3)),
    ([6, 5, 4, 2], "convolution: {kernels: 3, size: 2, border: valid}", (5, 4, 3, 3)),
    ([9, 8, 3], "pool: 2", (8, 7, 3)),
    ([9, 8, 3], "pool: {size: [3, 2], strides: 2, type: average, border: same}", (5, 4, 3)),
    ([None, 3], "pool: {size: 2, strides: 2}", (None, 3)),
    ([None, 3], "recurrent: 5", (None, 5)),
    ([None, 3], "recurrent: {size: 5, type: lstm, sequence: no}", (5,)),
    ([None, 3], "recurrent: {size: 6, bidirectional: yes, merge: concat}", (None, 6)),
    ([None, 3], "recurrent: {size: 5, bidirectional: yes, merge: CONCAT, type: LSTM}", (None, 4)),
    ([None, 3], "recurrent: {size: 5, bidirectional: yes, outer_activation: relu}", (None, 5)),
    ([None, 3], "recurrent: {size: 5, gates: hard_sigmoid, reset_after: no}", (None, 5)),
    ([4], "activation: gelu", (4,)),
    ([4], "activation: none", (4,)),
    ([4], "activation: leakyrelu", (4,)),
    ([None, 4], "activation: {type: elu, alpha: 0.5}", (None, 4)),
    ([None, 4], "activation: prelu", (None, 4)),
    ([4], "dense: {size: [4, 4], highway: yes}", (4,)),
    ([9, 3], "convolution: {kernels: 3, size: 5, highway: yes, bias: no}", (9, 3)),
    ([9, 8, 3], "convolution: {size: 3, depthwise: yes, highway: yes}", (9, 8, 3)),
    ([None, 6], "attention: 3", (None, 6)),
    ([None, 6], "attention: {heads: 4, size: 5, dropout: 0.1, causal: yes}", (None, 6)),
    ([4], "activation:", (4,)),
    ([4], "batch_normalization: {momentum: 0.9}", (4,)),
    ([None, 4], "layer_normalization", (None, 4)),
    ([None, 4], "dropout: 0.5", (None, 4)),
    ([None, 4], "dropout: {fraction: 0.5, independent: no}", (None, 4)),
    ([None], "embedding: {vocab_size: 9, size: 4}", (None, 4)),
    ([2, 3, 4], "flatten", (24,)),
    ([2, 3], "reshape: [3, -1]", (3, 2)),
    ([2, 3], "expand: 0", (1, 2, 3)),
    ([2, 3], "expand: -1", (2, 3, 1)),
    ([2, 1, 3], "squeeze: 1", (2, 3)),
    ([2, 3, 1], "squeeze: -1", (2, 3)),
    ([2, 3, 4], "transpose: [2, 0, 1]", (4, 2, 3)),
    ([2, 3], "transpose: {axes: [0, 2, 1], include_batch: yes}", (3, 2)),
    ([4], "repeat: 6", (6, 4)),
    ([5, 4], "upsample: 3", (15, 4)),
    ([None, 16], "squeeze_excite: 4", (None, 16)),
    ([8, 8, 16], "squeeze_excite", (8, 8, 16)),
    ([4], "dropout: {fraction: 0, independent: no}", (4,)),
    ([None, 3], "dense: 4.0", (None, 4)),
    ([None, 3], "merge", (None, 3)),
]


def made(folder: Path, layers: str, *shapes: list[int | None], kind: str = "float32") -> Model:
    """A network of inputs x0, x1, ... and the layers of a YAML list."""
    lines = [
        f"- input: {{name: x{i}, shape: {str(shape).replace('None', 'null')}, type: {kind}}}"
        for i, shape in enumerate(shapes)
    ]
    text = "\n".join(["model:", *lines, layers])
    return build(kurfile(folder, text), {})


@pytest.mark.parametrize(("shape", "layer", "wanted"), SHAPES, ids=[one[1] for one in SHAPES])
def test_shapes(
    shape: list[int | None], layer: str, wanted: tuple[int | None, ...], tmp_path: Path
) -> None:
    kind = "int32" if "embedding" in layer else "float32"
    model = made(tmp_path, f"- {layer}", shape, kind=kind)
    assert tuple(model.nodes[model.outputs[0]].tensor.shape[1:]) == wanted
    array = np.ones((2, *(11 if size is None else size for size in shape)), kind)
    [output] = model.keras.predict_on_batch({"x0": array}).values()
    assert (
        output.shape == (2, *(11 if size is None else size for size in wanted)) or "pool" in layer
    )


def test_every_layer_is_in_the_list_of_shapes() -> None:
    assert {layer.partition(":")[0] for _, layer, _ in SHAPES} == set(LAYERS)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("concat", [1, 2, 3, 5]),
        ("{mode: concatenate, axis: 0}", [1, 2, 3, 5]),
        ("", [1, 2, 3, 5]),
        ("ADD", [4, 7]),
        ("subtract", [-2, -3]),
        ("add", [4, 7]),
        ("sum", [4, 7]),
        ("multiply", [3, 10]),
        ("average", [2, 3.5]),
        ("maximum", [3, 5]),
        ("minimum", [1, 2]),
    ],
)
def test_merge(mode: str, wanted: list[float], tmp_path: Path) -> None:
    model = made(tmp_path, f"- merge: {mode}\n  inputs: [x0, x1]", [2], [2])
    one, two = np.array([[1, 2]], np.float32), np.array([[3, 5]], np.float32)
    [output] = model.keras.predict_on_batch({"x0": one, "x1": two}).values()
    assert output.tolist() == [wanted]


LENGTHS = [
    "convolution: {kernels: 2, size: 5, strides: 3}",
    "convolution: {kernels: 2, size: 5, strides: 3, border: valid}",
    "convolution: {kernels: 2, size: 4, border: valid, dilation: 3}",
    "convolution: {size: 4, depthwise: yes, strides: 2}",
    "pool: {size: 3, strides: 2}",
    "pool: {size: 3, strides: 2, border: same}",
    "pool: 1",
    "upsample: 3",
    "recurrent: 2",
]


@pytest.mark.parametrize("layer", LENGTHS)
def test_lengths_are_what_the_backend_makes(layer: str, tmp_path: Path) -> None:
    model = made(tmp_path, f"- {layer}\n- dense: 2\n  name: out", [None, 2])
    for length in (13, 14, 15, 16):
        output = model.keras.predict_on_batch({"x0": np.ones((1, length, 2), np.float32)})
        assert model.length_at("out", length) == output["out"].shape[1]
    lengths = np.array([13, 16])
    assert model.length_at("out", lengths).tolist() == [model.length_at("out", n) for n in (13, 16)]


def test_a_step_that_keeps_the_length() -> None:
    assert TimeStep(5).keeps_length and TimeStep(0).keeps_length and TimeStep().keeps_length
    assert TimeStep(1, border="valid").keeps_length
    assert not TimeStep(5, border="valid").keeps_length
    assert not TimeStep(5, 2).keeps_length and not TimeStep(times=2).keeps_length


def test_reach_of_what_hears_everything_or_does_not_line_up() -> None:
    assert reach_of(()) == 0
    assert reach_of([TimeStep(5), TimeStep(0)]) is None
    assert reach_of([TimeStep(5, border="valid")]) is None
    # A pool whose windows lie side by side lines up.
    assert reach_of([TimeStep(2, 2, "valid")]) is not None
    assert stride_of([TimeStep(3, 4), TimeStep(times=2)]) == 2


@pytest.mark.parametrize(
    "layers",
    [
        ["convolution: {kernels: 3, size: 5, strides: 2}", "convolution: {kernels: 3, size: 7}"],
        ["pool: {size: 2, strides: 2}", "convolution: {kernels: 3, size: 3, dilation: 2}"],
        ["upsample: 2", "convolution: {size: 5, depthwise: yes}"],
    ],
)
def test_nothing_beyond_the_reach_is_heard(layers: list[str], tmp_path: Path) -> None:
    model = made(tmp_path, "\n".join(f"- {one}" for one in layers), [None, 2])
    steps = model.nodes[model.outputs[0]].steps
    reach, stride = reach_of(steps), stride_of(steps)
    assert reach is not None
    rng = np.random.default_rng(0)
    sound = rng.normal(size=(1, 64, 2)).astype(np.float32)
    [whole] = model.keras.predict_on_batch({"x0": sound}).values()
    for at in range(0, 64, 8):
        other = sound.copy()
        other[:, at] += 100  # more than what stands beside it
        [changed] = model.keras.predict_on_batch({"x0": other}).values()
        heard = np.flatnonzero(np.abs(changed - whole).max(axis=(0, 2)) > 1e-6)
        assert len(heard)
        first, last = int(heard[0] * stride), int((heard[-1] + 1) * stride)
        assert first - reach <= at <= last + reach


def test_depthwise_over_time_is_a_filter_for_each_channel(tmp_path: Path) -> None:
    model = made(tmp_path, "- convolution: {size: 3, depthwise: yes, bias: no}", [None, 2])
    [weights] = model.keras.get_weights()
    sound = np.random.default_rng(0).normal(size=(1, 9, 2)).astype(np.float32)
    [found] = model.keras.predict_on_batch({"x0": sound}).values()
    for channel in range(2):
        kernel = weights[:, 0, channel, 0]
        wanted = np.convolve(sound[0, :, channel], kernel[::-1], "same")
        np.testing.assert_allclose(found[0, :, channel], wanted, rtol=1e-4, atol=1e-5)


def test_dropout_follows_from_the_seed(tmp_path: Path) -> None:
    """Twice the same network draws the same; one layer never draws the same twice."""
    ones = np.ones((1, 64), np.float32)

    def drawn() -> list[Any]:
        random.seed(5)
        net = made(tmp_path, "- dropout: 0.5", [64]).keras
        return [
            keras().ops.convert_to_numpy(*net({"x0": ones}, training=True).values()) for _ in "ab"
        ]

    (one, two), (again, _) = drawn(), drawn()
    assert (one == again).all() and (one != two).any() and set(np.unique(one)) == {0.0, 2.0}


PICTURE: list[int | None] = [8, 8, 3]
SEQUENCE: list[int | None] = [None, 3]
WRONG = [
    (SEQUENCE, "dense: {}", "dense: 'dense' needs 'size'; accepted (* required): size*, "),
    (SEQUENCE, "dense: 0", "dense.size: 'size' must be at least 1, found 0"),
    (
        SEQUENCE,
        "dense: ten",
        "dense.size: 'size' of 'dense' must be a whole number or a list, each",
    ),
    (SEQUENCE, "dense: {size: 4, biass: no}", "dense.biass: 'dense' has no argument 'biass' (did"),
    ([None, None], "dense: 4", "dense: "),
    (SEQUENCE, "convolution: {size: 3}", "convolution: a convolution needs 'kernels', or "),
    (SEQUENCE, "convolution: {kernels: 3, size: [3, 3]}", "convolution.size: 'size' has 2 numbers"),
    (
        SEQUENCE,
        "convolution: {kernels: 3, size: 3, border: all}",
        "convolution.border: 'border' of",
    ),
    (SEQUENCE, "convolution: {kernels: 3, size: 0}", "convolution.size: 'size' must be at least 1"),
    (
        [7],
        "convolution: {kernels: 3, size: 3}",
        "convolution: a convolution needs (time, channels)",
    ),
    (PICTURE, "convolution: {kernels: 3, size: 9, border: valid}", "convolution: Computed output"),
    (
        [4, 4, 4, 2],
        "convolution: {kernels: 3, size: 3, separable: yes}",
        "convolution: a depthwise or separable convolution takes one or two axes, found 3 (its ",
    ),
    ([7], "pool: 2", "pool: a pool needs (time, channels), (height, width, channels) or a volume "),
    (SEQUENCE, "pool: {size: 2, type: mean}", "pool.type: 'type' of 'pool' must be one of max, av"),
    ([7], "recurrent: 3", "recurrent: "),
    (SEQUENCE, "recurrent: {size: 3, merge: add}", "recurrent.merge: 'merge' joins two ways and "),
    (SEQUENCE, "recurrent: {size: 1, bidirectional: yes, merge: concat}", "recurrent.size: "),
    (SEQUENCE, "attention: 2", "attention.heads: 2 heads do not divide the 3 channels of the "),
    ([7], "attention: 1", "attention: attention needs (time, channels) (its input, 'x0' of line 2"),
    (SEQUENCE, "dense: {size: 4, highway: yes}", "dense.highway: a highway must keep the shape, "),
    (SEQUENCE, "dense: 4.5", "dense.size: 'size' of 'dense' must be a whole number or a list"),
    (SEQUENCE, "activation: {type: relu, alpha: 1}", "activation.alpha: 'relu' takes no 'alpha'"),
    (SEQUENCE, "recurrent: {size: 3, type: rnn}", "recurrent.type: 'type' of 'recurrent' must be"),
    (SEQUENCE, "recurrent: {size: 3, outer_activation: x}", "recurrent.outer_activation: unknown "),
    (SEQUENCE, "activation: reul", "activation.type: unknown activation 'reul' (did you mean "),
    (SEQUENCE, "activation: get", "activation.type: unknown activation 'get'"),
    (SEQUENCE, "dropout: 1.0", "dropout.fraction: 'fraction' must be at least 0 and below 1, fou"),
    (SEQUENCE, "embedding: {size: 3}", "embedding: 'embedding' needs 'vocab_size'; accepted"),
    ([2, 3], "reshape: [4, 2]", "reshape: "),
    ([2, 3], "squeeze: 0", "squeeze: "),
    ([2, 3], "transpose: [0, 2]", "transpose.axes: 'axes' must hold each of [0, 1] once, found"),
    (SEQUENCE, "upsample: 0", "upsample.times: 'times' must be at least 1, found 0"),
]


@pytest.mark.parametrize(("shape", "layer", "message"), WRONG, ids=[one[1] for one in WRONG])
def test_what_does_not_fit(
    shape: list[int | None], layer: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(KurError) as caught:
        made(tmp_path, f"- {layer}", shape)
    found = str(caught.value)
    assert found.startswith(f"{tmp_path}/k.yml:3: model.1.{message}") and "\n" not in found
    assert "\x1b" not in found and "Arguments received" not in found


def test_shapes_that_do_not_merge_name_both(tmp_path: Path) -> None:
    with pytest.raises(
        KurError, match=r"\(its inputs: 'x0' of line 2, has the shape \(2,\); 'x1' "
    ):
        made(tmp_path, "- merge: add\n  inputs: [x0, x1]", [2], [3])
    with pytest.raises(KurError, match=r"unknown 'mode' 'ad' \(did you mean 'add'\?\)"):
        made(tmp_path, "- merge: ad\n  inputs: [x0, x1]", [2], [2])


def test_the_names_of_activations_are_those_of_keras() -> None:
    module = keras().activations
    known = {one for one in dir(module) if one[0] != "_" and callable(getattr(module, one))}
    assert set(ACTIVATIONS) == known - {"get", "serialize", "deserialize"}


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("leakyrelu", [-0.6, 3.0]),
        ("{type: leakyrelu, alpha: 0.5}", [-1.0, 3.0]),
        ("LeakyReLU", [-0.6, 3.0]),
        ("leaky_relu", [-0.4, 3.0]),
        ("{type: elu, alpha: 2}", [2 * np.expm1(-2.0), 3.0]),
        ("prelu", [0.0, 3.0]),
        ("swish", [-2 / (1 + np.exp(2.0)), 3 / (1 + np.exp(-3.0))]),
        ("none", [-2.0, 3.0]),
    ],
)
def test_activations_by_the_numbers(written: str, wanted: list[float], tmp_path: Path) -> None:
    model = made(tmp_path, f"- activation: {written}", [2])
    [found] = model.keras.predict_on_batch({"x0": np.array([[-2, 3]], np.float32)}).values()
    np.testing.assert_allclose(found, [wanted], rtol=1e-5)


@pytest.mark.parametrize("layer", ["dense: {size: 3", "convolution: {kernels: 3, size: 3"])
def test_a_highway_begins_nearly_shut(layer: str, tmp_path: Path) -> None:
    model = made(tmp_path, f"- {layer}, highway: yes}}", [5, 3])
    net, rng = model.keras, np.random.default_rng(0)
    for variable in net.variables:
        if "gate" in variable.path and "kernel" in variable.path:
            variable.assign(np.zeros(variable.shape))
    x = rng.normal(size=(1, 5, 3)).astype(np.float32)
    [found] = net.predict_on_batch({"x0": x}).values()
    plain = made(tmp_path, f"- {layer}}}", [5, 3]).keras
    plain.set_weights([one for one in net.variables if "gate" not in one.path])
    [changed] = plain.predict_on_batch({"x0": x}).values()
    gate = 1 / (1 + np.exp(2.0))
    np.testing.assert_allclose(found, gate * changed + (1 - gate) * x, rtol=1e-4, atol=1e-5)


def test_attention_looks_at_every_step_or_at_earlier_ones(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(1, 6, 4)).astype(np.float32)
    other = x.copy()
    other[:, 5] += 1
    for causal, first in (("no", 0), ("yes", 5)):
        net = made(tmp_path, f"- attention: {{heads: 2, causal: {causal}}}", [None, 4]).keras
        [one], [two] = (net.predict_on_batch({"x0": each}).values() for each in (x, other))
        assert np.flatnonzero(np.abs(one - two).max(axis=(0, 2)) > 1e-6)[0] == first


def test_a_recurrent_layer_is_what_it_says(tmp_path: Path) -> None:
    """A GRU with relu inside, step by step, as the formulas have it."""
    net = made(tmp_path, "- recurrent: {size: 2, outer_activation: relu}", [None, 3]).keras
    rng = np.random.default_rng(0)
    net.set_weights([rng.normal(size=one.shape) for one in net.get_weights()])
    kernel, recurrent, (bias, inner) = net.get_weights()
    x = rng.normal(size=(4, 3))
    state, states = np.zeros(2), []
    for step in x:
        a, b = step @ kernel + bias, state @ recurrent + inner
        update, reset = (1 / (1 + np.exp(-(a + b)[i : i + 2])) for i in (0, 2))
        new = np.maximum(a[4:] + reset * b[4:], 0)
        state = update * state + (1 - update) * new
        states.append(state)
    [found] = net.predict_on_batch({"x0": x[None].astype(np.float32)}).values()
    np.testing.assert_allclose(found[0], states, rtol=1e-4, atol=1e-5)
