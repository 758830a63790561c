"""The index: activations as immutable segments, and one manifest that says which of them count.

`quantise` turns log-posteriors into bytes, `segment` writes and maps files of them, `manifest`
lists the files that make up a library, `writer` changes that list (one writer at a time, crash
safe), `recovery` says what is wrong with them, `snapshot` reads it (any number of readers, no
lock). None of them knows what a query, a media file or a neural network is: plain arrays in, plain
arrays out.
"""

from earshot.index.manifest import (
    FILE,
    SEGMENTS,
    DamagedManifest,
    Manifest,
    NetworkEntry,
    read_manifest,
    recordings_in,
)
from earshot.index.quantise import costs, log_posteriors
from earshot.index.recovery import gaps, told, verify
from earshot.index.segment import (
    DamagedSegment,
    SegmentEntry,
    TrackEntry,
    TrackFile,
)
from earshot.index.snapshot import Snapshot, open_snapshot, snapshot_version
from earshot.index.writer import (
    DAMAGED,
    IndexWriter,
    idle_leftovers,
    index_writer,
    locked,
    rebuild,
    require_network,
)

__all__ = [
    "DAMAGED",
    "FILE",
    "SEGMENTS",
    "DamagedManifest",
    "DamagedSegment",
    "IndexWriter",
    "Manifest",
    "NetworkEntry",
    "SegmentEntry",
    "Snapshot",
    "TrackEntry",
    "TrackFile",
    "costs",
    "gaps",
    "idle_leftovers",
    "index_writer",
    "locked",
    "log_posteriors",
    "open_snapshot",
    "read_manifest",
    "rebuild",
    "recordings_in",
    "require_network",
    "snapshot_version",
    "told",
    "verify",
]
