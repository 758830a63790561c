"""The losses that a Kurfile can name, each a class whose keyword parameters are its schema.

A loss reads its output of the network and its sources of the batch, and gives one value a sample.
Knows nothing of how networks are built or trained.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kur.backend import keras
from kur.errors import KurError, nearest
from kur.metrics import Accuracy, ErrorRate, greedy, words
from kur.model import Model

Batch = Mapping[str, Any]
Tensor = Any
Array = NDArray[Any]

_SMALLEST_PROBABILITY = 1e-7
_VARIANTS = frozenset({"warp", "loss_scale"})
_note = logging.getLogger("kur").warning


class Measure(Protocol):
    """A figure such as an error rate, gathered over batches."""

    name: str

    def add(self, output: Array, batch: Batch) -> None:
        """Count a batch."""

    @property
    def value(self) -> float:
        """The figure so far."""

    @property
    def further(self) -> Mapping[str, float]:
        """What else it tells, by name."""


class Loss(Protocol):
    """One objective of a network, at the output `target`, which counts `weight` times."""

    target: str
    weight: float

    def attach(self, model: Model) -> None:
        """Learn what the loss must know of the network; comes before everything else."""

    def truth(self, batch: Batch) -> dict[str, Array]:
        """The arrays that `value` needs of a batch, checked; KurError names a sample that cannot
        be learned from."""

    def value(self, truth: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Loss of each sample: (batch,)."""

    def measure(self) -> Measure | None:
        """A fresh measure that people can read, or None."""


LOSSES: dict[str, Callable[..., Loss]] = {}


def loss(name: str) -> Callable[[type], type]:
    """Register a class as the loss `name`."""

    def register(kind: type) -> type:
        LOSSES[name] = kind
        return kind

    return register


def _source(batch: Batch, name: str, what: str) -> Array:
    if name not in batch:
        hint = nearest(name, batch)
        raise KurError(f"{what} needs the source {name!r}{hint}; the data has {', '.join(batch)}")
    return np.asarray(batch[name])


def _sample(batch: Batch, wrong: Array) -> str:
    """The first sample of a batch for which `wrong` (batch, ...) holds."""
    first = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
    return f"sample {batch.get('sample', range(len(wrong)))[first]}"


def _log_probability(output: Tensor, activation: str | None) -> Tensor:
    """What the last layer gives as log-probabilities; without an activation it gives logits."""
    ops = keras().ops
    output = ops.cast(output, "float32")
    if activation == "log_softmax":
        return output
    if activation in (None, "none", "linear"):
        return ops.log_softmax(output, axis=-1)
    return ops.log(ops.clip(output, _SMALLEST_PROBABILITY, 1.0))


