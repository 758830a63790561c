"""Podcasts from a real server into a library, interrupted anywhere, each episode once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from fakes import say, tone_library, write_wav
from podcast_server import Broken, Site, Status, item, rss, site

from earshot import cli, feeds_cli
from earshot.about import About
from earshot.errors import FetchError, LibraryBusy, LibraryError
from earshot.fetching import ANY_NETWORK, Rules, downloading
from earshot.index import locked
from earshot.library import Library
from earshot.outcome import AddReport, Outcome
from earshot.outcome import Status as Result
from earshot.sources import home
from earshot.sources.subscriptions import MOST_TRIES, Followed, Subscriptions, retry_in
from earshot.sources.syncing import Wish, check, sync
from earshot.sources.web import Document, Web
from earshot.types import Recording

WEB = Web(Rules(allowed=ANY_NETWORK, patience=5.0), 0.0)

HERE = Wish(apart=False)  # a process for each file takes its time; `test_the_commands` has it


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "WAITS", ())  # each attempt is a sync of its own here


@pytest.fixture
def server() -> Iterator[Site]:
    """A site with three episodes, newest first: 3, 2, 1."""
    with site() as shown:
        yield shown


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """An empty library."""
    with tone_library(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def sound(tmp_path: Path) -> bytes:
    """A file of speech."""
    return write_wav(tmp_path / "sound.wav", say("invoice")).read_bytes()


def spoken(sound: bytes, number: int) -> bytes:
    """The same sound in other bytes."""
    samples = np.frombuffer(sound[44:], "<i2").copy()
    samples[:10] = number % 30
    samples[10] = number // 30
    return sound[:44] + samples.tobytes()


def published(server: Site, sound: bytes, count: int = 3) -> None:
    for number in range(1, count + 1):
        server.files[f"/{number}.wav"] = spoken(sound, number)
    items = [item(n, f"{server.address}/{n}.wav", day=n % 28 + 1) for n in range(count, 0, -1)]
    server.files["/feed"] = rss("".join(items))


def followed(
    library: Library | Shelf, server: Site, **limits: object
) -> tuple[Subscriptions, Followed]:
    subscriptions = Subscriptions(home(library.path))
    return subscriptions, subscriptions.follow(server.address + "/feed", **limits)  # type: ignore[arg-type]


def test_episodes_become_recordings_that_know_what_they_are(
    library: Library, server: Site, sound: bytes
) -> None:
    published(server, sound)
    extra = """<itunes:season>2</itunes:season><link>https://example.org/4</link><description>
long &lt;b&gt;story&lt;/b&gt;</description>
<podcast:chapters url="/4.json" type="application/json"/>"""
    four = item(4, "/4.wav", day=17, extra=extra)
    server.files["/4.wav"] = spoken(sound, 4)
    chapters = [{"startTime": 0, "title": "Intro"}, {"startTime": 61, "title": "Nets"}]
    server.files["/4.json"] = json.dumps({"chapters": chapters}).encode()
    whole = server.files["/feed"]
    server.files["/feed"] = whole.replace(b"<item>", four.encode() + b"<item>", 1)
    subscriptions, _ = followed(library, server, tags=["talks"])
    news = [one for one in sync(library, subscriptions, WEB, wish=HERE) if one.outcome]
    assert [one.episode.number for one in news if one.episode] == [4, 3, 2, 1]
    row = library.show("Talk 4")
    assert (row.recorded, row.tags) == ("2020-05-17", ("talks",))
    assert dict(row.meta) == {
        "feed": "Deep Talks", "episode": "4", "season": "2", "link": "https://example.org/4",
        "chapters": "0:00:00 Intro; 0:01:01 Nets", "description": "long story",
    }  # fmt: skip
    found = library.search("invoice", where="meta.episode:4 tag:talks after:2020-05-17")
    assert [one.title for one in found.mentions] == ["Talk 4"]
    assert library.clip(found.mentions[0], library.path / "clip.wav").duration > 0
    (feed,) = subscriptions.feeds()
    assert (feed.title, feed.added, feed.waiting, feed.failed) == ("Deep Talks", 4, 0, 0)


def test_nothing_is_fetched_twice(library: Library, server: Site, sound: bytes) -> None:
    published(server, sound)
    subscriptions, _ = followed(library, server)
    list(sync(library, subscriptions, WEB, wish=HERE))
    before = server.sent
    assert [
        one.new for one in sync(library, subscriptions, WEB, [subscriptions.find("1")], HERE)
    ] == [0]
    assert server.sent == before
    assert "if-none-match" in server.requests[-1][1]
    published(server, sound, 4)
    news = list(sync(library, subscriptions, WEB, wish=HERE))
    assert news[0].new == 1 and len(library.list()) == 4
    assert server.asked("/1.wav") == 1


class Shelf:
    """A library of nothing but bytes, as far as a sync needs one: five hundred are soon added."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: list[str] = []
        self.titles: list[str] = []

    def add(self, paths: list[Path], *, about: About, **_: object) -> AddReport:
        (path,) = paths
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        status = Result.SKIPPED if digest in self.held else Result.ADDED
        if status is Result.ADDED:
            self.held.append(digest)
            self.titles.append(str(about.title))
        row = Recording(digest[:12], str(path), str(about.title), 1.0, 1, digest, 1, "")
        return AddReport((Outcome(str(path), status, row),))


