"""The manifest: one small JSON file, swapped atomically, that says what a library consists of.

A recording exists if and only if the manifest lists one of its tracks. Segment files and rows of
the catalogue that it does not list are leftovers of a crash, or of a removal in progress.

```json
{"format": 2, "generation": 7,
 "network": {"fingerprint": "9c1d...", "units": ["AA", "..."], "blank": 39, "frame_seconds": 0.04},
 "segments": [{"file": "00000007-9f86d081884c.safetensors", "sha256": "9f86...", "bytes": 3600384,
               "frames": 90000, "format": 2, "sample": 2891336453,
               "tracks": [{"recording": "3f2a1b4c5d6e", "channel": 0, "frames": 90000,
                           "first": 0}]}]}
```

A manifest of format 1 has segments of format 1, and neither `format`, `sample` nor `first` in them.
In one of format 3 each track has a `start` too: recordings that grow lie in parts, in several
segments. It is written only as long as there are such parts, so that older versions of Earshot can
read all other libraries.

This module knows nothing of locks, of the segments' contents and of recordings' metadata.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from earshot.errors import LibraryError
from earshot.index.durable import write_atomically
from earshot.index.segment import SegmentEntry, TrackEntry

FORMAT = 3
"""The newest format of the whole library folder that this version writes and reads."""

_WITHOUT_PARTS = 2

FILE = "library.json"
"""The manifest's name in a library's folder."""

SEGMENTS = "segments"
"""The folder of segment files in a library's folder."""

_SEGMENT_FILE = re.compile(r"[0-9a-z-]+\.safetensors")  # a plain name: nothing outside the folder
_TOO_LARGE = 1 << 63
_RECORDING = re.compile(r"[0-9a-f]{12}")


class DamagedManifest(LibraryError):
    """A manifest that is missing beside its segments, or is not what Earshot writes."""


class Described(Protocol):
    """What a manifest needs to know of a network; `earshot.network.Network` is one."""

    @property
    def fingerprint(self) -> str: ...

    @property
    def units(self) -> tuple[str, ...]: ...

    @property
    def blank(self) -> int: ...

    @property
    def frame_seconds(self) -> float: ...


@dataclass(frozen=True, slots=True)
class NetworkEntry:
    """What a search must know of the network that made a library's activations.

    `units` are the network's units in the order of a track's columns, `blank` the column of the
    CTC blank, `frame_seconds` the length of a frame.
    """

    fingerprint: str
    units: tuple[str, ...]
    blank: int
    frame_seconds: float

    @classmethod
    def of(cls, network: Described) -> NetworkEntry:
        """What is to be known of `network`."""
        units = tuple(network.units)
        return cls(network.fingerprint, units, network.blank, network.frame_seconds)


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that counts in a library; each change makes a new one with the next `generation`."""

    network: NetworkEntry
    segments: tuple[SegmentEntry, ...] = ()
    generation: int = 0

    def recordings(self) -> tuple[str, ...]:
        """Ids of all recordings, in the order of the segments."""
        ids = (track.recording for segment in self.segments for track in segment.tracks)
        return tuple(dict.fromkeys(ids))

    def with_segment(self, segment: SegmentEntry) -> Manifest:
        """The manifest with one more segment."""
        return self._next((*self.segments, segment))

    def with_part(self, segment: SegmentEntry) -> Manifest:
        """The manifest with a part of one recording in the place of all it had from there on."""
        first = segment.tracks[0]
        kept = []
        for other in self.segments:
            tracks = tuple(
                track
                for track in other.tracks
                if track.recording != first.recording or track.start < first.start
            )
            if tracks:
                kept.append(replace(other, tracks=tracks))
        return self._next((*kept, segment))

    def without(self, recordings: Collection[str]) -> Manifest:
        """The manifest without these recordings; a segment that has no other leaves the list."""
        gone = frozenset(recordings)
        kept = []
        for segment in self.segments:
            tracks = tuple(track for track in segment.tracks if track.recording not in gone)
            if tracks:
                kept.append(replace(segment, tracks=tracks))
        return self._next(tuple(kept))

    def merged(self, old: Collection[SegmentEntry], new: SegmentEntry) -> Manifest:
        """The manifest with the segment `new` in the place of the segments `old`."""
        files = {segment.file for segment in old}
        return self._next((*(s for s in self.segments if s.file not in files), new))

    def _next(self, segments: tuple[SegmentEntry, ...]) -> Manifest:
        return replace(self, segments=segments, generation=self.generation + 1)


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest of the library in `folder`.

    Raises LibraryError when there is none, when it is damaged (with line or place), or when a
    newer Earshot wrote it.
    """
    path = folder / FILE
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise _absent(folder) from error
    except UnicodeDecodeError as error:
        raise DamagedManifest(_damaged(path, f"not UTF-8 at byte {error.start}")) from error
    except OSError as error:
        raise LibraryError(f"{path} cannot be read: {error.strerror or error}") from error
    return parse_manifest(text, str(path))


