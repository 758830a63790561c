"""Messages to a Slack channel, posted to an incoming webhook. What cannot be posted is only told.

Knows nothing of networks.
"""

from __future__ import annotations

import http.client
import json
import logging
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kur.arguments import ArgumentError

_SECONDS = 10.0
_log = logging.getLogger("kur")


@dataclass(frozen=True, kw_only=True)
class Slack:
    """What the hook `slack` takes: the channel, the `url` of its incoming webhook, and how the
    message is to look. Files (`token`, `extra_files`) are no longer taken by Slack in Kur's way."""

    channel: str
    url: str | None = None
    user: str = "kur"
    icon: str = "dragon"
    title: str | None = None
    token: str | None = None
    extra_files: list[str] | str | None = None

    def __post_init__(self) -> None:
        if self.url is None:
            raise ArgumentError("'slack' needs 'url', that of an incoming webhook")
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ArgumentError(f"'url' must begin with https://, found {self.url!r}", "url")
        if self.token is not None or self.extra_files:
            _log.warning("slack: files are not sent; Slack ended files.upload in 2025")

    def post(self, text: str, info: Mapping[str, Any] | None = None) -> bool:
        """Post a message; whether that went well."""
        if self.title is not None:
            text = f"{self.title}: {text}"
        if info:
            more = ", ".join(f"{key} = {value}" for key, value in info.items())
            text = f"{text} More information: {more}"
        body = {"channel": self.channel, "username": self.user, "text": text}
        body["icon_emoji"] = f":{self.icon}:"
        request = urllib.request.Request(
            str(self.url),
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
                answer.read(1024)
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            # The address is a secret: who has it can post.
            _log.warning("slack: the message could not be posted to %s: %s", self.channel, error)
            return False
        return True
