"""The rest of the HTTP API against a real server: parts, batches, examples, sound and pictures."""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import time
import wave
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from local_servers import serving
from servers import EXAMPLES, Running, make_key, running

from earshot import media

VOICEMAIL = EXAMPLES / "voicemail.opus"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server of two workers that has listened to a recording and may fetch from here."""
    folder = tmp_path_factory.mktemp("server")
    settings = folder / "settings.toml"
    settings.write_text('fetch_networks = ["127.0.0.0/8"]\n')
    with running(folder / "library", "--workers", "2", "--config", str(settings)) as one:
        one.upload(VOICEMAIL, tag=["Phone", "short"])
        yield one


@pytest.fixture(scope="module")
def voicemail(server: Running) -> str:
    """The recording's id."""
    return hashlib.sha256(VOICEMAIL.read_bytes()).hexdigest()[:12]


def test_an_upload_in_parts_goes_on_where_it_broke_off(server: Running) -> None:
    whole = (EXAMPLES / "diary.opus").read_bytes()
    plan = {"bytes": len(whole), "name": "diary.opus", "tags": ["parts"],
            "sha256": hashlib.sha256(whole).hexdigest()}  # fmt: skip
    begun = server.client.post("/uploads", json=plan)
    assert begun.status_code == 201, begun.text
    where = f"/uploads/{begun.json()['id']}"

    def send(offset: int, part: bytes) -> httpx.Response:
        return server.client.patch(where, headers={"Upload-Offset": str(offset)}, content=part)

    assert send(0, whole[:1000]).headers["upload-offset"] == "1000"
    again = send(0, whole[:1000])
    assert again.status_code == 409 and again.headers["upload-offset"] == "1000"
    assert server.client.post(f"{where}/finish").json()["error"]["code"] == "incomplete"
    there = _broken_off(server, where, 1000, whole[1000:5000])
    assert there == 5000
    deadline = time.monotonic() + 30  # for as long as the line that broke counts as open
    while (rest := send(there, whole[there:])).status_code == 409:
        assert time.monotonic() < deadline, rest.text
    assert rest.status_code == 204
    assert send(len(whole), b"more").status_code == 413
    job = server.ended(server.client.post(f"{where}/finish").json()["id"])
    assert job["state"] == "done" and job["recording"] == plan["sha256"][:12]
    known = server.client.get(f"/recordings/{job['recording']}").json()
    assert (known["title"], known["tags"]) == ("diary", ["parts"])
    assert server.client.head(where).status_code == 404
    server.client.delete(f"/recordings/{job['recording']}")


