"""One segment of the index: an immutable safetensors file that holds tracks of costs.

A track is one channel of one recording, a tensor named `RECORDING/CHANNEL` of type U8 and shape
(frames, units). Anything that reads safetensors reads a segment. The file is written by streaming
(the format's library wants whole tensors in memory), then renamed into place, and is never
changed again; reading maps it into memory and copies nothing.

This module knows nothing of which segments belong to a library (`manifest`) nor of who may write.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earshot.errors import LibraryError
from earshot.index.durable import PART, discard, publish, writing
from earshot.index.quantise import Costs

SUFFIX = ".safetensors"
_KIND = "earshot-segment-1"
_ALIGNMENT = 64  # data starts at a multiple of a cache line
_LENGTH_BYTES = 8  # the format's first field: the header's length, little endian
_CHUNK = 1 << 20
_NAMED = 5  # recordings that an error message names before it says "and 37 more"


@dataclass(frozen=True, slots=True)
class TrackEntry:
    """One channel of one recording: `frames` frames of costs."""

    recording: str
    channel: int
    frames: int

    @property
    def name(self) -> str:
        """The tensor's name in the segment file."""
        return f"{self.recording}/{self.channel}"


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment as the manifest lists it.

    `file` is its name in the segments folder, `bytes` and `sha256` are of the whole file, `frames`
    of all tracks in the file. `tracks` are those that count: a removed recording's tracks leave the
    list at once and the file when it is next rewritten.
    """

    file: str
    sha256: str
    bytes: int
    frames: int
    tracks: tuple[TrackEntry, ...]

    @property
    def live_frames(self) -> int:
        """Frames of the tracks that count."""
        return sum(track.frames for track in self.tracks)


class DamagedSegment(LibraryError):
    """A segment file that is missing or not what the manifest says; `recordings` are affected."""

    def __init__(self, path: Path, entry: SegmentEntry, reason: str) -> None:
        self.recordings = tuple(dict.fromkeys(track.recording for track in entry.tracks))
        ids = " ".join(self.recordings[:_NAMED])
        if len(self.recordings) > _NAMED:
            ids += f" and {len(self.recordings) - _NAMED} more"
        super().__init__(
            f"{path} is damaged ({reason}): remove the recordings it holds with `earshot remove` "
            f"and add them again: {ids}"
        )


class TrackFile:
    """A track on its way into a segment: costs are appended to a temporary file as they come.

    Use as a context manager; leaving it deletes the temporary file.
    """

    def __init__(self, path: Path, recording: str, channel: int) -> None:
        self._path = path
        self._recording = recording
        self._channel = channel
        self._frames = 0
        with writing(path):
            self._file = path.open("w+b")

    def append(self, costs: Costs) -> None:
        """Append costs (frames, units)."""
        with writing(self._path):
            self._file.write(np.ascontiguousarray(costs).data)
        self._frames += len(costs)

    @property
    def entry(self) -> TrackEntry:
        """What has been appended so far."""
        return TrackEntry(self._recording, self._channel, self._frames)

    def chunks(self) -> Iterator[bytes]:
        """Everything appended, from the beginning, in pieces."""
        with writing(self._path):  # seeking flushes what is still in Python's buffer
            self._file.seek(0)
        while chunk := self._file.read(_CHUNK):
            yield chunk

    def __enter__(self) -> TrackFile:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # closing may flush to a full disk; nobody needs it any more
            self._file.close()
        discard(self._path)


def write_segment(
    folder: Path,
    stem: str,
    tracks: Sequence[tuple[TrackEntry, Iterable[bytes | memoryview]]],
    *,
    units: int,
    network: str,
) -> SegmentEntry:
    """Write a segment into `folder` and force it to the disk; return its entry.

    `stem` starts the file's name (the rest comes from the content), `network` is the fingerprint
    of the network that made the activations. Raises LibraryError when the disk refuses, and leaves
    nothing behind then.
    """
    header = _header([entry for entry, _ in tracks], units, network)
    part = folder / f"{stem}{SUFFIX}{PART}"
    digest = hashlib.sha256()
    with writing(part):
        try:
            with part.open("wb") as file:
                for chunk in _contents(header, tracks, units):
                    digest.update(chunk)
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            name = f"{stem}-{digest.hexdigest()[:12]}{SUFFIX}"
            publish(part, folder / name)
        except BaseException:
            discard(part)
            raise
    entries = tuple(entry for entry, _ in tracks)
    frames = sum(entry.frames for entry in entries)
    return SegmentEntry(name, digest.hexdigest(), size, frames, entries)


def map_segment(folder: Path, entry: SegmentEntry, *, units: int, network: str) -> list[Costs]:
    """Map a segment; return its listed tracks' costs, each (frames, units), read-only.

    Raises DamagedSegment when the file is missing, has another size, or its header does not fit
    the entry. Contents are verified by `verify_segment` only: that reads the whole file.
    """
    path = folder / entry.file
    data = np.frombuffer(_map(path, entry), dtype=np.uint8)
    try:
        header, start = _read_header(data)
        if header["__metadata__"] != _metadata(network):
            raise ValueError("it was made by another network")
        return [_track(data, start, header[track.name], track, units) for track in entry.tracks]
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no track {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedSegment(path, entry, reason) from error


def verify_segment(folder: Path, entry: SegmentEntry) -> None:
    """Read the whole file and raise DamagedSegment unless it is what was written."""
    path = folder / entry.file
    data = memoryview(_map(path, entry))
    digest = hashlib.sha256()
    for start in range(0, len(data), _CHUNK):
        digest.update(data[start : start + _CHUNK])
    if digest.hexdigest() != entry.sha256:
        raise DamagedSegment(path, entry, "its contents changed since they were written")


def _contents(
    header: bytes,
    tracks: Sequence[tuple[TrackEntry, Iterable[bytes | memoryview]]],
    units: int,
) -> Iterator[bytes | memoryview]:
    yield header
    for entry, chunks in tracks:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            yield chunk
        if size != entry.frames * units:
            raise LibraryError(
                f"track {entry.name} has {size} bytes where {entry.frames} frames of {units} units "
                "were expected: the temporary files of this run were changed by someone else"
            )


def _header(entries: Iterable[TrackEntry], units: int, network: str) -> bytes:
    fields: dict[str, Any] = {"__metadata__": _metadata(network)}
    end = 0
    for entry in entries:
        start, end = end, end + entry.frames * units
        fields[entry.name] = {
            "dtype": "U8",
            "shape": [entry.frames, units],
            "data_offsets": [start, end],
        }
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % _ALIGNMENT)  # the format allows spaces
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _metadata(network: str) -> dict[str, str]:
    return {"kind": _KIND, "network": network}


def _map(path: Path, entry: SegmentEntry) -> mmap.mmap:
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            # The size comes first: a mapping past the end of a file kills the process when read.
            if size != entry.bytes or size <= _LENGTH_BYTES:
                raise DamagedSegment(path, entry, f"{size} bytes, expected {entry.bytes}")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError as error:
        raise DamagedSegment(path, entry, "the file is missing") from error
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error


def _read_header(data: Costs) -> tuple[dict[str, Any], int]:
    """The header's fields, and where the data starts."""
    start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES].tobytes(), "little")
    if start > len(data):
        raise ValueError("its header is longer than the file")
    try:
        header = json.loads(data[_LENGTH_BYTES:start].tobytes())
    except ValueError as error:
        raise ValueError("its header is not JSON") from error
    if not isinstance(header, dict):
        raise ValueError("its header is not a JSON object")
    return header, start


def _track(data: Costs, start: int, field: Any, track: TrackEntry, units: int) -> Costs:
    shape = [track.frames, units]
    begin, end = field["data_offsets"]
    if field["dtype"] != "U8" or field["shape"] != shape or end - begin != track.frames * units:
        raise ValueError(f"track {track.name} is {field['dtype']} {field['shape']}, not U8 {shape}")
    if begin < 0 or start + end > len(data):
        raise ValueError(f"track {track.name} lies outside the file")
    return data[start + begin : start + end].reshape(track.frames, units)
