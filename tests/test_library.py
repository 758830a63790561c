"""A library from file to mention and back, with real files and a network that hears tones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import RATE, UNITS, ToneNetwork, said_at, say, tone_library, write_wav

import earshot
from earshot.errors import (
    LibraryBusy,
    LibraryError,
    MediaError,
    NetworkError,
    OtherNetwork,
    QueryError,
    UsageError,
)
from earshot.library import Library, default_folder
from earshot.outcome import Progress, Status
from earshot.types import Span

FIRST = "harbour invoice lantern"
SECOND = "monday contract harbour"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with tone_library(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """A folder with two recordings."""
    folder = tmp_path / "talks"
    folder.mkdir()
    write_wav(folder / "first.wav", say(FIRST))
    write_wav(folder / "second.wav", say(SECOND))
    return folder


def test_what_was_said_is_found_where_it_was_said(library: Library, talks: Path) -> None:
    report = library.add([talks])
    assert [recording.title for recording in report.added] == ["first", "second"]
    assert report.skipped == report.failed == ()
    result = library.search("harbour", top=2)
    assert [mention.title for mention in result.mentions[:2]] in (
        ["first", "second"],
        ["second", "first"],
    )
    for mention in result.mentions:
        text = FIRST if mention.title == "first" else SECOND
        assert mention.start == pytest.approx(said_at(text, "harbour"), abs=0.15)
        assert mention.end > mention.start
        assert 0 <= mention.confidence <= 1
        assert mention.path == str(talks / f"{mention.title}.wav")
    assert result.query == "harbour"
    assert result.searched_hours == pytest.approx(
        (len(say(FIRST)) + len(say(SECOND))) / RATE / 3600, rel=0.01
    )
    phrase = library.search("invoice lantern", top=1).mentions[0]
    assert phrase.title == "first"
    assert phrase.start == pytest.approx(said_at(FIRST, "invoice"), abs=0.15)


def test_confident_mentions_come_first_and_weak_ones_not_at_all(
    library: Library, talks: Path
) -> None:
    library.add([talks])
    everything = library.search("lantern", top=None, min_confidence=0.0).mentions
    confidences = [mention.confidence for mention in everything]
    assert confidences == sorted(confidences, reverse=True)
    bar = confidences[0]
    assert all(m.confidence >= bar for m in library.search("lantern", None, bar).mentions)
    assert len(library.search("lantern", top=1, min_confidence=0.0).mentions) == 1


def test_many_queries_give_what_each_gives_alone(library: Library, talks: Path) -> None:
    library.add([talks])
    queries = ["harbour", "monday contract", "lantern"] * 30
    together = list(library.search_many(queries, top=3, min_confidence=0.0))
    assert [result.query for result in together] == queries
    for result in together[:3]:
        assert result.mentions == library.search(result.query, 3, 0.0).mentions


def test_two_sides_of_a_call_are_two_channels(library: Library, tmp_path: Path) -> None:
    left, right = say("harbour lantern"), say("monday invoice")
    length = max(len(left), len(right))
    sides = [np.pad(side, (0, length - len(side))) for side in (left, right)]
    path = write_wav(tmp_path / "call.wav", sides)
    (recording,) = library.add([path], channels="split").added
    assert recording.channels == 2
    assert recording.duration == pytest.approx(length / RATE)
    assert library.search("lantern", top=1).mentions[0].channel == 0
    assert library.search("monday", top=1).mentions[0].channel == 1
    assert library.search("monday").searched_hours == pytest.approx(length / RATE / 3600, rel=0.02)


def test_a_long_stereo_file_is_heard_to_its_end(library: Library, tmp_path: Path) -> None:
    """Longer than a decoded block, and not a whole number of them."""
    silence = np.zeros(40 * RATE, np.float32)
    sides = [np.concatenate([silence, say(word)]) for word in ("contract", "harbour")]
    length = max(map(len, sides))
    write_wav(tmp_path / "long.wav", [np.pad(side, (0, length - len(side))) for side in sides])
    library.add([tmp_path / "long.wav"], channels="split")
    for channel, word in enumerate(("contract", "harbour")):
        mention = library.search(word, top=1).mentions[0]
        assert mention.channel == channel
        assert mention.start == pytest.approx(40 + said_at(word, word), abs=0.15)


def test_the_same_content_is_skipped_whatever_its_name(
    library: Library, talks: Path, tmp_path: Path
) -> None:
    library.add([talks])
    before = library.list()
    copy = shutil.copy(talks / "first.wav", tmp_path / "copy.wav")
    report = library.add([copy, talks])
    assert [recording.title for recording in report.skipped] == ["first", "first", "second"]
    assert report.added == ()
    assert library.list() == before


def test_a_moved_file_is_known_at_its_new_place(
    library: Library, talks: Path, tmp_path: Path
) -> None:
    library.add([talks])
    moved = (talks / "first.wav").rename(tmp_path / "renamed.wav")
    (recording,) = library.add([moved]).skipped
    assert (recording.path, recording.title) == (str(moved), "renamed")
    assert library.search("lantern", top=1).mentions[0].title == "renamed"


def test_each_file_is_told_as_it_is_settled(library: Library, talks: Path) -> None:
    (talks / "bad.wav").write_bytes(b"RIFF")
    seen: list[Progress] = []
    statuses = []
    for outcome in library.add_each([talks, "missing.mp3"], progress=seen.append):
        statuses.append((Path(outcome.path).name, outcome.status))
        if outcome.status is Status.ADDED:
            with tone_library(library.path) as reader:
                assert outcome.recording in reader.list()
    assert statuses == [
        ("bad.wav", Status.FAILED),
        ("first.wav", Status.ADDED),
        ("second.wav", Status.ADDED),
        ("missing.mp3", Status.FAILED),
    ]
    last = [p for p in seen if Path(p.path).name == "second.wav"][-1]
    assert (last.file, last.files) == (3, 4)
    assert last.seconds == pytest.approx(len(say(SECOND)) / RATE)
    assert last.duration == pytest.approx(last.seconds, abs=0.1)


def test_a_folder_without_media_is_told(library: Library, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("listen")
    report = library.add([tmp_path / "notes"])
    assert report.failed == ((str(tmp_path / "notes"), "has no audio or video files in it"),)


def test_an_abandoned_add_frees_the_library(library: Library, talks: Path) -> None:
    outcomes = library.add_each([talks])
    assert next(outcomes).status is Status.ADDED
    with pytest.raises(LibraryBusy):
        tone_library(library.path).add([talks])
    outcomes.close()
    report = library.add([talks])
    assert (len(report.added), len(report.skipped)) == (1, 1)


def test_removing_takes_the_recording_and_leaves_its_file(library: Library, talks: Path) -> None:
    library.add([talks])
    identity = library.show("first").id
    assert library.remove("first") == (identity,)
    assert [recording.title for recording in library.list()] == ["second"]
    assert {mention.title for mention in library.search("harbour", None, 0.0).mentions} == {
        "second"
    }
    assert (talks / "first.wav").exists()
    assert library.check() == ()
    assert [recording.title for recording in library.add([talks]).added] == ["first"]


def test_nothing_is_removed_when_a_name_fits_nothing(library: Library, talks: Path) -> None:
    library.add([talks])
    with pytest.raises(UsageError, match="did you mean second"):
        library.remove("first", "secnod")
    assert len(library.list()) == 2


def test_recordings_have_many_names(library: Library, talks: Path) -> None:
    library.add([talks])
    first = library.show("first")
    for name in (first.id, first.id[:6], first.path, "first.wav", "FIRST"):
        assert library.show(name) == first


def test_a_library_that_changes_is_seen_by_an_open_one(library: Library, talks: Path) -> None:
    library.add([talks / "first.wav"])
    with tone_library(library.path) as reader:
        assert len(reader.search("harbour", None).mentions) >= 1
        library.add([talks / "second.wav"])
        assert "second" in {m.title for m in reader.search("monday", None).mentions}
        library.remove("second")
        assert "second" not in {m.title for m in reader.search("monday", None, 0.0).mentions}


def test_a_reader_meanwhile_is_never_disturbed(library: Library, talks: Path) -> None:
    """Searches in one process while another one adds and removes."""
    library.add([talks / "first.wav"])
    program = f"""
