"""Augmentation does what it says: levels, lengths, bands and widths, measured on the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import signal

from kur.data.augment import (
    View,
    add_noise,
    change_speed,
    change_tempo,
    hiss,
    in_room,
    mask,
    telephone_line,
    warp_vocal_tract,
)
from kur.features import FbankOptions, log_mel

Floats = npt.NDArray[np.float32]

RATE = 16_000
OPTIONS = FbankOptions()


def noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(scale=level, size=round(seconds * RATE)).astype(np.float32)


def tone(hertz: float, seconds: float = 1.0, level: float = 0.3) -> Floats:
    at = np.arange(round(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hertz * at)).astype(np.float32)


def decibels(power: float) -> float:
    return float(10 * np.log10(power))


def power_between(pcm: Floats, low: float, high: float) -> float:
    """Power of PCM in a band of frequencies."""
    at, power = signal.welch(pcm, RATE, nperseg=2048)
    return float(power[(at >= low) & (at < high)].sum())


def level(pcm: Floats) -> float:
    return float(np.sqrt(np.mean(np.square(pcm))))


@pytest.mark.parametrize("narrow", [False, True])
def test_a_telephone_line_is_empty_above_four_kilohertz(narrow: bool) -> None:
    heard = telephone_line(noise(2.0), RATE, narrow=narrow)
    assert len(heard) == 2 * RATE and heard.dtype == np.float32
    inside = power_between(heard, 1000, 3000)
    assert decibels(power_between(heard, 4250, 8000) / inside) < -70
    below = decibels(power_between(heard, 50, 150) / power_between(heard, 1000, 1100))
    assert below < -20 if narrow else below > -3
    # To the network that is nothing at all: the upper bins are flat.
    frames = log_mel(telephone_line(noise(1.0, 0.01), RATE, narrow=narrow), RATE, OPTIONS)
    assert frames[5:-5, -10:].max() < frames[5:-5, 20:40].min()


def test_mu_law_is_heard_as_noise_of_about_38_decibels() -> None:
    """G.711 keeps that over a wide range of levels."""
    for loud in (0.5, 0.1, 0.02):
        clean = tone(1000, level=loud)
        heard = telephone_line(clean, RATE, narrow=False)
        error = (heard - clean)[800:-800]
        assert 30 < decibels(level(clean) ** 2 / level(error) ** 2) < 45


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.1, 1.25])
def test_speed_changes_length_and_pitch(factor: float) -> None:
    heard = change_speed(tone(1000), factor)
    assert len(heard) == pytest.approx(RATE / factor, rel=0.03)
    spectrum = np.abs(np.fft.rfft(heard))
    found = spectrum.argmax() * RATE / len(heard)
    assert found == pytest.approx(1000 * factor, rel=0.03)


def test_a_room_keeps_level_and_time() -> None:
    clean, delay = noise(0.5), np.zeros(400, np.float32)
    delay[100] = 0.7
    np.testing.assert_allclose(in_room(clean, delay, 1.0), clean, atol=1e-4)
    echo = delay.copy()
    echo[300] = 0.5
    for wet in (0.3, 1.0):
        heard = in_room(clean, echo, wet)
        assert len(heard) == len(clean) and level(heard) == pytest.approx(level(clean), rel=0.2)
    delayed = np.corrcoef(in_room(clean, echo, 1.0)[200:], clean[:-200])[0, 1]
    assert delayed > 0.4  # the echo is there, 200 samples later


@given(
    st.floats(-5, 40), st.floats(0.001, 0.5), st.floats(0.001, 0.5), st.none() | st.integers(8, 60)
)
@settings(max_examples=25, deadline=None)
def test_the_signal_to_noise_ratio_is_what_was_asked_for(
    snr: float, loud: float, quiet: float, top: int | None
) -> None:
    """Of the louder half of the frames to the noise, as it would be on every bin."""
    speech = log_mel(noise(0.6, loud, 1) * np.repeat([0.05, 1.0], 4800), RATE, OPTIONS)
    other = log_mel(noise(0.6, quiet, 2), RATE, OPTIONS).astype(np.float32)
    mixed = add_noise(speech, other, snr, top=top)
    assert mixed.dtype == np.float32 and (mixed >= speech).all()
    power = np.exp(speech.astype(np.float64)).sum(axis=1)
    loudest = power[power >= np.median(power)].mean()
    wanted = loudest / 10 ** (snr / 10)
    full = np.exp(other.astype(np.float64)).sum(axis=1).mean()
    expected = np.logaddexp(speech, other + np.log(wanted / full))
    np.testing.assert_allclose(mixed[:, :top], expected[:, :top], atol=1e-4)
    if top is not None:
        assert (mixed[:, top:] == speech[:, top:]).all()


def test_adding_frames_is_like_adding_sound() -> None:
    """Up to the cross terms, which are small on the mean."""
    speech, other = tone(700), noise(1.0, 0.05)
    snr = decibels(level(speech) ** 2 / level(other) ** 2)
    frames = [log_mel(pcm, RATE, OPTIONS) for pcm in (speech, other, speech + other)]
    # Powers are compared on mel bins, whose widths differ: hence only about the same.
    mixed = add_noise(frames[0], frames[1], snr)
    near = (mixed - frames[2])[10:-10].mean(axis=0)
    assert np.abs(near).mean() < 3 and mixed.shape == frames[2].shape


def test_hiss_is_a_floor() -> None:
    frames = log_mel(noise() * np.repeat([0, 1], 8000).astype(np.float32), RATE, OPTIONS)
    hissed = hiss(frames, 8.0)
    assert hissed.min() >= 8.0 and hissed.dtype == np.float32
    loud = frames > 12
    np.testing.assert_allclose(hissed[loud], frames[loud], atol=0.02)


@given(st.integers(1, 300), st.floats(0.5, 2.0))
@settings(deadline=None)
def test_tempo_changes_the_length_only(count: int, factor: float) -> None:
    ramp = np.linspace(0, 1, count, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
    heard = change_tempo(ramp, factor)
    assert len(heard) == max(1, round(count / factor)) and heard.dtype == np.float32
    assert heard[0, 0] == pytest.approx(ramp[0, 0])
    if len(heard) > 1:
        np.testing.assert_allclose(heard[:, 0], np.linspace(0, ramp[-1, 0], len(heard)), atol=1e-4)
    assert (change_tempo(ramp, 1.0) == ramp).all()


@pytest.mark.parametrize("factor", [0.88, 1.0, 1.12])
def test_a_shorter_vocal_tract_has_higher_formants(factor: float) -> None:
    frames = log_mel(tone(2000), RATE, OPTIONS)
    higher = log_mel(tone(2000 * factor), RATE, OPTIONS)
    warped = warp_vocal_tract(frames, factor, OPTIONS)
    assert warped.shape == frames.shape and warped.dtype == np.float32
    assert abs(int(warped[50].argmax()) - int(higher[50].argmax())) <= 1
    if factor == 1.0:
        np.testing.assert_allclose(warped, frames, atol=1e-3)


def runs(zero: npt.NDArray[np.bool_]) -> list[int]:
    """Lengths of the stretches of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], zero, [False]]).astype(int)))
    return [int(end - start) for start, end in edges.reshape(-1, 2)]


