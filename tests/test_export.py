"""ONNX files: what they hear is what Keras hears, and what they say of themselves is complete."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from tiny_kur import POINTS, kurfile, tones_project

from kur import export
from kur.assemble import assemble
from kur.checkpoint import load_weights, save_weights
from kur.errors import KurError
from kur.export import export_onnx
from kur.reader import Kurfile

Array = npt.NDArray[Any]


def parsed(path: Path, **overrides: str) -> Kurfile:
    made = Kurfile(path, overrides={key.replace("__", "."): v for key, v in overrides.items()})
    made.parse()
    return made


def shaken(made: Kurfile, out: Path) -> Any:
    """A network whose weights, moving means too, are all at random; they are written to `out`."""
    model = assemble(made, ("train",)).model
    rng = np.random.default_rng(0)
    for variable in model.keras.weights:
        noise = rng.normal(scale=0.3, size=variable.shape)
        variable.assign(np.abs(noise) + 0.3 if "variance" in variable.path else noise)
    save_weights(out, model.keras)
    return model


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder with the tone network's Kurfile and random weights, and the network."""
    folder = tmp_path_factory.mktemp("tones")
    made = parsed(tones_project(folder, clips=2), settings__precision="mixed_bfloat16")
    return folder, shaken(made, folder / "out/best.safetensors")


def session(path: Path) -> Any:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.fixture(scope="module")
def exported(tones: tuple[Path, Any]) -> tuple[Path, Any, dict[str, Any]]:
    folder, _ = tones
    out = folder / "net" / "network.onnx"
    made = parsed(folder / "k.yml")
    metadata = export_onnx(made, out, heads={"said": "transcript"})
    return out, assemble(made, ("train",), precision="float32").model, metadata


def test_it_hears_what_keras_hears(exported: tuple[Path, Any, dict[str, Any]]) -> None:
    out, model, _ = exported
    # The network of the fixture has other weights.
    load_weights(out.parent.parent / "out/best.safetensors", model.keras)
    runs = session(out)
    rng = np.random.default_rng(1)
    for batch, length in [(1, 4), (1, 64), (3, 100), (2, 1000), (5, 8), (1, 37)]:
        frames = rng.normal(size=(batch, length, 16)).astype(np.float32)
        [found] = runs.run(["said"], {"utterance": frames})
        wanted = model.keras.predict_on_batch({"utterance": frames})["said"]
        assert found.shape == wanted.shape and found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        np.testing.assert_allclose(np.exp(found).sum(axis=-1), 1, atol=1e-4)


def test_what_it_says_of_itself(exported: tuple[Path, Any, dict[str, Any]]) -> None:
    out, _, metadata = exported
    inside = {one.key: one.value for one in onnx.load(str(out)).metadata_props}
    assert json.loads(inside["kur"]) == metadata
    assert json.loads(out.with_suffix(".json").read_text()) == metadata
    assert len(metadata.pop("fingerprint")) == 64
    assert metadata == {
        "format": 1,
        "sample_rate": 16000,
        "features": {
            "type": "fbank",
            "mel_bins": 16,
            "frame_seconds": 0.025,
            "hop_seconds": 0.01,
            "low_hz": 100.0,
            "high_hz": 4000.0,
            "log_floor": 4.0,
            "mean_window_seconds": 3.0,
        },
        "input": "utterance",
        "frame_multiple": 4,
        # Strides of 2 and 2 under kernels of 5, then two of 3: (2+1) + (4+1) + 2 (4+1) frames.
        "context_seconds": 0.18,
        "heads": {
            "said": {
                "output": "said",
                "frame_seconds": 0.04,
                "units": ["a", "b", "c", "d", "<blank>"],
                "blank": 4,
            }
        },
    }
    assert sorted(path.name for path in out.parent.iterdir()) == ["network.json", "network.onnx"]


def test_the_fingerprint_is_of_weights_units_and_features(tones: tuple[Path, Any]) -> None:
    folder, _ = tones
    heads = {"said": "transcript"}

    def fingerprint(**overrides: str) -> str:
        made = parsed(folder / "k.yml", **overrides)
        return str(export_onnx(made, folder / "x.onnx", heads=heads)["fingerprint"])

    assert fingerprint() == fingerprint(settings__seed="9")  # the seed is no part of a network
    others = {
        fingerprint(),
        fingerprint(settings__letters="[a, b, c, e]"),
        fingerprint(settings__features__low_hz="50"),
    }
    shaken(parsed(folder / "k.yml"), folder / "other.safetensors")
    assert len(others) == 3


