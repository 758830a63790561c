"""Check, repair, optimize: whatever is damaged is told and mended, and nothing healthy is lost."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import WORDS, ToneNetwork, say, tone_library, write_wav

from earshot.about import about
from earshot.catalog import Catalog
from earshot.errors import LibraryError
from earshot.index import FILE, SEGMENTS, index_writer, open_snapshot, read_manifest, writer
from earshot.library import Library
from earshot.rows import FILE as CATALOG

TITLES = ("first", "second", "third", "fourth")
Contents = dict[tuple[str, int], bytes]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of four recordings, the first two merged in one segment; beside it its files."""
    folder = tmp_path_factory.mktemp("made")
    words = list(WORDS)
    for number, title in enumerate(TITLES):
        write_wav(folder / f"{title}.wav", say(f"{words[number]} {words[number + 1]}"))
    with tone_library(folder / "library") as library, pytest.MonkeyPatch.context() as patch:
        for number, title in enumerate(TITLES):
            patch.setattr(writer, "MERGE_AT", 2 if number == 1 else 99)
            library.add([folder / f"{title}.wav"], about=about(tags=["old"], meta={"n": title}))
    return folder


@pytest.fixture
def library(made: Path, tmp_path: Path) -> Library:
    return tone_library(Path(shutil.copytree(made / "library", tmp_path / "library")))


def contents(library: Library) -> Contents:
    """What a search would go through."""
    snapshot = open_snapshot(library.path)
    pairs = zip(snapshot.tracks, snapshot.heard, strict=True)
    return {(track.recording, track.channel): heard.costs().tobytes() for track, heard in pairs}


def segments(library: Library) -> list[Path]:
    """The files of the segments: that of the first two recordings comes first."""
    found = [library.path / SEGMENTS / s.file for s in read_manifest(library.path).segments]
    return sorted(found, key=lambda path: path.name)


