"""The commands `earshot follow`, `unfollow`, `feeds` and `sync`: podcasts that are followed.

Words and exit statuses only; `sources.subscriptions` remembers, `sources.syncing` does the work.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from earshot.about import about
from earshot.errors import EarshotError, UsageError
from earshot.library import Library, default_folder
from earshot.options import Json, LibraryFolder, NetworkChoice, NewTags, folder_of
from earshot.outcome import Status
from earshot.present import Terminal, clock, complain, print_rows, printable, say
from earshot.progress import progress_bar, stoppable
from earshot.query.filters import length
from earshot.sources import home
from earshot.sources.outlines import Outline, read_outlines, write_outlines
from earshot.sources.subscriptions import Followed, Subscriptions

if TYPE_CHECKING:
    from earshot.sources.syncing import News
    from earshot.sources.web import Web

_SHORTEST_EVERY = 60.0  # seconds
_PAUSE = 1.0  # seconds

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FEED...]", help="Addresses, numbers or titles (default: all)."),
]

Private = Annotated[bool, typer.Option("--allow-private", help="Fetch from private networks too.")]


def follow(
    context: typer.Context,
    feeds: Annotated[
        list[str], typer.Argument(metavar="FEED...", help="Addresses of feeds, or OPML files.")
    ],
    library: LibraryFolder = None,
    newest: Annotated[
        int | None, typer.Option(min=1, help="Only so many of its newest episodes.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only episodes of this day or later.")
    ] = None,
    tag: NewTags = None,
    allow_private: Private = False,
) -> None:
    """Follow podcasts: `earshot sync` then gets their episodes, now and whenever there are new."""
    known = about(date=since, tags=tag or ())
    failed = False
    web = _web(allow_private)
    with _subscriptions(context, library) as subscriptions:
        for one in feeds:
            listed = _outlines(one)
            before = {feed.address for feed in subscriptions.feeds()}
            for outline in listed or [Outline(_address(one), "")]:
                feed = subscriptions.follow(
                    outline.address, outline.title, tags=known.tags, newest=newest, since=since
                )
                if listed:  # asked by the next sync, each in its turn
                    say(f"following {feed.id}  {feed.title}")
                else:
                    failed |= not _first_look(web, subscriptions, feed, feed.address in before)
    if failed:
        raise typer.Exit(1)


def unfollow(
    context: typer.Context,
    feeds: Annotated[
        list[str], typer.Argument(metavar="FEED...", help="Addresses, numbers or titles.")
    ],
    library: LibraryFolder = None,
) -> None:
    """Follow podcasts no longer; what the library has of them stays."""
    with _subscriptions(context, library) as subscriptions:
        for one in feeds:
            feed = subscriptions.unfollow(one)
            say(f"unfollowed {feed.title}: its {feed.added} recordings stay in the library")


def feeds(
    context: typer.Context,
    library: LibraryFolder = None,
    opml: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write them as OPML, for other podcast programs."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show which podcasts are followed, and how their episodes stand."""
    with _subscriptions(context, library) as subscriptions:
        found = subscriptions.feeds()
    if opml is not None:
        write_outlines(opml, (Outline(one.address, one.title) for one in found))
        say(f"{opml}: {len(found)} feeds")
    elif as_json:
        for one in found:
            print(json.dumps(asdict(one), ensure_ascii=False))
    elif not found:
        say("no feed is followed: earshot follow ADDRESS")
    else:
        _print_feeds(found)


def sync_(
    context: typer.Context,
    feeds: Names = None,
    library: LibraryFolder = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Get so many episodes at most.")] = None,
    discard: Annotated[
        bool, typer.Option("--discard", help="Do not keep the files once they have been heard.")
    ] = False,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try what was given up, too, and try it now.")
    ] = False,
    pause: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="Between requests to one server.")
    ] = _PAUSE,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Go on for ever, so often: 1h, 30m.")
    ] = None,
    network: NetworkChoice = None,
    allow_private: Private = False,
) -> None:
    """Get new episodes of the podcasts that are followed, and add them to the library."""
    from earshot.sources.syncing import Wish, sync  # see `_web`

    wait = None if every is None else length(every)
    if wait is not None and wait < _SHORTEST_EVERY:
        raise UsageError(f"'{every}' is too often: servers are asked once a minute at most")
    folder = folder_of(context, library)
    opened = Library(folder) if network is None else Library(folder, network)
    web = _web(allow_private, pause)
    with opened, Subscriptions(home(opened.path)) as subscriptions:
        while True:
            chosen = [subscriptions.find(one) for one in feeds] if feeds else None
            if not subscriptions.feeds() and wait is None:
                raise UsageError("no feed is followed: earshot follow ADDRESS")
            if retry:
                for feed in chosen or subscriptions.feeds():
                    subscriptions.retry(feed)
            with progress_bar() as shown, stoppable(shown) as progress:
                wish = Wish(limit=limit, keep=not discard, now=retry, progress=progress)
                well = _told(sync(opened, subscriptions, web, chosen, wish))
            if wait is None:
                break
            time.sleep(wait)
    if not well:
        raise typer.Exit(1)


