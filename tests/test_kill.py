"""Kill -9, refusals and power cuts at any moment: the library opens, and nothing is lost or halved.

A driver process forks a child for each moment. The child changes a library (adds and removes,
optimizes, repairs, lets a recording grow), reporting through a pipe what is done. Before its n-th
call that changes the disk, for every n, it dies, or the call is refused, or the power fails. Then
the library is opened and compared with what an undisturbed one holds, and the next change works.
"""

from __future__ import annotations

import errno
import os
import random
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from fakes import RATE, WORDS, ToneNetwork, say, tone_library, write_wav
from faults import Disk, hooked

from earshot import adding, streaming
from earshot.catalog import Catalog
from earshot.errors import LibraryError
from earshot.index import (
    FILE,
    SEGMENTS,
    costs,
    index_writer,
    open_snapshot,
    read_manifest,
    writer,
)
from earshot.lanes import costs_of, levels
from earshot.library import Library
from earshot.media import MediaInfo
from earshot.outcome import Status

TITLES = ("talk0", "talk1", "talk2", "talk3")
OLD = 2  # so many of them are in the library before
LIVE = say("harbour invoice lantern monday")
MODES = ("killed", "killed in a write", "disk full", "disk error", "power cut", "names lost")

LIMITS = (0, 100, 2000, 5000, 9000, 14_000, 25_000, 32_100)
"""Bytes that no file may exceed: a segment has 32,320, the catalogue's log some thousands."""

Contents = dict[str, list[bytes]]
Report = Callable[[str], None]


def make_talks(folder: Path) -> None:
    """Recordings of different words and lengths."""
    folder.mkdir(exist_ok=True)
    words = list(WORDS)
    for number, title in enumerate(TITLES):
        text = " ".join(words[(number + step) % len(words)] for step in range(1 + number % 3))
        write_wav(folder / f"{title}.wav", say(text)[: -number * 100 or None])


def read_plainly() -> None:
    """Read WAV files without FFmpeg, which is no part of this and takes most of the time."""

    def blocks(path: Path, **_: object) -> Iterator[np.ndarray]:
        with wave.open(str(path)) as file:
            data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        yield np.asarray(data[None], np.float32) / np.float32(32768)

    adding.media.blocks = blocks  # type: ignore[assignment]
    adding.media.probe = lambda _: MediaInfo(None, 1, RATE, "pcm_s16le", "wav")


def contents(folder: Path) -> Contents:
    """What a reader finds: every recording with its tracks' bytes."""
    with tone_library(folder) as library:
        assert [str(one) for one in library.check() if one.harmful] == []
        listed = {recording.id for recording in library.list()}
    found: Contents = {}
    snapshot = open_snapshot(folder)
    for track, heard in zip(snapshot.tracks, snapshot.heard, strict=True):
        found.setdefault(track.recording, []).append(heard.costs().tobytes())
    assert set(found) == listed
    return found


class Scene:
    """What is there, what is done to it, and what must be found afterwards."""

    def __init__(self, work: Path) -> None:
        self.talks = work / "talks"
        self.base = work / "base"
        make_talks(self.talks)
        with tone_library(work / "whole") as library:
            added = library.add([self.talks]).added
        self.ids = [recording.id for recording in added]
        self.whole = contents(work / "whole")
        self.prepare(self.base)

    def files(self, *numbers: int) -> list[Path]:
        return [self.talks / f"{TITLES[number]}.wav" for number in numbers]

    def prepare(self, folder: Path) -> None:
        with tone_library(folder) as library:
            library.add(self.files(*range(OLD)))

    def change(self, library: Library, report: Report) -> None:
        raise NotImplementedError

    def check(self, folder: Path, reported: list[str]) -> None:
        """What must hold at once."""
        raise NotImplementedError

    def check_after(self, folder: Path, reported: list[str]) -> None:
        """The library is as reported or one step further; the next change finishes the work."""
        self.check(folder, reported)
        with tone_library(folder) as library:
            assert library.add([self.talks]).failed == ()
        found = contents(folder)
        assert {id: tracks for id, tracks in found.items() if id in self.whole} == self.whole
        manifest = read_manifest(folder)
        on_disk = {path.name for path in (folder / SEGMENTS).iterdir()}
        assert on_disk == {segment.file for segment in manifest.segments}
        with Catalog(folder) as catalog:
            assert {row.id for row in catalog.all()} == set(manifest.recordings())


class AddAndRemove(Scene):
    def change(self, library: Library, report: Report) -> None:
        for outcome in library.add_each(self.files(*range(OLD, len(TITLES)))):
            assert outcome.status is Status.ADDED, outcome.note
            report("added")
        library.remove(TITLES[0])
        report("removed")

    def check(self, folder: Path, reported: list[str]) -> None:
        found = contents(folder)
        assert all(tracks == self.whole[id] for id, tracks in found.items())
        steps = [set(self.ids[: OLD + done]) for done in range(len(TITLES) - OLD + 1)]
        steps.append(steps[-1] - {self.ids[0]})
        assert set(found) in steps[len(reported) : len(reported) + 2], (reported, sorted(found))


