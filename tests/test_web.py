"""Manners towards servers, shown to real ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from podcast_server import Broken, Status, site
from scripted import answer, scripted

from earshot.errors import AddressRefused, FetchError
from earshot.fetching import ANY_NETWORK, Rules, downloading
from earshot.sources.web import Refused, Web, forget, retry_after

BODY = bytes(range(256)) * 400
WEB = Web(Rules(allowed=ANY_NETWORK, patience=5.0), 0.0)


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "WAITS", ())


def test_a_document_comes_once(tmp_path: Path) -> None:
    with site() as server:
        server.files["/a"] = BODY
        found = WEB.document(server.address + "/a", {}, 1 << 20)
        assert found.body == BODY and found.address == server.address + "/a"
        again = {"If-None-Match": found.headers["etag"]}
        assert WEB.document(server.address + "/a", again, 1 << 20).body is None
        with pytest.raises(FetchError, match="more than 0 MB"):
            WEB.document(server.address + "/a", {}, 1000)


def test_a_document_may_be_packed_but_not_a_bomb() -> None:
    packed = gzip.compress(BODY)
    bomb = gzip.compress(bytes(50 << 20))
    for body, said in (
        (packed, ""), (bomb, "more than 1 MB"), (b"x" * 9, "damaged"), (packed[:-9], "not whole"),
    ):  # fmt: skip
        whole = answer("200 OK", body, "Content-Encoding: gzip", f"Content-Length: {len(body)}")
        with scripted(lambda _, connection, whole=whole: connection.sendall(whole)) as server:
            if not said:
                assert WEB.document(server.url(), {}, 1 << 20).body == BODY
                continue
            with pytest.raises(FetchError, match=said):
                WEB.document(server.url(), {}, 1 << 20)


@pytest.mark.parametrize("status", [404, 403, 410, 429, 500, 418])
def test_what_a_server_says_is_a_sentence(status: int) -> None:
    with site() as server:
        server.faults["/a"] = [Status(status, {"Retry-After": "120"})]
        with pytest.raises(Refused, match=f"/a: the server answers {status}") as refused:
            WEB.document(server.address + "/a", {}, 1000)
    assert refused.value.again == (120.0 if status == 429 else None)
    assert refused.value.gone == (status == 410)


def test_a_file_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "a.wav"
    with site() as server:
        server.files["/a.wav"] = BODY
        server.faults["/a.wav"] = [Broken(70_000)]
        with pytest.raises(FetchError):
            WEB.file(server.address + "/a.wav", target)
        assert not target.exists()
        WEB.file(server.address + "/a.wav", target)
        assert server.sent == len(BODY)  # no byte came twice
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["a.wav"]
    forget(target)
    assert list(target.parent.iterdir()) == []


def test_an_empty_file_is_none(tmp_path: Path) -> None:
    with site() as server:
        server.files["/a"] = b""
        with pytest.raises(FetchError, match="is empty"):
            WEB.file(server.address + "/a", tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_private_networks_are_for_those_who_want_them(tmp_path: Path) -> None:
    with site() as server, pytest.raises(AddressRefused):
        server.files["/a"] = BODY
        Web(pause=0.0).file(server.address + "/a", tmp_path / "a")
    assert server.requests == []


def test_one_host_is_left_alone_between_two_requests() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    web = Web(Rules(allowed=ANY_NETWORK), 2.0, clock=lambda: now[0], sleep=sleep)
    with site() as one, site() as other:
        for server in (one, other):
            server.files["/a"] = b"x"
        web.document(one.address + "/a", {}, 1000)
        web.document(other.address + "/a", {}, 1000)
        now[0] += 0.5
        web.document(one.address + "/a", {}, 1000)
    assert slept == [1.5]


@pytest.mark.parametrize(
    "value, seconds",
    [("7", 7.0), ("", None), ("soon", None), ("-3", None), ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
     ("9" * 30, 7 * 86400.0)],
)  # fmt: skip
def test_when_to_ask_again(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds
