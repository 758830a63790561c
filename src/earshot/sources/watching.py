"""Folders into which others put audio -> recordings, each file once, when it is complete.

A file is complete when it has not changed for a while and nobody has it open for writing (which
Linux tells). The two sides of a call in two files become one recording with two channels; what
files beside the audio say of it is kept with it, also when it comes later. What was settled is
remembered in `sources/watched.db`, so that a new start neither reads nor reports it again; were
that lost, the library would know each file by its content. This module prints nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.about import NOTHING, About
from earshot.errors import LibraryBusy, LibraryError, MediaError, UsageError
from earshot.index.durable import discard, writing
from earshot.outcome import Outcome, Status
from earshot.sources import home
from earshot.sources.companions import Companions

try:
    import fcntl
except ImportError:  # Windows, where only time tells whether a file is complete
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from earshot.library import Library
    from earshot.media import Channels
    from earshot.outcome import ProgressCallback

FILE = "watched.db"
CALLS = "calls"
"""The folder, beside the database, where calls lie that were joined of two files."""

SIDES = (
    ("in", "out"), ("rx", "tx"), ("agent", "customer"), ("caller", "callee"), ("local", "remote"),
    ("left", "right"),
)  # fmt: skip
"""What ends the names of the two files of a call: the first becomes channel 1."""

BUSY_SECONDS = 600.0
_UNFINISHED = frozenset({".part", ".tmp", ".temp", ".crdownload", ".partial", ".filepart"})
_SIDE = re.compile(rf"(.+?)[-_. ]({'|'.join(side for pair in SIDES for side in pair)})", re.I)
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (
    path BLOB PRIMARY KEY, stamp TEXT NOT NULL, recording TEXT, told TEXT NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """How folders are watched: `settle` and `pair` are seconds.

    A file must not change for `settle` seconds to be complete; one side of a call waits `pair`
    seconds more for the other. `about` is kept with every recording.
    """

    settle: float = 3.0
    pair: float = 60.0
    pairs: bool = True
    channels: Channels = "auto"
    about: About = NOTHING


@dataclass(frozen=True, slots=True)
class _Settled:
    """A file that was settled: its state then, its recording if any, a mark of what was said."""

    stamp: str
    recording: str | None
    told: str


@dataclass(frozen=True, slots=True)
class _Call:
    """A recording to be: its file, or its two sides; what they are called, and their state."""

    paths: tuple[Path, ...]
    title: str | None
    stamp: str

    @property
    def key(self) -> bytes:
        return b"\0".join(os.fsencode(path) for path in self.paths)


class Watch:
    """Looks into folders again and again; a context manager.

    Raises UsageError for what is no folder, LibraryError when the library or the memory of what was
    settled cannot be used.
    """

    def __init__(
        self,
        library: Library,
        folders: Sequence[Path],
        options: Watched = Watched(),
        *,
        progress: ProgressCallback | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"{folder} is not a folder that can be watched")
        self.waiting = 0
        """Files that were there at the last look and are not settled."""
        self._library = library
        self._folders = folders
        self._options = options
        self._progress = progress
        self._clock = clock
        self._companions = Companions()
        self._since: dict[Path, tuple[str, float]] = {}
        self._told_at: dict[bytes, int] = {}
        self._home = home(library.path)
        with writing(self._home):
            self._home.mkdir(parents=True, exist_ok=True)
        with _readable(self._home / FILE):
            self._memory = sqlite3.connect(self._home / FILE, timeout=10.0, isolation_level=None)
            self._memory.execute("PRAGMA journal_mode=WAL")
            self._memory.execute("PRAGMA synchronous=NORMAL")
            self._memory.execute(_SCHEMA)
            rows = self._memory.execute("SELECT path, stamp, recording, told FROM files")
            self._settled_before = {row[0]: _Settled(*row[1:]) for row in rows}

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self._memory.close()

    def look(self) -> Iterator[Outcome]:
        """Look once at everything there is; what is complete and new is added, one at a time."""
        self.waiting = 0
        self._companions.look()
        for call in list(self._calls()):
            known = self._settled_before.get(call.key)
            if known is not None and known.stamp == call.stamp:
                yield from self._told_anew(call, known)
            elif all(self._complete(path) for path in call.paths):
                yield self._settled(call)
            else:
                self.waiting += 1

    def _calls(self) -> Iterator[_Call]:
        """What is there, the two sides of a call together."""
        from earshot.media import media_files  # loads FFmpeg

        there = {path: stamp for path in media_files(self._folders) if (stamp := _stamp(path))}
        self._since = {path: since for path, since in self._since.items() if path in there}
        now = self._clock()
        for path, stamp in there.items():
            if self._since.get(path, ("",))[0] != stamp:
                self._since[path] = (stamp, now)
        done: set[Path] = set()
        for path, stamp in there.items():
            if path in done or path.suffix.lower() in _UNFINISHED:
                continue
            other = _other_side(path) if self._options.pairs else None
            if other is None:
                yield _Call((path,), None, stamp)
            elif (partner := _found(other[0], there)) is not None:
                done.add(partner)
                first, second = (path, partner) if other[1] else (partner, path)
                stamps = f"{there[first]} {there[second]}"
                yield _Call((first, second), other[2], stamps)
            elif now - self._since[path][1] >= self._options.settle + self._options.pair:
                yield _Call((path,), None, stamp)
            else:
                self.waiting += 1

    def _complete(self, path: Path) -> bool:
        since = self._since.get(path)
        if since is None or self._clock() - since[1] < self._options.settle:
            return False
        return not _being_written(path)

    def _settled(self, call: _Call) -> Outcome:
        told = self._companions.of(call.paths[0], [call.title] if call.title else [])
        known = _both(self._options.about, told.about)
        try:
            path = call.paths[0] if len(call.paths) == 1 else self._joined(call)
        except MediaError as error:
            outcome = Outcome(str(call.paths[0]), Status.FAILED, note=str(error).rstrip("."))
        else:
            title = call.title if known.title is None else known.title
            outcome = self._added(path, replace(known, title=title))
        if outcome.status is Status.SKIPPED and outcome.recording and known != NOTHING:
            # It was there before; what is said of it today is news all the same.
            edited = self._library.edit(outcome.recording.id, known)
            outcome = replace(outcome, recording=edited)
        self._remember(call, outcome, _mark(told.about))
        notes = "; ".join(filter(None, [outcome.note, *told.problems]))
        shown = " + ".join(str(path) for path in call.paths)
        return replace(outcome, path=shown, note=notes)

    def _joined(self, call: _Call) -> Path:
        """The two sides as one file, which is kept: mentions are played from it."""
        from earshot.media import join  # see `_calls`

        folder = self._home / CALLS
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        # By what the sides are, so that calls of one name in two folders are two files.
        mark = _mark(call.key.hex() + call.stamp)[:8]
        return join(call.paths, folder / f"{_plain(call.title or '')}-{mark}.flac")

    def _added(self, path: Path, known: About) -> Outcome:
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                channels: Channels = self._options.channels
                if path.is_relative_to(self._home):
                    channels = "split"
                (outcome,) = self._library.add(
                    [path], channels=channels, about=known, progress=self._progress
                ).outcomes
            except LibraryBusy:
                if time.monotonic() > until:
                    raise
                time.sleep(0.5)
            else:
                if outcome.status is Status.FAILED and path.is_relative_to(self._home):
                    discard(path)
                return outcome

    def _told_anew(self, call: _Call, known: _Settled) -> Iterator[Outcome]:
        """What is said of a settled file has changed, or has come only now."""
        version = self._companions.version(call.paths[0].parent)
        if known.recording is None or self._told_at.get(call.key) == version:
            return
        told = self._companions.of(call.paths[0], [call.title] if call.title else [])
        self._told_at[call.key] = version
        if _mark(told.about) == known.told:
            return
        outcome = Outcome(str(call.paths[0]), Status.SKIPPED)
        with suppress(UsageError):  # removed meanwhile, which is its owner's right
            outcome = replace(outcome, recording=self._library.edit(known.recording, told.about))
        self._remember(call, outcome, _mark(told.about))
        if outcome.recording is not None:
            yield replace(outcome, note="; ".join(["metadata changed", *told.problems]))

    def _remember(self, call: _Call, outcome: Outcome, mark: str) -> None:
        recording = outcome.recording.id if outcome.recording else None
        self._settled_before[call.key] = _Settled(call.stamp, recording, mark)
        with _readable(self._home / FILE):
            self._memory.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                (call.key, call.stamp, recording, mark),
            )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise LibraryError(
            f"{path} cannot be used ({error}): if it is damaged, delete it, what is in the library "
            "is not added twice"
        ) from error


def _stamp(path: Path) -> str:
    """What changes whenever a file does; empty for what is no file, or no longer there."""
    with suppress(OSError):
        status = path.stat()
        if path.is_file() and status.st_size:
            return f"{status.st_size}:{status.st_mtime_ns}"
    return ""


def _being_written(path: Path) -> bool:
    """Whether somebody has a file open for writing, as far as the system tells.

    Linux grants a lease for reading only where nobody writes; other systems, file systems over a
    network and files of others know no leases, and then time alone decides.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return False
    with suppress(OSError), path.open("rb") as file:
        try:
            # Whoever opens the file while we ask makes the system send us a signal: one that,
            # unlike the usual, ends nobody.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
    return False


def _other_side(path: Path) -> tuple[Path, bool, str] | None:
    """The file of a call's other side, whether this is the first, and what the call is called."""
    match = _SIDE.fullmatch(path.stem)
    if match is None:
        return None
    side = match[2].lower()
    first, second = next(pair for pair in SIDES if side in pair)
    other = second if side == first else first
    other = other.upper() if match[2].isupper() else other
    name = path.name[: match.start(2)] + other + path.name[match.end(2) :]
    return path.with_name(name), side == first, match[1]


def _found(path: Path, there: dict[Path, str]) -> Path | None:
    if path in there:
        return path
    return next((one for one in there if one.parent == path.parent
                 and one.name.casefold() == path.name.casefold()), None)  # fmt: skip


def _both(one: About, other: About) -> About:
    """What is said of all recordings, and of this one, which counts more."""
    return About(
        title=other.title or one.title,
        recorded=other.recorded or one.recorded,
        tags=(*one.tags, *other.tags),
        meta=tuple((dict(one.meta) | dict(other.meta)).items()),
    )


def _mark(value: object) -> str:
    return hashlib.sha256(repr(value).encode("utf-8", "replace")).hexdigest()[:16]


def _plain(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", title).strip("-")[:60] or "call"
