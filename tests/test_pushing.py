"""Files sent over a line that comes and goes: in order, each once, and each piece once."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import EXAMPLES, running
from upload_server import Received, receiving

from earshot import cli
from earshot.errors import UsageError
from earshot.sources import pushing
from earshot.sources.pushing import Away, Forbidden, Server, push, push_for_ever, wait_after


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "PIECE", 1000)


@pytest.fixture
def server() -> Iterator[Received]:
    """A server that takes files."""
    with receiving() as has:
        yield has


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """A spool with three files, one of them at work, and what is said of one."""
    folder = tmp_path / "spool"
    folder.mkdir()
    for number in (2, 1, 3):
        (folder / f"{number}.opus").write_bytes(bytes([number]) * 2500)
    (folder / "2.json").write_text('{"title": "second", "date": "2026-11-24", "queue": "x"}')
    (folder / "4.opus.part").write_bytes(b"at work")
    (folder / ".hidden").write_bytes(b"x")
    return folder


def contents(has: Received) -> list[int]:
    return [data[0] for _, data in has.files]


def test_in_order_each_once(server: Received, spool: Path) -> None:
    server.key = "secret"
    sent = list(push(spool, Server(server.address + "/", "secret")))
    assert [one.path.name for one in sent] == ["1.opus", "2.opus", "3.opus"]
    assert [one.job for one in sent] == ["job1", "job2", "job3"]
    assert contents(server) == [1, 2, 3] and server.bytes == 7500
    plan = server.files[1][0]
    assert (plan["title"], plan["date"], plan["meta"]) == ("second", "2026-11-24", {"queue": "x"})
    assert sorted(path.name for path in spool.iterdir()) == [".hidden", ".lock", "4.opus.part"]
    assert list(push(spool, Server(server.address, "secret"))) == []


def test_what_was_sent_may_be_kept(server: Received, spool: Path) -> None:
    assert len(list(push(spool, Server(server.address), keep=True))) == 3
    assert {path.name for path in (spool / "pushed").iterdir()} == {
        "1.opus", "2.opus", "2.json", "3.opus",
    }  # fmt: skip
    assert list(push(spool, Server(server.address), keep=True)) == []


@pytest.mark.parametrize("fault", ["cut", "drop", 503, 500])
def test_a_broken_line_goes_on_where_it_was(
    server: Received, spool: Path, fault: int | str
) -> None:
    """Each attempt is a program of its own: all that it knows is in the spool."""
    attempts = 0
    while pushing.waiting(spool):
        attempts += 1
        assert attempts < 40
        server.faults = [None, fault] if attempts < 6 else []
        try:
            list(push(spool, Server(server.address)))
        except Away as error:
            assert "\n" not in str(error)
    assert contents(server) == [1, 2, 3]
    assert server.uploads == {}
    if fault != "drop":  # the last answer is lost, too: nobody knows that all of it came
        assert server.bytes == 7500  # no byte came twice


def test_the_last_answer_is_lost(server: Received, spool: Path) -> None:
    server.faults = [None, None, None, "drop"]  # three pieces of the first file, and its end
    with pytest.raises(Away):
        list(push(spool, Server(server.address)))
    list(push(spool, Server(server.address)))
    assert contents(server) == [1, 2, 3]


def test_what_a_server_refuses_costs_itself_only(server: Received, spool: Path) -> None:
    server.faults = [413]
    sent = list(push(spool, Server(server.address)))
    assert sent[0].problem == "the server says 413: not this one"
    assert contents(server) == [2, 3] and (spool / "refused" / "1.opus").exists()


def test_a_key_that_is_no_good(server: Received, spool: Path) -> None:
    server.key = "secret"
    with pytest.raises(Forbidden, match="401: give a key"):
        list(push(spool, Server(server.address, "other")))
    assert len(pushing.waiting(spool)) == 3


def test_another_file_of_the_same_name(server: Received, spool: Path) -> None:
    server.faults = [None, "cut"]
    with pytest.raises(Away):
        list(push(spool, Server(server.address)))
    (spool / "1.opus").write_bytes(b"\x09" * 1200)
    list(push(spool, Server(server.address)))
    assert contents(server) == [9, 2, 3]


def test_a_network_that_comes_and_goes(spool: Path) -> None:
    said: list[str] = []
    slept: list[float] = []
    with receiving() as gone:
        nowhere = gone.address
    servers: list[Received] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Moving(Server):
        """Out of reach for the first attempts."""

        def begin(self, plan: object) -> str:
            self.address = nowhere if len(slept) < 8 else servers[0].address
            return super().begin(plan)  # type: ignore[arg-type]

    with receiving() as has:
        servers.append(has)
        there = Moving(nowhere)
        stopped = lambda: len(has.files) == 3  # noqa: E731
        names = [
            one.path.name
            for one in push_for_ever(spool, there, stopped, told=said.append, sleep=sleep)
        ]
        assert contents(has) == [1, 2, 3]
    assert names == ["1.opus", "2.opus", "3.opus"]
    assert len(said) == 2 and said[1] == "the server is back"
    assert [wait_after(n, None) for n in (0, 1, 9)] == [2.0, 4.0, 300.0]
    assert wait_after(3, 90.0) == 90.0


def test_the_server_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new server, killed while a file is on its way, and started again."""
    monkeypatch.setattr(pushing, "PIECE", 20_000)
    spool = tmp_path / "spool"
    spool.mkdir()
    shutil.copy(EXAMPLES / "voicemail.opus", spool)
    (spool / "voicemail.json").write_text('{"agent": "Ann", "tags": "phone"}')
    with running(tmp_path / "library") as there:
        server = Server(there.url)
        whole, begun = server.part, []

        def part(upload: str, offset: int, piece: bytes) -> int:
            if begun:
                there.kill()
            begun.append(offset)
            return whole(upload, offset, piece)

        monkeypatch.setattr(server, "part", part)
        with pytest.raises(Away):
            list(push(spool, server))
    state = spool / ".push.json"
    before = there.url
    with running(tmp_path / "library") as there:  # on another port, which the spool need not know
        state.write_text(state.read_text().replace(before, there.url))
        (sent,) = push(spool, Server(there.url))
        assert there.ended(sent.job)["state"] == "done"
        (row,) = there.client.get("/recordings").json()["recordings"]
    assert (row["title"], row["tags"], row["meta"]) == ("voicemail", ["phone"], {"agent": "Ann"})
    assert pushing.waiting(spool) == []


@pytest.mark.parametrize("address", ["ear.example.org", "ftp://x", "http://", ""])
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(UsageError, match="is no server"):
        Server(address)


def test_the_command(
    server: Received,
    spool: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earshot", "push", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    server.key = "secret"
    words = (str(spool), "--server", server.address, "--once")
    status, _, err = run(*words)
    assert status == 1 and err == "earshot: the server says 401: give a key\n"
    status, out, err = run(*words, "--key", "secret")
    assert (status, err) == (0, "") and out.endswith("3 sent, 0 refused\n")
    assert run("nowhere", "--server", server.address, "--once")[0] == 2
