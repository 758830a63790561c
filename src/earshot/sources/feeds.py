"""An RSS or Atom document -> a feed and its episodes, as far as sense can be made of it.

feedparser reads the XML, damaged XML too; here is decided what an episode is: an entry with audio
or video enclosed. Everything in a document is foreign: texts lose their markup, numbers and dates
that are none are left out, and only addresses of the web are kept. This module fetches nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from earshot.errors import FeedError, MissingExtra

MOST_BYTES = 32 << 20
"""A feed has at most so many bytes; a thousand episodes with long notes have a tenth of them."""

MOST_EPISODES = 20_000
LONGEST_TEXT = 20_000  # characters of a description
LONGEST_LINE = 500  # characters of a title
MOST_CHAPTERS = 1_000

_SOUND = re.compile(
    r"\.(mp3|mp2|m4a|m4b|mp4|m4v|mov|aac|ogg|oga|opus|spx|wav|flac|webm|mka|mkv|wma|amr|aiff?)$",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(?:^|\b)(?:episode|epis\.|ep\.?|folge|no\.|nr\.)\s*#?\s*(\d{1,5})\b|(?:^|[\s(])#(\d{1,5})\b"
    r"|^(\d{1,5})\s*[:.–-]\s",
    re.IGNORECASE,
)
_ALTERNATE = re.compile(rb"<link\b[^>]*application/(?:rss|atom)\+xml[^>]*>", re.IGNORECASE)
_HREF = re.compile(rb"href\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_REFERENCE = re.compile(rb"&#(?:[xX]([0-9a-fA-F]+)|([0-9]+));")
_PSC_CHAPTER = re.compile(rb"<psc:chapter\b[^>]*>")
_CLOCK = re.compile(r"(?:(?:(\d{1,3}):)?(\d{1,2}):)?(\d{1,6})(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Chapter:
    """Where a part of an episode begins, in seconds, and what it is called."""

    start: float
    title: str


@dataclass(frozen=True, slots=True)
class Episode:
    """An entry of a feed with audio or video.

    `key` tells it from the feed's other entries for ever. `audio` is the address of its file,
    `kind` the media type and `bytes` the length that the feed tells, which are often wrong. `date`
    is a day as in 2020-05-17. `chapters_at` is the address of its chapters, if they lie elsewhere.
    """

    key: str
    audio: str
    title: str
    kind: str = ""
    bytes: int | None = None
    number: int | None = None
    season: int | None = None
    date: str | None = None
    description: str = ""
    link: str = ""
    chapters: tuple[Chapter, ...] = ()
    chapters_at: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed: its episodes, newest first, and a sentence about what is wrong with the document."""

    title: str
    link: str
    episodes: tuple[Episode, ...]
    problem: str = ""


def parse(document: bytes, address: str, kind: str = "") -> Feed:
    """The feed that `document`, which came from `address` as media type `kind`, holds.

    Raises FeedError for what is no feed, or one without any audio; MissingExtra.
    """
    try:
        import feedparser  # an extra, and 50 ms to load
    except ImportError as error:
        raise MissingExtra("feedparser, which reads feeds,", "feeds") from error
    _refuse_others(document, address)
    # Not where it came from: keys would be taken for addresses relative to it, and change with it.
    headers = {"content-type": kind or "application/xml"}
    document = _REFERENCE.sub(_possible, document)
    try:
        # Of a file: bytes would be taken for a file's name.
        found = feedparser.parse(BytesIO(document), response_headers=headers)
    except Exception:  # it promises to raise nothing, and chapters without times are an exception
        try:
            without = _PSC_CHAPTER.sub(b"", document)
            found = feedparser.parse(BytesIO(without), response_headers=headers)
        except Exception as error:
            raise FeedError(f"{address} cannot be read as a feed: {_line(error)}") from error
    if not found.get("version") and not found.entries:
        reason = _reason(found) or "it is XML, but neither RSS nor Atom"
        raise FeedError(f"{address} is no feed: {reason}")
    entries = list(found.entries[:MOST_EPISODES])
    episodes = _episodes(entries, address)
    if entries and not episodes:
        raise FeedError(
            f"{address} has {len(entries)} entries and no audio in any of them: it is no podcast"
        )
    about = found.feed
    title = _line(about.get("title")) or urlsplit(address).hostname or address
    reason = _reason(found)
    problem = f"the feed is damaged ({reason}): what could be read of it was" if reason else ""
    return Feed(title, _web(about.get("link"), address), episodes, problem)


