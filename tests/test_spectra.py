"""Spectrograms and MFCC, against plain references that are written one frame at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from scipy.fft import dct

from kur.data.spectra import Analysis, mfcc, spectrogram

RATE = 16_000
Floats = npt.NDArray[np.float32]


def sound(count: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(scale=0.1, size=count).astype(np.float32)


def slow_spectrogram(pcm: Floats) -> npt.NDArray[np.float64]:
    """As the format says: 20 ms Hann windows, 10 ms steps, one-sided power density."""
    window, rows = np.hanning(320), []
    for start in range(0, len(pcm) - 320 + 1, 160):
        power = np.abs(np.fft.rfft(pcm[start : start + 320] * window)) ** 2
        power /= (window**2).sum() * RATE
        power[1:-1] *= 2
        rows.append(np.log(power + 1e-14))
    return np.array(rows)


def slow_mfcc(pcm: Floats) -> npt.NDArray[np.float64]:
    """As python_speech_features does with 13 coefficients and 26 filters."""
    x = pcm * 32768.0
    x = np.append(x[0], x[1:] - 0.97 * x[:-1])
    count = 1 if len(x) <= 400 else 1 + int(np.ceil((len(x) - 400) / 160))
    x = np.concatenate([x, np.zeros(400 + 160 * count)])
    mel = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), 28)
    bins = np.floor(513 * 700 * (10 ** (mel / 2595) - 1) / RATE).astype(int)
    rows = []
    for start in range(0, 160 * count, 160):
        power = np.abs(np.fft.rfft(x[start : start + 400], 512)) ** 2 / 512
        bands = []
        for low, middle, high in zip(bins, bins[1:], bins[2:], strict=False):
            up = sum(power[i] * (i - low) / (middle - low) for i in range(low, middle))
            down = sum(power[i] * (high - i) / (high - middle) for i in range(middle, high))
            bands.append(up + down)
        row = dct(np.log(bands), type=2, norm="ortho")[:13]
        row *= 1 + 11 * np.sin(np.pi * np.arange(13) / 22)
        row[0] = np.log(power.sum())
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("count", [320, 479, 480, 5000])
def test_spectrograms(count: int) -> None:
    found = spectrogram(sound(count), RATE)
    assert found.dtype == np.float32 and found.shape == (1 + (count - 320) // 160, 161)
    np.testing.assert_allclose(found, slow_spectrogram(sound(count)), rtol=1e-5)


def test_bins_of_50_hertz() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(3200) / RATE).astype(np.float32)
    assert (spectrogram(tone, RATE).argmax(axis=1) == 20).all()
    some = spectrogram(tone, RATE, 4000)
    assert some.shape[1] == 81 and np.array_equal(some, spectrogram(tone, RATE)[:, :81])
    assert spectrogram(tone, RATE, 99999).shape[1] == 161
    silence = spectrogram(np.zeros(3200, np.float32), RATE)
    np.testing.assert_allclose(silence, np.log(1e-14), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 100, 400, 401, 560, 561, 5000])
def test_mfcc(count: int) -> None:
    found = mfcc(sound(count), RATE)
    assert found.dtype == np.float32 and found.shape[1] == 13
    np.testing.assert_allclose(found, slow_mfcc(sound(count)), rtol=1e-4, atol=1e-3)


def test_mfcc_of_silence_is_finite() -> None:
    assert np.isfinite(mfcc(np.zeros(999, np.float32), RATE)).all()


@pytest.mark.parametrize("kind", ["spec", "mfcc", "raw", "fbank"])
def test_each_kind_keeps_its_promises(kind: str) -> None:
    analysis = Analysis(kind, RATE)  # type: ignore[arg-type]
    frames = analysis.frames(sound(8000))
    assert frames.dtype == np.float32 and frames.shape[1] == analysis.bins
    assert abs(len(frames) * analysis.step_seconds - 0.5) <= 0.02
    assert analysis.frames(sound(analysis.shortest)).shape == (1, analysis.bins)
    assert analysis.metadata()["type"] == kind
    assert analysis.levelled(frames).shape == frames.shape
