"""Lists of feeds: read as other programs write them, written so that they read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from earshot.errors import UsageError
from earshot.sources.outlines import Outline, read_outlines, write_outlines

LIST = b"""<?xml version="1.0"?><opml version="1.1"><head><title>mine</title></head><body>
<outline text="folder"><outline type="rss" text="A &amp; B"
xmlUrl=" https://a.example/f?x=1&amp;y=2 "/>
<outline title="C" xmlURL="http://c.example/"/></outline><outline text="again"
xmlUrl="http://c.example/"/><outline text="a page" htmlUrl="http://d.example/"/>
<outline text="local" xmlUrl="file:///etc/passwd"/></body></opml>"""


def test_what_is_written_is_read(tmp_path: Path) -> None:
    feeds = (Outline("https://a.example/f?x=1&y=2", 'A & "B" <c>'), Outline("http://ü/", "日本"))
    write_outlines(tmp_path / "list.opml", feeds)
    assert read_outlines(tmp_path / "list.opml") == feeds


def test_folders_and_doubles_are_flattened(tmp_path: Path) -> None:
    (tmp_path / "list").write_bytes(LIST)
    assert read_outlines(tmp_path / "list") == (
        Outline("https://a.example/f?x=1&y=2", "A & B"),
        Outline("http://c.example/", "C"),
    )


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "is not XML"),
        (b"text", "is not XML"),
        (b"<opml><body>", "is not XML"),
        (b"<rss/>", "is no list of feeds"),
        (b"<opml/>", "names no feed"),
        (b"<opml><body><outline xmlUrl='ftp://x'/></body></opml>", "names no feed"),
        (b"<!DOCTYPE o [<!ENTITY a 'b'>]><opml>&a;</opml>", "defines the entity 'a'"),
        (bytes(100), "is not XML"),
        (b"<opml>" + b" " * (17 << 20), "more than 16 MB"),
    ],
)
def test_what_is_no_list_is_one_sentence(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "list.opml"
    path.write_bytes(data)
    with pytest.raises(UsageError) as refused:
        read_outlines(path)
    assert said in str(refused.value) and str(path) in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_outlines(tmp_path / "none")
