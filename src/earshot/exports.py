"""Mentions as the files of other programs: subtitles, chapters, labels, cue sheets, feeds, tables.

Values in, text or bytes out. Titles and queries are anyone's: whatever is in them, a file says
what was found and nothing else. This module knows nothing of where a file is put, nor where a
recording can be heard.
"""

from __future__ import annotations

import html
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import PurePath
from xml.etree import ElementTree

from earshot.errors import MissingExtra
from earshot.present import CSV_HEADING, clock, file_name, phrases, printable, result_rows
from earshot.types import Mention, Recording, SearchResult

_MILLISECONDS = 1000
_CUE_FRAMES = 75  # of a second, as on a compact disc
_ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
_NO_XML = re.compile("[\ufffe\uffff]")  # what else XML forbids, `printable` has made readable


@dataclass(frozen=True, slots=True)
class Sheet:
    """A form of file that belongs to one recording; `write` takes its mentions in order of time."""

    ending: str
    media_type: str
    write: Callable[[Sequence[Mention], Recording], str]


@dataclass(frozen=True, slots=True)
class Sound:
    """Where a mention can be heard: a file, its media type, its length in bytes and in seconds."""

    url: str
    media_type: str
    bytes: int
    seconds: float


def by_recording(results: Iterable[SearchResult]) -> dict[str, list[Mention]]:
    """The mentions of all results by the id of their recording, in order of time."""
    found: dict[str, list[Mention]] = defaultdict(list)
    for result in results:
        for mention in result.mentions:
            found[mention.recording].append(mention)
    for mentions in found.values():
        mentions.sort(key=lambda one: (one.start, one.end, one.channel))
    return dict(found)


def sheet_names(recordings: Sequence[Recording], sheet: Sheet) -> dict[str, str]:
    """By id a file name for each recording's sheet: its title, with its id where two are alike."""
    names = [file_name(one) for one in recordings]
    folded = [name.casefold() for name in names]  # one file to some file systems
    return {
        one.id: name + (f"-{one.id}" if folded.count(name.casefold()) > 1 else "") + sheet.ending
        for one, name in zip(recordings, names, strict=True)
    }


def clip_names(mentions: Iterable[Mention], ending: str) -> dict[str, Mention]:
    """By file name what to cut out: two mentions that begin at once make one clip, of the longer.

    A name says which recording and when, so that it is the same in the next search.
    """
    found: dict[str, Mention] = {}
    for mention in mentions:
        name = clip_name(mention, ending)
        if name not in found or found[name].end < mention.end:
            found[name] = mention
    return found


def clip_name(mention: Mention, ending: str) -> str:
    """The file name of a mention's clip: title, id and time, with milliseconds."""
    start = _ticks(mention.start, _MILLISECONDS)
    time = f"{clock(start / _MILLISECONDS).replace(':', '.')}.{start % _MILLISECONDS:03d}"
    return f"{file_name(mention)}-{mention.recording}-{time}{ending}"


def csv(results: Iterable[SearchResult]) -> Iterator[str]:
    """Lines of comma-separated values, the first names the columns."""
    yield CSV_HEADING
    for result in results:
        yield from result_rows(result)


def parquet(results: Iterable[SearchResult]) -> bytes:
    """A Parquet file with the columns of `csv`, numbers as numbers, units as a list.

    Raises MissingExtra without pyarrow.
    """
    try:
        import pyarrow  # optional, and a third of a second to load
        from pyarrow import parquet as writer
    except ImportError:
        raise MissingExtra("pyarrow", "exports") from None
    text, units = pyarrow.string(), pyarrow.list_(pyarrow.string())
    kinds = dict.fromkeys(CSV_HEADING.split(","), text)
    kinds |= dict.fromkeys(("start", "end", "confidence"), pyarrow.float64())
    kinds |= {"channel": pyarrow.int32(), "units": units}
    rows = [
        {
            "query": printable(result.query),
            "recording": one.recording,
            "title": printable(one.title),
            "path": printable(one.path),
            "channel": one.channel,
            "start": one.start,
            "end": one.end,
            "confidence": one.confidence,
            "heard": printable(phrases(one)),
            "units": [unit for heard in one.heard for unit in heard.units],
        }
        for result in results
        for one in result.mentions
    ]
    file = io.BytesIO()
    writer.write_table(pyarrow.Table.from_pylist(rows, pyarrow.schema(kinds)), file)
    return file.getvalue()


