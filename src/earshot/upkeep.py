"""Looking after a library: is it whole, what can be mended, and how small can it be?

`inspect` only looks. `repair` mends what it finds, and gives up nothing that is healthy: what it
has to drop is named, with the command that adds it again. `optimize` merges segments, takes what
was removed off the disk and brings old formats up to date. This module knows nothing of sound.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from earshot import media
from earshot.catalog import Catalog
from earshot.errors import LibraryBusy, LibraryError, MediaError
from earshot.index import (
    DAMAGED,
    SEGMENTS,
    DamagedManifest,
    DamagedSegment,
    IndexWriter,
    Manifest,
    NetworkEntry,
    SegmentEntry,
    gaps,
    idle_leftovers,
    index_writer,
    locked,
    read_manifest,
    rebuild,
    told,
    verify,
)
from earshot.rescue import interrupted, rescue
from earshot.rows import FILE as ROWS
from earshot.rows import every
from earshot.rows import verify as verify_rows
from earshot.types import Recording

MOST_APART = 1.0
"""Seconds by which a recording's length in the catalogue and in the index may differ: less than a
frame is not heard, and headers round."""

NetworkOf = Callable[[str], NetworkEntry | None]
"""The network of a fingerprint, if it is at hand."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    `sentence` says what, `harmful` whether the library is not whole because of it (leftovers and
    moved media files do no harm to it), `repaired` what was done about it, if anything was.
    """

    sentence: str
    harmful: bool = True
    repaired: str = ""

    def __str__(self) -> str:
        return f"{self.sentence}: {self.repaired}" if self.repaired else self.sentence


@dataclass(frozen=True, slots=True)
class Optimized:
    """What optimizing did: segments, and bytes of all files of the library, before and after."""

    segments_before: int
    segments: int
    bytes_before: int
    bytes: int
    upgraded: int
    """Segments of an older format that are now of the present one."""

    @property
    def freed(self) -> int:
        """Bytes on the disk that are free now and were not before."""
        return self.bytes_before - self.bytes


def inspect(folder: Path, *, read_media: bool = False) -> tuple[Finding, ...]:
    """Everything that is wrong with a library; all of its files are read.

    With `read_media` the recordings' own files are read too, else only their sizes are looked at.
    Raises LibraryError where there is no library, or one of a newer Earshot.
    """
    try:
        manifest = read_manifest(folder)
    except DamagedManifest as error:
        return (Finding(str(error)),)
    found = [Finding(str(error)) for _, error in _damaged(folder, manifest)]
    found += [
        Finding(f"the tracks of the recording {recording} do not fit together ({why})")
        for recording, why in gaps(manifest)
    ]
    for path in idle_leftovers(folder, manifest):
        found.append(Finding(f"{path} is left over from an interrupted run", harmful=False))
    try:
        if manifest.segments or (folder / ROWS).exists():  # an empty library may have no rows yet
            verify_rows(folder)
            rows = {row.id: row for row in every(folder)}
        else:
            rows = {}
    except LibraryError as error:
        if manifest.segments or "no such table" not in str(error):
            return (*found, Finding(str(error)))
        rows = {}
    found += [finding for finding, _ in _rows(manifest, rows)]
    found += _media(manifest, rows, read_media)
    return tuple(found)


def repair(folder: Path, network_of: NetworkOf, *, read_media: bool = False) -> tuple[Finding, ...]:
    """Mend what `inspect` finds, as far as it can be mended; return what was found and done.

    Raises LibraryError where there is no library, or it cannot be written; LibraryBusy.
    """
    found: list[Finding] = []
    lost: DamagedManifest | None = None
    try:
        read_manifest(folder)
    except DamagedManifest as error:
        lost = error
    rows = _known(folder, found)
    if lost is not None:
        found += _rebuilt(folder, lost, rows, network_of)
    manifest = read_manifest(folder)
    for path in idle_leftovers(folder, manifest):
        left = f"{path} is left over from an interrupted run"
        found.append(Finding(left, harmful=False, repaired="it was deleted"))
    # Of the recordings that had to be dropped their rows are told already.
    gone = set(rows or ()).difference(manifest.recordings()) if lost is not None else set()
    with index_writer(folder) as writer:
        before = writer.manifest.recordings()
        found += _mended(folder, writer, rows)
        gone |= set(before).difference(writer.manifest.recordings())
        with Catalog(folder, writable=True) as catalog:
            catalog.delete(gone)
            rows = {row.id: row for row in catalog.all()}
            for finding, row in _rows(writer.manifest, rows):
                if row is not None:
                    catalog.put(row)
                    rows[row.id] = row
                found.append(replace(finding, repaired="it was put right"))
            catalog.keep_only(writer.manifest.recordings())
        found += _media(writer.manifest, rows, read_media)
    return tuple(found)


def optimize(folder: Path) -> Optimized:
    """Make a library as small and as quick to open as it can be.

    Readers go on meanwhile, each in the state that it found; what their snapshots hold is freed
    when they close them. Raises LibraryError, LibraryBusy; DamagedSegment for what `repair` must
    mend first. What was done before then is kept.
    """
    with index_writer(folder) as writer:
        before, size = writer.manifest.segments, _size(folder)
        writer.optimize()
        now = writer.manifest.segments
        with Catalog(folder, writable=True) as catalog:
            catalog.keep_only(writer.manifest.recordings())
            catalog.compact()
    newest = max((segment.format for segment in now), default=0)
    upgraded = sum(segment.format < newest for segment in before)
    return Optimized(len(before), len(now), size, _size(folder), upgraded)


def _damaged(folder: Path, manifest: Manifest) -> Iterator[tuple[SegmentEntry, LibraryError]]:
    for entry in manifest.segments:
        try:
            verify(folder, entry, manifest)
        except LibraryError as error:
            yield entry, error


def _rows(
    manifest: Manifest, rows: Mapping[str, Recording]
) -> Iterator[tuple[Finding, Recording | None]]:
    """Where catalogue and manifest disagree, and the row that would be right, if one is missing."""
    seconds: dict[str, float] = {}
    channels: dict[str, set[int]] = {}
    for segment in manifest.segments:
        for track in segment.tracks:
            end = (track.start + track.frames) * manifest.network.frame_seconds
            seconds[track.recording] = max(end, seconds.get(track.recording, 0.0))
            channels.setdefault(track.recording, set()).add(track.channel)
    for recording, length in seconds.items():
        count = len(channels[recording])
        row = rows.get(recording)
        if row is None:
            yield (
                Finding(
                    f"the catalogue has lost the row of the recording {recording}: add its file "
                    "again, which takes no listening once this is repaired"
                ),
                nameless(recording, length, count),
            )
        elif row.growing is None and (
            row.channels != count or abs(row.duration - length) > MOST_APART
        ):
            yield (
                Finding(
                    f"the catalogue says that '{row.title}' ({recording}) has {row.channels} "
                    f"channels and {row.duration:.1f} s, the index has {count} and {length:.1f} s"
                ),
                replace(row, channels=count, duration=length),
            )
    for recording in sorted(set(rows).difference(seconds)):
        what = f"the catalogue has a row of {recording}, which is no recording of the library"
        yield Finding(what, harmful=False), None


def nameless(recording: str, seconds: float, channels: int) -> Recording:
    """The row of a recording of which nothing is known but its sound: its digest is its id."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Recording(recording, "", recording, seconds, channels, recording, 0, now)


