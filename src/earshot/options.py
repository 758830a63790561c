"""The options and arguments of the commands, each said once: its type, its name, its help.

It knows what a command line may hold, and nothing of what a command does with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

LibraryFolder = Annotated[
    Path | None,
    typer.Option(
        "--library",
        metavar="DIR",
        help="Folder of the library (else EARSHOT_LIBRARY, else your user data folder).",
    ),
]
NetworkChoice = Annotated[
    str | None,
    typer.Option(
        "--network",
        metavar="NAME",
        help="An added network or a network's folder (else the library's own).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines instead of a table.")]
ChannelsChoice = Literal["auto", "mix", "split"]  # media.Channels, without loading FFmpeg
Name = Annotated[
    str,
    typer.Argument(metavar="RECORDING", help="Its id, the beginning of it, its path or title."),
]

Tags = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Recordings with this tag; repeatable.")
]
Title = Annotated[str | None, typer.Option(metavar="TEXT", help="With this in their title.")]
After = Annotated[
    str | None, typer.Option(metavar="DATE", help="Of this day, month or year, or later.")
]
Before = Annotated[str | None, typer.Option(metavar="DATE", help="Of before this date.")]
Longer = Annotated[str | None, typer.Option(metavar="TIME", help="Longer than this: 90s, 10m.")]
Shorter = Annotated[str | None, typer.Option(metavar="TIME", help="Shorter than this: 1h30m.")]
Metas = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="With this in their metadata; repeatable."),
]


QueryWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUERY",
        help="A word or a phrase; also: a NEAR/10 b, a AND b, a OR b, a NOT b, a | b, parentheses, "
        '"words as they are", /K ER/, and filters such as tag:news (docs/queries.md tells all).',
    ),
]
Top = Annotated[
    int | None,
    typer.Option("--top", "--limit", min=1, help="Show so many (default: 10; of files: all)."),
]
Page = Annotated[int, typer.Option(min=1, help="Show this page of so many.")]
Offset = Annotated[int, typer.Option(min=0, help="Leave out so many before them.")]
ByRecording = Annotated[
    bool, typer.Option("--by-recording", help="Show recordings, each with its mentions.")
]
OrderBy = Annotated[
    Literal["confidence", "time"],
    typer.Option(help="Order by confidence, or by date and by time in the recording."),
]
MinConfidence = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Show mentions that are at least so likely.")
]
QueryFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Search for every line of a file ('-': standard input)."),
]
Like = Annotated[
    str | None,
    typer.Option(
        metavar="EXAMPLE", help="Search for what sounds like an audio file, or like ID@12.3-13.1."
    ),
]
Why = Annotated[
    bool, typer.Option("--why", help="Lay the units heard against those sought, and the reasons.")
]
Snippets = Annotated[
    bool | None,
    typer.Option(
        "--snippets/--no-snippets",
        help="Spell what was said around, as well as the ear can (on a terminal: yes).",
    ),
]
Csv = Annotated[bool, typer.Option("--csv", help="Print lines of comma-separated values.")]
ExportForm = Literal[
    "json", "csv", "parquet", "rss", "srt", "vtt", "chapters", "ffmetadata", "cue", "audacity"
]
Format = Annotated[
    ExportForm | None,
    typer.Option(
        "--format",
        help="Write what was found so; from srt on a file belongs to one recording.",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        metavar="PLACE",
        help="Write it there: to a file, or to a folder (mentions/) a file for each recording.",
    ),
]
Clips = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Cut out each mention into a folder (.wav; of rss .mp3)."),
]
Around = Annotated[
    float, typer.Option(min=0.0, metavar="SECONDS", help="Surroundings of a clip on both sides.")
]
Url = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Address of the folder in which a feed's clips will be."),
]
Date = Annotated[
    str | None, typer.Option(metavar="DATE", help="Of this day, month or year: 2020-05-17, 2020.")
]
Channel = Annotated[int | None, typer.Option(min=1, max=99, help="Only this channel: 1, 2, ...")]

Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw what was heard: a picture, .svg or .png."),
]
PlotQuery = Annotated[
    str | None,
    typer.Option("--query", metavar="QUERY", help="Mark its mentions in the picture."),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Draw from here: 83.5, 0:01:23.")
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Draw up to here.")]

NewTitle = Annotated[str | None, typer.Option(metavar="TEXT", help="Call it so.")]
NewDate = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="When it was recorded: 2020-05-17, 2020-05 or 2020."),
]
NewTags = Annotated[list[str] | None, typer.Option(metavar="TAG", help="Add a tag; repeatable.")]
OldTags = Annotated[
    list[str] | None, typer.Option(metavar="TAG", help="Take a tag away; repeatable.")
]
NewMetas = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="Set metadata (NAME= takes away); repeatable."),
]


def folder_of(context: typer.Context, library: Path | None) -> Path | None:
    """The library's folder that was given with the command, or before it."""
    given: Path | None = context.obj
    return library if library is not None else given
