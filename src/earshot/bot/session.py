"""What was wanted last, and what was shown of it, so that the next sentence can go on from there.

A small JSON file a conversation, replaced as a whole; one that cannot be read is a conversation
that begins anew. This module knows nothing of what sentences mean.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from earshot.bot.dates import Stretch
from earshot.bot.grammar import Intent
from earshot.index.durable import discard, write_atomically
from earshot.sources import home

FORMAT = 1
_NAME = re.compile(r"[\w.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Shown:
    """A recording that was shown: its id, what it is called, and the spans that were told of it.

    Spans are seconds, from and to.
    """

    recording: str
    name: str
    spans: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation so far: what was wanted, what was shown last, and how much before that."""

    intent: Intent | None = None
    shown: tuple[Shown, ...] = ()
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """Where a conversation is kept: of one library, under a name."""

    library: Path
    name: str = "default"
    _suffix: str = field(default=".json", repr=False)

    @property
    def path(self) -> Path:
        """The file; names that are none for a file share one."""
        plain = self.name if _NAME.fullmatch(self.name) and ".." not in self.name else "other"
        return home(self.library) / "asked" / (plain + self._suffix)

    def load(self) -> Session:
        """The conversation so far; an empty one if there is none, or none that can be read."""
        try:
            data = json.loads(self.path.read_text("utf-8"))
            return _session(data) if data["format"] == FORMAT else Session()
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return Session()

    def save(self, session: Session) -> None:
        """Keep the conversation; raises LibraryError when it cannot be written."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        data = json.dumps({"format": FORMAT, **asdict(session)}, ensure_ascii=False)
        write_atomically(self.path, data.encode())

    def forget(self) -> None:
        """Begin anew."""
        discard(self.path)


def _session(data: dict[str, Any]) -> Session:
    intent = data["intent"]
    if intent is not None:
        filters = tuple(map(str, intent.pop("filters")))
        when = Stretch(**intent.pop("when"))
        intent = Intent(**intent, filters=filters, when=when)
    shown = tuple(
        Shown(str(one["recording"]), str(one["name"]),
              tuple((float(start), float(end)) for start, end in one["spans"]))
        for one in data["shown"]
    )  # fmt: skip
    return Session(intent, shown, int(data["offset"]))
