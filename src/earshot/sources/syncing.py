"""New episodes of the feeds that a library follows -> recordings of that library.

One feed after the other: its document, if it has changed; then episode by episode the file, from
where its download stopped, and the library. Each step is settled on the disk before the next, so
that whatever is interrupted goes on where it was and no episode is added twice. What fails costs
itself only, and is tried again later. This module prints nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from earshot.about import LONGEST, About, about
from earshot.errors import AddressRefused, FeedError, FetchError, LibraryBusy
from earshot.index import locked
from earshot.index.durable import discard, writing
from earshot.outcome import Outcome, Status
from earshot.sources import feeds
from earshot.sources.feeds import Episode, Feed
from earshot.sources.subscriptions import Awaited, Followed, Subscriptions
from earshot.sources.web import Refused, Web, forget

if TYPE_CHECKING:
    from earshot.library import Library
    from earshot.outcome import ProgressCallback

EPISODES = "episodes"
"""The folder, beside the database of feeds, where the files of episodes lie."""

BUSY_SECONDS = 600.0
"""For so long another process may hold the library before a sync gives up."""

_ACCEPT = "application/rss+xml, application/atom+xml, application/xml;q=0.9, */*;q=0.5"
_SUFFIX = re.compile(r"\.[a-z0-9]{2,5}$")
_SUFFIXES = {
    "audio/mpeg": ".mp3", "audio/mp3": ".mp3", "audio/mp4": ".m4a", "audio/x-m4a": ".m4a",
    "audio/aac": ".aac", "audio/ogg": ".ogg", "audio/opus": ".opus", "audio/flac": ".flac",
    "audio/wav": ".wav", "audio/x-wav": ".wav", "video/mp4": ".mp4", "video/webm": ".webm",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class News:
    """Something that happened: to a feed, or to one of its episodes.

    `outcome` is what became of an episode's file; `problem` says what went wrong, `note` what was
    wrong and did no harm. An episode with none of them is about to be fetched. `new` counts the
    episodes that a feed has and had not before.
    """

    feed: Followed
    episode: Episode | None = None
    outcome: Outcome | None = None
    problem: str = ""
    note: str = ""
    new: int = 0


@dataclass(frozen=True, slots=True)
class Wish:
    """How a sync is to go: how many episodes at most, whether their files stay.

    `now` asks feeds and episodes whose time has not come again, too. `apart` decodes files in a
    process of their own."""

    limit: int | None = None
    keep: bool = True
    now: bool = False
    apart: bool = True
    progress: ProgressCallback | None = None


def fetched(web: Web, feed: Followed) -> tuple[Feed | None, str | None, str | None]:
    """What a feed says, its ETag and its date; None for the feed if nothing has changed.

    Raises FetchError (Refused among them) when it cannot be had, FeedError when it is no feed.
    """
    headers = {"Accept": _ACCEPT}
    if feed.etag:
        headers["If-None-Match"] = feed.etag
    if feed.modified:
        headers["If-Modified-Since"] = feed.modified
    found = web.document(feed.address, headers, feeds.MOST_BYTES)
    if found.body is None:
        return None, feed.etag, feed.modified
    told = found.headers
    parsed = feeds.parse(found.body, found.address, told.get("content-type", ""))
    return parsed, told.get("etag"), told.get("last-modified")


def check(web: Web, subscriptions: Subscriptions, feed: Followed) -> News:
    """Read a feed and keep what is new in it; a feed that fails is left alone for a while."""
    try:
        found, etag, modified = fetched(web, feed)
    except (FeedError, FetchError) as error:
        again = error.again if isinstance(error, Refused) else None
        subscriptions.feed_failed(feed, str(error), again)
        return News(feed, problem=str(error))
    if found is None:
        subscriptions.unchanged(feed)
        return News(feed)
    new = subscriptions.read(feed, found, etag, modified)
    return News(replace(feed, title=found.title), note=found.problem, new=new)


def sync(
    library: Library,
    subscriptions: Subscriptions,
    web: Web,
    chosen: Sequence[Followed] | None = None,
    wish: Wish = Wish(),
) -> Iterator[News]:
    """Read the feeds, get what is new and add it to the library, one piece of news at a time.

    `chosen` feeds are asked whether or not their time has come; without, all whose time has come.
    Raises LibraryBusy when another sync of this library goes on, LibraryError when something cannot
    be written; what was added before is kept.
    """
    left = wish.limit
    with _alone(subscriptions.folder):
        for feed in subscriptions.feeds() if chosen is None else chosen:
            now = wish.now or chosen is not None
            if now or feed.again <= time.time():
                news = check(web, subscriptions, feed)
                feed = news.feed
                yield news
            for one in subscriptions.awaited(feed, now=now):
                if left == 0:
                    return
                yield News(feed, one.episode)
                yield _get(library, subscriptions, web, feed, one, wish)
                left = None if left is None else left - 1


def described(feed: Followed, one: Episode) -> About:
    """What the library is to know of an episode."""
    meta = {
        "feed": feed.title,
        "episode": "" if one.number is None else str(one.number),
        "season": str(one.season or ""),
        "link": one.link if len(one.link) <= LONGEST else "",
        "chapters": _chapters(one),
        "description": _cut(" ".join(one.description.split())),
    }
    given = {name: _cut(value) for name, value in meta.items() if value}
    return about(title=_cut(one.title), date=one.date, tags=feed.tags, meta=given)


def _get(
    library: Library,
    subscriptions: Subscriptions,
    web: Web,
    feed: Followed,
    one: Awaited,
    wish: Wish,
) -> News:
    """One episode, from the feed's server to the library."""
    name = one.file or _file_name(feed, one.episode)
    target = subscriptions.folder / EPISODES / name
    if one.file is None:
        subscriptions.downloading(one, name)
    try:
        if not target.exists():
            web.file(one.episode.audio, target)
        episode = _with_chapters(web, subscriptions, one)
    except FetchError as error:
        subscriptions.failed(one, str(error), final=isinstance(error, AddressRefused))
        return News(feed, one.episode, problem=str(error))
    outcome = _added(library, target, described(feed, episode), wish)
    if outcome.status is Status.FAILED or outcome.recording is None:
        forget(target)
        problem = f"{one.episode.audio} cannot be listened to: it {_predicate(outcome.note)}"
        subscriptions.failed(one, problem)
        return News(feed, episode, outcome, problem)
    subscriptions.added(one, outcome.recording.id)
    if not wish.keep:
        discard(target)
    return News(feed, episode, outcome)