from fakes import tone_library
library = tone_library({str(library.path)!r})
for _ in range(12):
    library.add([{str(talks)!r}])
    library.remove("second")
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", program], env=environment) as process:
        while process.poll() is None:
            with tone_library(library.path) as reader:
                titles = {m.title for m in reader.search("harbour", None, 0.0).mentions}
                assert "first" in titles
                assert "first" in {recording.title for recording in reader.list()}
    assert process.returncode == 0


def test_a_clip_holds_the_mention_and_its_surroundings(
    library: Library, talks: Path, tmp_path: Path
) -> None:
    library.add([talks])
    mention = library.search("lantern", top=1).mentions[0]
    target = tmp_path / "clip.wav"
    span = library.clip(mention, target, before=0.5, after=0.1)
    assert span.start == pytest.approx(mention.start - 0.5)
    assert span.end == pytest.approx(mention.end + 0.1)
    with tone_library(tmp_path / "clips") as clips:
        (clip,) = clips.add([target]).added
        assert clip.duration == pytest.approx(span.duration, abs=0.05)
        assert clips.search("lantern", top=1).mentions[0].start == pytest.approx(0.5, abs=0.15)


def test_surroundings_end_with_the_recording(library: Library, talks: Path, tmp_path: Path) -> None:
    library.add([talks])
    first = library.show("first")
    assert library.clip(first, tmp_path / "all.wav") == Span(0.0, first.duration)
    whole = library.clip("first", tmp_path / "all.wav", Span(0.1, 0.2), before=99, after=99)
    assert whole == Span(0.0, first.duration)


