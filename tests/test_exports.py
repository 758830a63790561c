"""Files of other programs, read back by FFmpeg, webvtt, srt, feedparser and pyarrow."""

from __future__ import annotations

import csv as table
import html
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import av
import feedparser
import numpy as np
import pyarrow.parquet
import pytest
import srt
import webvtt
from fakes import RATE, write_wav
from hypothesis import given
from hypothesis import strategies as st

from earshot import exports
from earshot.errors import MissingExtra
from earshot.exports import SHEETS, Sound
from earshot.present import printable
from earshot.types import Heard, Mention, Recording, SearchResult, Snippet

HOSTILE = (
    'He said: "stop" & <b>go</b> --> 00:00:01.000',
    "line\nbreak\r\n\ttab\x00\x1b[31m",
    "1\n\n00:00:00,000 --> 00:00:09,000\nforged",
    "; # = \\ title=[CHAPTER]\nSTART=0",
    "]]></title><script>alert(1)</script>&#x0;",
    "half \udce9 \ud800 \ufffe \uffff \u202e turned",
    "日本語 ünï 🎧 " * 40,
    "...",
)
ANY = st.text(st.characters(), min_size=1, max_size=30)


def recording(
    title: str = "talk", id: str = "3f2a1b4c5d6e", path: str = "/x/talk.wav"
) -> Recording:
    return Recording(
        id, path, title, 4000.0, 1, "d" * 64, 1000, "2026-11-24T12:00:00+00:00", recorded="2020-05"
    )


def mention(
    phrase: str, start: float, end: float, of: Recording, channel: int = 0, confidence: float = 0.87
) -> Mention:
    heard = Heard(phrase, ("R", "IY"), channel, start, end, confidence)
    return Mention(of.id, of.path, of.title, channel, start, end, confidence, (heard,))


def result(*mentions: Mention, query: str = "refund") -> SearchResult:
    return SearchResult(query, mentions, 1.0, 0.01, len(mentions))


def written(form: str, mentions: Sequence[Mention], of: Recording) -> str:
    text = SHEETS[form].write(mentions, of)
    text.encode()  # nothing in it that no file can hold
    return text


def captions(text: str) -> list[tuple[float, float, str]]:
    return [
        (one.start_in_seconds, one.end_in_seconds, html.unescape(one.text))
        for one in webvtt.from_string(text).captions
    ]


@pytest.mark.parametrize("title", HOSTILE)
def test_subtitles_and_labels_come_back(title: str) -> None:
    of = recording(title)
    found = [mention(title, 1.5, 2.25, of), mention("refund", 3725.0, 3725.12, of)]
    texts = [f"{printable(title)} (87%)", "refund (87%)"]
    spans = [(1.5, 2.25), (3725.0, 3725.12)]
    read = list(srt.parse(written("srt", found, of)))
    assert [one.content for one in read] == [text.strip() for text in texts]
    assert [(one.start.total_seconds(), one.end.total_seconds()) for one in read] == spans
    vtt = webvtt.from_string(written("vtt", found, of)).captions
    assert [html.unescape(one.text) for one in vtt] == [text.strip() for text in texts]
    assert [(one.start, one.end) for one in vtt] == [
        ("00:00:01.500", "00:00:02.250"), ("01:02:05.000", "01:02:05.120"),
    ]  # fmt: skip
    labels = [line.split("\t") for line in written("audacity", found, of).splitlines()]
    assert [(float(start), float(end)) for start, end, _ in labels] == spans
    assert [text for _, _, text in labels] == texts


@pytest.mark.parametrize("title", HOSTILE)
def test_ffmpeg_reads_chapters_and_subtitles(tmp_path: Path, title: str) -> None:
    of = recording(title)
    found = [mention(title, 1.5, 2.25, of), mention("refund", 3.0, 3.12, of)]
    (tmp_path / "talk.txt").write_text(written("ffmetadata", found, of), encoding="utf-8")
    with av.open(str(tmp_path / "talk.txt"), format="ffmetadata") as file:
        assert file.metadata["title"] == printable(title)
        chapters = file.chapters()
    assert [(one["start"], one["end"]) for one in chapters] == [(1500, 2250), (3000, 3120)]
    assert {one["time_base"] for one in chapters} == {Fraction(1, 1000)}
    told = [one["metadata"]["title"] for one in chapters]
    assert told == [f"{printable(title)} (87%)", "refund (87%)"]
    for form, reader in (("srt", "srt"), ("vtt", "webvtt")):
        (tmp_path / form).write_text(written(form, found, of), encoding="utf-8")
        with av.open(str(tmp_path / form), format=reader) as file:
            packets = [one for one in file.demux() if one.size]
        assert [(one.pts, one.duration) for one in packets] == [(1500, 750), (3000, 120)]


