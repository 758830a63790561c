"""Folders that fill while they are watched: complete files, each once, whatever happens between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import say, tone_library, write_wav

from earshot.about import about
from earshot.errors import LibraryError, UsageError
from earshot.library import Library
from earshot.outcome import Outcome, Status
from earshot.sources import home
from earshot.sources.watching import Watch, Watched


class Clock:
    """Time that passes when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with tone_library(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A folder to watch."""
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


@pytest.fixture
def clock() -> Clock:
    """Time as this test wants it."""
    return Clock()


def looked(watch: Watch, clock: Clock, seconds: float = 10.0) -> list[Outcome]:
    """What became of everything at two looks, with time between them."""
    first = list(watch.look())
    clock.now += seconds
    return first + list(watch.look())


def test_complete_files_only(library: Library, spool: Path, clock: Clock) -> None:
    sound = write_wav(spool / "whole.wav", say("harbour")).read_bytes()
    (spool / "busy.wav.part").write_bytes(sound)
    (spool / ".hidden.wav").write_bytes(sound)
    (spool / "notes.txt").write_text("no audio")
    with Watch(library, [spool], clock=clock) as watch, (spool / "open.wav").open("wb") as growing:
        growing.write(sound[:400])
        growing.flush()
        assert list(watch.look()) == [] and watch.waiting == 2
        clock.now += 10
        # It is unchanged, but somebody has it open for writing.
        assert [Path(one.path).name for one in watch.look()] == ["whole.wav"]
        assert watch.waiting == 1
        growing.write(write_wav(spool.parent / "x.wav", say("invoice")).read_bytes()[400:])
        growing.close()
        assert list(watch.look()) == []  # changed just now
        clock.now += 10
        assert [one.status for one in watch.look()] == [Status.ADDED]
    assert {row.title for row in library.list()} == {"whole", "open"}


def test_what_was_settled_survives_a_restart(library: Library, spool: Path, clock: Clock) -> None:
    write_wav(spool / "a.wav", say("harbour"))
    (spool / "bad.wav").write_bytes(b"no audio at all")
    with Watch(library, [spool], clock=clock) as watch:
        first = looked(watch, clock)
    assert [one.status for one in first] == [Status.ADDED, Status.FAILED]
    assert "text" in first[1].note
    library.remove("a")
    with Watch(library, [spool], clock=clock) as watch:  # neither read nor reported again
        assert looked(watch, clock) == []
    write_wav(spool / "bad.wav", say("invoice"))
    with Watch(library, [spool], clock=clock) as watch:
        assert [one.status for one in looked(watch, clock)] == [Status.ADDED]
    (home(library.path) / "watched.db").unlink()
    with Watch(library, [spool], clock=clock) as watch:
        again = looked(watch, clock)
    assert [one.status for one in again] == [Status.ADDED, Status.SKIPPED]


def test_calls_in_two_files(library: Library, spool: Path, clock: Clock) -> None:
    write_wav(spool / "q-17-in.wav", say("harbour invoice"))
    write_wav(spool / "alone-out.wav", say("lantern"))
    (spool / "q-17.json").write_text(json.dumps({"agent": "Bob", "date": "2026-11-24"}))
    options = Watched(pair=60.0, about=about(tags=["calls"]))
    with Watch(library, [spool], options, clock=clock) as watch:
        assert looked(watch, clock) == [] and watch.waiting == 2
        write_wav(spool / "q-17-out.wav", say("monday"))
        (joined,) = looked(watch, clock)
        assert joined.status is Status.ADDED and joined.path.count("q-17-") == 2
        (alone,) = looked(watch, clock, 70)
    assert alone.recording is not None and alone.recording.title == "alone-out"
    row = library.show("q-17")
    assert (row.channels, row.tags, row.recorded) == (2, ("calls",), "2026-11-24")
    assert dict(row.meta) == {"agent": "Bob"}
    (found,) = library.search("monday", where="meta.agent:bob channel:2").mentions
    assert found.channel == 1
    assert library.clip(found, spool.parent / "clip.wav").duration > 0
    with Watch(library, [spool], Watched(pairs=False), clock=clock) as watch:
        assert [one.status for one in looked(watch, clock)] == [Status.ADDED, Status.ADDED]


def test_stereo_calls_keep_their_sides(library: Library, spool: Path, clock: Clock) -> None:
    left, right = say("harbour"), say("invoice")
    size = max(len(left), len(right))
    both = [np.pad(one, (0, size - len(one))) for one in (left, right)]
    write_wav(spool / "call.wav", both)
    with Watch(library, [spool], Watched(channels="split"), clock=clock) as watch:
        looked(watch, clock)
    assert library.show("call").channels == 2


def test_metadata_that_comes_later_or_changes(library: Library, spool: Path, clock: Clock) -> None:
    write_wav(spool / "call.wav", say("harbour"))
    write_wav(spool / "other.wav", say("invoice"))
    with Watch(library, [spool], clock=clock) as watch:
        looked(watch, clock)
        (spool / "call.json").write_text('{"agent": "Bob"}')
        (changed,) = looked(watch, clock)
        assert changed.recording is not None and "metadata" in changed.note
        assert looked(watch, clock) == []
    (spool / "call.json").write_text('{"agent": "Ann", "queue": "x"}')
    with Watch(library, [spool], clock=clock) as watch:
        assert len(looked(watch, clock)) == 1
        assert dict(library.show("call").meta) == {"agent": "Ann", "queue": "x"}
        library.remove("call")
        (spool / "call.json").write_text('{"agent": "Eve"}')
        assert looked(watch, clock) == []


def test_a_bad_companion_costs_itself_only(library: Library, spool: Path, clock: Clock) -> None:
    write_wav(spool / "call.wav", say("harbour"))
    (spool / "call.json").write_text("{")
    with Watch(library, [spool], clock=clock) as watch:
        (outcome,) = looked(watch, clock)
    assert outcome.status is Status.ADDED and "call.json tells nothing" in outcome.note


def test_a_side_that_cannot_be_heard(library: Library, spool: Path, clock: Clock) -> None:
    write_wav(spool / "c-rx.wav", say("harbour"))
    (spool / "c-tx.wav").write_bytes(b"text text text")
    with Watch(library, [spool], clock=clock) as watch:
        (outcome,) = looked(watch, clock)
        assert looked(watch, clock) == []
    assert outcome.status is Status.FAILED and "c-tx.wav is text" in outcome.note


def test_what_cannot_be_watched(library: Library, spool: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a folder"):
        Watch(library, [tmp_path / "none"])
    home(library.path).mkdir(parents=True)
    (home(library.path) / "watched.db").write_bytes(b"damaged" * 999)
    with pytest.raises(LibraryError, match="delete it"):
        Watch(library, [spool])


PROGRAM = """
import fakes
from earshot import watch_cli
from earshot.cli import main
watch_cli.Library = fakes.tone_library
main()
"""


def test_the_command_goes_on_until_it_is_told_to_end(tmp_path: Path, spool: Path) -> None:
    folder = tmp_path / "library"
    words = ["watch", str(spool), "--library", str(folder), "--settle", "0.1", "--tag", "calls"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    write_wav(spool / "one.wav", say("harbour"))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words, "--once"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 added, 0 skipped, 0 failed" in done.stdout
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        write_wav(spool / "two.wav", say("invoice"))
        line = process.stdout.readline()
        assert line.startswith("added ") and line.endswith("two.wav\n")
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "1 added, 0 skipped, 0 failed\n"
        assert process.wait(60) == 0
    with tone_library(folder) as library:
        assert [row.tags for row in library.list()] == [("calls",)] * 2
