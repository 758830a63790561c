"""Fetching from servers that behave, that break off, and that mean harm."""

from __future__ import annotations

import itertools
import json
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Script, answer, scripted

from earshot.errors import AddressRefused, FetchError
from earshot.fetching import Rules, address, download, downloading, is_public, requesting, send

BODY = bytes(range(256)) * 4096  # 1 MiB
HERE = Rules(allowed=("127.0.0.0/8",), patience=5.0)


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "WAITS", (0.0, 0.0))


def always(reply: bytes) -> Script:
    return lambda _request, connection: connection.sendall(reply)


def in_turn(*scripts: Script) -> Script:
    waiting = iter(scripts)
    return lambda request, connection: next(waiting)(request, connection)


def fetched(url: str, folder: Path, rules: Rules = HERE) -> bytes:
    found = download(url, folder / "part", rules)
    assert found.bytes == found.path.stat().st_size
    assert not (folder / "part.tag").exists()
    return found.path.read_bytes()


def refused(url: str, folder: Path, rules: Rules = HERE) -> str:
    with pytest.raises(FetchError) as caught:
        download(url, folder / "part", rules)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message
    return message


def test_a_body_is_fetched_whole(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with scripted(always(answer("200 OK", BODY))) as server:
        found = download(server.url(), tmp_path / "part", HERE, lambda *now: told.append(now))
        (request,) = server.requests
    assert found.path.read_bytes() == BODY
    assert (found.name, found.bytes) == ("talk.mp3", len(BODY))
    assert told[0] == (0, len(BODY)) and told[-1] == (len(BODY), len(BODY))
    assert "User-Agent: earshot" in request and "Accept-Encoding: identity" in request


def test_chunks_and_bodies_without_a_length(tmp_path: Path) -> None:
    chunked = b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
    with scripted(always(answer("200 OK", chunked, "Transfer-Encoding: chunked"))) as server:
        assert fetched(server.url(), tmp_path) == b"abcdefg"
    with scripted(always(b"HTTP/1.1 200 OK\r\n\r\nabc")) as server:
        (tmp_path / "part").unlink()
        assert fetched(server.url(), tmp_path) == b"abc"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.org/a.mp3", "only http and https"),
        ("file:///etc/passwd", "only http and https"),
        ("gopher://127.0.0.1:25/x", "only http and https"),
        ("http:///a.mp3", "no host"),
        ("http://bob:secret@example.org/a.mp3", "user name or a password"),
        ("http://example.org@127.0.0.1/a.mp3", "user name or a password"),
        ("http://example.org:22/a.mp3", "port 22"),
        ("http://example.org:6667/a.mp3", "port 6667"),
        ("http://example.org:0/a.mp3", "port 0"),
        ("http://example.org:99999/a.mp3", "is no URL"),
        ("http://[::1/a.mp3", "is no URL"),
        ("http://[fe80::1%25eth0]/a.mp3", "(network interfaces|is no URL)"),
        ("http://example.org\\@127.0.0.1/", "backslashes"),
        ("http://example.org/a\r\nX-Evil: 1", "control characters"),
        ("http://exa mple.org/", "no host"),
        ("http://" + "a" * 64 + ".org/", "no host"),
        ("http://example.org/" + "a" * 9000, "characters"),
    ],
)
def test_urls_that_are_never_asked_for(url: str, reason: str, tmp_path: Path) -> None:
    with pytest.raises(AddressRefused, match=reason) as caught:
        download(url, tmp_path / "part", HERE)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    for url in (text, "http://" + text, "http://example.org/" + text):
        try:
            found = address(url)
        except AddressRefused as error:
            assert "\n" not in str(error)
        else:
            assert str(address(str(found))) == str(found)
            assert str(found).isascii() and str(found).isprintable()


PRIVATE = (
    "127.0.0.1 127.9.9.9 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1 0.0.0.0 "
    "0.1.2.3 224.0.0.1 240.0.0.1 255.255.255.255 192.0.0.192 192.0.2.1 198.18.0.1 198.51.100.1 "
    "203.0.113.1 168.63.129.16 ::1 :: fe80::1 fc00::1 fd00:ec2::254 fec0::1 ff02::1 2001:db8::1 "
    "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 "
    "64:ff9b:1::1 2002:7f00:1:: 2002:808:808:: 2001:0:7f00:1:: 2a00::5efe:7f00:1 3fff::1 100::1 "
    "fe80::1%eth0 nonsense"
)
PUBLIC = "8.8.8.8 93.184.216.34 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::8.8.8.8"


