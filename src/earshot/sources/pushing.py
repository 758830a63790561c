"""A spool of files -> a server elsewhere, in their order, each once, whenever it can be reached.

Files go in pieces (`/api/v1/uploads`), so that a line that breaks costs a piece; which upload a
file belongs to is kept in `.push.json` in the spool, so that a program that dies goes on there. A
file leaves the spool when the server has all of it: were that answer lost, it would be sent again,
and the server, which knows files by content, would have it once. This module prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from earshot.errors import EarshotError, FetchError, LibraryBusy, UsageError
from earshot.fetching import ANY_NETWORK, Answer, Rules, send
from earshot.index import locked
from earshot.index.durable import discard, publish, write_atomically, writing
from earshot.sources.companions import Companions
from earshot.sources.web import retry_after

PIECE = 1 << 20
"""Bytes that are sent at a time."""

FIRST_WAIT, LAST_WAIT = 2.0, 300.0
"""Seconds until a server that cannot be reached is tried again; each failure doubles them."""

_STATE = ".push.json"
_LEFT_ALONE = frozenset({".json", ".csv", ".part", ".tmp"})
_PIECE_SECONDS = 300.0


class Refused(EarshotError):
    """The server will not have a file, today or ever."""


class Away(EarshotError):
    """The server cannot be reached, or has no time; `wait` is in seconds, if it says so."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


class Forbidden(EarshotError):
    """The server does not know the key, or it may not upload: nothing can be sent."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What became of a file: sent (to the recording or job that the server names), or refused."""

    path: Path
    job: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class _Upload:
    """Which upload of which server a file belongs to."""

    server: str
    name: str
    size: int
    modified: int
    id: str


class Server:
    """The HTTP interface of a server, as far as sending files needs it.

    `address` is the server's (https://ear.example.org), `key` one that may write. Raises UsageError
    for an address that is none.
    """

    def __init__(self, address: str, key: str | None = None) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"'{address}' is no server: write https://ear.example.org")
        self.address = address.rstrip("/")
        self._headers = {"Authorization": f"Token {key}"} if key else {}
        # It is the user who names the server, which may well be next door.
        self._rules = Rules(allowed=ANY_NETWORK)

    def begin(self, plan: Mapping[str, Any]) -> str:
        """Announce a file; returns the id of its upload."""
        body = json.dumps(plan).encode()
        answer = self._ask("POST", "uploads", body, {"Content-Type": "application/json"})
        told = _json(answer)
        if answer.status != 201 or not isinstance(told.get("id"), str):
            raise _refusal(answer)
        return str(told["id"])

    def offset(self, upload: str) -> int | None:
        """How many bytes of an upload have arrived; None if the server knows of none."""
        answer = self._ask("HEAD", f"uploads/{upload}")
        if answer.status == 404:
            return None
        return _offset(answer) if answer.status == 200 else _raise(answer)

    def part(self, upload: str, offset: int, piece: bytes) -> int:
        """Send a piece; returns how many bytes have arrived then."""
        headers = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
        answer = self._ask("PATCH", f"uploads/{upload}", piece, headers)
        if answer.status in (204, 200) or (
            answer.status == 409 and "upload-offset" in answer.headers
        ):
            return _offset(answer)
        return _raise(answer)

    def finish(self, upload: str) -> str:
        """All has been sent; returns the id of the job that listens to it."""
        answer = self._ask("POST", f"uploads/{upload}/finish")
        if answer.status not in (200, 202):
            raise _refusal(answer)
        return str(_json(answer).get("id", ""))

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        wanted = {**self._headers, **(headers or {})}
        if not body and method == "POST":
            wanted["Content-Length"] = "0"
        try:
            return send(
                f"{self.address}/api/v1/{path}", body, wanted, self._rules,
                method=method, seconds=_PIECE_SECONDS,
            )  # fmt: skip
        except FetchError as error:
            raise Away(str(error).rstrip(".")) from error


def push(spool: Path, server: Server, *, keep: bool = False) -> Iterator[Pushed]:
    """Send all files of a spool, oldest name first, as they are sent.

    With `keep` they are moved to the folder `pushed` in the spool, else deleted; what the server
    refuses is moved to `refused`. Raises Away when the server cannot be reached or has no time,
    Forbidden when the key is no good, LibraryBusy when another process sends this spool.
    """
    if not spool.is_dir():
        raise UsageError(f"{spool} is no folder with files to send")
    companions = Companions()
    try:
        with locked(spool):
            for path in waiting(spool):
                companions.look()
                try:
                    job = _sent(path, server, companions)
                except Refused as error:
                    _aside(path, "refused", keep=True)
                    yield Pushed(path, problem=str(error))
                    continue
                _aside(path, "pushed", keep=keep)
                yield Pushed(path, job)
    except LibraryBusy as error:
        raise LibraryBusy(f"another process sends the files of {spool}") from error


