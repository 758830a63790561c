"""Every recipe runs as it stands, shortened and on tiny data, on each backend that is asked for."""

from __future__ import annotations

import gzip
import json
import math
import os
import shutil
import struct
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from recipe_runs import EPOCHS, RECIPES, SHORT
from tiny_kur import LETTERS, RATE, spoken, words, write_audio, write_tones

sys.path.insert(0, str(RECIPES))

import heads_data
import language_model_data
import sine_data
from speech_data import write_lines

# KUR_BACKENDS=torch is quicker: the others compile every network.
BACKENDS = tuple(os.environ.get("KUR_BACKENDS", "torch,jax,tensorflow").split(","))
PHONES = {"a": "AA", "b": "B", "c": "K", "d": "D"}
# Where a recipe keeps what it trains, if not in a folder of its own name.
FOLDERS = {"speech": "asr"}


def test_every_recipe_is_run() -> None:
    kurfiles = {path.stem for path in RECIPES.glob("*.yml")}
    # The same networks again: validated in test_levers.py.
    again = {"acoustic_more", "levers", "levers_heads", "levers_pinned"}
    assert kurfiles - again == set(SHORT)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny data of every recipe."""
    folder = tmp_path_factory.mktemp("recipes")
    rng = np.random.default_rng(0)
    pictures(folder, rng)
    sine_data.main(["--target", str(folder / "work" / "sine")])
    text = folder / "text.txt"
    text.write_text(" ".join(words(40_000, seed=4)), encoding="utf-8")
    target = str(folder / "work" / "language_model")
    assert language_model_data.main([str(text), "--target", target, "--length", "24"]) == 0
    for name, lines in (("train", 128), ("valid", 16), ("test", 16)):
        shorten(folder / "work" / "language_model" / f"{name}.jsonl", lines)
    speech(folder)
    letters(folder)
    for backend in BACKENDS:
        shutil.copytree(folder / "work", folder / backend)
    return folder


def pictures(folder: Path, rng: np.random.Generator) -> None:
    """Digits as squares in ten places, and the same in colours."""
    for name in ("mnist", "cifar"):
        (folder / name).mkdir()
    for mnist, cifar, count in (("train", "train", 64), ("t10k", "test", 20)):
        classes = np.arange(count, dtype=np.uint8) % 10
        images = rng.integers(0, 40, (count, 28, 28)).astype(np.uint8)
        for image, number in zip(images, classes, strict=True):
            row, column = divmod(int(number), 4)
            image[7 * row : 7 * row + 7, 7 * column : 7 * column + 7] = 255
        for what, array in (("images-idx3", images), ("labels-idx1", classes)):
            write_idx(folder / "mnist" / f"{mnist}-{what}-ubyte.gz", array)
        colour = np.zeros((count, 32, 32, 3), np.uint8)
        colour[:, :28, :28] = images[..., None]
        np.savez(folder / "cifar" / f"{cifar}.npz", images=colour, labels=classes)


def write_idx(path: Path, array: npt.NDArray[np.uint8]) -> None:
    """An IDX file of bytes, gzipped."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(head + array.tobytes(), 1))


def speech(folder: Path) -> None:
    """Tones with all transcripts, noises and rooms. All clips are of one length, and so are their
    transcripts: two of the backends compile a network anew for each shape."""
    target = folder / "work" / "speech"
    (target / "audio").mkdir(parents=True)
    for seed, (name, count) in enumerate({"train": 16, "valid": 4, "test": 4}.items()):
        lines = []
        for i, text in enumerate(of_letters(count, 8, seed)):
            path = target / "audio" / f"{name}{i}.wav"
            pcm = spoken(text, seed=1000 * seed + i)
            write_audio(path, np.pad(pcm, (0, 2 * RATE - len(pcm))))
            phones = " ".join(PHONES[letter] for letter in text)
            lines.append({"audio": str(path), "duration": 2.0, "text": text, "phones": phones})
        write_lines(target / f"{name}.jsonl", lines)
    for name in ("noise", "rooms"):
        shutil.copy(write_tones(target, "background", ["abc"], seed=9), target / f"{name}.jsonl")
    lexicon = folder / "lexicon.txt"
    lexicon.write_text("abcd NN\n", encoding="utf-8")
    given = ["--manifests", target, "--target", folder / "work" / "heads", "--lexicon", lexicon]
    assert heads_data.main([str(one) for one in given]) == 0