def chapters_of(data: Any) -> tuple[Chapter, ...]:
    """The chapters of a JSON document (`application/json+chapters`); none where it is another."""
    listed = data.get("chapters") if isinstance(data, dict) else None
    found = []
    for one in listed if isinstance(listed, list) else ():
        if isinstance(one, dict) and one.get("toc") is not False:
            found.append((one.get("startTime"), one.get("title")))
    return _chapters(found)


def _refuse_others(document: bytes, address: str) -> None:
    """Say what a document is that is plainly no feed."""
    head = document[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    start = head[:512].lower()
    if not head:
        raise FeedError(f"{address} is empty, not a feed")
    if len(document) > MOST_BYTES:
        raise FeedError(f"{address} has more than {MOST_BYTES >> 20} MB, which no feed has")
    if start.startswith((b"<!doctype html", b"<html")):
        raise FeedError(f"{address} is a web page, not a feed{_whose_feed(document, address)}")
    if b"<opml" in start:
        raise FeedError(f"{address} is a list of feeds (OPML): save it, and follow the file")
    if head[:1] in b"{[":
        raise FeedError(f"{address} is JSON, not a feed: RSS and Atom can be followed")
    if head.startswith((b"ID3", b"OggS", b"RIFF", b"fLaC", b"\xff\xfb", b"\xff\xf3")):
        raise FeedError(f"{address} is audio, not a feed: download it, then `earshot add` the file")
    if b"<" not in document[:65536] and b"\0" not in head[:64]:
        raise FeedError(f"{address} is text, not a feed")


def _possible(reference: re.Match[bytes]) -> bytes:
    """A reference to a character, or a `?` where there is no such one: parsers stumble over it."""
    digits = reference[1] or reference[2]
    code = int(digits[-12:], 16 if reference[1] else 10)
    return b"?" if not 0 < code < 0x110000 or 0xD800 <= code < 0xE000 else reference[0]


def _whose_feed(page: bytes, address: str) -> str:
    link = _ALTERNATE.search(page)
    href = _HREF.search(link[0]) if link else None
    found = _web(unescape(href[1].decode("utf-8", "replace")), address) if href else ""
    return f"; its feed is at {found}" if found else ": give the address of its RSS or Atom"


def _reason(found: Mapping[str, Any]) -> str:
    """Why the XML is not well-formed, and where; empty if it is, or if it does not matter."""
    error = found.get("bozo_exception") if found.get("bozo") else None
    if error is None or type(error).__name__ in (
        "CharacterEncodingOverride",
        "NonXMLContentType",
        "UndeclaredNamespace",
    ):
        return ""
    line = getattr(error, "getLineNumber", lambda: None)()
    said = getattr(error, "getMessage", lambda: str(error))()
    return _line(f"line {line}: {said}" if line else said)


def _episodes(entries: Sequence[Any], address: str) -> tuple[Episode, ...]:
    found = []
    for entry in entries:
        media = next(_media(entry, address), None)
        if media is not None:
            found.append(_episode(entry, *media, address))
    # What shares its key with another is known by its address.
    count = Counter(one.key for one in {(e.key, e.audio): e for e in found}.values())
    by_key: dict[str, Episode] = {}
    for one in found:
        key = one.key if count[one.key] == 1 else one.audio
        by_key.setdefault(key, replace(one, key=key))
    # Most feeds are in this order; undated ones stay where they are, behind.
    return tuple(sorted(by_key.values(), key=lambda one: one.date or "", reverse=True))


def _episode(entry: Any, audio: str, kind: str, size: int | None, address: str) -> Episode:
    title = _line(entry.get("title"))
    chapters = entry.get("psc_chapters")
    listed = chapters.get("chapters") if isinstance(chapters, dict) else None
    there = entry.get("podcast_chapters")
    content = entry.get("content")
    told = entry.get("summary") or (content[0].get("value") if content else "")
    return Episode(
        key=_line(entry.get("id")) or audio,
        audio=audio,
        title=title or urlsplit(audio).path.rpartition("/")[2] or audio,
        kind=kind,
        bytes=size,
        number=_number(entry.get("itunes_episode")) or _numbered(title),
        season=_number(entry.get("itunes_season")),
        date=_day(entry),
        description=plain(told)[:LONGEST_TEXT],
        link=_web(entry.get("link"), address),
        chapters=_chapters((one.get("start"), one.get("title")) for one in listed or ()),
        chapters_at=_web(there.get("url"), address) if isinstance(there, dict) else "",
    )


def _media(entry: Any, address: str) -> Iterator[tuple[str, str, int | None]]:
    """Addresses, types and lengths of what an entry encloses, audio before video."""
    given = [(one.get("href"), one) for one in entry.get("links", ()) if _encloses(one)]
    given += [(one.get("url"), one) for one in entry.get("media_content", ())]
    found = []
    for where, one in given:
        at = _web(where, address)
        kind = str(one.get("type") or "").strip().lower()
        medium = kind.partition("/")[0]
        if medium not in ("audio", "video") and one.get("medium") in ("audio", "video"):
            medium = one["medium"]
        unknown = kind in ("", "application/octet-stream", "binary/octet-stream")
        by_name = _SOUND.search(urlsplit(at).path)
        if at and (medium in ("audio", "video") or by_name or (unknown and one.get("rel"))):
            size = _number(one.get("length") or one.get("filesize"))
            found.append((medium == "video", at, kind, size))
    yield from (one[1:] for one in sorted(found, key=lambda one: one[0]))


def _encloses(link: Any) -> bool:
    return bool(link.get("rel") == "enclosure")


def _web(value: Any, base: str) -> str:
    """An address of the web as it is fetched; empty where it is none."""
    text = str(value or "").strip()
    if not text:
        return ""
    try:
        whole = urljoin(base, text)
        parts = urlsplit(whole)
        parts.port  # noqa: B018  raises where it is no number
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.hostname or not whole.isprintable():
        return ""
    return quote(whole, safe="%/:=&?~#+!$,;'@()*[]|")  # spaces and letters that addresses lack


def _number(value: Any) -> int | None:
    text = str(value or "").strip()
    if not re.fullmatch(r"\d{1,15}", text, re.ASCII):
        return None
    return int(text) or None


def _numbered(title: str) -> int | None:
    """The number that stands in a title: `Episode 13`, `#13`, `13: ...`."""
    match = _NUMBERED.search(title)
    return int(next(filter(None, match.groups()))) if match else None


def _day(entry: Any) -> str | None:
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        # `get` alone takes one for the other, with a warning.
        when = entry.get(name) if name in entry else None
        if when is not None and 1900 <= when.tm_year <= 2200:
            return f"{when.tm_year:04d}-{when.tm_mon:02d}-{when.tm_mday:02d}"
    return None


def _chapters(given: Iterable[tuple[Any, Any]]) -> tuple[Chapter, ...]:
    found = []
    for start, title in given:
        seconds = _seconds(start)
        name = _line(title)
        if seconds is not None and name:
            found.append(Chapter(seconds, name))
    return tuple(sorted(found, key=lambda one: one.start)[:MOST_CHAPTERS])


def _seconds(value: Any) -> float | None:
    match = _CLOCK.fullmatch(str(value if value is not None else "").strip())
    if match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups()[:3])
    return hours * 3600 + minutes * 60 + seconds + float(match[4] or 0)


def _line(value: Any) -> str:
    return " ".join(plain(value).split())[:LONGEST_LINE]


class _Text(HTMLParser):
    """Keeps what a person would read: no tags, no scripts; blocks begin on lines of their own."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self._hidden += tag in ("script", "style")
        if tag in ("p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4"):
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._hidden = max(0, self._hidden - 1)

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data)


def plain(value: Any) -> str:
    """A text without markup and control characters, paragraphs on lines of their own."""
    text = str(value or "")[: 4 * LONGEST_TEXT]
    if "<" in text or "&" in text:
        reader = _Text()
        reader.feed(text)
        reader.close()
        text = "".join(reader.pieces)
    lines = (" ".join(line.split()) for line in text.splitlines())
    kept = "\n".join(line for line in lines if line)
    return "".join(sign for sign in kept if sign.isprintable() or sign == "\n")
