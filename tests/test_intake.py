"""Files, folders and URLs into a library: what is fetched, kept, told, and taken away again."""

from __future__ import annotations

import re
import socket
import sys
from pathlib import Path

import pytest
from fakes import say, tone_library, write_wav
from scripted import Script, answer, scripted

from earshot import cli
from earshot.fetched import MEDIA
from earshot.fetching import Rules, downloading
from earshot.library import Library
from earshot.outcome import Progress, Status

HERE = Rules(allowed=("127.0.0.0/8",))


def wav(folder: Path, text: str) -> bytes:
    return write_wav(folder / "said.wav", say(text)).read_bytes()


def files(bodies: dict[str, bytes]) -> Script:
    def script(request: str, connection: socket.socket) -> None:
        path = request.split()[1].partition("?")[0]
        known = path in bodies
        connection.sendall(answer("200 OK" if known else "404 Not Found", bodies.get(path, b"")))

    return script


def kept(library: Library) -> list[str]:
    own = library.path / MEDIA
    return sorted(path.name for path in own.iterdir()) if own.exists() else []


def test_a_url_is_added_found_and_forgotten(tmp_path: Path) -> None:
    seen: list[Progress] = []
    body = wav(tmp_path, "harbour invoice")
    with (
        scripted(files({"/calls/monday%20talk.wav": body})) as server,
        tone_library(tmp_path / "library") as library,
    ):
        url = server.url("/calls/monday%20talk.wav?key=1")
        (outcome,) = library.add_each([url], rules=HERE, progress=seen.append)
        recording = outcome.recording
        assert recording is not None
        assert (outcome.path, outcome.status) == (url, Status.ADDED)
        assert (recording.title, dict(recording.meta)) == ("monday talk", {"url": url})
        assert Path(recording.path).read_bytes() == body
        assert kept(library) == [f"{recording.digest}.wav"]
        assert [m.title for m in library.search("invoice").mentions] == ["monday talk"]
        library.clip(recording, tmp_path / "clip.wav")
        assert {now.path for now in seen} == {url}
        fetched = [(now.fetched, now.bytes) for now in seen if now.fetched is not None]
        assert fetched[-1] == (len(body), len(body))
        library.remove(recording.id)
        assert kept(library) == []


def test_the_same_again_costs_nothing(tmp_path: Path) -> None:
    body = wav(tmp_path, "harbour")
    with (
        scripted(files({"/a.wav": body, "/b.mp3": body})) as server,
        tone_library(tmp_path / "library") as library,
    ):
        urls = [server.url("/a.wav"), server.url("/b.mp3"), server.url("/a.wav")]
        report = library.add(urls, rules=HERE)
        assert [each.status.value for each in report.outcomes] == ["added", "skipped", "skipped"]
        assert kept(library) == [f"{report.added[0].digest}.wav"]


def test_a_file_of_the_user_is_left_where_it_is(tmp_path: Path) -> None:
    body = wav(tmp_path, "harbour")
    with (
        scripted(files({"/a.wav": body})) as server,
        tone_library(tmp_path / "library") as library,
    ):
        library.add([tmp_path / "said.wav"])
        assert len(library.add([server.url("/a.wav")], rules=HERE).skipped) == 1
        assert kept(library) == []
        library.remove(library.list()[0].id)
    assert (tmp_path / "said.wav").exists()


def test_nothing_makes_an_empty_library(tmp_path: Path) -> None:
    with tone_library(tmp_path / "library") as library:
        assert library.add([]).outcomes == ()
        assert library.list() == ()


def test_files_and_urls_keep_their_order(tmp_path: Path) -> None:
    names = ("harbour", "invoice", "lantern")
    for name in names:
        write_wav(tmp_path / f"{name}.wav", say(name))
    bodies = {f"/{name}.wav": (tmp_path / f"{name}.wav").read_bytes() for name in names}
    with scripted(files(bodies)) as server, tone_library(tmp_path / "library") as library:
        given = [
            tmp_path / "harbour.wav",
            server.url("/invoice.wav"),
            str(tmp_path / "lantern.wav"),
        ]
        report = library.add(given, rules=HERE)
        assert [each.title for each in report.added] == list(names)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/missing.wav", "the server answers 404 Not Found"),
        ("/text.wav", "is text, not audio or video"),
        ("/empty.wav", r"is empty \(0 bytes\)"),
        ("/cut.wav", "truncated|is damaged|bytes"),
    ],
)
def test_what_cannot_be_heard_leaves_nothing(tmp_path: Path, path: str, reason: str) -> None:
    whole = wav(tmp_path, "harbour")
    bodies = {
        "/text.wav": b"Dear diary, nothing was said today.\n" * 50,
        "/empty.wav": b"",
        "/cut.wav": whole[: len(whole) // 2],
    }
    with scripted(files(bodies)) as server, tone_library(tmp_path / "library") as library:
        library.add([tmp_path / "said.wav"])
        url = server.url(path)
        (outcome,) = library.add_each([url], rules=HERE)
        assert (outcome.path, outcome.status) == (url, Status.FAILED)
        assert re.search(reason, outcome.note) and "/library/" not in outcome.note
        assert kept(library) == []


def test_the_library_is_free_while_something_is_fetched(tmp_path: Path) -> None:
    body = wav(tmp_path, "harbour")
    other = write_wav(tmp_path / "other.wav", say("lantern"))

    def script(_request: str, connection: socket.socket) -> None:
        with tone_library(tmp_path / "library") as second:
            assert len(second.add([other]).added) == 1
        connection.sendall(answer("200 OK", body))

    with scripted(script) as server, tone_library(tmp_path / "library") as library:
        assert len(library.add([server.url("/a.wav")], rules=HERE).added) == 1
        assert len(library.list()) == 2


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(cli, "Library", tone_library)
    monkeypatch.setattr(sys, "argv", ["earshot", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def test_the_command_line_adds_urls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(downloading, "WAITS", ())
    library = ("--library", str(tmp_path / "library"))
    with scripted(files({"/a.wav": wav(tmp_path, "harbour")})) as server:
        url = server.url("/a.wav")
        assert run(monkeypatch, "add", url, *library) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line == (
            f"{url}: the host 127.0.0.1 lies in a private or reserved network, from which nothing "
            "is fetched unless private networks are allowed"
        )
        assert server.requests == []
        assert run(monkeypatch, "add", url, *library, "--allow-private", "--tag", "calls") == 0
        assert url in capsys.readouterr().out
    assert run(monkeypatch, "add", "ftp://example.org/a.wav", *library) == 1
    assert "only http and https" in capsys.readouterr().err
    assert run(monkeypatch, "search", "harbour", *library, "--tag", "calls", "--json") == 0
