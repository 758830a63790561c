"""Pages with videos on a real local server, through yt-dlp."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import say, tone_library, write_wav
from podcast_server import Site, Status, item, rss, site

from earshot import cli, media, video_cli
from earshot.errors import AddressRefused, FetchError, MissingExtra
from earshot.fetching import ANY_NETWORK, Rules
from earshot.sources.videos import Video, fetched, listed

HERE = Rules(allowed=ANY_NETWORK)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Site]:
    """A site with a video page, a playlist, and pages that are none."""
    with site() as shown:
        sound = write_wav(tmp_path / "sound.wav", say("harbour invoice")).read_bytes()
        shown.files["/talk.wav"] = sound
        shown.files["/page"] = (
            b"<!doctype html><html><head><title>My &amp; talk</title></head><body>"
            b'<video src="/talk.wav" type="audio/wav"></video></body></html>'
        )
        shown.files["/text"] = b"<!doctype html><html><title>words</title>nothing here</html>"
        items = [item(n, f"{shown.address}/{n}.wav") for n in (1, 2, 3)]
        shown.files["/list"] = rss("".join(items))
        for number in (1, 3):
            shown.files[f"/{number}.wav"] = sound[:-number]
        yield shown


def test_a_page_and_its_video(server: Site, tmp_path: Path) -> None:
    (one,) = listed(server.address + "/page", HERE)
    found = fetched(one, tmp_path / "videos", HERE)
    assert found.problem == "" and found.path is not None and found.about is not None
    assert found.path.parent == tmp_path / "videos" and media.probe(found.path).channels == 1
    assert found.path.read_bytes() == server.files["/talk.wav"]
    assert dict(found.about.meta)["link"].startswith(server.address)


def test_a_playlist_is_all_its_videos(server: Site) -> None:
    addresses = [one.address for one in listed(server.address + "/list", HERE)]
    assert addresses == [f"{server.address}/{n}.wav" for n in (1, 2, 3)]
    assert len(listed(server.address + "/list", HERE, 2)) == 2


@pytest.mark.parametrize("path", ["/text", "/none", "/forbidden", "/broken"])
def test_what_a_site_refuses_is_a_sentence(server: Site, path: str, tmp_path: Path) -> None:
    server.faults["/forbidden"] = [Status(403)] * 9
    server.faults["/broken"] = [Status(500)] * 9
    with pytest.raises(FetchError) as refused:
        listed(server.address + path, HERE)
    said = str(refused.value)
    assert "\n" not in said and "\x1b" not in said and "report this issue" not in said
    assert said.startswith(f"{server.address}{path} ")
    assert fetched(Video(server.address + path, "x"), tmp_path, HERE).problem


def test_private_networks_and_other_schemes(server: Site) -> None:
    for page in (server.address + "/page", "file:///etc/passwd", "ytsearch:talks"):
        with pytest.raises(AddressRefused):
            listed(page, Rules())
    assert server.requests == []


def test_without_yt_dlp(server: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    with pytest.raises(MissingExtra, match=r"earshot\[video\]"):
        listed(server.address + "/page", HERE)


def test_the_command(
    server: Site, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = tmp_path / "library"
    monkeypatch.setattr(video_cli, "Library", lambda path=None: tone_library(folder))

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["earshot", "video", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    words = ("--allow-private", "--tag", "talks")
    status, out, err = run(server.address + "/list", server.address + "/page", *words)
    assert status == 1 and "3 added, 0 skipped, 1 failed" in out and "404" in err
    status, out, _ = run(server.address + "/page", *words)
    assert status == 0 and "0 added, 1 skipped, 0 failed" in out
    with tone_library(folder) as library:
        assert len(library.search("harbour", where="tag:talks").mentions) == 3
