"""Opening a local file as media: one audio stream of a regular file, and nothing else.

FFmpeg never gets a name here, only the bytes of a file that is already open. So no name can mean
an address or an option, formats that point at other files or addresses (playlists, manifests) are
refused, and no network protocol is ever reached. What a file's headers promise is compared with
its size before anything is decoded. This module knows nothing of samples and time lines.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from io import FileIO
from pathlib import Path
from typing import Any, NoReturn, Protocol

import av
from av.audio.stream import AudioStream
from av.container import InputContainer

from earshot.errors import MediaError
from earshot.media.bare import bare
from earshot.media.completeness import Completeness, inspect

PathLike = str | os.PathLike[str]

# Demuxers that open other files, addresses or devices, or that make media out of text. FFmpeg may
# know fewer or more of these: without protocols, even one that is not listed could open nothing.
REFERRING_FORMATS = (
    "alsa avisynth concat concatf dash dshow fbdev ffmetadata gdigrab hls image2 image2pipe imf "
    "jack kmsgrab lavfi libcdio oss pulse rtp rtp_mpegts rtsp sap sdp sndio tty v4l2 vapoursynth "
    "video4linux2,v4l2 vobsub webm_dash_manifest x11grab xcbgrab"
)
# How such descriptions begin when they are text, in lower case.
REFERRING_TEXT = ("#extm3u", "ffconcat", "[playlist]", "v=0", "<smil", "<asx", "<mpd")
READ_BYTES = 1 << 16  # what FFmpeg asks of us at a time
SNIFF_BYTES = 4096
LOWEST_RATE, HIGHEST_RATE = 1_000, 2_000_000  # Hz; DSD, the fastest, comes out at 705,600
MOST_CHANNELS = 64


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file's headers say of it, nothing being decoded.

    `duration` is in seconds, None if the headers do not tell; where they hold only a bit rate it is
    an estimate. `channels` and `sample_rate` (in Hz) are those of the audio stream, `codec` and
    `container` are FFmpeg's names.
    """

    duration: float | None
    channels: int
    sample_rate: int
    codec: str
    container: str


class Reader:
    """The bytes of an open file as FFmpeg gets them; of its name only a plain suffix is told.

    The suffix is needed for formats that are known by nothing else (raw GSM, G.722). Nothing is
    raised into FFmpeg, which would print it: `failure` remembers why the file could not be read.
    """

    failure: OSError | None = None

    def __init__(self, file: FileIO, suffix: str) -> None:
        file.seek(0)
        self.name = "media" + (suffix if suffix[1:].isalnum() and suffix.isascii() else "")
        self.file = file
        self.tell = file.tell

    def read(self, count: int) -> bytes:
        """Up to `count` bytes; none at the end, and none after a failure."""
        try:
            return self.file.read(count) or b""
        except OSError as error:
            self.failure = error
            return b""

    def seek(self, place: int, whence: int = os.SEEK_SET) -> int:
        """Move; -1 tells FFmpeg that there is no such place (damaged files point anywhere)."""
        try:
            return self.file.seek(place, whence)
        except (OSError, OverflowError):
            return -1


class Failing(Protocol):
    """What FFmpeg reads from: it remembers why it could not be read."""

    failure: OSError | None


@dataclass(frozen=True, slots=True)
class Source:
    """An open file: its container, the audio stream to listen to, and its name for messages."""

    name: str
    container: InputContainer
    stream: AudioStream
    info: MediaInfo
    completeness: Completeness
    reader: Failing


def probe(path: PathLike) -> MediaInfo:
    """What the headers of a media file say; raises MediaError if it cannot be listened to."""
    with opened(path) as source:
        return source.info


def digest(path: PathLike) -> str:
    """SHA-256 of a file's bytes in hexadecimal, read in pieces; MediaError if it is unreadable."""
    with regular_file(path) as file:
        try:
            return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise MediaError(f"{shown(path)} cannot be read: {_reason(error)}.") from error


def shown(path: PathLike) -> str:
    """A path as it stands in a message: on one line, whatever characters it holds."""
    text = os.fspath(path)
    return text if text and text.isprintable() else repr(text)


@contextmanager
def regular_file(path: PathLike) -> Iterator[FileIO]:
    """Open a regular, non-empty file to read its bytes; anything else is a MediaError."""
    name = shown(path)
    try:
        # Not blocking: a named pipe without a writer would otherwise hold us up for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        hint = ": only local files can be read" if "://" in name else ""
        raise MediaError(f"{name} does not exist{hint}.") from error
    except (OSError, ValueError) as error:
        raise MediaError(f"{name} cannot be opened: {_reason(error)}.") from error
    try:
        status = os.fstat(handle)
        if stat.S_ISDIR(status.st_mode):
            raise MediaError(f"{name} is a folder, not an audio or video file.")
        if not stat.S_ISREG(status.st_mode):
            raise MediaError(f"{name} is a device, pipe or socket, not a file.")
        if status.st_size == 0:
            raise MediaError(f"{name} is empty (0 bytes).")
        with FileIO(handle, closefd=False) as file:
            yield file
    finally:
        os.close(handle)