def letters(folder: Path) -> None:
    """Words and how they sound."""
    target = folder / "work" / "letters"
    target.mkdir()
    for seed, (name, count) in enumerate({"train": 32, "valid": 8, "test": 8}.items()):
        lines = [
            {"letters": word, "phones": " ".join(PHONES[letter] for letter in word)}
            for word in of_letters(count, 4, seed)
        ]
        write_lines(target / f"{name}.jsonl", lines)


def of_letters(count: int, length: int, seed: int) -> list[str]:
    """Random words of so many of the four letters."""
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(LETTERS), length)) for _ in range(count)]


def shorten(path: Path, lines: int) -> None:
    kept = path.read_text(encoding="utf-8").splitlines(keepends=True)[:lines]
    path.write_text("".join(kept), encoding="utf-8")


@cache
def runs(folder: Path, backend: str) -> dict[str, Any]:
    """What came of every recipe on a backend."""
    script = Path(__file__).with_name("recipe_runs.py")
    ended = subprocess.run(
        [sys.executable, str(script), str(folder), backend],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    found["stderr"] = ended.stderr
    return found


@pytest.mark.parametrize("recipe", SHORT)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_recipe_learns(data: Path, backend: str, recipe: str) -> None:
    found = runs(data, backend)
    assert not any(found[recipe]["status"]), found["stderr"][-3000:]
    kept = data / backend / FOLDERS.get(recipe, recipe)
    assert list(kept.glob("*.safetensors"))
    lines = [json.loads(line) for line in (kept / "log.jsonl").read_text("utf-8").splitlines()]
    losses = [line["figures"]["training loss"] for line in lines if "figures" in line]
    assert len(losses) == EPOCHS and all(map(math.isfinite, losses))
    assert losses[-1] < losses[0]
    assert "loss: " in found[recipe]["printed"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluation_writes_what_the_network_says(data: Path, backend: str) -> None:
    runs(data, backend)
    assert (data / backend / "sine" / "output.pkl").stat().st_size > 1000


def test_parts_of_speech(tmp_path: Path) -> None:
    path = tmp_path / "lexicon.txt"
    path.write_text(";;; said by\n. .\nrun VB NN\nParis NNP\nthe DT\nto TO\n", encoding="utf-8")
    lexicon = heads_data.read_lexicon(path)
    said = ["the", "paris", "run", "to", "'", "12", "quickly", "zork", "walking", "paris's"]
    tags = [heads_data.tag_of(word, lexicon) for word in said if word != "'"]
    assert tags == ["DET", "NOUN", "VERB", "PRT", "NUM", "ADV", "NOUN", "VERB", "NOUN"]
    assert set(tags) <= set(heads_data.TAGS) == set(heads_data.UNIVERSAL.values())


def test_a_missing_lexicon_is_said_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(heads_data.importlib.util, "find_spec", lambda name: None)
    assert heads_data.main(["--target", str(tmp_path)]) == 1
    assert "pip install 'earshot[recipes]'" in capsys.readouterr().err


def test_no_page_is_on_two_sides(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text(" ".join(words(20_000, seed=5)), encoding="utf-8")
    assert language_model_data.main([str(text), "--target", str(tmp_path)]) == 0
    sides = {
        side: {json.loads(line)["text"] for line in (tmp_path / f"{side}.jsonl").open()}
        for side in ("train", "valid", "test")
    }
    assert not sides["train"] & (sides["valid"] | sides["test"])
    characters = json.loads((tmp_path / "vocab.json").read_text(encoding="utf-8"))
    assert characters == sorted({*"abcd", " "})
