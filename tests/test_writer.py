"""Changing an index: commits, removals, merges and locks leave exactly what they should."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import LibraryBusy, LibraryError, OtherNetwork
from earshot.index import (
    FILE,
    SEGMENTS,
    IndexWriter,
    Manifest,
    NetworkEntry,
    index_writer,
    open_snapshot,
    read_manifest,
)
from earshot.index import writer as writer_module
from earshot.lanes import LEVELS

NETWORK = NetworkEntry("ab" * 32, ("AA", "B", "<blank>"), 2, 0.04)
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
OTHER = NetworkEntry("cd" * 32, ("AA", "<blank>"), 1, 0.04)


def identity(number: int) -> str:
    """The id of the recording of this number."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:12]


def costs_of(number: int, channel: int = 0, frames: int | None = None) -> np.ndarray:
    """The costs (frames, 3) of a recording of this number, as they can be stored."""
    random = np.random.default_rng([number, channel])
    shape = (number % 7 if frames is None else frames, 3)
    return np.array(LEVELS, np.uint8)[random.integers(0, len(LEVELS), shape)]


def add(writer: IndexWriter, number: int, channels: int = 1, frames: int | None = None) -> None:
    """Add the recording of this number."""
    tracks = [writer.track(identity(number), channel) for channel in range(channels)]
    for channel, track in enumerate(tracks):
        track.append(costs_of(number, channel, frames))
    writer.commit(writer.stage(tracks))
    for track in tracks:
        track.__exit__()


def contents(folder: Path) -> dict[tuple[str, int], bytes]:
    """What a reader finds."""
    snapshot = open_snapshot(folder)
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    return {(track.recording, track.channel): heard.costs().tobytes() for track, heard in pairs}


def expected(*numbers: int) -> dict[tuple[str, int], bytes]:
    """What a reader must find after these recordings were added."""
    return {(identity(number), 0): costs_of(number).tobytes() for number in numbers}


def files(folder: Path) -> set[str]:
    """Names of all files in the segments folder."""
    return {path.name for path in (folder / SEGMENTS).iterdir()}


def test_added_is_there_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "library"
    with index_writer(folder, NETWORK) as writer:
        assert contents(folder) == {}
        add(writer, 1)
        assert contents(folder) == expected(1)
        add(writer, 2, channels=2)
    second = {(identity(2), 1): costs_of(2, 1).tobytes()}
    assert contents(folder) == expected(1, 2) | second
    assert files(folder) == {segment.file for segment in read_manifest(folder).segments}


