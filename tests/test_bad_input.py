"""Bad input, one by one: a clear sentence, the right exit status, and the library as it was."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest
from fakes import RATE, ToneNetwork, say, tone_library, write_wav
from test_kill import TITLES, contents, make_talks

from earshot import cli
from earshot.index import FILE, SEGMENTS, read_manifest

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `earshot ARGUMENTS`; exit status, standard output, lines of standard error."""
    monkeypatch.delenv("EARSHOT_DEBUG", raising=False)
    monkeypatch.setattr(cli, "Library", tone_library)

    def call(*arguments: object) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(sys, "argv", ["earshot", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err.splitlines()

    return call


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """The folder of a library with one recording."""
    folder = tmp_path / "library"
    with tone_library(folder) as opened:
        opened.add([write_wav(tmp_path / "good.wav", say("harbour"))])
    return folder


def write_video(path: Path, seconds: int, *, sound: bool) -> Path:
    """A video of noise, with or without a sound track."""
    random = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=RATE) if sound else None
        for _ in range(10 * seconds):
            pixels = random.integers(0, 256, (48, 64, 3), np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        if audio is not None:
            samples = np.resize(say("harbour invoice"), (1, RATE * seconds))
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.sample_rate = RATE
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))
        container.mux(video.encode(None))
    return path


def missing(path: Path) -> Path:
    return path / "missing.wav"


def empty(path: Path) -> Path:
    (path / "empty.wav").touch()
    return path / "empty.wav"


def text(path: Path) -> Path:
    (path / "notes.mp3").write_text("Dear diary, nothing was said today.\n" * 50)
    return path / "notes.mp3"


def noise(path: Path) -> Path:
    (path / "noise.mp3").write_bytes(np.random.default_rng(2).bytes(50_000))
    return path / "noise.mp3"


def truncated(path: Path) -> Path:
    whole = write_video(path / "whole.mp4", 4, sound=True).read_bytes()
    (path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    return path / "cut.mp4"


def mute(path: Path) -> Path:
    return write_video(path / "mute.mp4", 1, sound=False)


def without_samples(path: Path) -> Path:
    return write_wav(path / "nothing.wav", np.zeros(0, np.float32))


def folder_without_media(path: Path) -> Path:
    (path / "nothing").mkdir()
    return path / "nothing"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (missing, "does not exist"),
        (empty, r"is empty \(0 bytes\)"),
        (text, "is text, not audio or video"),
        (noise, ""),
        (truncated, "index|truncated"),
        (mute, "no audio stream"),
        (without_samples, "without any audio"),
        (folder_without_media, "no audio or video files"),
    ],
)
def test_a_file_that_cannot_be_heard(
    run: Run, library: Path, tmp_path: Path, make: Callable[[Path], Path], reason: str
) -> None:
    before = contents(library)
    path = make(tmp_path)
    status, out, (line,) = run("add", path, "--library", library)
    assert status == 1
    assert re.fullmatch(rf"{re.escape(str(path))}: .*({reason}).*", line)
    assert str(path) not in line.removeprefix(str(path))
    assert out == "0 added, 0 skipped, 1 failed\n"
    assert contents(library) == before


def test_a_whole_video_is_heard(run: Run, library: Path, tmp_path: Path) -> None:
    video = write_video(tmp_path / "talk.mp4", 4, sound=True)
    assert run("add", video, "--library", library)[0] == 0
    status, out, _ = run("search", "invoice", "--library", library, "--json")
    assert status == 0
    assert json.loads(out)["mentions"][0]["title"] == "talk"


