"""What Kur 0.7 left on disk: folders of weights and of logs, read so that they can be gone on with.

Weights are IDX files `LAYER+WEIGHT.kur`, written by Keras 1 or 2 on TensorFlow or Theano
(`..dense.0+..dense.0_kernel:0.kur`) or by PyTorch (`layer___dense_0+weight.kur`, with the axes of
PyTorch). Nothing of the old kind is written. Knows the network; knows nothing of Kurfiles.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from kur.checkpoint import load_weights, variables_of
from kur.data.idx import read_idx
from kur.errors import KurError, listed
from kur.model import Model, Node

Array = NDArray[Any]
_log = logging.getLogger("kur")
_FILE = re.compile(r"(?P<layer>.+?)\+(?P<weight>.+)\.kur")
_SUMMARY = "summary.yml"
_TORCH = re.compile(r"layer_\w+")

# What a weight is called in Keras 3 -> what Keras 1 and 2 called it.
_KERAS_NAMES = {
    "kernel": ("kernel", "W"),
    "bias": ("bias", "b"),
    "gamma": ("gamma",),
    "beta": ("beta",),
    "moving_mean": ("moving_mean", "running_mean"),
    # Keras 1 called it a deviation and kept the variance there.
    "moving_variance": ("moving_variance", "running_std"),
    "embeddings": ("embeddings", "W"),
}
_TORCH_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
    "embeddings": "weight",
}
_CONVOLUTION = "convolution"
_RECURRENT = "recurrent"
# The gates of a GRU stand in another order in PyTorch: reset, update, new.
_GRU_ORDER = (1, 0, 2)


def restore(path: Path, model: Model) -> None:
    """Set the weights of a network, from a weights file of today or a folder of Kur 0.7."""
    if path.is_dir():
        load_folder(path, model)
    else:
        load_weights(path, model.keras)


def load_folder(folder: Path, model: Model) -> None:
    """Set all weights of a network from a folder of Kur 0.7, or none if one is missing or does not
    fit; files that belong to no layer are told."""
    files = _files(folder)
    if not files:
        raise KurError(f"{folder}: a folder without weights of Kur (LAYER+WEIGHT.kur)")
    by_torch = all(_TORCH.fullmatch(layer) for layer in files)
    found: list[tuple[Any, Array]] = []
    used: set[Path] = set()
    wanted = list(_wanted(model))
    for node, name, _ in wanted:
        _refuse(folder, node, name, by_torch)
    for node, name, variable in wanted:
        plain = _torch_name(node.name) if by_torch else node.name
        known = files.get(plain) or files.get(plain.replace("/", "_"), {})
        array, path = _array(folder, node, name, known, by_torch)
        if array.shape != tuple(variable.shape):
            raise KurError(
                f"{path}: has the shape {array.shape}, the {name} of the layer {node.name!r} "
                f"({node.mark.file}:{node.mark.line}) has {tuple(variable.shape)}"
            )
        found.append((variable, array))
        used |= {one for key, one in known.items()} if node.kind == _RECURRENT else {path}
    for variable, array in found:
        variable.assign(array)
    rest = [one.name for known in files.values() for one in known.values() if one not in used]
    if rest:
        _log.warning("%s: no layer for %s", folder, listed(rest, 3))


def _refuse(folder: Path, node: Node, name: str, by_torch: bool) -> None:
    """KurError for layers whose old weights cannot be told apart or would mean something else."""
    where = f"{folder}: the weights of {node.name!r} ({node.mark.file}:{node.mark.line}) cannot be "
    if node.kind == _RECURRENT and not by_torch:
        raise KurError(
            f"{where}used: Keras 1 and 2 computed the gates of recurrent layers otherwise"
        )
    if node.kind == "dense" and "/" in name:
        raise KurError(
            f"{where}told apart: Kur named only the last of several sizes in one 'dense'"
        )


def _wanted(model: Model) -> Iterator[tuple[Node, str, Any]]:
    """Each weight of the network: its container, its name in it, the variable."""
    nodes = {node.layer: node for node in model.nodes.values() if node.layer}
    for path, variable in variables_of(model.keras).items():
        layer, _, name = path.partition("/")
        node = nodes.get(layer) or nodes.get(layer.partition("-")[0])
        if node is None:
            raise KurError(f"the weight {path!r} belongs to no layer of the Kurfile")
        inside = layer.removeprefix(node.layer).lstrip("-")
        yield node, f"{inside}/{name}" if inside else name, variable


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """Files by layer and weight; subfolders too, which is how Kur looked for them."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*.kur")):
        parts = _FILE.fullmatch(path.name)
        if parts:
            found.setdefault(parts["layer"], {}).setdefault(parts["weight"], path)
    return found


