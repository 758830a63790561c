"""What reaches a terminal, a pipe and a JSON reader."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from earshot.errors import UsageError
from earshot.present import (
    CSV_HEADING,
    Look,
    clip_name,
    clock,
    parse_time,
    print_recording,
    print_recordings,
    print_result,
    printable,
    recording_line,
    result_line,
    result_rows,
)
from earshot.types import Group, Heard, Mention, Reason, Recording, SearchResult, Snippet, Step, Why

RECORDING = Recording(
    "3f2a1b4c5d6e", "/talks/a.wav", "a", 3725.4, 2, "3f2a1b4c5d6e" * 5, 1234567, "2026-01-01"
)
MENTION = Mention("3f2a1b4c5d6e", "/talks/a.wav", "a", 0, 751.25, 752.5, 0.876543)
RESULT = SearchResult("harbour", (MENTION,), 1.5, 0.0123456)
# Anything a file name can hold: text, and bytes that are not UTF-8
NAMES = st.text() | st.binary().map(lambda name: name.decode("utf-8", "surrogateescape"))


def shown(result: SearchResult, *options: str, encoding: str = "utf-8") -> str:
    """A search as a pipe gets it."""
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=500, highlight=False)
    print_result(console, result, Look(min_confidence=0.05, options=options))
    console.file.flush()
    return raw.getvalue().decode(encoding)


@settings(deadline=None)
@given(NAMES)
def test_nothing_printable_moves_the_cursor_or_turns_the_text(name: str) -> None:
    text = printable(name)
    text.encode()  # no half characters
    for character in text:
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in ("RLO", "LRO", "RLE", "LRE", "PDF")
        assert unicodedata.bidirectional(character) not in ("RLI", "LRI", "FSI", "PDI")


def test_ordinary_names_stay_as_they_are() -> None:
    for name in ("Straße 12 (copy).mp3", "会議.wav", "مقابلة.ogg", "a\u200db", "👩\u200d🚀.mp4"):
        assert printable(name) == name
    assert printable("\x1b[31m\udcff\u202e") == r"\x1b[31m\xff\u202e"


@settings(deadline=None)
@given(st.floats(0, 1e6))
def test_times_are_hours_minutes_seconds(seconds: float) -> None:
    assert int(seconds) == parse_time(clock(seconds))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("83", 83),
        ("83.5", 83.5),
        (".5", 0.5),
        ("1:23", 83),
        ("0:01:23.25", 83.25),
        ("10:00:00", 36000),
        (" 7 ", 7),
        ("3600", 3600),
    ],
)
def test_times_are_read(text: str, seconds: float) -> None:
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "x", "-1", "1:60", "1:2:3:4", "0:60:00", "1e3", "nan", "1:", "٣", "1:2:60", "1:200:3"],
)
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        parse_time(text)


@settings(deadline=None)
@given(NAMES, NAMES)
def test_results_are_valid_json_on_one_line_of_ascii(query: str, name: str) -> None:
    mention = replace(MENTION, path=name, title=name)
    line = result_line(SearchResult(query, (mention,), 1.0, 0.1))
    assert line.isascii()
    assert "\n" not in line
    fields = json.loads(line)
    assert list(fields) == ["query", "mentions", "total", "searched_hours", "seconds"]
    assert list(fields["mentions"][0]) == [
        "recording",
        "path",
        "title",
        "channel",
        "start",
        "end",
        "confidence",
        "heard",
    ]
    fields["mentions"][0]["path"].encode()  # readers other than Python refuse half characters
    if not any(0xD800 <= ord(character) <= 0xDFFF for character in name):
        assert fields["mentions"][0]["path"] == name


def test_json_has_sensible_precision() -> None:
    fields = json.loads(result_line(RESULT, "why"))
    assert fields["mentions"][0]["confidence"] == 0.8765
    assert fields["mentions"][0]["start"] == 751.25
    assert fields["error"] == "why"
    assert json.loads(recording_line(RECORDING))["duration"] == 3725.4


def test_a_result_tells_where_how_sure_and_how_to_hear() -> None:
    text = shown(RESULT, "--library", "my calls")
    for part in (
        "a  ",
        "0:12:31",
        "█████████░  88%",
        "searched 1:30:00 in 0.01 s",
        "earshot clip 3f2a1b4c5d6e 751.2 752.5 --library 'my calls'",
    ):
        assert part in text
    assert "\x1b" not in text
    assert "channel" not in text


def test_the_second_side_of_a_call_is_named() -> None:
    assert "a (channel 2)" in shown(replace(RESULT, mentions=(replace(MENTION, channel=1),)))


def test_markup_in_titles_is_text() -> None:
    title = "[bold]x[/bold] :smile: [/nothing]"
    assert title in shown(replace(RESULT, mentions=(replace(MENTION, title=title),)))


def test_an_old_terminal_gets_plain_bars() -> None:
    text = shown(RESULT, encoding="ascii")
    assert "#########.  88%" in text


def test_no_mention_says_what_to_do() -> None:
    assert "--min-confidence 0" in shown(replace(RESULT, mentions=()))
    assert "earshot add" in shown(replace(RESULT, mentions=(), searched_hours=0.0))


HEARD = Heard("harbour", ("HH", "AA"), 0, 751.25, 752.5, 0.876543, -0.123456)


def test_what_was_heard_is_shown_where_it_may_differ() -> None:
    one = replace(MENTION, heard=(HEARD,))
    assert "Heard" not in shown(replace(RESULT, mentions=(one, one)))
    near = replace(MENTION, heard=(HEARD, replace(HEARD, phrase="\x1bbay", units=("B", "EY"))))
    text = shown(replace(RESULT, mentions=(one, near)))
    assert r"harbour ... \x1bbay" in text
    assert " As" not in text
    other = replace(MENTION, heard=(replace(HEARD, units=("AA", "B")),))
    assert "HH AA" in shown(replace(RESULT, mentions=(one, other)))


def test_why_is_data_where_it_was_asked_for() -> None:
    step = Step("replaced", "HH", "K", 751.25, 751.29, 1.123456, 0.2, 0)
    why = Why((step,), (Reason("pace", "how fast", 0.123456, -1.0),), 0.5, -0.5)
    fields = [
        json.loads(result_line(replace(RESULT, mentions=(replace(MENTION, heard=(one,)),))))
        for one in (HEARD, replace(HEARD, why=why))
    ]
    plain, told = (each["mentions"][0]["heard"][0] for each in fields)
    assert "why" not in plain and "features" not in plain
    assert told["why"]["steps"][0]["heard"] == "K"
    assert told["why"]["steps"][0]["cost"] == 1.1235
    assert told["why"]["reasons"][0] == {
        "name": "pace", "meaning": "how fast", "value": 0.1235, "adds": -1.0,
    }  # fmt: skip


def test_snippets_are_a_column_and_data() -> None:
    snippet = Snippet("~ the \x1bharbour is", ((6, 14),))
    result = replace(RESULT, mentions=(replace(MENTION, snippet=snippet), MENTION))
    assert r"~ the \x1bharbour is" in shown(result)
    assert "Said, about" in shown(result) and "Said, about" not in shown(RESULT)
    told, plain = json.loads(result_line(result))["mentions"]
    assert (told["snippet"], told["snippet_sought"]) == (snippet.text, [[6, 14]])
    assert "snippet" not in plain


def test_pages_say_what_is_before_and_behind_them() -> None:
    result = replace(RESULT, total=31)
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="utf-8"), width=500, highlight=False)
    print_result(console, result, Look(offset=20))
    print_result(console, replace(result, mentions=()), Look(offset=40))
    console.file.flush()
    text = raw.getvalue().decode()
    assert "21 to 21 of 31 mentions, more: --offset 21; searched" in text
    assert "\n21  a  " in text
    assert "There are 31 in all, and none from 41 on" in text


def test_groups_are_recordings_with_their_times() -> None:
    mentions = tuple(replace(MENTION, start=float(at)) for at in range(0, 600, 60))
    group = Group(MENTION.recording, MENTION.path, MENTION.title, 0.9, mentions)
    result = replace(RESULT, mentions=mentions, groups=(group,), total=1)
    text = shown(result)
    assert re.search(r"1  a  .*90%  +10  0:00:00 0:01:00 .*0:07:00 \.\.\.$", text, re.M)
    assert text.count("earshot clip") == 1
    fields = json.loads(result_line(result))
    assert "mentions" not in fields
    assert len(fields["recordings"][0]["mentions"]) == 10


def test_csv_is_one_line_a_mention() -> None:
    mention = replace(MENTION, title='a "b",\n=c', heard=(HEARD, HEARD))
    (line,) = result_rows(replace(RESULT, mentions=(mention,)))
    rows = list(csv.DictReader([CSV_HEADING, line]))
    assert rows == [
        {
            "query": "harbour",
            "recording": "3f2a1b4c5d6e",
            "title": 'a "b",\\x0a=c',
            "path": "/talks/a.wav",
            "channel": "0",
            "start": "751.250",
            "end": "752.500",
            "confidence": "0.8765",
            "heard": "harbour ... harbour",
            "units": "HH AA ... HH AA",
        }
    ]


def test_what_is_known_of_a_recording_is_shown() -> None:
    known = replace(RECORDING, recorded="2020-05", tags=("a", "b"), meta=(("who", "\x1bAnn"),))
    raw = io.StringIO()
    print_recording(Console(file=raw, width=500), known)
    for part in ("recorded  2020-05", "tags  a, b", r"meta.who  \x1bAnn"):
        assert part in raw.getvalue()
    assert json.loads(recording_line(known))["meta"] == {"who": "\x1bAnn"}


def test_recordings_are_shown() -> None:
    raw = io.StringIO()
    console = Console(file=raw, width=500)
    print_recordings(console, [replace(RECORDING, title="\x1b[2J", path="/x/[red]\n")])
    print_recording(console, RECORDING)
    text = raw.getvalue()
    for part in (r"\x1b[2J", r"/x/[red]\x0a", "1:02:05", "1 recording, 1.0 hours", "1,234,567"):
        assert part in text


@settings(deadline=None)
@given(NAMES)
def test_clip_names_are_harmless(title: str) -> None:
    name = clip_name(replace(RECORDING, title=title), 3725.0)
    assert name.endswith("-1.02.05.wav")
    assert "/" not in name
    assert not name.startswith((".", "-"))
    assert len(name.encode()) < 400
    name.encode()


def test_a_note_is_shown_to_people_and_programs() -> None:
    short = SearchResult("cat", (MENTION,), 1.5, 0.01, note="A query of 3 sounds.")
    assert json.loads(result_line(short))["note"] == "A query of 3 sounds."
    assert "note" not in json.loads(result_line(RESULT))
    assert "A query of 3 sounds." in shown(short)
