"""Libraries of every format that there has been open, are searched and can be added to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fakes import say, tone_library, write_wav

from earshot.about import about
from earshot.index import open_snapshot, read_manifest
from earshot.index.manifest import FORMAT
from earshot.index.segment import FORMAT as SEGMENT_FORMAT
from earshot.library import Library

GOLDEN = sorted((Path(__file__).parent / "golden").glob("format-*"))


@pytest.fixture(params=GOLDEN, ids=lambda folder: folder.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden library's folder, beside what is expected of it."""
    return Path(shutil.copytree(request.param, tmp_path / "golden"))


# The library is searched without a calibration: only the order of confidences means anything.
SURE = 0.2


def test_there_is_one_of_every_format() -> None:
    assert [folder.name for folder in GOLDEN] == [f"format-{n}" for n in range(1, FORMAT + 1)]


def test_everything_said_in_it_is_found(golden: Path) -> None:
    expected = json.loads((golden / "expected.json").read_text())
    with tone_library(golden / "library") as library:
        assert [one for one in library.check() if one.harmful] == []
        for said in expected:
            mentions = library.search(said["query"], top=None, min_confidence=SURE).mentions
            same = [m for m in mentions if (m.title, m.channel) == (said["title"], said["channel"])]
            assert len(same) == 1
            assert same[0].start == pytest.approx(said["start"], abs=0.2)
            assert same[0].path == f"/recordings/{said['title']}.wav"
        found = {
            (query, mention.title, mention.channel)
            for query in {said["query"] for said in expected}
            for mention in library.search(query, top=None, min_confidence=SURE).mentions
        }
        assert len(found) == len(expected)


def test_it_can_be_changed(golden: Path, tmp_path: Path) -> None:
    path = write_wav(tmp_path / "new.wav", say("contract lantern"))
    with tone_library(golden / "library") as library:
        assert [recording.title for recording in library.list()] == ["first", "second", "third"]
        library.remove("second")
        library.edit("first", about(tags=["old"], date="2019"))
        library.add([path])
        assert [recording.title for recording in library.list("tag:old date:2019")] == ["first"]
        titles = {mention.title for mention in library.search("contract", None, 0.5).mentions}
        assert titles == {"third", "new"}
        assert [one for one in library.check() if one.harmful] == []


def sounds(library: Library) -> dict[tuple[str, int], bytes]:
    """What a search would go through."""
    snapshot = open_snapshot(library.path)
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    return {(track.recording, track.channel): heard.costs().tobytes() for track, heard in pairs}


def test_it_can_be_optimized(golden: Path) -> None:
    """Everything is heard as before, in one segment of the present format."""
    with tone_library(golden / "library") as library:
        before, rows = sounds(library), library.list()
        done = library.optimize()
        assert done.segments == 1
        assert sounds(library) == before
        assert library.list() == rows
        (segment,) = read_manifest(library.path).segments
        assert segment.format == SEGMENT_FORMAT
        assert segment.live_frames == segment.frames
        assert [one for one in library.check() if one.harmful] == []


@pytest.mark.parametrize("lost", ["library.json", "catalog.db", "both"])
def test_it_can_be_repaired(golden: Path, lost: str) -> None:
    with tone_library(golden / "library") as library:
        before, rows = sounds(library), library.list()
        for name in ("library.json", "catalog.db"):
            if lost in (name, "both"):
                (library.path / name).unlink()
        library.repair()
        found = sounds(library)
        assert {place: found[place] for place in before} == before
        # Only the catalogue knows that a recording, whose track is still there, was removed.
        assert len(found) == len(before) + (lost == "both") * (len(found) - len(before))
        if lost == "library.json":
            assert library.list() == rows
        assert [one for one in library.check() if one.harmful] == []
