"""Servers on this machine that answer exactly what a test tells them to, byte by byte."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Script = Callable[[str, socket.socket], None]
"""The header of a request, and the connection to answer it on, which is closed afterwards."""


class Scripted:
    """A server: its port, and the header of every request that came."""

    def __init__(self, script: Script, context: ssl.SSLContext | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._script = script
        self._context = context
        self.port: int = self._listening.getsockname()[1]
        self.requests: list[str] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def url(self, path: str = "/talk.mp3", host: str = "127.0.0.1", scheme: str = "http") -> str:
        """The URL of a path here."""
        return f"{scheme}://{host}:{self.port}{path}"

    def close(self) -> None:
        """Answer no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listening.accept()
            except OSError:
                return
            with suppress(OSError), plain:  # a client may hang up at any time
                plain.settimeout(10)
                connection: socket.socket = plain
                if self._context is not None:
                    connection = self._context.wrap_socket(plain, server_side=True)
                with connection:
                    request = b""
                    while b"\r\n\r\n" not in request and (more := connection.recv(65536)):
                        request += more
                    header, _, body = request.decode("latin-1").partition("\r\n\r\n")
                    self.requests.append(header)
                    self._script(header + "\r\n\r\n" + body, connection)


@contextmanager
def scripted(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    """A server while the block lasts."""
    server = Scripted(script, context)
    try:
        yield server
    finally:
        server.close()


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """A whole answer over HTTP/1.1; Content-Length is told unless the headers tell something."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if not any(line.lower().startswith(("content-length", "transfer")) for line in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body
