"""The catalogue keeps rows whatever the file names are, and says in a sentence what fails."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.catalog import Catalog
from earshot.errors import LibraryBusy, LibraryError, UsageError
from earshot.rows import FILE, located, pick
from earshot.types import Recording

NAMES = st.binary(min_size=1, max_size=20).filter(lambda name: 0 not in name).map(os.fsdecode)


def recording(number: int, **fields: object) -> Recording:
    """A recording that differs from those of other numbers."""
    digest = f"{number:064x}"[::-1]
    whole = Recording(
        id=digest[:12],
        path=f"/talks/{number}.wav",
        title=f"talk {number}",
        duration=1.5 * number,
        channels=1,
        digest=digest,
        bytes=1 << 40,
        added=f"2026-01-01T00:00:{number:02d}+00:00",
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    with Catalog(tmp_path, writable=True) as opened:
        yield opened


def test_rows_come_back_in_the_order_of_adding(catalog: Catalog) -> None:
    rows = [recording(number) for number in (3, 1, 2)]
    for row in rows:
        catalog.put(row)
    assert catalog.all() == [recording(number) for number in (1, 2, 3)]
    assert catalog.find([rows[0].id, "0" * 11 + "f"]) == {rows[0].id: rows[0]}


def test_a_row_is_replaced_by_its_id(catalog: Catalog) -> None:
    catalog.put(recording(1))
    catalog.put(recording(1, path="/moved.wav"))
    assert [row.path for row in catalog.all()] == ["/moved.wav"]


@settings(deadline=None)
@given(NAMES)
def test_any_file_name_comes_back(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    row = recording(1, path=f"/{name}")
    with Catalog(tmp_path_factory.mktemp("catalog"), writable=True) as catalog:
        catalog.put(row)
        assert catalog.all() == [row]


def test_leftovers_are_deleted_also_in_thousands(catalog: Catalog) -> None:
    for number in range(1, 4):
        catalog.put(recording(number))
    kept = recording(2).id
    catalog.keep_only([kept, *(f"{number:012d}" for number in range(3000))])
    assert [row.id for row in catalog.all()] == [kept]
    assert len(catalog.find([kept, *(f"{number:012d}" for number in range(3000))])) == 1
    catalog.delete([kept])
    assert catalog.all() == []


def test_readers_see_what_writers_commit(tmp_path: Path, catalog: Catalog) -> None:
    with Catalog(tmp_path) as reader:
        assert reader.all() == []
        catalog.put(recording(1))
        assert reader.all() == [recording(1)]


def test_commits_are_forced_to_the_disk(catalog: Catalog) -> None:
    with catalog._reading() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_readers_change_nothing(tmp_path: Path) -> None:
    Catalog(tmp_path, writable=True).close()
    with Catalog(tmp_path) as reader, pytest.raises(LibraryError, match="readonly"):
        reader.put(recording(1))


def test_a_missing_catalogue_is_not_made_by_readers(tmp_path: Path) -> None:
    with Catalog(tmp_path) as reader, pytest.raises(LibraryError, match=FILE):
        reader.all()
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_catalogue_is_named(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"not a database, by far" * 100)
    for writable in (False, True):
        with pytest.raises(LibraryError, match=f"{FILE} is damaged"):
            Catalog(tmp_path, writable=writable).all()


def test_a_catalogue_without_its_table_is_damaged(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / FILE).close()
    with pytest.raises(LibraryError, match="no such table"):
        Catalog(tmp_path).all()


def test_a_held_catalogue_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earshot.rows._BUSY_SECONDS", 0.0)
    Catalog(tmp_path, writable=True).close()
    holder = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LibraryBusy), Catalog(tmp_path, writable=True) as catalog:
        catalog.put(recording(1))
    holder.close()


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    with Catalog(tmp_path, writable=True) as catalog:
        with catalog._changing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1")
        with pytest.raises(LibraryError, match="full"):
            for number in range(1, 60):
                catalog.put(recording(number, title="long " * 1000))


RECORDINGS = [
    recording(1, title="Team meeting", path="/talks/meeting.mp3"),
    recording(2, title="Interview", path="/talks/interview.wav"),
    recording(3, title="interview", path="/old/interview.wav"),
    recording(0xABCD, title="one"),
    recording(0xABCDE, title="two"),
]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (RECORDINGS[0].id, 0),
        (RECORDINGS[3].id[:5], 3),
        (RECORDINGS[4].id[:5].upper(), 4),
        ("Team meeting", 0),
        ("team MEETING", 0),
        ("meeting.mp3", 0),
        ("/talks/x/../interview.wav", 1),
        ("Interview", 1),
        ("interview", 2),
    ],
)
def test_a_recording_has_many_names(name: str, number: int) -> None:
    assert pick(name, RECORDINGS) == RECORDINGS[number]


@pytest.mark.parametrize("name", ["interview.wav", "INTERVIEW", "0000"])
def test_ambiguous_names_list_the_ids(name: str) -> None:
    several = [replace(row, id=f"0000{row.id[4:]}") for row in RECORDINGS[1:3]]
    with pytest.raises(UsageError, match="fits 2 recordings") as caught:
        pick(name, several)
    assert all(row.id in str(caught.value) for row in several)


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean Team meeting"):
        pick("Team meetings", RECORDINGS)
    with pytest.raises(UsageError, match="earshot list"):
        pick("xyz", [])


def test_paths_are_full_and_keep_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert located(Path("link/a.wav")) == str(tmp_path / "link" / "a.wav")
    assert located(Path("link/../a.wav")) == str(tmp_path / "a.wav")


KNOWN = {"recorded": "2020-05", "tags": ("a", "b\u2028"), "meta": (("who", "Ann"), ("x", "y"))}
OLD = """CREATE TABLE recordings (id VARCHAR(12) PRIMARY KEY, path BLOB NOT NULL,
title VARCHAR NOT NULL, duration FLOAT NOT NULL, channels INTEGER NOT NULL,
digest VARCHAR(64) NOT NULL, bytes BIGINT NOT NULL, added VARCHAR NOT NULL)"""


def test_what_is_known_comes_back(catalog: Catalog) -> None:
    catalog.put(recording(1, **KNOWN))
    assert catalog.all() == [recording(1, **KNOWN)]


def test_an_old_catalogue_is_read_as_it_is_and_grows_when_written(tmp_path: Path) -> None:
    one = recording(1)
    with sqlite3.connect(tmp_path / FILE) as old:
        old.execute(OLD)
        old.execute(
            "INSERT INTO recordings VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (one.id, os.fsencode(one.path), one.title, one.duration, one.channels, one.digest,
             one.bytes, one.added),
        )  # fmt: skip
    old.close()
    before = (tmp_path / FILE).read_bytes()
    with Catalog(tmp_path) as reader:
        assert reader.all() == [one]
        assert reader.find([one.id]) == {one.id: one}
        assert (tmp_path / FILE).read_bytes() == before
        with Catalog(tmp_path, writable=True) as writer:
            writer.put(recording(2, **KNOWN))
            assert writer.all() == [one, recording(2, **KNOWN)]
        assert reader.all() == [one, recording(2, **KNOWN)]
    # An older Earshot writes its own columns, and the others stay empty.
    with sqlite3.connect(tmp_path / FILE) as old:
        old.execute("DELETE FROM recordings")
        old.execute(
            "INSERT INTO recordings (id, path, title, duration, channels, digest, bytes, added) "
            "VALUES ('a', x'2f61', 'a', 1.0, 1, 'a', 1, 'now')"
        )
    old.close()
    with Catalog(tmp_path) as reader:
        assert (reader.all()[0].tags, reader.all()[0].recorded) == ((), None)


def test_changes_at_once_are_all_kept(tmp_path: Path, catalog: Catalog) -> None:
    catalog.put(recording(1))
    identity = recording(1).id

    def add_tags(worker: int) -> None:
        with Catalog(tmp_path, writable=True) as other:
            for number in range(5):
                tag = f"{worker}-{number}"
                other.change(identity, lambda row, tag=tag: replace(row, tags=(*row.tags, tag)))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_tags, range(4)))
    assert sorted(catalog.all()[0].tags) == [f"{w}-{n}" for w in range(4) for n in range(5)]
    assert catalog.change("0" * 12, lambda row: row) is None
