"""Evaluation: the whole of some data through a trained network, in its order, and onto the disk.

No truth is needed; where the data has it, it goes along. Knows nothing of Kurfiles.
"""

from __future__ import annotations

import contextlib
import csv
import io
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.data.provider import SAMPLE, Batch, Provider
from kur.errors import KurError
from kur.losses import Ctc
from kur.metrics import greedy
from kur.model import Model
from kur.step import Losses, OnBatch, outputs_of

Array = NDArray[Any]
# One row a sample: an array, or a list of arrays where their lengths differ.
Rows = Any


@dataclass(frozen=True)
class Findings:
    """What a network made of data: `result` has the rows of each output; `truth` the rows of the
    other sources of the same samples, `samples` their names."""

    result: Mapping[str, Rows]
    truth: Mapping[str, Rows]
    samples: Sequence[str]

    def truths(self) -> dict[str, Rows] | None:
        """What each output should have been; None unless the data has that for all of them."""
        if not self.result or not set(self.result) <= set(self.truth):
            return None
        return {name: self.truth[name] for name in self.result}


def evaluate(
    model: Model, losses: Losses, provider: Provider, on_batch: OnBatch | None = None
) -> Findings:
    """Everything that the provider has, in its own order. Outputs that go through time are cut to
    the length that counts, where a ctc loss tells it."""
    plan = provider.plan(0, training=False)
    gathered: dict[str, list[Any]] = {}
    order: list[int] = []
    for indices, batch in zip(plan, provider.batches(0, training=False), strict=True):
        found = outputs_of(model, batch)
        order += [int(index) for index in indices]
        for name, rows in _cut(found, losses, batch).items():
            gathered.setdefault(f"result {name}", []).extend(rows)
        for name, rows in _kept(batch, model).items():
            gathered.setdefault(f"truth {name}", []).extend(rows)
        if on_batch is not None:
            on_batch(batch, found)
    places = np.argsort(order, kind="stable")
    ordered = {name: [rows[i] for i in places] for name, rows in gathered.items()}
    result = {name: _rows(ordered.get(f"result {name}", [])) for name in model.outputs}
    truth = {
        name.removeprefix("truth "): _rows(rows)
        for name, rows in ordered.items()
        if name.startswith("truth ")
    }
    return Findings(result, truth, list(truth.pop(SAMPLE, [])))


def of_batch(losses: Losses, batch: Batch, outputs: Mapping[str, Any]) -> Findings:
    """One batch as findings."""
    rest = {name: rows for name, rows in batch.items() if name != SAMPLE}
    result = {name: _rows(list(rows)) for name, rows in _cut(outputs, losses, batch).items()}
    return Findings(result, rest, batch[SAMPLE])


def write(path: Path, kind: str | None, result: Any, truth: Any = None) -> None:
    """Write findings as a pickle (`{'result': ...[, 'truth': ...]}`) or as CSV, a line a sample
    and a column a number; `kind` None goes by the ending. Whole or not at all."""
    if kind == "csv" or (kind is None and path.suffix.lower() == ".csv"):
        data = _csv(path, result, truth).encode()
    else:
        data = pickle.dumps({"result": result} | ({} if truth is None else {"truth": truth}))
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise KurError(f"{path}: cannot be written: {error.strerror}") from None


def best_path(rows: Rows, blank: int) -> Iterator[list[int]]:
    """The symbols of the best path of each row (steps, units): repeats merged, blanks dropped."""
    for scores in rows:
        yield greedy(np.asarray(scores), blank)


def _cut(outputs: Mapping[str, Any], losses: Losses, batch: Batch) -> dict[str, Sequence[Any]]:
    """Rows of each output, less the steps that padding made."""
    cut: dict[str, Sequence[Any]] = dict(outputs)
    for loss in losses:
        if isinstance(loss, Ctc) and loss.target in cut:
            with contextlib.suppress(KurError):  # data without lengths stays as it is
                steps = loss.steps(batch)
                rows = zip(outputs[loss.target], steps, strict=True)
                cut[loss.target] = [row[:count] for row, count in rows]
    return cut


def _kept(batch: Batch, model: Model) -> dict[str, Sequence[Any]]:
    """What is kept of a batch: not what went into the network, which may be large, nor other
    pictures and sounds."""

    def small(name: str, rows: Any) -> bool:
        if name in model.inputs:
            return False
        return np.ndim(rows) < 4 if isinstance(rows, np.ndarray) else np.ndim(rows[0]) < 2

    return {
        name: rows for name, rows in batch.items() if name in model.outputs or small(name, rows)
    }


def _rows(rows: list[Any]) -> Rows:
    """One array where all rows are alike, or the list."""
    if rows and all(isinstance(row, np.ndarray | np.generic | int | float) for row in rows):
        arrays = [np.asarray(row) for row in rows]
        if len({array.shape for array in arrays}) == 1:
            return np.stack(arrays)
        return arrays
    return rows


def _csv(path: Path, result: Any, truth: Any) -> str:
    columns: dict[str, Array] = {}
    for prefix, part in (("", result), ("truth_", truth or {})):
        if not isinstance(part, Mapping):
            raise KurError(f"{path}: only numbers go into a CSV file; use the format 'pickle'")
        for name, rows in part.items():
            if not isinstance(rows, np.ndarray) or rows.dtype.kind not in "biuf":
                message = f"{name!r} has no one shape or is no number; use the format 'pickle'"
                raise KurError(f"{path}: {message}")
            flat = rows.reshape(len(rows), -1)
            alone = rows.ndim == 1 or flat.shape[1] == 1
            for i in range(flat.shape[1]):
                columns[prefix + name + ("" if alone else f"_{i}")] = flat[:, i]
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    lines.writerows(zip(*(column.tolist() for column in columns.values()), strict=False))
    return text.getvalue()
