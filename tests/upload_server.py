"""The part of the server's HTTP interface that takes files in pieces, over a line that breaks."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from local_servers import serving


@dataclass
class Received:
    """What a server has: files in their order, uploads on their way, and what it was asked.

    `faults` say what goes wrong, an entry a request: a status, "drop" (the connection breaks before
    the answer) or "cut" (it breaks when half of the piece has come).
    """

    address: str = ""
    files: list[tuple[dict[str, Any], bytes]] = field(default_factory=list)
    uploads: dict[str, tuple[dict[str, Any], bytearray]] = field(default_factory=dict)
    faults: list[int | str | None] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    key: str | None = None
    bytes: int = 0


class _Handler(BaseHTTPRequestHandler):
    """Answers for what was received."""

    has: Received
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if not self._allowed():
            return
        if self.path == "/api/v1/uploads":
            plan = json.loads(self._body())
            name = f"{len(self.has.uploads) + 1:032x}"
            self.has.uploads[name] = (plan, bytearray())
            return self._answer(201, {"id": name})
        plan, data = self.has.uploads[self.path.split("/")[4]]
        assert self.path.endswith("/finish") and len(data) == plan["bytes"]
        assert hashlib.sha256(data).hexdigest() == plan["sha256"]
        if bytes(data) not in [one for _, one in self.has.files]:
            self.has.files.append((plan, bytes(data)))
        del self.has.uploads[self.path.split("/")[4]]
        fault = self._fault()
        return None if fault == "drop" else self._answer(202, {"id": f"job{len(self.has.files)}"})

    def do_HEAD(self) -> None:
        if not self._allowed():
            return
        known = self.has.uploads.get(self.path.split("/")[4])
        if known is None:
            return self._answer(404, None)
        self._answer(200, None, {"Upload-Offset": str(len(known[1]))})

    def do_PATCH(self) -> None:
        if not self._allowed():
            return
        piece = self._body()
        _, data = self.has.uploads[self.path.split("/")[4]]
        if int(self.headers["Upload-Offset"]) != len(data):
            return self._answer(409, {}, {"Upload-Offset": str(len(data))})
        fault = self._fault()
        came = piece[: len(piece) // 2] if fault == "cut" else piece
        data += came
        self.has.bytes += len(came)
        if fault in ("cut", "drop"):
            self.close_connection = True
            return
        self._answer(204, None, {"Upload-Offset": str(len(data))})

    def _allowed(self) -> bool:
        self.has.requests.append(f"{self.command} {re.sub('[0-9a-f]{32}', 'ID', self.path)}")
        if self.has.key and self.headers.get("Authorization") != f"Token {self.has.key}":
            self._answer(401, {"error": {"message": "give a key"}})
            return False
        if self.has.faults and isinstance(self.has.faults[0], int):
            status = self.has.faults.pop(0)
            self._answer(int(status), {"error": {"message": "not this one"}}, {"Retry-After": "7"})
            return False
        return True

    def _fault(self) -> int | str | None:
        return self.has.faults.pop(0) if self.has.faults else None

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(
        self, status: int, body: dict[str, Any] | None, headers: dict[str, str] | None = None
    ) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def receiving() -> Iterator[Received]:
    """A server on this machine for as long as it is needed."""
    has = Received()
    with serving(_Handler, has=has) as has.address:
        yield has
