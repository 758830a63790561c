"""An HTTP server of the tests' own, on this machine, for as long as it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], **shared: Any) -> Iterator[str]:
    """Its address; `shared` are attributes that all requests' handlers have."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (handler,), shared))
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