def _torch_name(name: str) -> str:
    """The attribute under which PyTorch knew a layer."""
    return "layer_" + re.sub(r"^[^a-zA-Z_]|[^a-zA-Z0-9_]", "_", name)


def _array(
    folder: Path, node: Node, name: str, known: Mapping[str, Path], by_torch: bool
) -> tuple[Array, Path]:
    """The values of one weight as the network wants them, and a file that they stand in."""
    last = name.rpartition("/")[2]
    if by_torch and node.kind == _RECURRENT:
        return _torch_recurrent(folder, node, name, known)
    if by_torch:
        path = known.get(_TORCH_NAMES.get(last, last))
    else:
        ends = "|".join(_KERAS_NAMES.get(last, (last,)))
        form = re.compile(rf"(?:.*[_/])?(?:{ends})(?:_\d+)?(?::\d+)?")
        path = next((one for weight, one in known.items() if form.fullmatch(weight)), None)
    if path is None:
        raise _missing(folder, node, name, known)
    array = read_idx(path)
    if by_torch and last == "kernel":
        array = _axes_of_torch(array)
    elif node.kind == _CONVOLUTION and last == "kernel" and ":" not in path.name:
        # Names of Theano have no number, and its convolutions run through the kernel backwards.
        array = np.flip(array, tuple(range(array.ndim - 2)))
    return array, path


def _axes_of_torch(array: Array) -> Array:
    """(outputs, inputs, ...) -> (..., inputs, outputs). Kur swapped the channels of PyTorch's
    input with its first axis, which turned the order of two axes round."""
    if array.ndim == 5:
        return array.transpose(4, 2, 3, 1, 0)
    return array.transpose()


def _torch_recurrent(
    folder: Path, node: Node, name: str, known: Mapping[str, Path]
) -> tuple[Array, Path]:
    """A weight of a GRU or LSTM: PyTorch has one matrix for all gates, and two biases."""
    end = "_l0_reverse" if "backward" in name else "_l0"
    last = name.rpartition("/")[2]
    wanted = {
        "kernel": [f"weight_ih{end}"],
        "recurrent_kernel": [f"weight_hh{end}"],
        "bias": [f"bias_ih{end}", f"bias_hh{end}"],
    }[last]
    paths = [known.get(one) for one in wanted]
    arrays = [read_idx(path) for path in paths if path is not None]
    if len(arrays) < len(wanted) or paths[0] is None:
        raise _missing(folder, node, name, known)
    units = read_idx(known[f"weight_hh{end}"]).shape[1] if f"weight_hh{end}" in known else 0
    if units and arrays[0].shape[0] == 3 * units:
        arrays = [np.concatenate([np.split(one, 3)[i] for i in _GRU_ORDER]) for one in arrays]
        return (np.stack(arrays) if last == "bias" else arrays[0].T), paths[0]
    # An LSTM of Keras has one bias, the sum of the two.
    return (np.sum(arrays, axis=0) if last == "bias" else arrays[0].T), paths[0]


def _missing(folder: Path, node: Node, name: str, known: Mapping[str, Path]) -> KurError:
    has = f"it has {listed(known)} for it" if known else "it has no file for that layer"
    where = f"{node.mark.file}:{node.mark.line}"
    return KurError(f"{folder}: no {name} of the layer {node.name!r} ({where}); {has}")


@dataclass(frozen=True)
class OldLog:
    """A log of Kur 0.7: how far the training came, and the columns by (kind, tags, name)."""

    epochs: int
    batches: int
    samples: int
    seconds: float
    columns: Mapping[tuple[str, tuple[str, ...], str], Array]

    def series(self, kind: str, *tags: str) -> tuple[Array, Array | None, Array | None] | None:
        """Totals, batches and times of a kind of loss; series that differ in length are cut at
        their beginning."""
        total = self.columns.get((kind, tags, "total"))
        if total is None:
            return None
        others = [self.columns.get((kind, tags, name)) for name in ("batch", "time")]
        count = min(len(one) for one in (total, *others) if one is not None)
        cut = [None if one is None else one[len(one) - count :] for one in others]
        return total[len(total) - count :], cut[0], cut[1]


