"""Weights and whole training states on disk: safetensors, written aside and renamed into place.

A weights file holds the network's variables; a checkpoint holds those, the optimizer's, and where
the training stood, so that it goes on as if it had never stopped. Knows nothing of Kurfiles.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from kur.backend import keras
from kur.errors import KurError

FORMAT = "1"
Arrays = dict[str, NDArray[Any]]
_SEED = "seed/"
# How the first checkpoints called the states of random layers, by numbers that meant nothing.
_EARLY_SEED = "seed_generator_state"


def place(path: Path) -> Path:
    """Where a file called `path` is written: beside the folder of that name, where one stands in
    the way (which is how Kur 0.7 kept weights)."""
    return path.with_name(f"{path.name}.safetensors") if path.is_dir() else path


def find(path: Path) -> Path:
    """Where what is called `path` is read: what `place` has written, or else the folder itself."""
    written = place(path)
    return written if written.is_file() else path


def save_weights(path: Path, model: Any, metadata: dict[str, Any] | None = None) -> None:
    """Write the variables of a Keras model."""
    _write(path, weights_of(model), {"kind": "weights", **(metadata or {})})


def load_weights(path: Path, model: Any) -> None:
    """Set the variables of a Keras model, from a weights file or a checkpoint; KurError where
    names or shapes do not fit."""
    arrays, metadata = _open(path, arrays=True)
    if metadata.get("kind") == "checkpoint":
        arrays = _under("model/", arrays)
    arrays = {
        name: array
        for name, array in arrays.items()
        if not name.startswith(_SEED) and not name.endswith(_EARLY_SEED)
    }
    _assign(path, _weights(model), arrays, "another network")


def save_checkpoint(path: Path, model: Any, optimizer: Any, state: dict[str, Any]) -> None:
    """Write everything that a training needs to go on."""
    named = {**_weights(model), **_seeds(model)}
    arrays = {f"model/{name}": numpy_of(variable) for name, variable in named.items()}
    for i, variable in enumerate(optimizer.variables):
        arrays[f"optimizer/{i}"] = numpy_of(variable)
    _write(path, arrays, {"kind": "checkpoint", "state": state})


def load_checkpoint(path: Path, model: Any, optimizer: Any) -> dict[str, Any]:
    """Set the variables of model and optimizer (which must be built), and return the state."""
    arrays, metadata = _open(path, arrays=True)
    state = metadata.get("state")
    if metadata.get("kind") != "checkpoint" or not isinstance(state, dict):
        raise KurError(f"{path}: this is a weights file, not a checkpoint; name it in 'weights'")
    anew = "; remove the file to train anew"
    named, inside = _weights(model), _under("model/", arrays)
    saved = {name: array for name, array in inside.items() if not name.endswith(_EARLY_SEED)}
    if len(saved) == len(inside):
        named |= _seeds(model)
    _assign(path, named, saved, "another network", anew)
    own = {str(i): variable for i, variable in enumerate(optimizer.variables)}
    _assign(path, own, _under("optimizer/", arrays), "another optimizer", anew)
    return state


def told(path: Path) -> dict[str, Any]:
    """What a weights file says of itself (nothing, if it is a folder of Kur 0.7); KurError if there
    is none."""
    return {} if path.is_dir() else _open(path, arrays=False)[1]


def variables_of(model: Any) -> dict[str, Any]:
    """The variables of a Keras model by name, without the states of its random layers."""
    return _weights(model)


def weights_of(model: Any) -> Arrays:
    """The variables of a Keras model by name, without the states of its random layers."""
    return {name: numpy_of(variable) for name, variable in _weights(model).items()}


def _weights(model: Any) -> dict[str, Any]:
    """Variables by a name that is the same in every process that builds the same network."""
    seeds = {id(variable) for variable in _seeds(model).values()}
    named: dict[str, Any] = {}
    for variable in model.variables:
        if id(variable) in seeds:
            continue
        name = variable.path
        while name in named:
            name += "+"
        named[name] = variable
    return named


def _seeds(model: Any) -> dict[str, Any]:
    """The states of random layers. Keras numbers them through the whole process; here they are
    called after their layer."""
    named: dict[str, Any] = {}
    for layer in model._flatten_layers():
        for generator in getattr(layer, "_seed_generators", []):
            name = _SEED + layer.name
            while name in named and named[name] is not generator.state:
                name += "+"
            named[name] = generator.state
    return named


def _under(prefix: str, arrays: Arrays) -> Arrays:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def numpy_of(variable: Any) -> NDArray[Any]:
    """The value of a variable, as an array of its own."""
    array = np.asarray(keras().ops.convert_to_numpy(variable))
    # A copy: on some backends the array still looks into the live variable.
    return np.array(array, copy=True, order="C")


def _assign(
    path: Path, variables: dict[str, Any], arrays: Arrays, other: str, advice: str = ""
) -> None:
    """Set all variables, or none if one does not fit."""
    missing = sorted(set(variables) - set(arrays))
    extra = sorted(set(arrays) - set(variables))
    if missing or extra:
        lacks = f"missing: {', '.join(missing[:3]) or 'none'}"
        raise KurError(
            f"{path}: this is of {other} ({lacks}; unknown: {', '.join(extra[:3]) or 'none'})"
            f"{advice}"
        )
    for name, variable in variables.items():
        found, wanted = arrays[name].shape, tuple(variable.shape)
        if found != wanted:
            raise KurError(
                f"{path}: this is of {other} ({name} has the shape {found}, not {wanted}){advice}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _write(path: Path, arrays: Arrays, metadata: dict[str, Any]) -> None:
    """Whole or not at all; the name of the unfinished file is the same every time, so that a
    killed run leaves one at most."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(arrays, temporary, {"format": FORMAT, "kur": json.dumps(metadata)})
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (SafetensorError, OSError) as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise KurError(f"{path}: cannot be written: {error}") from None


def _open(path: Path, *, arrays: bool) -> tuple[Arrays, dict[str, Any]]:
    if not path.is_file():
        raise KurError(f"{path}: no such weights file")
    found: Arrays = {}
    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            if arrays:
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise KurError(f"{path}: not a readable safetensors file: {error}") from None
    if metadata.get("format") != FORMAT or "kur" not in metadata:
        raise KurError(f"{path}: not weights of Kur, or those of a newer one")
    says = json.loads(metadata["kur"])
    return found, says if isinstance(says, dict) else {}
