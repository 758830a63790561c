"""What adding tells while it works: how far it is, and what became of each file.

Frozen dataclasses that pass from `adding` to whoever shows them; this module knows nothing of how
a file is listened to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from earshot.types import Recording


class Status(StrEnum):
    """What became of a file."""

    ADDED = "added"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    `recording` is the one that was added or that the library already had. `note` is the reason
    of a failure, or a warning about a file that was added; empty when there is nothing to say.
    """

    path: str
    status: Status
    recording: Recording | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far adding is: `seconds` of the file's audio heard, of `duration` if that is known.

    `file` counts from 1 to `files`. While a URL is fetched, `fetched` bytes of it are there, of
    `bytes` if that is known; afterwards both are None.
    """

    path: str
    file: int
    files: int
    seconds: float
    duration: float | None
    fetched: int | None = None
    bytes: int | None = None


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class AddReport:
    """What became of all files of one `Library.add`."""

    outcomes: tuple[Outcome, ...]

    @property
    def added(self) -> tuple[Recording, ...]:
        """Recordings that the library has now and had not before."""
        return self._recordings(Status.ADDED)

    @property
    def skipped(self) -> tuple[Recording, ...]:
        """Recordings that the library already had, by content."""
        return self._recordings(Status.SKIPPED)

    @property
    def failed(self) -> tuple[tuple[str, str], ...]:
        """Path and reason of each file that could not be added."""
        return tuple((o.path, o.note) for o in self.outcomes if o.status is Status.FAILED)

    def _recordings(self, status: Status) -> tuple[Recording, ...]:
        chosen = (o.recording for o in self.outcomes if o.status is status)
        return tuple(recording for recording in chosen if recording is not None)
