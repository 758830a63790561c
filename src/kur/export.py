"""A trained network -> one ONNX file that says of itself all that is needed to use it.

The metadata (a JSON object under the key `kur` of the file, and beside it as a file of its own)
holds features, units, strides and a fingerprint. Knows nothing of what the network is used for.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kur.assemble import assemble
from kur.backend import reason, running_backend
from kur.checkpoint import load_weights, weights_of
from kur.errors import KurError, nearest
from kur.model import Model
from kur.onnx_recurrent import as_operators
from kur.reader import Kurfile
from kur.session import trained_weights
from kur.timing import reach_of, stride_of

FORMAT = 1
METADATA_KEY = "kur"
BLANK = "<blank>"
_OPSET = 18


def export_onnx(
    kurfile: Kurfile,
    out: Path,
    weights: Path | None = None,
    heads: Mapping[str, str] | None = None,
    *,
    int8: bool = False,
) -> dict[str, Any]:
    """Write the network of `kurfile` to `out` (and its metadata to `out` with the ending .json).

    `weights` is a weights file (default: the best one of the train section); `heads` maps an output
    to the source whose vocabulary its units are. `int8` quantises the weights of dense layers, by
    channel. Returns the metadata; `context_seconds` in it is null for a network that must hear all
    at once.
    """
    # Weights are the same on every backend; torch is the one whose export follows any length.
    running = running_backend()
    if running not in (None, "torch"):
        command = (
            "run 'kur export' for it, a process of its own, which reads weights of any backend"
        )
        raise KurError(
            f"networks are exported on torch, and Keras runs on {running} here; {command}"
        )
    assembly = assemble(kurfile, ("train",), "torch", precision="float32")
    model = assembly.model
    load_weights(weights or trained_weights(kurfile), model.keras)
    metadata = _describe(model, assembly.data["train"][""].metadata(), heads or {})
    metadata["fingerprint"] = _fingerprint(model, metadata)
    if int8:
        metadata["weights"] = "int8"
    description = out.with_suffix(".json")
    parts = [path.with_name(f".{path.name}.part") for path in (out, description)]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _trace(model, parts[0], metadata["frame_multiple"])
        _compare(model, parts[0], metadata["frame_multiple"])
        if int8:
            _quantise(parts[0])
        _add_metadata(parts[0], metadata)
        parts[1].write_text(json.dumps(metadata, indent=1) + "\n", encoding="utf-8")
        parts[0].replace(out)
        parts[1].replace(description)
    except OSError as error:
        raise KurError(f"{out}: cannot be written: {error.strerror}") from None
    finally:
        for part in parts:
            with contextlib.suppress(OSError):
                part.unlink()
    return metadata


def _describe(model: Model, data: Mapping[str, Any], heads: Mapping[str, str]) -> dict[str, Any]:
    unknown = sorted(set(heads) - set(model.outputs))
    if unknown:
        hint = f"{nearest(unknown[0], model.outputs)}; outputs: {', '.join(model.outputs)}"
        raise KurError(f"no output is named {unknown[0]!r}{hint}")
    hop = float(data.get("features", {}).get("hop_seconds", 1.0))
    described, multiple = {}, 1
    reaches: list[int | None] = []
    for output in model.outputs:
        steps = model.nodes[output].steps
        stride = stride_of(steps)
        multiple = math.lcm(multiple, stride.numerator)
        reaches.append(reach_of(steps))
        described[output] = {"output": output, "frame_seconds": round(hop * float(stride), 9)}
        if output in heads:
            described[output] |= _units(model, output, data, heads[output])
    known = [reach for reach in reaches if reach is not None]
    context = round(max(known) * hop, 3) if len(known) == len(reaches) else None
    return {
        "format": FORMAT,
        "sample_rate": data.get("sample_rate"),
        "features": data.get("features"),
        "input": model.inputs[0],
        "frame_multiple": multiple,
        "context_seconds": context,
        "heads": described,
    }


def _units(model: Model, output: str, data: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The symbols that the units of an output stand for."""
    vocabularies = data.get("vocabulary", {})
    if source not in vocabularies:
        hint = f"{nearest(source, vocabularies)}; it has: {', '.join(vocabularies) or 'none'}"
        raise KurError(f"the data has no vocabulary for {source!r}{hint}")
    units = [*vocabularies[source], BLANK]
    classes = int(model.nodes[output].tensor.shape[-1])
    if len(units) != classes:
        raise KurError(
            f"the output {output!r} has {classes} units, but the vocabulary of {source!r} and a "
            f"blank are {len(units)}"
        )
    return {"units": units, "blank": len(units) - 1}


