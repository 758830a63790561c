"""Reading an index: everything that one manifest lists, mapped into memory, without any lock.

A snapshot stays what it was while writers add and remove: segments are never changed, and a file
that is deleted stays readable for whoever has mapped it. The parts of a recording that grows are
joined in memory. This module knows nothing of writing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from earshot.index.manifest import FILE, SEGMENTS, Manifest, read_manifest
from earshot.index.segment import DamagedSegment, TrackEntry, columns, map_segment
from earshot.lanes import LEVELS, Levels, Track, pack, placed


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A library's index at one moment; `tracks` and `heard` correspond, one per channel.

    `heard` are the tracks where they lie in the mapped files: `heard[i].costs()` gives (frames,
    units).
    """

    manifest: Manifest
    tracks: tuple[TrackEntry, ...]
    heard: tuple[Track, ...]


def open_snapshot(folder: Path) -> Snapshot:
    """Map every segment of the library in `folder`.

    Raises LibraryError when there is no library, DamagedSegment when a segment is not what the
    manifest says.
    """
    manifest = read_manifest(folder)
    while True:
        try:
            return _map(folder, manifest)
        except DamagedSegment:
            # A writer may have deleted the file since the manifest was read; then there is a newer
            # manifest. Each turn needs a whole commit of a writer, so this comes to an end.
            newer = read_manifest(folder)
            if newer.generation == manifest.generation:
                raise
            manifest = newer


def snapshot_version(folder: Path) -> tuple[int, int, int] | None:
    """Something that changes whenever the library in `folder` changes; None without a library."""
    try:
        status = (folder / FILE).stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _map(folder: Path, manifest: Manifest) -> Snapshot:
    network = manifest.network
    tracks: list[TrackEntry] = []
    heard: list[Track] = []
    for segment in manifest.segments:
        mapped = map_segment(
            folder / SEGMENTS, segment, units=len(network.units), network=network.fingerprint
        )
        tracks.extend(segment.tracks)
        heard.extend(mapped)
    if any(track.start for track in tracks):
        tracks, heard = _whole(tracks, heard, len(network.units))
    return Snapshot(manifest, tuple(tracks), tuple(heard))


def _whole(
    tracks: Sequence[TrackEntry], heard: Sequence[Track], units: int
) -> tuple[list[TrackEntry], list[Track]]:
    """One track for each channel of each recording: those in parts are copied together."""
    parts: dict[tuple[str, int], list[tuple[TrackEntry, Track]]] = defaultdict(list)
    for entry, track in zip(tracks, heard, strict=True):
        parts[entry.recording, entry.channel].append((entry, track))
    entries: list[TrackEntry] = []
    joined: list[Track] = []
    for pieces in parts.values():
        if len(pieces) == 1 and not pieces[0][0].start:
            entries.append(pieces[0][0])
            joined.append(pieces[0][1])
        else:
            track = _joined(pieces, units)
            entries.append(replace(pieces[0][0], frames=track.frames, first=0, start=0))
            joined.append(track)
    return entries, joined


def _joined(pieces: Sequence[tuple[TrackEntry, Track]], units: int) -> Track:
    frames = max(entry.start + entry.frames for entry, _ in pieces)

    def row(unit: int) -> list[Levels]:
        line = np.full(frames, len(LEVELS) - 1, np.uint8)  # where a part is lost, nothing was heard
        for entry, track in pieces:
            line[entry.start : entry.start + entry.frames] = columns([track], unit)[0]
        return [line]

    lanes = np.stack(list(pack([frames], units, row)))
    lanes.flags.writeable = False
    return placed(lanes, [frames])[0]
