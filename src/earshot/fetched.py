"""Where a library keeps what it fetched from URLs: by content, as long as a recording needs it.

It knows names only, and nothing of how things are fetched or listened to.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from earshot.rows import located
from earshot.types import Recording

MEDIA = "media"
"""The folder of a library in which what was fetched is kept."""

URL = "url"
"""The name, in a recording's metadata, of where it was fetched from."""

_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_NAME = re.compile(r"[0-9a-f]{64}(\.[a-z0-9]{1,5})?")


def name_of(digest: str, given: str) -> str:
    """What a file is called there: its SHA-256, and its suffix, which a few formats need."""
    suffix = Path(given).suffix.lower()
    return digest + (suffix if _SUFFIX.fullmatch(suffix) else "")


def unfinished(library: Path, url: str) -> Path:
    """The file in which what comes from a URL is gathered, the same one whenever it is tried."""
    return library / MEDIA / f".{hashlib.sha256(url.encode()).hexdigest()[:16]}.part"


def forget(library: Path, removed: Iterable[Recording]) -> None:
    """Delete what was fetched for recordings that are no more; files that lie elsewhere stay."""
    own = located(library / MEDIA)
    for recording in removed:
        path = Path(recording.path)
        if str(path.parent) == own and _NAME.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()
