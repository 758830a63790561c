"""A network that hears tones, the audio that goes with it, and a library that uses it.

Each unit has its own frequency: `say` turns units into tones, `ToneNetwork` hears which tone each
frame has. So the whole way of the data is real (files, decoding, index, search) while what is heard
is exactly known, at no cost.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.library import Library
from earshot.network import SHIPPED
from earshot.search import Calibration
from earshot.units import PHONES, Speller
from kur.features import FbankOptions

Floats = npt.NDArray[np.float32]

RATE = 16_000
FRAME = 640  # samples of a frame, 40 ms
UNITS = (*PHONES, "<blank>")
BLANK = len(PHONES)
WORDS = {
    "harbour": "HH AA R B ER",
    "invoice": "IH N V OY S",
    "lantern": "L AE N T ER N",
    "monday": "M AH N D EY",
    "contract": "K AA N T R AE K T",
}


class ToneNetwork:
    """Hears the tones of `say`: a frame's unit is the one whose frequency is loudest."""

    def __init__(self, fingerprint: str = "f1" * 32) -> None:
        self.units = UNITS
        self.blank = BLANK
        self.frame_seconds = FRAME / RATE
        self.look_seconds = 0.0
        self.fingerprint = fingerprint
        self.sample_rate = RATE

    def listen(self, blocks: Iterator[Floats]) -> Iterator[Floats]:
        """Blocks (samples,) to log-posteriors (frames, 40), whatever the blocks' edges."""
        left = np.zeros(0, np.float32)
        for block in blocks:
            left = np.concatenate([left, block])
            whole = len(left) // FRAME * FRAME
            if whole:
                yield self._hear(left[:whole].reshape(-1, FRAME))
            left = left[whole:]

    def _hear(self, frames: Floats) -> Floats:
        power = np.abs(frames @ _WAVES)
        best = power.argmax(axis=1)
        best[power.max(axis=1) < 1.0] = self.blank
        scores = np.full((len(frames), len(UNITS)), np.log(0.1 / (len(UNITS) - 1)), np.float32)
        scores[np.arange(len(frames)), best] = np.log(0.9)
        return scores


@cache
def speller() -> Speller:
    """The real speller with the dictionary that ships."""
    return Speller.open(SHIPPED, PHONES)


def tone_library(folder: Path, network: ToneNetwork | None = None) -> Library:
    """A library whose network hears tones, with the real dictionary.

    Its confidence is a matter of the alignment's cost alone: 0.98 when every unit was heard.
    """
    certain = Calibration(bias=4.0, weights={"cost": -4.0})
    return Library(folder, network or ToneNetwork(), speller=speller(), calibration=certain)


def say(text: str) -> Floats:
    """The tones of a text of `WORDS`: three frames a unit, five frames of silence a gap."""
    pieces = [np.zeros(5 * FRAME, np.float32)]
    for word in text.split():
        for unit in WORDS[word].split():
            tone = np.real(_WAVES[:, PHONES.index(unit)]).astype(np.float32)
            pieces.append(np.tile(0.3 * tone, 3))
        pieces.append(np.zeros(5 * FRAME, np.float32))
    return np.concatenate(pieces)


def said_at(text: str, word: str) -> float:
    """Second at which `word` begins in `say(text)`."""
    frames = 5
    for other in text.split():
        if other == word:
            return frames * FRAME / RATE
        frames += 3 * len(WORDS[other].split()) + 5
    raise ValueError(f"{word} is not in {text}")


def write_wav(path: Path, channels: Sequence[Floats] | Floats, rate: int = RATE) -> Path:
    """Write channels of float samples to a WAV file of 16 bits."""
    samples = np.atleast_2d(np.asarray(channels, np.float32))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(samples))
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples.T, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone_network_folder(folder: Path) -> Path:
    """What a search reads of the network of `fakes`, which hears tones."""
    folder.mkdir()
    head = {"units": UNITS, "blank": BLANK, "frame_seconds": FRAME / RATE, "output": "phones"}
    described = {
        "format": 1,
        "fingerprint": ToneNetwork().fingerprint,
        "sample_rate": RATE,
        "features": FbankOptions().as_metadata(),
        "input": "utterance",
        "frame_multiple": 4,
        "context_seconds": 1.0,
        "heads": {"phones": head},
    }
    (folder / "network.json").write_text(json.dumps(described))
    (folder / "lexicon.txt").symlink_to(SHIPPED / "lexicon.txt")
    Calibration().save(folder / "confidence.json")
    return folder


# Whole periods in a frame, 25 Hz apart by 50 Hz: the tones are orthogonal over a frame.
_WAVES = np.exp(
    2j * np.pi * np.outer(np.arange(FRAME), 8 + 2 * np.arange(len(PHONES))) / FRAME
).astype(np.complex64)
