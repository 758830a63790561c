"""Downloads from a real server on this machine: whole, resumed, refused, and never half."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from kur.data import download as module
from kur.data.download import PRIVATE_NETWORKS, download
from kur.errors import KurError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(ThreadingHTTPServer):
    """Serves CONTENT; `cut` lets that many answers end early, `asked` are the ranges asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.tag = '"one"'
        self.cut = 0
        self.broken = 0
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One answer."""

    server: Server

    def do_GET(self) -> None:
        server = self.server
        server.asked.append(self.headers["Range"])
        if server.broken:
            server.broken -= 1
            self.send_error(503, "Busy")
        elif self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
        elif self.path.startswith("/file"):
            self.give()
        else:
            self.send_error(404, "Not Here")

    def give(self) -> None:
        content, start = self.server.content, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        if asked and self.headers["If-Range"] == self.server.tag:
            start = int(asked[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.tag:
            self.send_header("ETag", self.server.tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        if self.server.cut:
            self.server.cut -= 1
            rest = rest[: len(rest) // 2]
        self.wfile.write(rest)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server on this machine, which the environment allows."""
    monkeypatch.setenv(PRIVATE_NETWORKS, "1")
    monkeypatch.setattr(module, "_WAIT_SECONDS", (0.0, 0.0))
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Server() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def said(url: str, to: Path) -> str:
    with pytest.raises(KurError) as caught:
        download(url, to)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_whole(server: Server, tmp_path: Path) -> None:
    to = tmp_path / "deep" / "a"
    download(f"{server.url}/file", to)
    assert to.read_bytes() == CONTENT and [one.name for one in to.parent.iterdir()] == ["a"]


def test_redirects_are_followed_within_http(server: Server, tmp_path: Path) -> None:
    download(f"{server.url}/to/{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert "cannot be downloaded" in said(f"{server.url}/to/file:///etc/passwd", tmp_path / "b")
    assert "cannot be downloaded" in said(f"{server.url}/to/ftp://x/y", tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_cut_connection_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cut = 4
    download(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    starts = [int(str(one)[6:-1]) for one in server.asked[1:]]
    assert server.asked[0] is None and starts == sorted(starts) and starts[0] == len(CONTENT) // 2


def test_a_later_run_goes_on_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", ())
    server.cut = 2
    first = said(f"{server.url}/file", tmp_path / "a")
    assert "the connection ended after 150,000 of 300,000 bytes" in first
    assert not (tmp_path / "a").exists()
    said(f"{server.url}/file", tmp_path / "a")
    download(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=150000-", "bytes=225000-"]


@pytest.mark.parametrize("tag", ['"two"', "", 'W/"weak"'])
def test_another_file_on_the_server_is_fetched_from_its_start(
    tag: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_WAIT_SECONDS", ())
    server.cut = 1
    server.tag = '"one"' if tag == '"two"' else tag
    said(f"{server.url}/file", tmp_path / "a")
    server.content, server.tag = CONTENT[::-1][:200_000], tag
    download(f"{server.url}/file", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == server.content


def test_a_busy_server_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.broken = 2
    download(f"{server.url}/file", tmp_path / "a")
    assert len(server.asked) == 3
    server.broken = 9
    assert said(f"{server.url}/file", tmp_path / "b").endswith("the server says 503 Busy")


def test_what_does_not_work(server: Server, tmp_path: Path) -> None:
    url = server.url
    assert said(f"{url}/none", tmp_path / "a") == (
        f"{url}/none: cannot be downloaded: the server says 404 Not Here"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        assert said(closed, tmp_path / "a").endswith("cannot be downloaded: Connection refused")
    (tmp_path / "file").touch()
    assert "cannot be written: " in said(f"{url}/file", tmp_path / "file" / "a")


WRONG = (
    "|x|file:///etc/passwd|ftp://a/b|http://|http:///x|http://a b/|http://a:b/|http://[::1|//a/b"
)
PRIVATE = """127.0.0.1 localhost [::1] 10.1.2.3 192.168.0.1 169.254.169.254 0.0.0.0 2130706433
    [::ffff:127.0.0.1] [64:ff9b::7f00:1] [fe80::1] 100.64.0.1"""


@pytest.mark.parametrize("url", [*WRONG.split("|"), "https://a/\r\nX: y"])
def test_only_http(url: str, tmp_path: Path) -> None:
    assert "is no address to download from; accepted: http" in said(url, tmp_path / "a")


@pytest.mark.parametrize("host", PRIVATE.split())
def test_private_networks_are_refused(
    host: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PRIVATE_NETWORKS, "0")
    message = said(f"http://{host}:{server.server_port}/file", tmp_path / "a")
    assert "an address of a private network" in message and f"{PRIVATE_NETWORKS}=1" in message
    assert not server.asked


def test_a_redirect_to_a_private_network_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first server counts as public here, the second is this machine by its other name."""
    monkeypatch.setenv(PRIVATE_NETWORKS, "0")
    public = module._public
    monkeypatch.setattr(module, "_public", lambda one: one == "127.0.0.1" or public(one))
    target = f"http://127.0.0.2:{server.server_port}/file"
    assert "127.0.0.2, an address of a private" in said(f"{server.url}/to/{target}", tmp_path / "a")
    assert len(server.asked) == 1


def test_two_at_once_fetch_it_once(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: download(f"{server.url}/file", tmp_path / "a"), range(4)))
    assert (tmp_path / "a").read_bytes() == CONTENT
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
