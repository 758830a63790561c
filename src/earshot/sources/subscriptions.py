"""Which feeds are followed, and what became of each of their episodes: a database beside a library.

SQLite in `sources/feeds.db`; each method is one transaction, so that whatever is interrupted goes
on where it was. A power cut may take back the last of them and tears none: what was settled there
is found out again from the files and the library. An episode waits until the library has it, or
until it is given up. This module knows nothing of the network and of libraries.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from earshot.errors import LibraryError, UsageError
from earshot.index.durable import writing
from earshot.sources.feeds import Chapter, Episode, Feed

FILE = "feeds.db"
FORMAT = 1

FIRST_RETRY = 300.0
"""Seconds until what failed is tried again; each further failure doubles it."""

LAST_RETRY = 86400.0
MOST_TRIES = 10
"""An episode that failed so often is given up: at the end a day lies between two tries."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS feeds (
    id INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE, title TEXT NOT NULL, tags TEXT NOT NULL,
    newest INTEGER, since TEXT, etag TEXT, modified TEXT, checked REAL, again REAL NOT NULL,
    failures INTEGER NOT NULL, problem TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS episodes (
    feed INTEGER NOT NULL REFERENCES feeds ON DELETE CASCADE, key TEXT NOT NULL,
    audio TEXT NOT NULL, date TEXT, about TEXT NOT NULL, state TEXT NOT NULL, file TEXT,
    tries INTEGER NOT NULL, again REAL NOT NULL, problem TEXT NOT NULL, recording TEXT,
    PRIMARY KEY (feed, key)
);
CREATE INDEX IF NOT EXISTS episodes_waiting ON episodes (feed, state, again);
"""
_WAITING, _ADDED, _FAILED, _PASSED = "waiting", "added", "failed", "passed"


@dataclass(frozen=True, slots=True)
class Followed:
    """A feed that is followed, and how its episodes stand.

    `newest` and `since` (a day) say which episodes are wanted, None: all. `etag` and `modified`
    name the version that was read last. `checked` and `again` are seconds since 1970: when it was
    read, and before when it should not be asked. `problem` says what was wrong the last time.
    """

    id: int
    address: str
    title: str
    tags: tuple[str, ...]
    newest: int | None
    since: str | None
    etag: str | None
    modified: str | None
    checked: float | None
    again: float
    failures: int
    problem: str
    added: int = 0
    waiting: int = 0
    failed: int = 0
    passed: int = 0


@dataclass(frozen=True, slots=True)
class Awaited:
    """An episode that the library does not have yet; `file` is where its download goes."""

    feed: int
    episode: Episode
    file: str | None
    tries: int


class Subscriptions:
    """The feeds that one library follows; a context manager.

    `folder` is made when the first feed is followed. Every method raises LibraryError when the
    database cannot be used.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._connection: sqlite3.Connection | None = None

    def follow(
        self,
        address: str,
        title: str = "",
        *,
        tags: Sequence[str] = (),
        newest: int | None = None,
        since: str | None = None,
    ) -> Followed:
        """Follow a feed; one that is followed already takes tags and limits anew."""
        values = (address, title or address, json.dumps(list(tags)), newest, since)
        with self._changing() as database:
            database.execute(
                "INSERT INTO feeds (address, title, tags, newest, since, again, failures, problem)"
                " VALUES (?, ?, ?, ?, ?, 0, 0, '') ON CONFLICT (address) DO UPDATE SET"
                " tags = excluded.tags, newest = excluded.newest, since = excluded.since,"
                " again = 0, etag = NULL, modified = NULL",
                values,
            )
        return self.find(address)

    def unfollow(self, name: str) -> Followed:
        """Stop following a feed, named as in `find`; what is in the library stays there."""
        feed = self.find(name)
        with self._changing() as database:
            database.execute("DELETE FROM feeds WHERE id = ?", (feed.id,))
        return feed

    def feeds(self) -> tuple[Followed, ...]:
        """All feeds, in the order in which they were followed."""
        if not (self.folder / FILE).exists():
            return ()
        counts = ", ".join(
            f"count(CASE WHEN state = '{one}' THEN 1 END)"
            for one in (_ADDED, _WAITING, _FAILED, _PASSED)
        )
        with self._changing() as database:
            found = database.execute(
                "SELECT feeds.id, address, title, tags, newest, since, etag, modified, checked,"
                f" feeds.again, failures, feeds.problem, {counts} FROM feeds"
                " LEFT JOIN episodes ON feed = feeds.id GROUP BY feeds.id ORDER BY feeds.id"
            ).fetchall()
        names = [field.name for field in fields(Followed)]
        rows = (dict(zip(names, row, strict=True)) for row in found)
        return tuple(Followed(**row | {"tags": tuple(json.loads(row["tags"]))}) for row in rows)

    def find(self, name: str) -> Followed:
        """The feed that `name` means: its address, its number in the list, or a part of its title.

        Raises UsageError when none or several fit.
        """
        feeds = self.feeds()
        ways: tuple[Callable[[Followed], bool], ...] = (
            lambda one: one.address == name,
            lambda one: str(one.id) == name,
            lambda one: one.title.casefold() == name.casefold(),
            lambda one: name.casefold() in one.title.casefold(),
        )
        for way in ways:
            fitting = [one for one in feeds if way(one)]
            if len(fitting) == 1:
                return fitting[0]
            if fitting:
                shown = ", ".join(f"{one.id} ({one.title})" for one in fitting[:5])
                raise UsageError(f"'{name}' fits {len(fitting)} feeds, give a number: {shown}")
        raise UsageError(f"no feed '{name}' is followed: `earshot feeds` shows those that are")

    def read(self, feed: Followed, found: Feed, etag: str | None, modified: str | None) -> int:
        """Keep what a feed says; returns how many new episodes are wanted."""
        now = self._clock()
        with self._changing() as database:
            before = _count(database, feed.id)
            for one in found.episodes:
                _keep(database, feed.id, one)
            _choose(database, feed)
            database.execute(
                "UPDATE feeds SET title = ?, etag = ?, modified = ?, checked = ?, again = 0,"
                " failures = 0, problem = ? WHERE id = ?",
                (found.title, etag, modified, now, found.problem, feed.id),
            )
            return max(0, _count(database, feed.id) - before)

    def unchanged(self, feed: Followed) -> None:
        """A feed said that nothing is new."""
        with self._changing() as database:
            database.execute(
                "UPDATE feeds SET checked = ?, again = 0, failures = 0 WHERE id = ?",
                (self._clock(), feed.id),
            )

    def feed_failed(self, feed: Followed, problem: str, again: float | None) -> None:
        """A feed could not be read; it is left alone for `again` seconds, or the usual time."""
        wait = again if again is not None else retry_in(feed.failures)
        with self._changing() as database:
            database.execute(
                "UPDATE feeds SET failures = failures + 1, problem = ?, again = ? WHERE id = ?",
                (problem, self._clock() + wait, feed.id),
            )

    def awaited(self, feed: Followed, *, now: bool = False) -> tuple[Awaited, ...]:
        """Episodes to get, newest first; with `now`, those too whose time has not come again."""
        until = float("inf") if now else self._clock()
        with self._changing() as database:
            found = database.execute(
                "SELECT key, audio, about, file, tries FROM episodes WHERE feed = ? AND state = ?"
                " AND again <= ? ORDER BY date DESC, rowid",
                (feed.id, _WAITING, until),
            ).fetchall()
        return tuple(
            Awaited(feed.id, _episode(key, audio, about), file, tries)
            for key, audio, about, file, tries in found
        )

    def downloading(self, one: Awaited, file: str) -> None:
        """Where the download of an episode goes is settled."""
        self._settle(one, "file = ?", file)

    def chaptered(self, one: Awaited, chapters: tuple[Chapter, ...]) -> None:
        """The chapters of an episode, which lay elsewhere, are known."""
        about = asdict(one.episode) | {"chapters": [asdict(each) for each in chapters]}
        self._settle(one, "about = ?", json.dumps(about))

    def added(self, one: Awaited, recording: str) -> None:
        """An episode is in the library."""
        self._settle(one, "state = ?, problem = '', recording = ?", _ADDED, recording)

    def failed(
        self, one: Awaited, problem: str, again: float | None = None, *, final: bool = False
    ) -> None:
        """An episode could not be had; it is tried again later, or given up."""
        if final or one.tries + 1 >= MOST_TRIES:
            self._settle(one, "state = ?, problem = ?, tries = tries + 1", _FAILED, problem)
            return
        wait = again if again is not None else retry_in(one.tries)
        later = self._clock() + wait
        self._settle(one, "problem = ?, tries = tries + 1, again = ?", problem, later)

    def retry(self, feed: Followed) -> None:
        """What was given up is tried once more."""
        with self._changing() as database:
            database.execute(
                "UPDATE episodes SET state = ?, tries = 0, again = 0 WHERE feed = ? AND state = ?",
                (_WAITING, feed.id, _FAILED),
            )

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Subscriptions:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self, one: Awaited, change: str, *values: object) -> None:
        with self._changing() as database:
            database.execute(
                f"UPDATE episodes SET {change} WHERE feed = ? AND key = ?",
                (*values, one.feed, one.episode.key),
            )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                with writing(self.folder):
                    self.folder.mkdir(parents=True, exist_ok=True)
                self._connection = _opened(self.folder / FILE)
            with self._connection:
                self._connection.execute("BEGIN IMMEDIATE")
                yield self._connection
        except (sqlite3.Error, ValueError, TypeError) as error:
            raise LibraryError(
                f"{self.folder / FILE} cannot be used ({error}): if it is damaged, delete it and "
                "follow the feeds again, what is in the library is not added twice"
            ) from error


