"""Compiled code: kept, found again without Numba, told from what is damaged or of others."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from synthetic_ear import BLANK, FRAME_SECONDS, UNITS, SyntheticEar, sounds, track

from earshot.search import Calibration, Ear, native, search_tracks

LOWEST = np.array([0, 3, 3, 9, 200], np.uint8)


def counted(count: Callable[..., int], lowest: np.ndarray = LOWEST) -> list[int]:
    histogram = np.zeros(9, np.int64)
    count(lowest, 4, 2, histogram)
    return [int(one) for one in histogram]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for compiled code, and no memory of what was loaded before."""
    monkeypatch.setenv(native.CACHE_VARIABLE, str(tmp_path / "cache"))
    native.kernel.cache_clear()
    native._say_once.cache_clear()
    yield tmp_path / "cache"
    native.kernel.cache_clear()


def test_it_is_compiled_once_and_says_so(cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert counted(native.kernel("count8")) == [1, 0, 0, 0, 0, 0, 2, 0, 0]
    (kept,) = cache.iterdir()
    assert kept.name.startswith("count8-") and kept.suffix == ".kernel"
    assert [one.levelno for one in caplog.records] == [logging.WARNING]
    code = """
import sys
import numpy as np
from earshot.search import native
histogram = np.zeros(9, np.int64)
native.kernel("count8")(np.array([0, 3], np.uint8), 4, 2, histogram)
assert histogram.tolist() == [1, 0, 0, 0, 0, 0, 1, 0, 0]
assert "numba" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("damage", [b"", b"x" * 40, None])
def test_what_is_damaged_is_compiled_again(cache: Path, damage: bytes | None) -> None:
    native.kernel("count8")
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + b"\0\1" if damage is None else damage)
    native.kernel.cache_clear()
    assert counted(native.kernel("count8"))[0] == 1
    assert native._kept(kept) is not None


def test_another_version_is_another_file(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native.kernel("count8")
    monkeypatch.setattr(native, "_version", lambda: "other")
    native.kernel.cache_clear()
    native.kernel("count8")
    assert len(list(cache.iterdir())) == 2


def test_without_a_place_to_keep_it_it_is_compiled_all_the_same(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.write_text("a file where a folder should be")
    assert counted(native.kernel("count8"))[0] == 1


def test_what_is_not_as_expected_is_called_through_numba(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native, "_OUTSIDE", set[str]())
    monkeypatch.setattr(native, "_flat_types", lambda kind, dimensions: [])
    found = native.kernel("count8")
    assert not isinstance(found, native._Native)
    assert counted(found) == [1, 0, 0, 0, 0, 0, 2, 0, 0]
    assert not cache.exists()


def test_arguments_of_other_types_are_refused() -> None:
    count = native.kernel("count8")
    for wrong in (LOWEST.astype(np.int64), LOWEST.reshape(1, -1), LOWEST[::2]):
        with pytest.raises(TypeError, match="count8 takes u1:1"):
            counted(count, wrong)


def half_as_wide() -> tuple[str, int] | None:
    """Another way to look costs up than the one that is used here, if the processor has one."""
    from earshot.search import vectors

    return ("llvm.x86.ssse3.pshuf.b.128", 16) if "x86" in str(vectors._SHUFFLE) else None


@pytest.mark.parametrize("shuffle", [lambda: None, half_as_wide])
def test_numba_and_native_code_find_the_same(
    shuffle: Callable[[], tuple[str, int] | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from earshot.search import likeliest, sought, sweep, vectors

    ear = SyntheticEar(4)
    words = [ear.word(4), ear.word(5)]
    tracks = [track("said", ear.speak(words, [0, 1] * 12, 0.1).costs)]
    background = (ear.babble(3000),)

    def found() -> list[object]:
        return [
            search_tracks(
                [sounds(word)],
                tracks,
                Ear(UNITS, BLANK, FRAME_SECONDS, Calibration(background=background)),
            )
            for word in words
        ]

    here = found()
    assert all(here)
    monkeypatch.setattr(vectors, "_SHUFFLE", shuffle())
    made = {name: native.through_numba(name) for name in ("count8", "seek", "distinct")}
    for module in (likeliest, sought, sweep):
        monkeypatch.setattr(module, "kernel", lambda name: made.get(name) or native.kernel(name))
    assert found() == here


def test_where_code_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(native.CACHE_VARIABLE, os.curdir)
    assert native.cache_folder() == Path()
    monkeypatch.delenv(native.CACHE_VARIABLE)
    assert native.cache_folder().name in ("earshot", "Cache")
