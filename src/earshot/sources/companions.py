"""What a CSV or JSON file beside the audio says of it: agent, customer, date, queue and the like.

`call-17.json`, `call-17.wav.json` or `call-17.csv` tell of `call-17.wav`; a table with a column of
file names tells of every file in its folder. Whatever names a phone system has are kept as names of
metadata; a few are title, date and tags. Such files are foreign: what makes no sense in one is a
sentence, and costs nothing else. This module opens no audio.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from earshot.about import LONGEST, NOTHING, About, about
from earshot.errors import EarshotError

MOST_BYTES = 64 << 20
MOST_FIELDS = 100

_FILES = frozenset({
    "file", "filename", "recording", "recordingfile", "audio", "audiofile", "path", "media", "wav",
})  # fmt: skip
_TITLES = frozenset({"title", "subject"})
_TAGS = frozenset({"tag", "tags", "labels"})
_DATES = (
    "date", "datetime", "start", "started", "starttime", "startedat", "calldate", "recorded",
    "timestamp", "time",
)  # fmt: skip
_GERMAN = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[ ,T]+(\d{1,2}):(\d{2})(?::(\d{2}))?)?")
_LATEST = 4_102_444_800.0  # seconds since 1970: the year 2100

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of one file, and the sentences about what made no sense."""

    about: About = NOTHING
    problems: tuple[str, ...] = ()


@dataclass
class _Table:
    """A parsed file: rows by what they are about, a row about anything, and what was wrong."""

    stamp: tuple[int, int]
    by_file: dict[str, Row] = field(default_factory=dict)
    alone: Row | None = None
    problem: str = ""


@dataclass
class _Folder:
    """The files beside the audio of a folder, by name; what they say by the audio's name.

    `version` changes whenever one of them does.
    """

    near: dict[str, _Table] = field(default_factory=dict)
    by_file: dict[str, Row] = field(default_factory=dict)
    version: int = 0


class Companions:
    """The files beside audio, each looked at once a `look`, and read again if it has changed."""

    def __init__(self) -> None:
        self._folders: dict[Path, _Folder] = {}
        self._fresh: set[Path] = set()

    def look(self) -> None:
        """From here on files may have changed."""
        self._fresh.clear()

    def version(self, folder: Path) -> int:
        """Another number when what is said in a folder may be another."""
        return self._folder(folder).version

    def of(self, audio: Path, names: Sequence[str] = ()) -> Told:
        """What is said of `audio`, which may also be known by `names`; its own files count more."""
        folder = self._folder(audio.parent)
        wanted = [name.casefold() for name in (audio.name, audio.stem, *names)]
        rows: dict[str, str] = {}
        problems = []
        for name in wanted:
            rows |= folder.by_file.get(name, {})
        for name in (f"{name}{suffix}" for name in wanted for suffix in (".csv", ".json")):
            if (table := folder.near.get(name)) is not None:
                rows |= table.alone or {}
                problems += [table.problem] if table.problem else []
        try:
            return Told(_about(rows), tuple(problems))
        except EarshotError as error:  # of a value that no metadata can have
            return Told(NOTHING, (*problems, f"what is said of {audio.name} is left out: {error}"))

    def _folder(self, path: Path) -> _Folder:
        folder = self._folders.setdefault(path, _Folder())
        if path in self._fresh:
            return folder
        self._fresh.add(path)
        tables = {one.name.casefold(): _table(one, folder) for one in sorted(_beside(path))}
        if tables != folder.near:
            folder.near, folder.by_file = tables, {}
            for table in tables.values():
                folder.by_file |= table.by_file
            folder.version += 1
        return folder


def _beside(folder: Path) -> Iterator[Path]:
    with suppress(OSError):
        for path in folder.iterdir():
            if path.suffix.lower() in (".json", ".csv") and not path.name.startswith("."):
                yield path


def _table(path: Path, folder: _Folder) -> _Table:
    """A file, read again only if it has changed."""
    try:
        status = path.stat()
    except OSError:
        return _Table((0, 0))
    stamp = (status.st_size, status.st_mtime_ns)
    known = folder.near.get(path.name.casefold())
    if known is not None and known.stamp == stamp:
        return known
    table = _Table(stamp)
    try:
        _fill(table, path)
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        table.problem = f"{path} tells nothing: {reason}"
    return table


