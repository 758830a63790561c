"""Windows over PCM: however a recording is cut, they hold the frames of the whole, once."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.features import LogMel, Window, windows
from kur.features import FbankOptions, features

Floats = npt.NDArray[np.float32]

RATE = 16_000
HOP = 160
OPTIONS = FbankOptions(mel_bins=8, mean_window_seconds=0.3)


def noise(samples: int) -> Floats:
    """Sound whose level changes all the time, so that every frame has its own mean."""
    rng = np.random.default_rng(0)
    swell = 0.1 + 0.1 * np.sin(np.arange(samples) / 3000)
    return (rng.normal(size=samples) * swell).astype(np.float32)


def blocks(pcm: Floats, cuts: list[int]) -> Iterator[Floats]:
    edges = [0, *sorted(cuts), len(pcm)]
    return (pcm[a:b] for a, b in itertools.pairwise(edges))


def cut(
    pcm: Floats, cuts: list[int], context: float = 0.2, multiple: int = 4, window: float = 0.5
) -> list[Window]:
    return list(
        windows(
            blocks(pcm, cuts),
            LogMel(OPTIONS),
            sample_rate=RATE,
            context_seconds=context,
            multiple=multiple,
            window_seconds=window,
        )
    )


def joined(made: list[Window]) -> Floats:
    inside = [one.frames[one.before : one.before + one.count] for one in made]
    return np.concatenate(inside) if inside else np.zeros((0, OPTIONS.mel_bins), np.float32)


@given(
    st.integers(0, 40_000),
    st.lists(st.integers(0, 40_000), max_size=8),
    st.integers(1, 8),
    st.sampled_from([0.0, 0.1, 0.35]),
    st.sampled_from([0.1, 0.5, 3.0]),
)
@settings(deadline=None, max_examples=60)
def test_any_cut_gives_the_frames_of_the_whole(
    samples: int, cuts: list[int], multiple: int, context: float, window: float
) -> None:
    pcm = noise(samples)
    made = cut(pcm, [min(one, samples) for one in cuts], context, multiple, window)
    whole = features(pcm, RATE, OPTIONS)
    found = joined(made)
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, atol=1e-4)
    assert all(one.before % multiple == 0 for one in made)
    assert all(one.count % multiple == 0 for one in made[:-1])
    assert all(one.count > 0 for one in made)


@pytest.mark.parametrize("rest", [0, 1, 79, 80, 81, 159])
@pytest.mark.parametrize("frames", [0, 1, 2, 3, 250])
def test_a_last_frame_that_is_half_there(rest: int, frames: int) -> None:
    samples = frames * HOP + rest
    assert len(joined(cut(noise(samples), []))) == OPTIONS.frames_in(samples, RATE)


def test_the_context_is_there_on_both_sides() -> None:
    """And it is as long as the network and the moving mean ask for."""
    made = cut(noise(10 * RATE), list(range(0, 10 * RATE, 1600)), context=0.2)
    assert len(made) > 10
    least = (0.2 + 0.15) / OPTIONS.hop_seconds
    for one in made[1:]:
        assert one.before >= least
    for one in made[:-1]:
        assert len(one.frames) - one.before - one.count >= least
    assert made[0].before == 0


def test_memory_is_bounded_by_the_window() -> None:
    """Blocks are asked for one by one, and no window grows with the recording."""
    asked = []

    def endless() -> Iterator[Floats]:
        for i in range(100_000):
            asked.append(i)
            yield np.zeros(RATE, np.float32)

    made = windows(
        endless(),
        LogMel(OPTIONS),
        sample_rate=RATE,
        context_seconds=0.2,
        multiple=4,
        window_seconds=2.0,
    )
    for _ in range(20):
        assert len(next(made).frames) <= 200 + 2 * 60
    assert len(asked) <= 2 * 20 + 3


def test_silence_and_nothing() -> None:
    assert cut(np.zeros(0, np.float32), []) == []
    assert len(joined(cut(np.zeros(RATE, np.float32), [7, 7, 9]))) == 100
