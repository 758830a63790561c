"""Settings -> a running server: library and database made ready, then uvicorn.

As long as no key was made it listens on loopback only, whatever the settings say. With several
workers each is a process of its own; one of them listens to recordings (see `listening`).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import logging.config
import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from earshot.errors import UsageError
from earshot.server import keys
from earshot.server.app import create_app
from earshot.server.keys import DEFAULT_PROJECT
from earshot.server.metrics import FOLDER_VARIABLE
from earshot.server.service import opened_shelf
from earshot.server.settings import Settings
from earshot.server.store import Store

_HANDED_OVER = "EARSHOT_SERVE_SETTINGS"  # from the process that was started to its workers
_SHUTDOWN_SECONDS = 10
LOOPBACK = "127.0.0.1"


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `say` gets sentences for the person who started it.

    Raises LibraryError, NetworkError or StoreError when there is nothing to serve.
    """
    opened_shelf(settings, DEFAULT_PROJECT).library.close()
    if not asyncio.run(_prepared(settings)) and not is_loopback(settings.host):
        say(
            f"no API key has been made yet: listening on {LOOPBACK} only, not on {settings.host} "
            "(earshot key create makes one)"
        )
        settings = settings.model_copy(update={"host": LOOPBACK})
    os.environ[_HANDED_OVER] = settings.model_dump_json()
    config = uvicorn.Config(
        "earshot.server.serving:application",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.workers,
        log_config=_logging(settings.logs),
        access_log=False,
        server_header=False,
        date_header=True,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        h11_max_incomplete_event_size=64 << 10,
    )
    if settings.workers > 1:
        os.environ[FOLDER_VARIABLE] = _figures(settings)
    listening = _bound(settings)
    listening.listen(config.backlog)  # from here on whoever connects is answered, if not at once
    host, port = listening.getsockname()[:2]
    say(f"listening on http://{f'[{host}]' if ':' in host else host}:{port} ({settings.library})")
    if settings.workers > 1:
        Multiprocess(config, sockets=[listening]).run()
    else:
        uvicorn.Server(config).run(sockets=[listening])


def _figures(settings: Settings) -> str:
    """An empty folder in which several workers keep their figures."""
    folder = settings.folder / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return str(folder)


def _bound(settings: Settings) -> socket.socket:
    """A socket at the address that was set; raises UsageError."""
    bound = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((settings.host, settings.port))
    except OSError as error:
        bound.close()
        raise UsageError(
            f"{settings.host}:{settings.port} cannot be listened on "
            f"({error.strerror or error}): choose another --host or --port"
        ) from None
    bound.set_inheritable(True)
    return bound


def application() -> FastAPI:
    """The application of a worker; its settings come from the process that was started."""
    return create_app(Settings(**json.loads(os.environ[_HANDED_OVER])))


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _prepared(settings: Settings) -> bool:
    """Make the database ready; whether a key was ever made."""
    store = Store(settings.database_url)
    try:
        await store.prepare()
        return await keys.any_made(store)
    finally:
        await store.close()


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("request_id", "status", "seconds", "project", "key"):
            if hasattr(record, name):
                fields[name] = getattr(record, name)
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _logging(form: str) -> dict[str, Any]:
    """The log goes to standard error, a line an event."""
    text = {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}
    lines = {"()": "earshot.server.serving.JsonLines"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": lines if form == "json" else text},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "lines"},
        },
        "loggers": {
            "earshot.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
        },
    }
