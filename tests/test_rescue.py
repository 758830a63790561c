"""A damaged catalogue: every row that can be read is kept, whenever the rescue is interrupted."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import hooked

from earshot.catalog import Catalog
from earshot.errors import LibraryError
from earshot.rescue import DAMAGED, interrupted, rescue
from earshot.rows import FILE, verify
from earshot.types import Recording

ROWS = [Recording(f"{n:012x}", f"/{n}.wav", "t" * 200, 1.0, 1, "d", n, "2020") for n in range(200)]


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A catalogue with 4 KB of rubbish in the middle, and its last rows in the log only."""
    folder = tmp_path / "damaged"
    folder.mkdir()
    with Catalog(folder, writable=True) as catalog:
        catalog.put(*ROWS)
    path = folder / FILE
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    return folder


def test_rows_on_both_sides_of_the_damage_are_kept(damaged: Path) -> None:
    kept = rescue(damaged)
    assert kept is not None
    assert 150 < len(kept) < len(ROWS)
    assert {row.id for row in (ROWS[0], ROWS[-1])} <= {row.id for row in kept}
    verify(damaged)
    with Catalog(damaged) as catalog:
        assert sorted(catalog.all(), key=lambda row: row.id) == sorted(kept, key=lambda r: r.id)
    assert (damaged / DAMAGED).exists()
    assert not interrupted(damaged)


def test_without_a_catalogue_there_is_an_empty_one(tmp_path: Path) -> None:
    assert rescue(tmp_path) is None
    with Catalog(tmp_path) as catalog:
        assert catalog.all() == []


def killed_before(call: int, folder: Path) -> bool:
    """Rescue in a process that dies before its `call`-th call that changes the disk."""
    child = os.fork()
    if child == 0:
        calls = 0

        def before(_: str, half: Callable[[], object]) -> None:
            nonlocal calls
            calls += 1
            if calls == call:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            with hooked(before):
                rescue(folder)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_a_rescue_that_is_killed_goes_on(damaged: Path, tmp_path: Path) -> None:
    whole = rescue(Path(shutil.copytree(damaged, tmp_path / "whole")))
    for call in range(1, 99):
        folder = Path(shutil.copytree(damaged, tmp_path / str(call)))
        if not killed_before(call, folder):
            break
        if call % 2:  # and once more, at the same place
            killed_before(call, folder)
        try:
            verify(folder)
            ended = not interrupted(folder)
        except LibraryError:
            ended = False
        if not ended:
            rescue(folder)
        verify(folder)
        with Catalog(folder) as catalog:
            assert len(catalog.all()) == len(whole or ())
        assert (folder / DAMAGED).exists()
        assert not interrupted(folder)
        assert not (folder / "catalog.rescue").exists()
        shutil.rmtree(folder)
    assert call > 8
