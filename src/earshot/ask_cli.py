"""The command `earshot ask`: a sentence about the library, answered with recordings and times.

Words and exit statuses only; `bot.answering` does the work.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from earshot.errors import EarshotError
from earshot.library import Library
from earshot.options import Json, LibraryFolder, NetworkChoice, folder_of
from earshot.present import Terminal, clip_name, clock, complain, printable, say
from earshot.types import Span

if TYPE_CHECKING:
    from earshot.bot.answering import Clip, Reply
    from earshot.bot.session import Conversation, Session

_AROUND = 2.0  # seconds of surroundings that are played with a mention


def ask(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="SENTENCE", help="What you want (default: lines of the input)."),
    ] = None,
    library: LibraryFolder = None,
    session: Annotated[
        str, typer.Option(metavar="NAME", help="Go on with this conversation.")
    ] = "default",
    network: NetworkChoice = None,
    as_json: Json = False,
) -> None:
    """Ask in a sentence: how many of what, about what, of when, from whom; then go on from there.

    "find me 20 episodes about convolutional neural nets", "only after 2016", "more", "play the
    second" (which writes a clip to hear). No language model has a part in it.
    """
    # Its grammar takes a while to make, for which no other command should wait.
    from earshot.bot.answering import answer
    from earshot.bot.session import Conversation

    folder = folder_of(context, library)
    opened = Library(folder) if network is None else Library(folder, network)
    conversation = Conversation(opened.path, session)
    failed: EarshotError | None = None
    with opened:
        for sentence in [" ".join(words)] if words else _lines():
            try:
                reply = answer(opened, sentence, conversation.load(), date.today())
            except EarshotError as error:
                if words:
                    raise
                complain(str(error))
                failed = error
                continue
            _keep(conversation, reply.session)
            _show(opened, reply, as_json)
    if failed is not None:
        raise typer.Exit(failed.exit_status)


def _lines() -> Iterator[str]:
    """The sentences of standard input, asked for where a person types them."""
    watched = sys.stdin.isatty()
    while True:
        if watched:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if line.strip():
            yield line


def _keep(conversation: Conversation, session: Session) -> None:
    # See `ask`.
    from earshot.bot.session import Session

    if session == Session():
        conversation.forget()
    else:
        conversation.save(session)


def _show(library: Library, reply: Reply, as_json: bool) -> None:
    if as_json:
        fields = asdict(reply)
        del fields["session"]
        print(json.dumps(fields, ensure_ascii=False), flush=True)
        return
    if reply.clip is not None:
        say(_cut(library, reply.clip))
        return
    if len(reply.items) < 2:
        say(reply.text)
        return
    # See `ask`.
    from earshot.bot.answering import said_time

    head, _, _ = reply.text.partition(": ")
    say(head.rstrip(".") + ":")
    terminal = Terminal()
    begin = reply.session.offset
    for number, item in enumerate(reply.items, start=begin + 1):
        times = [said_time(start) for start, _ in item.spans]
        times += [f"{item.more} times more"] if item.more else []
        about = [item.title if item.title != item.name else "", item.date or ""]
        about += [f"{item.confidence:.0%}"] if item.confidence is not None else []
        line = f"{number:>3}  {item.name}" + (f" at {_joined(times)}" if times else "")
        aside = ", ".join(filter(None, about))
        terminal.print(
            Text.assemble(printable(line), (f"  ({printable(aside)})" if aside else "", "dim")),
            soft_wrap=True,
        )


def _joined(times: list[str]) -> str:
    return times[0] if len(times) == 1 else f"{', '.join(times[:-1])} and {times[-1]}"


def _cut(library: Library, clip: Clip) -> str:
    """Write what is to be played as a file in this folder."""
    recording = library.show(clip.recording)
    target = Path(clip_name(recording, clip.start))
    span = Span(clip.start, min(clip.end, recording.duration))
    written = library.clip(recording, target, span, before=_AROUND, after=_AROUND)
    return f"{target}: {written.duration:.1f} s of {clip.name} from {clock(written.start)}"
