"""Looking after an index: what is wrong with it, and a manifest made anew of its segments.

A segment file says by itself what it is: its name has the beginning of its SHA-256, its header the
tracks and the network. So a lost or damaged manifest can be made again of the segments, and an
entry of it that does not fit a healthy file can be put right. This module knows nothing of the
catalogue, and of the network only what the files say.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from earshot.errors import LibraryError
from earshot.index.manifest import FILE, SEGMENTS, Manifest, NetworkEntry, network_in
from earshot.index.segment import (
    DamagedSegment,
    SegmentEntry,
    TrackEntry,
    checksum,
    header_of,
    map_segment,
    verify_segment,
)
from earshot.lanes import BLOCK, WALL, Track, blocks, unpack

_NAME = re.compile(r"([0-9]{8,})-([0-9a-f]{12})\.safetensors")
_RECORDING = re.compile(r"[0-9a-f]{12}")
_LARGEST = 1 << 40  # frames, blocks and channels beyond this are no track


@dataclass(frozen=True, slots=True)
class Found:
    """A segment as its file tells it: the entry, and of which network, of how many units."""

    entry: SegmentEntry
    generation: int
    network: str
    units: int


def verify(folder: Path, entry: SegmentEntry, manifest: Manifest) -> None:
    """Read a whole segment: its checksum, its header, and the walls around each of its tracks.

    Raises DamagedSegment.
    """
    segments = folder / SEGMENTS
    verify_segment(segments, entry)
    network = manifest.network
    tracks = map_segment(segments, entry, units=len(network.units), network=network.fingerprint)
    for track, heard in zip(entry.tracks, tracks, strict=True):
        if not walled(heard):
            raise DamagedSegment(segments / entry.file, entry, f"track {track.name} has no end")


def walled(heard: Track) -> bool:
    """Does a track end with a wall, with none inside?"""
    if not heard.units:
        return True
    begin = heard.first * BLOCK
    line = unpack(heard.lanes[0])[begin : begin + blocks(heard.frames) * BLOCK]
    return bool((line[: heard.frames] != WALL).all() and (line[heard.frames :] == WALL).all())


def leftovers(folder: Path, manifest: Manifest) -> list[Path]:
    """Files in the segments folder that belong to no segment of the manifest."""
    listed = {name for segment in manifest.segments for name in segment.files}
    return sorted(path for path in (folder / SEGMENTS).iterdir() if path.name not in listed)


def gaps(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Recordings whose tracks do not fit together, and why."""
    parts: dict[tuple[str, int], list[TrackEntry]] = defaultdict(list)
    for segment in manifest.segments:
        for track in segment.tracks:
            parts[track.recording, track.channel].append(track)
    for (recording, channel), tracks in parts.items():
        at = 0
        for track in sorted(tracks, key=lambda one: one.start):
            if track.start != at:
                what = "is there twice" if track.start < at else "has a gap"
                yield recording, f"channel {channel + 1} {what} at frame {track.start}"
                break
            at += track.frames


