"""The index: activations as immutable segments, and one manifest that says which of them count.

`quantise` turns log-posteriors into bytes, `segment` writes and maps files of them, `manifest`
lists the files that make up a library, `writer` changes that list (one writer at a time, crash
safe), `snapshot` reads it (any number of readers, no lock). None of them knows what a query, a
media file or a neural network is: plain arrays in, plain arrays out.
"""

from earshot.index.manifest import FILE, SEGMENTS, Manifest, NetworkEntry, read_manifest
from earshot.index.quantise import costs, log_posteriors
from earshot.index.segment import (
    DamagedSegment,
    SegmentEntry,
    TrackEntry,
    TrackFile,
    verify_segment,
)
from earshot.index.snapshot import Snapshot, open_snapshot, snapshot_version
from earshot.index.writer import IndexWriter, index_writer, require_network

__all__ = [
    "FILE",
    "SEGMENTS",
    "DamagedSegment",
    "IndexWriter",
    "Manifest",
    "NetworkEntry",
    "SegmentEntry",
    "Snapshot",
    "TrackEntry",
    "TrackFile",
    "costs",
    "index_writer",
    "log_posteriors",
    "open_snapshot",
    "read_manifest",
    "require_network",
    "snapshot_version",
    "verify_segment",
]