def recordings_in(folder: Path) -> tuple[str, ...]:
    """Ids of what the library in `folder` has; none where there is no library yet."""
    return read_manifest(folder).recordings() if (folder / FILE).exists() else ()


def parse_manifest(text: str, source: str) -> Manifest:
    """Parse a manifest's JSON; `source` names it in the LibraryError raised for anything wrong."""
    try:
        fields = json.loads(text)
    except ValueError as error:
        raise DamagedManifest(_damaged(source, f"not JSON: {error}")) from error
    except RecursionError as error:
        raise DamagedManifest(_damaged(source, "not JSON of a manifest")) from error
    try:
        form = _get(fields, "format", int, "")
        if form > FORMAT:
            raise LibraryError(
                f"{source} was written by a newer Earshot (format {form}, this one reads up to "
                f"{FORMAT}): pip install --upgrade earshot"
            )
        return _manifest(fields)
    except _Malformed as error:
        raise DamagedManifest(_damaged(source, str(error))) from error


def swap_manifest(folder: Path, manifest: Manifest) -> None:
    """Make `manifest` the one of the library in `folder`: the moment at which a change counts."""
    write_atomically(folder / FILE, format_manifest(manifest).encode())


def format_manifest(manifest: Manifest) -> str:
    """The manifest as JSON, the inverse of `parse_manifest`."""
    network = manifest.network
    parts = any(track.start for segment in manifest.segments for track in segment.tracks)
    fields = {
        "format": FORMAT if parts else _WITHOUT_PARTS,
        "generation": manifest.generation,
        "network": {
            "fingerprint": network.fingerprint,
            "units": list(network.units),
            "blank": network.blank,
            "frame_seconds": network.frame_seconds,
        },
        "segments": [
            {
                "file": segment.file,
                "sha256": segment.sha256,
                "bytes": segment.bytes,
                "frames": segment.frames,
                "format": segment.format,
                "sample": segment.sample,
                "tracks": [
                    {
                        "recording": t.recording,
                        "channel": t.channel,
                        "frames": t.frames,
                        "first": t.first,
                        **({"start": t.start} if parts else {}),
                    }
                    for t in segment.tracks
                ],
            }
            for segment in manifest.segments
        ],
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


class _Malformed(Exception):
    """A field that is not what it must be: where it is, what was expected, what was found."""

    def __init__(self, place: str, expected: str, found: object) -> None:
        shown = json.dumps(found)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        super().__init__(f"{place or 'the whole'} must be {expected}, not {shown}")


_NAMES = {int: "a whole number", float: "a number", str: "text", list: "a list", dict: "an object"}


def _manifest(fields: Any) -> Manifest:
    form = _get(fields, "format", int, "", low=1)
    generation = _get(fields, "generation", int, "")
    network = _network(_get(fields, "network", dict, ""))
    segments = _get(fields, "segments", list, "")
    return Manifest(
        network,
        tuple(_segment(segment, f"segments[{i}]", form) for i, segment in enumerate(segments)),
        generation,
    )


def _network(fields: dict[str, Any]) -> NetworkEntry:
    place = "network"
    units = _get(fields, "units", list, place)
    for i, unit in enumerate(units):
        if not isinstance(unit, str):
            raise _Malformed(f"{place}.units[{i}]", _NAMES[str], unit)
    blank = _get(fields, "blank", int, place)
    if blank >= len(units):
        raise _Malformed(f"{place}.blank", f"below the number of units, {len(units)}", blank)
    seconds = _get(fields, "frame_seconds", float, place)
    if not 0 < seconds < float("inf"):
        raise _Malformed(f"{place}.frame_seconds", "above zero", seconds)
    return NetworkEntry(_get(fields, "fingerprint", str, place), tuple(units), blank, seconds)


def _segment(fields: Any, place: str, form: int) -> SegmentEntry:
    file = _get(fields, "file", str, place)
    if not _SEGMENT_FILE.fullmatch(file):
        raise _Malformed(f"{place}.file", "the name of a segment file", file)
    tracks = _get(fields, "tracks", list, place)
    own = _get(fields, "format", int, place, low=1) if form > 1 else 1
    if own > form:
        raise _Malformed(f"{place}.format", f"at most {form}", own)
    return SegmentEntry(
        file,
        _get(fields, "sha256", str, place),
        _get(fields, "bytes", int, place),
        _get(fields, "frames", int, place),
        tuple(_track(track, f"{place}.tracks[{i}]", form) for i, track in enumerate(tracks)),
        own,
        _get(fields, "sample", int, place) if form > 1 else 0,
    )


def _track(fields: Any, place: str, form: int) -> TrackEntry:
    recording = _get(fields, "recording", str, place)
    if not _RECORDING.fullmatch(recording):
        raise _Malformed(f"{place}.recording", "12 hexadecimal digits", recording)
    channel = _get(fields, "channel", int, place)
    first = _get(fields, "first", int, place) if form > 1 else 0
    start = _get(fields, "start", int, place) if form > _WITHOUT_PARTS else 0
    return TrackEntry(recording, channel, _get(fields, "frames", int, place), first, start)


def _get(fields: Any, key: str, kind: type, place: str, low: int = 0) -> Any:
    """`fields[key]`, which must be a `kind` and a whole number not below `low`."""
    if not isinstance(fields, dict):
        raise _Malformed(place, _NAMES[dict], fields)
    here = f"{place}.{key}" if place else key
    if key not in fields:
        raise _Malformed(here, _NAMES[kind], None)
    value = fields[key]
    if kind is float and type(value) is int and abs(value) < 1 << 53:
        value = float(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _Malformed(here, _NAMES[kind], value)
    if isinstance(value, int) and not low <= value < _TOO_LARGE:
        raise _Malformed(here, f"from {low} to 2**63 - 1", value)
    return value


def network_in(text: str) -> NetworkEntry | None:
    """The network that a manifest names, which may be damaged elsewhere; None if it is lost."""
    try:
        return _network(json.loads(text)["network"])
    except (ValueError, KeyError, TypeError, RecursionError, _Malformed):
        return None


def _damaged(source: object, reason: str) -> str:
    return f"{source} is damaged ({reason}): `earshot check --repair` makes it anew of the segments"


def _absent(folder: Path) -> LibraryError:
    if not folder.exists():
        return LibraryError(f"there is no library at {folder}: `earshot add FILE` makes one")
    if any((folder / SEGMENTS).glob("*.safetensors")):
        return DamagedManifest(
            f"{folder} holds segments but no {FILE}: `earshot check --repair` makes it anew of them"
        )
    return LibraryError(
        f"{folder} holds no library ({FILE} is missing): `earshot add FILE` makes one"
    )