@pytest.mark.parametrize(
    "span", [Span(-1, 1), Span(2, 1), Span(1e6, 1e6 + 1), Span(float("nan"), 1)]
)
def test_spans_outside_the_recording_are_refused(
    library: Library, talks: Path, tmp_path: Path, span: Span
) -> None:
    library.add([talks])
    with pytest.raises(UsageError, match="'first', which is"):
        library.clip("first", tmp_path / "clip.wav", span)
    assert not (tmp_path / "clip.wav").exists()


def test_a_clip_never_replaces_its_recording(library: Library, talks: Path) -> None:
    library.add([talks])
    with pytest.raises(UsageError, match="the recording itself"):
        library.clip("first", talks / ".." / "talks" / "first.wav")


def test_clips_need_the_file_that_was_added(library: Library, talks: Path, tmp_path: Path) -> None:
    library.add([talks])
    write_wav(talks / "first.wav", say("monday"))
    with pytest.raises(MediaError, match="has changed since it was added"):
        library.clip("first", tmp_path / "clip.wav")
    (talks / "first.wav").unlink()
    with pytest.raises(MediaError, match="cannot be read"):
        library.clip("first", tmp_path / "clip.wav")


def test_another_network_is_refused_by_add_and_by_search(library: Library, talks: Path) -> None:
    library.add([talks])
    with tone_library(library.path, ToneNetwork("e2" * 32)) as other:
        for action in (lambda: other.add([talks]), lambda: other.search("harbour")):
            with pytest.raises(OtherNetwork, match="made by another network"):
                action()
        assert len(other.list()) == 2


