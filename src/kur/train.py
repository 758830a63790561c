"""Training: batches through the network, epoch after epoch, resumable at any moment.

Backend-agnostic: the step itself is Keras's. Knows nothing of YAML or suppliers.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from kur.backend import keras
from kur.checkpoint import load_checkpoint, load_weights, save_checkpoint, save_weights
from kur.data.provider import Batch, Provider
from kur.data.supplier import resolve
from kur.errors import KurError
from kur.log import Log
from kur.losses import Loss, Measure
from kur.model import Model
from kur.optimizers import Optimizer
from kur.schema import Checkpoint, StopWhen, TrainWeights

Losses = tuple[Loss, ...]


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """When a training ends and what it keeps; relative paths start at `base`.

    A checkpoint is written at the end of each epoch (or of each `epochs`-th), after so many
    batches, samples or minutes too where that is asked for, and when a training is stopped.
    """

    stop: StopWhen = field(default_factory=StopWhen)
    weights: TrainWeights = field(default_factory=TrainWeights)
    checkpoint: Checkpoint | None = None
    base: Path = Path()

    def path(self, name: str | None) -> Path | None:
        """Where a file of the options is."""
        return None if name is None else resolve(self.base, name)


@dataclass
class State:
    """Where a training stands: all that a checkpoint holds beside the arrays.

    `batch` is the next one of `epoch`, `step` counts batches over all epochs; `loss_sum` is over
    the batches done of this epoch, `best` the least loss so far. `seconds` went by in training,
    `batch_seconds` of them in the network itself, `validate_seconds` in validation. A run is what
    one `stop_when` asks for: it began at `run_epoch` and `run_step`, ends with epoch `until`
    (None: never) and is then `finished`.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    batch_seconds: float = 0.0
    validate_seconds: float = 0.0
    loss_sum: float = 0.0
    best: float = math.inf
    run_epoch: int = 0
    run_step: int = 0
    until: int | None = None
    finished: bool = False

    def clock(self, name: str) -> float:
        """Seconds on one of the clocks of `stop_when.elapsed`."""
        clocks = {
            "all": self.seconds + self.validate_seconds,
            "train": self.seconds,
            "validate": self.validate_seconds,
            "batch": self.batch_seconds,
        }
        return clocks[name]


