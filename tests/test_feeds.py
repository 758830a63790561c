"""Feeds as they are found in the world: what an episode is, and what is said of what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from podcast_server import item, rss

from earshot.errors import FeedError
from earshot.sources.feeds import Chapter, chapters_of, parse, plain

AT = "https://example.org/shows/feed.xml"
ITEM = item(13, "/13.mp3")


def test_an_episode_has_all_that_the_feed_says() -> None:
    extra = """<itunes:season>2</itunes:season><link>https://example.org/13</link>
<description><![CDATA[<p>About <b>nets</b> &amp; more</p><script>x()</script><p>Next</p>]]>
</description>
<psc:chapters><psc:chapter start="00:00:00.000" title="Intro"/>
<psc:chapter start="1:02:03.5" title="Nets"/></psc:chapters>
<podcast:chapters url="13.json" type="application/json+chapters"/>"""
    feed = parse(rss(item(13, "/13.mp3", day=17, extra=extra)), AT)
    (one,) = feed.episodes
    assert (feed.title, feed.link, feed.problem) == ("Deep Talks", "https://example.org/", "")
    assert (one.number, one.season, one.date, one.title) == (13, 2, "2020-05-17", "Talk 13")
    assert (one.key, one.audio, one.kind) == ("talk-13", "https://example.org/13.mp3", "audio/wav")
    assert one.description == "About nets & more\nNext"
    assert one.chapters == (Chapter(0, "Intro"), Chapter(3723.5, "Nets"))
    assert one.chapters_at == "https://example.org/shows/13.json"


def test_an_atom_feed_has_episodes_too() -> None:
    document = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>A</title>
<entry><id>urn:1</id><title>#7 Old</title><updated>2019-01-02T03:04:05Z</updated>
<link rel="enclosure" type="audio/mpeg" href="7.mp3" length="9"/><summary>s</summary></entry>
<entry><id>urn:2</id><title>8: New</title><updated>2020-01-02T03:04:05Z</updated>
<link rel="enclosure" type="video/mp4" href="8.mp4"/>
<link rel="enclosure" type="audio/ogg" href="8.ogg"/></entry>
<entry><id>urn:3</id><title>no sound</title><link href="/x"/></entry></feed>"""
    feed = parse(document, AT)
    assert [(e.number, e.audio.rpartition("/")[2], e.bytes) for e in feed.episodes] == [
        (8, "8.ogg", None), (7, "7.mp3", 9),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "title, number",
    [("Episode 12: x", 12), ("Ep. 3", 3), ("#44 y", 44), ("120 - z", 120), ("Top 10", None),
     ("Season finale", None), ("Folge 9", 9), ("In 2016 we", None)],
)  # fmt: skip
def test_a_title_may_tell_the_number(title: str, number: int | None) -> None:
    one = f"<item><title>{title}</title><enclosure url='/a.mp3' type='audio/mpeg'/></item>"
    assert parse(rss(one), AT).episodes[0].number == number


def enclosure(address: str, kind: str = "audio/mpeg") -> bytes:
    """A feed with one episode, whose sound is said to lie there."""
    return rss(f"<item><enclosure url='{address}' type='{kind}'/></item>")


