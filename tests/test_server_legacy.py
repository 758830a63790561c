"""Clients of 2016 and 2017, written by hand, against a running server: every action."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from scripted import Scripted, answer, scripted
from servers import EXAMPLES, Running, make_key, running

SAID = "cancelling my contract"
FILES = {"/call.opus": "support_call.opus", "/mail.opus": "voicemail.opus"}


@pytest.fixture(scope="module")
def media() -> Iterator[Scripted]:
    """Where the files that are to be indexed lie."""

    def script(request: str, connection: Any) -> None:
        name = FILES.get(request.split()[1])
        if name is None:
            connection.sendall(answer("404 Not Found"))
        else:
            connection.sendall(answer("200 OK", (EXAMPLES / name).read_bytes()))

    with scripted(script) as server:
        yield server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    library = tmp_path_factory.mktemp("legacy") / "library"
    key = make_key(library, "write")
    settings = {"EARSHOT_FETCH_NETWORKS": '["127.0.0.0/8"]'}
    with running(library, key=key, env=settings) as one:
        yield one


def act(server: Running, action: str, **fields: Any) -> dict[str, Any]:
    """What the clients of that time did: everything in the body, nothing in headers."""
    key = server.client.headers["Authorization"].removeprefix("Token ")
    body = {"action": action, "userID": key, **fields}
    told = httpx.post(f"{server.url}/", json=body, timeout=120)
    assert told.status_code == 200, told.text
    found: dict[str, Any] = told.json()
    return found


def done(server: Running, content: str) -> dict[str, Any]:
    """Poll as its clients did."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        told = act(server, "get_object_status", contentID=content)
        if told["status"] in ("done", "failed"):
            return told
        time.sleep(0.1)
    raise AssertionError(told)


@pytest.fixture(scope="module")
def contents(server: Running, media: Scripted) -> tuple[str, str]:
    """A call with a tag, and a voicemail without one."""
    call = act(server, "index_content", data_url=media.url("/call.opus"), tags=["calls"])
    listed = act(server, "index_content_list", data_url=[media.url("/mail.opus")])
    (mail,) = listed["contentID"]
    assert done(server, call["contentID"]) == done(server, mail) == {"status": "done"}
    return call["contentID"], mail


def place(server: Running) -> tuple[float, float]:
    """Where our own interface finds what was said."""
    best = server.client.get("/search", params={"q": SAID}).json()["mentions"][0]
    return best["start"], best["end"]


def test_a_balance(server: Running) -> None:
    told = act(server, "get_balance")
    assert told["balance"] > 0 and len(told["userID"]) == 40


def test_a_content_is_searched(server: Running, contents: tuple[str, str]) -> None:
    told = act(
        server, "object_search", contentID=contents[0], query=SAID,
        snippet=True, filter={"Nmax": 10, "Pmin": 0.55}, sort="time",
    )  # fmt: skip
    assert told.keys() == {"snippet", "P", "startTime", "endTime", "N"}
    assert len({len(column) for column in told.values()}) == 1
    best = told["P"].index(max(told["P"]))
    assert told["P"][best] > 0.55 and told["N"] == list(range(len(told["N"])))
    start, end = place(server)
    assert (told["startTime"][best], told["endTime"][best]) == pytest.approx((start, end), abs=0.01)
    assert SAID in told["snippet"][best]
    assert told["startTime"] == sorted(told["startTime"])
    bare = act(server, "object_search", contentID=contents[0], query=SAID, snippet=False)
    assert "snippet" not in bare and bare["P"] == told["P"]
    other = act(server, "object_search", contentID=contents[1], query=SAID)
    assert other["P"] == []


def test_groups_are_searched(server: Running, contents: tuple[str, str]) -> None:
    everywhere = act(server, "group_search", tag="*", query=SAID)
    assert everywhere["contentID"] == [contents[0]]
    assert everywhere["P"][0] > 0.55 and everywhere["N"][0] >= 1
    assert act(server, "group_search", tag="calls", query=SAID) == everywhere
    assert act(server, "group_search", tag="nothing", query=SAID)["contentID"] == []


def test_groups_and_places_at_once(server: Running, contents: tuple[str, str]) -> None:
    told = act(
        server, "parallel_search", query=SAID, tag="*", snippet=True,
        group_filter={"Nmax": 2}, object_filter={"Nmax": 1, "Pmin": 0.5}, sort="time",
    )  # fmt: skip
    (one,) = told["object_result"]
    assert one["contentID"] == contents[0] and one["N"] == [0]
    assert one["startTime"][0] == pytest.approx(place(server)[0], abs=0.01)
    assert SAID in one["snippet"][0]


def test_tags(server: Running, contents: tuple[str, str]) -> None:
    assert act(server, "tag_object", contentID=contents[1], tag="mail") == {"result": "success"}
    assert act(server, "get_object_tags", contentID=contents[1]) == {
        "contentID": contents[1],
        "tags": ["mail"],
    }
    assert act(server, "get_object_tags", contentID=contents[0])["tags"] == ["calls"]


def test_a_transcript(server: Running, contents: tuple[str, str]) -> None:
    told = act(server, "get_object_transcript", contentID=contents[0])
    assert told["contentID"] == contents[0]
    assert len(told["paragraphs"]) == len(told["paragraphStartTimes"]) > 1
    assert told["paragraphStartTimes"] == sorted(told["paragraphStartTimes"])
    assert "contract" in " ".join(told["paragraphs"])


@pytest.mark.parametrize(
    ("action", "fields", "said"),
    [
        ("dance", {}, "there is no such action"),
        ("object_search", {"contentID": "x" * 32, "query": "a b"}, "there is no content"),
        ("object_search", {"query": "a b"}, "'contentID' must be given"),
        ("index_content", {"data_url": "ftp://example.org/a"}, "only http and https"),
        ("index_content", {"data_url": ["http://example.org/a"]}, "must be given, as a text"),
        ("index_content_list", {"data_url": [7]}, "must be a list of texts"),
        ("group_search", {"query": "?!"}, ""),
        ("group_search", {"query": "a b", "filter": {"Pmin": 7}}, "'Pmin'"),
        ("group_search", {"query": "a b", "filter": {"Nmax": 0}}, "'Nmax'"),
        ("get_balance", {"userID": "0" * 40}, "not known here"),
    ],
)
def test_errors_are_answers(
    server: Running, action: str, fields: dict[str, Any], said: str
) -> None:
    assert said in act(server, action, **fields)["error"]


def test_what_cannot_be_fetched_fails(server: Running, media: Scripted) -> None:
    told = act(server, "index_content", data_url=media.url("/missing.opus"))
    ended = done(server, told["contentID"])
    assert ended["status"] == "failed" and "404" in ended["error"]
    asked = act(server, "object_search", contentID=told["contentID"], query="a b c")
    assert "is not there" in asked["error"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 5000])
def test_bodies_that_are_no_request(server: Running, body: bytes) -> None:
    told = httpx.post(f"{server.url}/", content=body, timeout=60)
    assert told.status_code == 200 and "must be JSON" in told.json()["error"]
