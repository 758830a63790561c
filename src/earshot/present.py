"""What people read on a terminal, and what programs read as JSON lines.

Times as h:mm:ss, confidences as bars, tables that stay plain when nobody looks; file names never
reach the terminal with control characters in them. This module knows nothing of libraries: values
in, text out.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earshot.errors import UsageError
from earshot.types import Group, Mention, Recording, SearchResult, Snippet

_BAR_CELLS = 10
_NAME_BYTES = 120  # of a title, in the name of a file: systems allow 255 for all of it
_TIMES = 8  # of a recording's mentions, on its line
_NUMBERS = ("#", "Time", "Length", "Mentions")
_WIDE = 10_000  # columns of a "terminal" that is a file or a pipe: no line is folded there
_PARTS = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d*)?|\.\d+)", re.ASCII)
# Format characters that turn the direction of the text after them
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Terminal(Console):
    """Standard output or standard error; a pipe that was closed is told by BrokenPipeError."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        watched = stream.isatty()
        super().__init__(
            stderr=stderr, highlight=False, emoji=False, width=None if watched else _WIDE
        )

    def on_broken_pipe(self) -> None:
        """Leave it to whoever runs the command."""
        raise BrokenPipeError


def printable(text: str) -> str:
    """`text` with everything that could move the cursor or turn the text shown as an escape.

    Control characters become `\\x1b`, bytes of a file name that are not UTF-8 `\\xff`.
    """
    return "".join(_shown(character) for character in text)


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


def parse_time(text: str) -> float:
    """Seconds from `83`, `83.5`, `1:23` or `0:01:23.5`; raises UsageError for anything else."""
    match = _PARTS.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text}' is not a time: give seconds (83.5) or h:mm:ss (0:01:23)")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    too_many = seconds >= 60 if match.group(2) else False
    if too_many or (match.group(1) and minutes >= 60):
        raise UsageError(f"'{text}' is not a time: minutes and seconds go up to 59")
    return hours * 3600 + minutes * 60 + seconds


def result_line(result: SearchResult, error: str | None = None) -> str:
    """One search as one line of JSON; `error` says why a query was not searched for."""
    return json.dumps(result_fields(result, error))


def result_fields(result: SearchResult, error: str | None = None) -> dict[str, Any]:
    """One search as what JSON can hold."""
    fields: dict[str, Any] = {"query": result.query}
    if result.groups:
        fields["recordings"] = [_group_fields(group) for group in result.groups]
    else:
        fields["mentions"] = [_mention_fields(mention) for mention in result.mentions]
    fields |= {
        "total": result.total,
        "searched_hours": round(result.searched_hours, 4),
        "seconds": round(result.seconds, 4),
    }
    if result.note:
        fields["note"] = result.note
    if error is not None:
        fields["error"] = error
    told: dict[str, Any] = _valid(fields)
    return told


def complain(sentence: str) -> None:
    """Print one line on standard error."""
    print(f"earshot: {printable(sentence).rstrip('.')}", file=sys.stderr, flush=True)


def say(line: str) -> None:
    """Print one line on standard output at once: what it tells has happened."""
    print(printable(line), flush=True)


def recording_line(recording: Recording) -> str:
    """One recording as one line of JSON."""
    return json.dumps(recording_fields(recording))


def recording_fields(recording: Recording) -> dict[str, Any]:
    """One recording as what JSON can hold."""
    told: dict[str, Any] = _valid(asdict(recording) | {"meta": dict(recording.meta)})
    return told


CSV_HEADING = "query,recording,title,path,channel,start,end,confidence,heard,units"


def result_rows(result: SearchResult) -> list[str]:
    """One search as lines of CSV, one a mention, in the order of CSV_HEADING.

    Channels are counted from 0; the parts of a mention that are near each other are joined by
    `...`. Control characters are escaped as on a terminal.
    """
    rows = []
    for mention in result.mentions:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(
            (
                printable(result.query),
                mention.recording,
                printable(mention.title),
                printable(mention.path),
                mention.channel,
                f"{mention.start:.3f}",
                f"{mention.end:.3f}",
                f"{mention.confidence:.4f}",
                printable(phrases(mention)),
                _sounds(mention),
            )
        )
        rows.append(line.getvalue())
    return rows


@dataclass(frozen=True, slots=True)
class Look:
    """How answers are shown: what a person has asked for beside the query.

    `options` are what `earshot clip` needs to find the library; `headings` puts the query above
    its answer.
    """

    headings: bool = False
    min_confidence: float = 0.0
    offset: int = 0
    options: tuple[str, ...] = ()


