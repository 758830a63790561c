"""The cache of frames: what was put comes back, whoever died or wrote beside it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from kur.data.cache import FrameCache
from kur.errors import KurError

Floats = npt.NDArray[np.float32]


def frames(seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(int(rng.integers(0, 30)), 4)).astype(np.float32)


def test_what_is_put_comes_back_as_put_gave_it(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path / "deep", "k", 4)
    given = [cache.put(f"clip {i}", frames(i)) for i in range(20)]
    for one in (cache, FrameCache(tmp_path / "deep", "k", 4)):
        for i, wanted in enumerate(given):
            found = one.get(f"clip {i}")
            assert found is not None and found.dtype == np.float32
            assert np.array_equal(found, wanted)
            np.testing.assert_allclose(wanted, frames(i), atol=2e-3)
        assert one.get("clip 20") is None
    again = cache.put("clip 3", frames(3))
    assert np.array_equal(again, given[3])
    assert len((tmp_path / "deep" / "k.index").read_text().splitlines()) == 20


def test_keys_do_not_mix(tmp_path: Path) -> None:
    FrameCache(tmp_path, "a", 4).put("clip", frames(1))
    assert FrameCache(tmp_path, "b", 4).get("clip") is None


def test_what_another_process_puts_is_found_without_a_put(tmp_path: Path) -> None:
    one, other = FrameCache(tmp_path, "k", 4), FrameCache(tmp_path, "k", 4)
    for i in range(3):
        assert one.get(f"clip {i}") is None
        given = other.put(f"clip {i}", frames(i))
        found = one.get(f"clip {i}")
        assert found is not None and np.array_equal(found, given)
    with (tmp_path / "k.index").open("ab") as index:
        index.write(b'["clip 3", ')  # a killed writer
    assert one.get("clip 3") is None
    given = one.put("clip 3", frames(3))
    found = other.get("clip 3")
    assert found is not None and np.array_equal(found, given)


@pytest.mark.parametrize("keep", range(0, 40, 7))
def test_half_an_index(keep: int, tmp_path: Path) -> None:
    """Cut anywhere: whole lines stay, the rest is put anew and all is well."""
    cache = FrameCache(tmp_path, "k", 4)
    for i in range(3):
        cache.put(f"clip {i}", frames(i + 10))
    index = tmp_path / "k.index"
    index.write_bytes(index.read_bytes()[:keep])
    again = FrameCache(tmp_path, "k", 4)
    kept = [again.get(f"clip {i}") is not None for i in range(3)]
    assert sum(kept) == index.read_bytes().count(b"\n")
    wanted = {f"clip {i}": again.put(f"clip {i}", frames(i + 10)) for i in range(3)}
    for one in (again, FrameCache(tmp_path, "k", 4)):
        for name, array in wanted.items():
            found = one.get(name)
            assert found is not None and np.array_equal(found, array)


def test_frames_that_the_disk_lost_are_made_anew(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, "k", 4)
    wanted = cache.put("clip", frames(5))
    (tmp_path / "k.frames").write_bytes(b"")
    assert cache.get("clip") is None
    assert np.array_equal(cache.put("clip", frames(5)), wanted)


def test_many_threads(tmp_path: Path) -> None:
    cache = FrameCache(tmp_path, "k", 4)

    def fill(i: int) -> Floats:
        return cache.put(f"clip {i % 40}", frames(i % 40))

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(fill, range(120)))
    other = FrameCache(tmp_path, "k", 4)
    for i in range(40):
        found = other.get(f"clip {i}")
        assert found is not None and np.array_equal(found, given[i])
    assert len((tmp_path / "k.index").read_text().splitlines()) == 40


def test_many_processes_some_of_which_die(tmp_path: Path) -> None:
    """Each writes clips of its own and some that all have; every third is killed at its work."""
    children = []
    for number in range(6):
        child = os.fork()
        if child == 0:
            cache = FrameCache(tmp_path, "k", 4)
            for i in range(30):
                cache.put(f"all {i}", frames(i))
                cache.put(f"own {number} {i}", frames(100 * number + i))
                if number % 3 == 2 and i == 12:
                    os.kill(os.getpid(), signal.SIGKILL)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    cache = FrameCache(tmp_path, "k", 4)
    for number in range(6):
        for i in range(13 if number % 3 == 2 else 30):
            for name, seed in ((f"all {i}", i), (f"own {number} {i}", 100 * number + i)):
                found = cache.get(name)
                assert found is not None
                np.testing.assert_allclose(found, frames(seed), atol=2e-3)


def test_caches_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KurError, match=r"file/in: cannot be used as a cache: Not a directory"):
        FrameCache(tmp_path / "file" / "in", "k", 4)
    (tmp_path / "k.index").write_text("hello\n")
    with pytest.raises(KurError, match=r"k\.index: damaged; remove it and k\.frames"):
        FrameCache(tmp_path, "k", 4)
    cache = FrameCache(tmp_path, "other", 4)
    (tmp_path / "other.frames").mkdir()
    with pytest.raises(KurError, match=r"other\.frames: cannot be written"):
        cache.put("clip", frames(5))
