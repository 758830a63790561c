"""Files of labels -> opinions on recordings of a library, and back.

CSV has one recording a row: a column that names it (`recording`, `id`, `path`, `file`, `title`, or
else the first), perhaps a `reviewer`, and one column a label; an empty cell says nothing. JSONL has
an object a line with the same names, or `{"recording": ..., "label": ..., "value": ...}`. A file is
read whole before anything is kept: it is right, or nothing of it counts. This module knows nothing
of where opinions are kept.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earshot.errors import UsageError
from earshot.rows import pick
from earshot.topics.labels import Opinion
from earshot.types import Recording

NAMING = ("recording", "id", "path", "file", "filename", "title")
"""Columns that name the recording, whatever the case of their letters; else the first does."""

REVIEWER = "reviewer"

MOST_LABELS = 100
"""Labels that one file may bring unless they are named: more is a file of something else."""

_LONGEST = 200  # characters of a label's or a reviewer's name, or of a value
_SHOWN = 3  # unknown recordings that an error names


@dataclass(frozen=True, slots=True)
class LabelFile:
    """What a file says: opinions, and `unknown` names of recordings (line, name) left out."""

    opinions: tuple[Opinion, ...]
    unknown: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Row:
    """What one line says of one recording."""

    line: int
    name: str
    reviewer: str
    values: Mapping[str, str]


def read_labels(
    path: Path,
    recordings: Sequence[Recording],
    *,
    only: Sequence[str] = (),
    reviewer: str = "",
    skip_unknown: bool = False,
) -> LabelFile:
    """The opinions in a file of labels, `.jsonl` or CSV, on these recordings.

    only: the labels that are wanted (default: all); reviewer: whose opinions those are that do not
    tell; skip_unknown: leave out what is said of other recordings. Raises UsageError, with the
    line, for a file that cannot be read or is contradictory, and for unknown recordings.
    """
    text = _text(path)
    lines = path.suffix.lower() in (".jsonl", ".ndjson", ".json")
    rows = list(_json_rows(path, text) if lines else _csv_rows(path, text, only))
    known = _Names(recordings)
    unknown = [(row.line, row.name) for row in rows if row.name not in known]
    if unknown and not skip_unknown:
        raise UsageError(_unknown(path, unknown, len(rows)))
    found: dict[tuple[str, str, str], tuple[Opinion, int]] = {}
    for row in rows:
        if row.name not in known:
            continue
        recording = known.id(row.name, f"{path}:{row.line}")
        for label, value in row.values.items():
            if only and label not in only:
                continue
            one = Opinion(recording, label, value, row.reviewer or reviewer)
            key = (recording, label, one.reviewer)
            if key in found and found[key][0].value.casefold() != value.casefold():
                raise UsageError(
                    f"{path}:{row.line}: says '{label}' of '{row.name}' is '{value}', line "
                    f"{found[key][1]} says '{found[key][0].value}': keep one of them, or tell "
                    "their reviewers apart in a column 'reviewer'"
                )
            found.setdefault(key, (one, row.line))
    return LabelFile(_required(path, [one for one, _ in found.values()], only), tuple(unknown))


def write_csv(opinions: Iterable[Opinion], recordings: Mapping[str, Recording]) -> Iterator[str]:
    """Lines of CSV that `read_labels` reads: a row for each recording and reviewer."""
    rows: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    names: dict[str, None] = {}
    for one in opinions:
        rows[one.recording, one.reviewer][one.label] = one.value
        names[one.label] = None
    reviewers = any(reviewer for _, reviewer in rows)
    heading = ["recording", *([REVIEWER] if reviewers else []), *names]
    yield _line(heading)
    for (recording, reviewer), values in sorted(rows.items()):
        own = [reviewer] if reviewers else []
        yield _line([recording, *own, *(values.get(name, "") for name in names)])


def write_jsonl(opinions: Iterable[Opinion], recordings: Mapping[str, Recording]) -> Iterator[str]:
    """Lines of JSON that `read_labels` reads, an opinion each, with the recording's title."""
    for one in opinions:
        row = recordings.get(one.recording)
        fields = {"recording": one.recording, "title": row.title if row else None}
        own = {"reviewer": one.reviewer} if one.reviewer else {}
        yield json.dumps({**fields, "label": one.label, "value": one.value, **own, "at": one.at})


