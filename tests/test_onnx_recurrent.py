"""Recurrent layers in ONNX: whatever their kind, they say what Keras says, at any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from test_export import WORDS, shaken
from tiny_kur import kurfile

from kur.errors import KurError
from kur.export import export_onnx

LAYERS = [
    "recurrent: 5",
    "recurrent: {size: 5, type: lstm, outer_activation: relu}",
    "recurrent: {size: 5, type: gru, outer_activation: relu, sequence: no}",
    "recurrent: {size: 5, reset_after: no, gates: hard_sigmoid, bidirectional: yes}",
    "recurrent: {size: 6, type: lstm, bidirectional: yes, merge: concat, sequence: no}",
    "recurrent: {size: 5, bidirectional: yes, merge: multiply, outer_activation: elu}",
    "recurrent: {size: 5, type: lstm, bidirectional: yes, merge: add, outer_activation: linear}",
]


@pytest.mark.parametrize("layer", LAYERS)
def test_any_recurrent_layer_at_any_length(layer: str, tmp_path: Path) -> None:
    (tmp_path / "words.jsonl").write_text('{"word": "abca"}\n')
    made = kurfile(tmp_path, WORDS.replace("LAYER", layer))
    model = shaken(made, tmp_path / "w.safetensors")
    export_onnx(made, tmp_path / "w.onnx")
    kinds = [node.op_type for node in onnx.load(str(tmp_path / "w.onnx")).graph.node]
    ways = 2 if "bidirectional" in layer else 1
    assert kinds.count("LSTM" if "lstm" in layer else "GRU") == ways and "Loop" not in kinds
    runs = onnxruntime.InferenceSession(
        str(tmp_path / "w.onnx"), providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    for batch, length in [(1, 2), (3, 7), (2, 40)]:
        word = rng.integers(3, size=(batch, length)).astype(np.int32)
        [found] = runs.run(["out"], {"word": word})
        wanted = model.keras.predict_on_batch({"word": word})["out"]
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_an_activation_that_onnx_lacks(tmp_path: Path) -> None:
    (tmp_path / "words.jsonl").write_text('{"word": "abca"}\n')
    text = WORDS.replace("LAYER", "recurrent: {size: 5, outer_activation: gelu}")
    made = kurfile(tmp_path, text)
    shaken(made, tmp_path / "w.safetensors")
    with pytest.raises(KurError, match=r"^ONNX has no recurrent layer with the activation gelu; i"):
        export_onnx(made, tmp_path / "w.onnx")
