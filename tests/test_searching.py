"""Queries of several parts over a library: what answers them, how surely, on which page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from fakes import said_at, say, tone_library, write_wav

import earshot.search
from earshot.about import about
from earshot.errors import MediaError, QueryError, UsageError
from earshot.library import Library
from earshot.query import answers, read
from earshot.search import Tracks
from earshot.types import Heard, Recording, SearchResult, Span

SAID = {
    "alpha": "harbour invoice lantern",
    "beta": "monday contract harbour",
    "gamma": "lantern monday",
    "delta": "contract invoice contract",
}
ABOUT = {
    "alpha": about(date="2020-05-17", tags=["news", "Sea"], meta={"speaker": "Ann"}),
    "beta": about(date="2021", tags=["news"], meta={"speaker": "Bob"}),
    "gamma": about(date="2019-01", tags=["work"]),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Library]:
    folder = tmp_path_factory.mktemp("talks")
    with tone_library(folder / "library") as opened:
        for name, text in SAID.items():
            opened.add([write_wav(folder / f"{name}.wav", say(text))])
        for name, known in ABOUT.items():
            opened.edit(name, known)
        sides = [say("harbour lantern"), say("monday invoice")]
        length = max(map(len, sides))
        padded = [np.pad(side, (0, length - len(side))) for side in sides]
        opened.add([write_wav(folder / "call.wav", padded)], channels="split")
        yield opened


def titles(result: SearchResult) -> set[str]:
    return {mention.title for mention in result.mentions}


def sure(library: Library, query: str, **options: object) -> SearchResult:
    """What the ear of these tests has heard ("monday" a little otherwise than it is said)."""
    return library.search(query, None, 0.1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("harbour", {"alpha", "beta", "call"}),
        ("invoice lantern", {"alpha"}),
        ("harbour AND lantern", {"alpha", "call"}),
        ("harbour NOT lantern", {"beta"}),
        ("harbour OR monday", {"alpha", "beta", "gamma", "call"}),
        ("harbour | monday", {"alpha", "beta", "gamma", "call"}),
        ("(harbour | lantern) AND monday", {"beta", "gamma", "call"}),
        ("monday AND (harbour OR contract)", {"beta", "call"}),
        ("monday NOT (harbour AND contract)", {"gamma", "call"}),
        ("(invoice | monday) contract", {"beta", "delta"}),
        ("harbour NEAR/2 lantern", {"alpha", "call"}),
        ("lantern NEAR/2 harbour", {"alpha", "call"}),
        ("harbour NEAR/0.5 lantern", {"call"}),
        ("harbour tag:news", {"alpha", "beta"}),
        ("harbour NOT tag:news", {"call"}),
        ("monday before:2020", {"gamma"}),
        ("harbour after:2020-06", {"beta"}),
        ("harbour meta.speaker:ann", {"alpha"}),
        ("harbour title:a", {"alpha", "beta", "call"}),
        ("(tag:work lantern) OR (tag:sea invoice)", {"gamma", "alpha"}),
        ("lantern AND (tag:work OR tag:sea)", {"gamma", "alpha"}),
        ("monday channel:1", {"beta", "gamma"}),
        ("harbour AND (monday channel:2)", {"call"}),
        ("monday NOT channel:1", {"call"}),
        ("harbour longer:1h", set()),
    ],
)
def test_which_recordings_answer(library: Library, query: str, expected: set[str]) -> None:
    assert titles(sure(library, query)) == expected
    grouped = sure(library, query, by_recording=True)
    assert {group.title for group in grouped.groups} == expected


def test_a_word_alone_has_the_confidence_of_its_alignment(library: Library) -> None:
    plain = library.search("lantern", None, 0.0)
    for mention in plain.mentions:
        (heard,) = mention.heard
        assert heard.confidence == mention.confidence
        assert heard.phrase == "lantern"
        assert heard.units == ("L", "AE", "N", "T", "ER", "N")
        assert (heard.start, heard.end, heard.channel) == (
            mention.start,
            mention.end,
            mention.channel,
        )


def test_two_that_are_near_are_one_mention(library: Library) -> None:
    (mention,) = [m for m in sure(library, "lantern NEAR/2 harbour").mentions if m.title == "alpha"]
    assert [heard.phrase for heard in mention.heard] == ["harbour", "lantern"]
    assert mention.start == pytest.approx(said_at(SAID["alpha"], "harbour"), abs=0.15)
    assert mention.end == pytest.approx(said_at(SAID["alpha"], "lantern") + 0.7, abs=0.3)
    first, second = mention.heard
    assert mention.confidence == pytest.approx(first.confidence * second.confidence)


def test_what_is_heard_twice_in_one_place_is_shown_once(library: Library) -> None:
    both = sure(library, "lantern | lanterns | invoice lantern", where="title:alpha")
    spans = sorted((m.start, m.end) for m in both.mentions)
    assert all(one[1] <= other[0] + 0.1 for one, other in pairwise(spans))
    assert len(sure(library, "lantern OR lantern", where="title:alpha").mentions) == 1


def test_only_what_filters_leave_is_scanned(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    scanned: list[tuple[int, set[str]]] = []
    real = earshot.search.search_columns

    def watched(
        queries: Sequence[object], tracks: Tracks, ear: object, **options: object
    ) -> object:
        scanned.append((len(queries), {track.recording for track in tracks.tracks}))
        return real(queries, tracks, ear, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(earshot.search, "search_columns", watched)
    ids = {recording.title: recording.id for recording in library.list()}
    library.search("harbour AND (lantern | invoice) NOT harbour lantern tag:news")
    assert scanned == [(4, {ids["alpha"], ids["beta"]})]
    scanned.clear()
    result = library.search("(tag:work lantern) OR (tag:sea invoice)")
    assert sorted(map(str, scanned)) == sorted(map(str, [(1, {ids["gamma"]}), (1, {ids["alpha"]})]))
    hours = {recording.title: recording.duration / 3600 for recording in library.list()}
    assert result.searched_hours == pytest.approx(hours["alpha"] + hours["gamma"], rel=0.02)


def test_pages_together_are_the_whole_answer(library: Library) -> None:
    for options in ({}, {"order": "time"}, {"by_recording": True}):
        whole = library.search("contract | harbour | lantern", None, 0.0, **options)  # type: ignore[arg-type]
        count = len(whole.groups) or len(whole.mentions)
        assert whole.total == count > 4
        pages = [
            library.search("contract | harbour | lantern", 2, 0.0, offset=at, **options)  # type: ignore[arg-type]
            for at in range(0, count + 2, 2)
        ]
        assert [m for page in pages for m in page.mentions] == list(whole.mentions)
        assert [g for page in pages for g in page.groups] == list(whole.groups)
        assert {page.total for page in pages} == {count}


def test_by_time_is_by_date_then_by_time(library: Library) -> None:
    result = sure(
        library, "harbour | monday | contract", order="time", where="tag:news OR tag:work"
    )
    shown = [(m.title, m.start) for m in result.mentions]
    assert [title for title, _ in shown] == ["gamma", "alpha", "beta", "beta", "beta"]
    assert shown[2:] == sorted(shown[2:])


def test_groups_are_ordered_by_how_likely_they_answer(library: Library) -> None:
    result = library.search("harbour", None, 0.0, by_recording=True)
    assert [group.confidence for group in result.groups] == sorted(
        (group.confidence for group in result.groups), reverse=True
    )
    for group in result.groups:
        assert group.confidence == max(m.confidence for m in group.mentions)
        assert list(group.mentions) == sorted(group.mentions, key=lambda m: m.start)
    assert [m for group in result.groups for m in group.mentions] == list(result.mentions)


@pytest.mark.parametrize(
    "options", [{"top": 0}, {"offset": -1}, {"order": "size"}, {"min_confidence": 1.5}]
)
def test_senseless_views_are_refused(library: Library, options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        library.search("harbour", **options)  # type: ignore[arg-type]


def test_a_part_that_cannot_be_searched_for_is_pointed_at(library: Library) -> None:
    with pytest.raises(QueryError, match=r"single letter.*at character 13: harbour AND >>>x"):
        library.search("harbour AND x")
    with pytest.raises(QueryError, match="is no phone"):
        library.require_query("harbour NEAR /K QX/")
    with pytest.raises(QueryError, match="only filters can stand here"):
        library.search("harbour", where="lantern")


def test_what_sounds_like_a_clip_is_found(library: Library, tmp_path: Path) -> None:
    clip = write_wav(tmp_path / "clip.wav", say("lantern"))
    result = library.search_like(clip, None, None, 0.1)
    assert titles(result) == titles(sure(library, "lantern"))
    assert result.query == f"like {clip}"
    assert result.mentions[0].heard[0].units == ("L", "AE", "N", "T", "ER", "N")


def test_more_like_this_mention(library: Library) -> None:
    first = sure(library, "lantern", where="title:alpha").mentions[0]
    found = library.search_like(first, None, None, 0.1)
    assert titles(found) == {"alpha", "gamma", "call"}
    assert titles(library.search_like(first, where="title:gamma", min_confidence=0.1)) == {"gamma"}
    # Of a call's two sides the one that is spoken on is meant.
    said = said_at("harbour lantern", "lantern")
    span = Span(said, said + 0.7)
    assert titles(library.search_like("call", span, None, 0.1)) == {"alpha", "gamma", "call"}


def test_examples_without_speech_or_of_too_much_are_refused(
    library: Library, tmp_path: Path
) -> None:
    silence = write_wav(tmp_path / "silence.wav", np.zeros(16_000, np.float32))
    with pytest.raises(QueryError, match="no speech was heard"):
        library.search_like(silence)
    long = write_wav(tmp_path / "long.wav", np.zeros(16_000 * 20, np.float32))
    with pytest.raises(QueryError, match="15 seconds long at most"):
        library.search_like(long)
    with pytest.raises(QueryError, match="phones long, and at most 60"):
        library.search_like(write_wav(tmp_path / "much.wav", say("contract " * 9)))
    with pytest.raises(UsageError, match="does not lie in the recording"):
        library.search_like("alpha", Span(50, 51))
    with pytest.raises(MediaError):
        library.search_like(tmp_path / "none.wav")


def heard(phrase: str, start: float, confidence: float, channel: int = 0) -> Heard:
    return Heard(phrase, ("AA",), channel, start, start + 1.0, confidence)


A = [heard("a", 10, 0.8), heard("a", 50, 0.5)]
B = [heard("b", 12, 0.5), heard("b", 53, 0.9)]
C = [heard("c", 30, 0.4)]


def probabilities(query: str, **said: list[Heard]) -> tuple[list[float], float]:
    """Confidences of the mentions in a recording, the best first, and that of the recording."""
    row = Recording("r", "/r", "r", 100.0, 1, "0" * 64, 1, "2026-01-01", None, ("x",))
    found, whole = answers(
        read(query),
        ["r"],
        lambda node, _: [one for text in node.wordings() for one in said.get(text, [])],
        {"r": row},
    )
    return sorted((round(one.confidence, 6) for one in found), reverse=True), whole.get("r", 0.0)


@pytest.mark.parametrize(
    ("query", "mentions", "recording"),
    [
        ("a", [0.8, 0.5], 0.8),
        ("a AND b", [], 0.8 * 0.9),
        ("a OR c", [0.8, 0.5, 0.4], 1 - 0.2 * 0.6),
        ("a NOT c", [0.8 * 0.6, 0.5 * 0.6], 0.8 * 0.6),
        ("a tag:x", [0.8, 0.5], 0.8),
        ("a NEAR/5 b", [0.5 * 0.9, 0.8 * 0.5], 0.5 * 0.9),
        ("a NEAR/1.5 b", [0.8 * 0.5], 0.8 * 0.5),
        ("(a NEAR/5 b) NEAR/20 c", [], 0.5 * 0.9 * 0.4),
        ("a | b", [0.9, 0.8, 0.5, 0.5], 0.9),
        ("c AND (a OR b)", [], 0.4 * (1 - 0.2 * 0.1)),
        ("a NOT (b AND c)", [0.8 * (1 - 0.36), 0.5 * (1 - 0.36)], 0.8 * (1 - 0.36)),
        ("a NOT d", [0.8, 0.5], 0.8),
        ("a AND d", [], 0.0),
    ],
)
def test_how_confidences_are_put_together(
    query: str, mentions: list[float], recording: float
) -> None:
    shown, whole = probabilities(query, a=A, b=B, c=C)
    assert whole == pytest.approx(recording)
    if mentions:
        assert shown == pytest.approx(sorted(mentions, reverse=True))


def test_a_mention_of_and_counts_the_other_side_only() -> None:
    shown, _ = probabilities("a AND b", a=A, b=B)
    assert shown == pytest.approx([0.8 * 0.9, 0.9 * 0.8, 0.5 * 0.9, 0.5 * 0.8])


def test_each_is_near_one_other_only() -> None:
    shown, _ = probabilities("a NEAR/60 b", a=A, b=B)
    assert shown == pytest.approx([0.8 * 0.9, 0.5 * 0.5])


def test_searches_while_recordings_come_and_go(tmp_path: Path) -> None:
    """Many at once through libraries of their own and one that is shared: whole answers, always."""
    write_wav(tmp_path / "stays.wav", say("harbour lantern"))
    write_wav(tmp_path / "goes.wav", say("lantern harbour"))
    folder = tmp_path / "library"
    query = "harbour NEAR/5 lantern"
    with tone_library(folder) as writer:
        writer.add([tmp_path / "stays.wav"])
        shared = tone_library(folder)
        expected = {m.title: m.start for m in shared.search(query, None, 0.1).mentions}
        writer.add([tmp_path / "goes.wav"])
        expected |= {m.title: m.start for m in shared.search(query, None, 0.1).mentions}
        assert expected.keys() == {"stays", "goes"}

        def look(number: int) -> set[str]:
            library = shared if number % 2 else tone_library(folder)
            where = "tag:none OR longer:0" if number % 3 else ""
            found = library.search(query, None, 0.1, where=where).mentions
            assert all(m.start == expected[m.title] and len(m.heard) == 2 for m in found)
            assert len(found) == len({m.title for m in found})
            return {m.title for m in found}

        with ThreadPoolExecutor(64) as pool:
            searches = [pool.submit(look, number) for number in range(64)]
            for _ in range(3):
                writer.remove("goes")
                writer.add([tmp_path / "goes.wav"])
            for search in searches:
                assert "stays" in search.result() <= {"stays", "goes"}
