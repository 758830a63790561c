"""Processes that hear clips: the same frames as without them, whoever is killed on the way."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_kur import RATE, spoken, words, write_audio

from kur.data import ears
from kur.data.augment import View
from kur.data.clips import Clip
from kur.data.ears import Ears
from kur.data.hearing import Hearing
from kur.data.manifest import Row
from kur.data.provider import Provider, ProviderOptions
from kur.data.spectra import Analysis
from kur.data.speech import SpeechRecognition
from kur.errors import KurError

VIEWS = (View(), View(speed=(0.9, 1.1), room=True))


@pytest.fixture
def clips(tmp_path: Path) -> list[Clip]:
    found = []
    for i, word in enumerate(words(6, seed=5)):
        path = tmp_path / f"{i}.wav"
        write_audio(path, spoken(word))
        row = Row({"audio": path.name, "text": word, "duration": 1.0}, tmp_path / "c.jsonl", i + 1)
        found.append(Clip(path, path.name, 1.0, row))
    return found


@pytest.fixture
def hearing(tmp_path: Path) -> Hearing:
    response = np.exp(-np.arange(800) / 80) * np.random.default_rng(0).normal(0, 0.2, 800)
    write_audio(tmp_path / "room.wav", response.astype(np.float32))
    return Hearing(Analysis("fbank", RATE), (Row({"audio": "room.wav"}, tmp_path / "r.jsonl", 1),))


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes from the first clip on, on machines of one core too."""
    monkeypatch.setattr(ears, "_AT_FIRST", 0)
    monkeypatch.setattr(ears, "cores", lambda: 4)


def pids(one: Ears) -> set[int]:
    return {process._popen.pid for process in one._idle}


def gone(pid: int) -> bool:
    """Whether a process ended, within a few seconds; one that nobody waits for yet has, too."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


def test_processes_hear_what_threads_hear(clips: list[Clip], hearing: Hearing) -> None:
    one = Ears(hearing)
    asked = [(clip, view) for clip in clips for view in VIEWS]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda each: one.frames(*each), asked))
    assert 1 <= len(pids(one)) <= 2
    for (clip, view), frames in zip(asked, found, strict=True):
        assert frames.dtype == np.float32
        assert np.array_equal(frames, hearing.frames(clip, view))
    left = pids(one)
    one.rest()
    assert pids(one) == set() and all(gone(pid) for pid in left)


def test_no_process_for_a_few_clips_or_on_one_core(
    clips: list[Clip], hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ears, "_AT_FIRST", 2)
    one = Ears(hearing)
    for count, clip in enumerate(clips, 1):
        one.frames(clip, View())
        assert len(pids(one)) == (count > 2)
    one.rest()
    monkeypatch.setattr(ears, "cores", lambda: 1)
    alone = Ears(hearing)
    for clip in clips:
        assert np.array_equal(alone.frames(clip, View()), hearing.frames(clip, View()))
    assert pids(alone) == set()


def test_a_bad_clip_is_named_and_the_next_one_heard(
    clips: list[Clip], hearing: Hearing, tmp_path: Path
) -> None:
    one = Ears(hearing)
    bad = Clip(tmp_path / "none.opus", "none.opus", 1.0, Row({}, tmp_path / "c.jsonl", 9))
    one.frames(clips[0], View())
    before = pids(one)
    with pytest.raises(KurError, match=r"^\S+c\.jsonl:9: no such audio file: \S+none\.opus$"):
        one.frames(bad, View())
    one.frames(clips[1], View())
    assert pids(one) == before
    one.rest()


def test_a_killed_process_is_replaced(clips: list[Clip], hearing: Hearing) -> None:
    one = Ears(hearing)
    one.frames(clips[0], View())
    [killed] = pids(one)
    os.kill(killed, signal.SIGKILL)
    found = one.frames(clips[1], View())
    assert np.array_equal(found, hearing.frames(clips[1], View()))
    assert killed not in pids(one) and len(pids(one)) == 1
    one.rest()


def test_a_clip_that_kills_is_named(
    clips: list[Clip], hearing: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def killing(self: Any, clip: Clip, view: View) -> Any:
        asked.append(self._popen.pid)
        os.kill(self._popen.pid, signal.SIGSEGV)
        return self._answer((clip, view))

    monkeypatch.setattr(ears._Process, "ask", killing)
    one = Ears(hearing)
    with pytest.raises(KurError, match=r"c\.jsonl:3: \S+2\.wav ended the process .*status -11\)"):
        one.frames(clips[2], View())
    assert len(set(asked)) == 2 and pids(one) == set()


def test_an_interrupt_is_not_for_them(clips: list[Clip], hearing: Hearing) -> None:
    one = Ears(hearing)
    one.frames(clips[0], View())
    [pid] = pids(one)
    assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    one.frames(clips[1], View())
    assert pids(one) == {pid}
    one.rest()


def test_they_end_with_the_one_that_trains(clips: list[Clip], tmp_path: Path) -> None:
    """However it ends, by a kill that it cannot see too. A program without a `__main__` guard."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal\n"
        "from pathlib import Path\n"
        "from kur.data import ears\n"
        "from kur.data.augment import View\n"
        "from kur.data.clips import Clip\n"
        "from kur.data.hearing import Hearing\n"
        "from kur.data.manifest import Row\n"
        "from kur.data.spectra import Analysis\n"
        "ears._AT_FIRST, ears.cores = 0, lambda: 2\n"
        "one = ears.Ears(Hearing(Analysis('spec', 16000)))\n"
        f"path = Path({str(clips[0].audio)!r})\n"
        "one.frames(Clip(path, 'a', 1.0, Row({}, path, 1)), View())\n"
        "print(one._idle[0]._popen.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, program], stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert gone(int(ended.stdout))


def test_where_no_process_can_be_started_threads_hear(
    clips: list[Clip],
    hearing: Hearing,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for program in ("/nowhere/python", "/bin/true"):
        monkeypatch.setattr(sys, "executable", program)
        one = Ears(hearing)
        for clip in clips[:2]:
            assert np.array_equal(one.frames(clip, View()), hearing.frames(clip, View()))
    assert caplog.text.count("clips are decoded in threads") == 2


def test_they_load_no_backend() -> None:
    code = "import sys, kur.data.ears; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    heavy = {"keras", "torch", "jax", "tensorflow", "scipy", "jinja2", "kur.model"}
    assert not heavy & set(loaded.stdout.decode().split())


def test_batches_do_not_depend_on_how_many_processes_there_are(
    clips: list[Clip], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f'{{"audio": "{c.named}", "duration": 1.0, "text": "a"}}\n' for c in clips]
    (tmp_path / "c.jsonl").write_text("".join(lines))

    def batches(workers: int, cache: str | None = None, first: int | None = None) -> list[bytes]:
        data = SpeechRecognition(base=tmp_path, path="c.jsonl", type="mfcc", cache=cache)
        options = ProviderOptions(batch_size=2, workers=workers)
        made = Provider([data], options, 0).batches(0, training=True)
        found = [batch["utterance"].tobytes() for batch in itertools.islice(made, first)]
        made.close()  # type: ignore[attr-defined]
        assert pids(data._ears) == set()
        return found

    some, kept = batches(3), batches(2, cache="cache")
    assert batches(1, first=1) == some[:1]  # and none is left when a pass is cut short
    monkeypatch.setattr(ears, "cores", lambda: 1)
    assert batches(2) == some
    assert batches(2, cache="other") == batches(2, cache="cache") == kept