def test_staged_does_not_count_and_is_cleaned_by_the_next_writer(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
        with writer.track(identity(2), 0) as track:
            track.append(costs_of(2))
            writer.stage([track])
        writer.track(identity(3), 0).append(costs_of(3))
    assert contents(tmp_path) == expected(1)
    assert len(files(tmp_path)) == 3
    with index_writer(tmp_path):
        assert len(files(tmp_path)) == 1
    assert contents(tmp_path) == expected(1)


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["add", "remove", "tidy", "reopen"]), st.integers(0, 20)),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(ACTIONS)
def test_any_sequence_leaves_what_was_added_and_not_removed(
    tmp_path_factory: pytest.TempPathFactory, actions: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("library")
    present: set[int] = set()
    queue = list(actions)
    while True:
        with index_writer(folder, NETWORK) as writer:
            while queue:
                action, number = queue.pop()
                if action == "reopen":
                    break
                if action == "add" and number not in present:
                    add(writer, number)
                    present.add(number)
                elif action == "remove":
                    writer.remove([identity(number)])
                    present.discard(number)
                elif action == "tidy":
                    writer.tidy()
        assert contents(folder) == expected(*present)
        if not queue:
            break
    assert files(folder) == {segment.file for segment in read_manifest(folder).segments}


def test_thousands_of_recordings_become_a_few_segments(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        for number in range(300):
            add(writer, number)
            writer.tidy()
            assert len(writer.manifest.segments) < 3 * writer_module.MERGE_AT
    assert contents(tmp_path) == expected(*range(300))
    assert len(files(tmp_path)) == len(read_manifest(tmp_path).segments)


def test_large_segments_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LARGEST_MERGED", 1000)
    with index_writer(tmp_path, NETWORK) as writer:
        for number in range(20):
            add(writer, number, frames=1000)
            writer.tidy()
        assert len(writer.manifest.segments) == 20


def test_tidying_takes_removed_tracks_off_the_disk(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        for number in range(8):
            add(writer, number, frames=1000)
        writer.tidy()
        assert len(writer.manifest.segments) == 1
        before = sum(path.stat().st_size for path in (tmp_path / SEGMENTS).iterdir())
        writer.remove([identity(3)])
        assert (identity(3), 0) not in contents(tmp_path)
        writer.tidy()
    (segment,) = read_manifest(tmp_path).segments
    assert segment.frames == segment.live_frames == 7000
    assert len(files(tmp_path)) == 1
    data = (tmp_path / SEGMENTS / segment.file).read_bytes()
    assert len(data) < before
    assert (identity(3), 0) not in contents(tmp_path)
    assert contents(tmp_path)[identity(4), 0] == costs_of(4, frames=1000).tobytes()


def test_damage_is_not_merged_into_new_checksums(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        for number in range(1, 9):
            add(writer, number, frames=50)
        before = writer.manifest
        path = tmp_path / SEGMENTS / before.segments[3].file
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        writer.tidy()
        assert writer.manifest == before
    assert len(files(tmp_path)) == 8


def refuse(error: int) -> Callable[..., None]:
    """A system call that is refused."""

    def call(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    return call


def test_a_manifest_that_cannot_be_swapped_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
        with writer.track(identity(2), 0) as track:
            track.append(costs_of(2))
            segment = writer.stage([track])
            with monkeypatch.context() as patch:
                patch.setattr(Path, "replace", refuse(errno.ENOSPC))
                with pytest.raises(LibraryError, match=r"disk .* is full"):
                    writer.commit(segment)
        assert contents(tmp_path) == expected(1)
        assert len(files(tmp_path)) == 1
        add(writer, 3)
    assert contents(tmp_path) == expected(1, 3)


def test_a_swap_whose_last_step_fails_keeps_what_the_manifest_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
        with writer.track(identity(2), 0) as track:
            track.append(costs_of(2))
            segment = writer.stage([track])
            with monkeypatch.context() as patch:
                patch.setattr("earshot.index.durable.sync_folder", refuse(errno.EIO))
                with pytest.raises(LibraryError, match="cannot be written"):
                    writer.commit(segment)
        assert contents(tmp_path) == expected(1, 2)
        add(writer, 3)
    assert contents(tmp_path) == expected(1, 2, 3)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK):
        with pytest.raises(LibraryBusy, match="wait until it has finished"):
            index_writer(tmp_path, NETWORK).__enter__()
        program = f"""
from pathlib import Path
from earshot.errors import LibraryBusy
from earshot.index import index_writer
try:
    index_writer(Path({str(tmp_path)!r})).__enter__()
except LibraryBusy:
    print("busy")
"""
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env=ENVIRONMENT
        )
        assert done.stdout == b"busy\n"
    with index_writer(tmp_path):
        pass


def test_another_network_is_refused_as_long_as_there_are_recordings(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
    with pytest.raises(OtherNetwork, match=r"abababababab.*cdcdcdcdcdcd"):
        index_writer(tmp_path, OTHER).__enter__()
    with index_writer(tmp_path) as writer:
        writer.remove([identity(1)])
    with index_writer(tmp_path, OTHER) as writer:
        assert writer.manifest.network == OTHER
    assert read_manifest(tmp_path).network == OTHER


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(LibraryError, match="not empty and holds no library"):
        index_writer(tmp_path, NETWORK).__enter__()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_segments_without_a_manifest_are_never_deleted(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
    (tmp_path / FILE).unlink()
    before = files(tmp_path)
    for network in (NETWORK, None):
        with pytest.raises(LibraryError):
            index_writer(tmp_path, network).__enter__()
    assert files(tmp_path) == before


@pytest.mark.parametrize("leftover", [".lock", "library.json.part", SEGMENTS])
def test_a_crash_while_creating_is_no_obstacle(tmp_path: Path, leftover: str) -> None:
    path = tmp_path / leftover
    path.mkdir() if leftover == SEGMENTS else path.touch()
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 1)
    assert contents(tmp_path) == expected(1)


def test_removing_needs_a_library_and_makes_none(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="earshot add"):
        index_writer(tmp_path / "none").__enter__()
    assert list(tmp_path.iterdir()) == []


def test_readers_never_meet_a_missing_segment(tmp_path: Path) -> None:
    """A reader opens again and again while a writer merges and removes."""
    program = f"""
from pathlib import Path
from test_writer import NETWORK, add, identity
from earshot.index import index_writer
with index_writer(Path({str(tmp_path)!r}), NETWORK) as writer:
    print("ready", flush=True)
    for number in range(1, 120):
        add(writer, number)
        writer.tidy()
        writer.remove([identity(number - 5)])
        writer.tidy()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        last = 0
        while process.poll() is None:
            snapshot = open_snapshot(tmp_path)
            assert snapshot.manifest.generation >= last
            last = snapshot.manifest.generation
            for track, heard in zip(snapshot.tracks, snapshot.heard, strict=True):
                assert heard.costs().shape == (track.frames, 3)
    assert process.returncode == 0
    assert contents(tmp_path) == expected(*range(115, 120))


def test_an_empty_library_has_an_empty_snapshot(tmp_path: Path) -> None:
    with index_writer(tmp_path, NETWORK):
        pass
    snapshot = open_snapshot(tmp_path)
    assert snapshot.manifest == Manifest(NETWORK)
    assert snapshot.tracks == snapshot.heard == ()