def test_masks_are_as_wide_as_was_asked_for() -> None:
    frames = np.ones((100, 20), np.float32)
    times, bands = [], []
    at_the_end = [0, 0]
    for seed in range(400):
        masked = mask(frames, 1, 0.06, 1, 4, np.random.default_rng(seed))
        time, band = (masked == 0).all(axis=1), (masked == 0).all(axis=0)
        assert set(np.unique(masked)) <= {0.0, 1.0}
        times += runs(time)
        bands += runs(band)
        at_the_end[0] += bool(time[-1])
        at_the_end[1] += bool(band[-1])
    assert set(times) == set(range(1, 7)) and set(bands) == set(range(1, 5))
    assert min(at_the_end) > 0
    assert (frames == 1).all()  # the frames that were given are left alone


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 4), st.integers(0, 4))
@settings(deadline=None)
def test_any_frames_can_be_masked(count: int, bins: int, times: int, bands: int) -> None:
    frames = np.ones((count, bins), np.float32)
    masked = mask(frames, times, 0.1, bands, 30, np.random.default_rng(0))
    assert masked.shape == frames.shape
    assert (mask(frames, 0, 0.5, 0, 30, np.random.default_rng(0)) == frames).all()


def test_a_view_is_the_same_for_the_same_random_numbers() -> None:
    pcm, room = noise(0.3), np.exp(-np.arange(800) / 100).astype(np.float32)
    view = View(speed=(0.9, 1.1), telephone=True, room=True)

    def heard(seed: int) -> Any:
        return view.hear(pcm, RATE, [room], np.random.default_rng(seed))

    assert np.array_equal(heard(1), heard(1)) and not np.array_equal(heard(1), heard(2))
    assert np.array_equal(View().hear(pcm, RATE, [], np.random.default_rng(0)), pcm)