@pytest.mark.parametrize("title", HOSTILE)
def test_chapters_of_podcasts_and_cue_sheets(title: str) -> None:
    of = recording(title, path=f"/x/{title}.mp3")
    found = [mention(title, 1.5, 2.25, of), mention("refund", 6000.0, 6000.12, of)]
    told = json.loads(written("chapters", found, of))
    assert told == {
        "version": "1.2.0",
        "title": printable(title),
        "chapters": [
            {"startTime": 1.5, "endTime": 2.25, "title": f"{printable(title)} (87%)"},
            {"startTime": 6000.0, "endTime": 6000.12, "title": "refund (87%)"},
        ],
    }
    sheet, file, tracks = read_cue(written("cue", found, of))
    quoted = [printable(text).replace('"', "'") for text in (f"{title} (87%)", "refund (87%)")]
    assert tracks == [(quoted[0], pytest.approx(1.5, abs=0.01)), (quoted[1], 6000.0)]
    assert sheet == printable(title).replace('"', "'")
    assert file == printable(Path(of.path).name).replace('"', "'")


def read_cue(text: str) -> tuple[str, str, list[tuple[str, float]]]:
    """Title and file of a sheet, titles and seconds of its tracks; each line must be in place."""
    pieces = re.fullmatch(
        r'TITLE "([^"\n]*)"\nFILE "([^"\n]*)" (?:MP3|WAVE)\n((?:  TRACK .*\n.*\n.*\n)*)', text
    )
    assert pieces
    pattern = r' +TRACK (\d\d+) AUDIO\n +TITLE "([^"\n]*)"\n +INDEX 01 (\d\d+):(\d\d):(\d\d)\n'
    found = re.findall(pattern, pieces[3])
    assert [int(number) for number, *_ in found] == list(range(1, len(found) + 1))
    assert "".join(pieces[3].split("  TRACK")).count("\n") == 3 * len(found)
    times = [60 * int(m) + int(s) + int(f) / 75 for _, _, m, s, f in found]
    return (
        pieces[1],
        pieces[2],
        [(title, at) for (_, title, *_), at in zip(found, times, strict=True)],
    )


def test_chapters_neither_overlap_nor_begin_together() -> None:
    of = recording()
    spans = [(1.0, 9.0), (1.0, 2.0), (3.0, 3.0), (3.004, 3.5)]
    found = [mention(f"m{at}", *span, of) for at, span in enumerate(spans)]
    chapters = json.loads(written("chapters", found, of))["chapters"]
    assert [(one["startTime"], one["endTime"], one["title"]) for one in chapters] == [
        (1.0, 3.0, "m0 (87%) / m1 (87%)"), (3.0, 3.001, "m2 (87%)"), (3.004, 3.5, "m3 (87%)"),
    ]  # fmt: skip
    assert re.findall("INDEX 01 (.+)", written("cue", found, of)) == ["00:01:00", "00:03:00"]


@given(st.lists(st.tuples(st.floats(0, 1e5), st.floats(0, 30), ANY), min_size=1, max_size=6))
def test_whatever_is_found_every_reader_counts_the_same(
    spans: list[tuple[float, float, str]],
) -> None:
    of = recording()
    found = [mention(text, start, start + long, of) for start, long, text in spans]
    found = exports.by_recording([result(*found)])[of.id]
    starts = [one.start for one in found]
    assert starts == sorted(starts)
    read = list(srt.parse(written("srt", found, of)))
    vtt = captions(written("vtt", found, of))
    labels = written("audacity", found, of).split("\n")[:-1]
    assert len(read) == len(vtt) == len(labels) == len(found)
    for (start, end, text), sub, one in zip(vtt, read, found, strict=True):
        said = f"{printable(one.heard[0].phrase)} (87%)".strip()  # as readers do, too
        assert start <= end and text.strip() == sub.content.strip() == said
    chapters = json.loads(written("chapters", found, of))["chapters"]
    for one, after in pairwise(chapters):
        assert one["startTime"] < one["endTime"] <= after["startTime"]


def test_channels_and_snippets_are_told() -> None:
    of = recording()
    found = [
        mention("refund", 1.0, 2.0, of),
        replace(
            mention("refund", 3.0, 4.0, of, 1), snippet=Snippet("my ~refund please", ((3, 9),))
        ),
    ]
    assert [text for _, _, text in captions(written("vtt", found, of))] == [
        "refund (channel 1) (87%)", "my ~refund please (channel 2) (87%)",
    ]  # fmt: skip


def test_sheets_of_nothing_are_sheets() -> None:
    assert captions(written("vtt", [], recording())) == []
    assert json.loads(written("chapters", [], recording()))["chapters"] == []
    assert written("srt", [], recording()) == written("audacity", [], recording()) == ""


def feed(
    results: Sequence[SearchResult], *recordings: Recording, **sounds: Sound
) -> feedparser.FeedParserDict:
    data = exports.rss(
        results,
        {one.id: one for one in recordings},
        "https://example.org/a?b&c",
        lambda one: sounds.get(one.recording),
    )
    parsed = feedparser.parse(io.BytesIO(data))
    assert not parsed.bozo, parsed.bozo_exception
    return parsed