def test_eight_bits_are_smaller_and_nearly_the_same(
    exported: tuple[Path, Any, dict[str, Any]],
) -> None:
    out, _, metadata = exported
    small = out.parent.parent / "int8.onnx"
    made = parsed(out.parent.parent / "k.yml")
    found = export_onnx(made, small, heads={"said": "transcript"}, int8=True)
    assert found == {**metadata, "fingerprint": found["fingerprint"], "weights": "int8"}
    kinds = {node.op_type for node in onnx.load(str(small)).graph.node}
    assert "MatMulInteger" in kinds and "MatMul" not in kinds
    frames = np.random.default_rng(2).normal(size=(2, 200, 16)).astype(np.float32)
    [whole] = session(out).run(["said"], {"utterance": frames})
    [eight] = session(small).run(["said"], {"utterance": frames})
    assert 0 < np.abs(np.exp(whole) - np.exp(eight)).max() < 0.1


def test_several_heads_and_any_kind_of_data(tmp_path: Path) -> None:
    """Nothing of the export knows of speech."""
    text = POINTS.replace("  - dense: 16\n", "  - {dense: 16, name: trunk, sink: yes}\n")
    made = kurfile(tmp_path, text)
    model = shaken(made, tmp_path / "out/best.safetensors")
    metadata = export_onnx(made, tmp_path / "p.onnx")
    assert metadata["heads"] == {
        "trunk": {"output": "trunk", "frame_seconds": 1.0},
        "quadrant": {"output": "quadrant", "frame_seconds": 1.0},
    }
    points = np.random.default_rng(0).normal(size=(7, 2)).astype(np.float32)
    found = session(tmp_path / "p.onnx").run(["trunk", "quadrant"], {"point": points})
    wanted = model.keras.predict_on_batch({"point": points})
    np.testing.assert_allclose(found[0], wanted["trunk"], atol=1e-5)
    np.testing.assert_allclose(found[1], wanted["quadrant"], atol=1e-5)


WORDS = """
model:
  - input: word
  - embedding: {vocab_size: 3, size: 4}
  - upsample: 2
  - convolution: {kernels: 8, size: 3}
  - LAYER
  - {dense: 2, name: out}
train:
  data: [tokens: {path: words.jsonl, fields: {word: }}]
  weights: {last: w.safetensors}
"""


def test_whole_numbers_go_in_as_such(tmp_path: Path) -> None:
    (tmp_path / "words.jsonl").write_text('{"word": "abca"}\n')
    made = kurfile(tmp_path, WORDS.replace("LAYER", "squeeze_excite: 2"))
    model = shaken(made, tmp_path / "w.safetensors")
    metadata = export_onnx(made, tmp_path / "w.onnx")
    assert metadata["context_seconds"] is None  # each step hears all of them
    assert metadata["heads"]["out"]["frame_seconds"] == 0.5 and metadata["frame_multiple"] == 1
    runs = session(tmp_path / "w.onnx")
    for word in ([[0, 1, 2]], [[2, 2, 1, 0, 1, 2, 0], [0, 0, 0, 1, 1, 1, 2]]):
        array = np.array(word, np.int32)
        [found] = runs.run(["out"], {"word": array})
        np.testing.assert_allclose(
            found, model.keras.predict_on_batch({"word": array})["out"], atol=1e-5
        )


def test_what_cannot_be_exported(tones: tuple[Path, Any], tmp_path: Path) -> None:
    folder, _ = tones
    out = tmp_path / "x.onnx"

    def said(weights: str | None = None, target: Path = out, **heads: str) -> str:
        with pytest.raises(KurError) as caught:
            path = folder / weights if weights else None
            export_onnx(parsed(folder / "k.yml"), target, path, heads)
        assert not out.exists() and not list(tmp_path.glob(".*"))
        return str(caught.value)

    assert said(sad="transcript") == (
        "no output is named 'sad' (did you mean 'said'?); outputs: said"
    )
    assert said(said="transcripts") == (
        "the data has no vocabulary for 'transcripts' (did you mean 'transcript'?); it has: "
        "transcript"
    )
    assert said("none.safetensors") == f"{folder}/none.safetensors: no such weights file"
    (tmp_path / "file").write_text("")
    blocked = said(target=tmp_path / "file" / "x.onnx")
    assert blocked == f"{tmp_path}/file/x.onnx: cannot be written: File exists"
    fewer = parsed(folder / "k.yml", settings__letters="[a, b, c]", model__4__dense="5")
    with pytest.raises(KurError, match="has 5 units, but the vocabulary of 'transcript' and a bl"):
        export_onnx(fewer, out, None, {"said": "transcript"})


def test_keras_on_another_backend(
    tones: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "running_backend", lambda: "jax")
    with pytest.raises(KurError, match=r"on torch, and Keras runs on jax here; run 'kur export'"):
        export_onnx(parsed(tones[0] / "k.yml"), tmp_path / "n.onnx")
    assert not list(tmp_path.iterdir())