class FirstAdd(Scene):
    """The library itself is made."""

    def prepare(self, folder: Path) -> None:
        folder.mkdir()

    def change(self, library: Library, report: Report) -> None:
        library.add(self.files(0))
        report("added")

    def check(self, folder: Path, reported: list[str]) -> None:
        if (folder / FILE).exists():
            found = contents(folder)
            assert all(tracks == self.whole[id] for id, tracks in found.items())
            assert not reported or set(found) == {self.ids[0]}
        assert (folder / FILE).exists() or not reported


class Optimize(Scene):
    """Three segments, of which one still has a removed track."""

    def prepare(self, folder: Path) -> None:
        with tone_library(folder) as library:
            library.add(self.files(0, 1, 2))  # merged into one
            with index_writer(folder) as index:
                index.remove([self.ids[0]])
            library.add(self.files(3))

    def change(self, library: Library, report: Report) -> None:
        library.optimize()
        report("optimized")

    def check(self, folder: Path, reported: list[str]) -> None:
        assert contents(folder) == {id: self.whole[id] for id in self.ids[1:]}
        if reported:
            assert len(read_manifest(folder).segments) == 1


class Repair(Scene):
    """A manifest that is cut off, a segment with a wrong byte, a row that is lost, a leftover."""

    def prepare(self, folder: Path) -> None:
        with tone_library(folder) as library:
            library.add(self.files(0, 1))
            library.add(self.files(2, 3)[:1])
            (entry,) = read_manifest(folder).segments  # of all three
            library.add(self.files(3))
        with Catalog(folder, writable=True) as catalog:
            catalog.delete([self.ids[0]])
            catalog.compact()
        manifest = folder / FILE
        manifest.write_bytes(manifest.read_bytes()[:-100])
        (last,) = {path.name for path in (folder / SEGMENTS).iterdir()} - {entry.file}
        data = bytearray((folder / SEGMENTS / last).read_bytes())
        data[-1] ^= 1
        (folder / SEGMENTS / last).write_bytes(data)
        (folder / SEGMENTS / "0123456789ab-0.part").touch()

    def change(self, library: Library, report: Report) -> None:
        library.repair()
        report("repaired")

    def check(self, folder: Path, reported: list[str]) -> None:
        if not reported:
            with tone_library(folder) as library:
                library.repair()
        # The row of the first is lost: a track without one may have been removed.
        assert contents(folder) == {id: self.whole[id] for id in self.ids[1:3]}


