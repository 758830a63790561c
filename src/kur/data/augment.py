"""What may happen to speech on its way to a microphone, done to sound and to log-mel frames.

Sound (a *view* of a clip, heard once and cached): another speed, a room, a telephone line. Frames
(drawn anew for each clip and epoch, cheap): noise, tempo, vocal tract, SpecAugment. Knows nothing
of manifests, caches or networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.features import FbankOptions, Frames

Pcm = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way to hear a clip: `speed` is drawn from a range, `telephone` is an 8 kHz mu-law line,
    `room` convolves with one of the impulse responses at hand."""

    speed: tuple[float, float] = (1.0, 1.0)
    telephone: bool = False
    room: bool = False

    def hear(self, pcm: Pcm, rate: int, rooms: Sequence[Pcm], rng: np.random.Generator) -> Pcm:
        """The clip as it arrives, mono PCM at `rate`."""
        low, high = self.speed
        if low != 1.0 or high != 1.0:
            pcm = change_speed(pcm, rng.uniform(low, high))
        if self.room and rooms:
            pcm = in_room(pcm, rooms[int(rng.integers(len(rooms)))], rng.uniform(0.3, 1.0))
        if self.telephone:
            pcm = telephone_line(pcm, rate, narrow=bool(rng.random() < 0.5))
        return pcm


def change_speed(pcm: Pcm, factor: float) -> Pcm:
    """`factor` times as fast, pitch and all; the factor is rounded to twentieths."""
    up, down = 20, max(1, round(20 * factor))
    return np.asarray(_signal().resample_poly(pcm, up, down), np.float32)


def in_room(pcm: Pcm, response: Pcm, wet: float) -> Pcm:
    """`pcm` in the room of an impulse response, `wet` 0 (dry) to 1, at its old level and time."""
    peak = int(np.argmax(np.abs(response)))
    wetted = _signal().fftconvolve(pcm, response / max(1e-6, float(np.abs(response[peak]))))
    wetted = wetted[peak : peak + len(pcm)]
    mixed = (1 - wet) * pcm + wet * wetted * _level(pcm) / max(1e-6, _level(wetted))
    return np.asarray(mixed, np.float32)


def telephone_line(pcm: Pcm, rate: int, *, narrow: bool) -> Pcm:
    """An 8 kHz line with mu-law samples (ITU-T G.711); `narrow` keeps 300-3400 Hz only."""
    low = _resampled(pcm, 8000, rate)
    if narrow:
        low = _signal().sosfilt(
            _signal().butter(4, (300, 3400), "bandpass", fs=8000, output="sos"), low
        )
    low = np.clip(low, -1, 1)
    compressed = np.sign(low) * np.log1p(255 * np.abs(low)) / np.log(256)
    compressed = np.round(compressed * 127) / 127
    low = np.sign(compressed) * np.expm1(np.abs(compressed) * np.log(256)) / 255
    return np.asarray(_resampled(low, rate, 8000)[: len(pcm)], np.float32)


def add_noise(frames: Frames, noise: Frames, snr: float, *, top: int | None = None) -> Frames:
    """`noise` (as long as `frames`) added in power at `snr` decibels, up to mel bin `top` only.

    Powers add where the two signals are independent, so this is what adding the signals gives but
    for the cross terms, at a hundredth of the cost.
    """
    speech_power = np.exp(frames).sum(axis=1)
    loud = speech_power[speech_power >= np.quantile(speech_power, 0.5)].mean()
    noise_power = np.exp(noise).sum(axis=1).mean()
    gain = np.log(loud / max(1e-9, noise_power)) - snr * np.log(10) / 10
    mixed = frames.copy()
    mixed[:, :top] = np.logaddexp(frames[:, :top], noise[:, :top] + gain)
    return mixed


def hiss(frames: Frames, level: float) -> Frames:
    """White noise `level` (a log energy) in every bin: the floor of a cheap microphone."""
    return np.logaddexp(frames, np.float32(level)).astype(np.float32)


def change_tempo(frames: Frames, factor: float) -> Frames:
    """`factor` times as fast, pitch unchanged, by interpolation between frames."""
    count = max(1, round(len(frames) / factor))
    at = np.linspace(0, len(frames) - 1, count)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, len(frames) - 1)
    part = (at - below).astype(np.float32)[:, None]
    return np.asarray(frames[below] * (1 - part) + frames[above] * part, np.float32)


def warp_vocal_tract(frames: Frames, factor: float, options: FbankOptions) -> Frames:
    """A vocal tract `factor` times as short (Jaitly and Hinton, 2013): the spectrum stretched."""
    low, high = _mel(options.low_hz), _mel(options.high_hz)
    centres = np.linspace(low, high, options.mel_bins + 2)[1:-1]
    source = _mel(np.clip(_hertz(centres) / factor, options.low_hz, options.high_hz))
    at = np.clip((source - centres[0]) / (centres[1] - centres[0]), 0, options.mel_bins - 1)
    below = np.floor(at).astype(int)
    above = np.minimum(below + 1, options.mel_bins - 1)
    part = (at - below).astype(np.float32)
    return np.asarray(frames[:, below] * (1 - part) + frames[:, above] * part, np.float32)


def mask(
    frames: Frames, times: int, time: float, bands: int, band: int, rng: np.random.Generator
) -> Frames:
    """SpecAugment (Park et al., 2019): up to `times` stretches of at most `time` of the clip, and
    up to `bands` bands of at most `band` mel bins, are set to their mean (0)."""
    frames = frames.copy()
    count, bins = frames.shape
    for _ in range(rng.integers(times + 1)):
        width = int(rng.integers(0, int(time * count) + 1))
        start = int(rng.integers(0, count - width + 1))
        frames[start : start + width] = 0
    for _ in range(rng.integers(bands + 1)):
        width = int(rng.integers(0, min(band, bins) + 1))
        start = int(rng.integers(0, bins - width + 1))
        frames[:, start : start + width] = 0
    return frames


def _resampled(pcm: NDArray[np.floating], up: int, down: int) -> NDArray[np.floating]:
    """Another sample rate, by a filter as steep and deep as FFmpeg's (64 taps a sample, Kaiser 9,
    cut off at 0.97): what a real recording of 8 kHz goes through before it is heard."""
    factor = math.gcd(up, down)
    widest = max(up, down) // factor
    taps = _signal().firwin(64 * widest + 1, 0.97 / widest, window=("kaiser", 9.0))
    return np.asarray(_signal().resample_poly(pcm, up // factor, down // factor, window=taps))


def _level(pcm: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(pcm)))) if len(pcm) else 0.0


def _mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(700.0 * np.expm1(mel / 1127.0))


def _signal() -> Any:
    # Takes seconds to load, for which a Kurfile that is only checked should not wait.
    from scipy import signal

    return signal
