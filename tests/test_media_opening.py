"""Files that cannot be listened to, or must not: one sentence each that names the file."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sounds import encode, hiss, tone

from earshot import media
from earshot.errors import MediaError
from earshot.media.opening import Reader

RATE = 16_000


def seconds_of(path: Path) -> float:
    """The length of what can be decoded."""
    return float(sum(block.shape[1] for block in media.blocks(path)) / RATE)


def refused(path: Path | str) -> str:
    """The sentence with which every way of reading a file refuses it, without its name."""
    with pytest.raises(MediaError) as raised:
        seconds_of(Path(path))
    text = str(raised.value)
    assert text.endswith(".") and "\n" not in text
    shown = str(path) if str(path).isprintable() else repr(str(path))
    assert text.startswith(shown + " ")
    return text.removeprefix(shown + " ")


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A good file of one second."""
    path = tmp_path_factory.mktemp("wav") / "good.wav"
    return encode(path, tone(440, 1.0, RATE), RATE, "pcm_s16le").read_bytes()


def test_what_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path / "a.mp3") == "does not exist."
    assert refused(tmp_path) == "is a folder, not an audio or video file."
    (tmp_path / "empty.mp3").touch()
    assert refused(tmp_path / "empty.mp3") == "is empty (0 bytes)."
    assert refused(tmp_path / "empty.mp3" / "a.mp3") == "does not exist."
    os.mkfifo(tmp_path / "pipe.wav")
    assert refused(tmp_path / "pipe.wav") == "is a device, pipe or socket, not a file."
    assert refused("/dev/null") == "is a device, pipe or socket, not a file."
    assert refused(tmp_path / "a\0.wav").startswith("cannot be opened: ")
    assert refused(tmp_path / ("x" * 300)).startswith("cannot be opened: ")
    (tmp_path / "loop.wav").symlink_to("loop.wav")
    assert refused(tmp_path / "loop.wav").startswith("cannot be opened: ")


def test_addresses_are_not_files() -> None:
    with pytest.raises(MediaError, match="only local files can be read"):
        list(media.blocks("http://localhost:9/a.mp3"))


def test_a_file_that_may_not_be_read(tmp_path: Path, wav: bytes) -> None:
    path = tmp_path / "secret.wav"
    path.write_bytes(wav)
    path.chmod(0)
    root = os.geteuid() == 0  # who may read all, and becomes somebody else for a moment
    if root:
        os.seteuid(65534)
    try:
        assert refused(path) == "cannot be opened: permission denied."
    finally:
        if root:
            os.seteuid(0)


