"""A line recorded, from a stream that is made up behind the microphone's interface."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from fakes import Floats
from sounds import hiss, tick_times, ticks, tone

from earshot import cli, media, record_cli
from earshot.errors import LibraryError, MissingExtra, UsageError
from earshot.sources import recorder
from earshot.sources.companions import Companions
from earshot.sources.recorder import RATE, Microphone, Options, Written, record

BLOCK = RATE // 10
BEGIN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


class Line:
    """A stream of given samples; time passes as they are read."""

    def __init__(self, *pieces: Floats) -> None:
        self.samples = np.concatenate(pieces)
        self.lost = 0
        self.at = 0

    def blocks(self) -> Iterator[Floats]:
        while self.at < len(self.samples):
            block = self.samples[self.at : self.at + BLOCK]
            self.at += len(block)
            yield block

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.at / RATE)


def silence(seconds: float) -> Floats:
    return hiss(seconds, RATE, 0.0005)


def recorded(line: Line, spool: Path, **options: object) -> list[Written]:
    return list(record(line, spool, Options(**options), now=line.now))  # type: ignore[arg-type]


def heard(path: Path) -> Floats:
    samples: Floats = np.concatenate(list(media.blocks(path)), axis=1)[0]
    return samples


def test_a_file_a_minute(tmp_path: Path) -> None:
    line = Line(tone(440, 2.5, RATE))
    files = recorded(line, tmp_path, length=1.0)
    assert [one.seconds for one in files] == [1.0, 1.0, 0.5]
    assert [one.path.name for one in files] == [
        "20261124T100000000Z.opus", "20261124T100001000Z.opus", "20261124T100002000Z.opus",
    ]  # fmt: skip
    for one in files:
        assert len(heard(one.path)) / RATE == pytest.approx(one.seconds, abs=0.03)
    assert not list(tmp_path.glob("*.part"))
    told = Companions().of(files[0].path).about
    assert told.recorded in ("2026-11-24", "2026-11-23", "2026-11-25") and told.title


def test_silence_is_left_out_and_times_stay_right(tmp_path: Path) -> None:
    line = Line(silence(10), ticks([0.5], 1, RATE), silence(20), ticks([0.2], 1, RATE), silence(9))
    files = recorded(line, tmp_path, quiet=2.0, lead=0.5)
    assert len(files) == 2
    assert sum(one.seconds for one in files) < 8
    for one, at in zip(files, (10.5, 31.2), strict=True):
        (found,) = tick_times(heard(one.path))
        assert (one.began - BEGIN).total_seconds() + found == pytest.approx(at, abs=0.05)
    assert recorded(Line(silence(5)), tmp_path / "quiet") == []
    assert len(recorded(Line(silence(5)), tmp_path / "all", threshold=None)) == 1


def test_the_spool_is_bounded(tmp_path: Path) -> None:
    line = Line(hiss(6.0, RATE))
    files = recorded(line, tmp_path, length=1.0, keep=9_000)
    there = sorted(tmp_path.glob("*.opus"))
    assert sum(path.stat().st_size for path in there) <= 9_000
    assert there[-1] == files[-1].path and 1 <= len(there) < 6
    assert sum(len(one.given_up) for one in files) == 6 - len(there)
    assert len(list(tmp_path.glob("*.json"))) == len(there)


PROGRAM = """
import sys, time
from pathlib import Path
import numpy as np
from sounds import tone
from earshot.sources.recorder import RATE, record
class Line:
    lost = 0
    def blocks(self):
        while True:
            yield tone(440, 0.1, RATE)
            time.sleep(0.002)
for one in record(Line(), Path(sys.argv[1])):
    pass
"""


def test_a_kill_loses_seconds_at_most(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], env=environment)
    deadline = time.monotonic() + 60
    while not any(one.stat().st_size > 20_000 for one in tmp_path.glob("*.part")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (part,) = tmp_path.glob("*.part")
    size = part.stat().st_size
    (saved,) = recorded(Line(silence(1)), tmp_path)
    assert saved.seconds > 3 and saved.path.stat().st_size > 0.8 * size
    assert len(heard(saved.path)) / RATE == pytest.approx(saved.seconds, abs=0.1)
    assert json.loads(saved.path.with_suffix(".json").read_text())["date"]
    assert not list(tmp_path.glob("*.part"))


def test_rubbish_that_is_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "20261124T100000000Z.opus.part").write_bytes(b"OggS but no more")
    (tmp_path / "other.opus.part").write_bytes(b"")
    assert len(recorded(Line(tone(440, 1.0, RATE)), tmp_path)) == 1
    assert not list(tmp_path.glob("*.part"))


def test_a_spool_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LibraryError):
        recorded(Line(tone(440, 1.0, RATE)), tmp_path / "file" / "spool")
    with pytest.raises(UsageError):
        recorded(Line(tone(440, 1.0, RATE)), tmp_path, length=0.0)


class Stream:
    """Of a sound card that is not there: calls back from the program itself."""

    active = True

    def __init__(self, rate: int, size: int, device: object, **options: object) -> None:
        if device == "none":
            raise ValueError("No input device matching 'none'")
        self.callback = options["callback"]
        self.size = size

    def start(self) -> None:
        for count in range(recorder.MOST_WAITING + 5):
            data = np.full((self.size, 1), count / 1000, np.float32)
            self.callback(data, self.size, None, None)  # type: ignore[operator]
            data[:] = -1  # the system uses its memory again
        self.active = False

    def stop(self) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interface of sounddevice, without a sound card."""
    fake = types.SimpleNamespace(InputStream=Stream, PortAudioError=OSError)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)


def test_what_comes_too_fast_is_counted_and_memory_bounded(card: None) -> None:
    with Microphone("2") as line:
        blocks = list(line.blocks())
    assert len(blocks) == recorder.MOST_WAITING and line.lost == 5
    assert blocks[7][0] == pytest.approx(0.007) and blocks[7].shape == (BLOCK,)
    with pytest.raises(UsageError, match="No input device"):
        Microphone("none")


def test_a_computer_without_sounddevice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(MissingExtra, match=r"earshot\[record\]"):
        Microphone()


def test_the_command(
    card: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earshot", "record", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    status, out, err = run(str(tmp_path), "--for", "1h")
    assert status == 0 and "of sound" in out and "0.5 seconds were lost" in err
    assert run(str(tmp_path), "--device", "none")[0] == 2
    assert "is no size" in run(str(tmp_path), "--keep", "much")[2]
    assert record_cli._bytes("1.5G") == 3 << 29