def waiting(spool: Path) -> list[Path]:
    """The files of a spool that are to be sent, in their order."""
    with writing(spool):
        entries = sorted(spool.iterdir())
    return [
        path
        for path in entries
        if not path.name.startswith(".") and path.suffix.lower() not in _LEFT_ALONE
        and path.is_file() and path.stat().st_size
    ]  # fmt: skip


def wait_after(failures: int, asked: float | None) -> float:
    """Seconds until the next attempt, after so many that failed in a row."""
    usual = min(FIRST_WAIT * 2.0 ** min(failures, 20), LAST_WAIT)
    return usual if asked is None else max(asked, FIRST_WAIT)


def _sent(path: Path, server: Server, companions: Companions) -> str:
    """Send one file from where it stands; returns the server's job."""
    status = path.stat()
    upload = _known(path, server)
    offset = server.offset(upload.id) if upload is not None else None
    if upload is None or offset is None:
        identity = server.begin(_plan(path, companions))
        upload = _Upload(server.address, path.name, status.st_size, status.st_mtime_ns, identity)
        write_atomically(path.with_name(_STATE), json.dumps(asdict(upload)).encode())
        offset = 0
    with path.open("rb") as file:
        while offset < status.st_size:
            file.seek(offset)
            piece = file.read(PIECE)
            now = server.part(upload.id, offset, piece)
            if not piece or now > status.st_size:
                raise Refused(f"{path} changed while it was sent")
            offset = now
    return server.finish(upload.id)


def _plan(path: Path, companions: Companions) -> dict[str, Any]:
    """What the server is told of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    known = companions.of(path).about
    plan: dict[str, Any] = {"bytes": path.stat().st_size, "name": path.name, "sha256": digest}
    plan |= {"title": known.title, "date": known.recorded} if known.title or known.recorded else {}
    return plan | {"tags": list(known.tags), "meta": dict(known.meta)}


def _known(path: Path, server: Server) -> _Upload | None:
    """The upload that an earlier attempt began, if it is of this file and this server."""
    with suppress(OSError, ValueError, TypeError):
        found = _Upload(**json.loads(path.with_name(_STATE).read_text("utf-8")))
        status = path.stat()
        wanted = (server.address, path.name, status.st_size, status.st_mtime_ns)
        if (found.server, found.name, found.size, found.modified) == wanted and found.id.isalnum():
            return found
    return None


def _aside(path: Path, folder: str, *, keep: bool) -> None:
    """Take a file, and what is said of it, out of the spool."""
    beside = [path.with_suffix(".json"), path.with_name(path.name + ".json")]
    for one in (path, *(each for each in beside if each.exists())):
        if keep:
            target = path.parent / folder / one.name
            with writing(target):
                target.parent.mkdir(exist_ok=True)
                publish(one, target)
        else:
            discard(one)
    discard(path.with_name(_STATE))


def _offset(answer: Answer) -> int:
    text = answer.headers.get("upload-offset", "")
    if not text.isdecimal():
        raise Away("the server does not say how much has arrived")
    return int(text)


def _json(answer: Answer) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        found = json.loads(answer.body)
        if isinstance(found, dict):
            return found
    return {}


def _raise(answer: Answer) -> int:
    raise _refusal(answer)


def _refusal(answer: Answer) -> EarshotError:
    """What a status means for the file, and for all that are to follow."""
    told = _json(answer).get("error")
    message = told.get("message") if isinstance(told, dict) else None
    says = f"the server says {answer.status}: {message or answer.reason or 'nothing more'}"
    says = " ".join(says.split())[:500]
    if answer.status in (401, 403):
        return Forbidden(says)
    if answer.status in (400, 413, 415, 422):
        return Refused(says)
    return Away(says, retry_after(answer.headers.get("retry-after", "")))


Sleep = Callable[[float], None]


def push_for_ever(
    spool: Path, server: Server, stopped: Callable[[], bool], *, keep: bool = False,
    told: Callable[[str], None] = lambda _: None, look: float = 2.0, sleep: Sleep = time.sleep,
) -> Iterator[Pushed]:  # fmt: skip
    """Send what comes into a spool until it is stopped, over a line that comes and goes.

    `told` hears, once, that the server is away, and that it is back.
    """
    failures = 0
    while not stopped():
        wait = look
        try:
            for one in push(spool, server, keep=keep):
                if failures:
                    told("the server is back")
                failures = 0
                yield one
                if stopped():
                    return
        except Away as error:
            if not failures:
                told(f"{error}; what waits is sent as soon as it can be")
            wait = wait_after(failures, error.wait)
            failures += 1
        while wait > 0 and not stopped():
            sleep(min(wait, 0.5))
            wait -= 0.5