class Shaky(Web):
    """A web of one feed, every third of whose files comes in two attempts only."""

    def __init__(self, feed: bytes) -> None:
        super().__init__()
        self.feed = feed
        self.asked: dict[str, int] = {}

    def document(self, address: str, headers: Mapping[str, str], most: int) -> Document:
        return Document(address, {"etag": "1"}, None if headers.get("If-None-Match") else self.feed)

    def file(self, address: str, target: Path) -> None:
        self.asked[address] = self.asked.get(address, 0) + 1
        number = int(address.rpartition("/")[2])
        if number % 3 == 0 and self.asked[address] == 1:
            raise FetchError(f"{address} ended after 1 of 2 bytes.")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(address)


def test_five_hundred_episodes_interrupted_anywhere(tmp_path: Path, server: Site) -> None:
    count = 500
    web = Shaky(rss("".join(item(n, f"http://x.example/{n}") for n in range(count))))
    shelf = Shelf(tmp_path / "library")
    subscriptions, feed = followed(shelf, server)
    rounds = 0
    while rounds == 0 or feed.waiting:
        rounds += 1
        subscriptions.close()  # as a new process
        going = sync(shelf, subscriptions, web, wish=Wish(now=True, apart=False))  # type: ignore[arg-type]
        for seen, _news in enumerate(going):
            if seen == 60 + rounds % 5:
                going.close()  # killed between two steps
        (feed,) = subscriptions.feeds()
    assert (feed.added, feed.waiting, feed.failed) == (count, 0, 0)
    assert sorted(shelf.titles) == sorted(f"Talk {number}" for number in range(count))
    assert set(web.asked.values()) == {1, 2}  # those that failed once


def test_connections_that_break_anywhere(tmp_path: Path, server: Site, sound: bytes) -> None:
    count = 12
    published(server, sound, count)
    for number in range(1, count + 1, 2):
        server.faults[f"/{number}.wav"] = [Broken(1 + 900 * number), Broken(700)]
    for number in range(2, count + 1, 4):
        server.faults[f"/{number}.wav"] = [Status(503, {"Retry-After": "0"}), Broken(1)]
    shelf = Shelf(tmp_path / "library")
    subscriptions, feed = followed(shelf, server)
    for _ in range(3):
        list(sync(shelf, subscriptions, WEB, wish=Wish(now=True, apart=False)))  # type: ignore[arg-type]
    (feed,) = subscriptions.feeds()
    assert (feed.added, feed.waiting, feed.failed) == (count, 0, 0)
    assert sorted(shelf.titles) == sorted(f"Talk {n}" for n in range(1, count + 1))
    assert server.sent == sum(map(len, server.files.values()))  # no byte came twice


@pytest.mark.parametrize("at", ["downloaded", "added"])
def test_killed_between_two_steps(library: Library, server: Site, sound: bytes, at: str) -> None:
    published(server, sound, 1)
    subscriptions, _ = followed(library, server)
    list(sync(library, subscriptions, WEB, wish=HERE))
    with sqlite3.connect(home(library.path) / "feeds.db") as database:
        database.execute("UPDATE episodes SET state = 'waiting', recording = NULL")
    if at == "downloaded":
        library.remove("Talk 1")
    outcomes = [one.outcome for one in sync(library, subscriptions, WEB, wish=HERE) if one.outcome]
    assert [one.status for one in outcomes] == [
        Result.ADDED if at == "downloaded" else Result.SKIPPED
    ]
    assert server.asked("/1.wav") == 1 and len(library.list()) == 1


def test_what_fails_costs_itself_only(library: Library, server: Site, sound: bytes) -> None:
    published(server, sound, 4)
    server.files["/2.wav"] = b"log in first"
    server.faults["/3.wav"] = [Status(404)]
    subscriptions, feed = followed(library, server)
    other = subscriptions.follow(server.address + "/none")
    news = list(sync(library, subscriptions, WEB, wish=HERE))
    said = [one.problem for one in news if one.problem]
    assert len(said) == 3 and len(library.list()) == 2
    assert "/3.wav: the server answers 404" in said[0]
    assert "/2.wav cannot be listened to: it is text, not audio or video" in said[1]
    assert "/none: the server answers 404" in said[2]
    # Each has its time, before which it is not asked again.
    asked = len(server.requests)
    assert subscriptions.awaited(feed) == () and subscriptions.find(str(other.id)).failures == 1
    list(sync(library, subscriptions, WEB, wish=HERE))
    assert len(server.requests) == asked + 1  # the healthy feed only
    server.files["/2.wav"] = spoken(sound, 2)
    list(sync(library, subscriptions, WEB, wish=Wish(now=True, apart=False)))
    assert len(library.list()) == 4


