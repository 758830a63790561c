"""What segment files say of themselves, and manifests made of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from test_writer import NETWORK, OTHER, add, contents, costs_of, identity

from earshot.errors import LibraryError
from earshot.index import SEGMENTS, index_writer, read_manifest
from earshot.index.manifest import Manifest
from earshot.index.recovery import Rebuilt, gaps, leftovers, rebuilt, told, verify
from earshot.index.segment import DamagedSegment, SegmentEntry, TrackEntry


@pytest.fixture
def library(tmp_path: Path) -> Path:
    with index_writer(tmp_path, NETWORK) as writer:
        for number in range(1, 6):
            add(writer, number)
    return tmp_path


def anew(library: Path) -> Rebuilt:
    return rebuilt(library, lambda _: True, lambda _: NETWORK)


def test_a_file_tells_the_entry_that_was_written(library: Path) -> None:
    for entry in read_manifest(library).segments:
        found = told(library / SEGMENTS / entry.file)
        assert found.entry == entry
        assert (found.network, found.units) == (NETWORK.fingerprint, 3)


def test_files_that_are_no_segments_tell_nothing(library: Path) -> None:
    folder = library / SEGMENTS
    (good, *_) = read_manifest(library).segments
    (folder / "other.safetensors").write_bytes((folder / good.file).read_bytes())
    with pytest.raises(ValueError, match="not the name"):
        told(folder / "other.safetensors")
    (folder / good.file).write_bytes(b"")
    with pytest.raises(ValueError, match="changed"):
        told(folder / good.file)


def test_a_manifest_made_anew_is_the_one_that_was(library: Path) -> None:
    old = read_manifest(library)
    made = anew(library)
    assert (made.manifest.network, made.manifest.segments) == (old.network, old.segments)
    assert made.damaged == ()
    (library / "library.json").unlink()
    assert anew(library).manifest.segments == old.segments


def test_parts_of_recordings_are_put_together_again(tmp_path: Path) -> None:
    costs = costs_of(1, frames=100)
    with index_writer(tmp_path, NETWORK) as writer:
        old = []
        for start, end in ((0, 50), (30, 60), (60, 80), (60, 100)):  # each ends in better known
            part = writer.stage_part(identity(1), [costs[start:end]], start)
            writer.commit_parts([part])
            old.append((part.file, (tmp_path / SEGMENTS / part.file).read_bytes()))
        now = contents(tmp_path)
        assert now == {(identity(1), 0): costs.tobytes()}
        for name, data in old:
            (tmp_path / SEGMENTS / name).write_bytes(data)
        (tmp_path / "library.json").write_text("{")
        made = anew(tmp_path)
    tracks = [track for segment in made.manifest.segments for track in segment.tracks]
    assert [(track.start, track.frames) for track in tracks] == [(0, 60), (60, 40)]
    assert list(gaps(made.manifest)) == []


def test_recordings_that_are_not_whole_any_more_are_left_out(tmp_path: Path) -> None:
    costs = costs_of(1, frames=90)
    with index_writer(tmp_path, NETWORK) as writer:
        add(writer, 2)
        parts = [writer.stage_part(identity(1), [costs[:30]], 0)]
        writer.commit_parts(parts)
        for start in (30, 60):
            parts.append(writer.stage_part(identity(1), [costs[start : start + 30]], start))
            writer.commit_parts(parts[-1:])
    (tmp_path / SEGMENTS / parts[1].file).unlink()
    assert anew(tmp_path).manifest.recordings() == (identity(2),)


def test_an_unknown_network_is_named(library: Path) -> None:
    (library / "library.json").unlink()
    with pytest.raises(LibraryError, match="abababababab"):
        rebuilt(library, lambda _: True, lambda _: None)


def test_tracks_without_their_walls_are_damaged(library: Path) -> None:
    manifest = read_manifest(library)
    for entry in manifest.segments:
        verify(library, entry, manifest)
    entry = max(manifest.segments, key=lambda one: one.frames)
    track = entry.tracks[0]
    for wrong in (replace(track, frames=track.frames - 1), replace(track, frames=track.frames + 1)):
        with pytest.raises(DamagedSegment, match="has no end"):
            verify(library, replace(entry, tracks=(wrong,)), manifest)
    other = replace(manifest, network=OTHER)
    with pytest.raises(DamagedSegment, match="another network"):
        verify(library, entry, other)


def test_tracks_that_do_not_fit_together_are_told() -> None:
    def manifest(*places: tuple[int, int]) -> Manifest:
        tracks = tuple(TrackEntry("a" * 12, 0, frames, 0, start) for start, frames in places)
        return Manifest(NETWORK, (SegmentEntry("a.safetensors", "0" * 64, 9, 9, tracks),))

    assert list(gaps(manifest((0, 5), (5, 7)))) == []
    assert list(gaps(manifest((5, 7), (0, 5)))) == []
    for wrong, what in (((6, 7), "has a gap"), ((4, 7), "is there twice"), ((0, 5), "is there tw")):
        ((recording, why),) = gaps(manifest((0, 5), wrong))
        assert recording == "a" * 12
        assert what in why


def test_leftovers_are_files_that_no_segment_has(library: Path) -> None:
    manifest = read_manifest(library)
    assert leftovers(library, manifest) == []
    (library / SEGMENTS / "x.part").touch()
    assert leftovers(library, manifest) == [library / SEGMENTS / "x.part"]