@contextmanager
def opened(path: PathLike) -> Iterator[Source]:
    """Open a media file and choose its audio stream; MediaError says why it cannot be used."""
    name = shown(path)
    with regular_file(path) as file:
        head = file.read(SNIFF_BYTES) or b""
        refuse_text(head, name)
        found = inspect(file)
        if found.problem:
            raise MediaError(f"{name} {found.problem}.")
        reader = Reader(file, Path(path).suffix)
        options = {"max_size": str(READ_BYTES)}  # of a packet of WAV; else 1/16 s, twice as slow
        if found.unmeasured:
            options["ignore_length"] = "1"
        plain = bare(Path(path).suffix, head)
        if plain is not None:
            options |= plain.options()
        container = open_container(reader, name, options, plain.form if plain else None)
        try:
            stream = audio_stream(container, name)
            info = told(container, stream, path)
            if found.unmeasured:
                info = replace(info, duration=None)
            yield Source(name, container, stream, info, found, reader)
        finally:
            container.close()


class _ReferenceError(Exception):
    """A demuxer wanted to open something else than the file that it was given."""


def _refuse_reference(url: str, flags: int, options: dict[str, str]) -> NoReturn:
    raise _ReferenceError


@cache
def _allowed_formats() -> str:
    return ",".join(sorted(av.formats_available - set(REFERRING_FORMATS.split())))


def open_container(
    reader: Any, name: str, options: dict[str, str], form: str | None = None
) -> InputContainer:
    """Three locks: only harmless formats, no protocol (each of which is enough), no second file.

    `form` is the format, where the bytes do not tell it.
    """
    options = options | {"format_whitelist": _allowed_formats(), "protocol_whitelist": "none"}
    try:
        container: InputContainer = av.open(
            reader,
            mode="r",
            format=form,
            container_options=options,
            metadata_errors="replace",  # tags in an old 8-bit alphabet are no reason to fail
            buffer_size=READ_BYTES,
            io_open=_refuse_reference,
        )
        return container
    except _ReferenceError as error:
        raise MediaError(
            f"{name} points at other files or addresses, which are never followed."
        ) from error
    except (av.FFmpegError, OSError, ValueError, MemoryError) as error:
        if reader.failure:
            raise MediaError(f"{name} cannot be read: {_reason(reader.failure)}.") from error
        raise MediaError(
            f"{name} is not audio or video that can be read, or its beginning is damaged."
        ) from error


def refuse_text(head: bytes, name: str) -> None:
    """No media begins with kilobytes of plain text; some demuxers would still make noise of it."""
    # A multi-byte character may be cut at the end of what was read.
    text = head.decode("utf-8", errors="ignore")
    if len(text.encode()) < len(head) - 4 or not text.strip("\ufeff"):
        return
    if any(not (c.isprintable() or c in "\t\n\r\f\ufeff") for c in text):
        return
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith(REFERRING_TEXT) or "<mpd" in start or "<smil" in start:
        raise MediaError(
            f"{name} is a playlist, which points at other files or addresses: "
            "these are never followed, give the media files themselves."
        )
    kind = "a web page" if "<html" in start or start.startswith("<!doctype") else "text"
    raise MediaError(f"{name} is {kind}, not audio or video.")


def audio_stream(container: InputContainer, name: str) -> AudioStream:
    """The audio stream to listen to; MediaError where there is none."""
    if not container.streams.audio:
        seen = ", only video" if container.streams.video else ""
        raise MediaError(f"{name} has no audio stream{seen}.")
    stream: Any = container.streams.best("audio") or container.streams.audio[0]
    if stream.codec_context is None:
        raise MediaError(f"{name} holds audio in a codec that cannot be decoded.")
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    if not LOWEST_RATE <= rate <= HIGHEST_RATE or not 1 <= channels <= MOST_CHANNELS:
        raise MediaError(
            f"{name} claims {channels} channels at {rate} Hz, which no audio has: it is damaged."
        )
    chosen: AudioStream = stream
    return chosen


def told(container: InputContainer, stream: AudioStream, path: PathLike) -> MediaInfo:
    """What the headers of an open container say."""
    duration: float | None = None
    if container.duration is not None:
        duration = container.duration / av.time_base
    elif stream.duration is not None and stream.time_base is not None:
        duration = float(stream.duration * stream.time_base)
    names = container.format.name.split(",")
    suffix = Path(path).suffix[1:].lower()
    codec: Any = stream.codec_context
    return MediaInfo(
        duration=duration,
        channels=codec.channels,
        sample_rate=codec.sample_rate,
        codec=codec.codec.canonical_name,
        container=suffix if suffix in names else names[0],
    )


def _reason(error: Exception) -> str:
    """The system's own words for what went wrong, in lower case, without errno and name."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]