def test_what_fails_for_ever_is_given_up_and_may_be_tried_again(
    library: Library, server: Site, sound: bytes
) -> None:
    published(server, sound, 2)
    del server.files["/1.wav"]
    server.faults["/2.wav"] = [Status(302, {"Location": "file:///etc/passwd"})]
    subscriptions, feed = followed(library, server)
    for _ in range(MOST_TRIES):
        list(sync(library, subscriptions, WEB, wish=Wish(now=True, apart=False)))
    (now,) = subscriptions.feeds()
    assert (now.waiting, now.failed) == (0, 2)
    assert (server.asked("/1.wav"), server.asked("/2.wav")) == (MOST_TRIES, 1)
    subscriptions.retry(feed)
    list(sync(library, subscriptions, WEB, wish=Wish(now=True, apart=False)))
    assert len(library.list()) == 1


def test_only_the_newest_and_only_since(library: Library, server: Site, sound: bytes) -> None:
    published(server, sound, 9)
    subscriptions, feed = followed(library, server, newest=2)
    list(sync(library, subscriptions, WEB, wish=HERE))
    assert {one.title for one in library.list()} == {"Talk 8", "Talk 9"}
    subscriptions.follow(feed.address, since="2020-05-06")
    list(sync(library, subscriptions, WEB, wish=HERE))
    assert {int(one.title[5:]) for one in library.list()} == {5, 6, 7, 8, 9}
    assert (
        list(sync(library, subscriptions, WEB, wish=Wish(limit=1, apart=False)))[-1].episode is None
    )


def test_files_are_dropped_when_only_the_search_is_wanted(
    library: Library, server: Site, sound: bytes
) -> None:
    published(server, sound)
    subscriptions, _ = followed(library, server)
    list(sync(library, subscriptions, WEB, wish=Wish(keep=False, apart=False)))
    assert len(library.list()) == 3
    assert not [p for p in (home(library.path) / "episodes").rglob("*") if p.is_file()]


def test_one_sync_at_a_time(library: Library, server: Site, sound: bytes) -> None:
    published(server, sound)
    subscriptions, _ = followed(library, server)
    with locked(home(library.path)), pytest.raises(LibraryBusy, match="another sync"):
        next(sync(library, subscriptions, WEB, wish=HERE))


def test_an_episode_that_moves_is_the_same(library: Library, server: Site, sound: bytes) -> None:
    published(server, sound, 2)
    subscriptions, feed = followed(library, server)
    list(sync(library, subscriptions, WEB, wish=HERE))
    server.files["/feed"] = (
        server.files["/feed"].replace(b"talk-1<", b"other<").replace(b"/2.wav", b"/two.wav")
    )
    assert check(WEB, subscriptions, feed).new == 0
    assert subscriptions.find(feed.address).added == 2


def test_a_damaged_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "feeds.db").write_bytes(b"no database at all" * 100)
    with Subscriptions(tmp_path) as subscriptions, pytest.raises(LibraryError, match="delete it"):
        subscriptions.feeds()


def test_waiting_grows_up_to_a_day() -> None:
    assert [retry_in(n) for n in (0, 1, 2, 9, 10_000)] == [300, 600, 1200, 86400, 86400]


def test_the_commands(
    tmp_path: Path, server: Site, sound: bytes,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    published(server, sound, 2)
    folder = tmp_path / "library"
    monkeypatch.setenv("EARSHOT_LIBRARY", str(folder))
    monkeypatch.setattr(feeds_cli, "Library", lambda path=None: tone_library(path or folder))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earshot", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    address = server.address + "/feed"
    assert run("sync")[0] == 2 and run("feeds") == (
        0,
        "no feed is followed: earshot follow ADDRESS\n",
        "",
    )
    assert run("follow", server.address + "/none")[0] == 1
    assert "private" in run("follow", address)[2]
    assert run("follow", "nothing")[2] == (
        "earshot: 'nothing' is neither the address of a feed nor an OPML file that exists\n"
    )
    assert run("follow", address, "--allow-private") == (
        0,
        "following 1  Deep Talks: 2 episodes to get\n",
        "",
    )
    status, out, err = run("sync", "--pause", "0", "--allow-private")
    assert (status, err) == (0, "") and "2 added, 0 skipped, 0 failed" in out
    assert "Deep Talks: Talk 2" in out
    assert run("feeds", "--opml", str(tmp_path / "l.opml"))[0] == 0
    assert '"added": 2' in run("feeds", "--json")[1] and "Deep Talks" in run("feeds")[1]
    assert "2 recordings stay" in run("unfollow", "deep talks")[1]
    assert run("follow", str(tmp_path / "l.opml"))[1] == "following 1  Deep Talks\n"
    status, out, err = run("sync", "1", "--pause", "0", "--allow-private")
    assert (status, err) == (0, "") and "0 added, 2 skipped, 0 failed" in out
    assert run("sync", "--every", "1s")[0] == 2 and run("unfollow", "x")[0] == 2
