"""One scene or two sides: calls and scenes made of voices that take turns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sounds import Floats, encode, hiss, tone

from earshot import media
from earshot.media.decoding import Piece
from earshot.media.sides import plan_for

RATE = 8_000


def voice(seconds: float, seed: int) -> Floats:
    """Something with the rhythm of speech: syllables of different loudness, in a voice's band."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / RATE)
    spectrum *= 1 / (1 + (hertz / 500) ** 2) * (hertz > 100)
    syllables = random.gamma(0.7, 1.0, count // (RATE // 5) + 2)
    loudness = np.interp(np.arange(count), np.arange(len(syllables)) * RATE // 5, syllables)
    wave = np.fft.irfft(spectrum, count) * loudness
    return np.asarray(0.1 * wave / np.sqrt(np.mean(wave**2)), np.float32)


def turns(seconds: float = 60.0, *, share: float = 0.5, seed: int = 0) -> Floats:
    """Two people, each on a channel, who take turns and now and then speak together; (2, n)."""
    random = np.random.default_rng(seed)
    both = np.stack([voice(seconds, 2 * seed + 1), voice(seconds, 2 * seed + 2)])
    speaks = np.zeros((2, both.shape[1]), np.float32)
    at = 0
    while at < both.shape[1]:
        length = round(RATE * random.uniform(1, 5))
        speaks[int(random.random() > share), max(at - RATE // 4, 0) : at + length] = 1
        at += length + round(RATE * random.uniform(0, 0.5))
    return both * speaks


def noise(like: Floats, decibels: float) -> Floats:
    """Independent white noise on each channel, in dB of full scale."""
    random = np.random.default_rng(7)
    return (10 ** (decibels / 20) * random.standard_normal(like.shape)).astype(np.float32)


def plan(samples: Floats) -> media.Plan:
    """What is decided for (channels, samples), a second at a time."""
    names = ("FL", "FR", "FC")[: len(samples)]
    starts = range(0, samples.shape[1], RATE)
    return plan_for(Piece(samples[:, at : at + RATE], RATE, at / RATE, names) for at in starts)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_calls_are_split(seed: int) -> None:
    call = turns(seed=seed)
    echo = np.roll(call[::-1], RATE // 8, axis=1)
    assert plan(call) == "split"
    assert plan(call + noise(call, -50)) == "split"
    assert plan(call + noise(call, -30)) == "split"
    assert plan(call + 0.15 * call[::-1]) == "split"  # each hears the other in the line
    assert plan(call + 0.1 * echo) == "split"
    assert plan(turns(share=0.85, seed=seed)) == "split"
    assert plan(np.stack([call[0], 0.3 * call[1]])) == "split"


def test_two_who_speak_all_the_time_are_split() -> None:
    assert plan(np.stack([voice(60, 1), voice(60, 2)])) == "split"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_scenes_are_mixed(seed: int) -> None:
    left, right = turns(seed=seed)
    middle = np.stack([left + right, left + right])
    assert plan(middle) == "mix"
    assert plan(middle + noise(middle, -40)) == "mix"
    assert plan(middle * np.array([[1.0], [0.1]], np.float32)) == "mix"
    seated = np.stack([left + 0.5 * right, 0.5 * left + right])  # 6 dB to either side
    assert plan(seated) == "mix"
    assert plan(seated + noise(seated, -40)) == "mix"
    apart = np.stack([left + 0.7 * right, 0.7 * np.roll(left, 20) + np.roll(right, -20)])
    assert plan(apart) == "mix"


def test_a_side_on_which_nobody_speaks_is_mixed() -> None:
    one = turns()[0]
    for other in (np.zeros_like(one), noise(one, -50), noise(one, -35)):
        assert plan(np.stack([one, other])) == "mix"
        assert plan(np.stack([other, one])) == "mix"


def test_opposite_polarity_would_cancel() -> None:
    one = turns().sum(axis=0)
    assert plan(np.stack([one, -one])) == "split"


def test_what_is_not_two_channels_is_mixed() -> None:
    call = turns(10.0)
    assert plan(call[:1]) == "mix"
    assert plan(np.concatenate([call, call[:1]])) == "mix"
    assert plan(np.zeros((2, RATE), np.float32)) == "mix"
    assert plan(np.zeros((2, 10), np.float32)) == "mix"
    assert plan_for(iter([])) == "mix"


def test_only_the_first_minutes_are_decoded() -> None:
    call, decoded = turns(), list[int]()

    def hours() -> Iterator[Piece]:
        for second in range(10_000):
            decoded.append(second)
            at = RATE * (second % 60)
            yield Piece(call[:, at : at + RATE], RATE, float(second), ("FL", "FR"))

    assert plan_for(hours()) == "split"
    assert len(decoded) < 300


def test_silence_before_a_call_is_passed_over() -> None:
    silent = np.zeros((2, 300 * RATE), np.float32)
    assert plan(np.concatenate([silent, turns()], axis=1)) == "split"


def test_of_files(tmp_path: Path) -> None:
    call = encode(tmp_path / "call.wav", turns(30.0), RATE, "pcm_mulaw")
    assert media.channel_plan(call) == "split"
    assert {block.shape[0] for block in media.blocks(call)} == {2}
    assert media.read(call, 0, 1, channels="auto").shape[0] == 2
    talk = encode(tmp_path / "talk.opus", np.stack([turns(30.0).sum(axis=0)] * 2), 8_000, "libopus")
    assert media.channel_plan(talk) == "mix"
    assert {block.shape[0] for block in media.blocks(talk)} == {1}
    assert media.read(talk, 0, 1).shape[0] == 2
    mono = encode(tmp_path / "mono.wav", hiss(1.0, RATE) + tone(300, 1.0, RATE), RATE, "pcm_s16le")
    assert media.channel_plan(mono) == "mix"
