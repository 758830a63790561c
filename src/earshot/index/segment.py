"""One segment of the index: an immutable safetensors file that holds the costs of some tracks.

A track is one channel of one recording. All tracks of a segment lie in one tensor `lanes`, U8, as
`earshot.lanes` lays them: (units, steps, 32), four bits a cost. Which track starts at which block
stands in the file's metadata, and in the manifest. The file is written by streaming, one unit after
the other, then renamed into place, and is never changed again; reading maps it into memory and
copies nothing.

Segments of format 1 have a tensor (frames, units) of whole bytes by track, named
`RECORDING/CHANNEL`. They are read, and laid into lanes in memory, and not written any more.

This module knows nothing of which segments belong to a library (`manifest`) nor of who may write.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from earshot.errors import LibraryError
from earshot.index.durable import PART, discard, publish, writing
from earshot.lanes import (
    BLOCK,
    LANES,
    PACKED,
    Costs,
    Lanes,
    Levels,
    Track,
    blocks,
    laid,
    levels,
    pack,
    steps,
    unpack,
)

FORMAT = 2
"""Format of the segments that this version writes, and the newest it reads."""

SUFFIX = ".safetensors"
_KIND = "earshot-segment-"  # and the format
_LANES = "lanes"
_PAGES, _PAGE = 16, 4096  # what is looked at each time that a segment is opened
_ALIGNMENT = 64  # data starts at a multiple of a cache line
_LENGTH_BYTES = 8  # the format's first field: the header's length, little endian
_CHUNK = 1 << 20
_NAMED = 5  # recordings that an error message names before it says "and 37 more"


@dataclass(frozen=True, slots=True)
class TrackEntry:
    """One channel of one recording: `frames` frames of costs, from block `first` of its segment.

    A recording that grows lies in several segments, as parts: `start` is the frame of the recording
    at which this part begins.
    """

    recording: str
    channel: int
    frames: int
    first: int = 0
    start: int = 0

    @property
    def name(self) -> str:
        """The tensor's name in a segment file of format 1."""
        return f"{self.recording}/{self.channel}"


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """A segment as the manifest lists it.

    `file` is its name in the segments folder, `bytes` and `sha256` are of the whole file, `sample`
    the CRC-32 of some pages of it, which is verified whenever it is opened; `frames` are those of
    all tracks in the file. `tracks` are those that count: a removed recording's tracks leave the
    list at once and the file when it is next rewritten.
    """

    file: str
    sha256: str
    bytes: int
    frames: int
    tracks: tuple[TrackEntry, ...]
    format: int = FORMAT
    sample: int = 0

    @property
    def live_frames(self) -> int:
        """Frames of the tracks that count."""
        return sum(track.frames for track in self.tracks)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of all files in the segments folder that belong to this segment."""
        return (self.file,)


class DamagedSegment(LibraryError):
    """A segment file that is missing or not what the manifest says, for a `reason`.

    `recordings` are affected.
    """

    def __init__(self, path: Path, entry: SegmentEntry, reason: str) -> None:
        self.reason = reason
        self.recordings = tuple(dict.fromkeys(track.recording for track in entry.tracks))
        ids = " ".join(self.recordings[:_NAMED])
        if len(self.recordings) > _NAMED:
            ids += f" and {len(self.recordings) - _NAMED} more"
        super().__init__(
            f"{path} is damaged ({reason}): `earshot check --repair` drops the recordings it "
            f"holds, so that they can be added again: {ids}"
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
        self._units = 0
        self._levels: Levels | None = None
        with writing(path):
            self._file = path.open("w+b")

    def append(self, costs: Costs) -> None:
        """Append costs (frames, units), in steps of 1/16 nat."""
        with writing(self._path):
            self._file.write(np.ascontiguousarray(levels(costs)).data)
        self._frames += len(costs)
        self._units = costs.shape[1]
        self._levels = None

    @property
    def entry(self) -> TrackEntry:
        """What has been appended so far."""
        return TrackEntry(self._recording, self._channel, self._frames)

    def column(self, unit: int) -> Levels:
        """The levels (frames,) of one unit that have been appended so far."""
        if not self._frames:
            return np.zeros(0, np.uint8)  # less sound than a frame: no units are known either
        if self._levels is None:
            self._levels = self._mapped()
        column: Levels = self._levels[:, unit]
        return column

    def _mapped(self) -> Levels:
        size = self._frames * self._units
        with writing(self._path):
            self._file.flush()
            if os.fstat(self._file.fileno()).st_size != size:
                raise LibraryError(
                    f"{self._path} has not the {size} bytes that were written to it: the temporary "
                    "files of this run were changed by someone else"
                )
            mapped = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return np.frombuffer(mapped, np.uint8).reshape(self._frames, self._units)

    def __enter__(self) -> TrackFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._levels = None
        with suppress(OSError):  # closing may flush to a full disk; nobody needs it any more
            self._file.close()
        discard(self._path)


def write_segment(
    folder: Path,
    stem: str,
    tracks: Sequence[TrackEntry],
    row: Callable[[int], Sequence[Levels]],
    *,
    units: int,
    network: str,
) -> SegmentEntry:
    """Write a segment into `folder` and force it to the disk; return its entry.

    row(unit) gives for each track the levels (frames,) of that unit. `stem` starts the file's name
    (the rest comes from the content), `network` is the fingerprint of the network that made the
    activations. Raises LibraryError when the disk refuses, and leaves nothing behind then.
    """
    lengths = [track.frames for track in tracks]
    entries = _laid_out(tracks)
    header = _header(entries, units, steps(lengths), network)
    part = folder / f"{stem}{SUFFIX}{PART}"
    digest = hashlib.sha256(header)
    with writing(part):
        try:
            with part.open("wb") as file:
                file.write(header)
                for lanes in pack(lengths, units, row):
                    digest.update(lanes.data)
                    file.write(lanes.data)
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
            name = f"{stem}-{digest.hexdigest()[:12]}{SUFFIX}"
            sample = _sample(memoryview(_mapped(part)))
            publish(part, folder / name)
        except BaseException:
            discard(part)
            raise
    return SegmentEntry(name, digest.hexdigest(), size, sum(lengths), entries, FORMAT, sample)


def map_segment(
    folder: Path, entry: SegmentEntry, *, units: int, network: str
) -> tuple[Track, ...]:
    """Map a segment; return its listed tracks.

    Raises DamagedSegment when the file is missing, has another size, its header does not fit the
    entry, or some pages of it are not what was written. All of it is verified by `verify_segment`
    only, which reads the whole file.
    """
    path = folder / entry.file
    mapped = _map(path, entry)
    data = np.frombuffer(mapped, dtype=np.uint8)
    try:
        header, start = header_of(data)
        known = header["__metadata__"]
        if known["kind"] != f"{_KIND}{entry.format}" or known["network"] != network:
            raise ValueError("it was made by another network")
        if entry.format == 1:
            whole = [_track(data, start, header[one.name], one, units) for one in entry.tracks]
            return laid(whole)
        if _sample(memoryview(mapped)) != entry.sample:
            raise ValueError("its contents changed since they were written")
        lanes = _lanes(data, start, header[_LANES], units)
        return tuple(_placed(lanes, track) for track in entry.tracks)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"no field {error}" if isinstance(error, KeyError) else str(error)
        raise DamagedSegment(path, entry, reason) from error


def columns(tracks: Sequence[Track], unit: int) -> list[Levels]:
    """The levels (frames,) of one unit of tracks of one segment."""
    if not tracks:
        return []
    line = unpack(tracks[0].lanes[unit])
    return [line[one.first * BLOCK : one.first * BLOCK + one.frames] for one in tracks]


def verify_segment(folder: Path, entry: SegmentEntry) -> None:
    """Read the whole file and raise DamagedSegment unless it is what was written."""
    path = folder / entry.file
    data = memoryview(_map(path, entry))
    digest = hashlib.sha256()
    for start in range(0, len(data), _CHUNK):
        digest.update(data[start : start + _CHUNK])
    if digest.hexdigest() != entry.sha256:
        raise DamagedSegment(path, entry, "its contents changed since they were written")


def checksum(path: Path) -> tuple[int, int, Costs]:
    """The size of a segment file, the CRC-32 of its sample, and its bytes, mapped.

    Raises OSError where it cannot be read, ValueError where it is empty.
    """
    mapped = _mapped(path)
    return len(mapped), _sample(memoryview(mapped)), np.frombuffer(mapped, np.uint8)


def _laid_out(tracks: Sequence[TrackEntry]) -> tuple[TrackEntry, ...]:
    """The tracks with the blocks at which they start, one after the other."""
    first = 0
    entries = []
    for track in tracks:
        entries.append(replace(track, first=first))
        first += blocks(track.frames)
    return tuple(entries)


def _header(entries: Sequence[TrackEntry], units: int, length: int, network: str) -> bytes:
    tracks = [[one.recording, one.channel, one.frames, one.first, one.start] for one in entries]
    fields = {
        "__metadata__": {
            "kind": f"{_KIND}{FORMAT}",
            "network": network,
            "tracks": json.dumps(tracks, separators=(",", ":")),
        },
        _LANES: {
            "dtype": "U8",
            "shape": [units, length, PACKED],
            "data_offsets": [0, units * length * PACKED],
        },
    }
    text = json.dumps(fields, separators=(",", ":")).encode()
    text += b" " * (-(_LENGTH_BYTES + len(text)) % _ALIGNMENT)  # the format allows spaces
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text


def _sample(data: memoryview) -> int:
    """The CRC-32 of pages that lie evenly in a file, its first and last among them."""
    last = max(len(data) - _PAGE, 0)
    places = sorted({last * page // (_PAGES - 1) for page in range(_PAGES)})
    check = 0
    for place in places:
        check = zlib.crc32(data[place : place + _PAGE], check)
    return check


def _mapped(path: Path) -> mmap.mmap:
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


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


def header_of(data: Costs) -> tuple[dict[str, Any], int]:
    """The header's fields, and where the data starts; ValueError where there is none."""
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


