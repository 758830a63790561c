"""Decoding apart: the same sound, and files that crash, hang or bomb cost themselves only."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from fakes import RATE, say, tone_library, write_wav
from sounds import encode, hiss, tone

from earshot import media
from earshot.errors import MediaError, UsageError
from earshot.media import apart

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def decoder() -> Iterator[media.Decoder]:
    with media.Decoder() as decoder:
        yield decoder


def heard(decoder: media.Decoder, path: Path, **options: object) -> npt.NDArray[np.float32]:
    found = decoder.hear(path, sample_rate=RATE, **options)  # type: ignore[arg-type]
    return np.concatenate(list(found.blocks), axis=1)


def process_of(decoder: media.Decoder) -> int:
    assert decoder._process is not None
    return decoder._process._popen.pid


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.mp3", "libmp3lame", 44_100), ("b.opus", "libopus", 48_000), ("c.flac", "flac", 8_000)],
)
def test_it_is_the_same_sound(
    decoder: media.Decoder, tmp_path: Path, name: str, codec: str, rate: int
) -> None:
    both = np.stack([tone(440, 3.3, rate), hiss(3.3, rate)])
    path = encode(tmp_path / name, both, rate, codec)
    for channels in ("auto", "mix", "split"):
        found = decoder.hear(path, channels=channels, sample_rate=RATE, block_seconds=0.7)
        blocks = list(found.blocks)
        plain = list(media.blocks(path, channels=channels, sample_rate=RATE, block_seconds=0.7))
        assert found.info == media.probe(path)
        assert [each.shape for each in blocks] == [each.shape for each in plain]
        assert np.array_equal(np.concatenate(blocks, 1), np.concatenate(plain, 1))


def test_errors_are_those_of_decoding_here(decoder: media.Decoder, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("Dear diary, nothing was said today.\n" * 50)
    (tmp_path / "list.m3u").write_text("#EXTM3U\nhttp://localhost/a.mp3\n")
    whole = write_wav(tmp_path / "whole.wav", hiss(2.0, RATE)).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:20_000])
    pid = None
    for name in ("missing.wav", "notes.mp3", "list.m3u", "cut.wav", "od\udcffd.wav"):
        path = tmp_path / name
        with pytest.raises(MediaError) as plain:
            list(media.blocks(path))
        with pytest.raises(MediaError) as found:
            heard(decoder, path)
        assert str(found.value) == str(plain.value)
        assert pid in (None, process_of(decoder))  # a bad file does not cost the process
        pid = process_of(decoder)
    with pytest.raises(UsageError, match="channels can be"):
        heard(decoder, tmp_path / "whole.wav", channels="both")
    assert heard(decoder, tmp_path / "whole.wav").shape == (1, 2 * RATE)


def test_a_file_that_is_not_wanted_to_its_end(decoder: media.Decoder, tmp_path: Path) -> None:
    long = write_wav(tmp_path / "long.wav", hiss(20.0, RATE))
    short = write_wav(tmp_path / "short.wav", hiss(1.0, RATE))
    first = decoder.hear(long, sample_rate=RATE, block_seconds=0.1)
    next(iter(first.blocks))
    second = decoder.hear(short, sample_rate=RATE)  # begun while the first is not at its end
    assert sum(block.shape[1] for block in second.blocks) == RATE
    with pytest.raises(MediaError, match="another file was begun"):
        list(first.blocks)
    assert heard(decoder, short).shape == (1, RATE)


def test_a_process_that_was_killed_while_idle_is_replaced(tmp_path: Path) -> None:
    path = write_wav(tmp_path / "a.wav", hiss(1.0, RATE))
    with media.Decoder() as decoder:
        heard(decoder, path)
        os.kill(process_of(decoder), signal.SIGKILL)
        os.waitid(os.P_PID, process_of(decoder), os.WEXITED | os.WNOWAIT)
        assert heard(decoder, path).shape == (1, RATE)


@pytest.fixture
def bad(monkeypatch: pytest.MonkeyPatch) -> Iterator[media.Decoder]:
    """A decoder that goes wrong as the file's name says."""
    monkeypatch.setattr(apart, "CHILD", ("-P", str(HERE / "bad_child.py")))
    with media.Decoder(media.Limits(patience=0.5, memory=1 << 29)) as decoder:
        yield decoder


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("crash", r"it makes its decoder crash \(SIGSEGV\)"),
        ("hang", r"\d s of waiting brought 1 s of sound"),
        ("spin", r"\d s of waiting brought 1 s of sound"),
        ("eat", "needs more memory to be decoded than it may have"),
        ("end", "its decoder ended without an answer"),
        ("bug", "KeyError: 'stream"),
        ("write", "cannot be decoded: OSError"),
        ("lie", "its decoder gave nonsense"),
    ],
)
def test_what_goes_wrong_costs_one_file(
    bad: media.Decoder, tmp_path: Path, word: str, reason: str
) -> None:
    sound = hiss(5.0, RATE)
    path = write_wav(tmp_path / f"{word}.wav", sound)
    found = bad.hear(path, sample_rate=RATE, block_seconds=1.0)
    with pytest.raises(MediaError, match=reason) as caught:
        list(found.blocks)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)
    assert all(each.stat().st_size == 0 for each in tmp_path.glob("written"))
    good = write_wav(tmp_path / "good.wav", sound)
    assert heard(bad, good, block_seconds=1.0).shape == (1, 5 * RATE)


