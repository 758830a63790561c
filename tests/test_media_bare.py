"""What telephone systems write: every codec that can be decoded, with a header and without."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from sounds import encode, tick_times, ticks, tone

from earshot import media
from earshot.errors import MediaError
from earshot.media.bare import bare

SECONDS, TIMES = 4.0, [0.5, 1.75, 3.5]
# name of the file, encoder, rate, container
WRITTEN = [
    ("call.ulaw", "pcm_mulaw", 8_000, "mulaw"),
    ("call.UL", "pcm_mulaw", 8_000, "mulaw"),
    ("call.alaw", "pcm_alaw", 8_000, "alaw"),
    ("call.al", "pcm_alaw", 8_000, "alaw"),
    ("call.sln", "pcm_s16le", 8_000, "s16le"),
    ("call.sln16", "pcm_s16le", 16_000, "s16le"),
    ("call.g722", "g722", 16_000, "g722"),
    ("call-g726.wav", "g726", 8_000, "wav"),
    ("call-mulaw.au", "pcm_mulaw", 8_000, "au"),
    ("call.amr", "libopencore_amrnb", 8_000, "amr"),
    ("call.3gp", "libopencore_amrnb", 8_000, "3gp"),
    ("call.opus", "libopus", 16_000, "ogg"),
    ("mislabelled.ulaw", "pcm_s16le", 16_000, "wav"),
]


@pytest.mark.parametrize(("name", "codec", "rate", "container"), WRITTEN)
def test_times_are_right(tmp_path: Path, name: str, codec: str, rate: int, container: str) -> None:
    path = encode(tmp_path / name, ticks(TIMES, SECONDS, rate), rate, codec, container=container)
    samples = np.concatenate(list(media.blocks(path)), axis=1)
    assert samples.shape == (1, pytest.approx(SECONDS * 16_000, abs=1_000))
    assert tick_times(samples[0]) == pytest.approx(TIMES, abs=0.05)


@pytest.mark.parametrize(
    ("name", "head", "frame", "size", "seconds"),
    [
        # No encoder of these two comes with FFmpeg, so the frames are of noise: 20 ms each.
        ("call.gsm", b"", b"\xd8", 32, 0.02),
        ("call.awb", b"#!AMR-WB\n", b"\x04", 17, 0.02),
    ],
)
def test_formats_that_are_only_read(
    tmp_path: Path, name: str, head: bytes, frame: bytes, size: int, seconds: float
) -> None:
    noise = random.Random(1)
    path = tmp_path / name
    path.write_bytes(head + b"".join(frame + noise.randbytes(size) for _ in range(100)))
    samples = np.concatenate(list(media.blocks(path)), axis=1)
    assert samples.shape[1] == pytest.approx(100 * seconds * 16_000, abs=700)
    assert np.abs(samples).max() > 0.01


def test_only_what_has_no_header_is_bare() -> None:
    assert bare(".ULAW", b"\xff\xff") is not None
    assert bare(".ulaw", b"RIFF....WAVE") is None and bare(".wav", b"\xff") is None


def test_a_text_is_no_samples(tmp_path: Path) -> None:
    (tmp_path / "project.sln").write_text("Microsoft Visual Studio Solution File\n" * 20)
    with pytest.raises(MediaError, match="is text"):
        media.probe(tmp_path / "project.sln")


def test_folders_give_what_phones_write(tmp_path: Path) -> None:
    for name in ("a.ulaw", "b.alaw", "c.sln16", "d.g722", "e.gsm", "f.sln", "g.txt"):
        (tmp_path / name).write_bytes(b"\xff")
    assert [one.name for one in media.media_files([tmp_path])] == [
        "a.ulaw", "b.alaw", "c.sln16", "d.g722", "e.gsm",
    ]  # fmt: skip


def test_two_sides_become_two_channels(tmp_path: Path) -> None:
    one = encode(tmp_path / "in.wav", ticks([0.5], 2.0, 8_000), 8_000, "pcm_mulaw")
    later, bare_file = ticks([2.5], 4.0, 8_000), tmp_path / "out.ulaw"
    two = encode(bare_file, later, 8_000, "pcm_mulaw", container="mulaw")
    target = media.join([one, two], tmp_path / "call.flac")
    assert media.probe(target).sample_rate == 8_000
    left, right = media.read(target, 0.0, 10.0)
    assert len(left) == len(right) == 4 * 16_000
    assert tick_times(left) == pytest.approx([0.5], abs=0.01)
    assert tick_times(right) == pytest.approx([2.5], abs=0.01)
    first = target.read_bytes()
    assert media.join([one, two], target).read_bytes() == first


def test_a_side_that_cannot_be_heard_leaves_nothing(tmp_path: Path) -> None:
    good = encode(tmp_path / "in.wav", tone(440, 1.0, 8_000), 8_000, "pcm_mulaw")
    bad = tmp_path / "out.wav"
    bad.write_bytes(good.read_bytes()[:3000])
    with pytest.raises(MediaError, match=r"out\.wav"):
        media.join([good, bad], tmp_path / "call.flac")
    assert not (tmp_path / "call.flac").exists()
