"""Recordings that grow: found at once, the same in the end as if added, ended by any death."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fakes import FRAME, RATE, UNITS, ToneNetwork, said_at, say, tone_library, write_wav

from earshot import media
from earshot.about import about
from earshot.catalog import Catalog
from earshot.errors import LibraryError, MediaError, UsageError
from earshot.index import SEGMENTS, index_writer, open_snapshot, read_manifest
from earshot.lanes import levels
from earshot.library import Library
from earshot.streaming import Stream

TEXT = "harbour invoice lantern monday contract harbour"
EXAMPLES = Path(__file__).parents[1] / "examples" / "recordings"
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}


class LookingNetwork(ToneNetwork):
    """What it says of a frame depends on `LOOK` frames to each side, as with a network's context.

    A unit is the likelier, the more often it is heard around.
    """

    LOOK = 20

    def __init__(self) -> None:
        super().__init__()
        self.look_seconds = self.LOOK * FRAME / RATE

    def listen(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        heard = np.concatenate([np.zeros((0, len(UNITS)), np.float32), *super().listen(blocks)])
        best = (heard > -1).astype(np.int64)
        sums = np.cumsum(np.pad(best, ((self.LOOK + 1, self.LOOK), (0, 0))), axis=0)
        width = 2 * self.LOOK + 1
        around = sums[width:] - sums[:-width]  # whole numbers: no rounding depends on the window
        yield (3 * best + around / 8).astype(np.float32)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with tone_library(tmp_path / "library") as opened:
        yield opened


def stepwise(library: Library, title: str = "call", **how: object) -> Stream:
    """A stream that commits when it is told to."""
    network = library.listener()
    entry = library._network_entry(network.fingerprint)
    assert entry is not None
    return Stream(library.path, network, entry, title, commit_seconds=None, **how)


def tracks(folder: Path) -> dict[tuple[str, int], np.ndarray]:
    """The costs of every channel, by the recording's title."""
    snapshot = open_snapshot(folder)
    with Catalog(folder) as catalog:
        titles = {row.id: row.title for row in catalog.all()}
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    return {(titles[t.recording], t.channel): heard.costs() for t, heard in pairs}


def test_what_was_written_is_found_while_more_comes(library: Library) -> None:
    sound = say(TEXT)
    with stepwise(library) as call:
        for start in range(0, len(sound), RATE):
            call.write(sound[start : start + RATE], RATE)
            call.flush()
            heard = (start + RATE) / RATE
            with tone_library(library.path) as reader:
                for word in ("invoice", "monday"):
                    found = reader.search(word).mentions
                    assert bool(found) == (said_at(TEXT, word) + 0.8 < heard) or not (
                        said_at(TEXT, word) + 0.9 < heard
                    )
                (row,) = reader.list()
                assert row.growing is not None
                assert row.duration == pytest.approx(min(heard, len(sound) / RATE), abs=0.001)
    (row,) = library.list()
    assert (row.title, row.path, row.growing) == ("call", "", None)
    assert row.id == call.recording.id
    assert library.check() == ()


@pytest.mark.parametrize("network", [ToneNetwork, LookingNetwork])
@pytest.mark.parametrize("sides", [1, 2])
def test_in_the_end_it_is_what_adding_the_file_gives(
    tmp_path: Path, network: type[ToneNetwork], sides: int
) -> None:
    """Written in pieces of odd lengths, committed at odd times, over several sealed segments."""
    random = np.random.default_rng(sides)
    text = " ".join(random.choice(TEXT.split(), 150))
    sound = np.stack([say(text), say(text)[::-1]])[:sides]
    sound = (np.clip(sound, -1, 1) * 32767).astype(np.int16)
    path = write_wav(tmp_path / "file.wav", sound / np.float32(32767))
    with tone_library(tmp_path / "library", network()) as library:
        library.add([path], channels="split")
        with stepwise(library, channels="split") as call:
            at = 0
            while at < sound.shape[1]:
                size = int(random.integers(1, 3 * RATE))
                call.write(sound[:, at : at + size], RATE)
                at += size
                if random.random() < 0.5:
                    call.flush()
        found = tracks(library.path)
        for side in range(sides):
            added, grown = found["file", side], found["call", side]
            assert len(added) > 3000
            assert added.shape == grown.shape
            assert (added == grown).all()
        durations = {row.duration for row in library.list()}
        assert len(durations) == 1
        manifest = read_manifest(library.path)
        assert all(track.start == 0 for s in manifest.segments for track in s.tracks)
        assert library.check() == ()


