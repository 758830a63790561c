"""Earshot: find the moment it was said, in audio and video, by sound.

```python
from earshot import Library

with Library() as library:
    library.add(["meeting.mp4"])
    for mention in library.search("quarterly report").mentions:
        print(mention.title, mention.start, mention.confidence)
```

Importing this package loads nothing: each name below is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from earshot.errors import (
        EarshotError,
        LibraryBusy,
        LibraryError,
        MediaError,
        MissingExtra,
        NetworkError,
        OtherNetwork,
        QueryError,
        UsageError,
    )
    from earshot.library import Library
    from earshot.outcome import AddReport, Outcome, Progress, Status
    from earshot.types import Mention, Recording, SearchResult, Span

__all__ = [
    "AddReport",
    "EarshotError",
    "Library",
    "LibraryBusy",
    "LibraryError",
    "MediaError",
    "Mention",
    "MissingExtra",
    "NetworkError",
    "OtherNetwork",
    "Outcome",
    "Progress",
    "QueryError",
    "Recording",
    "SearchResult",
    "Span",
    "Status",
    "UsageError",
]

_HOMES = {
    "library": ["Library"],
    "outcome": ["AddReport", "Outcome", "Progress", "Status"],
    "types": ["Mention", "Recording", "SearchResult", "Span"],
    "errors": [
        "EarshotError",
        "LibraryBusy",
        "LibraryError",
        "MediaError",
        "MissingExtra",
        "NetworkError",
        "OtherNetwork",
        "QueryError",
        "UsageError",
    ],
}


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"earshot.{module}"), name)
    raise AttributeError(f"module 'earshot' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
