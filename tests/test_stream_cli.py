"""`earshot stream` as it is run: sound comes through a pipe, and is found before it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fakes import RATE, say, tone_library

PROGRAM = """
import sys
from fakes import ToneNetwork
from earshot import stream_cli
from earshot.cli import main
from earshot.library import Library
stream_cli.Library = lambda folder: Library(folder, ToneNetwork())
main()
"""


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command, waiting for its input."""
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "stream", *arguments, "--library", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )


def samples(text: str) -> bytes:
    return (np.clip(say(text), -1, 1) * 32767).astype("<i2").tobytes()


RAW = ("--raw", "s16le", "--rate", str(RATE))


@pytest.mark.parametrize("ending", ["input", "ctrl-c"])
def test_a_call_is_searched_while_it_goes_on(tmp_path: Path, ending: str) -> None:
    with started(tmp_path, "call 17", "--tag", "live", *RAW) as process:
        assert process.stdin is not None
        process.stdin.write(samples("harbour invoice lantern"))
        process.stdin.flush()
        with tone_library(tmp_path) as library:
            deadline = time.monotonic() + 60
            while not (tmp_path / "catalog.db").exists() or not library.list():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            while not library.search("invoice", where="tag:live").mentions:
                assert time.monotonic() < deadline
            assert library.show("call 17").growing is not None
            if ending == "input":
                process.stdin.close()
            else:
                process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            row = library.show("call 17")
            assert row.growing is None
            assert row.duration == pytest.approx(len(samples("harbour invoice lantern")) / 2 / RATE)
            assert library.check() == ()
        assert process.stdout is not None
        assert f"added {row.id}" in process.stdout.read().decode()


def test_what_is_no_audio_is_one_sentence(tmp_path: Path) -> None:
    with started(tmp_path, "text") as process:
        assert process.stdin and process.stderr
        process.stdin.write(b"words, words, words\n" * 99)
        process.stdin.close()
        assert process.wait(60) == 1
        assert process.stderr.read().decode().splitlines() == [
            "earshot: the input is text, not audio or video"
        ]