@pytest.mark.parametrize(
    ("samples", "note"),
    [
        (np.zeros(2 * RATE), "silent: no sound above -60 dBFS"),
        (np.full(2 * RATE, 0.0005), "silent"),
        (0.3 * np.sin(np.arange(RATE // 10)), "only 0.10 seconds long"),
        (np.full(1, 0.5), "only 0.00 seconds long"),
    ],
)
def test_silence_and_specks_are_added_with_a_note(
    run: Run, library: Path, tmp_path: Path, samples: np.ndarray, note: str
) -> None:
    path = write_wav(tmp_path / "still.wav", samples)
    status, out, err = run("add", path, "--library", library)
    assert (status, err) == (0, [])
    assert note in out
    found = json.loads(run("search", "harbour", "--library", library, "--json")[1])
    assert {mention["title"] for mention in found["mentions"]} == {"good"}
    assert run("check", "--library", library)[0] == 0


@pytest.mark.parametrize("query", ["", " ", "x", "?!", "...", "日本"])
def test_a_query_that_nobody_can_say(run: Run, library: Path, query: str) -> None:
    status, out, (line,) = run("search", query, "--library", library)
    assert (status, out) == (2, "")
    assert line.startswith("earshot: ")


def test_a_library_of_another_network(
    run: Run, library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(library)
    monkeypatch.setattr(cli, "Library", lambda path: tone_library(path, ToneNetwork("e2" * 32)))
    for arguments in (("add", tmp_path / "good.wav"), ("search", "harbour")):
        status, _, (line,) = run(*arguments, "--library", library)
        assert status == 1
        assert re.search("made by another network .*f1f1f1f1f1f1.*e2e2e2e2e2e2", line)
    assert contents(library) == before


def test_a_library_of_a_newer_version(run: Run, library: Path, tmp_path: Path) -> None:
    fields = json.loads((library / FILE).read_text())
    fields["format"] = 99
    (library / FILE).write_text(json.dumps(fields))
    before = (library / FILE).read_bytes()
    for arguments in (("add", tmp_path / "good.wav"), ("search", "harbour"), ("list",)):
        status, _, (line,) = run(*arguments, "--library", library)
        assert status == 1
        assert "written by a newer Earshot" in line
        assert "pip install --upgrade earshot" in line
    assert (library / FILE).read_bytes() == before


@pytest.mark.parametrize("command", ["add", "search", "list", "show", "remove", "check", "clip"])
def test_a_library_that_is_a_file(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    arguments = {"list": [], "check": [], "clip": ["good", "1"]}.get(command, ["good"])
    status, _, (line,) = run(command, *arguments, "--library", tmp_path / "file")
    assert status == 1
    assert str(tmp_path / "file") in line


def damaged_manifest(library: Path) -> None:
    (library / FILE).write_text("{")


def damaged_segment(library: Path) -> None:
    (path,) = (library / SEGMENTS).iterdir()
    path.write_bytes(path.read_bytes()[:-1])


def damaged_catalogue(library: Path) -> None:
    (library / "catalog.db").write_bytes(b"?" * 5000)


@pytest.mark.parametrize("damage", [damaged_manifest, damaged_segment, damaged_catalogue])
def test_a_damaged_library_is_named(
    run: Run, library: Path, damage: Callable[[Path], None]
) -> None:
    identity = read_manifest(library).recordings()[0]
    damage(library)
    for command in (("search", "harbour"), ("check",)):
        status, _, (line,) = run(*command, "--library", library)
        assert status == 1
        assert str(library) in line
        assert damage is not damaged_segment or identity in line


def test_a_changed_segment_is_found_by_check_and_mended(
    run: Run, library: Path, tmp_path: Path
) -> None:
    (path,) = (library / SEGMENTS).iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    status, _, (line,) = run("check", "--library", library)
    assert status == 1
    identity = read_manifest(library).recordings()[0]
    assert path.name in line and identity in line
    assert run("remove", identity, "--library", library)[0] == 0
    assert run("add", tmp_path / "good.wav", "--library", library)[0] == 0
    assert run("check", "--library", library)[0] == 0


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that other users can enter, in memory where there is one."""
    place = Path("/dev/shm")
    with TemporaryDirectory(dir=place if place.is_dir() else None) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        for path in (folder, *folder.rglob("*")):
            if path.is_dir():
                path.chmod(0o755)


READ_ONLY = """
import contextlib, io, os, sys
from pathlib import Path
from fakes import tone_library
from earshot import cli
folder = Path(sys.argv[1])
cli.Library = tone_library
def run(library):
    for arguments in (
        ["search", "harbour", "--json"],
        ["list", "--json"],
        ["check"],
        ["add", str(folder / "talks")],
        ["remove", "talk0"],
    ):
        sys.argv = ["earshot", *arguments, "--library", str(library)]
        try:
            cli.main()
        except SystemExit as ended:
            print("status", ended.code, flush=True)
tone_library(folder / "warm").add([folder / "talks"])
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    run(folder / "warm")  # loads everything while this may still read it
if os.geteuid() == 0:  # to root nothing is read-only
    os.setgid(65534)
    os.setuid(65534)
run(folder / "library")
"""


@pytest.mark.parametrize("crashed", [False, True], ids=["closed", "after a crash"])
def test_a_read_only_folder_is_searched_but_not_written(memory: Path, crashed: bool) -> None:
    library, talks = memory / "library", memory / "talks"
    talks.mkdir()
    make_talks(talks)
    with tone_library(memory / "origin") as opened:
        outcomes = opened.add_each([talks / f"{TITLES[0]}.wav"])
        next(outcomes)
        if crashed:  # SQLite's log is still there
            shutil.copytree(memory / "origin", library)
            assert (library / "catalog.db-wal").stat().st_size
        outcomes.close()
    if not crashed:
        shutil.copytree(memory / "origin", library)
    for path in (*library.rglob("*"), library):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", READ_ONLY, memory], env=ENVIRONMENT, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("status")] == [
        f"status {status}" for status in (0, 0, 0, 1, 1)
    ], done.stderr
    assert json.loads(lines[0])["mentions"][0]["title"] == TITLES[0]
    refusals = done.stderr.splitlines()
    assert len(refusals) == 2
    for line in refusals:
        assert re.match(rf"earshot: {library}\S* cannot be written \(Permission denied\)", line)
    assert before == {path: path.read_bytes() for path in library.rglob("*") if path.is_file()}


LIMITED = """
import resource, signal, sys
from pathlib import Path
from fakes import tone_library
from earshot import adding, cli
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
cli.Library = tone_library
folder = Path(sys.argv[1])
sys.argv = ["earshot", "add", str(folder / "talks"), "--library", str(folder / "library")]
cli.main()
"""


@pytest.mark.parametrize("limit", [0, 3000, 12000])
def test_the_system_itself_refuses(memory: Path, limit: int) -> None:
    """The kernel refuses to let any file grow above a limit: SQLite's files, too."""
    (memory / "talks").mkdir()
    make_talks(memory / "talks")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, memory, str(limit)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    assert re.fullmatch(r"earshot: [^\n]+\n", done.stderr)
    told = re.findall(r"^added ([0-9a-f]{12})", done.stdout, re.M)
    with tone_library(memory / "library") as library:
        if (memory / "library" / FILE).exists():
            assert {recording.id for recording in library.list()} == set(told)
            assert library.check() == ()
        assert library.add([memory / "talks"]).failed == ()
        assert len(library.list()) == len(TITLES)