class BadNetwork(ToneNetwork):
    """Gives what is no activation."""

    def __init__(self, scores: np.ndarray) -> None:
        super().__init__()
        self.scores = scores

    def listen(self, blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        """The same for every block."""
        for _ in blocks:
            yield self.scores


def test_a_file_that_confuses_the_network_fails_alone(tmp_path: Path, talks: Path) -> None:
    scores = np.full((3, len(UNITS)), np.nan, np.float32)
    with tone_library(tmp_path / "library", BadNetwork(scores)) as library:
        report = library.add([talks])
        assert len(report.failed) == 2
        assert "frame 0 are not numbers" in report.failed[0][1]
        assert list((library.path / "segments").iterdir()) == []


def test_a_network_of_other_units_than_it_says_ends_it_all(tmp_path: Path, talks: Path) -> None:
    with (
        tone_library(tmp_path / "library", BadNetwork(np.zeros((3, 7), np.float32))) as library,
        pytest.raises(NetworkError, match="metadata do not fit"),
    ):
        library.add([talks])
    assert list((tmp_path / "library" / "segments").iterdir()) == []


def test_a_library_that_is_not_there(tmp_path: Path) -> None:
    with tone_library(tmp_path / "none") as library:
        for action in (
            lambda: library.search("harbour"),
            library.list,
            lambda: library.show("x"),
            lambda: library.remove("x"),
            library.check,
        ):
            with pytest.raises(LibraryError, match=r"there is no library at .*earshot add"):
                action()
    assert not (tmp_path / "none").exists()


def test_an_empty_library_is_no_error(library: Library) -> None:
    assert library.add(["missing.wav"]).failed[0][0] == "missing.wav"
    assert library.list() == ()
    result = library.search("harbour")
    assert (result.mentions, result.searched_hours) == ((), 0.0)
    assert library.check() == ()


@pytest.mark.parametrize("query", ["", "  ", "?!", "x", "a" * 500])
def test_queries_without_a_word_are_refused(library: Library, talks: Path, query: str) -> None:
    library.add([talks])
    with pytest.raises(QueryError):
        library.search(query)


@pytest.mark.parametrize(("top", "confidence"), [(0, 0.5), (-1, 0.5), (1, -0.1), (1, 1.1)])
def test_senseless_options_are_refused(library: Library, top: int, confidence: float) -> None:
    with pytest.raises(UsageError):
        library.search("harbour", top, confidence)


def test_lost_rows_are_told_and_mended_by_adding_again(library: Library, talks: Path) -> None:
    library.add([talks])
    for path in library.path.glob("catalog.db*"):
        path.unlink()
    (problem,) = library.check()
    assert "catalog.db" in str(problem)
    assert len(library.add([talks]).added) == 2
    assert library.check() == ()
    assert len(library.list()) == 2


def test_lost_rows_can_be_removed(library: Library, talks: Path) -> None:
    library.add([talks])
    identity = library.show("first").id
    from earshot.catalog import Catalog

    with Catalog(library.path, writable=True) as catalog:
        catalog.delete([identity])
    with pytest.raises(LibraryError, match=f"lost the catalogue's rows.*{identity}"):
        library.list()
    library.remove(identity)
    assert [recording.title for recording in library.list()] == ["second"]


def test_the_folder_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EARSHOT_LIBRARY", "/somewhere/else")
    assert Library().path == default_folder() == Path("/somewhere/else")
    monkeypatch.delenv("EARSHOT_LIBRARY")
    assert default_folder().parts[-2:] == ("earshot", "library")


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = """
import sys, earshot
assert not {"numpy", "sqlalchemy", "numba", "av"} & set(sys.modules)
from earshot import Library, Span, QueryError, AddReport
assert not {"numba", "av", "onnxruntime", "torch", "typer"} & set(sys.modules)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_every_public_name_is_there() -> None:
    for name in earshot.__all__:
        assert getattr(earshot, name).__name__ == name
    assert set(earshot.__all__) <= set(dir(earshot))
    with pytest.raises(AttributeError, match="no attribute 'Libary'"):
        _ = earshot.Libary


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """Half an hour of a call, 230 MB of samples, costs what a minute costs."""
    for minutes in (1, 30):
        with wave.open(str(tmp_path / f"{minutes}.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(1)
            file.setframerate(8000)
            for _ in range(minutes):
                file.writeframes(bytes(range(256)) * (8000 * 60 * 2 // 256))
    program = """
import resource, sys
from fakes import tone_library
library = tone_library("library")
for name in ("1.wav", "30.wav"):
    (recording,) = library.add([name], channels="split").added
    print(recording.channels, round(recording.duration / 60),
          resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    (sides, minute, before), (long_sides, half, after) = (
        map(int, line.split()) for line in done.stdout.splitlines()
    )
    assert (sides, minute, long_sides, half) == (2, 1, 2, 30)
    assert after - before < 100  # MB


def test_queries_too_short_to_trust_say_so(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", say("harbour lantern"))
    with tone_library(tmp_path / "library") as library:
        library.add([tmp_path / "a.wav"])
        assert library.search("cat").note.startswith("A query of 3 sounds is heard inside many")
        assert library.search("harbour").note == ""
