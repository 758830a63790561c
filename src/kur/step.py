"""One batch through a network and its losses: a step of training, what it predicts, what it is
worth, and why its loss is not a number.

Backend-agnostic: the step itself is Keras's. Knows nothing of Kurfiles, epochs or files.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from kur.backend import keras
from kur.data.provider import Batch, Provider
from kur.losses import Loss, Measure
from kur.model import Model

Losses = tuple[Loss, ...]
# Is called with each batch and what the network made of it.
OnBatch = Callable[[Batch, Mapping[str, Any]], None]


class NotANumber(Exception):
    """The loss of `samples` of a batch is not a number; nothing has been changed by them."""

    def __init__(self, samples: list[int]) -> None:
        super().__init__(samples)
        self.samples = samples


def feed(model: Model, losses: Losses, batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch as the inputs of the network and the truths of its losses (by their number)."""
    truth = {
        f"{i}.{name}": array
        for i, loss in enumerate(losses)
        for name, array in loss.truth(batch).items()
    }
    return {name: batch[name] for name in model.inputs}, truth


def train_on(net: Any, model: Model, losses: Losses, batch: Batch) -> float:
    """One step of `net` (from `with_losses`, compiled) on a batch; its loss. NotANumber, with the
    weights as they were, where that is not finite."""
    inputs, truth = feed(model, losses, batch)
    loss = float(net.train_on_batch(inputs, truth, return_dict=True)["loss"])
    if not np.isfinite(loss):
        raise NotANumber(_wrong_samples(model, losses, batch))
    return loss


def predict(
    model: Model, provider: Provider, limit: int | None = None
) -> Iterator[tuple[Batch, dict[str, Any]]]:
    """Each batch of the provider in order (the first `limit` of them), with the network's outputs
    as numpy arrays."""
    batches = provider.batches(0, training=False)
    for batch in itertools.islice(batches, limit):
        yield batch, outputs_of(model, batch)


def outputs_of(model: Model, batch: Batch) -> dict[str, Any]:
    """What the network says to a batch: arrays (batch, ...) of float32 by output."""
    outputs = model.keras.predict_on_batch({name: batch[name] for name in model.inputs})
    return {name: np.asarray(array, np.float32) for name, array in outputs.items()}


def measure(
    model: Model,
    losses: Losses,
    provider: Provider,
    limit: int | None = None,
    on_batch: OnBatch | None = None,
) -> dict[str, float]:
    """Mean loss (by sample) and every measure of the losses over a provider, or over its first
    `limit` batches.

    Of several losses, `loss` is their weighted sum, and each stands there by its target as well.
    """
    sums, samples = [0.0] * len(losses), 0
    measures: list[Measure | None] = [loss.measure() for loss in losses]
    for batch, outputs in predict(model, provider, limit):
        for i, (loss, gauge) in enumerate(zip(losses, measures, strict=True)):
            sums[i] += float(_values(loss, batch, outputs).sum())
            if gauge is not None:
                gauge.add(outputs[loss.target], batch)
        samples += len(batch["sample"])
        if on_batch is not None:
            on_batch(batch, outputs)
    means = [one / max(1, samples) for one in sums]
    total = sum(loss.weight * mean for loss, mean in zip(losses, means, strict=True))
    figures = {"loss": total}
    for loss, mean, gauge in zip(losses, means, measures, strict=True):
        prefix = f"{loss.target} " if len(losses) > 1 else ""
        if prefix:
            figures[f"{prefix}loss"] = mean
        if gauge is not None:
            told = {gauge.name: gauge.value, **gauge.further}
            figures |= {prefix + name: value for name, value in told.items()}
    return figures


def explain(model: Model, batch: Batch, wrong: list[int]) -> str:
    """Why the loss of the samples `wrong` of a batch is not a number, as far as can be seen."""
    for i in wrong:
        for name in model.inputs:
            if not np.isfinite(np.asarray(batch[name])[i]).all():
                source = f"its source {name!r} holds values that are not numbers"
                return f"{batch['sample'][i]}: {source}"
    what = ", ".join(batch["sample"][i] for i in wrong[:3]) + ", ..." * (len(wrong) > 3)
    inputs = {name: np.asarray(batch[name])[wrong[:1]] for name in model.inputs}
    advice = "lower the learning rate, or clip the gradients (optimizer: {clip: {norm: 1}})"
    nodes = [node for node in model.nodes.values() if node.kind != "input"]
    tensors = {str(i): node.tensor for i, node in enumerate(nodes)}
    found = keras().Model(model.keras.inputs, tensors).predict_on_batch(inputs)
    for i, node in enumerate(nodes):
        if not np.isfinite(np.asarray(found[str(i)], np.float32)).all():
            at = f"the first layer that gives no numbers is {node.name!r} of {node.mark.file}"
            return f"{what}: {at}:{node.mark.line}; {advice}"
    return f"{what}, though every layer gives numbers; {advice}"