NAMES = [
    "-i.wav", "concat:a.wav", "http:b.wav", "file:c.wav", "pipe:0", "data:,x.wav", "two\nlines.wav",
    "Zoë 🎵.wav", "%03d.wav", "a|b.wav", "subfile,,start,0,end,0,,:d.wav", "e.m3u8", "f.lavfi",
    "g.png", "no suffix", os.fsdecode(b"\xff\xfe.wav"),
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_nothing(
    name: str, tmp_path: Path, wav: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(wav)
    assert seconds_of(Path(name)) == 1.0
    Path(name).write_bytes(wav[: len(wav) // 2])
    assert refused(name).startswith("is truncated")


def playlists(target: str) -> Iterator[tuple[str, bytes]]:
    """Files of all kinds that make FFmpeg open other files."""
    yield "a.m3u8", f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{target}\n".encode()
    yield "b.ffconcat", f"ffconcat version 1.0\nfile '{target}'\n".encode()
    yield "c.sdp", b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio 5004 RTP/AVP 0\n"
    yield "d.mpd", f"<?xml version='1.0'?>\n<MPD><BaseURL>{target}</BaseURL></MPD>".encode()
    yield "e.pls", f"[playlist]\nFile1={target}\n".encode()
    yield "f.smil", f"<smil><audio src='{target}'/></smil>".encode()


@pytest.mark.parametrize("target", ["{wav}", "http://localhost:9/a.ts", "/etc/passwd"])
@pytest.mark.parametrize("suffix", [None, ".mp3", ".wav", ""])
def test_playlists_are_not_followed(
    target: str, suffix: str | None, tmp_path: Path, wav: bytes
) -> None:
    (tmp_path / "good.wav").write_bytes(wav)
    for name, content in playlists(target.format(wav=tmp_path / "good.wav")):
        path = tmp_path / name if suffix is None else (tmp_path / name).with_suffix(suffix)
        path.write_bytes(content)
        assert refused(path).startswith("is a playlist, which points at other files")
        path.write_bytes(content + b"\0\1\2")  # no longer text: now FFmpeg has to refuse it
        assert refused(path).startswith(("is not audio or video", "has no audio"))


def test_text_is_not_media(tmp_path: Path) -> None:
    for content, expected in [
        (b"Dear diary, nothing was said today.\n" * 200, "is text"),
        ("naïve café\n".encode() * 1000, "is text"),
        (b"x", "is text"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html><body>404</body></html>", "is a web page"),
        ("Dear diary".encode("utf-16") * 100, "is not audio or video that can be read"),
        (np.random.default_rng(1).bytes(50_000), "is not audio or video that can be read"),
        (bytes(50_000), "is not audio or video that can be read"),
    ]:
        for name in ("a.mp3", "a.wav", "a.mp4", "a"):
            (tmp_path / name).write_bytes(content)
            assert refused(tmp_path / name).startswith(expected)


def header(rate: int = RATE, channels: int = 1, bits: int = 16, data: bytes = b"") -> bytes:
    """A WAV file whose header says anything."""
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block % 2**32, block % 2**16, bits)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


@pytest.mark.parametrize(
    ("absurd", "expected"),
    [
        ({"rate": 0}, "is not audio"),
        ({"rate": 1}, "claims 1 channels at 1 Hz"),
        ({"rate": 2**31 - 1}, "claims"),
        ({"channels": 0}, "claims 0 channels"),
        ({"channels": 500}, "claims 500 channels"),
        ({"bits": 0}, "holds audio in a codec that cannot be decoded"),
        ({"data": b""}, "has an audio stream without any audio in it"),
    ],
)
def test_absurd_headers(absurd: dict[str, Any], expected: str, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(header(**{"data": bytes(8_000)} | absurd))
    assert refused(tmp_path / "a.wav").startswith(expected)


def test_a_film_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        out.mux(stream.encode(None))
    assert refused(tmp_path / "a.mp4") == "has no audio stream, only video."


def test_a_codec_that_nobody_knows(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mkv", hiss(1.0, 48_000), 48_000, "libopus")
    path.write_bytes(path.read_bytes().replace(b"A_OPUS", b"A_WHAT"))
    assert refused(path).startswith("holds audio in a codec that cannot be decoded")


@pytest.mark.parametrize("size", [0, 2**31 - 1, 2**32 - 1])
def test_recorders_that_could_not_go_back_to_write_the_size(
    size: int, tmp_path: Path, wav: bytes
) -> None:
    place = wav.index(b"data") + 4
    told = struct.pack("<I", size)
    (tmp_path / "a.wav").write_bytes(wav[:4] + told + wav[8:place] + told + wav[place + 4 :])
    assert seconds_of(tmp_path / "a.wav") == 1.0


def test_samples_in_a_wrong_unit(tmp_path: Path) -> None:
    loud = encode(tmp_path / "a.wav", tone(440, 1.0, RATE, 20_000), RATE, "pcm_f32le")
    assert "full scale is 1" in refused(loud)
    broken = tone(440, 1.0, RATE)
    broken[8_000] = np.nan
    assert refused(encode(tmp_path / "b.wav", broken, RATE, "pcm_f32le")).startswith(
        "has samples of nan at 0:00:00.00"
    )


def test_a_disk_that_fails(tmp_path: Path, wav: bytes) -> None:
    class Failing(FileIO):
        """A file whose first sector only can be read."""

        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 512:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(512) or b""

    (tmp_path / "a.wav").write_bytes(wav)
    with Failing(tmp_path / "a.wav") as file:
        reader = Reader(file, ".wav")
        assert reader.read(4096) == wav[:512]
        assert reader.read(4096) == b""
        assert reader.failure is not None and reader.failure.errno == errno.EIO
        assert reader.seek(-5) == -1 and reader.seek(2**70) == -1
        assert reader.seek(0) == 0


KINDS: list[tuple[str, str, int, dict[str, Any]]] = [
    ("a.wav", "pcm_s16le", 16_000, {}),
    ("mulaw.wav", "pcm_mulaw", 8_000, {}),
    ("a.aiff", "pcm_s16be", 16_000, {}),
    ("a.flac", "flac", 16_000, {}),
    ("a.mp3", "libmp3lame", 16_000, {}),
    ("a.opus", "libopus", 48_000, {}),
    ("a.m4a", "aac", 44_100, {}),
    ("front.mp4", "aac", 44_100, {"options": {"movflags": "faststart"}}),
    ("parts.mp4", "aac", 44_100, {"options": {"movflags": "frag_keyframe+empty_moov"}}),
    ("film.mp4", "aac", 44_100, {"video": "libx264"}),
    ("film.mkv", "libopus", 48_000, {"video": "libx264"}),
    ("film.avi", "libmp3lame", 44_100, {"video": "mpeg4"}),
    ("film.flv", "aac", 44_100, {"video": "flv"}),
    ("a.webm", "libopus", 48_000, {}),
    ("sony.w64", "pcm_s16le", 16_000, {}),
    ("huge.wav", "pcm_s16le", 16_000, {"options": {"rf64": "always"}}),
    ("film.wmv", "wmav2", 44_100, {"video": "wmv2"}),
]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """One good file of 3 seconds of each kind, by name."""
    folder = tmp_path_factory.mktemp("good")
    return {
        name: encode(folder / name, hiss(3.0, rate), rate, codec, **more).read_bytes()
        for name, codec, rate, more in KINDS
    }


@pytest.mark.parametrize("kind", [kind[0] for kind in KINDS])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8])
def test_truncated(kind: str, share: float, good: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / kind).write_bytes(good[kind])
    assert seconds_of(tmp_path / kind) == pytest.approx(3.0, abs=0.1)
    (tmp_path / kind).write_bytes(good[kind][: int(len(good[kind]) * share)])
    told = refused(tmp_path / kind)
    if kind == "a.m4a" and "no index" in told:
        return
    assert told.startswith("is truncated: its header"), told


def test_a_wav_file_above_four_gigabytes(tmp_path: Path) -> None:
    """A WAV file above 4 GiB cannot say its length: all of it counts. It takes no disk here."""
    content = bytearray(header(rate=1_500_000, channels=2, data=bytes(400)))
    size = 2**32 + 6_000_000
    content[40:44] = (size - 44 - 2**32).to_bytes(4, "little")
    with (tmp_path / "huge.wav").open("wb") as file:
        file.write(content)
        file.seek(size - 2**32)  # where FFmpeg would look for what follows the audio
        file.write(b"\x12\x34\x56\x78" + (2**32 - 4096).to_bytes(4, "little"))
        file.truncate(size)
    assert media.probe(tmp_path / "huge.wav").duration is None
    last = (size - 44) / 6_000_000
    assert media.read(tmp_path / "huge.wav", last - 0.5, last + 9).shape == (2, RATE // 2)


def test_a_recording_without_its_index(good: dict[str, bytes], tmp_path: Path) -> None:
    whole = good["film.mp4"]
    (tmp_path / "a.mp4").write_bytes(whole[: whole.rindex(b"moov") - 4])
    assert refused(tmp_path / "a.mp4").startswith("has no index (moov)")


def test_junk_behind_the_end_is_no_harm(good: dict[str, bytes], tmp_path: Path) -> None:
    for kind in ("a.wav", "a.flac", "a.mp3", "a.opus", "film.mp4", "film.avi"):
        for junk in (bytes(5_000), b"TAG" + b"title".ljust(125)):
            (tmp_path / kind).write_bytes(good[kind] + junk)
            assert seconds_of(tmp_path / kind) == pytest.approx(3.0, abs=0.1), kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("a.flac", "s of audio are missing"),
        ("a.opus", "s of audio are missing"),
        ("a.webm", "s of audio are missing"),
        ("a.m4a", "its audio cannot be decoded"),
    ],
)
def test_damage_in_the_middle_says_when(kind: str, expected: str, tmp_path: Path) -> None:
    codec, rate = next(each[1:3] for each in KINDS if each[0] == kind)
    content = bytearray(encode(tmp_path / kind, hiss(12.0, rate), rate, codec).read_bytes())
    middle, size = len(content) // 2, 12_000
    content[middle : middle + size] = np.random.default_rng(1).bytes(size)
    (tmp_path / kind).write_bytes(content)
    told = refused(tmp_path / kind)
    assert told.startswith("is damaged at 0:00:0") and expected in told


def test_one_broken_frame_becomes_silence(good: dict[str, bytes], tmp_path: Path) -> None:
    content = bytearray(good["a.m4a"])
    content[len(content) // 2] ^= 0x55
    (tmp_path / "a.m4a").write_bytes(content)
    assert seconds_of(tmp_path / "a.m4a") == pytest.approx(3.0, abs=0.05)


def cut(content: bytes, place: int, value: int) -> bytes:
    return content[: place % len(content)]


def changed(content: bytes, place: int, value: int) -> bytes:
    place %= len(content)
    return content[:place] + value.to_bytes(8, "little") + content[place + 8 :]


def removed(content: bytes, place: int, value: int) -> bytes:
    place %= len(content)
    return content[:place] + content[place + value % 1000 :]


@pytest.mark.parametrize("kind", [kind[0] for kind in KINDS if "film" not in kind[0]])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    damage=st.sampled_from([cut, changed, removed]),
    place=st.one_of(st.integers(0, 600), st.integers(0, 2**20)),
    value=st.integers(0, 2**64 - 1),
)
def test_damage_is_a_sentence_or_harmless(
    kind: str,
    damage: Callable[[bytes, int, int], bytes],
    place: int,
    value: int,
    good: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """Whatever happens to a file: the errors are ours, the samples are finite and within scale."""
    path = tmp_path / kind
    path.write_bytes(damage(good[kind], place, value))
    try:
        media.probe(path)
        for block in media.blocks(path):
            assert np.abs(block).max() <= 1.0
        media.read(path, 0.5, 0.6)
    except MediaError as error:
        assert str(path) in str(error)
