"""Sections of a Kurfile, ready to run: which weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_train import run
from tiny_kur import POINTS, kurfile

from kur import session
from kur.checkpoint import load_weights
from kur.errors import KurError


def test_weights_for_testing(tmp_path: Path) -> None:
    trainer = run(tmp_path, train__stop_when__epochs="1")
    load_weights(tmp_path / "out/last.safetensors", trainer._model.keras)
    made = kurfile(tmp_path, POINTS, test__weights="out/none.safetensors")
    with pytest.raises(KurError, match=r"out/none\.safetensors: no such weights file$"):
        session.testing(made)
    with pytest.raises(KurError, match=r"train\.weights: no 'weights': which file holds the"):
        session.testing(kurfile(tmp_path, POINTS, train__weights="null"))
