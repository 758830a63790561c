"""Segments: what goes in comes out, anyone's safetensors reads them, damage is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from earshot.errors import LibraryError
from earshot.index import segment
from earshot.index.segment import (
    DamagedSegment,
    SegmentEntry,
    TrackEntry,
    TrackFile,
    map_segment,
    verify_segment,
    write_segment,
)
from earshot.lanes import LEVELS, costs_of, levels, placed

UNITS = 5
NETWORK = "ab" * 32
IDS = ("0" * 12, "1" * 12, "2" * 12)


def random_costs(frames: int, seed: int = 0) -> np.ndarray:
    """Costs (frames, UNITS), as they can be stored."""
    chosen = np.random.default_rng(seed).integers(0, len(LEVELS), (frames, UNITS))
    return np.array(LEVELS, np.uint8)[chosen]


def write(folder: Path, *tracks: np.ndarray) -> SegmentEntry:
    """Write a segment of one recording per track."""
    entries = [
        TrackEntry(identity, 0, len(costs)) for identity, costs in zip(IDS, tracks, strict=False)
    ]
    return write_segment(
        folder, "00000001", entries, lambda unit: [levels(costs[:, unit]) for costs in tracks],
        units=UNITS, network=NETWORK,
    )  # fmt: skip


def read(folder: Path, entry: SegmentEntry) -> list[np.ndarray]:
    """Map a segment as it was written."""
    tracks = map_segment(folder, entry, units=UNITS, network=NETWORK)
    assert all(not track.lanes.flags.writeable for track in tracks)
    return [track.costs() for track in tracks]


@pytest.mark.parametrize("lengths", [(0,), (1,), (300, 0, 7), (64, 64)])
def test_what_goes_in_comes_out(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    tracks = [random_costs(frames, frames) for frames in lengths]
    entry = write(tmp_path, *tracks)
    mapped = read(tmp_path, entry)
    assert len(mapped) == len(tracks)
    for costs, expected in zip(mapped, tracks, strict=True):
        assert np.array_equal(costs, expected)
    assert entry.frames == entry.live_frames == sum(lengths)
    assert entry.bytes == (tmp_path / entry.file).stat().st_size
    verify_segment(tmp_path, entry)


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    tracks = [random_costs(9, 1), random_costs(4, 2)]
    entry = write(tmp_path, *tracks)
    tensors = load_file(tmp_path / entry.file)
    assert tensors["lanes"].shape == (UNITS, 25, 32)
    assert np.array_equal(placed(tensors["lanes"], [9, 4])[1].costs(), tracks[1])


def test_data_is_aligned_to_cache_lines(tmp_path: Path) -> None:
    entry = write(tmp_path, random_costs(3))
    data = (tmp_path / entry.file).read_bytes()
    assert (8 + int.from_bytes(data[:8], "little")) % 64 == 0


def test_only_listed_tracks_are_mapped(tmp_path: Path) -> None:
    tracks = [random_costs(5, 1), random_costs(6, 2)]
    entry = write(tmp_path, *tracks)
    alone = replace(entry, tracks=entry.tracks[1:])
    (costs,) = read(tmp_path, alone)
    assert np.array_equal(costs, tracks[1])
    assert alone.live_frames < alone.frames


def test_a_mapped_segment_outlives_its_file(tmp_path: Path) -> None:
    expected = random_costs(50)
    entry = write(tmp_path, expected)
    (track,) = map_segment(tmp_path, entry, units=UNITS, network=NETWORK)
    (tmp_path / entry.file).unlink()
    assert np.array_equal(track.costs(), expected)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=6))
def test_a_track_file_gives_back_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    path = tmp_path_factory.mktemp("track") / "track.part"
    pieces = [random_costs(frames, number) for number, frames in enumerate(lengths)]
    with TrackFile(path, IDS[0], 1) as track:
        for piece in pieces:
            track.append(piece[:, ::-1][:, ::-1])
        assert track.entry == TrackEntry(IDS[0], 1, sum(lengths))
        whole = np.concatenate([np.zeros((0, UNITS), np.uint8), *pieces])
        for unit in range(UNITS):
            assert np.array_equal(costs_of(track.column(unit)), whole[:, unit])
    assert not path.exists()


def test_a_track_file_that_someone_changed_is_refused(tmp_path: Path) -> None:
    with TrackFile(tmp_path / "track.part", IDS[0], 0) as track:
        track.append(random_costs(3))
        with (tmp_path / "track.part").open("ab") as file:
            file.write(b"x" * 99)
        with pytest.raises(LibraryError, match="changed by someone else"):
            track.column(0)


def cut(path: Path) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def blank_out(path: Path) -> None:
    """Leave nothing but zeros behind the header, as a power cut does."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    path.write_bytes(data[:start] + bytes(len(data) - start))


