"""Reading an index: everything that one manifest lists, mapped into memory, without any lock.

A snapshot stays what it was while writers add and remove: segments are never changed, and a file
that is deleted stays readable for whoever has mapped it. This module knows nothing of writing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from earshot.index.manifest import FILE, SEGMENTS, Manifest, read_manifest
from earshot.index.segment import DamagedSegment, TrackEntry, map_segment
from earshot.lanes import Track


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
    return Snapshot(manifest, tuple(tracks), tuple(heard))
