"""Makes the golden library of the present format: run once for each format, then keep for ever.

    PYTHONPATH=src:tests python tests/golden/make.py

A library of three recordings (one of two channels), two of them merged into one segment that still
has the track of a removed one, one in parts, and the mentions that a search must find in them.
`tests/test_golden.py` opens those of all formats.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from fakes import Floats, said_at, say, tone_library, write_wav

from earshot.catalog import Catalog
from earshot.index import index_writer, open_snapshot, writer
from earshot.index.manifest import FORMAT

GOLDEN = Path(__file__).parent
TALKS = {
    "first": ["harbour invoice lantern"],
    "second": ["monday contract harbour"],
    "third": ["lantern monday", "contract invoice"],
}


def make(folder: Path) -> None:
    """Make the library in `folder`: a merged segment with a removed track, and a small one."""
    with TemporaryDirectory() as name, tone_library(folder) as library:
        for title, sides in {"gone": ["harbour harbour"], **TALKS}.items():
            writer.MERGE_AT = 99 if title == "third" else 2
            path = write_wav(Path(name) / f"{title}.wav", padded([say(text) for text in sides]))
            library.add([path], channels="split")
        gone, *recordings = library.list()
        with index_writer(folder) as index:
            index.remove([gone.id])  # and not `tidy`: its track stays in the file
        in_parts(folder, recordings[-1].id)
    with Catalog(folder, writable=True) as catalog:
        catalog.delete([gone.id])
        for number, recording in enumerate(recordings):
            path = f"/recordings/{recording.title}.wav"
            added = f"2026-01-0{number + 1}T12:00:00+00:00"
            catalog.put(replace(recording, path=path, added=added))
    (folder / ".lock").unlink()


def in_parts(folder: Path, recording: str) -> None:
    """Let a recording be one that grew, and was not ended: it lies in two parts."""
    snapshot = open_snapshot(folder)
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    sides = [heard.costs() for track, heard in pairs if track.recording == recording]
    with index_writer(folder) as index:
        index.remove([recording])
        for part in (slice(0, 30), slice(30, None)):
            index.commit_parts([index.stage_part(recording, [s[part] for s in sides], part.start)])


def padded(sides: list[Floats]) -> list[Floats]:
    """Sides of equal length."""
    length = max(map(len, sides))
    return [np.pad(side, (0, length - len(side))) for side in sides]


def expected() -> list[dict[str, object]]:
    """Every mention of every word."""
    return [
        {"query": word, "title": title, "channel": channel, "start": said_at(text, word)}
        for title, sides in TALKS.items()
        for channel, text in enumerate(sides)
        for word in text.split()
    ]


if __name__ == "__main__":
    target = GOLDEN / f"format-{FORMAT}"
    shutil.rmtree(target, ignore_errors=True)
    make(target / "library")
    (target / "expected.json").write_text(json.dumps(expected(), indent=1) + "\n")