def told(path: Path) -> Found:
    """What a segment file says of itself, after all of it was read.

    Raises ValueError where it is no segment or not what was written, OSError where it cannot be
    read.
    """
    name = _NAME.fullmatch(path.name)
    if name is None:
        raise ValueError("it has not the name of a segment")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest[:12] != name[2]:
        raise ValueError("its contents changed since they were written")
    size, sample, data = checksum(path)
    header, _ = header_of(data)
    try:
        form, network, tracks, units = _described(header)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise ValueError(f"its header has no field {error}") from error
    frames = sum(track.frames for track in tracks)
    sample = sample if form > 1 else 0
    entry = SegmentEntry(path.name, digest, size, frames, tracks, form, sample)
    return Found(entry, int(name[1]), network, units)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A manifest made of segment files, and the files that are damaged, with the reasons."""

    manifest: Manifest
    damaged: tuple[tuple[Path, str], ...]


def rebuilt(
    folder: Path,
    counts: Callable[[str], bool],
    network_of: Callable[[str], NetworkEntry | None],
) -> Rebuilt:
    """A manifest of the segments in `folder`: of each track the newest, whole recordings only.

    `counts` tells whether a recording was in the library (a segment may still hold one that was
    removed), `network_of` the network of a fingerprint, where the old manifest does not tell it.
    Raises LibraryError where the network is not known.
    """
    found: list[Found] = []
    damaged = []
    for path in sorted((folder / SEGMENTS).glob("*.safetensors")):
        try:
            found.append(told(path))
        except ValueError as error:
            damaged.append((path, str(error)))
        except OSError as error:
            raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error
    entries = _newest(found, counts)
    wanted = {one.network for one in entries} or {one.network for one in found[-1:]}
    network = _network(folder, wanted, network_of)
    generation = max((one.generation for one in found), default=0)
    segments = tuple(one.entry for one in entries if one.units in (0, len(network.units)))
    manifest = Manifest(network, segments, generation + 1)
    broken = [recording for recording, _ in gaps(manifest)]
    return Rebuilt(manifest.without(broken) if broken else manifest, tuple(damaged))


def _newest(found: list[Found], counts: Callable[[str], bool]) -> list[Found]:
    """The segments with those of their tracks that no newer segment has, in order of writing."""
    taken: dict[tuple[str, int], list[range]] = defaultdict(list)
    entries = []
    for one in sorted(found, key=lambda one: -one.generation):
        kept = []
        for track in one.entry.tracks:
            place = range(track.start, track.start + max(track.frames, 1))
            others = taken[track.recording, track.channel]
            over = any(place.start < o.stop and o.start < place.stop for o in others)
            if counts(track.recording) and not over:
                kept.append(track)
                others.append(place)
        if kept:
            entries.append(replace(one, entry=replace(one.entry, tracks=tuple(kept))))
    return entries[::-1]


def _network(
    folder: Path, wanted: set[str], network_of: Callable[[str], NetworkEntry | None]
) -> NetworkEntry:
    try:
        old = network_in((folder / FILE).read_text("utf-8"))
    except (OSError, ValueError):
        old = None
    if old is not None and wanted <= {old.fingerprint}:
        return old
    known = network_of(next(iter(wanted))) if len(wanted) == 1 else None
    if known is None:
        names = ", ".join(name[:12] for name in sorted(wanted)) or "none is named"
        raise LibraryError(
            f"{folder / FILE} cannot be made anew, since the network that made its segments is not "
            f"at hand ({names}): add it with `earshot network add` and try again"
        )
    return known


def _described(header: dict[str, Any]) -> tuple[int, str, tuple[TrackEntry, ...], int]:
    """Format, network, tracks and number of units that a segment's header tells."""
    about = header["__metadata__"]
    form = int(about["kind"].removeprefix("earshot-segment-"))
    if form == 1:
        tensors = [(name, field) for name, field in header.items() if name != "__metadata__"]
        shapes = [(*name.split("/"), *field["shape"]) for name, field in tensors]
        tracks = tuple(_track(name, int(channel), frames) for name, channel, frames, _ in shapes)
        return form, about["network"], tracks, shapes[0][3] if shapes else 0
    listed = json.loads(about["tracks"])
    return (
        form,
        about["network"],
        tuple(_track(*one) for one in listed),
        header["lanes"]["shape"][0],
    )


def _track(recording: str, channel: int, frames: int, first: int = 0, start: int = 0) -> TrackEntry:
    numbers = (channel, frames, first, start)
    if not all(type(one) is int and 0 <= one < _LARGEST for one in numbers):
        raise ValueError(f"its header has a track of {numbers}")
    if not _RECORDING.fullmatch(recording):
        raise ValueError(f"its header has a track of {recording!r}")
    return TrackEntry(recording, channel, frames, first, start)