def rss(
    results: Sequence[SearchResult],
    recordings: Mapping[str, Recording],
    link: str,
    sound: Callable[[Mention], Sound | None] = lambda _: None,
) -> bytes:
    """Mentions as a podcast (RSS 2.0): an episode each, those of the newest recordings first.

    `recordings` by id; a mention of another one was removed since, and is left out. `link` is
    where the feed belongs to, `sound` where a mention is heard, if anywhere. An episode is dated
    when its recording was added, and keeps its guid from search to search, so that a program that
    follows the feed shows what is new.
    """
    root = ElementTree.Element("rss", {"version": "2.0", "xmlns:itunes": _ITUNES})
    channel = ElementTree.SubElement(root, "channel")
    queries = ", ".join(dict.fromkeys(result.query for result in results))
    _element(channel, "title", f"Mentions of {queries}")
    _element(channel, "link", link)
    _element(channel, "description", f"Where {queries} was said, as Earshot heard it.")
    found = [
        (recordings[mention.recording], mention, result.query)
        for result in results
        for mention in result.mentions
        if mention.recording in recordings
    ]
    found.sort(key=lambda one: (one[1].recording, one[1].start))
    found.sort(key=lambda one: one[0].added, reverse=True)
    for recording, mention, query in found:
        _episode(channel, recording, mention, query, sound(mention))
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return text + b"\n"


def _episode(
    channel: ElementTree.Element,
    recording: Recording,
    mention: Mention,
    query: str,
    sound: Sound | None,
) -> None:
    item = ElementTree.SubElement(channel, "item")
    date = f" ({recording.recorded})" if recording.recorded else ""
    _element(item, "title", f"{mention.title}{date} at {clock(mention.start)}")
    _element(item, "description", _label(mention, [mention]))
    place = f"{query}\0{mention.recording}\0{mention.channel}\0{mention.start:.3f}"
    guid = sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    ElementTree.SubElement(item, "guid", isPermaLink="false").text = guid
    _element(item, "pubDate", format_datetime(datetime.fromisoformat(recording.added)))
    if sound is not None:
        ElementTree.SubElement(
            item, "enclosure", url=sound.url, length=str(sound.bytes), type=sound.media_type
        )
        _element(item, "itunes:duration", str(max(1, round(sound.seconds))))


