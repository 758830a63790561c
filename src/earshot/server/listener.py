"""The process that listens: tasks as JSON lines in, progress and outcomes as JSON lines out.

Files are decoded in a process of their own (`earshot.media.apart`), so that a decoder that crashes
or hangs costs one job. It ends when its server does:
its input ends, or its output has no reader. It knows the library and nothing of jobs, databases and
HTTP.

    {"library": "...", "path": "...", "scratch": "...", "about": {...}, ...}   ->
    {"heard": 30.0, "duration": 71.2}  {"heard": 60.0, ...}
    {"outcome": "added", "recording": "3f2a1b4c5d6e", "duration": 71.2, "note": ""}

A task with a `url` has that fetched into its `path`: {"outcome": "fetched", "bytes": 59752, ...}
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from earshot.about import About
from earshot.errors import (
    AddressRefused,
    EarshotError,
    FetchError,
    LibraryError,
    MediaError,
    NetworkError,
)
from earshot.fetching import Rules, download
from earshot.library import Library
from earshot.outcome import Outcome, Progress, ProgressCallback


def main() -> None:
    """Listen to one task after the other until the input ends."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever else prints must not be taken for an answer
    libraries: dict[tuple[str, str], Library] = {}
    for line in sys.stdin:
        _tell(out, _done(json.loads(line), libraries, out))


def _done(
    task: dict[str, Any], libraries: dict[tuple[str, str], Library], out: TextIO
) -> dict[str, Any]:
    """What became of one task."""
    try:
        if "url" in task:
            return _fetched(task, out)
        named = task["library"], task["network"]
        if named not in libraries:  # its network is loaded once
            libraries[named] = Library(named[0], named[1] or None)
        return _heard(task, libraries[named], out)
    except (LibraryError, NetworkError) as error:
        return {"outcome": "failed", "code": "library_error", "note": str(error)}
    except AddressRefused as error:
        return {"outcome": "failed", "code": "address_refused", "note": str(error)}
    except FetchError as error:
        return {"outcome": "failed", "code": "not_fetched", "note": str(error)}
    except EarshotError as error:
        return {"outcome": "failed", "code": "bad_media", "note": str(error)}


def _fetched(task: dict[str, Any], out: TextIO) -> dict[str, Any]:
    """Fetch a file from anywhere that strangers may reach."""
    rules = Rules(allowed=tuple(task["networks"]), most_bytes=task["most_bytes"])

    def progress(*_: object) -> None:
        _tell(out, {"heard": 0.0, "duration": None})  # notes that the server is gone, too

    file = download(task["url"], Path(task["path"]), rules, progress)
    return {"outcome": "fetched", "note": "", "bytes": file.bytes, "name": file.name}


def _heard(task: dict[str, Any], library: Library, out: TextIO) -> dict[str, Any]:
    """Listen to a file and add it."""
    said = task["about"]
    about = About(
        said["title"],
        said["recorded"],
        tuple(said["tags"]),
        meta=tuple((name, value) for name, value in said["meta"]),
    )
    most = task["most_seconds"]

    def progress(now: Progress) -> None:
        _tell(out, {"heard": now.seconds, "duration": now.duration})
        if now.seconds > most or (now.duration or 0.0) > most:
            raise MediaError(
                f"it is longer than the {most / 3600:g} hours that this server accepts "
                "(max_recording_hours)"
            )

    outcome = _added(library, task, about, progress)
    answer: dict[str, Any] = {
        "outcome": str(outcome.status),
        "note": outcome.note,
        "code": "bad_media",
    }
    if outcome.recording is not None:
        answer |= {"recording": outcome.recording.id, "duration": outcome.recording.duration}
    return answer


def _added(
    library: Library, task: dict[str, Any], about: About, progress: ProgressCallback
) -> Outcome:
    from earshot.adding import add_apart  # loads FFmpeg: a server that waits needs none
    from earshot.media import STRANGERS, Decoder

    limits = replace(STRANGERS, hours=task["most_seconds"] / 3600)

    # A folder of its own: the child of a server that was killed may still be at the same file.
    with (
        Decoder(limits) as decoder,
        TemporaryDirectory(prefix="hearing-", dir=task["scratch"]) as scratch,
    ):
        return add_apart(
            Path(task["path"]),
            library=library.path,
            scratch=Path(scratch),
            network=library.listener(),
            channels=task["channels"],
            progress=progress,
            about=about,
            decoder=decoder,
        )


def _tell(out: TextIO, message: dict[str, Any]) -> None:
    try:
        out.write(json.dumps(message) + "\n")
        out.flush()
    except BrokenPipeError:
        os._exit(1)  # the server is gone; whoever comes next does this again


if __name__ == "__main__":
    main()
