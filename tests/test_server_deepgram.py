"""Deepgram's clients, unmodified, against a running server: what they ask to find is found."""

from __future__ import annotations

import json
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import sdks
from scripted import answer, scripted
from servers import EXAMPLES, Running, make_key, running

from earshot.server.deepgram import Listen, read
from earshot.server.errors import Refused

CALL = EXAMPLES / "support_call.opus"
SAID = "cancelling my contract"
OTHER = "umbrella factory"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that fetches from this machine, with a key for its clients."""
    library = tmp_path_factory.mktemp("deepgram") / "library"
    key = make_key(library, "write")
    settings = {"EARSHOT_FETCH_NETWORKS": '["127.0.0.0/8"]'}
    with running(library, key=key, env=settings) as one:
        yield one


def key_of(server: Running) -> str:
    return server.client.headers["Authorization"].removeprefix("Token ")


def listen(server: Running, body: Any = None, **options: Any) -> httpx.Response:
    """What a client without any SDK sends."""
    headers = dict(server.client.headers)
    url = f"{server.url}/v1/listen"
    if isinstance(body, dict):
        return httpx.post(url, params=options, json=body, headers=headers, timeout=120)
    content = CALL.read_bytes() if body is None else body
    return httpx.post(url, params=options, content=content, headers=headers, timeout=120)


def require_found(told: dict[str, Any], server: Running) -> None:
    """The answer has all fields, and the phrase where it is."""
    metadata = told["metadata"]
    assert uuid.UUID(metadata["request_id"]).version
    assert metadata["channels"] == len(told["results"]["channels"])
    assert metadata["duration"] == pytest.approx(84.0, abs=2.0)
    assert set(metadata["models"]) == set(metadata["model_info"])
    (channel,) = told["results"]["channels"]
    first, second = channel["search"]
    assert (first["query"], second["query"]) == (SAID, OTHER)
    best = first["hits"][0]
    found = server.client.get("/search", params={"q": SAID}).json()["mentions"][0]
    assert best["confidence"] == pytest.approx(found["confidence"], abs=1e-3)
    assert best["confidence"] > 0.5
    assert best["start"] == pytest.approx(found["start"], abs=0.01)
    assert best["end"] == pytest.approx(found["end"], abs=0.01)
    assert SAID in best["snippet"] and "~" not in best["snippet"]
    assert all(hit["confidence"] < best["confidence"] for hit in second["hits"])
    (spelled,) = channel["alternatives"]
    assert len(spelled["words"]) > 50 and "contract" in spelled["transcript"]
    near = [w["word"] for w in spelled["words"] if best["start"] - 0.3 < w["start"] < best["end"]]
    assert "contract" in near


@pytest.mark.parametrize("version", sdks.VERSIONS)
def test_an_sdk_finds_what_was_said(server: Running, version: str) -> None:
    question = {
        "url": server.url,
        "key": key_of(server),
        "file": str(CALL),
        "options": {"search": [SAID, OTHER], "punctuate": True, "tag": ["calls"]},
    }
    found = sdks.ask(version, question)
    assert "answer" in found, found
    require_found(found["answer"], server)
    with scripted(
        lambda _, connection: connection.sendall(answer("200 OK", CALL.read_bytes()))
    ) as s:
        found = sdks.ask(version, {**question, "source": s.url("/call.opus")})
    assert "answer" in found, found
    require_found(found["answer"], server)


@pytest.mark.parametrize("version", sdks.VERSIONS)
def test_an_sdk_meets_errors_that_it_knows(server: Running, version: str, tmp_path: Path) -> None:
    (tmp_path / "notes.mp3").write_text("Dear diary, nothing was said today.\n" * 50)
    question = {"url": server.url, "key": key_of(server), "file": str(tmp_path / "notes.mp3")}
    bad = sdks.ask(version, {**question, "options": {"search": ["x y z"]}})
    assert "is text, not audio" in bad["told"] or "400" in bad["told"], bad
    question |= {"key": "0" * 40, "file": str(CALL)}
    unknown = sdks.ask(version, {**question, "options": {}})
    assert "401" in unknown["told"] or "not known" in unknown["told"], unknown
    kinds = {"3": "DeepgramApiError", "5": "BadRequestError", "7": "BadRequestError"}
    assert bad["error"] == kinds.get(version[0], bad["error"])


def test_without_an_sdk(server: Running) -> None:
    found = listen(server, search=[SAID, OTHER], smart_format="true", paragraphs="true", model="x")
    assert found.status_code == 200, found.text
    require_found(found.json(), server)
    warned = [(w["parameter"], w["message"]) for w in found.json()["metadata"]["warnings"]]
    assert [name for name, _ in warned] == ["paragraphs", "smart_format"]


def test_channels_apart(server: Running) -> None:
    told = listen(server, search="", multichannel="true", tag="seen").json()
    channels = server.client.get("/recordings").json()["recordings"][0]["channels"]
    assert len(told["results"]["channels"]) == channels == told["metadata"]["channels"]
    assert told["results"]["channels"][0]["search"] == [{"query": "", "hits": []}]
    assert told["metadata"]["warnings"][0]["parameter"] == "search"
    assert "seen" in server.client.get("/recordings").json()["recordings"][0]["tags"]


@pytest.mark.parametrize(
    ("body", "options", "status", "said"),
    [
        (b"", {}, 400, "no audio"),
        (b"Dear diary, nothing was said.\n" * 50, {}, 400, "is text, not audio"),
        ({"no": "url"}, {}, 400, "must name the audio"),
        ({"url": "ftp://example.org/a.mp3"}, {}, 400, "only http and https"),
        ({"url": "http://10.0.0.1/a.mp3"}, {}, 400, "private or reserved"),
        (None, {"search": ["x"] * 51}, 400, "at most 50"),
        (None, {"callback": "http://10.0.0.1:22/x"}, 400, "port 22"),
        (None, {"callback": "http://example.org/", "callback_method": "get"}, 400, "post or put"),
    ],
)
def test_errors_have_their_shape(
    server: Running, body: Any, options: dict[str, Any], status: int, said: str
) -> None:
    found = listen(server, body, **options)
    assert found.status_code == status, found.text
    told = found.json()
    assert told.keys() == {"err_code", "err_msg", "request_id"}
    assert said in told["err_msg"] and uuid.UUID(told["request_id"])


def test_json_a_thousand_deep(server: Running) -> None:
    deep = b'{"url": ' + b"[" * 5000 + b"]" * 5000 + b"}"
    headers = {**server.client.headers, "Content-Type": "application/json"}
    found = httpx.post(f"{server.url}/v1/listen", content=deep, headers=headers, timeout=60)
    assert found.status_code == 400 and "must name the audio" in found.json()["err_msg"]


def test_a_callback_is_told(server: Running) -> None:
    bodies: list[dict[str, Any]] = []
    there = threading.Event()

    def script(request: str, connection: socket.socket) -> None:
        header, _, body = request.partition("\r\n\r\n")
        length = int(re.findall(r"(?i)content-length: (\d+)", header)[0])
        while len(body) < length:
            body += connection.recv(65536).decode("latin-1")
        bodies.append(json.loads(body))
        connection.sendall(answer("200 OK"))
        there.set()

    with scripted(script) as other:
        found = listen(server, search=[SAID, OTHER], callback=other.url("/done"))
        assert found.json().keys() == {"request_id"}
        assert there.wait(60)
        assert other.requests[0].startswith("POST /done")
    require_found(bodies[0], server)
    assert bodies[0]["metadata"]["request_id"] == found.json()["request_id"]


def test_parameters_as_clients_send_them() -> None:
    asked = read([("search", "a"), ("search", "b"), ("model", "None"), ("diarize", "true")])
    assert asked == Listen(search=("a", "b"), unknown=("diarize",))
    assert read([("multichannel", "True")]).multichannel
    with pytest.raises(Refused):
        read([("search", "x")] * 51)
