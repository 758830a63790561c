"""The manifest: what is written is read again, and everything else is refused with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import LibraryError
from earshot.index.manifest import (
    FILE,
    FORMAT,
    Manifest,
    NetworkEntry,
    format_manifest,
    parse_manifest,
    read_manifest,
    swap_manifest,
)
from earshot.index.segment import FORMAT as SEGMENT_FORMAT
from earshot.index.segment import SegmentEntry, TrackEntry

NETWORK = NetworkEntry("ab" * 32, ("AA", "B", "<blank>"), 2, 0.04)
IDS = st.text("0123456789abcdef", min_size=12, max_size=12)
FRAMES = st.integers(0, 1 << 40)
TRACKS = st.builds(TrackEntry, IDS, st.integers(0, 7), FRAMES, FRAMES, st.just(0) | FRAMES)
SEGMENTS = st.builds(
    SegmentEntry,
    st.from_regex(r"[0-9a-z-]{1,20}\.safetensors", fullmatch=True),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    st.integers(0, 1 << 50),
    st.integers(0, 1 << 50),
    st.lists(TRACKS, max_size=3).map(tuple),
    st.integers(1, SEGMENT_FORMAT),
    st.integers(0, (1 << 32) - 1),
)
NETWORKS = st.builds(
    NetworkEntry,
    st.text(max_size=5),
    st.lists(st.text(max_size=3), min_size=3, max_size=5).map(tuple),
    st.integers(0, 2),
    st.floats(1e-3, 10),
)
MANIFESTS = st.builds(
    Manifest, NETWORKS, st.lists(SEGMENTS, max_size=3).map(tuple), st.integers(0, 1 << 60)
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def segment(file: str, *recordings: str) -> SegmentEntry:
    """A segment of one-frame recordings."""
    tracks = tuple(TrackEntry(recording * 12, 0, 1) for recording in recordings)
    return SegmentEntry(f"{file}.safetensors", "0" * 64, 100, len(tracks), tracks)


@settings(deadline=None)
@given(MANIFESTS)
def test_what_is_written_is_read_again(manifest: Manifest) -> None:
    assert parse_manifest(format_manifest(manifest), "library.json") == manifest


@settings(deadline=None)
@given(st.text() | JSON.map(json.dumps))
def test_anything_else_is_a_library_error(text: str) -> None:
    with pytest.raises(LibraryError, match=r"^library\.json is damaged"):
        parse_manifest(text, "library.json")


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths of everything inside a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    return [path] * bool(path) + [p for key, item in items for p in leaves(item, (*path, key))]


WHOLE = json.loads(format_manifest(Manifest(NETWORK, (segment("a", "1", "2"),), 3)))


@pytest.mark.parametrize("path", leaves(WHOLE), ids=lambda path: ".".join(map(str, path)))
@pytest.mark.parametrize("value", [None, True, -1, 1.5, 10**300, "../x", [None], {"a": 1}, "gone"])
def test_each_field_is_checked(path: tuple[Any, ...], value: Any) -> None:
    fields = json.loads(json.dumps(WHOLE))
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    text = json.dumps(fields)
    try:
        manifest = parse_manifest(text, "library.json")
    except LibraryError as error:
        assert str(error).startswith("library.json is") or "newer Earshot" in str(error)
        assert "\n" not in str(error)
        assert len(str(error)) < 300
    else:  # what is let through must be right, so it must survive
        assert parse_manifest(format_manifest(manifest), "library.json") == manifest


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("segments", 0, "tracks", 1, "frames"), "many", r"segments\[0\]\.tracks\[1\]\.frames"),
        (("segments", 0, "file"), "../../etc/passwd", r"segments\[0\]\.file"),
        (("network", "blank"), 3, r"network\.blank must be below the number of units, 3, not 3"),
        (("network", "units", 0), 7, r"network\.units\[0\] must be text, not 7"),
        (("generation",), None, "generation must be a whole number, not null"),
    ],
)
def test_errors_tell_the_place(path: tuple[Any, ...], value: Any, place: str) -> None:
    fields = json.loads(json.dumps(WHOLE))
    inner = fields
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(LibraryError, match=place):
        parse_manifest(json.dumps(fields), "library.json")


def test_libraries_without_parts_stay_readable_for_older_versions() -> None:
    whole = Manifest(NETWORK, (segment("a", "1", "2"),), 3)
    assert json.loads(format_manifest(whole))["format"] == FORMAT - 1
    part = TrackEntry("1" * 12, 0, 5, 0, start=1)
    growing = whole.with_part(SegmentEntry("b.safetensors", "0" * 64, 100, 5, (part,)))
    assert json.loads(format_manifest(growing))["format"] == FORMAT


def test_a_part_takes_the_place_of_all_that_came_from_there_on() -> None:
    def part(file: str, start: int, frames: int) -> SegmentEntry:
        tracks = tuple(TrackEntry("1" * 12, side, frames, side, start) for side in (0, 1))
        return SegmentEntry(f"{file}.safetensors", "0" * 64, 100, 2 * frames, tracks)

    manifest = Manifest(NETWORK, (segment("other", "2"),))
    for file, start, frames in (("a", 0, 30), ("b", 0, 40), ("c", 40, 9), ("d", 40, 20)):
        manifest = manifest.with_part(part(file, start, frames))
    assert [one.file[:-12] for one in manifest.segments] == ["other", "b", "d"]
    assert manifest.recordings() == ("2" * 12, "1" * 12)


def test_a_newer_format_says_upgrade() -> None:
    with pytest.raises(LibraryError, match=f"format {FORMAT + 1}.*pip install --upgrade earshot"):
        parse_manifest(json.dumps({"format": FORMAT + 1, "else": "unknown"}), "library.json")


def test_changes_make_the_next_generation() -> None:
    manifest = (
        Manifest(NETWORK).with_segment(segment("a", "1", "2")).with_segment(segment("b", "3"))
    )
    assert manifest.generation == 2
    assert manifest.recordings() == ("1" * 12, "2" * 12, "3" * 12)
    fewer = manifest.without(["1" * 12, "3" * 12])
    assert fewer.generation == 3
    assert fewer.recordings() == ("2" * 12,)
    assert [s.file for s in fewer.segments] == ["a.safetensors"]
    assert fewer.segments[0].live_frames == 1
    assert fewer.segments[0].frames == 2
    merged = manifest.merged(manifest.segments, segment("c", "1", "2", "3"))
    assert [s.file for s in merged.segments] == ["c.safetensors"]


def test_swapping_replaces_the_whole_file(tmp_path: Path) -> None:
    for generation in range(3):
        swap_manifest(tmp_path, Manifest(NETWORK, (), generation))
        assert read_manifest(tmp_path).generation == generation
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_an_absent_library_says_how_to_make_one(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(LibraryError, match="earshot add"):
            read_manifest(folder)


def test_a_lost_manifest_is_not_an_absent_library(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "a.safetensors").touch()
    with pytest.raises(LibraryError, match=r"segments but no library\.json: `earshot check --rep"):
        read_manifest(tmp_path)


def test_unreadable_manifests_are_library_errors(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\xff\xfe")
    with pytest.raises(LibraryError, match="not UTF-8 at byte 0"):
        read_manifest(tmp_path)
    (tmp_path / FILE).unlink()
    (tmp_path / FILE).mkdir()
    with pytest.raises(LibraryError, match="cannot be read: Is a directory"):
        read_manifest(tmp_path)