def print_result(terminal: Console, result: SearchResult, look: Look) -> None:
    """Show a search to a person."""
    if look.headings:
        terminal.print(Text(printable(result.query), style="bold"))
    searched = f"searched {clock(result.searched_hours * 3600)} in {result.seconds:.2f} s"
    if not result.mentions:
        terminal.print(Text(_nothing(result, look, searched)))
        return
    unicode = terminal.encoding.lower().startswith("utf")
    shown = shown_mentions(result)
    if result.groups:
        terminal.print(_groups_table(result.groups, look.offset, unicode))
    else:
        terminal.print(_mentions_table(result.mentions, look.offset, unicode))
    count = len(result.groups) or len(result.mentions)
    if result.total > count:
        what = "recordings" if result.groups else "mentions"
        last = look.offset + count
        more = f", more: --offset {last}" if last < result.total else ""
        searched = f"{look.offset + 1} to {last} of {result.total} {what}{more}; {searched}"
    terminal.print(Text(f"{searched}. To hear a mention:"), style="dim")
    for number, mention in enumerate(shown, start=look.offset + 1):
        line = f"{number:>3}  {_clip_command(mention, look.options)}"
        terminal.print(Text(line), soft_wrap=True)
    if result.note:
        terminal.print(Text(result.note), style="dim")


def shown_mentions(result: SearchResult) -> Sequence[Mention]:
    """Those that a person is shown one by one: all, or the best of each recording."""
    if not result.groups:
        return result.mentions
    return [max(group.mentions, key=lambda one: one.confidence) for group in result.groups]


def _nothing(result: SearchResult, look: Look, searched: str) -> str:
    if result.total:
        return f"There are {result.total} in all, and none from {look.offset + 1} on ({searched})"
    if result.searched_hours == 0:
        return (
            "There is nothing to search: no recording fits, or there is none yet: earshot add FILE"
        )
    weaker = "; weaker ones: --min-confidence 0" if look.min_confidence > 0 else ""
    return f"No mention with {look.min_confidence:.0%} confidence or more ({searched}){weaker}"


def print_recordings(terminal: Console, recordings: Iterable[Recording]) -> None:
    """Show recordings to a person, one line each."""
    table = plain_table("Id", "Title", "Length", "Channels", "Path")
    hours = 0.0
    count = 0
    for recording in recordings:
        table.add_row(
            recording.id,
            Text(printable(recording.title)),
            clock(recording.duration),
            str(recording.channels),
            Text(printable(recording.path), style="dim", overflow="fold"),
        )
        hours += recording.duration / 3600
        count += 1
    if count:
        terminal.print(table)
    terminal.print(Text(f"{count} recording{'s' * (count != 1)}, {hours:.1f} hours"), style="dim")