def retry_in(failures: int) -> float:
    """Seconds until what has failed so often before is tried again."""
    return min(FIRST_RETRY * 2.0 ** min(failures, 20), LAST_RETRY)


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise LibraryError(f"{path} is of a newer version of Earshot: use that one")
    if version < FORMAT:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {FORMAT}; COMMIT"
        )
    return connection


def _keep(database: sqlite3.Connection, feed: int, one: Episode) -> None:
    """An episode as the feed tells it today; known by its key, or else by its file's address."""
    about = json.dumps(asdict(one))
    known = database.execute(
        "SELECT key, audio FROM episodes WHERE feed = ? AND (key = ? OR audio = ?)"
        " ORDER BY key = ? DESC LIMIT 1",
        (feed, one.key, one.audio, one.key),
    ).fetchone()
    if known is None:
        database.execute(
            "INSERT INTO episodes (feed, key, audio, date, about, state, tries, again, problem)"
            " VALUES (?, ?, ?, ?, ?, ?, 0, 0, '')",
            (feed, one.key, one.audio, one.date, about, _WAITING),
        )
        return
    key, audio = known
    database.execute(
        "UPDATE episodes SET audio = ?, date = ?, about = ? WHERE feed = ? AND key = ?",
        (one.audio, one.date, about, feed, key),
    )
    if audio != one.audio:  # its file lies elsewhere now: what failed there may be well here
        database.execute(
            "UPDATE episodes SET state = ?, tries = 0, again = 0 WHERE feed = ? AND key = ?"
            " AND state = ?",
            (_WAITING, feed, key, _FAILED),
        )


