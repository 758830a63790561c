"""Makes the golden library of the present format: run once for each format, then keep for ever.

    PYTHONPATH=src:tests python tests/golden/make.py

A library of three recordings (one of two channels), two of them merged into one segment that still
has the track of a removed one, and the mentions that a search must find in it.
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
from earshot.index import index_writer, writer
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
    with Catalog(folder, writable=True) as catalog:
        catalog.delete([gone.id])
        for number, recording in enumerate(recordings):
            path = f"/recordings/{recording.title}.wav"
            added = f"2026-01-0{number + 1}T12:00:00+00:00"
            catalog.put(replace(recording, path=path, added=added))
    (folder / ".lock").unlink()


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