class Watcher(Protocol):
    """Is told how a training goes: progress on the terminal, plots."""

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """After each batch; `batches` in this epoch, `rate` the learning rate."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """After each epoch and its validation."""


class Trainer:
    """Trains one network on one provider, with any number of validation sets."""

    def __init__(
        self,
        model: Model,
        losses: Losses,
        optimizer: Optimizer,
        data: Provider,
        validation: Mapping[str, Provider],
        options: TrainOptions,
        log: Log,
        watchers: tuple[Watcher, ...] = (),
    ) -> None:
        if not losses:
            raise KurError("nothing to train for: the Kurfile has no 'loss' section")
        if optimizer.schedule.needs_total and options.stop.epochs is None:
            raise KurError("the learning rate follows the number of epochs; give 'epochs' as well")
        self._model = model
        self._losses = losses
        self._optimizer = optimizer
        self._data = data
        self._validation = validation
        self._options = options
        self._log = log
        self._watchers = watchers
        kept = options.checkpoint
        self._checkpoint = None if kept is None else options.path(kept.path)
        self._net = _with_losses(model, losses)
        if not self._net.trainable_variables:
            raise KurError("nothing to train: every layer is frozen or has no weights")
        self._net.compile(optimizer=optimizer.keras, jit_compile="auto")
        self._optimizer.keras.build(self._net.trainable_variables)
        self._stopping = False
        self._started = 0.0  # what the clock of `stop_when.elapsed` showed at the start
        self._total = 0  # steps of this run, where the learning rate must know
        self._saved = (0, 0, 0.0)  # step, samples and time of the last checkpoint
        self.state = State()
        self.batches_done = 0  # by this trainer

    def kept(self) -> dict[str, Path]:
        """The files that the training has written, by what they hold."""
        weights = self._options.weights
        files = {
            "best weights": self._options.path(weights.best),
            "last weights": self._options.path(weights.last),
            "checkpoint": self._checkpoint,
            "log": self._log.path,
        }
        return {what: path for what, path in files.items() if path is not None and path.exists()}

    @property
    def keeps_state(self) -> bool:
        """Whether a training that is stopped goes on later from where it stood."""
        return self._checkpoint is not None

    def stop(self) -> None:
        """Stop after the batch that is under way, with a checkpoint; may come from a signal."""
        self._stopping = True

    def run(self) -> State:
        """Train to the end (or until `stop`), going on from the checkpoint if there is one.

        KurError names batch, sample and layer when a loss is not a number.
        """
        self._restore()
        self._begin()
        state = self.state
        self._saved = (state.step, state.samples, time.monotonic())
        try:
            while state.until is None or state.epoch < state.until:
                if not self._epoch():
                    if self.batches_done:
                        self._save()
                    break
                self._end_epoch()
        finally:
            self._log.flush()
        return state

    def _restore(self) -> None:
        options = self._options
        if self._checkpoint is not None and self._checkpoint.is_file():
            saved = load_checkpoint(self._checkpoint, self._model.keras, self._optimizer.keras)
            known = {one.name for one in fields(State)}
            self.state = State(**{key: value for key, value in saved.items() if key in known})
        else:
            initial = options.path(options.weights.initial)
            if initial is not None and (options.weights.must_exist or initial.is_file()):
                load_weights(initial, self._model.keras)
        self._log.cut(self.state.step, self.state.epoch)

    def _begin(self) -> None:
        """Go on with the run of the checkpoint, or begin another one if that is finished."""
        state, stop = self.state, self._options.stop
        if state.finished and stop.mode == "additional":
            state.run_epoch, state.run_step = state.epoch, state.step
        state.finished = False
        first = state.run_epoch if stop.mode == "additional" else 0
        state.until = None if stop.epochs is None else first + stop.epochs
        if self._optimizer.schedule.needs_total and state.until is not None:
            # Batches differ from epoch to epoch where they are cut by length: counted, not guessed.
            epochs = range(state.run_epoch, state.until)
            self._total = sum(self._data.count(epoch) for epoch in epochs)
        if stop.elapsed is not None and stop.mode == "additional":
            self._started = state.clock(stop.elapsed.clock)

    def _expired(self) -> bool:
        """Whether the time of `stop_when.elapsed` is over."""
        elapsed = self._options.stop.elapsed
        if elapsed is None:
            return False
        return self.state.clock(elapsed.clock) - self._started >= 60 * elapsed.total_minutes

    def _epoch(self) -> bool:
        """The rest of the current epoch; False when the training is to stop."""
        state = self.state
        if self._stopping or self._expired():
            return False
        batches = self._data.count(state.epoch)
        before = time.monotonic()
        for batch in self._data.batches(state.epoch, training=True, skip=state.batch):
            rate = self._optimizer.schedule.at(state.step - state.run_step, self._total)
            loss = self._step(batch, rate)
            state.batch += 1
            state.step += 1
            self.batches_done += 1
            state.samples += len(batch["sample"])
            state.loss_sum += loss
            now = time.monotonic()
            state.seconds += now - before
            before = now
            self._log.batch(state.step, state.epoch, loss, rate)
            for watcher in self._watchers:
                watcher.on_batch(state, batches, loss, rate)
            if self._stopping or self._expired():
                return False
            if self._due():
                self._save()
        return True

    def _due(self) -> bool:
        """Whether a checkpoint is to be written in the middle of an epoch."""
        every = self._options.checkpoint
        if every is None:
            return False
        step, samples, moment = self._saved
        return (
            (every.batches is not None and self.state.step - step >= every.batches)
            or (every.samples is not None and self.state.samples - samples >= every.samples)
            or (every.minutes is not None and time.monotonic() - moment >= 60 * every.minutes)
        )

    def _step(self, batch: Batch, rate: float) -> float:
        inputs, truth = feed(self._model, self._losses, batch)
        self._optimizer.keras.learning_rate = rate
        started = time.monotonic()
        try:
            figures = self._net.train_on_batch(inputs, truth, return_dict=True)
        except _NotANumber as error:
            raise KurError(self._explain(batch, error.samples)) from None
        self.state.batch_seconds += time.monotonic() - started
        loss = float(figures["loss"])
        if not math.isfinite(loss):
            raise KurError(self._explain(batch, list(range(len(batch["sample"])))))
        return loss

    def _explain(self, batch: Batch, wrong: list[int]) -> str:
        """Why the loss of samples of a batch is not a number, as far as can be seen."""
        what = (
            f"the loss is not a number in epoch {self.state.epoch + 1}, batch "
            f"{self.state.batch + 1}, sample "
        )
        for i in wrong:
            for name in self._model.inputs:
                if not np.isfinite(np.asarray(batch[name])[i]).all():
                    source = f"its source {name!r} holds values that are not numbers"
                    return f"{what}{batch['sample'][i]}: {source}"
        what += ", ".join(batch["sample"][i] for i in wrong[:3]) + ", ..." * (len(wrong) > 3)
        first = wrong[0]
        inputs = {name: np.asarray(batch[name])[first : first + 1] for name in self._model.inputs}
        advice = "lower the learning rate, or clip the gradients (optimizer: {clip: {norm: 1}})"
        nodes = [node for node in self._model.nodes.values() if node.kind != "input"]
        tensors = {str(i): node.tensor for i, node in enumerate(nodes)}
        found = keras().Model(self._model.keras.inputs, tensors).predict_on_batch(inputs)
        for i, node in enumerate(nodes):
            if not np.isfinite(np.asarray(found[str(i)], np.float32)).all():
                at = f"the first layer that gives no numbers is {node.name!r} of {node.mark.file}"
                return f"{what}: {at}:{node.mark.line}; {advice}"
        return f"{what}, though every layer gives numbers; {advice}"

    def _end_epoch(self) -> None:
        state, started = self.state, time.monotonic()
        figures = {"training loss": state.loss_sum / max(1, state.batch)}
        judged, samples = 0.0, 0
        for name, provider in self._validation.items():
            prefix = f"{name} " if name else ""
            found = measure(self._model, self._losses, provider)
            if not math.isfinite(found["loss"]):
                raise KurError(f"the loss on the {prefix}validation data is {found['loss']}")
            for figure, value in found.items():
                figures[f"{prefix}validation {figure}"] = value
            judged, samples = judged + found["loss"] * provider.samples, samples + provider.samples
        score = judged / samples if samples else figures["training loss"]
        state.validate_seconds += time.monotonic() - started
        state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
        state.finished = state.epoch == state.until
        self._log.epoch(state.step, state.epoch, state.seconds, figures)
        if score < state.best:
            state.best = score
            self._save_weights(self._options.weights.best)
        self._save_weights(self._options.weights.last)
        every = self._options.checkpoint
        if every is not None and (state.finished or state.epoch % (every.epochs or 1) == 0):
            self._save()
        for watcher in self._watchers:
            watcher.on_epoch(state, figures)

    def _save_weights(self, name: str | None) -> None:
        path = self._options.path(name)
        if path is not None:
            save_weights(path, self._model.keras, {"epoch": self.state.epoch})

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._log.flush()
            state = asdict(self.state)
            save_checkpoint(self._checkpoint, self._model.keras, self._optimizer.keras, state)
            self._saved = (self.state.step, self.state.samples, time.monotonic())


def feed(model: Model, losses: Losses, batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
    """A batch as the inputs of the network and the truths of its losses (by their number)."""
    truth = {
        f"{i}.{name}": array
        for i, loss in enumerate(losses)
        for name, array in loss.truth(batch).items()
    }
    return {name: batch[name] for name in model.inputs}, truth


def predict(model: Model, provider: Provider) -> Iterator[tuple[Batch, dict[str, Any]]]:
    """Each batch of the provider in order, with the network's outputs as numpy arrays."""
    for batch in provider.batches(0, training=False):
        outputs = model.keras.predict_on_batch({name: batch[name] for name in model.inputs})
        yield batch, {name: np.asarray(array, np.float32) for name, array in outputs.items()}