def _predicate(note: str) -> str:
    """A note such as `is text, not audio` behind "it"."""
    return note if note.split(" ")[0] in ("is", "has", "holds", "claims", "ends") else f"({note})"


def _added(library: Library, target: Path, known: About, wish: Wish) -> Outcome:
    """Add a file; whoever else writes to the library is waited for."""
    from earshot.media import STRANGERS  # loads FFmpeg

    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            # Of strangers: a file that crashes a decoder must not end the sync.
            (outcome,) = library.add(
                [target],
                about=known,
                progress=wish.progress,
                limits=STRANGERS if wish.apart else None,
            ).outcomes
            return outcome
        except LibraryBusy:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def _with_chapters(web: Web, subscriptions: Subscriptions, one: Awaited) -> Episode:
    """The episode with its chapters, where they lie elsewhere; it is as well without them."""
    episode = one.episode
    if episode.chapters or not episode.chapters_at:
        return episode
    with suppress(FetchError, ValueError, RecursionError):
        data = web.document(episode.chapters_at, {"Accept": "application/json"}, 4 << 20)
        found = feeds.chapters_of(json.loads(data.body or b"null"))
        subscriptions.chaptered(one, found)
        return replace(episode, chapters=found)
    return episode


def _chapters(one: Episode) -> str:
    """Chapters as one line, whole ones only: `0:00:00 Intro; 0:12:30 Neural nets`."""
    line = ""
    for chapter in one.chapters:
        whole_seconds = int(chapter.start)
        clock = f"{whole_seconds // 3600}:{whole_seconds // 60 % 60:02d}:{whole_seconds % 60:02d}"
        longer = f"{line}; {clock} {chapter.title}" if line else f"{clock} {chapter.title}"
        if len(longer) > LONGEST:
            break
        line = longer
    return line


def _cut(text: str) -> str:
    text = unicodedata.normalize("NFC", text)  # which can be longer
    return text if len(text) <= LONGEST else text[: LONGEST - 1].rstrip() + "…"


def _file_name(feed: Followed, one: Episode) -> str:
    """A name that a person knows the episode by, and no other episode has."""
    mark = hashlib.sha256(f"{feed.address}\n{one.key}".encode()).hexdigest()[:8]
    parts = [one.date or "", _plain(one.title)[:60], mark]
    suffix = Path(urlsplit(one.audio).path).suffix.lower()
    if not _SUFFIX.fullmatch(suffix):
        suffix = _SUFFIXES.get(one.kind, "")
    folder = f"{_plain(feed.title)[:40] or 'feed'}-{feed.id}"
    return f"{folder}/{'-'.join(part for part in parts if part)}{suffix}"


def _plain(text: str) -> str:
    """Letters and digits that every file system takes, joined by `-`."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "-", ascii_only).strip("-").lower()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One sync at a time, or two would write to one download."""
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except LibraryBusy:
            raise LibraryBusy(
                "another sync of this library goes on: wait until it has ended"
            ) from None
        yield