def _fill(table: _Table, path: Path) -> None:
    with path.open("rb") as file:
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MB")
    text = _text(data)
    rows = _json_rows(text) if path.suffix.lower() == ".json" else _csv_rows(text)
    for row in rows:
        named = next((value for key, value in row.items() if _bare(key) in _FILES and value), None)
        if named is None:
            table.alone = row if len(rows) == 1 else None
            continue
        name = PurePosixPath(PureWindowsPath(named).name).name
        told = {key: value for key, value in row.items() if _bare(key) not in _FILES}
        table.by_file[name.casefold()] = told
        table.alone = told if len(rows) == 1 else None


def _text(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # of systems older than UTF-8; every byte is a character


def _json_rows(text: str) -> list[Row]:
    data = json.loads(text)
    listed = data if isinstance(data, list) else [data]
    if not all(isinstance(one, dict) for one in listed):
        raise ValueError("it holds neither an object nor a list of objects")
    return [dict(_flat(one)) for one in listed]


def _flat(data: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Names and texts of an object; what lies in an inner one has the outer name before it."""
    for key, value in data.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        elif isinstance(value, list):
            yield name, ", ".join(str(one) for one in value if not isinstance(one, dict | list))
        elif isinstance(value, bool):
            yield name, "yes" if value else "no"
        elif value is not None:
            yield name, str(value)


def _csv_rows(text: str) -> list[Row]:
    head = text[: text.find("\n")] if "\n" in text else text
    comma = max(",;\t|", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=comma)
    names = next(reader, [])
    if not any(name.strip() for name in names):
        raise ValueError("its first line names no columns")
    return [
        {name.strip(): value.strip() for name, value in zip(names, values, strict=False)}
        for values in reader
        if any(value.strip() for value in values)
    ]


def _about(row: Row) -> About:
    given = {key: " ".join(value.split())[:LONGEST] for key, value in row.items()}
    given = {key: value for key, value in list(given.items())[:MOST_FIELDS] if value}
    title = next((value for key, value in given.items() if _bare(key) in _TITLES), None)
    tags = [tag for key, value in given.items() if _bare(key) in _TAGS for tag in value.split(",")]
    when = _when(given)
    meta = {}
    for key, value in given.items():
        used = _bare(key) in _TITLES | _TAGS or (when and key == when[0])
        if not used and (name := _name(key)):
            meta[name] = value
    if when and when[2]:
        meta.setdefault("time", when[2])
    return about(
        title=title, date=when[1] if when else None, tags=[t for t in tags if t.strip()], meta=meta
    )


def _when(given: Row) -> tuple[str, str, str] | None:
    """Which field tells the date, the day, and the time of day if it is told."""
    by_name = {_bare(key): key for key in reversed(list(given))}
    for wanted in _DATES:
        key = by_name.get(wanted)
        found = moment(given[key]) if key is not None else None
        if key is not None and found is not None:
            return key, *found
    return None


def moment(text: str) -> tuple[str, str] | None:
    """The day and the time of day (or nothing) that a text names; None if it is no date.

    ISO 8601, seconds or milliseconds since 1970 (UTC), mail dates, 24.11.2026. Not 11/24/2026,
    which others read otherwise.
    """
    plain = text.strip()
    if re.fullmatch(r"\d{4}(-\d{2})?", plain):
        return (plain, "") if 1900 <= int(plain[:4]) <= 2200 else None
    timed = ":" in plain or "T" in plain
    try:
        if re.fullmatch(r"\d{9,10}(\.\d+)?|\d{12,13}", plain):
            timed = True
            seconds = float(plain) if len(plain.partition(".")[0]) < 12 else float(plain) / 1000
            when = datetime.fromtimestamp(seconds, UTC) if seconds < _LATEST else None
        elif german := _GERMAN.fullmatch(plain):
            day, month, year, *clock = (int(part or 0) for part in german.groups())
            when = datetime(year, month, day, clock[0], clock[1], clock[2])
        elif plain[:1].isdigit():
            when = datetime.fromisoformat(plain)
        else:
            when = parsedate_to_datetime(plain)
    except (ValueError, OverflowError, IndexError, TypeError):
        return None
    if when is None or not 1900 <= when.year <= 2200:
        return None
    return when.date().isoformat(), when.strftime("%H:%M:%S") if timed else ""


def _bare(key: str) -> str:
    return re.sub(r"[^a-z]", "", key.casefold())


def _name(key: str) -> str:
    """A name that metadata can have: one word."""
    plain = re.sub(r"[\s.:\"()|\\=/-]+", "_", key.strip().casefold()).strip("_")
    return "".join(sign for sign in plain if sign.isprintable())[:60]
