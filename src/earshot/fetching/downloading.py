"""All of a body into a file: within limits, in several attempts, going on where one broke off.

What has come lies in the file from the beginning on, and beside it, in `NAME.tag`, what the server
calls that version; so a download that was interrupted, even by a kill, goes on if the server still
has the same. This module knows nothing of what the file holds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from earshot.errors import FetchError
from earshot.fetching.addresses import address, shown
from earshot.fetching.connecting import Deadline, Rules
from earshot.fetching.requesting import Broken, Reply, opened

try:
    import fcntl
except ImportError:  # Windows, where two processes must not fetch the same at a time
    fcntl = None  # type: ignore[assignment]

FetchProgress = Callable[[int, int | None], None]
"""Told the bytes that are there, and how many there will be if the server says so."""

WAITS = (1.0, 3.0, 9.0)
"""Seconds between attempts; one that brought anything starts the row anew."""

LONGEST_WAIT = 60.0  # seconds that a server may ask us to wait
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
OK, PARTIAL, NOT_SATISFIABLE = 200, 206, 416
LONGEST_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that was fetched whole: where it lies, its size, and what its source calls it.

    `name` is a plain file name that the server or the URL suggests ("talk.mp3"); never a path.
    """

    path: Path
    bytes: int
    name: str


class _AnotherTime(Broken):
    """The server cannot answer now; `wait` is how many seconds it asks for, if it does."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


def download(url: str, path: Path, rules: Rules, progress: FetchProgress | None = None) -> Fetched:
    """Fetch `url` into the file `path`, going on with what an earlier call left there.

    Raises FetchError (AddressRefused among them): what came is left for another call if the server
    can go on with it, and taken away if it is refused. OSError where the file cannot be written.
    """
    address(url)  # before anything is written
    tag = path.with_name(path.name + ".tag")
    with path.open("a+b") as file, _held(file, url):
        try:
            name = _attempts(url, file, tag, rules, progress or (lambda *_: None))
        except FetchError as error:
            if not isinstance(error, Broken) or not tag.exists():
                path.unlink(missing_ok=True)
                tag.unlink(missing_ok=True)
            raise
        size = file.seek(0, 2)
    tag.unlink(missing_ok=True)
    return Fetched(path, size, name)


@contextmanager
def _held(file: IO[bytes], url: str) -> Iterator[None]:
    """No other process fetches into the file meanwhile; the lock ends with the file."""
    if fcntl is not None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(f"{shown(url)} is being fetched by another process.") from None
    yield


def _attempts(url: str, file: IO[bytes], tag: Path, rules: Rules, progress: FetchProgress) -> str:
    """Fetch all of it; returns the name that the source gives it."""
    deadline = Deadline(rules.most_seconds)
    begun = time.monotonic()
    waits = iter(WAITS)
    while True:
        before = file.seek(0, 2)
        try:
            return _attempt(url, file, tag, rules, deadline, progress)
        except Broken as error:
            failure = error
        if file.seek(0, 2) > before:
            waits = iter(WAITS)
        wait = next(waits, None)
        asked = getattr(failure, "wait", None)
        wait = asked if wait is not None and asked is not None else wait
        if wait is None or time.monotonic() + wait - begun > rules.most_seconds:
            raise failure
        time.sleep(wait)


def _attempt(
    url: str,
    file: IO[bytes],
    tag: Path,
    rules: Rules,
    deadline: Deadline,
    progress: FetchProgress,
) -> str:
    have = file.seek(0, 2)
    known = _read_tag(tag, url) if have else ""
    headers = {"Range": f"bytes={have}-", "If-Range": known} if known else {}
    with opened(url, headers, rules, deadline) as reply:
        status, told = reply.answer.status, reply.answer.headers
        name = shown(url)
        if status == NOT_SATISFIABLE and known:  # all of it came, or it is another file now
            file.truncate(0)
            raise Broken(f"{name} is not what it was when fetching it began.")
        _require_good(reply, name)
        if status == PARTIAL:
            place = re.match(r"bytes (\d+)-\d+/(\d+|\*)$", told.get("content-range", ""))
            if not place or int(place[1]) != have or not known:
                raise FetchError(f"{name} gives another part than it was asked for.")
            total = None if place[2] == "*" else int(place[2])
        else:
            have = 0
            file.truncate(0)
            total = _number(told.get("content-length", ""))
        _require_room(total, rules, name)
        _write_tag(tag, url, told)
        _copy(reply, file, have, total, rules, progress)
        return _name(url, reply)


def _require_good(reply: Reply, name: str) -> None:
    status, headers = reply.answer.status, reply.answer.headers
    if status not in (OK, PARTIAL):
        says = f"{name}: the server answers {status} {reply.answer.reason}".rstrip() + "."
        if status in AGAIN:
            wait = _number(headers.get("retry-after", ""))
            raise _AnotherTime(says, None if wait is None else min(float(wait), LONGEST_WAIT))
        raise FetchError(says)
    coding = headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        raise FetchError(
            f"{name} is sent compressed ({coding[:20]!r}) although that was not asked for: "
            "it is not unpacked."
        )
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise FetchError(f"{name} is a web page: give the address of the file itself.")


def _require_room(total: int | None, rules: Rules, name: str) -> None:
    if total is not None and total > rules.most_bytes:
        raise FetchError(
            f"{name} has {total} bytes, of which at most {rules.most_bytes} are fetched."
        )


def _copy(
    reply: Reply,
    file: IO[bytes],
    have: int,
    total: int | None,
    rules: Rules,
    progress: FetchProgress,
) -> None:
    """The body into the file, as long as it keeps within the rules."""
    name = shown(str(reply.source))
    since, base = time.monotonic(), have
    progress(have, total)
    for chunk in reply.body:
        file.write(chunk)
        have += len(chunk)
        if have > rules.most_bytes:
            raise FetchError(f"{name} does not end within the {rules.most_bytes} bytes allowed.")
        now = time.monotonic()
        if now - since >= rules.patience:
            if have - base < rules.least_speed * (now - since):
                raise Broken(
                    f"{name} sends fewer than {rules.least_speed} bytes a second: it is given up."
                )
            since, base = now, have
        progress(have, total)
    file.flush()
    if total is not None and have != total:  # of a part: httpcore counts whole bodies
        raise Broken(f"{name} ended after {have} of {total} bytes.")


def _read_tag(tag: Path, url: str) -> str:
    """What the server called the version whose beginning is there; empty if that is not known."""
    with suppress(OSError, ValueError):
        known = json.loads(tag.read_text("utf-8"))
        if isinstance(known, dict) and known.get("url") == url:
            return str(known.get("version", ""))
    return ""


def _write_tag(tag: Path, url: str, told: Mapping[str, str]) -> None:
    """Keep a strong ETag or a time of change; without one of them it cannot be gone on with."""
    version = told.get("etag", "")
    if not re.fullmatch(r'"[\x21\x23-\x7e]{1,500}"', version):
        version = told.get("last-modified", "")
    if version.isascii() and version.isprintable() and 0 < len(version) <= LONGEST_NAME * 4:
        tag.write_text(json.dumps({"url": url, "version": version}), "utf-8")
    else:
        tag.unlink(missing_ok=True)


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text.strip()) else None


def _name(url: str, reply: Reply) -> str:
    """What the server, or else the URL, or else where that led, calls the file."""
    message = Message()
    message["Content-Disposition"] = reply.answer.headers.get("content-disposition", "")
    with suppress(ValueError, LookupError, TypeError):
        if given := _plain(message.get_filename() or ""):
            return given
    paths = [urlsplit(each).path for each in (url, str(reply.source))]
    names = [_plain(unquote(path.rpartition("/")[2], errors="replace")) for path in paths]
    suffixed = [each for each in names if Path(each).suffix]
    return next(filter(None, [*suffixed, *names]), reply.source.host)


def _plain(name: str) -> str:
    """A name without the folders before it, and without what no title should hold."""
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(sign if sign.isprintable() else " " for sign in last)
    kept = " ".join(kept.split()).strip(". ")
    stem, dot, suffix = kept.rpartition(".")
    if len(kept) > LONGEST_NAME:
        kept = stem[: LONGEST_NAME - len(suffix) - 1] + dot + suffix if len(suffix) < 10 else ""
        kept = kept or name[:LONGEST_NAME]
    return kept
