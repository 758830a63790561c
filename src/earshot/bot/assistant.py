"""A library as tools of the Model Context Protocol: search, list, show, play, clip, ask.

The official `mcp` package speaks the protocol; here each tool calls the library and says what it
found in plain fields. What goes wrong is told as the one sentence that everybody gets. Nothing is
changed by any tool, and of the disk only clips of the library's own recordings are read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from importlib import metadata
from pathlib import Path

from mcp.server.mcpserver import Audio, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

from earshot.bot.answering import Item, answer
from earshot.bot.session import Session
from earshot.errors import EarshotError, UsageError
from earshot.library import MIN_CONFIDENCE, Library
from earshot.types import Mention, Recording, Span

MOST = 200
"""Mentions or recordings that one call gives at most."""

LONGEST_CLIP = 120.0
"""Seconds of sound that one call gives at most; more makes megabytes of text."""

MOST_CONVERSATIONS = 100

INSTRUCTIONS = (
    "Finds where words were said in audio and video, by sound and not in a transcript: any words, "
    "names and jargon too. A query is a word or a phrase as it is said, and may hold NEAR/10, AND, "
    'OR, NOT, | and parentheses. Filters (`where`) choose recordings: tag:news, title:"town '
    'hall", meta.speaker:bob, after:2020-05, before:2021, longer:10m. Times are seconds.'
)


# Without slots, which `mcp` takes for defaults that are no JSON.
@dataclass(frozen=True)
class Place:
    """Where something was said: seconds in a recording, and how likely (0 to 1).

    `play` is the recording's file with these times, as media players and browsers take it.
    """

    recording: str
    title: str
    channel: int
    start: float
    end: float
    confidence: float
    heard: str
    play: str


@dataclass(frozen=True)
class Places:
    """The mentions of a page, of `total` in all; `note` says what is to be known of the query."""

    mentions: list[Place]
    total: int
    searched_hours: float
    note: str = ""


@dataclass(frozen=True)
class Known:
    """A recording, and what is known of it; `duration` in seconds."""

    id: str
    title: str
    duration: float
    channels: int
    date: str | None
    tags: list[str]
    metadata: dict[str, str]
    path: str


@dataclass(frozen=True)
class Listed:
    """The recordings of a page, of `total` in all."""

    recordings: list[Known]
    total: int


@dataclass(frozen=True)
class Link:
    """Where to play a moment: a link with its times, and the command that cuts it out."""

    play: str
    path: str
    start: float
    end: float


@dataclass(frozen=True)
class Answered:
    """An answer as a person reads it, and what it lists."""

    text: str
    items: list[Item] = field(default_factory=list)
    total: int = 0
    play: Link | None = None


def server(library: Library) -> MCPServer[None]:
    """A server of the Model Context Protocol for one library."""
    tools = _Tools(library)
    serving: MCPServer[None] = MCPServer(
        "earshot", instructions=INSTRUCTIONS, version=_version(), log_level="ERROR"
    )
    for tool in (tools.search, tools.list, tools.show, tools.play, tools.ask):
        serving.tool()(tool)
    serving.tool(structured_output=False)(tools.clip)
    return serving


class _Tools:
    """The tools; their docstrings are what a model reads of them."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._conversations: dict[str, Session] = {}

    def search(
        self,
        query: str,
        where: str = "",
        top: int = 10,
        offset: int = 0,
        min_confidence: float = MIN_CONFIDENCE,
    ) -> Places:
        """Find where words were said, likeliest first: `refund NEAR/10 (manager | supervisor)`."""
        with _told():
            found = self._library.search(
                query, _page(top), min_confidence, offset=max(0, offset), where=where
            )
        return Places(
            [_place(one) for one in found.mentions], found.total,
            round(found.searched_hours, 3), found.note,
        )  # fmt: skip

    def list(self, where: str = "", top: int = 50, offset: int = 0) -> Listed:
        """List recordings, all or those that filters fit: `tag:news after:2020 longer:10m`."""
        with _told():
            rows = self._library.list(where)
        offset = max(0, offset)
        return Listed([_known(row) for row in rows[offset : offset + _page(top)]], len(rows))

    def show(self, recording: str) -> Known:
        """Tell what is known of one recording, named by its id, title or path."""
        with _told():
            return _known(self._library.show(recording))

    def play(self, recording: str, start: float, end: float | None = None) -> Link:
        """Give a link that plays a moment of a recording, for the user to open."""
        with _told():
            return _link(self._library.show(recording), start, end)

    def clip(self, recording: str, start: float, end: float, around: float = 2.0) -> Audio:
        """Cut a moment out of a recording, with seconds of surroundings, as sound (Opus)."""
        with _told():
            row = self._library.show(recording)
            if not end - start + 2 * around <= LONGEST_CLIP:
                raise UsageError(f"a clip has at most {LONGEST_CLIP:.0f} seconds")
            with tempfile.TemporaryDirectory() as folder:
                target = Path(folder) / "clip.opus"
                self._library.clip(row, target, Span(start, end), before=around, after=around)
                return Audio(data=target.read_bytes(), format="ogg")

    def ask(self, sentence: str, conversation: str = "default") -> Answered:
        """Answer a plain sentence, such as "20 episodes about neural nets since May".

        Follow-ups go on from the sentence before in the same conversation: "only after 2016",
        "more", "play the second".
        """
        before = self._conversations.pop(conversation, Session())
        with _told():
            try:
                reply = answer(self._library, sentence, before, date.today())
                before = reply.session
            finally:
                self._conversations[conversation] = before
                while len(self._conversations) > MOST_CONVERSATIONS:
                    del self._conversations[next(iter(self._conversations))]
            link = None
            if reply.clip is not None:
                row = self._library.show(reply.clip.recording)
                link = _link(row, reply.clip.start, reply.clip.end)
        return Answered(reply.text, [*reply.items], reply.total, link)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except EarshotError as error:
        raise ToolError(str(error)) from error


def _page(top: int) -> int:
    return min(max(1, top), MOST)


def _place(one: Mention) -> Place:
    heard = " ... ".join(each.phrase for each in one.heard)
    return Place(
        one.recording, one.title, one.channel, round(one.start, 2), round(one.end, 2),
        round(one.confidence, 3), heard, _uri(one.path, one.start, one.end),
    )  # fmt: skip


def _known(row: Recording) -> Known:
    return Known(
        row.id, row.title, round(row.duration, 2), row.channels, row.recorded, [*row.tags],
        dict(row.meta), row.path,
    )  # fmt: skip


def _link(row: Recording, start: float, end: float | None) -> Link:
    if not 0 <= start <= row.duration:
        raise UsageError(f"'{row.title}' is {row.duration:.1f} s long and has no second {start:g}")
    last = row.duration if end is None else min(max(end, start), row.duration)
    return Link(_uri(row.path, start, last), row.path, start, last)


def _uri(path: str, start: float, end: float) -> str:
    """A file's address with a media fragment (https://www.w3.org/TR/media-frags/)."""
    try:
        address = Path(path).absolute().as_uri() if path else ""
    except (ValueError, UnicodeError):
        address = ""
    return f"{address}#t={start:.1f},{end:.1f}" if address else ""


def _version() -> str:
    try:
        return metadata.version("earshot")
    except metadata.PackageNotFoundError:
        return ""