def measure(model: Model, losses: Losses, provider: Provider) -> dict[str, float]:
    """Mean loss (by sample) and every measure of the losses over a provider.

    Of several losses, `loss` is their weighted sum, and each stands there by its target as well.
    """
    ops = keras().ops
    sums, samples = [0.0] * len(losses), 0
    measures: list[Measure | None] = [loss.measure() for loss in losses]
    for batch, outputs in predict(model, provider):
        for i, (loss, gauge) in enumerate(zip(losses, measures, strict=True)):
            output = outputs[loss.target]
            truth = {
                name: ops.convert_to_tensor(array) for name, array in loss.truth(batch).items()
            }
            sums[i] += float(ops.sum(loss.value(truth, ops.convert_to_tensor(output))))
            if gauge is not None:
                gauge.add(output, batch)
        samples += len(batch["sample"])
    means = [one / max(1, samples) for one in sums]
    total = sum(loss.weight * mean for loss, mean in zip(losses, means, strict=True))
    figures = {"loss": total}
    for loss, mean, gauge in zip(losses, means, measures, strict=True):
        prefix = f"{loss.target} " if len(losses) > 1 else ""
        if prefix:
            figures[f"{prefix}loss"] = mean
        if gauge is not None:
            figures[prefix + gauge.name] = gauge.value
    return figures


class _NotANumber(Exception):
    """The loss of `samples` of a batch is not a number; nothing has been changed by them."""

    def __init__(self, samples: list[int]) -> None:
        super().__init__(samples)
        self.samples = samples


def _with_losses(model: Model, losses: Losses) -> Any:
    """A Keras model that shares all layers of `model` and sums its losses."""
    library = keras()
    ops = library.ops
    # Only torch works its losses out one after the other, in numbers that can be looked at; the
    # others compile them, and their loss is looked at when the step is done.
    looks = library.backend.backend() == "torch"

    class Net(library.Model):  # type: ignore[misc,name-defined]
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
                    raise _NotANumber(np.flatnonzero(wrong).tolist())
            return ops.mean(each)

    return Net(model.keras.inputs, model.keras.output)
