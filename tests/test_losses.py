"""Losses against references that are slow and plain; their measures; and labels that cannot be."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kur import kurfile

from kur.assemble import losses
from kur.backend import keras
from kur.errors import KurError, KurfileError
from kur.losses import Ctc, Loss
from kur.metrics import Accuracy, ErrorRate, edit_distance, greedy
from kur.model import build
from kur.step import feed

Array = npt.NDArray[Any]

CTC = (
    "name: ctc, target: out, input_length: steps, output: text, output_length: count, "
    "relative_to: sound"
)


def attached(
    folder: Path, loss: str, shape: str = "null, 3", layers: str = "activation: log_softmax"
) -> Loss:
    """A loss of that YAML, at the output `out` of a network `input: sound`, LAYERS."""
    text = f"""
model:
  - input: {{name: sound, shape: [{shape}]}}
  - {layers}
  - output: out
loss:
  - {{{loss}}}
"""
    made = kurfile(folder, text)
    return losses(made, build(made, {}))[0]


def values(loss: Loss, batch: dict[str, Any], output: Array) -> Array:
    """The loss of each sample."""
    ops = keras().ops
    truth = {name: ops.convert_to_tensor(array) for name, array in loss.truth(batch).items()}
    return np.asarray(ops.convert_to_numpy(loss.value(truth, ops.convert_to_tensor(output))))


def log_softmax(scores: Array) -> Array:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), np.float32)


def all_paths(log_probability: Array, labels: list[int]) -> float:
    """CTC by its definition: the probability of every path that collapses to the labels."""
    steps, units = log_probability.shape
    total = 0.0
    for path in itertools.product(range(units), repeat=steps):
        collapsed = [unit for unit, _ in itertools.groupby(path) if unit != units - 1]
        if collapsed == labels:
            total += math.exp(sum(float(log_probability[t, u]) for t, u in enumerate(path)))
    return -math.log(total)


TEXTS = [[0, 1], [0, 0], [1], [1, 0, 1]]


def speech(rng: np.random.Generator, steps: int = 5) -> tuple[dict[str, Any], Array]:
    labels = np.zeros((len(TEXTS), 3), np.int32)
    for row, text in zip(labels, TEXTS, strict=True):
        row[: len(text)] = text
    batch = {
        "text": labels,
        "count": np.array([len(text) for text in TEXTS]),
        "steps": np.array([steps, steps - 1, steps - 2, steps]),
        "sample": [f"clip {i}" for i in range(len(TEXTS))],
    }
    return batch, rng.normal(size=(len(TEXTS), steps, 3)).astype(np.float32)


@pytest.mark.parametrize("last", ["log_softmax", "softmax", "none"])
def test_ctc_is_the_sum_over_all_paths(last: str, tmp_path: Path) -> None:
    batch, scores = speech(np.random.default_rng(0))
    loss = attached(tmp_path, CTC, layers=f"activation: {last}")
    outputs = {"softmax": np.exp(log_softmax(scores)), "log_softmax": log_softmax(scores)}
    found = values(loss, batch, outputs.get(last, scores))
    wanted = [
        all_paths(log_softmax(scores[i, :steps]), text)
        for i, (text, steps) in enumerate(zip(TEXTS, batch["steps"], strict=True))
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_ctc_by_label_through_strides(tmp_path: Path) -> None:
    """Lengths are those of the input; the network halves them."""
    stride = "convolution: {kernels: 3, size: 3, strides: 2}\n  - activation: log_softmax"
    loss = attached(tmp_path, CTC + ", normalize: labels", layers=stride)
    batch, scores = speech(np.random.default_rng(1))
    found = values(loss, {**batch, "steps": 2 * batch["steps"] - 1}, log_softmax(scores))
    each = values(attached(tmp_path, CTC), batch, log_softmax(scores))
    np.testing.assert_allclose(found, each / batch["count"], rtol=1e-5)


def test_ctc_without_relative_to_takes_the_steps_of_the_output(tmp_path: Path) -> None:
    batch, scores = speech(np.random.default_rng(2))
    plain = CTC.replace(", relative_to: sound", "")
    stride = "convolution: {kernels: 3, size: 3, strides: 2}\n  - activation: log_softmax"
    found = values(attached(tmp_path, plain, layers=stride), batch, scores)
    np.testing.assert_allclose(found, values(attached(tmp_path, CTC), batch, scores), rtol=1e-5)


def test_labels_that_do_not_fit_are_named_or_ignored(tmp_path: Path) -> None:
    batch, scores = speech(np.random.default_rng(3), steps=3)
    batch["steps"] = np.array([3, 2, 0, 3])
    with pytest.raises(KurfileError) as caught:
        attached(tmp_path, CTC).truth(batch)
    assert caught.value.message == (
        "sample clip 1: 2 symbols (1 of them the same as the one before) do not fit into 2 output "
        "steps; drop the sample, use less stride, or set 'too_long: ignore' in the ctc loss"
    )
    ignoring = attached(tmp_path, CTC + ", too_long: ignore")
    found = values(ignoring, batch, log_softmax(scores))
    assert found[1] == 0 and found[2] == 0
    assert found[0] == pytest.approx(all_paths(log_softmax(scores[0]), [0, 1]), rel=1e-4)


def test_symbols_outside_the_output_are_named(tmp_path: Path) -> None:
    batch, _ = speech(np.random.default_rng(4))
    batch["text"][2, 0] = 2
    with pytest.raises(KurError, match=r"sample clip 2: symbol 2 is outside the 2 symbols"):
        attached(tmp_path, CTC).truth(batch)
    batch["text"][2] = [1, 7, 7]  # beyond the count: padding may hold anything
    attached(tmp_path, CTC).truth(batch)


def test_ctc_error_rate(tmp_path: Path) -> None:
    batch, _ = speech(np.random.default_rng(5))
    heard = np.full((4, 5, 3), -9.0)
    for i, path in enumerate([[0, 0, 2, 1, 1], [0, 2, 0, 0, 1], [1, 1, 2, 0, 0], [2] * 5]):
        heard[i, np.arange(5), path] = 0
    measure = attached(tmp_path, CTC + ", measure: letter errors").measure()
    assert measure is not None and measure.name == "letter errors"
    measure.add(heard, batch)
    # Of 8 letters: the last clip lacks all three; steps that do not count are not heard.
    assert measure.value == 3 / 8


@pytest.mark.parametrize("form", ["whole", "column", "one-hot"])
@pytest.mark.parametrize("last", ["softmax", "log_softmax", "none"])
def test_cross_entropy(form: str, last: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    scores, classes = rng.normal(size=(6, 4)).astype(np.float32), rng.integers(4, size=6)
    loss = attached(
        tmp_path,
        "name: categorical_crossentropy, target: out, source: label",
        "4",
        f"activation: {last}",
    )
    outputs = {"softmax": np.exp(log_softmax(scores)), "log_softmax": log_softmax(scores)}
    forms = {"whole": classes, "column": classes[:, None], "one-hot": np.eye(4)[classes]}
    found = values(loss, {"label": forms[form]}, outputs.get(last, scores))
    np.testing.assert_allclose(found, -log_softmax(scores)[np.arange(6), classes], rtol=1e-4)


def test_cross_entropy_at_each_step_that_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    scores, classes = rng.normal(size=(2, 5, 3)).astype(np.float32), rng.integers(3, size=(2, 5))
    loss = attached(
        tmp_path, "name: categorical_crossentropy, target: out, source: label, length: long"
    )
    batch = {"label": classes, "long": np.array([5, 2])}
    each = -np.take_along_axis(log_softmax(scores), classes[:, :, None], axis=2)[:, :, 0]
    wanted = [each[0].mean(), each[1, :2].mean()]
    np.testing.assert_allclose(values(loss, batch, log_softmax(scores)), wanted, rtol=1e-5)
    measure = loss.measure()
    assert measure is not None
    measure.add(scores, batch)
    hits = scores.argmax(axis=2) == classes
    assert measure.value == pytest.approx((hits[0].sum() + hits[1, :2].sum()) / 7)


def test_mean_squared_error(tmp_path: Path) -> None:
    loss = attached(
        tmp_path, "name: mean_squared_error, target: out, source: y", "2, 2", "dense: 2"
    )
    output = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    wanted = np.ones((3, 4))
    found = values(loss, {"y": wanted}, output)
    np.testing.assert_allclose(found, ((output.reshape(3, 4) - 1) ** 2).mean(axis=1))
    assert loss.measure() is None


WRONG_DATA = [
    (
        "name: categorical_crossentropy, target: out",
        "4",
        {"label": [1]},
        "categorical_crossentropy needs the source 'out'; the data has label",
    ),
    (
        "name: categorical_crossentropy, target: out, source: label",
        "4",
        {"label": [1, 4], "sample": ["x", "y"]},
        "sample y: class 4 of the source 'label' is outside the 4 of the output 'out'",
    ),
    (
        "name: categorical_crossentropy, target: out, source: label",
        "4",
        {"label": np.ones((2, 3))},
        "the source 'label' has the shape (3,) for each sample, which does not fit the output ",
    ),
    (
        "name: mean_squared_error, target: out, source: y",
        "4",
        {"y": np.ones((2, 3))},
        "the source 'y' has the shape (3,) for each sample, the output 'out' has (4,)",
    ),
    (CTC, "null, 3", {"text": [[0]]}, "ctc needs the source 'steps'; the data has text"),
]


@pytest.mark.parametrize(("loss", "shape", "batch", "message"), WRONG_DATA)
def test_data_that_does_not_fit(
    loss: str, shape: str, batch: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(KurfileError) as caught:
        attached(tmp_path, loss, shape).truth(batch)
    assert caught.value.message.startswith(message)


def test_two_heads_are_two_weighted_losses(tmp_path: Path) -> None:
    text = """