def _web(allow_private: bool, pause: float = _PAUSE) -> Web:
    from earshot.fetching import ANY_NETWORK, Rules  # all of HTTP, which no search needs
    from earshot.sources.web import Web

    return Web(Rules(allowed=ANY_NETWORK if allow_private else ()), pause)


def _subscriptions(context: typer.Context, library: Path | None) -> Subscriptions:
    return Subscriptions(home(folder_of(context, library) or default_folder()))


def _outlines(given: str) -> tuple[Outline, ...]:
    """The feeds of an OPML file, if that is what was given."""
    path = Path(given)
    return read_outlines(path) if "://" not in given and path.exists() else ()


def _address(given: str) -> str:
    """An address as it is asked for: podcast programs have schemes of their own for feeds."""
    plain = re.sub(r"^(?:feed|itpc|pcast|podcast):(?://)?(?=https?://)", "", given.strip())
    plain = re.sub(r"^(?:feed|itpc|pcast|podcast)://", "https://", plain)
    if "://" not in plain and re.match(r"[\w-]+(\.[\w-]+)+(/|:\d|$)", plain):
        plain = f"https://{plain}"
    if not plain.lower().startswith(("http://", "https://")):
        raise UsageError(f"'{given}' is neither the address of a feed nor an OPML file that exists")
    return plain


def _first_look(web: Web, subscriptions: Subscriptions, feed: Followed, known: bool) -> bool:
    """Read a feed that has just been named; what is no feed is not followed."""
    from earshot.sources.syncing import check  # see `_web`

    news = check(web, subscriptions, feed)
    if news.problem:
        if not known:
            subscriptions.unfollow(feed.address)
        complain(news.problem)
        return False
    now = subscriptions.find(feed.address)
    had = f", {now.added} in the library" if now.added else ""
    say(f"following {now.id}  {now.title}: {now.waiting} episodes to get{had}")
    if news.note:
        complain(f"{now.title}: {news.note}")
    return True


def _told(all_news: Iterator[News]) -> bool:
    """Print what happens as it happens; whether all went well."""
    counts: Counter[str] = Counter()
    audio = 0.0
    try:
        for news in all_news:
            title, outcome = news.feed.title, news.outcome
            if news.problem:
                counts["failed"] += 1
                about_what = f"{title}: {news.episode.title}" if news.episode else title
                print(
                    printable(f"{about_what}: {news.problem}").rstrip("."),
                    file=sys.stderr,
                    flush=True,
                )
            elif outcome is not None and outcome.recording is not None and news.episode:
                counts[outcome.status.value] += 1
                note = f" ({outcome.note})" if outcome.note else ""
                long = clock(outcome.recording.duration)
                what = f"{outcome.status.value} {outcome.recording.id}  {long}"
                say(f"{what}  {title}: {news.episode.title}{note}")
                audio += outcome.recording.duration * (outcome.status is Status.ADDED)
            elif news.episode is not None:
                if sys.stderr.isatty():
                    print(printable(f"getting {title}: {news.episode.title}"), file=sys.stderr)
            elif news.new:
                say(f"{title}: {news.new} new episode{'s' * (news.new != 1)}")
            if news.note:
                complain(f"{title}: {news.note}")
    except (EarshotError, KeyboardInterrupt):
        say(f"stopped: {_counted(counts)}; the same command goes on from here")
        raise
    say(_counted(counts) + (f" ({clock(audio)} of audio)" if audio else ""))
    return not counts["failed"]


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[status.value]} {status.value}" for status in Status)


def _print_feeds(found: tuple[Followed, ...]) -> None:
    rows = []
    for one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.checked)) if one.checked else "–"
        rows.append((str(one.id), one.title, str(one.added), str(one.waiting), str(one.failed),
                     when, one.address))  # fmt: skip
    names = ("#", "Feed", "In library", "Waiting", "Given up", "Read", "Address")
    terminal = Terminal()
    print_rows(terminal, names, rows)
    for one in found:
        if one.problem:
            terminal.print(Text(printable(f"{one.id}  {one.problem}"), style="dim"))
