"""Real files of many containers and codecs -> PCM: times, lengths, levels, spans."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sounds import Floats, encode, hiss, tick_times, ticks, tone

from earshot import media
from earshot.errors import MediaError, UsageError

RATE = 16_000
SECONDS = 8.0
TIMES = [0.5, 3.25, 7.5]

Kind = tuple[str, str, int, dict[str, Any], float]
# name of the file, encoder, sample rate, what more `encode` needs, seconds that times may be off
LOSSLESS: list[Kind] = [
    ("16.wav", "pcm_s16le", 44_100, {}, 0.0005),
    ("24.wav", "pcm_s24le", 48_000, {}, 0.0005),
    ("float.wav", "pcm_f32le", 11_025, {}, 0.0005),
    ("call.wav", "pcm_mulaw", 8_000, {}, 0.0005),
    ("call-a.wav", "pcm_alaw", 8_000, {}, 0.0005),
    ("same.wav", "pcm_s16le", 16_000, {}, 0.0005),
    ("odd.wav", "pcm_s16le", 44_099, {}, 0.0005),
    ("high.flac", "flac", 96_000, {}, 0.0005),
    ("cd.flac", "flac", 44_100, {}, 0.0005),
    ("old.aiff", "pcm_s16be", 22_050, {}, 0.0005),
    ("apple.m4a", "alac", 44_100, {}, 0.0005),
    ("film.mov", "pcm_s16le", 48_000, {"video": "mpeg4"}, 0.0005),
]
LOSSY: list[Kind] = [
    ("music.mp3", "libmp3lame", 44_100, {}, 0.002),
    ("low.mp3", "libmp3lame", 11_025, {}, 0.002),
    ("bare.mp3", "libmp3lame", 44_100, {"options": {"write_xing": "0"}}, 0.05),
    ("voice.m4a", "aac", 44_100, {}, 0.002),
    ("voice.opus", "libopus", 48_000, {}, 0.002),
    ("voice.webm", "libopus", 48_000, {}, 0.002),
    ("narrow.opus", "libopus", 8_000, {}, 0.002),
    ("film.mp4", "aac", 44_100, {"video": "libx264"}, 0.002),
    ("film.mkv", "libopus", 48_000, {"video": "libx264"}, 0.002),
    ("film.webm", "libopus", 48_000, {"video": "libvpx"}, 0.002),
    ("film.avi", "libmp3lame", 44_100, {"video": "mpeg4"}, 0.05),
    ("film.flv", "aac", 44_100, {"video": "flv"}, 0.05),
    ("cast.ts", "aac", 44_100, {"video": "libx264"}, 0.05),
    ("cast.mpg", "mp2", 44_100, {"video": "mpeg2video"}, 0.05),
    ("old.wma", "wmav2", 44_100, {}, 0.1),
    ("radio.aac", "aac", 44_100, {}, 0.05),
    ("phone.amr", "libopencore_amrnb", 8_000, {}, 0.05),
]


def whole(path: Path, channels: media.Channels = "split", **options: Any) -> Floats:
    """All of a file's PCM, (channels, samples)."""
    return np.concatenate(list(media.blocks(path, channels=channels, **options)), axis=1)


def write(path: Path, name: str, codec: str, rate: int, more: dict[str, Any]) -> Path:
    """A file of one of the kinds above, with a burst at each of TIMES."""
    return encode(path / name, ticks(TIMES, SECONDS, rate), rate, codec, **more)


@pytest.mark.parametrize(("name", "codec", "rate", "more", "off"), LOSSLESS + LOSSY)
def test_times_and_length(
    name: str, codec: str, rate: int, more: dict[str, Any], off: float, tmp_path: Path
) -> None:
    samples = whole(write(tmp_path, name, codec, rate, more))
    assert samples.dtype == np.float32 and samples.shape[0] == 1
    assert abs(samples.shape[1] - SECONDS * RATE) <= (1 if off < 0.001 else 0.08 * RATE)
    assert tick_times(samples[0]) == pytest.approx(TIMES, abs=off)


def test_vorbis(tmp_path: Path) -> None:
    stereo = np.stack([ticks(TIMES, SECONDS, 44_100)] * 2)  # all that FFmpeg's encoder can do
    samples = whole(encode(tmp_path / "old.ogg", stereo, 44_100, "vorbis"))
    assert samples.shape[0] == 2
    assert tick_times(samples[1]) == pytest.approx(TIMES, abs=0.03)


