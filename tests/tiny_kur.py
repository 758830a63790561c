"""Kurfiles and data so small that a network learns them in seconds, for the tests of `kur`.

`points` is a supplier that a user might add: points in a plane, by the quadrant they lie in. Tones
are speech of four letters, each a tone of its own, in real audio files.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from kur.data.supplier import Draw, Sample, Source, supplier
from kur.reader import Kurfile

Floats = npt.NDArray[np.float32]

RATE = 16_000
LETTERS = "abcd"
HERTZ = {"a": 400.0, "b": 800.0, "c": 1500.0, "d": 2700.0}


@supplier("points")
class Points:
    """`count` points of a plane with the quadrant they lie in (`flipped`: the one across); point
    `broken` is no number. Training moves them a little, at random."""

    def __init__(
        self, *, count: int = 48, seed: int = 0, broken: int | None = None, flipped: bool = False
    ) -> None:
        rng = np.random.default_rng(seed)
        self._points = rng.normal(size=(count, 2)).astype(np.float32)
        self._labels = (self._points[:, 0] > 0) + 2 * (self._points[:, 1] > 0)
        if broken is not None:
            self._points[broken] = np.nan
        if flipped:
            self._labels = 3 - self._labels

    def __len__(self) -> int:
        return len(self._points)

    def sources(self) -> dict[str, Source]:
        return {"point": Source((2,)), "quadrant": Source((), "int32"), "height": Source((1,))}

    def lengths(self) -> npt.NDArray[np.float64] | None:
        return None

    def name(self, index: int) -> str:
        return f"point {index}"

    def metadata(self) -> dict[str, Any]:
        return {}

    def sample(self, index: int, draw: Draw) -> Sample:
        point = self._points[index]
        if draw.training:
            point = point + draw.random(index).normal(scale=0.01, size=2).astype(np.float32)
        return {
            "point": point,
            "quadrant": int(self._labels[index]),
            "height": point[1:] * 2,
            "note": f"note {index}",
        }


POINTS = """
settings: {seed: 3}
model:
  - input: point
  - dense: 16
  - activation: relu
  - dropout: 0.2
  - dense: 4
  - activation: softmax
    name: quadrant
loss:
  - {name: categorical_crossentropy, target: quadrant}
train:
  data: [points: {count: 40}]
  provider: {batch_size: 8}
  optimizer: {name: adam, learning_rate: {peak: 0.02, schedule: cosine, warmup: 0.1}}
  stop_when: {epochs: 3, mode: total}
  weights: {best: out/best.safetensors, last: out/last.safetensors}
  checkpoint: {path: out/checkpoint.safetensors, batches: 2}
  log: out/log.jsonl
validate:
  data: [points: {count: 16, seed: 1}]
test:
  data: [points: {count: 16, seed: 2}]