def flip(path: Path, place: int = -1) -> None:
    """Change a byte."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def whole(library: Library) -> None:
    """Nothing is wrong any more, and the library can be searched and added to."""
    assert [str(one) for one in library.check() if one.harmful] == []
    library.search("harbour")
    library.list()


def test_a_whole_library_has_nothing_to_tell(library: Library) -> None:
    assert library.check() == library.check(media=True) == library.repair() == ()


def test_a_damaged_segment_takes_its_own_recordings_only(library: Library, made: Path) -> None:
    before = contents(library)
    flip(segments(library)[0])
    (told,) = library.check()
    assert told.harmful
    assert "its contents changed" in str(told)
    found = [str(one) for one in library.repair()]
    assert found[0].endswith("its 2 recordings were dropped")
    for line, title in zip(found[1:], TITLES[:2], strict=True):
        assert f"'{title}'" in line
        assert line.endswith(f"earshot add {made}/{title}.wav --tag old --meta n={title}")
    assert [recording.title for recording in library.list()] == list(TITLES[2:])
    whole(library)
    assert len(library.add([made / f"{title}.wav" for title in TITLES]).added) == 2
    assert contents(library) == before


def test_a_lost_segment_is_like_a_damaged_one(library: Library) -> None:
    segments(library)[1].unlink()
    assert "the file is missing" in str(library.check()[0])
    library.repair()
    assert [recording.title for recording in library.list()] == ["first", "second", "fourth"]
    whole(library)


def changed_manifest(library: Library, change: Callable[[dict], object]) -> None:
    fields = json.loads((library.path / FILE).read_text())
    change(fields)
    (library.path / FILE).write_text(json.dumps(fields))


@pytest.mark.parametrize("key", ["sha256", "bytes", "frames", "sample"])
def test_an_entry_that_lies_about_a_healthy_file_is_put_right(library: Library, key: str) -> None:
    before = contents(library)
    other = {"sha256": "0" * 64, "bytes": 7, "frames": 1, "sample": 5}[key]
    changed_manifest(library, lambda fields: fields["segments"][0].update({key: other}))
    if key != "frames":  # which nothing relies on
        assert library.check()[0].harmful
        (done,) = library.repair()
        assert "its entry was put right" in str(done)
    assert contents(library) == before
    whole(library)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe{"),
        lambda path: path.write_text(path.read_text()[:-300]),
        lambda path: path.write_text(path.read_text().replace('"tracks"', '"trucks"')),
    ],
    ids=["missing", "empty", "not text", "cut", "misspelled"],
)
def test_a_manifest_is_made_anew_of_the_segments(
    library: Library, damage: Callable[[Path], None]
) -> None:
    library.remove("fourth")
    # The removed one's file comes back, as if a crash had kept it: it must not count again.
    before, rows = contents(library), library.list()
    damage(library.path / FILE)
    (told,) = library.check()
    assert "earshot check --repair" in str(told)
    with pytest.raises(LibraryError, match="earshot check --repair"):
        library.list()
    assert "made anew, with 3 recordings" in str(library.repair()[0])
    assert contents(library) == before
    assert library.list() == rows
    whole(library)


def test_what_was_removed_stays_removed_when_the_manifest_is_made_anew(library: Library) -> None:
    with index_writer(library.path) as index:  # without `tidy`: the track stays in its segment
        index.remove([library.show("first").id])
    with Catalog(library.path, writable=True) as catalog:
        catalog.keep_only(read_manifest(library.path).recordings())
    before = contents(library)
    (library.path / FILE).unlink()
    library.repair()
    assert contents(library) == before
    assert [recording.title for recording in library.list()] == list(TITLES[1:])


def test_of_an_old_and_a_new_segment_the_new_one_counts(library: Library) -> None:
    """A crash after merging: the old segments are still there beside the merged one."""
    before = contents(library)
    old = {path.name: path.read_bytes() for path in segments(library)}
    library.optimize()
    for name, data in old.items():
        (library.path / SEGMENTS / name).write_bytes(data)
    assert len([one for one in library.check() if "left over" in str(one)]) == 3
    (library.path / FILE).unlink()
    library.repair()
    assert contents(library) == before
    assert len(read_manifest(library.path).segments) == 1
    assert len(list((library.path / SEGMENTS).iterdir())) == 1


def test_a_manifest_and_a_segment_damaged_at_once(library: Library) -> None:
    (library.path / FILE).write_text("{")
    flip(segments_on_disk(library)[1])
    found = [str(one) for one in library.repair()]
    assert any("'third'" in one and "earshot add" in one for one in found)
    assert [recording.title for recording in library.list()] == ["first", "second", "fourth"]
    whole(library)


def segments_on_disk(library: Library) -> list[Path]:
    return sorted((library.path / SEGMENTS).glob("*.safetensors"))


def test_a_manifest_needs_the_network_that_made_its_segments(library: Library) -> None:
    (library.path / FILE).unlink()
    stranger = tone_library(library.path, ToneNetwork("e2" * 32))
    with pytest.raises(LibraryError, match=r"f1f1f1f1f1f1.*earshot network add"):
        stranger.repair()
    assert len(segments_on_disk(library)) == 3
    library.repair()
    whole(library)


def test_lost_rows_are_made_anew_and_filled_by_adding_again(library: Library, made: Path) -> None:
    before = contents(library)
    first = library.show("first")
    with Catalog(library.path, writable=True) as catalog:
        catalog.delete([first.id])
    (told,) = library.check()
    assert told.harmful
    assert first.id in str(told)
    library.repair()
    assert contents(library) == before
    row = library.show(first.id)
    assert (row.title, row.path, row.channels) == (first.id, "", 1)
    assert row.duration == pytest.approx(first.duration, abs=0.05)
    whole(library)
    assert "is not known" in str(library.check()[0])
    (skipped,) = library.add([made / "first.wav"], about=about(tags=["found"])).skipped
    assert (skipped.path, skipped.digest) == (first.path, first.digest)
    assert (skipped.title, skipped.tags) == ("first", ("found",))
    assert library.check() == ()


def test_a_lost_catalogue_loses_no_sound(library: Library) -> None:
    before = contents(library)
    for path in library.path.glob("catalog.db*"):
        path.unlink()
    assert library.check()[0].harmful
    library.repair()
    assert contents(library) == before
    assert len(library.list()) == 4
    whole(library)


def test_rows_that_can_be_read_survive_a_damaged_catalogue(library: Library) -> None:
    before = contents(library)
    with Catalog(library.path, writable=True) as catalog:
        row = library.show("first")
        many = [f"{number:012x}" for number in range(400)]  # many pages
        catalog.put(*(type(row)(id, "/x" * 99, "t", 1.0, 1, "d", 1, "2020") for id in many))
        catalog.compact()
    path = library.path / CATALOG
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)
    assert library.check()[-1].harmful
    found = [str(one) for one in library.repair()]
    assert "rows of it were kept" in found[0]
    assert [recording.title for recording in library.list()] == list(TITLES)
    assert [recording.tags for recording in library.list()] == [("old",)] * 4
    assert contents(library) == before
    whole(library)


def test_no_catalogue_at_all_but_rubbish(library: Library) -> None:
    (library.path / CATALOG).write_bytes(b"not a database, by far" * 1000)
    assert library.check()[-1].harmful
    library.repair()
    assert len(library.list()) == 4
    whole(library)


def test_rows_too_many_and_rows_that_lie_are_put_right(library: Library) -> None:
    first, second = library.show("first"), library.show("second")
    with Catalog(library.path, writable=True) as catalog:
        catalog.put(type(first)("0" * 12, "/x", "t", 1.0, 1, "d", 1, "2020"))
        catalog.put(type(second)(second.id, second.path, "second", 99.0, 7, second.digest,
                                 second.bytes, second.added))  # fmt: skip
    harm = [one.harmful for one in library.check()]
    assert sorted(harm) == [False, True]
    library.repair()
    assert library.check() == ()
    assert library.show("second").channels == 1
    assert library.show("second").duration == pytest.approx(second.duration, abs=0.05)


def test_leftovers_are_told_and_deleted_but_not_those_of_a_writer_at_work(library: Library) -> None:
    left = library.path / SEGMENTS / "00000099-0123456789ab.safetensors.part"
    left.touch()
    (told,) = library.check()
    assert (told.harmful, left.name in str(told)) == (False, True)
    library.repair()
    assert not left.exists()
    with index_writer(library.path):
        left.touch()
        assert library.check() == ()


def test_files_that_moved_or_changed_are_told(library: Library, made: Path, tmp_path: Path) -> None:
    for title in TITLES[:3]:
        path = Path(shutil.copy(made / f"{title}.wav", tmp_path))
        with Catalog(library.path, writable=True) as catalog:
            row = library.show(title)
            catalog.change(row.id, lambda row, path=path: type(row)(
                row.id, str(path), row.title, row.duration, row.channels, row.digest, row.bytes,
                row.added))  # fmt: skip
    (tmp_path / "first.wav").unlink()
    flip(tmp_path / "second.wav", 999)
    with (tmp_path / "third.wav").open("ab") as file:
        file.write(b"x")
    looked = [str(one) for one in library.check()]
    assert len(looked) == 2
    assert "'first'" in looked[0] and "No such file" in looked[0]
    assert "'third'" in looked[1] and "has changed" in looked[1]
    read = library.check(media=True)
    assert len(read) == 3
    assert not any(one.harmful for one in read)


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_removing_frees_space_at_once(library: Library) -> None:
    before = size(library.path / SEGMENTS)
    library.remove("third")
    assert size(library.path / SEGMENTS) < before


def test_optimizing_merges_and_frees_and_says_so(library: Library) -> None:
    before = contents(library)
    done = library.optimize()
    assert (done.segments_before, done.segments) == (3, 1)
    assert done.bytes_before - done.bytes == done.freed > 0
    assert done.bytes == size(library.path)
    assert contents(library) == before
    again = library.optimize()
    assert (again.segments_before, again.segments, again.freed) == (1, 1, 0)


def test_a_reader_keeps_its_snapshot_while_segments_are_merged(library: Library) -> None:
    reader = open_snapshot(library.path)
    before = [heard.costs() for heard in reader.heard]
    library.optimize()
    library.remove("second")
    for heard, costs in zip(reader.heard, before, strict=True):
        assert (heard.costs() == costs).all()


def test_a_damaged_segment_stops_optimizing_but_not_repair(library: Library) -> None:
    flip(segments(library)[0])
    with pytest.raises(LibraryError, match="earshot check --repair"):
        library.optimize()
    library.repair()
    assert library.optimize().segments == 1
    whole(library)


def test_a_newer_library_is_not_repaired(library: Library) -> None:
    changed_manifest(library, lambda fields: fields.update(format=99))
    for action in (library.check, library.repair, library.optimize):
        with pytest.raises(LibraryError, match="newer Earshot"):
            action()
    assert len(segments_on_disk(library)) == 3


def test_an_old_catalogue_is_checked_and_repaired(library: Library) -> None:
    with sqlite3.connect(library.path / CATALOG) as connection:
        for column in ("recorded", "tags", "meta"):
            connection.execute(f"ALTER TABLE recordings DROP COLUMN {column}")
    assert library.check() == library.repair() == ()
    assert [recording.tags for recording in library.list()] == [()] * 4