@pytest.mark.parametrize("title", HOSTILE)
def test_a_feed_of_mentions(title: str) -> None:
    old = recording(title, "a" * 12)
    new = replace(recording("new", "b" * 12), added="2026-11-25T01:02:03+00:00")
    url = f"https://example.org/{quote('a b&c.mp3')}"
    found = [
        result(mention("refund", 3.0, 4.0, old), mention("refund", 1.0, 2.0, new), query=title),
        result(mention("x", 7.0, 8.0, recording(id="c" * 12))),  # was removed since
    ]
    read = feed(found, old, new, **{new.id: Sound(url, "audio/mpeg", 12345, 5.2)})
    assert read.version == "rss20" and read.feed.link == "https://example.org/a?b&c"
    first, second = read.entries
    assert first.title == "new (2020-05) at 0:00:01"
    shown = printable(title).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")
    if "<" not in title:  # feedparser takes titles for HTML
        assert second.title == f"{shown} (2020-05) at 0:00:03".strip()
    assert first.published_parsed[:6] == (2026, 11, 25, 1, 2, 3)
    [enclosure] = first.enclosures
    assert (enclosure.href, enclosure.type, enclosure.length) == (url, "audio/mpeg", "12345")
    assert first.itunes_duration == "5" and "enclosures" not in second
    assert first.id != second.id and not first.guidislink
    assert [one.id for one in feed(found, old, new).entries] == [first.id, second.id]


@given(ANY)
def test_any_title_makes_a_feed_that_parses(title: str) -> None:
    of = recording(title)
    read = feed([result(mention(title, 1.0, 2.0, of), query=title)], of)
    assert len(read.entries) == 1


@pytest.mark.parametrize("title", HOSTILE)
def test_tables_come_back(title: str) -> None:
    of = recording(title)
    found = [result(mention(title, 1.0, 2.5, of), mention("b", 3.0, 4.0, of, 1), query=title)]
    rows = list(table.DictReader(exports.csv(found)))
    columns = pyarrow.parquet.read_table(io.BytesIO(exports.parquet(found))).to_pylist()
    assert list(columns[0]) == list(rows[0])
    for row, of_parquet in zip(rows, columns, strict=True):
        for name in ("query", "title", "path", "heard", "recording"):
            assert row[name] == of_parquet[name]
        assert float(row["confidence"]) == of_parquet["confidence"]
        assert (int(row["channel"]), float(row["end"])) == (
            of_parquet["channel"],
            of_parquet["end"],
        )
        assert row["units"].split() == of_parquet["units"]
    assert exports.parquet([]) and list(exports.csv([])) == [",".join(rows[0])]


def test_parquet_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'earshot\[exports\]'"):
        exports.parquet([])


def test_names_are_safe_and_differ() -> None:
    titles = [*HOSTILE, "Talk", "talk", "ta/lk", "../../etc/passwd", "字" * 300]
    recordings = [recording(title, f"{at:012x}") for at, title in enumerate(titles)]
    names = exports.sheet_names(recordings, SHEETS["srt"])
    assert len({name.casefold() for name in names.values()}) == len(titles)
    assert names[recordings[-2].id] == "etc_passwd.srt"
    assert names[recordings[8].id] == f"Talk-{recordings[8].id}.srt"
    clips = [exports.clip_name(mention("x", 3725.25, 4.0, of), ".mp3") for of in recordings]
    assert clips[8] == f"Talk-{recordings[8].id}-1.02.05.250.mp3"
    for name in (*names.values(), *clips):
        assert re.fullmatch(r"[^\W_][\w.-]*", name) and len(name.encode()) < 200


def test_mentions_that_begin_at_once_make_one_clip() -> None:
    of = recording()
    found = [mention("a", 1.0, 2.0, of), mention("b", 1.0, 3.0, of), mention("c", 1.5, 3.0, of)]
    assert [one.end for one in exports.clip_names(found, ".wav").values()] == [3.0, 3.0]


def test_chapters_can_be_put_into_a_file(tmp_path: Path) -> None:
    """As the documents say, but with FFmpeg's libraries instead of its command."""
    of = recording()
    source = write_wav(tmp_path / "talk.wav", np.zeros(5 * RATE, np.float32))
    (tmp_path / "talk.ffmetadata").write_text(
        written("ffmetadata", [mention("refund", 1.0, 2.0, of)], of)
    )
    with (
        av.open(str(tmp_path / "talk.ffmetadata"), format="ffmetadata") as chapters,
        av.open(str(source)) as sound,
        av.open(str(tmp_path / "talk.mka"), "w") as target,
    ):
        target.set_chapters(chapters.chapters())
        stream = target.add_stream_from_template(sound.streams.audio[0])
        for packet in sound.demux():
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    with av.open(str(tmp_path / "talk.mka")) as file:
        [chapter] = file.chapters()
    assert chapter["metadata"]["title"] == "refund (87%)"
    assert float(chapter["start"] * chapter["time_base"]) == 1.0
