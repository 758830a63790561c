"""Changing an index: one writer at a time, and a crash at any moment leaves the last good state.

Adding is: write the segment under its own name, force it to the disk, then `commit` swaps the
manifest that lists it. Removing is the manifest first, then the file. Whatever a crash leaves
behind is not in the manifest: readers do not see it and the next writer deletes it.

Every recording starts as a segment of its own. `tidy` keeps the number of files small by merging
segments of like size, eight at a time, so that each byte is rewritten a handful of times in all;
it also rewrites segments that still hold the tracks of removed recordings.

A recording that grows is committed in parts: each commit replaces its end, of which better is known
by now, in one swap of the manifest. Merging joins parts that follow each other.

This module knows nothing of media, of the catalogue and of what the network says.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from earshot.errors import LibraryBusy, LibraryError, OtherNetwork
from earshot.index.durable import discard, sync_folder, write_atomically, writing
from earshot.index.manifest import (
    FILE,
    SEGMENTS,
    Manifest,
    NetworkEntry,
    read_manifest,
    swap_manifest,
)
from earshot.index.recovery import Rebuilt, leftovers, rebuilt
from earshot.index.segment import (
    FORMAT,
    SegmentEntry,
    TrackEntry,
    TrackFile,
    columns,
    map_segment,
    verify_segment,
    write_segment,
)
from earshot.lanes import Costs, Levels, Track, levels

try:
    import fcntl
except ImportError:  # Windows: reading works, and `lock` says that writing does not
    fcntl = None  # type: ignore[assignment]

MERGE_AT = 8
"""So many segments of like size are merged into one."""

LARGEST_MERGED = 128 << 20
"""Segments of this many bytes (74 hours of one channel) are left alone."""

PATIENCE = 0.3
"""Seconds for which a writer waits for another one: growing recordings hold the lock for less."""

DAMAGED = FILE + ".damaged"
"""Where a damaged manifest is kept after it was made anew."""

_LOCK = ".lock"
_LOOK_AGAIN = 0.02  # seconds
# What a crash while creating a library may leave; and what sources, the server and fetching keep
# there before its first recording.
_OURS = {_LOCK, SEGMENTS, FILE + ".part", "sources", "server", "media"}


@contextmanager
def index_writer(
    folder: Path, network: NetworkEntry | None = None, *, patience: float = PATIENCE
) -> Iterator[IndexWriter]:
    """Lock the library in `folder` for writing.

    With `network` the library is made if there is none, and must be of that network; without, it
    must exist. Raises LibraryBusy if another process still writes after `patience` seconds,
    OtherNetwork, or LibraryError.
    """
    if network is None:
        read_manifest(folder)  # nothing is created around a library that is not there
    else:
        _create_folders(folder)
    with locked(folder, patience):
        yield IndexWriter(folder, _current(folder, network))


class IndexWriter:
    """The one writer of an index, made by `index_writer`; `manifest` is its present state."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._segments = folder / SEGMENTS
        self.manifest = manifest
        with writing(self._segments):
            self._segments.mkdir(exist_ok=True)
            # Before anything is deleted, what the manifest on this disk says must be what a power
            # cut would leave.
            sync_folder(folder)
        self.clean()

    def track(self, recording: str, channel: int) -> TrackFile:
        """Start a track of a recording; its costs go to a temporary file until it is staged."""
        return TrackFile(self._segments / f"{recording}-{channel}.part", recording, channel)

    def stage(self, tracks: Sequence[TrackFile]) -> SegmentEntry:
        """Write the finished tracks as a segment that no reader sees before it is committed."""
        return self._write(
            [track.entry for track in tracks], lambda unit: [one.column(unit) for one in tracks]
        )

    def commit(self, segment: SegmentEntry) -> None:
        """Let the staged segment count."""
        self._swap(self.manifest.with_segment(segment))

    def stage_part(
        self,
        recording: str,
        channels: Sequence[Costs],
        start: int,
        staged: Sequence[SegmentEntry] = (),
    ) -> SegmentEntry:
        """Write costs (frames, units) of all channels of a recording from frame `start` on.

        `staged` are parts before it that are to be committed with it. Raises LibraryError if the
        library has not, or no longer, all that comes before.
        """
        manifest = self.manifest
        for part in staged:
            manifest = manifest.with_part(part)
        before = [
            (segment, track)
            for segment in manifest.segments
            for track in segment.tracks
            if track.recording == recording and track.start < start
        ]
        if start and max((one.start + one.frames for _, one in before), default=0) < start:
            raise LibraryError(f"the recording {recording} was removed while it was heard")
        # Someone may have merged an end that was to be replaced with what comes before it.
        longer = {one.channel: (s, one) for s, one in before if one.start + one.frames > start}
        if longer:
            channels = [
                np.concatenate(
                    [self._heard(*longer[channel])[: start - longer[channel][1].start], now]
                )
                for channel, now in enumerate(channels)
            ]
            start = longer[0][1].start
        entries = [
            TrackEntry(recording, channel, len(costs), start=start)
            for channel, costs in enumerate(channels)
        ]
        found = [levels(costs) for costs in channels]
        return self._write(entries, lambda unit: [one[:, unit] for one in found])

    def commit_parts(self, segments: Sequence[SegmentEntry]) -> None:
        """Let staged parts count, in the place of all that their recording had from there on."""
        manifest = self.manifest
        for segment in segments:
            manifest = manifest.with_part(segment)
        self._swap(manifest)
        self.clean()

    def join(self, recording: str) -> None:
        """Make one track a channel of a recording that lies in parts."""
        group = [s for s in self.manifest.segments if recording in {t.recording for t in s.tracks}]
        if any(track.start for s in group for track in s.tracks if track.recording == recording):
            self._rewrite(group)

    def replace(self, old: SegmentEntry, new: SegmentEntry) -> None:
        """Let the same file be listed in another way."""
        self._swap(self.manifest.merged([old], new))

    def remove(self, recordings: Collection[str]) -> None:
        """Let the recordings count no more, then delete files that hold nothing else."""
        self._swap(self.manifest.without(recordings))
        self.clean()

    def tidy(self, leave: Collection[str] = ()) -> None:
        """Merge small segments and drop removed tracks from the disk, as far as there is need.

        Segment files in `leave` are left alone. For speed and space only: where the disk is full
        or a segment is damaged, everything is left as it is.
        """
        try:
            while group := _to_rewrite([s for s in self.manifest.segments if s.file not in leave]):
                self._rewrite(group)
        except LibraryError:
            self.clean()

    def optimize(self) -> None:
        """Make as few segments of the present format as can be, without removed tracks and parts.

        Each step counts at once, and what an earlier one did stays when a later one fails. Raises
        LibraryError when the disk refuses, DamagedSegment for a segment that is not what was
        written.
        """
        tracks = [track for segment in self.manifest.segments for track in segment.tracks]
        for recording in dict.fromkeys(track.recording for track in tracks if track.start):
            self.join(recording)
        for group in _to_optimize(self.manifest.segments):
            self._rewrite(group)

    def clean(self) -> None:
        """Delete what the manifest does not list: a crash's leftovers, removed segments.

        The manifest on the disk decides, not the one in memory: a swap whose last step (forcing
        the folder to the disk) was refused or interrupted has happened all the same.
        """
        self.manifest = read_manifest(self._folder)
        with writing(self._segments):
            for path in leftovers(self._folder, self.manifest):
                discard(path)

    def _write(
        self, tracks: Sequence[TrackEntry], row: Callable[[int], Sequence[Levels]]
    ) -> SegmentEntry:
        network = self.manifest.network
        return write_segment(
            self._segments,
            f"{self.manifest.generation + 1:08d}",
            tracks,
            row,
            units=len(network.units),
            network=network.fingerprint,
        )

    def _swap(self, manifest: Manifest) -> None:
        try:
            swap_manifest(self._folder, manifest)
        except BaseException:
            self.clean()
            raise
        self.manifest = manifest

    def _rewrite(self, group: Sequence[SegmentEntry]) -> None:
        for segment in group:
            verify_segment(self._segments, segment)  # damage must not get a new checksum
        tracks = [track for segment in group for track in segment.tracks]
        mapped = [self._mapped(segment) for segment in group]
        runs = joinable(tracks)

        def row(unit: int) -> list[Levels]:
            found = [one for heard in mapped for one in columns(heard, unit)]
            return [
                found[run[0]] if len(run) == 1 else np.concatenate([found[at] for at in run])
                for run in runs
            ]

        entries = [
            replace(tracks[run[0]], frames=sum(tracks[at].frames for at in run)) for run in runs
        ]
        merged = self._write(entries, row)
        self._swap(self.manifest.merged(group, merged))
        self.clean()

    def _mapped(self, segment: SegmentEntry) -> tuple[Track, ...]:
        network = self.manifest.network
        return map_segment(
            self._segments, segment, units=len(network.units), network=network.fingerprint
        )

    def _heard(self, segment: SegmentEntry, track: TrackEntry) -> Costs:
        return self._mapped(segment)[segment.tracks.index(track)].costs()


