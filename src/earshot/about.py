"""What its owner says of a recording: title, date, tags, metadata; and what a change of it makes.

It knows nothing of where that is kept, and nothing of how a recording sounds.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from earshot.errors import QueryError, UsageError
from earshot.query import plain_date
from earshot.types import Recording

LONGEST = 1000  # characters of a title, tag, name or value


@dataclass(frozen=True, slots=True)
class About:
    """What is to be known of a recording; build one with `about`, which checks it.

    None leaves title or date as they are, an empty date takes it away. Tags are added and taken
    away; `meta` sets values by name, and takes away those that are empty.
    """

    title: str | None = None
    recorded: str | None = None
    tags: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()

    def applied(self, recording: Recording) -> Recording:
        """The recording with what is said here."""
        gone = {tag.casefold() for tag in self.without_tags}
        tags: dict[str, str] = {}  # those that differ in case only are one
        for tag in (*recording.tags, *self.tags):
            tags.setdefault(tag.casefold(), tag)
        recorded = recording.recorded if self.recorded is None else self.recorded
        meta = dict(recording.meta) | dict(self.meta)
        return replace(
            recording,
            title=recording.title if self.title is None else self.title,
            recorded=recorded or None,
            tags=tuple(tag for key, tag in tags.items() if key not in gone),
            meta=tuple((name, value) for name, value in meta.items() if value),
        )


NOTHING = About()
"""Leaves all as it is."""


def about(
    *,
    title: str | None = None,
    date: str | None = None,
    tags: Iterable[str] = (),
    without_tags: Iterable[str] = (),
    meta: Mapping[str, str] | None = None,
) -> About:
    """An About of plain texts; raises UsageError for what is empty, too long, or no date."""
    if date:
        try:
            plain_date(date)
        except QueryError as error:
            raise UsageError(str(error)) from None
    for name in meta or {}:
        if not name or any(sign.isspace() or sign in '.:"()|\\=' for sign in name):
            raise UsageError(
                f"'{name}' is no name for metadata: it is one word without . : = and parentheses"
            )
    return About(
        title=None if title is None else _plain("title", title),
        recorded=date,
        tags=tuple(_plain("tag", tag) for tag in tags),
        without_tags=tuple(_plain("tag", tag) for tag in without_tags),
        meta=tuple(
            (_plain("name", name), _plain("value", value) if value.strip() else "")
            for name, value in (meta or {}).items()
        ),
    )


def _plain(what: str, text: str) -> str:
    """A text in the one form of its accents, without spaces around it and half characters."""
    whole = os.fsencode(text).decode("utf-8", "replace")
    plain = unicodedata.normalize("NFC", " ".join(whole.split()))
    if not plain:
        raise UsageError(f"a {what} cannot be empty")
    if len(plain) > LONGEST:
        raise UsageError(f"a {what} has at most {LONGEST} characters, this one has {len(plain)}")
    return plain
