"""Pictures of what was heard: what is drawn, where, and in files that others can read."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import said_at, say, tone_library, write_wav

from earshot.errors import MissingExtra, UsageError
from earshot.library import Library
from earshot.picture import Box, Label, Picture, Raster, svg, write_picture
from earshot.picturing import draw
from earshot.plotting import COLUMNS, WIDTH, Scene, coloured, drawn, pooled, rows
from earshot.types import Recording, Span
from earshot.units import PHONES

TEXT = "monday harbour invoice"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with tone_library(tmp_path / "library") as opened:
        opened.add([write_wav(tmp_path / "a <talk>.wav", say(TEXT))])
        yield opened


@pytest.fixture
def talk(library: Library) -> Recording:
    return library.list()[0]


def texts(target: Path) -> list[str]:
    return [str(one.text) for one in ElementTree.parse(target).iter(f"{SVG}text")]


def test_what_was_heard_is_drawn_with_what_was_sought(library: Library, talk: Recording) -> None:
    target = Path(talk.path).with_name("talk.svg")
    span = draw(library, talk, target, query="harbour")
    assert (span.start, span.end) == (0.0, talk.duration)
    found = texts(target)
    assert {*PHONES} <= set(found) and "harbour  97%" in found
    assert any("a <talk>" in text for text in found)
    sought = [text for text in found if text in ("HH", "AA", "R", "B", "ER")]
    assert len(sought) == 10  # once beside its row, once over where it was sought
    root = ElementTree.parse(target).getroot()
    boxes = [one for one in root.iter(f"{SVG}rect") if one.get("stroke") == "#d4264c"]
    assert len(boxes) == 5
    place = (float(str(boxes[0].get("x"))) - 64) / (WIDTH - 88) * talk.duration
    assert abs(place - said_at(TEXT, "harbour")) < 0.13
    assert len(list(root.iter(f"{SVG}image"))) == 1


def test_a_part_is_drawn_with_the_whole_above_it(library: Library, talk: Recording) -> None:
    target = Path(talk.path).with_name("part.svg")
    span = draw(library, talk, target, query="harbour", span=Span(0.1, 0.9))
    assert (span.start, span.end) == (0.1, 0.9)
    assert "0:00.5" in texts(target)
    Path(talk.path).unlink()  # then there is no waveform, and all else
    draw(library, talk, target, span=Span(1.0, 1.5))
    assert {*PHONES} <= set(texts(target))


def test_png_is_a_picture_of_the_same_size(library: Library, talk: Recording) -> None:
    target = Path(talk.path).with_name("talk.png")
    draw(library, talk, target, query="harbour")
    header = target.read_bytes()[:24]
    assert header.startswith(b"\x89PNG") and int.from_bytes(header[16:20]) == 2 * WIDTH


def test_what_cannot_be_drawn_is_told(
    library: Library, talk: Recording, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"is written as \.svg or \.png"):
        draw(library, talk, tmp_path / "talk.gif")
    with pytest.raises(UsageError, match="has 1 channels, and no 2"):
        draw(library, talk, tmp_path / "talk.svg", channel=1)
    with pytest.raises(UsageError, match="does not lie in the recording"):
        draw(library, talk, tmp_path / "talk.svg", span=Span(99, 100))
    with pytest.raises(UsageError, match="--to must be later"):
        draw(library, talk, tmp_path / "talk.svg", span=Span(1, 1))
    with pytest.raises(UsageError, match="cannot be written"):
        draw(library, talk, tmp_path / "nowhere" / "talk.svg")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'earshot\[plot\]'"):
        draw(library, talk, tmp_path / "talk.png")


def test_long_recordings_show_the_highest_of_what_shares_a_column() -> None:
    values = np.zeros((10 * COLUMNS, 3), np.float32)
    values[12_345, 1] = 0.9
    shown = pooled(values, COLUMNS)
    assert shown.shape == (COLUMNS, 3) and shown.max() == np.float32(0.9)
    assert pooled(values[:7], COLUMNS).shape == (7, 3)
    scene = Scene("t", "a", ("a", "<blank>"), 1, 0.04, values[:, :2], Span(0.0, 400.0))
    picture = drawn(scene)
    [raster] = [item for item in picture.items if isinstance(item, Raster)]
    assert raster.pixels.shape == (1, COLUMNS, 3)


def test_phones_are_put_in_order_and_other_units_left_as_they_are() -> None:
    assert [("T", "AA", "S")[at] for at in rows(("T", "AA", "S", "-"), 3)] == ["AA", "S", "T"]
    assert rows(("b", "-", "a"), 1) == [0, 2]
    dark, light = coloured(np.array([1.0, 0.0])).sum(axis=1)
    assert dark < light


def test_texts_cannot_break_out_of_the_file(tmp_path: Path) -> None:
    evil = '</text><script>x</script>&"\x00\x1b'
    picture = Picture(10, 10, (Box(0, 0, 1, 1), Label(1, 1, evil)))
    root = ElementTree.fromstring(svg(picture))
    [label] = root.iter(f"{SVG}text")
    assert label.text == '</text><script>x</script>&"??'
    write_picture(picture, tmp_path / "x.SVG")
    assert (tmp_path / "x.SVG").exists()