def _broken_off(server: Running, where: str, offset: int, part: bytes) -> int:
    """Send less than was announced, and hang up when it has arrived; returns what has arrived."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80)) as line:
        head = (
            f"PATCH /api/v1{where} HTTP/1.1\r\nHost: localhost\r\nUpload-Offset: {offset}\r\n"
            f"Content-Length: {len(part) + 1}\r\n\r\n"
        )
        line.sendall(head.encode() + part)
        deadline = time.monotonic() + 30
        there = 0
        while there < offset + len(part) and time.monotonic() < deadline:
            there = int(server.client.head(where).headers["upload-offset"])
    return there


def test_an_upload_that_is_not_what_was_announced_is_refused(server: Running) -> None:
    plan = {"bytes": 3, "sha256": "0" * 64}
    where = f"/uploads/{server.client.post('/uploads', json=plan).json()['id']}"
    server.client.patch(where, headers={"Upload-Offset": "0"}, content=b"abc")
    assert server.client.post(f"{where}/finish").json()["error"]["code"] == "wrong_digest"
    where = f"/uploads/{server.client.post('/uploads', json={'bytes': 3}).json()['id']}"
    assert server.client.delete(where).status_code == 204
    assert server.client.get(where).status_code == 404


def test_many_queries_share_a_search(server: Running) -> None:
    queries = ["bicycle workshop", "(", "hydraulic pump"]
    answer = server.client.post("/search/batch", json={"queries": queries, "top": 1})
    first, wrong, last = answer.json()["results"]
    assert [one["query"] for one in (first, wrong, last)] == queries
    assert first["mentions"] and last["mentions"] and "error" in wrong
    alone = server.client.get("/search", params={"q": "hydraulic pump", "top": 1}).json()
    assert alone["mentions"] == last["mentions"]


def test_what_sounds_alike_is_found(server: Running, voicemail: str) -> None:
    best = server.client.get("/search", params={"q": "bicycle"}).json()["mentions"][0]
    span = {"recording": voicemail, "start": best["start"], "end": best["end"]}
    found = server.client.post("/search/like", json={**span, "top": 20, "min_confidence": 0})
    starts = [one["start"] for one in found.json()["mentions"]]
    assert any(abs(start - best["start"]) < 0.3 for start in starts)
    outside = server.client.post("/search/like", json={**span, "start": 100, "end": 101})
    assert outside.json()["error"]["code"] == "bad_request"


@pytest.mark.parametrize("form", ["wav", "ogg", "mp3", "flac"])
def test_a_mention_can_be_heard(server: Running, voicemail: str, form: str, tmp_path: Path) -> None:
    query: dict[str, Any] = {"start": 2.0, "end": 3.5, "around": 0.5, "format": form}
    answer = server.client.get(f"/recordings/{voicemail}/clip", params=query)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("audio/")
    path = tmp_path / f"clip.{form}"
    path.write_bytes(answer.content)
    assert media.probe(path).duration == pytest.approx(2.5, abs=0.1)
    if form == "wav":
        with wave.open(io.BytesIO(answer.content)) as file:
            assert file.getnchannels() == 1
    assert not list(server.library.rglob("clip-*"))
    for wrong in ({"start": 100}, {"start": 3, "end": 2}, {"start": "nan"}, {"start": -1}):
        answer = server.client.get(f"/recordings/{voicemail}/clip", params=wrong)
        assert answer.status_code == 400, wrong


def test_the_waveform_is_that_of_the_sound(server: Running, voicemail: str) -> None:
    samples = np.concatenate([b[0] for b in media.blocks(VOICEMAIL, channels="mix")])
    for _ in range(2):  # worked out, then kept
        query = {"start": 5, "end": 15, "width": 10}
        told = server.client.get(f"/recordings/{voicemail}/peaks", params=query).json()
        for second, (lowest, highest) in enumerate(told["peaks"]):
            piece = samples[(5 + second) * 16_000 : (6 + second) * 16_000]
            assert lowest == pytest.approx(piece.min(), abs=0.02)
            assert highest == pytest.approx(piece.max(), abs=0.02)
    assert list(server.library.glob("server/peaks/*.npy"))
    wide = server.client.get(f"/recordings/{voicemail}/peaks", params={"width": 10_000}).json()
    assert len(wide["peaks"]) == 10_000


def test_what_was_heard_is_shown(server: Running, voicemail: str) -> None:
    query: dict[str, Any] = {"start": 1, "end": 3}
    told = server.client.get(f"/recordings/{voicemail}/activations", params=query).json()
    assert len(told["probabilities"]) == pytest.approx(2 / told["frame_seconds"], abs=1)
    assert {len(row) for row in told["probabilities"]} == {len(told["units"])}
    assert all(abs(sum(row) - 1) < 0.1 for row in told["probabilities"])
    query |= {"format": "svg", "q": "bicycle"}
    picture = server.client.get(f"/recordings/{voicemail}/activations", params=query)
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert b"<svg" in picture.content and b"<script" not in picture.content
    query = {"channel": 1}
    answer = server.client.get(f"/recordings/{voicemail}/activations", params=query)
    assert answer.status_code == 400


def test_tags_and_usage_are_told(server: Running) -> None:
    assert server.client.get("/tags").json() == {
        "tags": [{"tag": "Phone", "recordings": 1}, {"tag": "short", "recordings": 1}]
    }
    assert server.client.get("/tags", params={"where": "tag:other"}).json() == {"tags": []}
    before = server.client.get("/usage").json()["days"][-1]
    assert before["uploads"] >= 1 and before["hours_indexed"] > 0.007 and before["bytes"] > 59_000
    none = {"from": "2000-01-01", "to": "2000-01-02"}
    assert server.client.get("/usage", params=none).json()["days"] == []


def test_figures_of_all_workers_are_added_up(server: Running) -> None:
    for _ in range(20):
        server.client.get("/search", params={"q": "bicycle"}, headers={"Connection": "close"})
    told = httpx.get(f"{server.url}/metrics").text
    counted = re.search(
        r'earshot_requests_total{method="GET",route="/api/v1/search",status="200"} (\d+)', told
    )
    assert counted is not None and int(counted[1]) >= 20
    assert "earshot_heard_seconds_total" in told and 'earshot_jobs{state="queued"}' in told


class _Source(BaseHTTPRequestHandler):
    """Has one file, and an address that leads to another network."""

    def do_GET(self) -> None:
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://10.1.2.3/secret")
            self.end_headers()
            return
        content = (EXAMPLES / "lecture.opus").read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_file_is_fetched_from_its_url(server: Running) -> None:
    with serving(_Source) as url:
        asked = {"url": f"{url}/lecture.opus", "tags": ["away"]}
        sent = server.client.post("/recordings", json=asked)
        assert sent.status_code == 202, sent.text
        job = server.ended(sent.json()["id"])
        assert job["state"] == "done", job
        known = server.client.get(f"/recordings/{job['recording']}").json()
        assert (known["title"], known["tags"]) == ("lecture", ["away"])
        again = server.ended(server.client.post("/recordings", json=asked).json()["id"])
        assert again["already"] and again["recording"] == job["recording"]
        away = server.client.post("/recordings", json={"url": f"{url}/away"}).json()
        assert server.ended(away["id"])["error"]["code"] == "address_refused"
    for wrong in ("file:///etc/passwd", "http://user:secret@example.org/", "gopher://x", ""):
        answer = server.client.post("/recordings", json={"url": wrong})
        assert answer.status_code == 422, answer.text
    server.client.delete(f"/recordings/{job['recording']}")


def test_an_address_of_a_private_network_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "library") as server:
        inside = f"{server.url}/api/v1/recordings"
        job = server.client.post("/recordings", json={"url": inside}).json()
        job = server.ended(job["id"])
        assert job["state"] == "failed" and job["error"]["code"] == "address_refused"


def test_a_key_has_limits(tmp_path: Path) -> None:
    library = tmp_path / "library"
    few = make_key(library, "write", "--requests-per-minute", "3")
    small = make_key(library, "write", "--max-upload-bytes", "1000")
    short = make_key(library, "write", "--hours-per-day", "0.001")
    admin = make_key(library, "admin")
    with running(library) as server:

        def asked(key: str, method: str = "GET", path: str = "/tags", **how: Any) -> httpx.Response:
            headers = {"Authorization": f"Token {key}"}
            return server.client.request(method, path, headers=headers, **how)

        assert [asked(few).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = asked(few)
        assert refused.json()["error"]["code"] == "too_many_requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert asked(small, "POST", "/recordings", content=b"x" * 1001).status_code == 413
        parts = (b"x" * 300 for _ in range(4))  # of a length that nobody has announced
        assert asked(small, "POST", "/recordings", content=parts).status_code == 413
        assert asked(small, "POST", "/uploads", json={"bytes": 1001}).status_code == 413
        job = asked(short, "POST", "/recordings", content=VOICEMAIL.read_bytes()).json()
        server.client.headers["Authorization"] = f"Token {admin}"
        assert server.ended(job["id"])["state"] == "done"
        more = asked(short, "POST", "/recordings", content=b"more")
        assert more.status_code == 429 and int(more.headers["retry-after"]) <= 86_400
        assert httpx.get(f"{server.url}/metrics").status_code == 401
        headers = {"Authorization": f"Token {admin}"}
        assert httpx.get(f"{server.url}/metrics", headers=headers).status_code == 200
        assert not list(library.rglob("*.part"))
        days = json.loads(asked(admin, path="/usage").text)["days"]
        assert days[0]["requests"] >= 10
