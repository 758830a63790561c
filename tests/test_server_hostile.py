"""What strangers send to break a server: each is refused in one shape, and it goes on serving."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from fakes import RATE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from servers import EXAMPLES, Running, running
from sounds import encode, hiss

from earshot.server.intake import plain_name
from earshot.server.service import suffix_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with small limits that has nothing in it."""
    folder = tmp_path_factory.mktemp("server")
    limits = folder / "settings.toml"
    limits.write_text("body_seconds = 1.0\nmax_recording_hours = 0.01\n")
    with running(folder / "library", "--config", str(limits)) as one:
        yield one


def raw(server: Running, request: bytes, wait: float = 10.0) -> bytes:
    """What the server answers to bytes as they are."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 80), timeout=wait) as line:
        line.sendall(request)
        answer = b""
        try:
            while part := line.recv(65536):
                answer += part
        except (TimeoutError, ConnectionResetError):
            pass
    return answer


def alive(server: Running) -> bool:
    """Whether it still serves."""
    return httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize("deep", [b'{"q": ' + b"[" * 1000 + b"]" * 1000 + b"}", b"[" * 500_000])
def test_json_that_is_nested_deep(server: Running, deep: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/search", "/search/batch", "/uploads", "/recordings"):
        answer = server.client.post(path, content=deep, headers=headers)
        assert answer.status_code == 400, (path, answer.text)
        assert answer.json()["error"]["code"] == "bad_request"
    assert alive(server)


def test_a_query_that_is_nested_deep(server: Running) -> None:
    for query in ("(" * 5000 + "a" + ")" * 5000, "a NEAR " * 1000 + "a", "\x00", "a" * 10_001):
        answer = server.client.post("/search", json={"q": query})
        assert answer.status_code == 400, answer.text
    assert alive(server)


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..\\..\\windows\\a.wav", "/etc/cron.d/x", "a\x00b.wav", "..", ".",
     "a" * 5000 + ".wav", "\u202eexe.wav", "con.wav", "x.wav/../../y", "😀.wav", " ", "-rf.wav"],
)  # fmt: skip
def test_names_that_are_paths(server: Running, name: str) -> None:
    before = {path for path in server.library.parent.rglob("*") if path.is_file()}
    form = {"file": (name.replace("\x00", "%00"), b"not a sound " + name.encode())}
    job = server.client.post("/recordings", files=form)
    if len(name) > 1000:
        assert job.status_code == 400, job.text
        return
    assert job.status_code == 202, job.text
    assert server.ended(job.json()["id"])["state"] == "failed"
    assert "/" not in job.json()["name"] and "\\" not in job.json()["name"]
    new = {path for path in server.library.parent.rglob("*") if path.is_file()} - before
    assert all(path.is_relative_to(server.library / "server") for path in new)


@given(st.text(max_size=300))
def test_a_plain_name_is_one_name(name: str) -> None:
    plain = plain_name(name)
    assert not set(plain) & set("/\\\x00\n\r") and plain not in (".", "..") and len(plain) <= 200
    assert (Path("/folder") / ("x" + suffix_of(plain))).parent == Path("/folder")


def test_headers_that_play_tricks(server: Running) -> None:
    split = raw(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\r\n\tb: c\r\n"
                        b"Connection: close\r\n\r\n")  # fmt: skip
    assert b"\nb: c" not in split
    twice = raw(server, b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                        b"Content-Length: 5\r\n\r\n{}1")  # fmt: skip
    assert twice.startswith(b"HTTP/1.1 400")
    both = raw(server, b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
                       b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n")  # fmt: skip
    assert both.startswith(b"HTTP/1.1 400")
    long = raw(server, b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 200_000 + b"\r\n\r\n")
    assert b" 200 " not in long.split(b"\r\n")[0]
    answer = server.client.get("/recordings", headers={b"Authorization": b"Token \xff\xfe"})
    assert answer.status_code == 401
    answer = server.client.get("/tags", headers={"X-Request-Id": "<script>alert(1)</script>"})
    assert "script" not in answer.headers["x-request-id"]
    assert alive(server)


def test_paths_that_climb(server: Running) -> None:
    inside = (b"..%2f..%2fserver.db/media", b"%2e%2e/media", b"%00")
    outside = (b"/../../etc/passwd", b"//etc/passwd")
    for path in (*(b"/api/v1/recordings/" + one for one in inside), *outside):
        answer = raw(server, b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\n"
                             b"Connection: close\r\n\r\n")  # fmt: skip
        assert answer.split(b" ")[1] in (b"400", b"404"), (path, answer)
        assert b'"error"' in answer


def test_bodies_that_do_not_come(server: Running) -> None:
    begun = time.monotonic()
    answer = raw(server, b"POST /api/v1/recordings HTTP/1.1\r\nHost: localhost\r\n"
                         b"Content-Length: 1000\r\n\r\nab")  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 408") and b'"timeout"' in answer
    answer = raw(server, b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                         b"application/json\r\nContent-Length: 1000\r\n\r\n{")  # fmt: skip
    assert b" 408 " in answer.split(b"\r\n")[0]
    assert time.monotonic() - begun < 60
    assert not list(server.library.glob("server/scratch/*.part"))


def test_bodies_without_an_end(server: Running) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    answer = raw(server, b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                         b"application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 40
                         + b"0\r\n\r\n")  # fmt: skip
    assert answer.startswith(b"HTTP/1.1 413") and b"too_large" in answer
    huge = {"Content-Length": str(1 << 50)}
    answer = raw(
        server,
        b"POST /api/v1/recordings HTTP/1.1\r\nHost: localhost\r\n"
        + f"Content-Length: {huge['Content-Length']}\r\n\r\n".encode()
        + b"x",
    )
    assert answer.startswith(b"HTTP/1.1 413")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(
            [b"Content-Disposition: " + b"x" * 9000,
             b"--b\r\n", b"--b--\r\n", b"\r\n", b"\r\n\r\n", b"\x00", b"data",
             b'Content-Disposition: form-data; name="f"; filename="x"\r\n',
             b"Content-Disposition: form-data; name=title\r\n"]
        ),
        max_size=8,
    )
)  # fmt: skip
def test_forms_that_make_no_sense(server: Running, parts: list[bytes]) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = server.client.post("/recordings", content=b"".join(parts), headers=headers)
    assert answer.status_code in (202, 400, 200), answer.text
    if answer.status_code == 400:
        assert answer.json()["error"]["code"] == "bad_request"


def test_silence_of_hours_in_few_bytes(server: Running, tmp_path: Path) -> None:
    quiet = hiss(60.0, RATE, amplitude=0.0)
    path = encode(tmp_path / "long.opus", quiet, RATE, "libopus", container="ogg")
    assert path.stat().st_size < 100_000
    job = server.upload(path)
    assert job["state"] == "failed" and "0.01 hours" in job["error"]["message"]
    assert not list(server.library.glob("server/media/*/*"))


@pytest.mark.parametrize(
    "text",
    ["#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1/\n", "ffconcat version 1.0\nfile /etc/passwd\n",
     "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'/>", "v=0\no=- 0 0 IN IP4 1\n",
     "RIFF____WAVE"],
)  # fmt: skip
def test_files_that_name_other_files(server: Running, text: str) -> None:
    job = server.client.post("/recordings", content=text.encode()).json()
    job = server.ended(job["id"])
    assert job["state"] == "failed" and job["error"]["code"] == "bad_media"
    assert "passwd" not in json.dumps(job) and alive(server)


def test_a_child_that_dies_costs_one_recording(server: Running) -> None:
    # What a crash does to the child is done to it from outside, while it has the job.
    nothing = server.client.post("/recordings", content=b"no sound").json()
    assert server.ended(nothing["id"])["error"]["code"] == "bad_media"
    children = _listeners(psutil.Process(server.process.pid))
    assert children
    for child in children:
        child.suspend()
    sound = (EXAMPLES / "voicemail.opus").read_bytes()
    job = server.client.post("/recordings", content=sound).json()
    deadline = time.monotonic() + 60
    while server.client.get(f"/jobs/{job['id']}").json()["state"] == "queued":
        assert time.monotonic() < deadline
    for child in children:
        child.kill()
    ended = server.ended(job["id"])
    assert ended["state"] == "failed" and ended["error"]["code"] == "crashed"
    assert alive(server) and server.upload(EXAMPLES / "voicemail.opus")["state"] == "done"


def _listeners(parent: psutil.Process) -> list[psutil.Process]:
    return [one for one in parent.children() if "earshot.server.listener" in one.cmdline()]