@pytest.mark.parametrize(("name", "codec", "rate", "more", "off"), LOSSLESS + LOSSY)
def test_a_span_is_what_blocks_give_there(
    name: str, codec: str, rate: int, more: dict[str, Any], off: float, tmp_path: Path
) -> None:
    samples = ticks(TIMES, SECONDS, rate) + 0.3 * tone(300, SECONDS, rate)
    path = encode(tmp_path / name, samples, rate, codec, **more)
    expected = whole(path)[0]
    for start, end in [(0.0, 0.7), (1.2345, 3.5), (3.1, 3.7), (5.01, 7.6), (7.3, 60.0)]:
        got = media.read(path, start, end)[0]
        # Matroska rounds timestamps to milliseconds: a span may lie one beside.
        slack = RATE // 1000 if path.suffix in {".mkv", ".webm"} else 0
        assert distance(got, expected, round(start * RATE), round(end * RATE), slack) < (
            1e-5 if off < 0.001 else 0.01
        ), (start, end)


def distance(got: Floats, whole: Floats, first: int, last: int, slack: int) -> float:
    """The largest difference of a span from the whole, if it may be shifted by some samples."""
    assert abs(len(got) - (min(last, len(whole)) - first)) <= slack
    differences = []
    for shift in range(-slack, slack + 1):
        skipped = max(-first - shift, 0)
        there = whole[first + shift + skipped :][: len(got) - skipped]
        differences.append(float(np.abs(got[skipped:][: len(there)] - there).max()))
    return min(differences)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_s64le"])
def test_full_scale_of_integers(codec: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(440, 1.0, RATE, 0.8), RATE, codec)
    assert np.abs(whole(path)[0] - tone(440, 1.0, RATE, 0.8)).max() < 0.01


