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
from earshot.index.segment import (
    DamagedSegment,
    SegmentEntry,
    TrackEntry,
    TrackFile,
    map_segment,
    verify_segment,
    write_segment,
)

UNITS = 5
NETWORK = "ab" * 32
IDS = ("0" * 12, "1" * 12, "2" * 12)


def random_costs(frames: int, seed: int = 0) -> np.ndarray:
    """Costs (frames, UNITS)."""
    return np.random.default_rng(seed).integers(0, 256, (frames, UNITS), np.uint8)


def write(folder: Path, *tracks: np.ndarray) -> SegmentEntry:
    """Write a segment of one recording per track."""
    pairs = [
        (TrackEntry(identity, 0, len(costs)), [costs.tobytes()])
        for identity, costs in zip(IDS, tracks, strict=False)
    ]
    return write_segment(folder, "00000001", pairs, units=UNITS, network=NETWORK)


def read(folder: Path, entry: SegmentEntry) -> list[np.ndarray]:
    """Map a segment as it was written."""
    return list(map_segment(folder, entry, units=UNITS, network=NETWORK))


@pytest.mark.parametrize("lengths", [(0,), (1,), (300, 0, 7), (64, 64)])
def test_what_goes_in_comes_out(tmp_path: Path, lengths: tuple[int, ...]) -> None:
    tracks = [random_costs(frames, frames) for frames in lengths]
    entry = write(tmp_path, *tracks)
    mapped = read(tmp_path, entry)
    assert len(mapped) == len(tracks)
    for costs, expected in zip(mapped, tracks, strict=True):
        assert type(costs) is np.ndarray
        assert np.array_equal(costs, expected)
        assert not costs.flags.writeable
    assert entry.frames == entry.live_frames == sum(lengths)
    assert entry.bytes == (tmp_path / entry.file).stat().st_size
    verify_segment(tmp_path, entry)


def test_the_safetensors_library_reads_it(tmp_path: Path) -> None:
    tracks = [random_costs(9, 1), random_costs(4, 2)]
    entry = write(tmp_path, *tracks)
    tensors = load_file(tmp_path / entry.file)
    assert sorted(tensors) == [f"{IDS[0]}/0", f"{IDS[1]}/0"]
    assert np.array_equal(tensors[f"{IDS[1]}/0"], tracks[1])


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
    (costs,) = read(tmp_path, entry)
    (tmp_path / entry.file).unlink()
    assert np.array_equal(costs, expected)


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
        assert b"".join(track.chunks()) == b"".join(piece.tobytes() for piece in pieces)
    assert not path.exists()


def test_nothing_is_left_when_a_track_is_not_as_long_as_it_says(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="3 frames"):
        write_segment(
            tmp_path,
            "00000001",
            [(TrackEntry(IDS[0], 0, 3), [b"xx"])],
            units=UNITS,
            network=NETWORK,
        )
    assert list(tmp_path.iterdir()) == []


def cut(path: Path) -> None:
    """Cut the last byte off."""
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    """Change a byte of the data."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


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
    for part in (entry.file, IDS[0], IDS[1], "earshot remove"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [4, UNITS]},
        {"dtype": "I8"},
        {"data_offsets": [0, 4]},
        {"data_offsets": [-5, 20]},
        {"data_offsets": [1000, 1025]},
        {"data_offsets": None},
        {"data_offsets": [0]},
    ],
)
def test_headers_that_do_not_fit_are_damage(tmp_path: Path, change: dict[str, object]) -> None:
    entry = write(tmp_path, random_costs(5))
    path = tmp_path / entry.file
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header[f"{IDS[0]}/0"] |= change
    text = json.dumps(header, separators=(",", ":")).encode()
    changed = len(text).to_bytes(8, "little") + text + data[start:]
    path.write_bytes(changed)
    with pytest.raises(DamagedSegment):
        read(tmp_path, replace(entry, bytes=len(changed)))


def test_another_networks_segment_is_refused(tmp_path: Path) -> None:
    entry = write(tmp_path, random_costs(5))
    with pytest.raises(DamagedSegment, match="another network"):
        map_segment(tmp_path, entry, units=UNITS, network="cd" * 32)


def test_changed_contents_are_found_by_verifying(tmp_path: Path) -> None:
    entry = write(tmp_path, random_costs(5))
    flip(tmp_path / entry.file)
    read(tmp_path, entry)  # the size is right, so it maps
    with pytest.raises(DamagedSegment, match="changed since"):
        verify_segment(tmp_path, entry)


def test_an_error_names_a_few_of_many_recordings() -> None:
    tracks = tuple(TrackEntry(f"{number:012x}", 0, 1) for number in range(40))
    entry = SegmentEntry("x.safetensors", "", 9, 40, tracks)
    assert "and 35 more" in str(DamagedSegment(Path("x"), entry, "reason"))
