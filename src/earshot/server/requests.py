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

    A body that is no upload may have `most_bytes`. `uploads` are (method, path) patterns of routes
    that count for themselves.
    """

    def __init__(self, app: ASGIApp, *, most_bytes: int, uploads: re.Pattern[str]) -> None:
        self._app = app
        self._most_bytes = most_bytes
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
        limited = not self._uploads.fullmatch(f"{scope['method']} {scope['path']}")
        body = _Body(receive, self._most_bytes if limited else None)

        async def told(message: Message) -> None:
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
            promised = headers.get("content-length", "")
            if limited and promised.isdigit() and int(promised) > self._most_bytes:
                await _too_large(told, identity, self._most_bytes)
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
    """A request's body as it is read: counted, and read to its end before it is refused."""

    def __init__(self, receive: Receive, most: int | None) -> None:
        self._receive = receive
        self._most = most
        self._read = 0
        self._ended = False

    async def receive(self) -> Message:
        """The next message; the request ends when there is more than there may be."""
        message = await self._receive()
        self._read += len(message.get("body", b""))
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if self._most is not None and self._read > self._most:
            return {"type": "http.disconnect"}
        return message

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


async def _too_large(send: Send, identity: str, most: int) -> None:
    message = f"the body is larger than the {most:,} bytes that are accepted"
    error = {"code": "too_large", "message": message, "request_id": identity}
    body = json.dumps({"error": error}).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