def spoil_header(path: Path) -> None:
    """Replace the header's JSON."""
    data = bytearray(path.read_bytes())
    data[8:12] = b"####"
    path.write_bytes(data)


def lengthen_header(path: Path) -> None:
    """Let the header be longer than the file."""
    data = bytearray(path.read_bytes())
    data[:8] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (Path.unlink, "missing"),
        (cut, "bytes, expected"),
        (spoil_header, "not JSON"),
        (blank_out, "changed since"),
        (lengthen_header, "longer than the file"),
        (lambda path: path.write_bytes(b""), "0 bytes, expected"),
    ],
)
def test_damage_is_named_with_file_and_recordings(
    tmp_path: Path, damage: Callable[[Path], None], reason: str
) -> None:
    entry = write(tmp_path, random_costs(5), random_costs(5))
    damage(tmp_path / entry.file)
    with pytest.raises(DamagedSegment, match=reason) as caught:
        read(tmp_path, entry)
    assert caught.value.recordings == IDS[:2]
    for part in (entry.file, IDS[0], IDS[1], "earshot check --repair"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [4, 25, 32]},
        {"shape": [UNITS, 24, 32]},
        {"shape": [UNITS, 0, 32], "data_offsets": [0, 0]},
        {"shape": []},
        {"dtype": "I8"},
        {"data_offsets": [0, 4]},
        {"data_offsets": [-5, 3995]},
        {"data_offsets": [1000, 5000]},
        {"data_offsets": None},
        {"data_offsets": [0]},
    ],
)
def test_headers_that_do_not_fit_are_damage(
    tmp_path: Path, change: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = write(tmp_path, random_costs(5))
    path = tmp_path / entry.file
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header["lanes"] |= change
    text = json.dumps(header, separators=(",", ":")).encode()
    changed = len(text).to_bytes(8, "little") + text + data[start:]
    path.write_bytes(changed)
    monkeypatch.setattr(segment, "_sample", lambda _: entry.sample)  # only the header is looked at
    with pytest.raises(DamagedSegment):
        read(tmp_path, replace(entry, bytes=len(changed)))


def test_another_networks_segment_is_refused(tmp_path: Path) -> None:
    entry = write(tmp_path, random_costs(5))
    with pytest.raises(DamagedSegment, match="another network"):
        map_segment(tmp_path, entry, units=UNITS, network="cd" * 32)


def test_changed_contents_are_found_by_verifying(tmp_path: Path) -> None:
    entry = write(tmp_path, random_costs(60_000))
    data = bytearray((tmp_path / entry.file).read_bytes())
    data[len(data) // 60 * 7] ^= 1  # between two of the pages that are always looked at
    (tmp_path / entry.file).write_bytes(data)
    read(tmp_path, entry)
    with pytest.raises(DamagedSegment, match="changed since"):
        verify_segment(tmp_path, entry)


def test_an_error_names_a_few_of_many_recordings() -> None:
    tracks = tuple(TrackEntry(f"{number:012x}", 0, 1) for number in range(40))
    entry = SegmentEntry("x.safetensors", "", 9, 40, tracks)
    assert "and 35 more" in str(DamagedSegment(Path("x"), entry, "reason"))
