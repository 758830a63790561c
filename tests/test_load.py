"""Many searches at once while recordings are added: no errors, and no answer that is torn."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fakes import say, tone_library, write_wav

from earshot.errors import LibraryBusy
from earshot.index import index_writer

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
SEARCHERS = 64
ADDED = 12


def test_64_searches_at_once_while_recordings_are_added(tmp_path: Path) -> None:
    """Recordings are added one after the other: an answer has the first so many of them, whole."""
    for number in range(ADDED):
        write_wav(tmp_path / f"{number:02d}.wav", say("harbour monday harbour")[number:])
    program = f"""
from fakes import tone_library
for number in range(1, {ADDED}):
    tone_library("library").add([f"{{number:02d}}.wav"])
tone_library("library").optimize()
"""
    problems: list[str] = []
    answers: list[int] = []
    with tone_library(tmp_path / "library") as library:
        library.add([tmp_path / "00.wav"])
        adding = subprocess.Popen([sys.executable, "-c", program], env=ENVIRONMENT, cwd=tmp_path)

        def search() -> None:
            before = 0
            while adding.poll() is None and not problems:
                try:
                    mentions = library.search("harbour", top=None).mentions
                except Exception as error:
                    problems.append(repr(error))
                    return
                titles = sorted(mention.title for mention in mentions)
                count = len(set(titles))
                if titles != sorted(2 * [f"{n:02d}" for n in range(count)]) or count < before:
                    problems.append(f"{titles} after {before} recordings")
                before = count
                answers.append(count)

        threads = [threading.Thread(target=search) for _ in range(SEARCHERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert adding.wait() == 0
        assert len(answers) >= SEARCHERS
        assert len(library.search("harbour", top=None).mentions) == 2 * ADDED


def test_a_writer_that_was_killed_holds_up_nobody(tmp_path: Path) -> None:
    """Its lock's file stays behind, as on a network file system; the lock itself is gone."""
    write_wav(tmp_path / "a.wav", say("harbour"))
    program = """
import time
from fakes import ToneNetwork, tone_library
from earshot.index import index_writer
with tone_library("library") as library:
    library.add(["a.wav"])
    with index_writer(library.path):
        print("locked", flush=True)
        time.sleep(60)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], env=ENVIRONMENT, cwd=tmp_path, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        folder = tmp_path / "library"
        with pytest.raises(LibraryBusy, match=r"another process is writing to .*: wait until"):
            index_writer(folder).__enter__()
        with tone_library(folder) as library:
            assert len(library.search("harbour").mentions) == 1  # readers never wait
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (folder / ".lock").exists()
    begun = time.monotonic()
    with index_writer(folder):
        assert time.monotonic() - begun < 30