model:
  - input: {name: sound, shape: [4]}
  - {dense: 3, name: one}
  - {dense: 2, inputs: sound, name: two}
loss:
  - {name: categorical_crossentropy, target: one, weight: 0.25}
  - {name: mean_squared_error, target: two, weight: 3}
"""
    made = kurfile(tmp_path, text)
    model = build(made, {})
    both = losses(made, model)
    assert [one.weight for one in both] == [0.25, 3.0]
    batch = {"sound": np.ones((2, 4)), "one": np.array([0, 2]), "two": np.ones((2, 2))}
    inputs, truth = feed(model, both, batch)
    assert set(inputs) == {"sound"} and set(truth) == {"0.classes", "1.wanted"}


GOOD = "model: [input: {name: x, shape: [null, 3]}, {dense: 4, name: out}]\n"
WRONG = [
    (
        "loss:\n  - {name: ctx, target: out}\n",
        "3: loss.0.name: unknown loss 'ctx' (did you mean 'ctc'?); known: categorical_cross",
    ),
    ("loss:\n  - {target: out}\n", "3: loss.0: a loss needs a 'name'; known: "),
    ("loss:\n  - ctc\n", "3: loss.0: a loss is a mapping with 'name' and 'target', found 'ctc'"),
    (
        "loss:\n  - name: mean_squared_error\n",
        "3: loss.0: the loss mean_squared_error needs 'target'; accepted (* required): target*, ",
    ),
    (
        "loss:\n  - name: mean_squared_error\n    target: uot\n",
        "4: loss.0.target: no output is named 'uot' (did you mean 'out'?); outputs: out",
    ),
    (
        "loss:\n  - name: mean_squared_error\n    target: out\n    wieght: 2\n",
        "5: loss.0.wieght: the loss mean_squared_error has no argument 'wieght' (did you mean ",
    ),
    (
        "loss:\n  - name: mean_squared_error\n    target: out\n    weight: two\n",
        "5: loss.0.weight: 'weight' of the loss mean_squared_error must be a number, found 'two'",
    ),
    (
        f"loss:\n  - {{{CTC}}}\n",
        "3: loss.0: 'relative_to': no layer is named 'sound'; inputs: x",
    ),
    (
        "loss:\n  - {name: ctc, target: out, input_length: a, output: b}\n",
        "3: loss.0: the loss ctc needs 'output_length'; accepted",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_with_a_loss(text: str, message: str, tmp_path: Path) -> None:
    made = kurfile(tmp_path, GOOD + text)
    with pytest.raises(KurError) as caught:
        losses(made, build(made, {}))
    assert str(caught.value).startswith(f"{tmp_path}/k.yml:{message}")


def slow_distance(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Edit distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    rest = slow_distance(one[1:], other[1:]) + (one[0] != other[0])
    return min(rest, 1 + slow_distance(one[1:], other), 1 + slow_distance(one, other[1:]))


letters = st.lists(st.integers(0, 2), max_size=5).map(tuple)


@given(letters, letters)
@settings(deadline=None)
def test_edit_distance(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    assert edit_distance(one, other) == slow_distance(one, other)


def test_greedy_and_rates() -> None:
    heard = np.eye(3)[[2, 0, 0, 2, 0, 1, 1, 2]]
    assert greedy(heard, 2) == [0, 0, 1]
    rate = ErrorRate()
    assert rate.value == 0
    rate.add("abc", "abd")
    rate.add("", "xyzw")
    assert rate.value == 5 / 7
    accuracy = Accuracy()
    assert accuracy.value == 0
    accuracy.add(np.eye(3)[[0, 1, 2]], np.array([0, 1, 1]))
    accuracy.add(np.eye(3)[[0]], np.eye(3)[[0]])
    assert accuracy.value == 3 / 4


def test_ctc_as_warp_has_it(tmp_path: Path) -> None:
    """The blank comes first and symbols after it; the loss is otherwise the same."""
    batch, scores = speech(np.random.default_rng(8))
    wanted = values(attached(tmp_path, CTC), batch, log_softmax(scores))
    warp = attached(tmp_path, CTC + ", variant: [warp, loss_scale]")
    turned = np.roll(log_softmax(scores), 1, axis=-1)
    scale = batch["steps"].mean() / 100
    np.testing.assert_allclose(values(warp, batch, turned), wanted * scale, rtol=1e-5)
    measure, plain = warp.measure(), attached(tmp_path, CTC).measure()
    assert measure is not None and plain is not None
    measure.add(turned, batch)
    plain.add(log_softmax(scores), batch)
    assert measure.value == plain.value


def test_ctc_relative_to_a_layer_on_the_way(tmp_path: Path) -> None:
    layers = "convolution: {kernels: 3, size: 3, strides: 2}\n    name: half\n"
    layers += "  - convolution: {kernels: 3, size: 3, border: valid}\n  - activation: log_softmax"
    loss = attached(tmp_path, CTC.replace("relative_to: sound", "relative_to: half"), layers=layers)
    batch, scores = speech(np.random.default_rng(9))
    found = values(loss, {**batch, "steps": batch["steps"] + 2}, log_softmax(scores))
    wanted = values(attached(tmp_path, CTC), batch, log_softmax(scores))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_words_and_letters_have_error_rates_of_their_own(tmp_path: Path) -> None:
    loss = attached(tmp_path, CTC, "null, 4")
    assert isinstance(loss, Ctc)
    loss.spell({"text": ["a", "b", " "]})
    measure = loss.measure()
    assert measure.name == "CER"
    heard = np.full((1, 5, 4), -9.0)
    heard[0, np.arange(5), [0, 2, 1, 3, 1]] = 0  # "a bb" for "a b"
    batch = {"text": [[0, 2, 1, 1]], "count": [3], "steps": [5]}
    measure.add(heard, {key: np.array(one) for key, one in batch.items()})
    assert measure.value == 1 / 3 and measure.further == {"WER": 1 / 2}
    loss.spell({"text": ["AA", "B", "CH"]})
    assert loss.measure().name == "PER" and loss.measure().further == {}


def test_a_target_may_be_the_layer_that_an_output_hands_on(tmp_path: Path) -> None:
    text = "model: [input: {name: x, shape: [3]}, {dense: 4, name: inner}, output: out]\n"
    made = kurfile(tmp_path, text + "loss: [{name: mean_squared_error, target: inner}]\n")
    assert losses(made, build(made, {}))[0].target == "out"
