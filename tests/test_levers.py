"""`recipes/levers.py`: transcripts pinned to frames, weights averaged."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

sys.path.append(str(Path(__file__).parents[1] / "recipes"))

from levers import HERE, PINNED_REACH, WAYS, average, pinned

from kur.reader import Kurfile
from kur.validate import validate

BLANK = 2


def best_path(heard: np.ndarray, phones: list[int]) -> tuple[int, ...]:
    """The likeliest of all paths that CTC collapses to `phones`."""

    def collapsed(path: tuple[int, ...]) -> list[int]:
        runs = [unit for unit, _ in itertools.groupby(path)]
        return [unit for unit in runs if unit != BLANK]

    paths = itertools.product(range(BLANK + 1), repeat=len(heard))
    fitting = (path for path in paths if collapsed(path) == phones)
    return max(fitting, key=lambda path: sum(heard[frame, unit] for frame, unit in enumerate(path)))


@given(
    seed=st.integers(0, 2**32 - 1),
    frames=st.integers(5, 7),
    phones=st.lists(st.integers(0, 1), min_size=1, max_size=3),
)
def test_a_phone_is_pinned_around_where_the_best_path_has_it(
    seed: int, frames: int, phones: list[int]
) -> None:
    heard = np.random.default_rng(seed).normal(size=(frames, BLANK + 1)).astype(np.float32)
    path = best_path(heard, phones)
    firsts = [
        frame
        for frame, unit in enumerate(path)
        if unit != BLANK and (frame == 0 or path[frame - 1] != unit)
    ]
    steps = pinned(heard, np.array(phones), BLANK)
    assert [int(steps[frame]) for frame in firsts] == phones
    for frame, unit in enumerate(steps):
        near = min(abs(frame - first) for first in firsts)
        assert (unit == BLANK) == (near > PINNED_REACH)


def test_averaged_weights_are_means(tmp_path: Path) -> None:
    for name, value in (("a", 1.0), ("b", 4.0)):
        save_file({"w": np.full(3, value, np.float32)}, tmp_path / name)
    average([tmp_path / "a", tmp_path / "b"], tmp_path / "mean")
    mean = load_file(tmp_path / "mean")["w"]
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, 2.5)


@pytest.mark.parametrize("name", WAYS)
def test_the_kurfiles_of_every_way_are_right(name: str) -> None:
    way = WAYS[name]
    settings = dict(one.split("=", 1) for one in way.settings)
    first = [way.first] if way.first and way.first not in WAYS else []
    for kurfile in (way.kurfile, *first):
        assert validate(Kurfile(HERE / kurfile, settings)) == ()


def test_the_kurfile_of_more_epochs_is_right() -> None:
    assert validate(Kurfile(HERE / "acoustic_more.yml", {"settings.round": "2"})) == ()