@pytest.mark.parametrize("codec", ["pcm_f32le", "pcm_f64le"])
def test_full_scale_of_floats(codec: str, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(440, 1.0, RATE, 1.5), RATE, codec)
    expected = np.clip(tone(440, 1.0, RATE, 1.5), -1, 1)
    np.testing.assert_allclose(whole(path)[0], expected, atol=1e-6)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_resampling_keeps_the_band_of_speech(rate: int, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(1000, 2.0, rate), rate, "pcm_f32le")
    samples = whole(path)[0]
    assert abs(len(samples) - 2 * RATE) <= 1
    middle = slice(RATE // 2, -RATE // 2)
    assert np.abs(samples[middle] - tone(1000, 2.0, RATE)[: len(samples)][middle]).max() < 2e-3


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_resampling_removes_what_would_fold_back(rate: int, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", tone(10_000, 2.0, rate), rate, "pcm_f32le")
    middle = whole(path)[0][RATE // 2 : -RATE // 2]
    assert 20 * np.log10(np.abs(middle).max() / 0.5) < -60


def test_other_rates_can_be_asked_for(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", ticks(TIMES, SECONDS, 44_100), 44_100, "pcm_s16le")
    samples = whole(path, sample_rate=8_000)[0]
    assert len(samples) == 64_000
    assert tick_times(samples, 8_000) == pytest.approx(TIMES, abs=0.001)
    assert media.read(path, 3.0, 4.0, sample_rate=8_000).shape == (1, 8_000)


@pytest.mark.parametrize("seconds", [0.01, 0.5, 1.0, 2.0, 2.3])
@pytest.mark.parametrize("block_seconds", [0.05, 1.0, 30.0])
def test_blocks_have_equal_lengths(seconds: float, block_seconds: float, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", hiss(seconds, 44_100), 44_100, "pcm_s16le")
    blocks = list(media.blocks(path, block_seconds=block_seconds))
    assert {block.shape[1] for block in blocks[:-1]} <= {round(block_seconds * RATE)}
    assert 0 < blocks[-1].shape[1] <= round(block_seconds * RATE)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), whole(path))


def long_recording(path: Path, seconds: int, rate: int, times: list[float]) -> Path:
    """A long WAV file of 16 bits whose silence takes no place on the disk; bursts at some times."""
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(b"\0\0")
    header = bytearray(path.read_bytes()[:44])
    header[4:8] = (36 + 2 * rate * seconds).to_bytes(4, "little")
    header[40:44] = (2 * rate * seconds).to_bytes(4, "little")
    with path.open("wb") as raw:
        raw.write(header)
        raw.truncate(44 + 2 * rate * seconds)
        for time in times:
            burst = ticks([0.1], 0.2, rate) * 32_767
            raw.seek(44 + 2 * round((time - 0.1) * rate))
            raw.write(burst.astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("rate", [8_000, 11_025])
def test_times_at_the_end_of_an_hour(rate: int, tmp_path: Path) -> None:
    path = long_recording(tmp_path / "long.wav", 3600, rate, [1.0, 3599.0])
    samples, tail = 0, np.zeros(0, np.float32)
    for block in media.blocks(path):
        samples += block.shape[1]
        tail = np.concatenate([tail, block[0]])[-5 * RATE :]
    assert samples == 3600 * RATE
    assert tick_times(tail) == pytest.approx([4.0], abs=1e-3)
    assert tick_times(media.read(path, 3598.0, 3600.0)[0]) == pytest.approx([1.0], abs=1e-3)


def test_memory_depends_on_the_block_only(tmp_path: Path) -> None:
    path = long_recording(tmp_path / "long.wav", 300, 8_000, [])
    tracemalloc.start()
    for _ in media.blocks(path, block_seconds=2.0):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2e6  # a block has 128 kB, all of it would be 19 MB


def test_sound_that_starts_late_in_a_film(tmp_path: Path) -> None:
    for name, codec, video, rate in [
        ("a.mp4", "aac", "libx264", 44_100),
        ("a.mkv", "libopus", "libx264", 48_000),
        ("a.ts", "aac", "libx264", 44_100),
    ]:
        samples = ticks([0.5, 2.5], 3.0, rate)
        path = encode(tmp_path / name, samples, rate, codec, video=video, starts=2.0)
        found = whole(path)[0]
        assert tick_times(found) == pytest.approx([2.5, 4.5], abs=0.05)
        assert not found[: int(1.9 * RATE)].any()
        span = media.read(path, 1.0, 2.8)[0]
        assert tick_times(span) == pytest.approx([1.5], abs=0.05)


@pytest.mark.parametrize("name", ["pause.webm", "pause.mka"])
def test_a_pause_in_the_timestamps_is_silence(name: str, tmp_path: Path) -> None:
    samples = ticks([0.5, 7.5], 8.0, 48_000)
    path = encode(tmp_path / name, samples, 48_000, "libopus", gap=(4.0, 20.0))
    found = whole(path)[0]
    assert tick_times(found) == pytest.approx([0.5, 27.5], abs=0.01)
    assert len(found) == pytest.approx(28 * RATE, abs=200)
    assert tick_times(media.read(path, 26.0, 28.0)[0]) == pytest.approx([1.5], abs=0.01)
    assert not media.read(path, 10.0, 20.0).any()
    assert media.read(path, 10.0, 20.0).shape == (1, 10 * RATE)


def test_a_clock_that_jumps_in_a_broadcast_is_no_silence(tmp_path: Path) -> None:
    samples = ticks([0.5, 7.5], 8.0, 44_100)
    path = encode(tmp_path / "a.ts", samples, 44_100, "aac", gap=(4.0, 3000.0))
    assert tick_times(whole(path)[0]) == pytest.approx([0.5, 7.5], abs=0.05)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("a.opus", "libopus", 48_000), ("a.mp3", "libmp3lame", 44_100), ("a.aac", "aac", 44_100)],
)
def test_files_joined_end_to_end(name: str, codec: str, rate: int, tmp_path: Path) -> None:
    one = encode(tmp_path / name, ticks([0.5, 3.5], 4.0, rate), rate, codec).read_bytes()
    joined = tmp_path / f"joined{Path(name).suffix}"
    joined.write_bytes(one + one)
    found = tick_times(whole(joined)[0])
    assert found == pytest.approx([0.5, 3.5, 4.5, 7.5], abs=0.1)
    assert found[2] - found[0] == pytest.approx(4.0, abs=0.1)
    span = media.read(joined, 4.0, 5.0)[0]
    assert tick_times(span) == pytest.approx([found[2] - 4.0], abs=0.001)


def test_a_picture_that_comes_later_in_a_broadcast(tmp_path: Path) -> None:
    """PyAV itself fails on a stream that was not there when the file was opened."""
    behind = {"mpegts_start_pid": "257"}  # where the sound of a film stands, behind its picture
    first = encode(tmp_path / "1.ts", hiss(8.0, 44_100), 44_100, "mp2", options=behind)
    second = encode(tmp_path / "2.ts", hiss(3.0, 44_100), 44_100, "mp2", video="mpeg2video")
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    assert whole(tmp_path / "both.ts").shape[1] == pytest.approx(11 * RATE, abs=0.2 * RATE)


def test_rate_and_channels_that_change_on_the_way(tmp_path: Path) -> None:
    first = encode(tmp_path / "1.aac", ticks([0.5], 2.0, 44_100), 44_100, "aac").read_bytes()
    stereo = np.stack([ticks([0.5], 2.0, 22_050)] * 2)
    second = encode(tmp_path / "2.aac", stereo, 22_050, "aac").read_bytes()
    (tmp_path / "both.aac").write_bytes(first + second)
    found = whole(tmp_path / "both.aac")
    assert found.shape[0] == 1
    assert tick_times(found[0]) == pytest.approx([0.5, 2.5], abs=0.12)


def test_mixing_keeps_full_scale(tmp_path: Path) -> None:
    left, right = tone(440, 1.0, RATE, 0.9), tone(700, 1.0, RATE, 0.9)
    same = encode(tmp_path / "same.wav", np.stack([left, left]), RATE, "pcm_f32le")
    np.testing.assert_allclose(whole(same, "mix")[0], left, atol=1e-6)
    both = encode(tmp_path / "both.wav", np.stack([left, right]), RATE, "pcm_f32le")
    np.testing.assert_allclose(whole(both, "mix")[0], (left + right) / 2, atol=1e-6)
    np.testing.assert_allclose(whole(both), np.stack([left, right]), atol=1e-6)


def test_mixing_surround(tmp_path: Path) -> None:
    channels = np.zeros((6, RATE), np.float32)  # left, right, middle, low, back left, back right
    channels[2], channels[3] = tone(440, 1.0, RATE), tone(40, 1.0, RATE)
    path = encode(tmp_path / "film.flac", channels, RATE, "flac")
    mixed = whole(path, "auto")
    assert mixed.shape == (1, RATE)
    weight = 1 / (1 + 4 / np.sqrt(2))
    np.testing.assert_allclose(mixed[0], weight * channels[2], atol=1e-3)
    assert whole(path, "split").shape == (6, RATE)


def test_too_many_channels_to_keep_apart(tmp_path: Path) -> None:
    path = tmp_path / "stage.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((12, 2, RATE, 0, "NONE", ""))
        file.writeframes((np.tile(tone(440, 1.0, RATE), (12, 1)).T * 32767).astype("<i2").tobytes())
    assert whole(path, "auto").shape == (1, RATE)
    with pytest.raises(MediaError, match="has 12 channels, of which at most 8"):
        whole(path, "split")


def test_silence_is_no_error(tmp_path: Path) -> None:
    path = encode(tmp_path / "quiet.flac", np.zeros((2, RATE)), RATE, "flac")
    np.testing.assert_array_equal(whole(path, "auto"), np.zeros((1, RATE)))


def test_probe(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.mp4", hiss(3.0, 44_100), 44_100, "aac", video="libx264")
    info = media.probe(path)
    assert info.duration == pytest.approx(3.0, abs=0.1)
    assert (info.channels, info.sample_rate, info.codec) == (1, 44_100, "aac")
    assert info.container == "mp4"
    live = encode(tmp_path / "b.webm", hiss(1.0, 48_000), 48_000, "libopus", options={"live": "1"})
    assert media.probe(live).duration is None
    assert whole(live).shape[1] == pytest.approx(RATE, abs=200)


def test_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(300_000))
    assert media.digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(MediaError, match="does not exist"):
        media.digest(tmp_path / "b.bin")


@pytest.mark.parametrize(("start", "end"), [(1.0, 1.0), (2.0, 1.0), (-2.0, -1.0), (0.0, np.nan)])
def test_empty_spans(start: float, end: float, tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", hiss(1.0, RATE), RATE, "pcm_s16le")
    with pytest.raises(UsageError, match="is no span of"):
        media.read(path, start, end)


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mp3", "libmp3lame")])
def test_a_span_behind_the_end(name: str, codec: str, tmp_path: Path) -> None:
    path = encode(tmp_path / name, hiss(1.0, RATE), RATE, codec)
    assert media.read(path, -1.0, 0.5).shape == (1, RATE // 2)
    assert media.read(path, 0.5, 99.0).shape[1] == pytest.approx(RATE // 2, abs=1)
    for start in (1.2, 30.0):
        with pytest.raises(MediaError, match=f"ends before {start:g} s"):
            media.read(path, start, start + 1)


def test_unknown_channels(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.wav", hiss(1.0, RATE), RATE, "pcm_s16le")
    with pytest.raises(UsageError, match="auto, mix or split"):
        whole(path, "left")  # type: ignore[arg-type]
