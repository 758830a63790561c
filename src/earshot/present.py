"""What people read on a terminal, and what programs read as JSON lines.

Times as h:mm:ss, confidences as bars, tables that stay plain when nobody looks; file names never
reach the terminal with control characters in them. This module knows nothing of libraries: values
in, text out.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from earshot.errors import UsageError
from earshot.types import Mention, Recording, SearchResult

_BAR_CELLS = 10
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
    fields = {
        "query": result.query,
        "mentions": [_mention_fields(mention) for mention in result.mentions],
        "searched_hours": round(result.searched_hours, 4),
        "seconds": round(result.seconds, 4),
    }
    if error is not None:
        fields["error"] = error
    return _json(fields)


def recording_line(recording: Recording) -> str:
    """One recording as one line of JSON."""
    return _json(asdict(recording))


def print_result(
    terminal: Console, result: SearchResult, *, min_confidence: float, options: Sequence[str]
) -> None:
    """Show a search to a person; `options` are what `earshot clip` needs to find the library."""
    searched = f"searched {clock(result.searched_hours * 3600)} in {result.seconds:.2f} s"
    if result.searched_hours == 0:
        terminal.print(Text("The library holds no recordings yet: earshot add FILE"))
        return
    if not result.mentions:
        weaker = "; weaker ones: --min-confidence 0" if min_confidence > 0 else ""
        terminal.print(
            Text(f"No mention with {min_confidence:.0%} confidence or more ({searched}){weaker}")
        )
        return
    terminal.print(_mentions_table(terminal, result.mentions))
    terminal.print(Text(f"{searched}. To hear a mention:"), style="dim")
    for number, mention in enumerate(result.mentions, start=1):
        terminal.print(Text(f"{number:>3}  {_clip_command(mention, options)}"), soft_wrap=True)
    if sum(character.isalnum() for character in result.query) <= 4:
        terminal.print(
            Text("A query this short sounds like parts of many words: a longer phrase is safer."),
            style="dim",
        )


def print_recordings(terminal: Console, recordings: Iterable[Recording]) -> None:
    """Show recordings to a person, one line each."""
    table = _table("Id", "Title", "Length", "Channels", "Path")
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


def print_recording(terminal: Console, recording: Recording) -> None:
    """Show everything about one recording to a person."""
    for name, value in (
        ("id", recording.id),
        ("title", recording.title),
        ("path", recording.path),
        ("length", f"{clock(recording.duration)} ({recording.duration:.2f} s)"),
        ("channels", str(recording.channels)),
        ("size", f"{recording.bytes:,} bytes"),
        ("added", recording.added),
        ("sha256", recording.digest),
    ):
        line = Text.assemble((f"{name:>9}  ", "dim"), printable(value))
        terminal.print(line, soft_wrap=True)


def clip_name(recording: Recording, start: float) -> str:
    """A file name for a clip, safe in any file system: the title and the time."""
    title = re.sub(r"[^\w.-]+", "_", recording.title).strip("._-")[:80] or recording.id
    return f"{title}-{clock(start).replace(':', '.')}.wav"


def _shown(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if character in _BIDI or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return character


def _mentions_table(terminal: Console, mentions: Sequence[Mention]) -> Table:
    unicode = terminal.encoding.lower().startswith("utf")
    table = _table("#", "Recording", "Time", "Confidence")
    channels = any(mention.channel for mention in mentions)
    for number, mention in enumerate(mentions, start=1):
        title = printable(mention.title)
        if channels:
            title += f" (channel {mention.channel + 1})"
        table.add_row(
            str(number),
            Text(title, overflow="fold"),
            clock(mention.start),
            _bar(mention.confidence, unicode),
        )
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in ("#", "Time", "Length") else "left")
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


def _mention_fields(mention: Mention) -> dict[str, Any]:
    fields = asdict(mention)
    for name in ("start", "end"):
        fields[name] = round(fields[name], 3)
    fields["confidence"] = round(mention.confidence, 4)
    return fields


def _json(fields: dict[str, Any]) -> str:
    # Characters outside ASCII are escaped, which also keeps control characters off a terminal.
    return json.dumps(_valid(fields))


def _valid(value: Any) -> Any:
    """`value` without half characters, which JSON readers refuse."""
    if isinstance(value, str):
        return os.fsencode(value).decode("utf-8", "replace")
    if isinstance(value, dict):
        return {key: _valid(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_valid(item) for item in value]
    return value
