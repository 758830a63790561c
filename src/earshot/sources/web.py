"""Asking servers as a polite guest: what changed only, one host at a time, later if they say so.

`earshot.fetching` says what may be asked for and brings it; here are the manners of a program that
comes again and again. This module knows nothing of feeds.
"""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from earshot.errors import FetchError
from earshot.fetching import Rules, download, shown
from earshot.fetching.connecting import Deadline
from earshot.fetching.requesting import Reply, opened
from earshot.index.durable import PART, discard, publish, writing

MOST_SECONDS = 300.0
"""A document has come within so many seconds, or is given up."""

LONGEST_WAIT = 7 * 86400.0  # seconds that a server may ask to be left alone for
_BUSY = (429, 503)


class Refused(FetchError):
    """A server does not give a document; `again` is when it may be asked, in seconds, if it says.

    `gone` is true of what will never be there again.
    """

    def __init__(self, message: str, again: float | None = None, *, gone: bool = False) -> None:
        super().__init__(message)
        self.again = again
        self.gone = gone


@dataclass(frozen=True, slots=True)
class Document:
    """What lies at an address: its headers by name in lower case, and its bytes.

    `body` is None where the server says that nothing has changed.
    """

    address: str
    headers: Mapping[str, str]
    body: bytes | None


class Web:
    """The web as far as `rules` allow, with `pause` seconds between two requests to one host."""

    def __init__(
        self,
        rules: Rules | None = None,
        pause: float = 1.0,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rules = rules or Rules()
        self._pause = pause
        self._clock = clock
        self._sleep = sleep
        self._last: dict[str, float] = {}

    def document(self, address: str, headers: Mapping[str, str], most: int) -> Document:
        """What lies at an address, of at most `most` bytes.

        Raises Refused for any status but success, FetchError where nothing answers.
        """
        self._wait(address)
        wanted = {"Accept-Encoding": "gzip", **headers}
        with opened(address, wanted, self._rules, Deadline(MOST_SECONDS)) as reply:
            answer = reply.answer
            if answer.status == 304:
                return Document(address, answer.headers, None)
            if answer.status != 200:
                raise _refusal(reply, address)
            return Document(str(reply.source), answer.headers, _whole(reply, address, most))

    def file(self, address: str, target: Path) -> None:
        """Make `target` of what lies at an address, going on where an earlier attempt broke off.

        Raises FetchError, after which what has come is kept if it can be gone on with; LibraryError
        when the file cannot be written.
        """
        self._wait(address)
        part = target.with_name(target.name + PART)
        with writing(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            found = download(address, part, self._rules)
            if not found.bytes:
                discard(part)
                raise FetchError(f"{shown(address)} is empty (0 bytes).")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            publish(part, target)

    def _wait(self, address: str) -> None:
        host = urlsplit(address).netloc
        last = self._last.get(host)
        if last is not None and (left := last + self._pause - self._clock()) > 0:
            self._sleep(left)
        self._last[host] = self._clock()


def forget(target: Path) -> None:
    """Delete what there is of a file that was to be made by `Web.file`."""
    part = target.with_name(target.name + PART)
    for path in (target, part, part.with_name(part.name + ".tag")):
        discard(path)


def retry_after(value: str) -> float | None:
    """Seconds that a server wants to be left alone for: a number, or a date."""
    text = value.strip()
    try:
        if text.isdecimal():
            seconds = float(text)
        else:
            when = parsedate_to_datetime(text)
            seconds = (when.astimezone(UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _refusal(reply: Reply, address: str) -> Refused:
    answer = reply.answer
    says = f"{shown(address)}: the server answers {answer.status} {answer.reason}".rstrip()
    again = retry_after(answer.headers.get("retry-after", "")) if answer.status in _BUSY else None
    return Refused(says, again, gone=answer.status == 410)


def _whole(reply: Reply, address: str, most: int) -> bytes:
    """All of a body, unpacked."""
    coding = reply.answer.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity", "gzip", "x-gzip"):
        raise FetchError(f"{shown(address)} is sent packed in a way that was not asked for.")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32) if "gzip" in coding else None
    body = bytearray()
    for piece in reply.body:
        try:
            # Bounded: a few kilobytes can unpack to gigabytes.
            body += piece if unpacker is None else unpacker.decompress(piece, most + 1 - len(body))
        except zlib.error as error:
            raise FetchError(f"{shown(address)} is damaged: {error}.") from error
        if len(body) > most:
            raise FetchError(f"{shown(address)} has more than {most >> 20} MB, which is too much.")
    if unpacker is not None and not unpacker.eof:
        raise FetchError(f"{shown(address)} is damaged: what is packed in it is not whole.")
    return bytes(body)
