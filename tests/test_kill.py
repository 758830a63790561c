"""Kill -9 at any moment: the library opens, what was reported is there, nothing is there in half.

A driver process forks a child for each moment. The child adds two recordings to a library (the
first makes it merge segments) and removes one, reporting through a pipe what is done; it dies
before the n-th call that changes the disk, for every n, and at random moments. Then the library
is opened and compared with what an undisturbed one holds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from fakes import WORDS, say, tone_library, write_wav
from faults import hooked

from earshot.catalog import Catalog
from earshot.index import SEGMENTS, open_snapshot, read_manifest, writer
from earshot.outcome import Status

OLD, NEW = 2, 2
MERGE_AT = 3  # instead of 8: the first new recording makes the library merge segments
TITLES = [f"talk{number}" for number in range(OLD + NEW)]
RANDOM_KILLS = 25

Contents = dict[str, list[bytes]]


def make_talks(folder: Path) -> None:
    """Recordings of different words and lengths."""
    words = list(WORDS)
    for number, title in enumerate(TITLES):
        text = " ".join(words[(number + step) % len(words)] for step in range(1 + number % 3))
        write_wav(folder / f"{title}.wav", say(text)[: -number * 100 or None])


def contents(folder: Path) -> Contents:
    """What a reader finds: every recording's title with its tracks' bytes."""
    with tone_library(folder) as library:
        assert [one for one in library.check() if one.harmful] == []
        titles = {recording.id: recording.title for recording in library.list()}
    found: Contents = {}
    snapshot = open_snapshot(folder)
    for track, heard in zip(snapshot.tracks, snapshot.heard, strict=True):
        found.setdefault(titles[track.recording], []).append(heard.costs().tobytes())
    return found


def change(folder: Path, talks: Path, report: Callable[[str], None]) -> None:
    """What the killed process does."""
    with tone_library(folder) as library:
        for outcome in library.add_each(talks / f"{title}.wav" for title in TITLES[OLD:]):
            assert outcome.status is Status.ADDED, outcome.note
            report(f"+{Path(outcome.path).stem}")
        library.remove(TITLES[0])
        report(f"-{TITLES[0]}")


def run_child(folder: Path, talks: Path, kill_at: int, torn: bool) -> tuple[list[str], bool, int]:
    """Fork; the child dies before its `kill_at`-th call (0: whenever the parent says).

    Returns what it reported, whether it was killed, and its process id's exit.
    """
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(out)
            calls = 0

            def before(_: str, half: Callable[[], object]) -> None:
                nonlocal calls
                calls += 1
                if calls == kill_at:
                    if torn:
                        half()
                    os.kill(os.getpid(), signal.SIGKILL)

            with hooked(before):
                change(folder, talks, lambda line: os.write(into, f"{line}\n".encode()) and None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    os.close(into)
    if kill_at == 0:
        time.sleep(random.uniform(0, 0.15))
        os.kill(child, signal.SIGKILL)
    with os.fdopen(out) as pipe:
        reported = pipe.read().split()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return reported, killed, 0 if killed else os.waitstatus_to_exitcode(status)


def check_after(folder: Path, talks: Path, reported: list[str], whole: Contents) -> None:
    """The library is what was reported, or one step further; the next run finishes the work."""
    found = contents(folder)
    for title, tracks in found.items():
        assert tracks == whole[title]
    steps = [set(TITLES[: OLD + done]) for done in range(NEW + 1)]
    steps.append(steps[-1] - {TITLES[0]})
    assert set(found) in steps[len(reported) : len(reported) + 2], (reported, sorted(found))
    with tone_library(folder) as library:
        assert library.add([talks]).failed == ()
    assert contents(folder) == whole
    manifest = read_manifest(folder)
    on_disk = {path.name for path in (folder / SEGMENTS).iterdir()}
    assert on_disk == {segment.file for segment in manifest.segments}
    with Catalog(folder) as catalog:
        assert {row.id for row in catalog.all()} == set(manifest.recordings())


def drive(work: Path, torn: bool, at_random: bool) -> None:
    """Kill a child at every moment in turn; print how many there were."""
    writer.MERGE_AT = MERGE_AT
    talks, base, whole_folder = work / "talks", work / "base", work / "whole"
    talks.mkdir()
    make_talks(talks)
    with tone_library(base) as library:
        library.add(talks / f"{title}.wav" for title in TITLES[:OLD])
    with tone_library(whole_folder) as library:
        library.add([talks])
    whole = contents(whole_folder)
    moment = 0
    while True:
        moment += 1
        folder = work / "library"
        shutil.copytree(base, folder)
        kill_at = 0 if at_random else moment
        reported, killed, status = run_child(folder, talks, kill_at, torn)
        assert status == 0
        check_after(folder, talks, reported, whole)
        shutil.rmtree(folder)
        if (moment == RANDOM_KILLS) if at_random else not killed:
            break
    print(f"survived {moment}")


@pytest.fixture
def work() -> Iterator[Path]:
    """A folder in memory where there is one: processes die here, not machines."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.mark.parametrize(
    ("torn", "at_random"),
    [(False, False), (True, False), (False, True)],
    ids=["before each call", "in the middle of each write", "at random moments"],
)
def test_a_killed_writer_leaves_a_good_library(work: Path, torn: bool, at_random: bool) -> None:
    program = f"""
from pathlib import Path
from test_kill import drive
drive(Path({str(work)!r}), {torn}, {at_random})
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    survived = int(done.stdout.removeprefix("survived "))
    assert survived == RANDOM_KILLS if at_random else survived > 40


def test_a_kill_while_a_library_is_made_is_no_obstacle(work: Path) -> None:
    """The very first add, killed before each call: the next one starts afresh."""
    program = f"""
from pathlib import Path
import test_kill
test_kill.OLD, test_kill.NEW = 0, 1
test_kill.TITLES = ["talk0"]
work = Path({str(work)!r})
(work / "talks").mkdir()
test_kill.make_talks(work / "talks")
for moment in range(1, 99):
    folder = work / str(moment)
    reported, killed, status = test_kill.run_child(folder, work / "talks", moment, True)
    assert status == 0
    with test_kill.tone_library(folder) as library:
        if "-talk0" not in reported:
            report = library.add([work / "talks"])
            assert len(report.added) + len(report.skipped) == 1
            assert [recording.title for recording in library.list()] == ["talk0"]
    if not killed:
        break
print(moment)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