def _choose(database: sqlite3.Connection, feed: Followed) -> None:
    """Episodes older than what is wanted are passed over; what waited and got old meanwhile too."""
    database.execute(
        "UPDATE episodes SET state = ? WHERE feed = ? AND state = ?", (_WAITING, feed.id, _PASSED)
    )
    if feed.since is not None:
        database.execute(
            "UPDATE episodes SET state = ? WHERE feed = ? AND state = ? AND date < ?",
            (_PASSED, feed.id, _WAITING, feed.since),
        )
    if feed.newest is not None:
        database.execute(
            "UPDATE episodes SET state = ? WHERE feed = ? AND state = ? AND key NOT IN"
            " (SELECT key FROM episodes WHERE feed = ? ORDER BY date DESC, rowid LIMIT ?)",
            (_PASSED, feed.id, _WAITING, feed.id, feed.newest),
        )


def _count(database: sqlite3.Connection, feed: int) -> int:
    found = database.execute(
        "SELECT count(*) FROM episodes WHERE feed = ? AND state = ?", (feed, _WAITING)
    ).fetchone()
    return int(found[0])


def _episode(key: str, audio: str, about: str) -> Episode:
    known: dict[str, Any] = json.loads(about)
    chapters = tuple(Chapter(**one) for one in known.pop("chapters"))
    return Episode(**known | {"key": key, "audio": audio, "chapters": chapters})
