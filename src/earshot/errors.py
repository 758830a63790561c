"""Every error a user of Earshot can meet, in one tree.

Each message is one sentence: which file, what was found, what was expected, what to do. The CLI
prints it and exits with `exit_status`; it knows nothing of where the errors come from.

    EarshotError
    ├── UsageError        what was asked makes no sense (bad option, unknown recording)
    │   └── QueryError    a query that cannot be searched for
    ├── MediaError        a file that cannot be listened to (missing, empty, no audio, damaged)
    ├── FetchError        something that cannot be had from its URL, or sent to one
    │   └── AddressRefused  a URL that is never asked for: no public address, no http
    ├── FeedError         a document that is no feed of episodes
    ├── NetworkError      a network folder that cannot be used
    ├── LibraryError      a library that cannot be opened, read or written
    │   ├── LibraryBusy   another process is writing to it
    │   └── OtherNetwork  the library was made by another network
    └── MissingExtra      an optional part is not installed; the message is its install line
"""

from __future__ import annotations


class EarshotError(Exception):
    """Root of all errors that are the user's to read; `exit_status` is what the CLI ends with."""

    exit_status = 1


class UsageError(EarshotError):
    """What was asked makes no sense."""

    exit_status = 2


class QueryError(UsageError):
    """A query that cannot be searched for: empty, only symbols, too long, not understood.

    `position` is the index of the character that is wrong, if it is one.
    """

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


class MediaError(EarshotError):
    """A file that cannot be listened to."""


class FetchError(EarshotError):
    """Something that cannot be had from its URL, or not be sent to one."""


class AddressRefused(FetchError):
    """A URL that is never asked for: no http, no public address, another service's port."""


class FeedError(EarshotError):
    """A document that is no feed of episodes."""


class NetworkError(EarshotError):
    """A network folder that is missing, damaged or of a newer format."""


class LibraryError(EarshotError):
    """A library that cannot be opened, read or written."""


class LibraryBusy(LibraryError):
    """Another process is writing to the library."""


class OtherNetwork(LibraryError):
    """The library's activations were made by another network than the one at hand."""


class MissingExtra(EarshotError):
    """An optional part is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} is not installed: pip install 'earshot[{extra}]'")
