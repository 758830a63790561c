"""Audio from a pipe: heard as it comes, in any container that can be read without seeking."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import RATE, say, write_wav

from earshot.errors import MediaError
from earshot.media import Bare, blocks, live

SOUND = say("harbour invoice lantern monday contract")


def encoded(folder: Path, form: str, codec: str, rate: int = RATE) -> bytes:
    """SOUND in a container, as an encoder writes it to a pipe."""
    path = folder / "sound"
    with av.open(str(path), "w", format=form) as container:
        stream = container.add_stream(codec, rate=rate)
        frame = av.AudioFrame.from_ndarray(
            (SOUND[None] * 32767).astype(np.int16), format="s16", layout="mono"
        )
        frame.sample_rate = RATE
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path.read_bytes()


@contextmanager
def piped(data: bytes, *, keep_open: bool = False) -> Iterator[int]:
    """The end of a pipe into which `data` is written in small pieces."""
    out, into = os.pipe()
    end = threading.Event()

    def write() -> None:
        try:
            for start in range(0, len(data), 1000):
                os.write(into, data[start : start + 1000])
            if keep_open:
                end.wait(60)
        except BrokenPipeError:
            pass
        finally:
            os.close(into)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield out
    finally:
        end.set()
        os.close(out)
        writer.join()


@pytest.mark.parametrize(
    ("form", "codec"),
    [
        ("wav", "pcm_s16le"),
        ("flac", "flac"),
        ("ogg", "libopus"),
        ("mp3", "libmp3lame"),
        ("matroska", "libopus"),
        ("mpegts", "aac"),
        ("adts", "aac"),
        ("au", "pcm_s16be"),
    ],
)
def test_a_pipe_gives_what_the_file_gives(tmp_path: Path, form: str, codec: str) -> None:
    data = encoded(tmp_path, form, codec, 48_000 if codec == "libopus" else RATE)
    with piped(data) as handle:
        pieces = list(live(handle, "the input"))
    rate = pieces[0].rate
    found = np.concatenate([piece.samples for piece in pieces], axis=1)
    (tmp_path / f"sound.{form}").write_bytes(data)
    whole = np.concatenate(
        list(blocks(tmp_path / f"sound.{form}", sample_rate=rate, channels="split")), axis=1
    )
    # Some encoders pad their last frame, and tell it where only a file can be read: at its start.
    assert 0 <= found.shape[1] - whole.shape[1] < 1152
    assert np.abs(found[:, : whole.shape[1]] - whole).max() < 1e-4
    starts = np.cumsum([0, *(piece.samples.shape[1] for piece in pieces)])[:-1] / rate
    assert np.allclose([piece.start for piece in pieces], starts, atol=1e-6)


def test_bare_samples_are_what_they_are_said_to_be() -> None:
    data = (np.stack([SOUND, -SOUND], axis=1) * 32767).astype("<i2").tobytes()
    with piped(data) as handle:
        pieces = list(live(handle, "the input", bare=Bare("s16le", 8000, 2)))
    found = np.concatenate([piece.samples for piece in pieces], axis=1)
    assert pieces[0].rate == 8000
    assert found.shape == (2, len(SOUND))
    assert np.abs(found[0] - SOUND).max() < 1e-3


def test_pieces_come_before_the_end() -> None:
    """From a source that never ends, as a call does, until the reader has enough."""
    data = (SOUND * 32767).astype("<i2").tobytes()
    heard = [0]
    with piped(data, keep_open=True) as handle:
        bare, enough = Bare("s16le", RATE), 0.8 * len(SOUND)
        for piece in live(handle, "the input", bare=bare, stop=lambda: heard[0] > enough):
            heard[0] += piece.samples.shape[1]
    assert enough < heard[0] <= len(SOUND)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "before any audio came"),
        (b"What was said, in words.\n" * 99, "is text, not audio"),
        (b"#EXTM3U\nhttp://example.org/secret\n", "playlist"),
        (bytes(range(256)) * 99, "not audio or video"),
    ],
)
def test_what_is_no_audio_is_refused(data: bytes, reason: str) -> None:
    with piped(data) as handle, pytest.raises(MediaError, match=reason) as caught:
        list(live(handle, "the input"))
    assert str(caught.value).startswith("the input ")


def test_a_form_that_there_is_not_is_refused() -> None:
    with piped(b"x" * 999) as handle, pytest.raises(MediaError, match="not audio or video"):
        list(live(handle, "the input", bare=Bare("nothing", RATE)))


def test_formats_that_open_other_files_are_refused(tmp_path: Path) -> None:
    write_wav(tmp_path / "other.wav", SOUND)
    script = f"ffconcat version 1.0\nfile '{tmp_path}/other.wav'\n".encode()
    for form in ("concat", "lavfi", "hls"):
        with piped(script) as handle, pytest.raises(MediaError):
            list(live(handle, "the input", bare=Bare(form, RATE)))