# What is wrong, the document, and what the one sentence says.
REFUSED = {
    "nothing": (b"", "is empty"),
    "spaces": (b" \r\n\t ", "is empty"),
    "a page": (b"<!DOCTYPE html><html><title>x</title></html>", "is a web page"),
    "a page in capitals": (b"<HTML><BODY>x</BODY></HTML>", "is a web page"),
    "a page with a feed": (
        b'<!doctype html><link rel="alternate" type="application/rss+xml" href="/f?a=1&amp;b=2">',
        "its feed is at https://example.org/f?a=1&b=2",
    ),
    "a page with a bad link": (
        b'<!doctype html><link type="application/rss+xml" href="javascript:x">',
        "give the address",
    ),
    "a list": (b'<?xml version="1.0"?><opml version="2.0"></opml>', "list of feeds"),
    "json": (b'{"version": "https://jsonfeed.org/version/1.1"}', "is JSON"),
    "mp3": (b"ID3\x04\0\0\0\0\0\0" + bytes(99), "is audio"),
    "ogg": (b"OggS" + bytes(99), "is audio"),
    "text": (b"Not found, sorry.", "is text"),
    "binary": (bytes(range(1, 256)) * 4, "is no feed"),
    "zeros": (bytes(5000), "is no feed"),
    "other xml": (b"<?xml version='1.0'?><svg><g/></svg>", "neither RSS nor Atom"),
    "cut at once": (b"<?xml version='1.0'?><rs", "is no feed"),
    "no audio": (rss("<item><title>a</title></item>"), "has 1 entries and no audio"),
    "a picture": (enclosure("/a.png", "image/png"), "no audio"),
    "a document": (enclosure("/a.pdf", "application/pdf"), "no audio"),
    "enclosure without address": (rss("<item><enclosure type='audio/mpeg'/></item>"), "no audio"),
    "empty address": (enclosure(""), "no audio"),
    "file address": (enclosure("file:///etc/passwd"), "no audio"),
    "ftp address": (enclosure("ftp://x/a.mp3"), "no audio"),
    "data address": (enclosure("data:audio/mpeg;base64,AA"), "no audio"),
    "bad port": (enclosure("http://x:port/a.mp3"), "no audio"),
    "bad brackets": (enclosure("http://[x/a.mp3"), "no audio"),
    "an entity bomb": (
        b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
        + b"".join(b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9))
        + b"]><rss><channel><title>&j;</title></channel></rss>",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_podcast_is_one_sentence(what: str) -> None:
    document, said = REFUSED[what]
    if not said:  # it may be read or refused; it must not grow
        try:
            assert len(parse(document, AT).title) < 1000
        except FeedError as error:
            assert len(str(error)) < 1000
        return
    with pytest.raises(FeedError) as refused:
        parse(document, AT)
    sentence = str(refused.value)
    assert said in sentence and sentence.startswith(AT)
    assert "\n" not in sentence and len(sentence) < 700


A, B = "<enclosure url='/a.mp3'/>", "<enclosure url='/b.mp3'/>"
ENCLOSURE = "<enclosure url='/a.mp3' type='audio/mpeg'/>"
# What is wrong, the items, and how many episodes can be made of them all the same.
MENDED = {
    "no title": (f"<item><guid>1</guid>{ENCLOSURE}</item>", 1),
    "no guid": (f"<item><title>a</title>{ENCLOSURE}</item>", 1),
    "nothing but sound": (f"<item>{ENCLOSURE}</item>", 1),
    "no type": ("<item><enclosure url='/a.mp3'/></item>", 1),
    "a wrong type": ("<item><enclosure url='/a.mp3' type='text/html'/></item>", 1),
    "no type, no suffix": ("<item><enclosure url='/play?id=3'/></item>", 1),
    "length in words": ("<item><enclosure url='/a.mp3' length='big'/></item>", 1),
    "negative length": ("<item><enclosure url='/a.mp3' length='-5'/></item>", 1),
    "huge length": (f"<item><enclosure url='/a.mp3' length='{'9' * 400}'/></item>", 1),
    "spaces in the address": ("<item><enclosure url=' /a b.mp3 ' type='audio/mpeg'/></item>", 1),
    "letters in the address": ("<item><enclosure url='/ä.mp3' type='audio/mpeg'/></item>", 1),
    "no such date": (f"<item><pubDate>99 Foo 2020</pubDate>{ENCLOSURE}</item>", 1),
    "year 0": (f"<item><pubDate>Mon, 01 Jan 0000 00:00:00 GMT</pubDate>{ENCLOSURE}</item>", 1),
    "no such number": (f"<item><itunes:episode>two</itunes:episode>{ENCLOSURE}</item>", 1),
    "number of 30 digits": (
        f"<item><itunes:episode>{'7' * 30}</itunes:episode>{ENCLOSURE}</item>", 1,
    ),
    "the same twice": (f"<item><guid>1</guid>{ENCLOSURE}</item>" * 2, 1),
    "one guid for all": (
        f"<item><guid>x</guid>{A}</item><item><guid>x</guid>{B}</item>", 2,
    ),
    "empty guids": (
        f"<item><guid/>{A}</item><item><guid/>{B}</item>", 2,
    ),
    "two enclosures": (
        f"<item><enclosure url='/a.pdf' type='application/pdf'/>{ENCLOSURE}</item>", 1,
    ),
    "media rss": ("<item><media:content url='/a.mp3' type='audio/mpeg' fileSize='3'/></item>", 1),
    "medium only": ("<item><media:content url='/a' medium='audio'/></item>", 1),
    "one bad among good": (f"<item><title>x</title></item><item>{ENCLOSURE}</item>", 1),
    "escaped escapes": (f"<item><title>a &amp;amp; b</title>{ENCLOSURE}</item>", 1),
    "an unknown entity": (f"<item><title>a &nbsp; b</title>{ENCLOSURE}</item>", 1),
    "a naked ampersand": (f"<item><title>Q & A</title>{ENCLOSURE}</item>", 1),
    "control characters": (f"<item><title>a\x0bb</title>{ENCLOSURE}</item>", 1),
    "a wrong nesting": (f"<item><title>a<b></title></b>{ENCLOSURE}</item>", 1),
    "an unknown namespace": (f"<item><foo:bar>x</foo:bar>{ENCLOSURE}</item>", 1),
    "a title of a megabyte": (f"<item><title>{'x' * 1_000_000}</title>{ENCLOSURE}</item>", 1),
    "chapters without times": (
        f"<item><psc:chapters><psc:chapter title='x'/></psc:chapters>{ENCLOSURE}</item>", 1,
    ),
    "surrogates": (f"<item><title>&#xD800;</title>{ENCLOSURE}</item>", 1),
}  # fmt: skip


@pytest.mark.parametrize("what", MENDED)
def test_what_can_be_read_of_a_malformed_feed_is(what: str) -> None:
    items, count = MENDED[what]
    good = item(2, "/good.mp3", day=2)
    feed = parse(rss(items + good), AT)
    assert len(feed.episodes) == count + 1
    assert [one.audio for one in feed.episodes if one.number == 2] == [
        "https://example.org/good.mp3"
    ]
    for one in feed.episodes:
        assert one.key and one.title and one.title.isprintable() and len(one.title) <= 500
        assert one.audio.isascii() and " " not in one.audio
        assert "\n" not in feed.problem


def test_more_than_fifty_ways_are_tried() -> None:
    assert len(REFUSED) + len(MENDED) > 50


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_encodings_are_understood(encoding: str) -> None:
    text = rss(ITEM, title="Gespräche").decode()
    if encoding == "latin-1":
        text = text.replace("UTF-8", "iso-8859-1")
    if encoding == "utf-16":
        text = text.replace("UTF-8", "utf-16")
    assert parse(text.encode(encoding), AT).title == "Gespräche"


def test_a_feed_that_is_cut_gives_what_it_has() -> None:
    whole = rss(item(1, "/1.mp3", day=1) + item(2, "/2.mp3", day=2) + item(3, "/3.mp3", day=3))
    cut = whole[: whole.index(b"Talk 3")]
    feed = parse(cut, AT)
    assert {"/1.mp3", "/2.mp3"} <= {
        one.audio.removeprefix("https://example.org") for one in feed.episodes
    }
    assert "damaged" in feed.problem


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_raise_anything_else(junk: bytes, at: int) -> None:
    document = rss(ITEM)
    for one in (junk, document[:at] + junk + document[at:]):
        try:
            parse(one, AT)
        except FeedError as error:
            assert "\n" not in str(error)


@given(st.text())
def test_texts_come_out_plain(text: str) -> None:
    assert all(sign.isprintable() or sign == "\n" for sign in plain(text))


def test_chapters_in_json() -> None:
    listed = [
        {"startTime": 60, "title": "Two"}, {"startTime": 0.5, "title": "One"}, {"title": "x"},
        {"startTime": 5, "title": "hidden", "toc": False}, "x", {"startTime": -1, "title": "y"},
    ]  # fmt: skip
    assert chapters_of({"chapters": listed}) == (Chapter(0.5, "One"), Chapter(60, "Two"))
    for other in ([], {}, None, {"chapters": {}}, {"chapters": 3}):
        assert chapters_of(other) == ()
