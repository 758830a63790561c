"""Every error a user of Kur can meet, and the search for the name that was meant.

Each message is one line. It knows nothing of files, YAML or networks: those who raise say where.

    KurError
    └── KurfileError   something in a Kurfile: "file:line: path.inside: found; accepted"
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_SHORTEST_PREFIX = 3


class KurError(Exception):
    """Root of all errors that are the user's to read: one line, printed without a traceback."""

    exit_status = 1


class KurfileError(KurError):
    """Something in a Kurfile that cannot be used.

    `str()` gives `file:line: path.inside: message`, less the parts that are not known; line 0
    stands for a place without lines, such as an option of the command line.
    """

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        line: int = 0,
        path: Iterable[object] = (),
    ) -> None:
        self.message = " ".join(message.split())
        self.file = file
        self.line = line
        self.path = tuple(path)
        super().__init__(self.message)

    def __str__(self) -> str:
        place = self.file or ""
        if place and self.line:
            place = f"{place}:{self.line}"
        inside = ".".join(str(step) for step in self.path)
        return ": ".join(part for part in (place, inside, self.message) if part)


def nearest(name: object, accepted: Iterable[object]) -> str:
    """` (did you mean 'x'?)` for the accepted name most like `name`, or nothing if none is."""
    if not isinstance(name, str):
        return ""
    plain: dict[str, str] = {}
    for candidate in accepted:
        if isinstance(candidate, str) and candidate != name:
            plain.setdefault(_plain(candidate), candidate)
    close = difflib.get_close_matches(_plain(name), plain, n=1, cutoff=0.6)
    if not close and len(name) >= _SHORTEST_PREFIX:
        close = [word for word in plain if word.startswith(_plain(name))]
    return f" (did you mean {plain[close[0]]!r}?)" if close else ""


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def listed(names: Iterable[object], limit: int = 24) -> str:
    """Names for a message: sorted, joined by commas, cut after `limit`."""
    words = sorted({str(name) for name in names})
    shown = ", ".join(words[:limit])
    return f"{shown}, ..." if len(words) > limit else shown or "none"
