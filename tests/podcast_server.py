"""A web server with podcasts on it, on a port of its own, that can be made to misbehave.

Feeds and files are served with ETags and ranges as good servers do. `faults` is a list of what goes
wrong, one entry a request: a status, or a number of bytes after which the connection breaks.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from local_servers import serving


@dataclass
class Broken:
    """A connection that breaks after so many bytes of the body."""

    after: int


@dataclass
class Status:
    """A status instead of what was asked for."""

    code: int
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Site:
    """What lies where, and what was asked for."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[Broken | Status]] = field(default_factory=dict)
    lengths: bool = True
    ranges: bool = True
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0  # bytes of bodies

    def asked(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(one == path for one, _ in self.requests)


class _Handler(BaseHTTPRequestHandler):
    """Answers for a site."""

    shown: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.shown.requests.append((self.path, headers))
        queue = self.shown.faults.get(self.path) or [None]
        fault = queue.pop(0)
        if isinstance(fault, Status):
            return self._head(fault.code, {"Content-Length": "0", **fault.headers})
        body = self.shown.files.get(self.path)
        if body is None:
            return self._head(404, {"Content-Length": "0"})
        self._body(body, headers, fault)
        return None

    def _body(self, body: bytes, asked: dict[str, str], fault: Broken | None) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if asked.get("if-none-match") == tag:
            return self._head(304, {"ETag": tag})
        status, headers, start = 200, {"ETag": tag}, 0
        wanted = re.fullmatch(r"bytes=(\d+)-", asked.get("range", ""))
        if wanted and self.shown.ranges and asked.get("if-range") == tag:
            start = int(wanted[1])
            if start >= len(body):
                span = f"bytes */{len(body)}"
                return self._head(416, {"Content-Range": span, "Content-Length": "0"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        body = body[start:]
        if self.shown.lengths:
            headers["Content-Length"] = str(len(body))
        else:
            headers["Connection"] = "close"
        self._head(status, headers)
        sent = body if fault is None else body[: fault.after]
        self.wfile.write(sent)
        self.wfile.flush()
        self.shown.sent += len(sent)
        if fault is not None or not self.shown.lengths:
            self.close_connection = True
        return None

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def site() -> Iterator[Site]:
    """A server on this machine for as long as it is needed."""
    shown = Site()
    with serving(_Handler, shown=shown) as shown.address:
        yield shown


def rss(items: str, *, title: str = "Deep Talks", extra: str = "") -> bytes:
    """A feed of these items."""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"
 xmlns:psc="http://podlove.org/simple-chapters" xmlns:media="http://search.yahoo.com/mrss/"
 xmlns:podcast="https://podcastindex.org/namespace/1.0" xmlns:content="http://purl.org/rss/1.0/modules/content/">
<channel><title>{title}</title><link>https://example.org/</link>{extra}{items}</channel></rss>
""".encode()


def item(number: int, audio: str, *, day: int = 1, extra: str = "", guid: str | None = None) -> str:
    """An episode, of a day in May 2020."""
    return f"""<item><title>Talk {number}</title><guid>{guid or f"talk-{number}"}</guid>
<itunes:episode>{number}</itunes:episode><pubDate>{day:02d} May 2020 10:00:00 GMT</pubDate>
<enclosure url="{audio}" type="audio/wav" length="1"/>{extra}</item>"""