class Grow(Scene):
    """A recording that grows, sealed often."""

    def change(self, library: Library, report: Report) -> None:
        network = library.listener()
        entry = library._network_entry(network.fingerprint)
        assert entry is not None
        call = streaming.Stream(library.path, network, entry, "call", commit_seconds=None)
        for start in range(0, len(LIVE), 2 * RATE):
            call.write(LIVE[start : start + 2 * RATE], RATE)
            call.flush()
            report(str(min(start + 2 * RATE, len(LIVE)) // 640))
        call.close()
        report("closed")

    def check(self, folder: Path, reported: list[str]) -> None:
        found = contents(folder)
        old = {id: tracks for id, tracks in found.items() if id in self.whole}
        assert old == {id: self.whole[id] for id in self.ids[:OLD]}
        new = [tracks for id, tracks in found.items() if id not in self.whole]
        frames = [int(line) for line in reported if line != "closed"]
        assert len(new) <= 1
        assert len(new) == 1 or not frames
        for (track,) in new:
            (scores,) = ToneNetwork().listen(iter([LIVE]))
            expected = costs_of(levels(costs(scores))).tobytes()
            assert expected.startswith(track)
            assert len(track) >= max(frames, default=0) * 40


SCENES = {scene.__name__: scene for scene in (AddAndRemove, FirstAdd, Optimize, Repair, Grow)}


def run_child(scene: Scene, folder: Path, moment: int, mode: str) -> tuple[list[str], bool]:
    """Fork; before the child's `moment`-th call the worst happens (0: it dies at any time).

    Returns what it reported, and whether anything happened.
    """
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(out)
            happened = disturbed(
                scene, folder, moment, mode, lambda line: os.write(into, f"{line}\n".encode())
            )
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(7 if happened else 0)
    os.close(into)
    if moment == 0:
        time.sleep(random.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
    with os.fdopen(out) as pipe:
        reported = pipe.read().split()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return reported, True
    assert os.waitstatus_to_exitcode(status) in (0, 7)
    return reported, os.waitstatus_to_exitcode(status) == 7


def disturbed(scene: Scene, folder: Path, moment: int, mode: str, report: Report) -> bool:
    """Change the library; what is refused must end as a LibraryError of one sentence."""
    calls = writes = 0
    stash = folder.with_name("stash")
    shutil.rmtree(stash, ignore_errors=True)
    stash.mkdir()
    disk = Disk(stash) if mode in ("power cut", "names lost") else None

    def before(name: str, half: Callable[[], object]) -> None:
        nonlocal calls, writes
        writes = writes + 1 if name == "write" else 0
        if writes > 2:  # a segment is written unit by unit: one is like the other
            return
        calls += 1
        if calls == moment and mode not in ("disk full", "disk error"):
            if mode == "killed in a write":
                half()
            if disk is not None:
                disk.cut(names=mode == "names lost")
            os.kill(os.getpid(), signal.SIGKILL)
        full = mode == "disk full" and calls >= moment and name not in ("unlink", "fsync")
        broken = mode == "disk error" and calls == moment and name != "unlink"
        if moment and (full or broken):
            if name == "commit":
                reason = "database or disk is full" if full else "disk I/O error"
                raise sqlite3.OperationalError(reason)
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, os.strerror(number))

    try:
        with hooked(before, disk), tone_library(folder) as library:
            scene.change(library, report)
    except LibraryError as error:
        assert "\n" not in str(error)
        if mode == "disk full":
            assert re.fullmatch(r"the disk that holds \S+ is full: .+", str(error))
        if isinstance(scene, AddAndRemove):  # temporary files are deleted at once
            assert [str(one) for one in library.check() if "left over" in str(one)] == []
        return True
    return calls >= moment > 0


def drive(scene_name: str, work: Path, kills: int = 0) -> None:
    """Let the worst of each mode happen at one moment after the other, or kill at random ones.

    Prints how many moments there were in all, and calls in one change.
    """
    writer.MERGE_AT = 3  # instead of 8: few recordings make the library merge segments
    streaming.LANES = 1  # instead of 64: a second seals a part
    read_plainly()
    scene = SCENES[scene_name](work)
    moments = calls = 0
    while moments < kills:  # one that was over before it was killed does not count
        moments += disturb(scene, work / "library", 0, MODES[0])
    for number, mode in enumerate(() if kills else MODES):
        # Each call is one to die before; every fifth one is refused, or meets the power cut.
        moment, step = (1, 1) if number == 0 else (number, len(MODES) - 1)
        while disturb(scene, work / "library", moment, mode):
            moments += 1
            calls = max(calls, moment)
            moment += step
    print(moments, calls)


def disturb(scene: Scene, folder: Path, moment: int, mode: str) -> bool:
    """Let the worst happen at a moment, and look; False when the change has fewer calls."""
    shutil.copytree(scene.base, folder)
    reported, happened = run_child(scene, folder, moment, mode)
    try:
        scene.check_after(folder, reported)
    except BaseException:
        print(f"{type(scene).__name__}, {mode}, moment {moment}: {reported}", file=sys.stderr)
        raise
    shutil.rmtree(folder)
    return happened


def drive_limits(work: Path) -> None:
    """Let files be no larger than each of `LIMITS`."""
    writer.MERGE_AT = 3
    read_plainly()
    scene = AddAndRemove(work)
    for limit in LIMITS:
        folder = work / "library"
        shutil.copytree(scene.base, folder)
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                with tone_library(folder) as library:
                    scene.change(library, lambda _: None)
            except LibraryError:
                os._exit(7)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7
        found = contents(folder)
        assert set(found) >= set(scene.ids[1:OLD])
        assert all(tracks == scene.whole[id] for id, tracks in found.items())
        with tone_library(folder) as library:
            assert library.add([scene.talks]).failed == ()
        assert contents(folder) == scene.whole
        shutil.rmtree(folder)
    print(len(LIMITS))


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder in memory where there is one: processes die here, not machines."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


def run(program: str) -> str:
    """Run a program in a Python of its own: forking one that has threads is asking for trouble."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LEAST = {"AddAndRemove": 60, "FirstAdd": 20, "Optimize": 10, "Repair": 10, "Grow": 50}
"""Calls that change the disk, at the least, in one change of each scene."""


@pytest.mark.parametrize("scene", SCENES)
def test_the_worst_at_any_moment_leaves_a_good_library(work: Path, scene: str) -> None:
    moments, calls = run(
        f"from pathlib import Path; import test_kill; "
        f"test_kill.drive({scene!r}, Path({str(work)!r}))"
    ).split()
    assert int(calls) > LEAST[scene]
    assert int(moments) > 1.6 * LEAST[scene]


def test_a_kill_at_any_time_leaves_a_good_library(work: Path) -> None:
    """Also in the middle of what SQLite and the system do by themselves."""
    moments, _ = run(
        f"from pathlib import Path; import test_kill; "
        f"test_kill.drive('AddAndRemove', Path({str(work)!r}), kills=15)"
    ).split()
    assert int(moments) == 15


def test_a_disk_that_really_takes_no_more(work: Path) -> None:
    """The kernel refuses writes beyond a size: to Python and to SQLite, wherever that falls."""
    moments = run(
        f"from pathlib import Path; import test_kill; test_kill.drive_limits(Path({str(work)!r}))"
    )
    assert int(moments) == len(LIMITS)