@pytest.mark.parametrize("number", PRIVATE.split())
def test_addresses_of_private_networks(number: str, tmp_path: Path) -> None:
    if number != "3fff::1":  # newer than some versions of Python's own list
        assert not is_public(number)
        asked: list[tuple[str, int]] = []

        def resolve(host: str, port: int) -> Sequence[str]:
            asked.append((host, port))
            return ["8.8.8.8", number]

        message = refused("http://media.example/a.mp3", tmp_path, Rules(resolve=resolve))
        assert "private or reserved network" in message and number in message
        assert asked == [("media.example", 80)]


@pytest.mark.parametrize("number", PUBLIC.split())
def test_addresses_that_anyone_may_name(number: str) -> None:
    assert is_public(number)


@pytest.mark.parametrize("host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "[::1]", "0"])
def test_ways_to_write_this_machine(host: str, tmp_path: Path) -> None:
    with scripted(always(answer("200 OK", BODY))) as server:
        message = refused(server.url(host=host), tmp_path, Rules())
        assert server.requests == []
    assert "private or reserved" in message or "cannot be found" in message


def test_networks_that_are_allowed() -> None:
    assert is_public("10.1.2.3", ["10.0.0.0/8"])
    assert is_public("::ffff:10.1.2.3", ["10.0.0.0/8"])
    assert not is_public("11.1.2.3.4", ["10.0.0.0/8"])
    assert not is_public("192.168.0.1", ["10.0.0.0/8"])


def test_dns_that_changes_its_mind_is_asked_once(tmp_path: Path) -> None:
    """The connection goes to the address that was judged, whatever a second question gives."""
    answers = iter([["127.0.0.1"], ["192.168.0.1"]])
    with scripted(always(answer("200 OK", BODY))) as server:
        rules = replace(HERE, resolve=lambda _host, _port: next(answers))
        url = server.url(host="rebind.example")
        assert fetched(url, tmp_path, rules) == BODY
        assert f"Host: rebind.example:{server.port}" in server.requests[0]
        (tmp_path / "part").unlink()
        assert "192.168.0.1" in refused(url, tmp_path, rules)  # the next connection, judged anew
        assert len(server.requests) == 1


def test_a_host_without_an_address(tmp_path: Path) -> None:
    def resolve(_host: str, _port: int) -> Sequence[str]:
        raise socket.gaierror(-2, "Name or service not known")

    message = refused("http://nowhere.example/a", tmp_path, Rules(resolve=resolve))
    assert "nowhere.example cannot be found" in message


def test_redirects_are_followed_and_checked(tmp_path: Path) -> None:
    def script(request: str, connection: socket.socket) -> None:
        path = request.split()[1]
        if path == "/start":
            connection.sendall(answer("302 Found", b"", "Location: /here/talk%20one.mp3?key=1"))
        elif path == "/inside":
            connection.sendall(answer("301 Moved", b"", "Location: http://10.0.0.1/secret"))
        elif path == "/file":
            connection.sendall(answer("301 Moved", b"", "Location: file:///etc/passwd"))
        elif path == "/round":
            connection.sendall(answer("307 Temporary Redirect", b"", "Location: /round"))
        else:
            connection.sendall(answer("200 OK", BODY))

    with scripted(script) as server:
        found = download(server.url("/start"), tmp_path / "part", HERE)
        assert (found.name, found.bytes) == ("talk one.mp3", len(BODY))
        assert "10.0.0.1" in refused(server.url("/inside"), tmp_path)
        assert "only http and https" in refused(server.url("/file"), tmp_path)
        before = len(server.requests)
        assert "more than 8 times" in refused(server.url("/round"), tmp_path)
        assert len(server.requests) == before + 9


def test_bodies_that_never_end(tmp_path: Path) -> None:
    def endless(_request: str, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in itertools.count():
            connection.sendall(BODY)

    with scripted(endless) as server:
        rules = replace(HERE, most_bytes=3 << 20)
        assert "does not end within" in refused(server.url(), tmp_path, rules)
    assert list(tmp_path.iterdir()) == []
    with scripted(always(answer("200 OK", b"", "Content-Length: 99999999999"))) as server:
        assert "has 99999999999 bytes" in refused(server.url(), tmp_path)


def trickle(_request: str, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(200):
        connection.sendall(b"x")
        time.sleep(0.02)


def test_bodies_that_trickle_or_stop(tmp_path: Path) -> None:
    with scripted(trickle) as server:
        rules = replace(HERE, patience=0.2, most_seconds=3.0)
        assert "bytes a second" in refused(server.url(), tmp_path, rules)
        rules = replace(HERE, most_seconds=0.2)
        assert "in the time that is allowed" in refused(server.url(), tmp_path, rules)
    with scripted(lambda _request, connection: time.sleep(0.5)) as server:
        rules = replace(HERE, patience=0.1)
        assert "in the time that is allowed" in refused(server.url(), tmp_path, rules)


def test_headers_that_trickle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def script(_request: str, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.02)

    monkeypatch.setattr(requesting, "HEADER_SECONDS", 0.2)
    with scripted(script) as server:
        assert "in the time that is allowed" in refused(server.url(), tmp_path)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (answer("404 Not Found"), "404 Not Found"),
        (answer("503 Busy", b"", "Retry-After: 0"), "503 Busy"),
        (answer("200 OK", b"x", "Content-Encoding: gzip"), "sent compressed"),
        (answer("200 OK", b"<html>", "Content-Type: text/html; charset=x"), "is a web page"),
        (answer("206 Partial Content", b"x", "Content-Range: bytes 5-5/6"), "another part"),
        (answer("302 Found", b"", "Location: http://[bad/"), "is no URL"),
        (answer("302 Found"), "302 Found"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "cannot be fetched"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nabcde", "cannot be"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 40_000 + b"\r\n", "cannot be fetched"),
    ],
)
def test_answers_that_are_no_file(reply: bytes, reason: str, tmp_path: Path) -> None:
    with scripted(always(reply)) as server:
        message = refused(server.url("/talk.mp3?token=secret"), tmp_path)
    assert reason in message and "secret" not in message
    assert list(tmp_path.iterdir()) == []


def ranged(body: bytes, *, breaks_after: int) -> Script:
    """A server that goes on where it is asked to, and breaks off after so many bytes."""

    def script(request: str, connection: socket.socket) -> None:
        asked = re.search(r"Range: bytes=(\d+)-", request)
        first = int(asked[1]) if asked and 'If-Range: "v1"' in request else 0
        status = "206 Partial Content" if first else "200 OK"
        headers = ['ETag: "v1"', f"Content-Length: {len(body) - first}"]
        if first:
            headers.append(f"Content-Range: bytes {first}-{len(body) - 1}/{len(body)}")
        connection.sendall(answer(status, body[first : first + breaks_after], *headers))

    return script


def test_it_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    with scripted(ranged(BODY, breaks_after=300_000)) as server:
        assert fetched(server.url(), tmp_path) == BODY
        firsts = [re.findall(r"Range: bytes=(\d+)-", each) for each in server.requests]
    assert firsts == [[], ["300000"], ["600000"], ["900000"]]


def test_another_call_goes_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_request: str, connection: socket.socket) -> None:
        headers = ('ETag: "v1"', f"Content-Length: {len(BODY)}")
        connection.sendall(answer("200 OK", BODY[:1000], *headers))

    monkeypatch.setattr(downloading, "WAITS", ())
    with scripted(in_turn(broken, ranged(BODY, breaks_after=len(BODY)))) as server:
        assert "cannot be fetched" in refused(server.url(), tmp_path)
        assert (tmp_path / "part").stat().st_size == 1000
        assert json.loads((tmp_path / "part.tag").read_text())["version"] == '"v1"'
        assert fetched(server.url(), tmp_path) == BODY
        assert "Range: bytes=1000-" in server.requests[1]


def test_a_file_that_has_changed_is_fetched_anew(tmp_path: Path) -> None:
    headers = ('ETag: "v2"', f"Content-Length: {len(BODY)}")
    first = always(answer("200 OK", b"old", 'ETag: "v0"', "Content-Length: 9"))
    with scripted(in_turn(first, always(answer("200 OK", BODY, *headers)))) as server:
        assert fetched(server.url(), tmp_path) == BODY
        assert 'If-Range: "v0"' in server.requests[1]
    gone = always(answer("416 Range Not Satisfiable"))
    (tmp_path / "part").unlink()
    with scripted(in_turn(first, gone, always(answer("200 OK", BODY, *headers)))) as server:
        assert fetched(server.url(), tmp_path) == BODY


def test_a_length_that_lies(tmp_path: Path) -> None:
    short = always(answer("200 OK", b"abc", "Content-Length: 10"))
    with scripted(short) as server:
        assert "cannot be fetched" in refused(server.url(), tmp_path)
        assert len(server.requests) == 3
    with scripted(always(answer("200 OK", b"abcdef", "Content-Length: 3"))) as server:
        assert fetched(server.url(), tmp_path) == b"abc"


@pytest.mark.parametrize(
    ("header", "path", "name"),
    [
        ('Content-Disposition: attachment; filename="talk one.mp3"', "/x", "talk one.mp3"),
        ("Content-Disposition: attachment; filename*=UTF-8''na%C3%AFve.mp3", "/x", "naïve.mp3"),
        ('Content-Disposition: attachment; filename="../../etc/passwd"', "/x", "passwd"),
        ('Content-Disposition: attachment; filename="C:\\\\evil.wav"', "/x", "evil.wav"),
        ('Content-Disposition: attachment; filename=".."', "/x.wav", "x.wav"),
        ("Content-Disposition: \xff\xff=;;;", "/x.wav", "x.wav"),
        ("X: y", "/a/b%2Fc%0A.mp3?x=1", "c .mp3"),
        ("X: y", "/", "127.0.0.1"),
        ("X: y", "/" + "n" * 400 + ".mp3", "n" * 196 + ".mp3"),
    ],
)
def test_the_name_of_what_was_fetched(header: str, path: str, name: str, tmp_path: Path) -> None:
    reply = answer("200 OK", b"abc").replace(
        b"\r\n", b"\r\n" + header.encode("latin-1") + b"\r\n", 1
    )
    with scripted(always(reply)) as server:
        assert download(server.url(path), tmp_path / "part", HERE).name == name


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def believed(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """We trust the authority; what is returned is a server's context for media.example."""
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    monkeypatch.setattr(requesting, "trusted", lambda: ours)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("media.example").configure_cert(theirs)
    return theirs


def test_tls_is_verified_against_the_name(believed: ssl.SSLContext, tmp_path: Path) -> None:
    rules = replace(HERE, resolve=lambda _host, _port: ["127.0.0.1"])
    with scripted(always(answer("200 OK", BODY)), believed) as server:
        good = server.url(host="media.example", scheme="https")
        assert fetched(good, tmp_path, rules) == BODY
        (tmp_path / "part").unlink()
        other = server.url(host="other.example", scheme="https")
        assert "certificate" in refused(other, tmp_path, rules)


def test_tls_of_strangers_is_not_believed(
    believed: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(downloading, "WAITS", ())
    rules = replace(HERE, resolve=lambda _host, _port: ["127.0.0.1"])
    with scripted(always(answer("200 OK", BODY)), believed) as server:
        url = server.url(host="media.example", scheme="https")
        assert "certificate" in refused(url, tmp_path, rules)


def test_https_does_not_become_http(believed: ssl.SSLContext, tmp_path: Path) -> None:
    rules = replace(HERE, resolve=lambda _host, _port: ["127.0.0.1"])
    reply = answer("302 Found", b"", "Location: http://media.example/a.mp3")
    with scripted(always(reply), believed) as server:
        url = server.url(host="media.example", scheme="https")
        assert "from https to http" in refused(url, tmp_path, rules)


@pytest.mark.parametrize("status", ["200 OK", "302 Found", "500 Broken"])
def test_a_message_is_sent(status: str) -> None:
    seen: list[str] = []

    def script(request: str, connection: socket.socket) -> None:
        header, _, body = request.partition("\r\n\r\n")
        length = int(re.findall(r"Content-Length: (\d+)", header)[0])
        while len(body) < length:
            body += connection.recv(65536).decode()
        seen.append(body)
        connection.sendall(answer(status, b"x" * 100_000, "Location: http://10.0.0.1/"))

    with scripted(script) as server:
        got = send(server.url("/hook"), b'{"a": 1}', {"Content-Type": "application/json"}, HERE)
        assert server.requests[0].startswith("POST /hook HTTP/1.1")
        assert "Content-Type: application/json" in server.requests[0]
    assert (f"{got.status} {got.reason}", len(got.body)) == (status, 1 << 16)
    assert seen == ['{"a": 1}']


def test_a_message_reaches_no_private_network() -> None:
    with scripted(always(answer("200 OK"))) as server:
        with pytest.raises(AddressRefused):
            send(server.url(), b"{}", {}, Rules())
        assert server.requests == []


def test_two_processes_do_not_fetch_into_one_file(tmp_path: Path) -> None:
    seen: list[str] = []

    def script(_request: str, connection: socket.socket) -> None:
        seen.append(refused(connection_url, tmp_path))
        connection.sendall(answer("200 OK", BODY))

    with scripted(script) as server:
        connection_url = server.url()
        assert fetched(connection_url, tmp_path) == BODY
    assert "by another process" in seen[0]


def test_what_is_told_last_is_all(tmp_path: Path) -> None:
    """A download that is stopped from outside leaves what came, to be gone on with."""

    def stop(have: int, _total: int | None) -> None:
        if have:
            raise KeyboardInterrupt

    with scripted(ranged(BODY, breaks_after=len(BODY))) as server:
        with pytest.raises(KeyboardInterrupt):
            download(server.url(), tmp_path / "part", HERE, stop)
        assert fetched(server.url(), tmp_path) == BODY
        assert "Range: bytes=" in server.requests[1]
