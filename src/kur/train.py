"""Training: batches through the network, epoch after epoch, resumable at any moment.

What one batch does is `step`'s. Knows nothing of YAML or suppliers.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol

from kur.checkpoint import find, load_checkpoint, place, save_checkpoint, save_weights
from kur.data.provider import Batch, Provider
from kur.errors import KurError
from kur.legacy import restore
from kur.log import Log
from kur.model import Model
from kur.naming import check, filled, latest
from kur.optimizers import Optimizer
from kur.schema import Checkpoint, StopWhen, TrainWeights
from kur.step import Losses, NotANumber, OnBatch, explain, measure, train_on, with_losses

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """When a training ends and what it keeps; relative paths start at `base`.

    `best_valid` is where the weights with the least validation loss go, if the ones with the least
    training loss are kept too (as `weights.best`); `weights.best` alone is judged by the
    validation loss where there is one. A checkpoint is written at the end of each epoch (or of
    each `epochs`-th), after so many batches, samples or minutes too where that is asked for, and
    when a training is stopped.
    """

    stop: StopWhen = field(default_factory=StopWhen)
    weights: TrainWeights = field(default_factory=TrainWeights)
    best_valid: str | None = None
    checkpoint: Checkpoint | None = None
    base: Path = Path()

    def __post_init__(self) -> None:
        for path in (self.weights.best, self.weights.last, self.best_valid, self.state_path):
            check(path or "")

    @property
    def state_path(self) -> str | None:
        """Where checkpoints go."""
        return None if self.checkpoint is None else self.checkpoint.path

    def path(self, name: str | None) -> Path | None:
        """Where a file of the options is: the one that was saved last, where its name varies."""
        return None if name is None else find(latest(self.base, name))

    def own(self, path: Path) -> bool:
        """Whether this training writes the weights file `path` itself."""
        names = (self.weights.best, self.weights.last, self.best_valid)
        return path in [self.path(name) for name in names]


@dataclass
class State:
    """Where a training stands: all that a checkpoint holds beside the arrays.

    `batch` is the next one of `epoch`, `step` counts batches over all epochs; `loss_sum` is over
    the batches done of this epoch, `best` the least loss so far by which the best weights are
    judged, `best_valid` the least validation loss where that is judged apart; the other losses are
    the last ones. `seconds` went by in training, `batch_seconds` of them in the network itself,
    `validate_seconds` in validation. A run is what one `stop_when` asks for: it began at
    `run_epoch` and `run_step`, ends with epoch `until` (None: never) and is then `finished`.
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
    best_valid: float = math.inf
    batch_loss: float | None = None
    train_loss: float | None = None
    validation_loss: float | None = None
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

    def variables(self) -> dict[str, int | float | None]:
        """What the variables in the names of saved files stand for."""
        running = self.loss_sum / self.batch if self.batch else self.train_loss
        return {
            "TIMESTAMP": int(time.time()),
            "SAMPLE": self.samples,
            "BATCH": self.step,
            "EPOCH": self.epoch,
            "TRAIN_LOSS": self.train_loss,
            "BATCH_LOSS": self.batch_loss,
            "VALIDATION_LOSS": self.validation_loss,
            "EPOCH_LOSS": running,
        }