def test_growing_does_not_bloat(tmp_path: Path) -> None:
    """Ten minutes, committed each second, take what they take when they are added."""
    text = " ".join(TEXT.split() * 60)
    sound = say(text)[: 600 * RATE]
    with tone_library(tmp_path / "library") as library, stepwise(library) as call:
        most = 0
        for start in range(0, len(sound), 10 * RATE):
            call.write(sound[start : start + 10 * RATE], RATE)
            call.flush()
            files = list((library.path / SEGMENTS).iterdir())
            most = max(most, len(files))
            heard = (start + 10 * RATE) / RATE
            size = sum(path.stat().st_size for path in files)
            assert size < 3_600_000 * heard / 3600 + 70_000
        assert most < 20


def test_the_look_ahead_is_provisional_and_put_right(tmp_path: Path) -> None:
    sound = say(TEXT)
    with tone_library(tmp_path / "library", LookingNetwork()) as library:
        with stepwise(library) as call:
            call.write(sound[: 3 * RATE], RATE)
            call.flush()
            early = tracks(library.path)["call", 0]
            assert len(early) == 75
            call.write(sound[3 * RATE :], RATE)
        whole = tracks(library.path)["call", 0]
        same = (early == whole[:75]).all(axis=1)
        assert same[: 75 - LookingNetwork.LOOK - 1].all()
        assert not same[-LookingNetwork.LOOK :].all()  # nothing is put right for its own sake


def test_a_thread_commits_within_two_seconds(library: Library) -> None:
    """Other processes' readers see what was written, though nobody asks for it."""
    sound = say("harbour invoice")
    with library.stream("call", about=about(tags=["live"])) as call:
        call.write(sound, RATE)
        written = time.monotonic()
        while True:
            assert time.monotonic() < written + 30
            try:
                with tone_library(library.path) as reader:
                    found = reader.search("invoice", where="tag:live").mentions
            except LibraryError:  # not there yet
                continue
            if found:
                break
        assert call.recording.growing is not None
    assert library.show("call").tags == ("live",)


def test_any_rate_and_form_of_sound(library: Library) -> None:
    sound = say("harbour invoice")
    wide = np.repeat(sound, 3)
    with stepwise(library, "48k") as call:
        for start in range(0, len(wide), 1000):
            call.write(np.stack([wide[start : start + 1000]] * 2), 48_000)
    assert library.show("48k").duration == pytest.approx(len(sound) / RATE, abs=0.01)
    assert [m.title for m in library.search("invoice").mentions] == ["48k"]


@pytest.mark.parametrize(
    ("sound", "rate"),
    [
        (np.zeros((2, 3, 4), np.float32), RATE),
        (np.zeros(3, np.int32), RATE),
        (np.array([np.nan], np.float32), RATE),
        (np.zeros(3, np.float32), 7),
        (np.zeros((99, 3), np.float32), RATE),
    ],
)
def test_what_is_no_sound_is_refused(library: Library, sound: np.ndarray, rate: int) -> None:
    with stepwise(library) as call, pytest.raises(UsageError):
        call.write(sound, rate)
    assert library.list() == ()


def test_nothing_written_leaves_nothing(library: Library) -> None:
    with stepwise(library) as call:
        call.flush()
        call.close()
    assert library.list() == ()
    assert library.check() == ()


def test_several_streams_and_an_add_at_once(library: Library, tmp_path: Path) -> None:
    sound = say(TEXT)
    path = write_wav(tmp_path / "file.wav", say("monday"))
    streams = [stepwise(library, f"call {number}") for number in range(3)]
    for start in range(0, len(sound), RATE):
        for call in streams:
            call.write(sound[start : start + RATE], RATE)
            call.flush()
        library.add([path])
    for call in streams:
        call.close()
    found = tracks(library.path)
    assert len(found) == 4
    assert (found["call 0", 0] == found["call 2", 0]).all()
    assert library.check() == ()