def print_rows(terminal: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Show a table of texts to a person."""
    table = plain_table(*names)
    for row in rows:
        table.add_row(*(Text(printable(cell), overflow="fold") for cell in row))
    terminal.print(table)


def print_recording(terminal: Console, recording: Recording) -> None:
    """Show everything about one recording to a person."""
    for name, value in (
        ("id", recording.id),
        ("title", recording.title),
        ("path", recording.path),
        ("length", f"{clock(recording.duration)} ({recording.duration:.2f} s)"),
        ("channels", str(recording.channels)),
        ("growing", f"heard until {recording.growing}" if recording.growing else ""),
        ("recorded", recording.recorded or ""),
        ("tags", ", ".join(recording.tags)),
        *((f"meta.{name}", value) for name, value in recording.meta),
        ("size", f"{recording.bytes:,} bytes" if recording.path else ""),
        ("added", recording.added),
        ("sha256", recording.digest if recording.path else ""),
    ):
        if value:
            line = Text.assemble((f"{printable(name):>9}  ", "dim"), printable(value))
            terminal.print(line, soft_wrap=True)


def clip_name(recording: Recording, start: float) -> str:
    """A file name for a clip, safe in any file system: the title and the time."""
    return f"{file_name(recording)}-{clock(start).replace(':', '.')}.wav"


def file_name(of: Recording | Mention) -> str:
    """The beginning of a file name, safe in any file system: the recording's title, or its id."""
    identity = of.id if isinstance(of, Recording) else of.recording
    safe = re.sub(r"[^\w.-]+", "_", of.title).encode()[:_NAME_BYTES].decode(errors="ignore")
    return safe.strip("._-") or identity


def phrases(mention: Mention) -> str:
    """What was heard; parts that are near each other are joined by `...`."""
    return " ... ".join(one.phrase for one in mention.heard)


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character in _BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character


def _mentions_table(mentions: Sequence[Mention], offset: int, unicode: bool) -> Table:
    differ = len({phrases(mention) for mention in mentions}) > 1
    differ = differ or any(len(mention.heard) > 1 for mention in mentions)
    ways = {(one.phrase, one.units) for mention in mentions for one in mention.heard}
    sounds = len(ways) > len({phrase for phrase, _ in ways})
    columns = [*(["Heard"] if differ else []), *(["As"] if sounds else [])]
    snippets = any(mention.snippet for mention in mentions)
    if snippets:
        columns.append("Said, about")
    table = plain_table("#", "Recording", "Time", "Confidence", *columns)
    channels = any(mention.channel for mention in mentions)
    for number, mention in enumerate(mentions, start=offset + 1):
        title = printable(mention.title)
        if channels:
            title += f" (channel {mention.channel + 1})"
        table.add_row(
            str(number),
            Text(title, overflow="fold"),
            clock(mention.start),
            _bar(mention.confidence, unicode),
            *([Text(printable(phrases(mention)))] if differ else []),
            *([Text(_sounds(mention), style="dim")] if sounds else []),
            *([_snippet(mention.snippet)] if snippets else []),
        )
    return table


def _groups_table(groups: Sequence[Group], offset: int, unicode: bool) -> Table:
    """One recording a row; of its mentions the times of the first few."""
    table = plain_table("#", "Recording", "Confidence", "Mentions", "At")
    for number, group in enumerate(groups, start=offset + 1):
        times = [clock(mention.start) for mention in group.mentions[:_TIMES]]
        if len(group.mentions) > _TIMES:
            times.append("...")
        table.add_row(
            str(number),
            Text(printable(group.title), overflow="fold"),
            _bar(group.confidence, unicode),
            str(len(group.mentions)),
            " ".join(times),
        )
    return table


def _snippet(snippet: Snippet | None) -> Text:
    """A snippet with what was sought in it made bold."""
    if snippet is None:
        return Text()
    shown = Text(overflow="fold", style="dim")
    done = 0
    for start, end in snippet.sought:
        shown.append(printable(snippet.text[done:start]))
        shown.append(printable(snippet.text[start:end]), style="bold not dim")
        done = end
    shown.append(printable(snippet.text[done:]))
    return shown


def _sounds(mention: Mention) -> str:
    return " ... ".join(" ".join(one.units) for one in mention.heard)


def plain_table(*columns: str) -> Table:
    """A table without lines, its numbers to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in _NUMBERS else "left")
    return table


def _bar(confidence: float, unicode: bool) -> Text:
    full, empty = ("█", "░") if unicode else ("#", ".")
    cells = round(confidence * _BAR_CELLS)
    colour = "green" if confidence >= 0.5 else "yellow" if confidence >= 0.2 else "red"
    return Text.assemble(
        (full * cells, colour),
        (empty * (_BAR_CELLS - cells), "dim"),
        f" {confidence:4.0%}",
    )


def _clip_command(mention: Mention, options: Sequence[str]) -> str:
    words = ["earshot", "clip", mention.recording, f"{mention.start:.1f}", f"{mention.end:.1f}"]
    return printable(shlex.join([*words, *options]))


def _group_fields(group: Group) -> dict[str, Any]:
    fields = asdict(group)
    fields["confidence"] = round(group.confidence, 4)
    fields["mentions"] = [_mention_fields(mention) for mention in group.mentions]
    return fields


def _mention_fields(mention: Mention) -> dict[str, Any]:
    fields = asdict(mention)
    snippet = fields.pop("snippet")
    if snippet is not None:
        fields |= {"snippet": snippet["text"], "snippet_sought": snippet["sought"]}
    for one in (fields, *fields["heard"]):
        for name in ("start", "end"):
            one[name] = round(one[name], 3)
        one["confidence"] = round(one["confidence"], 4)
    for one in fields["heard"]:
        one["score"] = round(one["score"], 3)
        for name in ("words", "frames", "features", *([] if one["why"] else ["why"])):
            del one[name]
        _rounded(one.get("why", {}))
    return fields


def _rounded(why: dict[str, Any]) -> None:
    """Numbers of an explanation, no longer than they mean something."""
    for each in (why, *why.get("steps", ()), *why.get("reasons", ())):
        for name, value in each.items():
            if isinstance(value, float):
                each[name] = round(value, 4)


def _valid(value: Any) -> Any:
    """`value` without half characters, which JSON readers refuse.

    What `json.dumps` makes of it escapes all that is not ASCII, control characters among that.
    """
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value