def rebuild(
    folder: Path,
    counts: Callable[[str], bool],
    network_of: Callable[[str], NetworkEntry | None],
) -> Rebuilt:
    """Make the manifest of `folder` anew of its segments (see `recovery.rebuilt`).

    The damaged one is kept beside it, under another name. Raises LibraryError, LibraryBusy.
    """
    with locked(folder):
        made = rebuilt(folder, counts, network_of)
        old = folder / FILE
        if old.exists():
            with writing(old):
                write_atomically(folder / DAMAGED, old.read_bytes())
        swap_manifest(folder, made.manifest)
        return made


def idle_leftovers(folder: Path, manifest: Manifest) -> list[Path]:
    """Leftovers in the segments folder; none while a writer works, whose files they may be."""
    with suppress(LibraryError), locked(folder, 0.0):  # it may be busy, or not ours to write
        if read_manifest(folder).generation == manifest.generation:
            return leftovers(folder, manifest)
    return []


def joinable(tracks: Sequence[TrackEntry]) -> list[list[int]]:
    """Runs of tracks that follow each other in one channel of a recording; others alone."""
    runs: list[list[int]] = []
    ends: dict[tuple[str, int, int], list[int]] = {}  # by recording, channel and last frame
    for at in sorted(range(len(tracks)), key=lambda at: tracks[at].start):
        track = tracks[at]
        run = ends.pop((track.recording, track.channel, track.start), []) if track.start else []
        if not run:
            runs.append(run)
        run.append(at)
        ends[track.recording, track.channel, track.start + track.frames] = run
    return runs


