"""What people said of recordings: opinions, kept beside the library in `labels.db`.

An opinion is one reviewer's value of one label for one recording, which is known by its id, so it
outlives the recording's removal: whoever adds the file again finds it labelled. The database is
SQLite's: a change is there whole or not at all. This module knows nothing of files of labels
(`label_files`) and of what is learned from them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from earshot.errors import LibraryBusy, LibraryError, UsageError

FILE = "labels.db"
FORMAT = 1

_BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS opinions (
    recording TEXT NOT NULL, label TEXT NOT NULL, reviewer TEXT NOT NULL, value TEXT NOT NULL,
    at TEXT NOT NULL, PRIMARY KEY (recording, label, reviewer)
) WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a reviewer (or nobody in particular: empty) said: the `value` of a `label`.

    `recording` is an id, `at` an ISO 8601 time in UTC, or empty for now.
    """

    recording: str
    label: str
    value: str
    reviewer: str = ""
    at: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What all reviewers of a recording together say: the value of most of them.

    `agreement` is the share of the `opinions` that say so; `value` is None where no value has most.
    """

    value: str | None
    agreement: float
    opinions: tuple[Opinion, ...]


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """A label: of how many recordings it is known, how often each value has most opinions, how
    many are undecided, and in how many reviewers differ."""

    label: str
    recordings: int
    values: tuple[tuple[str, int], ...]
    undecided: int
    disputed: int


class Labels:
    """The labels of a library's folder.

    ```python
    labels = Labels(library.path)
    labels.put([Opinion(recording.id, "fraud", "yes", reviewer="anna")])
    ```

    Raises LibraryError when the database cannot be read or written, LibraryBusy when another
    process holds it for too long.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def put(self, opinions: Iterable[Opinion], *, alone: bool = False) -> int:
        """Keep opinions, all or none; each takes the place of its reviewer's last. Their number.

        If `alone`, what others said of the same recordings and labels is forgotten.
        """
        now = datetime.now(UTC).isoformat(timespec="seconds")
        rows = [(o.recording, o.label, o.reviewer, o.value, o.at or now) for o in opinions]
        if not self.path.parent.is_dir():
            raise LibraryError(f"{self.path.parent} is no library: add recordings first")
        with self._open(writable=True) as connection, connection:
            if alone:
                forget = "DELETE FROM opinions WHERE recording = ? AND label = ?"
                connection.executemany(forget, [row[:2] for row in rows])
            connection.executemany("INSERT OR REPLACE INTO opinions VALUES (?, ?, ?, ?, ?)", rows)
        return len(rows)

    def remove(self, label: str) -> int:
        """Forget a label, whoever said it: so many opinions. UsageError where there is none."""
        self.require(label)
        with self._open(writable=True) as connection, connection:
            return connection.execute("DELETE FROM opinions WHERE label = ?", (label,)).rowcount

    def opinions(self, label: str | None = None) -> tuple[Opinion, ...]:
        """All opinions, or those on one label, by label, recording and reviewer."""
        if not self.path.exists():
            return ()
        wanted, values = ("WHERE label = ?", (label,)) if label is not None else ("", ())
        sought = (
            f"SELECT recording, label, value, reviewer, at FROM opinions {wanted} "
            "ORDER BY label, recording, reviewer"
        )
        with self._open(writable=False) as connection:
            return tuple(Opinion(*row) for row in connection.execute(sought, values))

    def names(self) -> tuple[str, ...]:
        """All labels, in order."""
        return tuple(dict.fromkeys(one.label for one in self.opinions()))

    def require(self, label: str) -> str:
        """The label as it is written; UsageError, with those there are, for one that is not."""
        names = self.names()
        if label in names:
            return label
        alike = [name for name in names if name.casefold() == label.casefold()]
        if len(alike) == 1:
            return alike[0]
        there = (
            f"there are: {', '.join(names)}" if names else "there are none: earshot label import"
        )
        raise UsageError(f"there is no label '{label}'; {there}")

    def verdicts(self, label: str) -> dict[str, Verdict]:
        """By recording: what its reviewers say of a label. Values that differ in case are one."""
        by_recording: dict[str, list[Opinion]] = defaultdict(list)
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        for one in self.opinions(label):
            by_recording[one.recording].append(one)
            spellings[one.value.casefold()][one.value] += 1
        usual = {key: max(sorted(seen), key=seen.__getitem__) for key, seen in spellings.items()}
        return {name: _verdict(opinions, usual) for name, opinions in by_recording.items()}

    def summaries(self) -> tuple[LabelSummary, ...]:
        """What there is of each label."""
        return tuple(self._summary(label) for label in self.names())

    def _summary(self, label: str) -> LabelSummary:
        verdicts = self.verdicts(label).values()
        values = Counter(one.value for one in verdicts if one.value is not None)
        undecided = sum(one.value is None for one in verdicts)
        disputed = sum(one.agreement < 1 for one in verdicts)
        return LabelSummary(label, len(verdicts), tuple(values.most_common()), undecided, disputed)

    @contextmanager
    def _open(self, *, writable: bool) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self.path, timeout=_BUSY_SECONDS)) as connection:
                (found,) = connection.execute("PRAGMA user_version").fetchone()
                if found > FORMAT:
                    raise LibraryError(
                        f"{self.path}: has format {found}, this version reads up to {FORMAT}: "
                        "install a newer Earshot"
                    )
                if writable and found < FORMAT:
                    connection.execute(_SCHEMA)
                    connection.execute(f"PRAGMA user_version = {FORMAT}")
                yield connection
        except sqlite3.Error as error:
            raise _refused(self.path, error) from error


def _verdict(opinions: Sequence[Opinion], usual: dict[str, str]) -> Verdict:
    counts = Counter(one.value.casefold() for one in opinions)
    (value, most), *others = counts.most_common()
    tied = bool(others) and others[0][1] == most
    return Verdict(None if tied else usual[value], most / len(opinions), tuple(opinions))


def _refused(path: Path, error: sqlite3.Error) -> LibraryError:
    if "locked" in str(error):
        return LibraryBusy(f"{path}: another process is writing labels: try again")
    return LibraryError(f"{path}: the labels cannot be read or written ({error})")