"""


def kurfile(folder: Path, text: str, **overrides: str) -> Kurfile:
    """A Kurfile of that text in a folder, parsed; `train__epochs="2"` sets train.epochs."""
    path = folder / "k.yml"
    path.write_text(text, encoding="utf-8")
    given = {key.replace("__", "."): value for key, value in overrides.items()}
    made = Kurfile(path, overrides=given)
    made.parse()
    return made


def spoken(text: str, *, seed: int = 0, tone: float = 0.12, gap: float = 0.05) -> Floats:
    """`text` as tones with gaps, at 16 kHz, over a little noise."""
    rng = np.random.default_rng(seed)
    silence = np.zeros(round(gap * RATE), np.float32)
    pieces = [silence]
    for letter in text:
        at = np.arange(round(tone * rng.uniform(0.8, 1.2) * RATE)) / RATE
        wave = 0.4 * np.sin(2 * np.pi * HERTZ[letter] * at) * np.hanning(len(at)) ** 0.2
        pieces += [wave.astype(np.float32), silence]
    pcm = np.concatenate(pieces)
    return pcm + rng.normal(scale=0.002, size=len(pcm)).astype(np.float32)


CODECS = {
    "wav": ("pcm_s16le", "s16"),
    "flac": ("flac", "s16"),
    "opus": ("libopus", "flt"),
    "mp3": ("libmp3lame", "fltp"),
}


def write_audio(path: Path, pcm: Floats, rate: int = RATE, layout: str = "mono") -> None:
    """Write PCM (samples,) or (channels, samples) as WAV, FLAC, Opus, (mono) MP3, by its ending."""
    codec, form = CODECS[path.suffix[1:]]
    channels = np.atleast_2d(pcm)
    values: npt.NDArray[Any] = np.clip(channels, -1, 1)
    if form == "s16":
        values = np.round(values * 32767).astype(np.int16)
    packed = np.ascontiguousarray(values.T.reshape(1, -1))
    container = "ogg" if path.suffix == ".opus" else path.suffix[1:]
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(packed, format=form, layout=layout)
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)


def words(count: int, seed: int, longest: int = 5) -> list[str]:
    """Random words of the four letters."""
    rng = np.random.default_rng(seed)
    return [
        "".join(LETTERS[i] for i in rng.integers(4, size=rng.integers(2, longest + 1)))
        for _ in range(count)
    ]


def write_tones(
    folder: Path, name: str, texts: Sequence[str], seed: int = 0, ending: str = "wav"
) -> Path:
    """Clips of tones and their manifest; its path."""
    (folder / "audio").mkdir(parents=True, exist_ok=True)
    lines = []
    for i, text in enumerate(texts):
        pcm = spoken(text, seed=1000 * seed + i)
        audio = f"audio/{name}{i}.{ending}"
        write_audio(folder / audio, pcm)
        lines.append({"audio": audio, "duration": len(pcm) / RATE, "text": text})
    manifest = folder / f"{name}.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return manifest


# What `include` brings in: how speech becomes frames, and a template.
BASE = """
settings:
  features: {mel_bins: 16, low_hz: 100, high_hz: 4000}
templates:
  front:
    - convolution: {kernels: "{{ args }}", size: 5, strides: 2, bias: no}
    - batch_normalization: {momentum: 0.9}
    - activation: relu
"""
TONES = """
include: base.yml
settings: {seed: 1, letters: [a, b, c, d], depth: 2}
model:
  - input: utterance
  - for: {range: 2, iterate: [front: 24]}
  - for:
      range: "{{ depth }}"
      iterate:
        - residual:
            - convolution: {size: 3, depthwise: yes}
            - dense: 24
            - activation: relu
  - dropout: 0.05
  - dense: "{{ letters|length + 1 }}"
  - activation: log_softmax
    name: said
loss:
  - name: ctc
    target: said
    relative_to: utterance
    input_length: utterance_length
    output: transcript
    output_length: transcript_length
    normalize: labels
    measure: letter error rate
train:
  data:
    - speech_recognition: &tones
        path: train.jsonl
        features: "{{ features }}"
        vocab: "{{ letters }}"
        cache: cache
        augment: {tempo: [0.9, 1.1], hiss_probability: 0.2}
  provider: {batch_size: 8, multiple: 4, sortagrad: yes}
  optimizer:
    name: adamw
    learning_rate: {peak: 0.02, schedule: cosine, warmup: 0.1}
    clip: {norm: 1}
  stop_when: {epochs: 6, mode: total}
  weights: {best: out/best.safetensors, last: out/last.safetensors}
  checkpoint: out/checkpoint.safetensors
  log: out/log.jsonl
  hooks: [plot: out/curves.png]
validate:
  data:
    clean:
      - speech_recognition: {<<: *tones, path: valid.jsonl}
test:
  data:
    clean:
      - speech_recognition: {<<: *tones, path: test.jsonl}
"""


def tones_project(folder: Path, clips: int = 64) -> Path:
    """A folder with the Kurfile of a network that hears tones, and with its data; the Kurfile."""
    (folder / "base.yml").write_text(BASE, encoding="utf-8")
    (folder / "k.yml").write_text(TONES, encoding="utf-8")
    write_tones(folder, "train", words(clips, 1), seed=1)
    write_tones(folder, "valid", words(12, 2), seed=2, ending="flac")
    write_tones(folder, "test", words(16, 3), seed=3, ending="opus")
    return folder / "k.yml"