def read_log(folder: Path) -> OldLog:
    """Read `summary.yml` (version 3) and the columns of a folder; KurError if that is no log."""
    path = folder / _SUMMARY
    try:
        summary = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise KurError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(summary, dict):
        raise KurError(f"{path}: not the summary of a log of Kur")
    counts = {name: summary.get(name) or 0 for name in ("epochs", "batches", "samples")}
    for name, value in counts.items():
        if not isinstance(value, int) or value < 0:
            raise KurError(f"{path}: {name} must be a whole number, found {value!r}")
    clocks = summary.get("clocks")
    times = clocks.values() if isinstance(clocks, dict) else ()
    seconds = max((float(one) for one in times if isinstance(one, int | float)), default=0.0)
    columns = {}
    for file in sorted(folder.iterdir()):
        key = _column(file.name)
        if key is not None and file.is_file():
            column = read_idx(file)
            if column.ndim == 1:
                columns[key] = column
    return OldLog(counts["epochs"], counts["batches"], counts["samples"], seconds, columns)


def adopt_log(folder: Path, log: Path) -> Path:
    """Give a training the log of Kur 0.7 in `folder` as its own, in today's form, if there is one
    and it has none yet; the path of the log."""
    if log.exists() or not (folder / _SUMMARY).is_file():
        return log
    old = read_log(folder)
    temporary = log.with_name(f".{log.name}.part")
    try:
        temporary.write_text("".join(json.dumps(one) + "\n" for one in lines_of(old)), "utf-8")
        temporary.replace(log)
    except OSError as error:
        raise KurError(f"{log}: cannot be written: {error.strerror}") from None
    _log.warning("%s: a log of Kur 0.7, %d epochs, goes on as %s", folder, old.epochs, log.name)
    return log


def lines_of(old: OldLog) -> list[dict[str, Any]]:
    """An old log as the lines of one of today."""
    batches, epochs = old.series("batch", "loss"), old.series("training", "loss")
    valid = old.series("validation", "loss")
    lines: list[dict[str, Any]] = []
    count = old.epochs or (len(epochs[0]) if epochs else 0)
    ends = [round(old.batches * (i + 1) / max(1, count)) for i in range(count)]
    if epochs is not None and epochs[1] is not None and len(epochs[1]) == count:
        ends = [int(one) for one in epochs[1]]
    if batches is not None:
        losses, steps, times = batches
        for i, loss in enumerate(losses):
            step = int(steps[i]) if steps is not None else i + 1
            told = {"step": step, "epoch": sum(end < step for end in ends), "loss": float(loss)}
            lines.append(told | ({} if times is None else {"seconds": float(times[i])}))
    for i, end in enumerate(ends):
        figures = {}
        for name, series in (("training loss", epochs), ("validation loss", valid)):
            at = _at(series[0] if series else None, i, count)
            if at is not None:
                figures[name] = at
        when = _at(epochs[2] if epochs else None, i, count)
        line: dict[str, Any] = {
            "step": end,
            "epoch": i + 1,
            "samples": round(old.samples * (i + 1) / count),
        }
        line["seconds"] = old.seconds * (i + 1) / count if when is None else when
        lines.append({**line, "figures": figures})
    return sorted(lines, key=lambda line: (line["step"], "figures" in line))


def _at(series: Array | None, i: int, count: int) -> float | None:
    """What a series says of epoch `i` of `count`; one that began late belongs to the last ones."""
    at = -1 if series is None else len(series) - count + i
    return None if series is None or at < 0 else float(series[at])


def _column(name: str) -> tuple[str, tuple[str, ...], str] | None:
    """Kind, tags and name of a column: `validation_loss.default_total`, where a `_` of their own is
    written twice, or as older versions wrote it, once."""
    parts = re.split(r"(?<=[^_])_(?=[^_])", name)
    if len(parts) != 3:
        kind, _, rest = name.partition("_")
        tags, _, last = rest.rpartition("_")
        parts = [kind, tags, last]
    kind, tags, last = (part.replace("__", "_") for part in parts)
    if kind not in ("batch", "training", "validation") or not last:
        return None
    found = [one.replace("..", ".") for one in re.split(r"(?<=[^.])\.(?=[^.])", tags)]
    return kind, () if found == ["null"] else tuple(found), last
