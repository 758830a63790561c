"""Spans written to files of their own, and what paths stand for."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from sounds import encode, hiss, tick_times, ticks, tone

from earshot import media
from earshot.errors import MediaError, UsageError


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 44.1 kHz: bursts at 2.5 and 7.5 on the left, at 5.0 on the right."""
    stereo = np.stack([ticks([2.5, 7.5], 10.0, 44_100), ticks([5.0], 10.0, 44_100)])
    return encode(tmp_path_factory.mktemp("source") / "a.flac", stereo, 44_100, "flac")


@pytest.mark.parametrize("suffix", sorted(media.CLIP_FORMATS))
def test_clips(suffix: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / f"clip{suffix}"
    assert media.write_clip(source, 2.0, 5.5, target) == target
    info = media.probe(target)
    assert info.channels == 2
    assert info.sample_rate == (48_000 if info.codec == "opus" else 44_100)
    left, right = media.read(target, 0.0, 60.0)
    assert len(left) == pytest.approx(3.5 * 16_000, abs=1)
    assert tick_times(left) == pytest.approx([0.5], abs=0.002)
    assert tick_times(right) == pytest.approx([3.0], abs=0.002)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_a_clip_of_a_wav_file_has_its_very_samples(tmp_path: Path) -> None:
    samples = np.round(hiss(3.0, 8_000) * 32_768).clip(-32_768, 32_767) / 32_768
    source = encode(tmp_path / "a.wav", samples, 8_000, "pcm_s16le")
    media.write_clip(source, 1.0, 2.0, tmp_path / "b.wav")
    clip = media.read(tmp_path / "b.wav", 0, 9, sample_rate=8_000)[0]
    np.testing.assert_allclose(clip, samples[8_000:16_000], atol=1e-7)
    assert media.probe(tmp_path / "b.wav").sample_rate == 8_000


def test_a_clip_reaches_over_both_ends(source: Path, tmp_path: Path) -> None:
    media.write_clip(source, -5.0, 99.0, tmp_path / "a.wav")
    assert media.read(tmp_path / "a.wav", 0, 99).shape[1] == 160_000


@pytest.mark.parametrize(("suffix", "channels"), [(".mp3", 1), (".flac", 6), (".opus", 6)])
def test_clips_of_surround(suffix: str, channels: int, tmp_path: Path) -> None:
    six = np.stack([tone(300 + 50 * n, 1.0, 48_000) for n in range(6)])
    film = encode(tmp_path / "film.wav", six, 48_000, "pcm_s16le")
    media.write_clip(film, 0.2, 0.8, tmp_path / f"a{suffix}")
    assert media.probe(tmp_path / f"a{suffix}").channels == channels


def test_a_clip_from_a_film(tmp_path: Path) -> None:
    film = encode(
        tmp_path / "a.mp4", ticks([4.0], 6.0, 44_100), 44_100, "aac", video="libx264", starts=1.0
    )
    media.write_clip(film, 4.5, 5.5, tmp_path / "a.flac")
    assert tick_times(media.read(tmp_path / "a.flac", 0, 9)[0]) == pytest.approx([0.5], abs=0.01)


def test_an_unknown_suffix(source: Path, tmp_path: Path) -> None:
    for name in ("a.aiff", "a", "a.wav.txt"):
        with pytest.raises(UsageError, match=r"must end in one of \.flac, \.mp3, \.ogg, \.opus"):
            media.write_clip(source, 0, 1, tmp_path / name)


def test_the_recording_itself_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    (tmp_path / "link.flac").symlink_to(source)
    for target in (source, tmp_path / "link.flac"):
        with pytest.raises(UsageError, match="is the recording itself"):
            media.write_clip(source, 0, 1, target)
    assert source.read_bytes() == before


def test_an_old_clip_stays_until_the_new_one_is_complete(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.wav"
    target.write_bytes(b"old")
    with pytest.raises(MediaError, match="ends before"):
        media.write_clip(source, 100, 101, target)
    with pytest.raises(UsageError, match="is no span"):
        media.write_clip(source, 1, 1, target)
    with pytest.raises(MediaError, match="does not exist"):
        media.write_clip(tmp_path / "none.wav", 0, 1, target)
    assert target.read_bytes() == b"old"
    media.write_clip(source, 0, 1, target)
    assert media.probe(target).duration == pytest.approx(1.0)
    assert list(tmp_path.iterdir()) == [target]


def test_where_nothing_can_be_written(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"a\.wav cannot be written: No such file or directory"):
        media.write_clip(source, 0, 1, tmp_path / "none" / "a.wav")
    with pytest.raises(MediaError, match=r"a\.wav cannot be written: Not a directory"):
        media.write_clip(source, 0, 1, source / "a.wav")
    (tmp_path / "b.wav").mkdir()
    with pytest.raises(MediaError, match=r"b\.wav cannot be written: Is a directory"):
        media.write_clip(source, 0, 1, tmp_path / "b.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["b.wav"]


@contextmanager
def small_disk(size: int) -> Iterator[None]:
    """No file can grow over `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.mark.parametrize("suffix", sorted(media.CLIP_FORMATS))
def test_a_full_disk(suffix: str, tmp_path: Path) -> None:
    source = encode(tmp_path / "noise.wav", hiss(5.0, 48_000), 48_000, "pcm_s16le")
    target = tmp_path / f"clip{suffix}"
    with small_disk(8_000), pytest.raises(MediaError, match="cannot be written: File too large"):
        media.write_clip(source, 0, 5, target)
    assert [path.name for path in tmp_path.iterdir()] == ["noise.wav"]


def test_files_and_folders(tmp_path: Path) -> None:
    for name in ("b.MP3", "a.wav", "notes.txt", ".hidden.wav", "sub/c.opus", "sub/.git/d.wav",
                 "sub/deep/e.mkv", "empty/readme.md", "f.ts", "g.ts", "h.mts"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "g.ts").write_bytes(b"\x47\x40\0")  # the others are TypeScript
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "sub" / "broken.wav").symlink_to("nowhere")
    (tmp_path / "z.wav").symlink_to("a.wav")

    def found(*paths: str) -> list[str]:
        given = [tmp_path / path for path in paths]
        return [str(path.relative_to(tmp_path)) for path in media.media_files(given)]

    everything = ["a.wav", "b.MP3", "g.ts", "sub/broken.wav", "sub/c.opus", "sub/deep/e.mkv"]
    assert found("") == everything
    assert found("sub", "") == [*everything[3:], "sub/up/a.wav", "sub/up/b.MP3", "sub/up/g.ts"]
    assert found("nul\0.wav") == ["nul\0.wav"]
    assert found("notes.txt", ".hidden.wav", "none.wav", "a.wav", "a.wav") == [
        "notes.txt", ".hidden.wav", "none.wav", "a.wav",
    ]  # fmt: skip
    assert found("empty") == []
    with pytest.raises(MediaError, match=r"none\.wav does not exist"):
        media.probe(next(media.media_files([tmp_path / "none.wav"])))


def test_a_folder_that_may_not_be_listed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    root = os.geteuid() == 0  # who may list all, and becomes somebody else for a moment
    tmp_path.chmod(0o755)
    if root:
        os.chown(tmp_path, 65534, 65534)
        os.seteuid(65534)
    try:
        assert list(media.media_files([tmp_path / "secret"])) == [tmp_path / "secret"]
    finally:
        if root:
            os.seteuid(0)