def _media(manifest: Manifest, rows: Mapping[str, Recording], read: bool) -> Iterator[Finding]:
    """Recordings whose files are not where and what they were."""
    for recording in manifest.recordings():
        row = rows.get(recording)
        if row is not None and row.digest == row.id:
            what = f"the file of the recording {recording} is not known: add it again to tell it"
            yield Finding(what, harmful=False)
        if row is None or not row.path:
            continue
        name = f"'{row.title}' ({recording})"
        try:
            same = Path(row.path).stat().st_size == row.bytes
            if same and read:
                same = media.digest(row.path) == row.digest
        except (OSError, MediaError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            yield Finding(
                f"the file of {name} cannot be read at {row.path} ({reason}): it can be searched, "
                "and needs to be added from its new place to be played",
                harmful=False,
            )
        else:
            if not same:
                what = f"the file of {name} at {row.path} has changed since it was added"
                yield Finding(what, harmful=False)


def _known(folder: Path, found: list[Finding]) -> dict[str, Recording] | None:
    """The catalogue's rows; a damaged one is made anew of what can be read. None if there is none.

    What is wrong is told in `found`.
    """
    with locked(folder):
        try:
            verify_rows(folder)
            rows = every(folder)
            if not interrupted(folder):
                return {row.id: row for row in rows}
            reason = f"the catalogue of {folder} was being mended when that was interrupted"
        except LibraryBusy:
            raise
        except LibraryError as error:
            reason = _without_advice(error)
        kept = rescue(folder)
    found.append(Finding(reason, repaired=f"{len(kept or ())} rows of it were kept"))
    return None if kept is None else {row.id: row for row in kept}


def _rebuilt(
    folder: Path,
    error: DamagedManifest,
    rows: Mapping[str, Recording] | None,
    network_of: NetworkOf,
) -> Iterator[Finding]:
    """Make the manifest anew of the segments, and say what is not in it any more."""
    # Segments may still hold what was removed; its rows are gone. A catalogue that is lost itself
    # cannot tell, and it is better to have a recording too many.
    made = rebuild(folder, lambda one: rows is None or one in rows, network_of)
    count = len(made.manifest.recordings())
    yield Finding(
        _without_advice(error),
        repaired=f"it was made anew, with {count} recordings; the old one is {folder / DAMAGED}",
    )
    for path, reason in made.damaged:
        yield Finding(f"{path} is damaged ({reason})", repaired="it was deleted")
    there = set(made.manifest.recordings())
    for row in (rows or {}).values():
        if row.id not in there:
            yield _dropped(row.id, row)


def _mended(
    folder: Path, writer: IndexWriter, rows: Mapping[str, Recording] | None
) -> Iterator[Finding]:
    """Put entries of the manifest right that do not fit healthy files; drop what is damaged."""
    for entry, error in list(_damaged(folder, writer.manifest)):
        if not isinstance(error, DamagedSegment):  # it cannot be read now: it may be healthy
            yield Finding(str(error))
            continue
        path = folder / SEGMENTS / entry.file
        healthy = _as_told(path, entry, writer.manifest)
        if healthy is not None:
            writer.replace(entry, healthy)
            what = f"the manifest does not fit {path} ({error.reason})"
            yield Finding(what, repaired="the file is healthy, its entry was put right")
            continue
        writer.remove(error.recordings)
        yield Finding(
            f"{path} is damaged ({error.reason})",
            repaired=f"its {len(error.recordings)} recordings were dropped",
        )
        for recording in error.recordings:
            yield _dropped(recording, (rows or {}).get(recording))
    for recording, why in list(gaps(writer.manifest)):
        writer.remove([recording])
        what = f"the tracks of the recording {recording} do not fit together ({why})"
        yield Finding(what, repaired="it was dropped")
        yield _dropped(recording, (rows or {}).get(recording))


def _as_told(path: Path, entry: SegmentEntry, manifest: Manifest) -> SegmentEntry | None:
    """The entry of a file that is healthy by itself, with the tracks that counted."""
    try:
        found = told(path)
    except (ValueError, OSError):
        return None
    network = manifest.network
    if found.network != network.fingerprint or found.units not in (0, len(network.units)):
        return None
    counted = {(track.recording, track.channel) for track in entry.tracks}
    tracks = tuple(t for t in found.entry.tracks if (t.recording, t.channel) in counted)
    return replace(found.entry, tracks=tracks) if len(tracks) == len(entry.tracks) else None


def _without_advice(error: LibraryError) -> str:
    """What an error says, without the advice that is being followed."""
    return str(error).partition(": `earshot check --repair`")[0]


def _dropped(recording: str, row: Recording | None) -> Finding:
    """A recording that is lost, and the command that brings back what was known of it."""
    if row is None or not row.path:
        return Finding(f"the recording {recording} was dropped", repaired="add its file again")
    command = ["earshot", "add", row.path]
    command += [one for tag in row.tags for one in ("--tag", tag)]
    command += [one for name, value in row.meta for one in ("--meta", f"{name}={value}")]
    command += ["--date", row.recorded] if row.recorded else []
    return Finding(
        f"the recording '{row.title}' ({recording}) was dropped",
        repaired=f"add it again with {shlex.join(command)}",
    )


def _size(folder: Path) -> int:
    """Bytes of all files of a library."""
    sizes = []
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                sizes.append(path.stat().st_size)
        except FileNotFoundError:  # a reader of the catalogue has just closed it
            continue
    return sum(sizes)
