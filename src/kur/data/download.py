"""A URL -> a file: over HTTP only, whole or not at all, resumed where an attempt broke off.

A Kurfile may come from anyone, so its URLs reach public addresses only, unless the environment
says KUR_PRIVATE_NETWORKS=1. Knows nothing of checksums, archives or data.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import logging
import os
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from kur.errors import KurError

try:
    import fcntl
except ImportError:  # Windows, where two processes must not fetch the same file at a time
    fcntl = None  # type: ignore[assignment]

PRIVATE_NETWORKS = "KUR_PRIVATE_NETWORKS"

_log = logging.getLogger(__name__)
_TIMEOUT_SECONDS = 30.0
_CHUNK = 1 << 20
_PROGRESS_SECONDS = 10.0
# Waits between attempts; one that brought anything starts the row anew.
_WAIT_SECONDS = (1.0, 3.0, 9.0)
_AGAIN = {408, 425, 429, 500, 502, 503, 504}


class _Forbidden(KurError):
    """An address that a Kurfile may not reach."""


class _Cut(Exception):
    """The connection ended before the file did."""


def download(url: str, to: Path) -> None:
    """Fetch `url` as the file `to`, which appears when it is complete.

    What an attempt left in `.NAME.part` is gone on with if the server still has the same file.
    KurError says in one sentence what did not work.
    """
    check_url(url)
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _locked(to.with_name(f".{to.name}.part"), to) as part:
            if part is not None:
                _fetch(url, to, part)
    except OSError as error:
        raise KurError(f"{to}: cannot be written: {error.strerror}") from None


def check_url(url: str) -> None:
    """KurError unless `url` is a whole http or https address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
        good = good and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or re.search(r"[\x00-\x20\x7f]", url):
        raise KurError(f"{url!r} is no address to download from; accepted: http://..., https://...")


@contextlib.contextmanager
def _locked(part: Path, to: Path) -> Iterator[IO[bytes] | None]:
    """The unfinished file, open, and no other process at it; None if another one finished it
    meanwhile."""
    before = _identity(to)
    with part.open("a+b") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # let go when the file is closed
        done = _identity(to) != before
        if done:
            part.unlink(missing_ok=True)
        yield None if done else file


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _fetch(url: str, to: Path, file: IO[bytes]) -> None:
    part = to.with_name(f".{to.name}.part")
    tag = to.with_name(f".{to.name}.tag")
    waits = iter(_WAIT_SECONDS)
    while True:
        before = file.seek(0, os.SEEK_END)
        try:
            _attempt(url, file, tag)
            break
        except urllib.error.HTTPError as error:
            reason, retry = f"the server says {error.code} {error.reason}", error.code in _AGAIN
        except urllib.error.URLError as error:
            if isinstance(error.reason, KurError):
                raise error.reason from None
            inner = error.reason
            reason, retry = _why(inner), not isinstance(inner, socket.gaierror)
        except (http.client.HTTPException, ConnectionError, TimeoutError, _Cut) as error:
            reason, retry = _why(error), True
        if file.seek(0, os.SEEK_END) > before:
            waits = iter(_WAIT_SECONDS)
        wait = next(waits, None) if retry else None
        if wait is None:
            kept = "; what came is kept and gone on with" if before else ""
            raise KurError(f"{url}: cannot be downloaded: {reason}{kept}")
        _log.info("%s: %s; trying again", url, reason)
        time.sleep(wait)
    file.flush()
    os.fsync(file.fileno())
    part.replace(to)
    tag.unlink(missing_ok=True)


def _attempt(url: str, file: IO[bytes], tag: Path) -> None:
    """One request; `file` has at its end what came, `tag` the server's name for that version."""
    request = urllib.request.Request(url, headers={"User-Agent": "kur", "Accept": "*/*"})
    request.add_header("Accept-Encoding", "identity")
    have = file.seek(0, os.SEEK_END)
    known = tag.read_text("ascii") if have and tag.is_file() else ""
    if known:
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", known)
    try:
        answer = _opener().open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and known:
            tag.unlink()  # all of it came, or it has changed: from the start
            raise _Cut("the server has another file now") from None
        raise
    with answer:
        place = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if answer.status != http.client.PARTIAL_CONTENT or not place or int(place[1]) != have:
            if answer.status == http.client.PARTIAL_CONTENT:
                tag.unlink(missing_ok=True)
                raise _Cut("the server gave another part than was asked for")
            file.truncate(0)
            have = 0
        _remember(answer.headers, tag)
        length = answer.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        _copy(answer, file, url, have, total)


def _remember(headers: Any, tag: Path) -> None:
    """Keep the strong name of this version of the file, with which a part can be completed."""
    name = headers.get("ETag", "")
    if not name or name.startswith("W/"):
        name = headers.get("Last-Modified", "")
    if name.isascii() and name.isprintable() and name:
        tag.write_text(name, "ascii")
    else:
        tag.unlink(missing_ok=True)


def _copy(answer: Any, file: IO[bytes], url: str, have: int, total: int | None) -> None:
    size = f" ({total / 1e6:,.1f} MB)" if total is not None else ""
    _log.info("downloading %s%s", url, size)
    told = time.monotonic()
    while chunk := answer.read(_CHUNK):
        file.write(chunk)
        have += len(chunk)
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            share = f" of {total / 1e6:,.1f}" if total else ""
            _log.info("downloading %s: %s%s MB", url, f"{have / 1e6:,.1f}", share)
    if total is not None and have != total:
        file.flush()
        raise _Cut(f"the connection ended after {have:,} of {total:,} bytes")


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join((said or type(error).__name__).split())


def _opener() -> urllib.request.OpenerDirector:
    """An opener of http and https only; its redirects are held to the same rules."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Http(),
        _Https(),
    ):
        opener.add_handler(handler)
    return opener


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> Any:
        """Connect to public addresses only."""
        return self.do_open(_connection(http.client.HTTPConnection, req), req)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> Any:
        """Connect to public addresses only."""
        return self.do_open(_connection(http.client.HTTPSConnection, req), req)


def _connection(kind: Any, request: urllib.request.Request) -> Any:
    """What makes the connection of a request. The address is checked where it is connected to,
    so that a name cannot stand for one address first and for another one later."""
    proxied = request.has_proxy() or getattr(request, "_tunnel_host", None)

    def make(host: str, **options: Any) -> Any:
        connection = kind(host, **options)
        if not proxied and not private_allowed():
            connection._create_connection = _connect_publicly
        return connection

    return make


def private_allowed() -> bool:
    """Whether the environment allows addresses of private networks."""
    return os.environ.get(PRIVATE_NETWORKS, "").lower() in ("1", "yes", "true", "on")


def _connect_publicly(
    address: tuple[str, int], timeout: float, source_address: Any = None
) -> socket.socket:
    """`socket.create_connection` that refuses private, local and reserved addresses."""
    host, port = address
    refused, failed = "", OSError(f"no address of {host} answers")
    for family, kind, protocol, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        if not _public(str(where[0])):
            refused = str(where[0])
            continue
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(timeout)
            connection.connect(where)
            return connection
        except OSError as error:
            connection.close()
            failed = error
    if refused:
        raise _Forbidden(
            f"{host} is {refused}, an address of a private network, which a Kurfile may not "
            f"download from unless the environment says {PRIVATE_NETWORKS}=1"
        )
    raise failed


def _public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return _public(str(inner))
    return address.is_global and not address.is_multicast
