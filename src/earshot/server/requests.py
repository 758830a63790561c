"""What happens to every request, whichever route it is for: an id, headers, limits, a log line.

Pure ASGI, so that bodies and answers pass through as they come. It knows nothing of routes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from contextlib import suppress
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from earshot.server.errors import Problem
from earshot.server.errors import told as answered
from earshot.server.metrics import REQUESTS, SECONDS

LOG = logging.getLogger("earshot.server.requests")

_REQUEST_ID = re.compile("[A-Za-z0-9._-]{8,64}")
_DRAINED_BYTES = 16 << 20
_DRAINED_SECONDS = 5.0
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), payment=()",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "no-store",
}
"""What an answer carries unless its route says otherwise."""


class Requests:
    """Gives each request its id, each answer its headers, and each pair a line in the log.

    A body that is no upload may have `most_bytes`, and must go on coming: `patience` is seconds
    without a byte. `uploads` are routes, as METHOD PATH, that see to that themselves.
    """

    def __init__(
        self, app: ASGIApp, *, most_bytes: int, patience: float, uploads: re.Pattern[str]
    ) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._patience = patience
        self._uploads = uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        identity = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        scope.setdefault("state", {})["request_id"] = identity
        begun = time.perf_counter()
        status = 500
        if self._uploads.fullmatch(f"{scope['method']} {scope['path']}"):
            body = _Body(receive, None, None)
        else:
            body = _Body(receive, self._most_bytes, self._patience)
        replaced = False

        async def told(message: Message) -> None:
            nonlocal status, replaced
            if body.trouble and not replaced:  # whatever else has been made of half a body
                replaced = True
                problem = Problem(*body.trouble, identity, {"Connection": "close"})
                await answered(scope["app"], scope["path"], problem)(scope, receive, out)
            if not replaced:
                await out(message)

        async def out(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if status >= 400:
                    await body.drain()
                answer = MutableHeaders(scope=message)
                answer["X-Request-Id"] = identity
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        try:
            body.promised(headers.get("content-length", ""))
            if body.trouble:
                await told({"type": "http.response.start"})
            else:
                await self._app(scope, body.receive, told)
        finally:
            seconds = time.perf_counter() - begun
            REQUESTS.labels(scope["method"], _route(scope), str(status)).inc()
            SECONDS.labels(_route(scope)).observe(seconds)
            LOG.info(
                "%s %s %d", scope["method"], json.dumps(scope["path"])[1:-1], status,
                extra={"request_id": identity, "status": status, **_who(scope),
                       "seconds": round(seconds, 4)},
            )  # fmt: skip


class _Body:
    """A request's body as it is read: counted, and read to its end before it is refused.

    `trouble` is the status, code and sentence to answer with when there is too much of it, or when
    it stops coming.
    """

    def __init__(self, receive: Receive, most: int | None, patience: float | None) -> None:
        self._receive = receive
        self._most = most
        self._patience = patience
        self._read = 0
        self._ended = False
        self.trouble: tuple[int, str, str] | None = None

    def promised(self, length: str) -> None:
        """What the request says of its length."""
        if self._most is not None and length.isdigit() and int(length) > self._most:
            self._too_large()

    async def receive(self) -> Message:
        """The next message; the request ends where there is trouble."""
        try:
            # A body that has ended is followed by the end of the connection, whenever that is.
            patience = None if self._ended else self._patience
            message = await asyncio.wait_for(self._receive(), patience)
        except TimeoutError:
            self._ended = True
            sentence = f"no byte of the body came for {self._patience:g} seconds"
            self.trouble = self.trouble or (408, "timeout", sentence)
            return {"type": "http.disconnect"}
        self._read += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._most is not None and self._read > self._most:
            self._too_large()
            return {"type": "http.disconnect"}
        return message

    def _too_large(self) -> None:
        sentence = f"the body is larger than the {self._most:,} bytes that are accepted"
        self.trouble = self.trouble or (413, "too_large", sentence)

    async def drain(self) -> None:
        """Read on for a moment: a client that still sends would not see an answer, but a reset."""
        most = self._read + _DRAINED_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAINED_SECONDS):
                while not self._ended and self._read < most:
                    await self.receive()


def _route(scope: Scope) -> str:
    """The pattern of the route, of which there are few; not the path, of which there are many."""
    path = str(getattr(scope.get("route"), "path", "")) or "none"
    prefix = "/api/v1"  # which a route that was included with it may not know of
    inside = scope["path"].startswith(prefix) and path != "none" and not path.startswith(prefix)
    return prefix + path if inside else path


def _who(scope: Scope) -> dict[str, Any]:
    caller = scope.get("state", {}).get("caller")
    if caller is None:
        return {}
    return {"project": caller.project, "key": caller.key}
