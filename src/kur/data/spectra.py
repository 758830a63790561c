"""Sound -> frames, in each of the ways that `type` of speech_recognition can name.

`spec` and `mfcc` are computed as Kur 0.7 did, so that its normalization files fit; `fbank` is ours
(`kur.features`), `raw` the samples themselves. Knows nothing of files or transcripts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kur.features import FbankOptions, Frames, log_mel, subtract_moving_mean

Kind = Literal["spec", "mfcc", "raw", "fbank"]
Doubles = NDArray[np.float64]

_SPEC_WINDOW, _STEP = 0.020, 0.010
_SPEC_FLOOR = 1e-14
# Those of the package python_speech_features, with which Kur 0.7 computed MFCC.
_MFCC_WINDOW = 0.025
_MFCC_COUNT, _MFCC_FILTERS, _MFCC_LIFTER, _MFCC_EMPHASIS = 13, 26, 22, 0.97
_INT16 = 32768.0


@dataclass(frozen=True, slots=True)
class Analysis:
    """How sound at `rate` becomes frames; `top_hz` is the highest frequency that counts."""

    kind: Kind
    rate: int
    top_hz: float | None = None
    fbank: FbankOptions = field(default_factory=FbankOptions)

    @property
    def bins(self) -> int:
        """Numbers a frame."""
        if self.kind == "spec":
            return _spec_bins(self.rate, self.top_hz)
        return {"mfcc": _MFCC_COUNT, "raw": 1, "fbank": self.fbank.mel_bins}[self.kind]

    @property
    def step_seconds(self) -> float:
        """Time between two frames."""
        return {"raw": 1 / self.rate, "fbank": self.fbank.hop_seconds}.get(self.kind, _STEP)

    @property
    def shortest(self) -> int:
        """The least number of samples that give a frame."""
        if self.kind == "spec":
            return int(_SPEC_WINDOW * self.rate)
        return 1 if self.kind != "fbank" else round(self.fbank.hop_seconds * self.rate / 2)

    def frames(self, pcm: NDArray[np.float32]) -> Frames:
        """Mono PCM in [-1, 1] -> float32 (frames, bins); `fbank` before its mean is taken off."""
        if self.kind == "spec":
            return spectrogram(pcm, self.rate, self.top_hz)
        if self.kind == "mfcc":
            return mfcc(pcm, self.rate, self.top_hz)
        if self.kind == "raw":
            return np.asarray(pcm, np.float32)[:, None]
        return log_mel(pcm, self.rate, self.fbank)

    def levelled(self, frames: Frames) -> Frames:
        """Frames less their moving mean, where the features are to be so."""
        return subtract_moving_mean(frames, self.fbank) if self.kind == "fbank" else frames

    def metadata(self) -> dict[str, Any]:
        """What an exported network carries."""
        if self.kind == "fbank":
            return self.fbank.as_metadata()
        return {"type": self.kind, "bins": self.bins, "max_frequency": self.top_hz}


def spectrogram(pcm: NDArray[np.float32], rate: int, top_hz: float | None = None) -> Frames:
    """Log power densities: (frames, bins), bins of 50 Hz, 161 at 16 kHz.

    Hann windows of 20 ms every 10 ms, whole ones only; log(|rfft|^2 / scale + 1e-14), where the
    scale makes it a one-sided power density.
    """
    size, hop = int(_SPEC_WINDOW * rate), int(_STEP * rate)
    if len(pcm) < size:
        return np.zeros((0, _spec_bins(rate, top_hz)), np.float32)
    window = np.hanning(size)
    windows = np.lib.stride_tricks.sliding_window_view(pcm.astype(np.float64), size)[::hop]
    power = np.square(np.abs(np.fft.rfft(windows * window, axis=1)))
    power /= np.square(window).sum() * rate
    power[:, 1:-1] *= 2
    kept = power[:, : _spec_bins(rate, top_hz)]
    return np.asarray(np.log(kept + _SPEC_FLOOR), np.float32)


def mfcc(pcm: NDArray[np.float32], rate: int, top_hz: float | None = None) -> Frames:
    """Mel-frequency cepstral coefficients: (frames, 13), of which the first is the log energy.

    Frames of 25 ms every 10 ms, the last one filled with zeros; 26 mel filters, liftered by 22.
    """
    if len(pcm) == 0:
        return np.zeros((0, _MFCC_COUNT), np.float32)
    sound = pcm.astype(np.float64) * _INT16
    sound = np.append(sound[0], sound[1:] - _MFCC_EMPHASIS * sound[:-1])
    size, hop = round(_MFCC_WINDOW * rate), round(_STEP * rate)
    count = 1 + max(0, -(-(len(sound) - size) // hop))
    sound = np.pad(sound, (0, (count - 1) * hop + size - min(len(sound), (count - 1) * hop + size)))
    windows = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop][:count]
    points = 1 << (size - 1).bit_length()
    power = np.square(np.abs(np.fft.rfft(windows, points, axis=1))) / points
    tiny = np.finfo(float).eps
    energy = power.sum(axis=1)
    energy[energy == 0] = tiny
    bands = power @ _filters(points, rate, top_hz or rate / 2).T
    bands[bands == 0] = tiny
    found = np.log(bands) @ _cosines().T
    found *= 1 + _MFCC_LIFTER / 2 * np.sin(np.pi * np.arange(_MFCC_COUNT) / _MFCC_LIFTER)
    found[:, 0] = np.log(energy)
    return found.astype(np.float32)


def _spec_bins(rate: int, top_hz: float | None) -> int:
    count = int(_SPEC_WINDOW * rate) // 2 + 1
    return min(int(top_hz * _SPEC_WINDOW + 0.5) + 1, count) if top_hz else count


@lru_cache(maxsize=8)
def _filters(points: int, rate: int, top_hz: float) -> Doubles:
    """Triangles of equal width in mel: (filters, points / 2 + 1)."""
    mel = np.linspace(0, 2595 * np.log10(1 + top_hz / 700), _MFCC_FILTERS + 2)
    edges = np.floor((points + 1) * 700 * (10 ** (mel / 2595) - 1) / rate)
    bank = np.zeros((_MFCC_FILTERS, points // 2 + 1))
    for row, (left, middle, right) in zip(
        bank, zip(edges, edges[1:], edges[2:], strict=False), strict=False
    ):
        rise, fall = np.arange(int(left), int(middle)), np.arange(int(middle), int(right))
        row[rise] = (rise - left) / (middle - left)
        row[fall] = (right - fall) / (right - middle)
    return bank


@lru_cache(maxsize=1)
def _cosines() -> Doubles:
    """The orthonormal cosine transform (type 2): (coefficients, filters)."""
    order, at = np.arange(_MFCC_COUNT)[:, None], np.arange(_MFCC_FILTERS)[None, :]
    rows = np.cos(np.pi * order * (2 * at + 1) / (2 * _MFCC_FILTERS)) * np.sqrt(2 / _MFCC_FILTERS)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)