@loss("categorical_crossentropy")
class CategoricalCrossentropy:
    """Cross-entropy against classes, one-hot or as whole numbers, at each sample or each step.

    `source` has the classes (default: the source with the name of the target); `length` is a
    source with the number of steps that count, where samples are padded.
    """

    def __init__(
        self,
        *,
        target: str,
        weight: float = 1.0,
        source: str | None = None,
        length: str | None = None,
    ) -> None:
        self.target = target
        self.weight = weight
        self._source = source or target
        self._length = length
        self._activation: str | None = None
        self._shape: tuple[int | None, ...] = ()

    def attach(self, model: Model) -> None:
        """Whether the network gives logits or probabilities, and of how many classes."""
        self._activation = model.nodes[self.target].activation
        self._shape = tuple(model.nodes[self.target].tensor.shape)

    def truth(self, batch: Batch) -> dict[str, Array]:
        """The classes, one-hot: (batch, ..., classes); and which steps count: (batch, steps)."""
        what = "categorical_crossentropy"
        classes, count = _source(batch, self._source, what), int(self._shape[-1] or 0)
        axes = len(self._shape)
        if classes.ndim == axes and classes.shape[-1] == 1 != count:
            classes = classes[..., 0]
        if classes.ndim == axes and classes.shape[-1] == count:
            arrays = {"classes": classes.astype("float32")}
        elif classes.ndim == axes - 1:
            wrong = (classes < 0) | (classes >= count)
            if wrong.any():
                raise KurError(
                    f"{_sample(batch, wrong)}: class {classes[wrong][0]} of the source "
                    f"{self._source!r} is outside the {count} of the output {self.target!r}"
                )
            arrays = {"classes": np.eye(count, dtype="float32")[classes.astype("int64")]}
        else:
            raise KurError(
                f"the source {self._source!r} has the shape {classes.shape[1:]} for each sample, "
                f"which does not fit the output {self.target!r}: {self._shape[1:]}"
            )
        counted = self._counted(batch, classes.shape[1] if axes > 2 else 1)
        return arrays if counted is None else {**arrays, "counted": counted}

    def _counted(self, batch: Batch, steps: int) -> Array | None:
        """1 for each of (batch, steps) that counts, 0 for padding; None if all do."""
        if self._length is None:
            return None
        lengths = _source(batch, self._length, "categorical_crossentropy").reshape(-1, 1)
        return (np.arange(steps) < lengths).astype("float32")

    def value(self, truth: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Mean over the steps of each sample."""
        ops = keras().ops
        each = -ops.sum(truth["classes"] * _log_probability(output, self._activation), axis=-1)
        if "counted" in truth:
            counted = truth["counted"]
            steps = ops.maximum(ops.sum(counted, axis=-1), 1.0)
            return ops.sum(each * counted, axis=-1) / steps
        return ops.mean(ops.reshape(each, (ops.shape(each)[0], -1)), axis=-1)

    def measure(self) -> Measure:
        """Accuracy."""
        return _AccuracyMeasure(self)


class _AccuracyMeasure:
    name = "accuracy"

    def __init__(self, entropy: CategoricalCrossentropy) -> None:
        self._entropy = entropy
        self._accuracy = Accuracy()

    def add(self, output: Array, batch: Batch) -> None:
        truth = self._entropy.truth(batch)
        self._accuracy.add(output, truth["classes"], truth.get("counted"))

    @property
    def value(self) -> float:
        return self._accuracy.value

    @property
    def further(self) -> Mapping[str, float]:
        return {}


@loss("mean_squared_error")
class MeanSquaredError:
    """Mean of the squared differences; `source` has the wanted values (default: the source with
    the name of the target)."""

    def __init__(self, *, target: str, weight: float = 1.0, source: str | None = None) -> None:
        self.target = target
        self.weight = weight
        self._source = source or target
        self._shape: tuple[int | None, ...] = ()

    def attach(self, model: Model) -> None:
        """The shape of the output."""
        self._shape = tuple(model.nodes[self.target].tensor.shape)

    def truth(self, batch: Batch) -> dict[str, Array]:
        """The wanted values."""
        wanted = _source(batch, self._source, "mean_squared_error")
        known = [size for size in self._shape[1:] if size is not None]
        if len(known) == len(self._shape) - 1 and math.prod(known) != math.prod(wanted.shape[1:]):
            raise KurError(
                f"the source {self._source!r} has the shape {wanted.shape[1:]} for each sample, "
                f"the output {self.target!r} has {self._shape[1:]}"
            )
        return {"wanted": wanted.astype("float32")}

    def value(self, truth: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Mean over all values of each sample."""
        ops = keras().ops
        output = ops.cast(output, "float32")
        each = ops.square(output - ops.reshape(truth["wanted"], ops.shape(output)))
        return ops.mean(ops.reshape(each, (ops.shape(each)[0], -1)), axis=-1)

    def measure(self) -> None:
        """None: the loss says it already."""


@loss("ctc")
class Ctc:
    """Connectionist temporal classification (Graves et al., 2006); the blank is the last unit.

    `output` is the source with the wanted symbols, `output_length` how many of them count,
    `input_length` the number of steps of each sample: of the layer `relative_to`, then rescaled
    through the strides of the network; of the target itself without it. `variant` is Kur's: with
    `warp` the blank is the first unit and symbols follow it, with `loss_scale` a loss counts more
    where there are more steps. `normalize: labels` divides by the number of symbols. `too_long`
    says what to do with a sample that has more symbols than steps, `measure` what the error rate
    is called.
    """

    def __init__(
        self,
        *,
        target: str,
        input_length: str,
        output_length: str,
        output: str,
        relative_to: str | None = None,
        weight: float = 1.0,
        variant: str | list[str | None] | None = None,
        normalize: Literal["none", "labels"] = "none",
        too_long: Literal["error", "ignore"] = "error",
        measure: str | None = None,
    ) -> None:
        self.target = target
        self.weight = weight
        self.measure_name = measure or "error rate"
        self.space: int | None = None
        self.blank = -1
        self._named = measure is not None
        self._variant = _variants(variant)
        self._input_length = input_length
        self._output_length = output_length
        self._output = output
        self._relative_to = relative_to
        self._normalize = normalize
        self._too_long = too_long
        self._model: Model | None = None

    def attach(self, model: Model) -> None:
        """The strides and the blank."""
        if self._relative_to is not None:
            try:
                model.length_at(self.target, 1, self._relative_to)
            except KurError as error:
                hint = f"; inputs: {', '.join(model.inputs)}"
                raise KurError(f"'relative_to': {error}{hint}") from None
        shape = model.nodes[self.target].tensor.shape
        if len(shape) != 3:
            raise KurError(f"ctc needs an output (steps, units), {self.target!r} is {shape[1:]}")
        self._model, self.blank = model, 0 if "warp" in self._variant else int(shape[-1]) - 1
        self._symbols = int(shape[-1]) - 1

    def spell(self, symbols: Mapping[str, Sequence[str]]) -> None:
        """Learn from the vocabularies of the data what the symbols are: of which the error rate
        is, and where words end."""
        known = [str(one) for one in symbols.get(self._output, ())]
        if known and not self._named:
            self.measure_name = "CER" if all(len(one) == 1 for one in known) else "PER"
        self.space = known.index(" ") if " " in known else None

    @property
    def source(self) -> str:
        """The source with the wanted symbols."""
        return self._output

    def steps(self, batch: Batch) -> Array:
        """Output steps of each sample that count: (batch,)."""
        assert self._model is not None, "attach comes first"
        lengths = _source(batch, self._input_length, "ctc").reshape(-1)
        if self._relative_to is None:
            return lengths
        return np.asarray(self._model.length_at(self.target, lengths, self._relative_to))

    def labels(self, batch: Batch) -> tuple[Array, Array]:
        """The wanted symbols (batch, symbols), and how many of them count (batch,)."""
        counts = _source(batch, self._output_length, "ctc").reshape(-1)
        return _source(batch, self._output, "ctc"), counts

    def truth(self, batch: Batch) -> dict[str, Array]:
        """Labels (batch, symbols), their number, output steps, and the weight of each sample."""
        steps, (labels, counts) = self.steps(batch), self.labels(batch)
        used = np.arange(labels.shape[1]) < counts[:, None]
        wrong = used & ((labels < 0) | (labels >= self._symbols))
        if wrong.any():
            raise KurError(
                f"{_sample(batch, wrong)}: symbol {labels[wrong][0]} is outside the "
                f"{self._symbols} symbols (and a blank) of the output {self.target!r}"
            )
        # Between two equal symbols there must be a blank.
        repeats = (used[:, 1:] & (labels[:, 1:] == labels[:, :-1])).sum(axis=1)
        short = steps < counts + repeats
        if short.any() and self._too_long == "error":
            first = int(np.argmax(short))
            raise KurError(
                f"{_sample(batch, short)}: {counts[first]} symbols ({repeats[first]} of them the "
                f"same as the one before) do not fit into {steps[first]} output steps; drop the "
                f"sample, use less stride, or set 'too_long: ignore' in the ctc loss"
            )
        scale = np.where(short, 0.0, 1.0)
        if self._normalize == "labels":
            scale = scale / np.maximum(counts, 1)
        if "loss_scale" in self._variant:
            scale = scale * steps.mean() / 100
        # Padding may hold anything, also what is no unit of the output.
        labels = np.where(used, labels, 0) + ("warp" in self._variant)
        return {
            "labels": labels.astype("int32"),
            "counts": np.where(short, 0, counts).astype("int32"),
            # One step at least, because nothing is then a number times the weight 0.
            "steps": np.maximum(steps, 1).astype("int32"),
            "scale": scale.astype("float32"),
        }

    def value(self, truth: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Negative log likelihood of the symbols; `output` is softmax, log-softmax or logits."""
        assert self._model is not None, "attach comes first"
        ops = keras().ops
        activation = self._model.nodes[self.target].activation
        if activation == "softmax":
            output = _log_probability(output, activation)
        each = ops.ctc_loss(
            truth["labels"],
            ops.cast(output, "float32"),
            truth["counts"],
            truth["steps"],
            mask_index=self.blank,
        )
        return each * truth["scale"]

    def measure(self) -> Measure:
        """Symbol error rate of the best path."""
        return _CtcMeasure(self)


def _variants(given: str | list[str | None] | None) -> frozenset[str]:
    names = {one for one in (given if isinstance(given, list) else [given]) if one is not None}
    for one in sorted(names - _VARIANTS):
        hint = nearest(one, _VARIANTS)
        _note("ctc: unknown variant %r is ignored%s; known: warp, loss_scale", one, hint)
    return frozenset(names & _VARIANTS)


class _CtcMeasure:
    def __init__(self, ctc: Ctc) -> None:
        self._ctc = ctc
        self._rate = ErrorRate()
        self._words = ErrorRate()
        self.name = ctc.measure_name

    def add(self, output: Array, batch: Batch) -> None:
        ctc = self._ctc
        labels, counts = ctc.labels(batch)
        for scores, row, count, steps in zip(output, labels, counts, ctc.steps(batch), strict=True):
            found = greedy(scores[:steps], ctc.blank)
            if ctc.blank == 0:
                found = [unit - 1 for unit in found]
            wanted = row[:count].tolist()
            self._rate.add(found, wanted)
            if ctc.space is not None:
                self._words.add(words(found, ctc.space), words(wanted, ctc.space))

    @property
    def further(self) -> Mapping[str, float]:
        """The word error rate, where there are words."""
        return {} if self._ctc.space is None else {"WER": self._words.value}

    @property
    def value(self) -> float:
        return self._rate.value
