"""Libraries of every format that there has been open, are searched and can be added to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fakes import say, tone_library, write_wav

from earshot.about import about
from earshot.index.manifest import FORMAT

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
        assert library.check() == ()
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
        assert library.check() == ()