def _to_rewrite(segments: Sequence[SegmentEntry]) -> list[SegmentEntry]:
    """Segments to write as one: MERGE_AT of one size class, or one with removed tracks."""
    classes: dict[int, list[SegmentEntry]] = {}
    for segment in segments:
        if segment.live_frames < segment.frames:
            return [segment]
        if segment.bytes < LARGEST_MERGED:
            size_class = segment.bytes.bit_length() // 3  # a class spans a factor of eight
            classes.setdefault(size_class, []).append(segment)
    for size_class in sorted(classes):
        if len(classes[size_class]) >= MERGE_AT:
            return classes[size_class]
    return []


def _to_optimize(segments: Sequence[SegmentEntry]) -> list[list[SegmentEntry]]:
    """Groups of segments to write as one each, so that few are left, none larger than need be."""
    groups: list[list[SegmentEntry]] = []
    size = LARGEST_MERGED
    for segment in sorted(segments, key=lambda one: one.live_frames):
        share = segment.bytes * segment.live_frames // max(segment.frames, 1)
        if not groups or size + share > LARGEST_MERGED:
            groups.append([])
            size = 0
        groups[-1].append(segment)
        size += share
    return [
        group
        for group in groups
        if len(group) > 1 or group[0].format < FORMAT or group[0].live_frames < group[0].frames
    ]


def _create_folders(folder: Path) -> None:
    """Make the folders of a new library; a folder with other things in it is refused."""
    with writing(folder):
        if (folder / FILE).exists():
            (folder / SEGMENTS).mkdir(exist_ok=True)
            return
        folder.mkdir(parents=True, exist_ok=True)
        others = {path.name for path in folder.iterdir()} - _OURS
        segments = folder / SEGMENTS
        if others or (segments.exists() and any(segments.glob("*.safetensors"))):
            raise LibraryError(
                f"{folder} is not empty and holds no library ({FILE} is missing): "
                "give a new or empty folder"
            )
        segments.mkdir(exist_ok=True)
        sync_folder(folder.parent)


@contextmanager
def locked(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the library's lock; the system frees it when the process ends, however it ends."""
    if fcntl is None:
        raise LibraryError("a library can be written on Linux and macOS only, for its file lock")
    path = folder / _LOCK
    with writing(folder):
        file: BinaryIO = path.open("ab")
    with file:
        deadline = time.monotonic() + patience
        while not _locked(file, path):
            if time.monotonic() > deadline:
                raise LibraryBusy(
                    f"another process is writing to {folder}: wait until it has finished"
                )
            time.sleep(_LOOK_AGAIN)
        yield


def _locked(file: BinaryIO, path: Path) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise LibraryError(f"{path} cannot be locked: {error.strerror or error}") from error
    return True


def _current(folder: Path, network: NetworkEntry | None) -> Manifest:
    """The library's manifest; a library without any recording takes the network at hand."""
    if (folder / FILE).exists():
        manifest = read_manifest(folder)
        if network is None or manifest.network == network:
            return manifest
        if manifest.segments:
            require_network(manifest, network.fingerprint, folder)
            return manifest
        manifest = replace(manifest, network=network, generation=manifest.generation + 1)
    else:
        # Written before anything else: from here on a missing manifest is damage, and its
        # segments are never taken for leftovers.
        manifest = Manifest(network) if network else read_manifest(folder)
    swap_manifest(folder, manifest)
    return manifest


def require_network(manifest: Manifest, fingerprint: str, folder: Path) -> None:
    """Raise OtherNetwork if another network than `fingerprint` made what `folder` holds."""
    if manifest.segments and manifest.network.fingerprint != fingerprint:
        raise OtherNetwork(
            f"the library {folder} was made by another network "
            f"({manifest.network.fingerprint[:12]}, this one is {fingerprint[:12]}): "
            "add its recordings to a new library, or add that network (earshot network add)"
        )