def _element(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = _NO_XML.sub("\ufffd", printable(text))


def _srt(mentions: Sequence[Mention], _: Recording) -> str:
    """SubRip subtitles."""
    lines = []
    for number, mention in enumerate(mentions, start=1):
        start, end = (_timestamp(at).replace(".", ",") for at in _span(mention, _MILLISECONDS))
        lines.append(f"{number}\n{start} --> {end}\n{_label(mention, mentions)}\n\n")
    return "".join(lines)


def _vtt(mentions: Sequence[Mention], _: Recording) -> str:
    """WebVTT captions: what looks like markup is none."""
    lines = ["WEBVTT\n\n"]
    for mention in mentions:
        start, end = (_timestamp(at) for at in _span(mention, _MILLISECONDS))
        text = html.escape(_label(mention, mentions), quote=False)
        lines.append(f"{start} --> {end}\n{text}\n\n")
    return "".join(lines)


def _audacity(mentions: Sequence[Mention], _: Recording) -> str:
    """A label track of Audacity: seconds, seconds, text."""
    return "".join(f"{one.start:.6f}\t{one.end:.6f}\t{_label(one, mentions)}\n" for one in mentions)


def _cue(mentions: Sequence[Mention], recording: Recording) -> str:
    """A cue sheet with a track a mention, to lie beside the recording's file."""
    name = PurePath(recording.path).name or recording.title
    kind = {".mp3": "MP3", ".aif": "AIFF", ".aiff": "AIFF"}.get(
        PurePath(name).suffix.lower(), "WAVE"
    )
    lines = [f"TITLE {_quoted(recording.title)}", f"FILE {_quoted(name)} {kind}"]
    for number, (start, _, text) in enumerate(_chapters_of(mentions, _CUE_FRAMES), start=1):
        seconds, frames = divmod(start, _CUE_FRAMES)
        lines.append(f"  TRACK {number:02d} AUDIO")
        lines.append(f"    TITLE {_quoted(text)}")
        lines.append(f"    INDEX 01 {seconds // 60:02d}:{seconds % 60:02d}:{frames:02d}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    # A cue sheet has no way to write a quote inside of quotes.
    return '"' + printable(text).replace('"', "'") + '"'


def _chapters(mentions: Sequence[Mention], recording: Recording) -> str:
    """JSON chapters of Podcasting 2.0."""
    found = [
        {"startTime": start / _MILLISECONDS, "endTime": end / _MILLISECONDS, "title": text}
        for start, end, text in _chapters_of(mentions, _MILLISECONDS)
    ]
    fields = {"version": "1.2.0", "title": printable(recording.title), "chapters": found}
    return json.dumps(fields, indent=1) + "\n"


def _ffmetadata(mentions: Sequence[Mention], recording: Recording) -> str:
    """Chapters as FFmpeg reads them, to be put into a media file."""
    lines = [";FFMETADATA1", f"title={_escaped(recording.title)}"]
    for start, end, text in _chapters_of(mentions, _MILLISECONDS):
        lines += ["[CHAPTER]", f"TIMEBASE=1/{_MILLISECONDS}", f"START={start}", f"END={end}"]
        lines.append(f"title={_escaped(text)}")
    return "\n".join([*lines, ""])


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\])", r"\\\1", printable(text))


SHEETS = {
    "srt": Sheet(".srt", "application/x-subrip", _srt),
    "vtt": Sheet(".vtt", "text/vtt", _vtt),
    "audacity": Sheet(".labels.txt", "text/plain", _audacity),
    "cue": Sheet(".cue", "application/x-cue", _cue),
    "chapters": Sheet(".chapters.json", "application/json+chapters", _chapters),
    "ffmetadata": Sheet(".ffmetadata", "text/plain", _ffmetadata),
}
"""By the name of their form."""


def _chapters_of(mentions: Sequence[Mention], per_second: int) -> list[tuple[int, int, str]]:
    """Start, end and text of each, in ticks: none reaches into the next, none begins with it."""
    texts: dict[int, dict[str, None]] = defaultdict(dict)
    ends: dict[int, int] = {}
    for mention in mentions:
        start, end = _span(mention, per_second)
        texts[start][_label(mention, mentions)] = None
        ends[start] = max(end, ends.get(start, 0))
    starts = sorted(texts)
    for start, after in pairwise(starts):
        ends[start] = min(ends[start], after)
    return [(start, ends[start], " / ".join(texts[start])) for start in starts]


def _label(mention: Mention, beside: Sequence[Mention]) -> str:
    """What a mention is called: what was said, on which channel, how sure that is; one line."""
    channel = f" (channel {mention.channel + 1})" if any(one.channel for one in beside) else ""
    return printable(f"{_said(mention)}{channel} ({mention.confidence:.0%})")


def _said(mention: Mention) -> str:
    return mention.snippet.text if mention.snippet else phrases(mention)


def _span(mention: Mention, per_second: int) -> tuple[int, int]:
    """Start and end in ticks, at least one apart."""
    start = _ticks(mention.start, per_second)
    return start, max(start + 1, _ticks(mention.end, per_second))


def _ticks(seconds: float, per_second: int) -> int:
    return round(max(0.0, seconds) * per_second)


def _timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, _MILLISECONDS)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{rest:03d}"