def test_what_a_library_prints_is_no_message(bad: media.Decoder, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "print.wav", hiss(5.0, RATE))
    assert heard(bad, path, block_seconds=1.0).shape == (1, 5 * RATE)


def test_a_killed_parent_leaves_no_process(tmp_path: Path) -> None:
    """The process ends with the pipe that it is spoken to through."""
    path = write_wav(tmp_path / "a.wav", hiss(1.0, RATE))
    decoder = media.Decoder()
    heard(decoder, path)
    process = decoder._process
    assert process is not None and process._popen.stdin is not None
    process._popen.stdin.close()
    assert process._popen.wait(10) == 0


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hours of silence in a file of some kilobytes."""
    path = tmp_path_factory.mktemp("silence") / "silence.mka"
    encode(path, np.atleast_2d(hiss(2.0, 48_000)), 48_000, "libopus", gap=(1.0, 3 * 3600.0))
    assert path.stat().st_size < 40_000
    return path


def test_hours_of_silence_in_kilobytes(silence: Path) -> None:
    for limits, reason in (
        (media.STRANGERS, r"more than 2\.\d hours of sound in \d+ bytes"),
        (media.Limits(hours=1.0), "more than 1 hours of sound"),
    ):
        with media.Decoder(limits) as decoder, pytest.raises(MediaError, match=reason):
            heard(decoder, silence)
    with media.Decoder() as decoder:  # a file of one's own
        found = decoder.hear(silence, sample_rate=1_000)
        assert sum(block.shape[1] for block in found.blocks) > 3 * 3600 * 1000


def test_adding_goes_on_after_a_crash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "CHILD", ("-P", str(HERE / "bad_child.py")))
    paths = [
        write_wav(tmp_path / f"{name}.wav", np.resize(say(said), 40 * RATE))
        for name, said in (("a", "harbour"), ("crash", "lantern"), ("b", "invoice"))
    ]
    with tone_library(tmp_path / "library") as library:
        report = library.add(paths, limits=media.Limits())
        assert [each.title for each in report.added] == ["a", "b"]
        ((path, note),) = report.failed
        assert (path, note) == (
            str(paths[1]),
            "cannot be decoded: it makes its decoder crash (SIGSEGV)",
        )
        assert {mention.title for mention in library.search("invoice").mentions} == {"b"}


def test_it_is_started_by_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with media.Decoder() as decoder, pytest.raises(MediaError, match="no process can be started"):
        decoder.hear(HERE / "fakes.py", sample_rate=RATE)
