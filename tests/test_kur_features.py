"""Log-mel frames: where they stand, what they see, and the moving mean that is taken off."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kur.features import FbankOptions, features, log_mel, subtract_moving_mean

Floats = npt.NDArray[np.float32]

RATE = 16_000
OPTIONS = FbankOptions()


def noise(samples: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).normal(scale=0.1, size=samples).astype(np.float32)


@given(st.integers(0, 3000))
@settings(deadline=None)
def test_a_frame_for_every_hop(samples: int) -> None:
    frames = log_mel(noise(samples), RATE, OPTIONS)
    assert frames.shape == (OPTIONS.frames_in(samples, RATE), 64) and frames.dtype == np.float32
    assert np.isfinite(frames).all() and frames.shape[0] == (samples + 80) // 160


def test_a_frame_is_centred_on_its_hop() -> None:
    """A click is loudest in the frames whose middle is nearest."""
    for at in (1000, 4000, 4080, 9999):
        pcm = np.zeros(16000, np.float32)
        pcm[at] = 1.0
        energy = log_mel(pcm, RATE, OPTIONS).sum(axis=1)
        middle = (np.flatnonzero(energy == energy.max()).mean() + 0.5) * 160
        assert abs(middle - at) <= 80


def test_a_tone_is_in_its_bin() -> None:
    """Bins are triangles side by side on the mel scale."""
    mel = 1127 * np.log1p(np.array([20.0, 7600.0]) / 700)
    for hertz in (300, 1000, 3000, 6000):
        tone = 0.3 * np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE)
        best = int(log_mel(tone.astype(np.float32), RATE, OPTIONS)[50].argmax())
        wanted = (1127 * np.log1p(hertz / 700) - mel[0]) / (mel[1] - mel[0]) * 65 - 1
        assert abs(best - wanted) <= 1


def test_twice_as_loud_is_log_four_more() -> None:
    pcm = noise(8000)
    louder = log_mel(2 * pcm, RATE, OPTIONS) - log_mel(pcm, RATE, OPTIONS)
    np.testing.assert_allclose(louder, np.log(4), atol=1e-3)


def test_silence_is_the_floor() -> None:
    assert (log_mel(np.zeros(4000, np.float32), RATE, OPTIONS) == OPTIONS.log_floor).all()


def test_inside_frames_do_not_depend_on_what_is_far_away() -> None:
    """Bit by bit: that is what lets a recording be heard in windows."""
    pcm = noise(16000)
    whole = log_mel(pcm, RATE, OPTIONS)
    part = log_mel(pcm[3200:9600], RATE, OPTIONS)
    assert np.array_equal(part[2:-2], whole[22:58])


def test_frames_do_not_depend_on_the_parts_that_the_filterbank_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pcm = noise(16123)
    whole = log_mel(pcm, RATE, OPTIONS)
    for samples in (1, 160, 999, 16122):
        monkeypatch.setattr("kur.features._PART", samples)
        assert np.array_equal(log_mel(pcm, RATE, OPTIONS), whole)


def test_the_moving_mean_against_its_definition() -> None:
    options = FbankOptions(mean_window_seconds=0.1)
    frames = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    found = subtract_moving_mean(frames, options)
    for i in range(40):
        window = frames[max(0, i - 5) : i + 6].astype(np.float64)
        np.testing.assert_allclose(found[i], frames[i] - window.mean(axis=0), atol=1e-6)


def test_without_a_moving_mean() -> None:
    options = FbankOptions(mean_window_seconds=0)
    pcm = noise(4000)
    assert np.array_equal(features(pcm, RATE, options), log_mel(pcm, RATE, options))
    assert features(np.zeros(0, np.float32), RATE, OPTIONS).shape == (0, 64)


def test_the_microphone_is_taken_out() -> None:
    """A level or a colour that stays the same is not heard."""
    pcm = noise(16000)
    coloured = np.convolve(0.3 * pcm, [1.0, 0.4], "same").astype(np.float32)
    one, other = features(pcm, RATE, OPTIONS), features(coloured, RATE, OPTIONS)
    assert np.abs(one - other)[10:-10].mean() < 0.05


def test_metadata_there_and_back() -> None:
    options = FbankOptions(mel_bins=40, high_hz=3800)
    assert options.as_metadata()["type"] == "fbank"
    assert FbankOptions.from_metadata(options.as_metadata()) == options
    with pytest.raises(ValueError, match="features of type 'mfcc'; known: 'fbank'"):
        FbankOptions.from_metadata({"type": "mfcc"})
    with pytest.raises(TypeError):
        FbankOptions.from_metadata({"type": "fbank", "colour": 3})


@pytest.mark.parametrize(
    "wrong",
    [
        {"mel_bins": 0},
        {"hop_seconds": 0},
        {"hop_seconds": 0.03},
        {"low_hz": 8000},
        {"low_hz": -1},
        {"mean_window_seconds": -1},
    ],
)
def test_features_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^features need"):
        FbankOptions(**wrong)  # type: ignore[arg-type]