class Watcher(Protocol):
    """Is told how a training goes: progress on the terminal, plots. It may also have `on_start`
    (state) and `on_end` (state, reason), which are then called before and after."""

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """After each batch; `batches` in this epoch, `rate` the learning rate."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """After each epoch and its validation, and after each validation between."""


class Trainer:
    """Trains one network on one provider, with any number of validation sets; `on_validation` is
    given the first batch of each in every validation."""

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
        on_validation: OnBatch | None = None,
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
        self._on_validation = on_validation
        self._net = with_losses(model, losses)
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
        weights, options = self._options.weights, self._options
        files = {
            "best weights": options.path(weights.best),
            "best weights of the validation": options.path(options.best_valid),
            "last weights": options.path(weights.last),
            "checkpoint": options.path(options.state_path),
            "log": self._log.path,
        }
        return {what: path for what, path in files.items() if path is not None and path.exists()}

    @property
    def keeps_state(self) -> bool:
        """Whether a training that is stopped goes on later from where it stood."""
        return self._options.checkpoint is not None

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
        self._tell("on_start", state)
        reason = "interrupted"
        try:
            while state.until is None or state.epoch < state.until:
                if not self._epoch():
                    if self.batches_done:
                        self._save_weights(self._options.weights.last)
                        self._save()
                    reason = "stopped"
                    break
                self._end_epoch()
            else:
                reason = "success"
        except KurError as error:
            reason = str(error)
            raise
        finally:
            self._log.flush()
            self._tell("on_end", state, reason)
        return state

    def _tell(self, what: str, *said: Any) -> None:
        for watcher in self._watchers:
            if hasattr(watcher, what):
                getattr(watcher, what)(*said)

    def _restore(self) -> None:
        """Everything from the checkpoint; without one, the initial weights, and if those are this
        training's own, the position that its log tells."""
        options = self._options
        saved = options.path(options.state_path)
        initial = options.path(options.weights.initial)
        if saved is not None and saved.is_file():
            _logger.info("going on from the checkpoint %s", saved)
            found = load_checkpoint(saved, self._model.keras, self._optimizer.keras)
            known = {one.name for one in fields(State)}
            self.state = State(**{key: value for key, value in found.items() if key in known})
        elif initial is not None and (options.weights.must_exist or initial.exists()):
            _logger.info("initial weights: %s", initial)
            restore(initial, self._model)
            if options.own(initial):
                self._recall()
        self._log.cut(self.state.step, self.state.epoch)

    def _recall(self) -> None:
        """Count on from the last whole epoch of the log: where no checkpoint is kept, its number
        and the least losses are all that is known of the training before."""
        figures = [line for line in self._log.read() if "figures" in line]
        whole = [i for i, line in enumerate(figures) if "samples" in line]
        if not whole:
            return
        last, state = figures[whole[-1]], self.state
        lines = figures[: whole[-1] + 1]  # validations between epochs too
        state.epoch, state.step, state.samples = last["epoch"], last["step"], last["samples"]
        state.seconds = last.get("seconds", 0.0)

        def least(name: str) -> float:
            found = [line["figures"][name] for line in lines if name in line["figures"]]
            return min(found, default=math.inf)

        names = [f"{name} " for name in self._validation if name]
        state.best_valid = least(f"{names[0] if len(names) == 1 else ''}validation loss")
        by_training = self._options.best_valid is not None or not self._validation
        state.best = least("training loss") if by_training else state.best_valid
        state.run_epoch, state.run_step = state.epoch, state.step

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
            rate = self._optimizer.rate(state.step - state.run_step, self._total, batch)
            loss = self._step(batch, rate)
            state.batch += 1
            state.step += 1
            self.batches_done += 1
            state.samples += len(batch["sample"])
            state.loss_sum += loss
            state.batch_loss = loss
            now = time.monotonic()
            state.seconds += now - before
            before = now
            self._log.batch(state.step, state.epoch, loss, rate, state.seconds)
            for watcher in self._watchers:
                watcher.on_batch(state, batches, loss, rate)
            if self._stopping or self._expired():
                return False
            if self._due():
                validated = state.validate_seconds
                self._validate_between()
                before += state.validate_seconds - validated
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
        self._optimizer.keras.learning_rate = rate
        started = time.monotonic()
        try:
            loss = train_on(self._net, self._model, self._losses, batch)
        except NotANumber as error:
            where = f"epoch {self.state.epoch + 1}, batch {self.state.batch + 1}, sample "
            why = explain(self._model, batch, error.samples)
            raise KurError(f"the loss is not a number in {where}{why}") from None
        self.state.batch_seconds += time.monotonic() - started
        return loss

    def _validate(self, limit: int | None = None) -> dict[str, float]:
        """Figures of all validation sets, and the mean of their losses by samples."""
        state, started = self.state, time.monotonic()
        figures: dict[str, float] = {}
        total, samples = 0.0, 0
        for name, provider in self._validation.items():
            prefix = f"{name} " if name else ""
            seen = _First(self._on_validation)
            found = measure(self._model, self._losses, provider, limit, seen)
            if not math.isfinite(found["loss"]):
                raise KurError(f"the loss on the {prefix}validation data is {found['loss']}")
            for figure, value in found.items():
                figures[f"{prefix}validation {figure}"] = value
            total, samples = total + found["loss"] * seen.samples, samples + seen.samples
        if samples:
            state.validation_loss = total / samples
            if len(self._validation) > 1:
                figures["validation loss"] = state.validation_loss
        state.validate_seconds += time.monotonic() - started
        return figures

    def _validate_between(self) -> None:
        """Validate at a checkpoint in the middle of an epoch, if that is asked for; as in Kur 0.7
        this judges the weights, on some batches only too."""
        how = self._options.checkpoint.validation if self._options.checkpoint else False
        figures = self._validate(None if how is True else int(how)) if how else {}
        if not figures:
            return
        self._judge()
        state = self.state
        self._log.epoch(state.step, state.epoch, state.seconds, figures)
        for watcher in self._watchers:
            watcher.on_epoch(state, figures)

    def _end_epoch(self) -> None:
        state = self.state
        state.train_loss = state.loss_sum / max(1, state.batch)
        figures = {"training loss": state.train_loss, **self._validate()}
        state.epoch, state.batch, state.loss_sum = state.epoch + 1, 0, 0.0
        state.finished = state.epoch == state.until
        self._judge(epoch_over=True)
        more = {"samples": state.samples}
        self._log.epoch(state.step, state.epoch, state.seconds, figures, more)
        self._save_weights(self._options.weights.last)
        every = self._options.checkpoint
        if every is not None and (state.finished or state.epoch % (every.epochs or 1) == 0):
            self._save()
        for watcher in self._watchers:
            watcher.on_epoch(state, figures)

    def _judge(self, epoch_over: bool = False) -> None:
        """Keep the weights if they are the best so far, by each of the losses that judge."""
        state, options = self.state, self._options
        apart = options.best_valid is not None
        valid = state.validation_loss if self._validation else None
        score = state.train_loss if apart or valid is None else valid
        by_training = apart or valid is None
        if score is not None and score < state.best and (epoch_over or not by_training):
            state.best = score
            self._save_weights(options.weights.best)
        if apart and valid is not None and valid < state.best_valid:
            state.best_valid = valid
            self._save_weights(options.best_valid)

    def _save_weights(self, name: str | None) -> None:
        if name is not None:
            path = place(filled(self._options.base, name, self.state.variables()))
            told = {"epoch": self.state.epoch, "data": self._data_says()}
            save_weights(path, self._model.keras, told)

    def _data_says(self) -> dict[str, Any]:
        """What whoever uses the weights elsewhere must know of the data, such as vocabularies."""
        return {key: value for key, value in self._data.metadata().items() if _is_plain(value)}

    def _save(self) -> None:
        name = self._options.state_path
        if name is not None:
            self._log.flush()
            path = place(filled(self._options.base, name, self.state.variables()))
            state = asdict(self.state)
            save_checkpoint(path, self._model.keras, self._optimizer.keras, state)
            self._saved = (self.state.step, self.state.samples, time.monotonic())


def _is_plain(value: object) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


class _First:
    """Counts the samples of batches, and hands on the first batch."""

    def __init__(self, hand_on: OnBatch | None) -> None:
        self.samples = 0
        self._hand_on = hand_on

    def __call__(self, batch: Batch, outputs: Mapping[str, Any]) -> None:
        if self.samples == 0 and self._hand_on is not None:
            self._hand_on(batch, outputs)
        self.samples += len(batch["sample"])