def _lanes(data: Costs, start: int, field: Any, units: int) -> Lanes:
    length = [*field["shape"], 0, 0][1]
    shape = [units, length, PACKED]
    begin, end = field["data_offsets"]
    fits = end - begin == units * length * PACKED and length % BLOCK == 0
    if field["dtype"] != "U8" or field["shape"] != shape or not fits:
        raise ValueError(f"its lanes are {field['dtype']} {field['shape']}, not U8 {shape}")
    if begin < 0 or start + end > len(data):
        raise ValueError("its lanes lie outside the file")
    return data[start + begin : start + end].reshape(shape)


def _placed(lanes: Lanes, track: TrackEntry) -> Track:
    if track.first + blocks(track.frames) > lanes.shape[1] // BLOCK * LANES:
        raise ValueError(f"track {track.name} lies outside its lanes")
    return Track(lanes, track.first, track.frames)


def _track(data: Costs, start: int, field: Any, track: TrackEntry, units: int) -> Costs:
    shape = [track.frames, units]
    begin, end = field["data_offsets"]
    if field["dtype"] != "U8" or field["shape"] != shape or end - begin != track.frames * units:
        raise ValueError(f"track {track.name} is {field['dtype']} {field['shape']}, not U8 {shape}")
    if begin < 0 or start + end > len(data):
        raise ValueError(f"track {track.name} lies outside the file")
    return data[start + begin : start + end].reshape(track.frames, units)