def with_losses(model: Model, losses: Losses) -> Any:
    """A Keras model that shares all layers of `model` and sums its losses. A step whose loss is not
    finite changes nothing."""
    library = keras()
    ops = library.ops
    backend = library.backend.backend()
    # Only torch works its losses out one after the other, in numbers that can be looked at; the
    # others compile their step, which therefore has to look for itself.
    looks = backend == "torch"
    base: Any = {"jax": _careful_jax, "tensorflow": _careful_tensorflow}.get(
        backend, lambda: None
    )()

    class Net(base or library.Model):  # type: ignore[misc]
        def compute_loss(
            self,
            x: Any = None,
            y: Any = None,
            y_pred: Any = None,
            sample_weight: Any = None,
            training: bool = True,
        ) -> Any:
            each = 0.0
            for i, loss in enumerate(losses):
                prefix = f"{i}."
                truth = {
                    name.removeprefix(prefix): ops.convert_to_tensor(value)
                    for name, value in y.items()
                    if name.startswith(prefix)
                }
                each = each + loss.weight * loss.value(truth, y_pred[loss.target])
            if looks:
                wrong = ~np.isfinite(ops.convert_to_numpy(each))
                if wrong.any():
                    raise NotANumber(np.flatnonzero(wrong).tolist())
            return ops.mean(each)

    return Net(model.keras.inputs, model.keras.output)


def _careful_jax() -> Any:
    """A Keras model whose step gives back what it was given where its loss is not finite."""
    # Loaded by Keras already.
    jax = importlib.import_module("jax")

    class Careful(keras().Model):  # type: ignore[misc]
        def train_step(self, state: Any, data: Any) -> Any:
            logs, after = super().train_step(state, data)
            good = jax.numpy.isfinite(logs["loss"])

            def choose(new: Any, old: Any) -> Any:
                return jax.numpy.where(good, new, old)

            # The metrics (the last part) are to say what happened.
            kept = jax.tree_util.tree_map(choose, after[:3], state[:3])
            return logs, (*kept, *after[3:])

    return Careful


def _careful_tensorflow() -> Any:
    """A Keras model that takes no step where its loss is not finite. Statistics of batches may be
    spoiled all the same: they are written while the loss is worked out."""
    # Loaded by Keras already.
    tensorflow = importlib.import_module("tensorflow")

    class Careful(keras().Model):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            x, y, _ = data
            with tensorflow.GradientTape() as tape:
                y_pred = self(x, training=True)
                loss = self._compute_loss(x=x, y=y, y_pred=y_pred, training=True)
                scaled = self.optimizer.scale_loss(loss)
            weights = self.trainable_weights
            gradients = tape.gradient(scaled, weights)
            self._loss_tracker.update_state(loss)

            def apply() -> Any:
                self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
                return tensorflow.constant(0)

            tensorflow.cond(tensorflow.math.is_finite(loss), apply, lambda: tensorflow.constant(0))
            return self.compute_metrics(x, y, y_pred)

    return Careful


def _values(loss: Loss, batch: Batch, outputs: Mapping[str, Any]) -> Any:
    """The loss of each sample of a batch: a numpy array (batch,)."""
    ops = keras().ops
    truth = {name: ops.convert_to_tensor(array) for name, array in loss.truth(batch).items()}
    value = loss.value(truth, ops.convert_to_tensor(outputs[loss.target]))
    return np.asarray(ops.convert_to_numpy(value))


def _wrong_samples(model: Model, losses: Losses, batch: Batch) -> list[int]:
    """The samples of a batch whose loss is not finite; all of them if that cannot be seen."""
    outputs = outputs_of(model, batch)
    wrong = np.zeros(len(batch["sample"]), bool)
    for loss in losses:
        wrong |= ~np.isfinite(_values(loss, batch, outputs))
    return np.flatnonzero(wrong if wrong.any() else ~wrong).tolist()