class _Names:
    """Recordings by what may name them: looked up at once, since files have thousands of lines."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        self._ids: dict[str, set[str]] = defaultdict(set)
        for one in recordings:
            path = Path(one.path)
            for name in (one.id, one.path, one.title, path.name, path.stem):
                self._ids[name].add(one.id)
        self._slow: dict[str, str | None] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._ids or self._picked(name) is not None

    def id(self, name: str, place: str) -> str:
        """The id of the recording that is meant; UsageError where several are."""
        ids = self._ids.get(name) or {str(self._picked(name))}
        if name in ids:
            return name
        if len(ids) > 1:
            raise UsageError(
                f"{place}: '{name}' fits {len(ids)} recordings, give an id: "
                f"{', '.join(sorted(ids)[:5])}"
            )
        return next(iter(ids))

    def _picked(self, name: str) -> str | None:
        """What `pick` makes of a name: the beginning of an id, a path from here, another case."""
        if name not in self._slow:
            # Which of several is meant is not asked here: they share a name, and are found by it.
            fits = [r for r in self._recordings if _fits(name, r)]
            self._slow[name] = pick(name, fits).id if len(fits) == 1 else None
        return self._slow[name]


def _fits(name: str, recording: Recording) -> bool:
    absolute = recording.path and str(Path(name).absolute()) == recording.path
    start = len(name) >= 4 and recording.id.startswith(name.lower())
    return bool(absolute or start or recording.title.casefold() == name.casefold())


def _unknown(path: Path, unknown: Sequence[tuple[int, str]], rows: int) -> str:
    shown = ", ".join(f"'{name}' in line {line}" for line, name in unknown[:_SHOWN])
    more = ", ..." if len(unknown) > _SHOWN else ""
    count = f"{len(unknown)} of {rows} rows name" if len(unknown) > 1 else "a row names"
    return (
        f"{path}: {count} a recording that is not in the library ({shown}{more}): nothing was "
        "imported; add them first, or leave them out with --skip-unknown"
    )


def _required(path: Path, found: list[Opinion], only: Sequence[str]) -> tuple[Opinion, ...]:
    there = {one.label for one in found}
    for name in only:
        if name not in there:
            raise UsageError(f"{path}: says nothing of the label '{name}'")
    if not found:
        raise UsageError(
            f"{path}: has no labels: expected a column that names the recording and one column a "
            "label"
        )
    return tuple(found)


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    # Spreadsheets that call it Unicode text write UTF-16, with its mark.
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UsageError(
            f"{path}:{line}: is not text in UTF-8 (byte {error.start}): save it as UTF-8"
        ) from None


def _csv_rows(path: Path, text: str, only: Sequence[str]) -> Iterator[_Row]:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    try:
        heading = [name.strip() for name in next(reader, [])]
        naming, reviewing, labels = _columns(path, heading, only)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            place = f"{path}:{reader.line_num}"
            if len(cells) > len(heading):
                raise UsageError(f"{place}: has {len(cells)} cells, the heading {len(heading)}")
            cells = [cell.strip() for cell in cells] + [""] * (len(heading) - len(cells))
            if not cells[naming]:
                raise UsageError(f"{place}: names no recording in column '{heading[naming]}'")
            who = cells[reviewing] if reviewing is not None else ""
            values = {heading[at]: cells[at] for at in labels if cells[at]}
            yield _checked(path, _Row(reader.line_num, cells[naming], who, values))
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num}: is not CSV ({error})") from None


def _columns(
    path: Path, heading: Sequence[str], only: Sequence[str]
) -> tuple[int, int | None, list[int]]:
    """Which column names the recording, which the reviewer, which are labels."""
    if not any(heading):
        raise UsageError(f"{path}: is empty: expected a heading 'recording,LABEL,...'")
    lower = [name.casefold() for name in heading]
    naming = next((lower.index(name) for name in NAMING if name in lower), 0)
    reviewing = lower.index(REVIEWER) if REVIEWER in lower else None
    # What else may name a recording, as an export has it, is no label.
    labels = [
        at for at, name in enumerate(lower) if name not in (*NAMING, REVIEWER) and at != naming
    ]
    if not labels:
        raise UsageError(f"{path}: has no column of a label beside '{heading[naming]}'")
    for at in labels:
        if not heading[at]:
            raise UsageError(f"{path}: column {at + 1} has no name in the heading")
        if heading.count(heading[at]) > 1:
            raise UsageError(f"{path}: the heading has the column '{heading[at]}' twice")
    if len(labels) > MOST_LABELS and not only:
        raise UsageError(
            f"{path}: has {len(labels)} columns of labels, expected up to {MOST_LABELS}: name "
            "those that are meant with --label"
        )
    return naming, reviewing, labels


def _json_rows(path: Path, text: str) -> Iterator[_Row]:
    names: set[str] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}:{number}"
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: is not JSON ({error})") from None
        if not isinstance(fields, dict):
            raise UsageError(f"{place}: is not an object like {{'recording': ..., 'label': ...}}")
        name = next((str(fields[key]) for key in NAMING if fields.get(key)), "")
        if not name:
            raise UsageError(f"{place}: names no recording ('recording': an id, a path or a title)")
        who = str(fields.get(REVIEWER) or "")
        row = _checked(path, _Row(number, name, who, _json_values(fields, place)))
        names |= row.values.keys()
        if len(names) > MOST_LABELS:
            raise UsageError(f"{place}: is the label number {len(names)}, expected {MOST_LABELS}")
        yield row


def _json_values(fields: dict[str, Any], place: str) -> dict[str, str]:
    if "label" in fields:
        if "value" not in fields:
            raise UsageError(f"{place}: has a 'label' but no 'value'")
        given = {fields["label"]: fields["value"]}
    else:
        inner = fields.get("labels")
        left_out = (*NAMING, REVIEWER, "labels", "at")
        rest = {name: value for name, value in fields.items() if name not in left_out}
        given = inner if isinstance(inner, dict) else rest
    values = {}
    for name, value in given.items():
        if isinstance(value, bool):
            value = "yes" if value else "no"
        if not isinstance(value, str | int | float | None):
            raise UsageError(f"{place}: the value of '{name}' is neither text, number nor yes/no")
        if value is not None and str(value).strip():
            values[str(name).strip()] = str(value).strip()
    return values


def _checked(path: Path, row: _Row) -> _Row:
    for text in (row.reviewer, *row.values, *row.values.values()):
        if len(text) > _LONGEST or not text.isprintable():
            raise UsageError(
                f"{path}:{row.line}: '{text[:40]}...' is no name or value of a label: expected up "
                f"to {_LONGEST} printable characters"
            )
    return row


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()