def test_merging_its_end_meanwhile_loses_nothing(library: Library) -> None:
    """Another process optimizes: the end that was to be replaced is no segment of its own now."""
    sound = say(" ".join([TEXT] * 10))
    with stepwise(library) as call:
        for start in range(0, len(sound), 7 * RATE):
            call.write(sound[start : start + 7 * RATE], RATE)
            call.flush()
            if start % 2:
                library.optimize()
                assert len(read_manifest(library.path).segments) == 1
            else:
                with index_writer(library.path) as writer:
                    writer.join(call.recording.id)
    with stepwise(library, "again") as again:
        again.write(sound, RATE)
    found = tracks(library.path)
    assert (found["call", 0] == found["again", 0]).all()
    assert library.check() == ()


def test_a_recording_that_is_removed_while_it_grows_stays_removed(library: Library) -> None:
    call = stepwise(library)
    call.write(say("harbour"), RATE)
    call.flush()
    library.remove("call")
    call.write(say("harbour"), RATE)
    with pytest.raises(LibraryError, match="removed while it was heard"):
        call.flush()
    assert library.list() == ()


def test_what_its_owner_says_meanwhile_stays(library: Library) -> None:
    with stepwise(library) as call:
        call.write(say("harbour"), RATE)
        call.flush()
        library.edit("call", about(title="renamed", tags=["vip"]))
        call.write(say("monday"), RATE)
    row = library.show("renamed")
    assert (row.tags, row.growing) == (("vip",), None)
    assert row.duration == pytest.approx(len(say("harbour")) * 2 / RATE, abs=0.5)


def test_a_killed_stream_ends_with_its_last_commit(tmp_path: Path) -> None:
    program = """
import os, signal
from fakes import RATE, say, tone_library
from test_streaming import TEXT, stepwise
with tone_library("library") as library, stepwise(library) as call:
    sound = say(" ".join([TEXT] * 30))
    for start in range(0, len(sound), 30 * RATE):
        call.write(sound[start : start + 30 * RATE], RATE)
        if start > 90 * RATE:
            os.kill(os.getpid(), signal.SIGKILL)
        call.flush()
"""
    subprocess.run([sys.executable, "-c", program], env=ENVIRONMENT, cwd=tmp_path, check=False)
    with tone_library(tmp_path / "library") as library:
        (row,) = library.list()
        assert row.duration == 120
        assert row.growing is not None
        before = tracks(library.path)["call", 0]
        assert len(before) == 120 * 25
        assert library.check() == ()
        with Catalog(library.path, writable=True) as catalog:
            long_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
            catalog.change(row.id, lambda one: replace(one, growing=long_ago))
        library.optimize()
        (row,) = library.list()
        assert row.growing is None
        assert (tracks(library.path)["call", 0] == before).all()
        (segment,) = read_manifest(library.path).segments
        assert [track.start for track in segment.tracks] == [0]
        assert library.search("lantern").mentions
        with pytest.raises(MediaError, match="has no file"):
            library.clip("call", tmp_path / "clip.wav")


def test_a_full_disk_is_told_and_what_was_committed_is_kept(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = stepwise(library)
    call.write(say("harbour"), RATE)
    call.flush()
    before = tracks(library.path)["call", 0]
    call.write(say("monday"), RATE)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(LibraryError, match=r"disk .* is full"):
            call.flush()
    assert (tracks(library.path)["call", 0] == before).all()
    call.flush()  # once there is room again, nothing that was written is missing
    call.close()
    assert len(library.search("monday").mentions) == 1


def test_the_network_that_ships_hears_a_stream_as_it_hears_a_file(tmp_path: Path) -> None:
    """Quantised as it is, what it says of a moment depends a little on the window around it."""
    (example, *_) = sorted(p for p in EXAMPLES.glob("*.opus") if media.probe(p).duration > 20)
    sound = np.concatenate(list(media.blocks(example, channels="mix")), axis=1)[0, : 20 * RATE]
    path = write_wav(tmp_path / "file.wav", sound)
    with Library(tmp_path / "library") as library:
        library.add([path])
        with stepwise(library) as call:
            for start in range(0, len(sound), 5 * RATE):
                call.write(sound[start : start + 5 * RATE], RATE)
                call.flush()
        found = tracks(library.path)
    file, grown = found["file", 0], found["call", 0]
    assert len(file) == len(grown) == 500
    assert np.abs(levels(file).astype(int) - levels(grown).astype(int)).mean() < 0.2
    assert (file.argmin(axis=1) == grown.argmin(axis=1)).mean() > 0.97