def _fingerprint(model: Model, metadata: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for array in weights_of(model.keras).values():
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _examples(model: Model, batch: int, length: int) -> dict[str, np.ndarray[Any, Any]]:
    """Inputs of any content: small whole numbers, as whole numbers may be symbols."""
    made = {}
    for name in model.inputs:
        tensor = model.nodes[name].tensor
        shape = [length if size is None else size for size in tensor.shape[1:]]
        whole = str(tensor.dtype).startswith(("int", "uint"))
        values = np.random.default_rng(length).integers(2, size=(batch, *shape))
        made[name] = values.astype(np.int32 if whole else np.float32)
    return made


def _compare(model: Model, path: Path, multiple: int) -> None:
    """Refuse a file that does not say what Keras says, at other lengths than it was traced with."""
    # Slow to load, and needed where files are made or run.
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch, length in ((1, 16 * multiple), (3, 80 * multiple)):
        inputs = _examples(model, batch, length)
        wanted = model.keras.predict_on_batch(inputs)
        try:
            found = session.run(list(model.outputs), inputs)
        except Exception as error:  # ONNX Runtime's errors share no root but Exception
            raise KurError(f"this network cannot be written as ONNX: {reason(error)}") from None
        for name, array in zip(model.outputs, found, strict=True):
            if not np.allclose(array, wanted[name], rtol=1e-3, atol=1e-3):
                message = f"in ONNX its output {name!r} is another one"
                raise KurError(f"this network cannot be written as ONNX: {message}")


def _trace(model: Model, path: Path, multiple: int) -> None:
    # Only an export needs torch itself rather than Keras.
    import torch

    names = list(model.inputs)
    examples = [torch.from_numpy(one) for one in _examples(model, 2, 64 * multiple).values()]

    class Traced(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = model.keras

        def forward(self, *inputs: Any) -> Any:
            outputs = self.net(dict(zip(names, inputs, strict=True)), training=False)
            return tuple(outputs[name] for name in model.outputs)

    axes = {name: _open_axes(model.nodes[name].tensor, "time") for name in names}
    axes |= {name: _open_axes(model.nodes[name].tensor, "frames") for name in model.outputs}
    # The exporter prints what it does, and warns of the exporter that follows no lengths.
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        as_operators(model.keras),
    ):
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                Traced().eval(),
                tuple(examples),
                str(path),
                input_names=names,
                output_names=list(model.outputs),
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
            raise KurError(f"this network cannot be written as ONNX: {reason(error)}") from None


def _open_axes(tensor: Any, name: str) -> dict[int, str]:
    """The axes of a tensor whose length varies: the batch, and those of length None."""
    varies = [axis for axis, size in enumerate(tensor.shape) if size is None and axis > 0]
    return {0: "batch"} | {axis: name if axis == 1 else f"{name}_{axis}" for axis in varies}


def _quantise(path: Path) -> None:
    # The quantiser is part of ONNX Runtime but imports onnx, which only an export needs.
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantised = path.with_name(path.name + ".int8")
    try:
        quantize_dynamic(
            path,
            quantised,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )
        quantised.replace(path)
    finally:
        quantised.unlink(missing_ok=True)


def _add_metadata(path: Path, metadata: Mapping[str, Any]) -> None:
    # Only an export writes ONNX; running it needs ONNX Runtime alone.
    import onnx

    graph = onnx.load(str(path))
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, json.dumps(metadata)
    onnx.save(graph, str(path))
