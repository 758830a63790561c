"""The command line: each command opens a library, calls one method of it and prints.

Nothing is decided here but words and exit statuses: 0 done, 1 something failed, 2 the command
makes no sense, 70 a defect of Earshot's own, 130 interrupted, 141 the reader of a pipe went away.
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from earshot.about import NOTHING, about
from earshot.ask_cli import ask
from earshot.asking import example, filters, joined, pairs, read_queries
from earshot.errors import EarshotError, QueryError, UsageError
from earshot.export_cli import answered, spelled, tell, wanted
from earshot.feeds_cli import feeds, follow, sync_, unfollow
from earshot.key_cli import key_app
from earshot.label_cli import label_app
from earshot.library import MIN_CONFIDENCE, TOP, Library
from earshot.mcp_cli import mcp
from earshot.network_cli import network_app
from earshot.options import (
    After,
    Around,
    Before,
    ByRecording,
    Channel,
    ChannelsChoice,
    Clips,
    Csv,
    Date,
    Format,
    Json,
    LibraryFolder,
    Like,
    Longer,
    Metas,
    MinConfidence,
    Name,
    NetworkChoice,
    NewDate,
    NewMetas,
    NewTags,
    NewTitle,
    Offset,
    OldTags,
    OrderBy,
    Out,
    Page,
    QueryFile,
    QueryWords,
    Shorter,
    Snippets,
    Tags,
    Title,
    Top,
    Url,
    Why,
    folder_of,
)
from earshot.outcome import Outcome, Status
from earshot.present import (
    Look,
    Terminal,
    clip_name,
    clock,
    complain,
    parse_time,
    print_recording,
    print_recordings,
    printable,
    recording_line,
    say,
)
from earshot.progress import progress_bar, stoppable
from earshot.record_cli import push, record
from earshot.serve_cli import serve
from earshot.show_cli import show
from earshot.stream_cli import stream
from earshot.topic_cli import topic_app
from earshot.types import Span
from earshot.upkeep_cli import check, optimize
from earshot.video_cli import video
from earshot.watch_cli import watch

_DEFECT = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED = 130  # 128 + SIGINT, as shells say it
_NO_READER = 141  # 128 + SIGPIPE


class _Shell(TyperGroup):
    """Turns what a command raises into one line on standard error and an exit status."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EarshotError as error:
            complain(str(error))
            raise typer.Exit(error.exit_status) from error
        except KeyboardInterrupt as error:
            raise typer.Exit(_INTERRUPTED) from error
        except BrokenPipeError as error:
            # Nobody reads any more; Python would complain once again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(_NO_READER) from error


app = typer.Typer(
    cls=_Shell,
    name="earshot",
    help="Find the moment it was said, in audio and video, by sound.",
    epilog="Example: earshot add talks/ && earshot search 'quarterly report'",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

app.add_typer(network_app, name="network")
app.add_typer(label_app, name="label")
app.add_typer(topic_app, name="topic")
app.add_typer(key_app, name="key")
app.command(epilog="Example: earshot serve --library ~/work --port 8765")(serve)
app.command(epilog="Example: earshot stream 'call 17' < call.wav")(stream)
app.command(epilog="Example: earshot show 3f2a1b --plot heard.svg --query 'quarterly report'")(show)
app.command(epilog="Example: earshot check --repair --library ~/work")(check)
app.command(epilog="Example: earshot optimize --library ~/work")(optimize)
app.command(epilog="Example: earshot follow https://example.org/feed.xml --newest 20")(follow)
app.command(epilog="Example: earshot unfollow 'Deep Talks'")(unfollow)
app.command(epilog="Example: earshot feeds --opml podcasts.opml")(feeds)
app.command(epilog="Example: earshot watch /var/spool/calls --tag calls")(watch)
app.command(epilog="Example: earshot ask 'find me 20 episodes about neural nets'")(ask)
app.command(epilog="Example: earshot mcp --library ~/talks")(mcp)
app.command(epilog="Example: earshot record ~/spool --for 8h")(record)
app.command(epilog="Example: earshot push ~/spool --server https://ear.example.org")(push)
app.command(epilog="Example: earshot video https://video.example/channel --limit 10")(video)
app.command("sync", epilog="Example: earshot sync --every 1h")(sync_)


def main() -> NoReturn:
    """Run the command line and end the process."""
    # What is loaded stays: to look for garbage in it takes a tenth of a search.
    gc.set_threshold(50_000)
    for output in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is shown as an escape, never as an error.
        reconfigure = getattr(output, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    try:
        app()
    except Exception as error:
        if os.environ.get("EARSHOT_DEBUG"):
            traceback.print_exc()
        else:
            kind = type(error).__name__
            complain(f"unexpected {kind}: {error} (EARSHOT_DEBUG=1 shows where it comes from)")
        sys.exit(_DEFECT)
    sys.exit(0)


def _print_version(wanted: bool) -> None:
    if wanted:
        # Loads all that can read mail: only when it is asked for.
        from importlib.metadata import PackageNotFoundError, version

        try:
            say(f"earshot {version('earshot')}")
        except PackageNotFoundError:
            say("earshot, run from its source folder")
        raise typer.Exit


@app.callback()
def _global(
    context: typer.Context,
    library: LibraryFolder = None,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Say the version."),
    ] = False,
) -> None:
    context.obj = library


@app.command(epilog="Example: earshot add talks/ interview.mp4 --library ~/work")
def add(
    context: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Audio and video files, folders, URLs.")
    ],
    library: LibraryFolder = None,
    channels: Annotated[
        ChannelsChoice,
        typer.Option(help="Hear the channels of a file as one (mix) or each by itself (split)."),
    ] = "auto",
    tag: NewTags = None,
    meta: NewMetas = None,
    date: NewDate = None,
    apart: Annotated[
        bool, typer.Option("--apart", help="Decode in another process: a crash costs one file.")
    ] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Fetch from private networks too.")
    ] = False,
    network: NetworkChoice = None,
) -> None:
    """Listen to files, so that they can be searched; files that are there already are skipped."""
    known = about(date=date, tags=tag or (), meta=pairs(meta))
    more = _strict_or_not(apart, allow_private)
    counts: Counter[Status] = Counter()
    audio = 0.0
    begun = time.monotonic()
    with (
        _opened(folder_of(context, library), network) as opened,
        progress_bar() as shown,
        stoppable(shown) as progress,
    ):
        outcomes = opened.add_each(paths, channels=channels, progress=progress, about=known, **more)
        try:
            with closing(outcomes):  # frees the library's lock
                for outcome in outcomes:
                    counts[outcome.status] += 1
                    _print_outcome(outcome)
                    if outcome.status is Status.ADDED and outcome.recording:
                        audio += outcome.recording.duration
        except (EarshotError, KeyboardInterrupt):
            if counts:
                say(f"stopped: {_summary(counts)}; what was added is kept")
            raise
    speed = audio / max(time.monotonic() - begun, 1e-9)
    heard = f" ({clock(audio)} of audio, {speed:.0f} x real time)" if audio else ""
    say(_summary(counts) + heard)
    if counts[Status.FAILED]:
        raise typer.Exit(1)


@app.command(
    epilog="Example: earshot search 'refund NEAR/10 (manager | supervisor)' --tag calls --top 3"
)
def search(
    context: typer.Context,
    query: QueryWords = None,
    library: LibraryFolder = None,
    top: Top = None,
    page: Page = 1,
    offset: Offset = 0,
    by_recording: ByRecording = False,
    order: OrderBy = "confidence",
    min_confidence: MinConfidence = MIN_CONFIDENCE,
    queries: QueryFile = None,
    like: Like = None,
    tag: Tags = None,
    title: Title = None,
    date: Date = None,
    after: After = None,
    before: Before = None,
    longer: Longer = None,
    shorter: Shorter = None,
    channel: Channel = None,
    meta: Metas = None,
    network: NetworkChoice = None,
    as_json: Json = False,
    as_csv: Csv = False,
    form: Format = None,
    out: Out = None,
    clips: Clips = None,
    around: Around = 2.0,
    url: Url = None,
    why: Why = False,
    snippets: Snippets = None,
) -> None:
    """Find where something was said, most likely mentions first."""
    files = wanted(form, as_json, as_csv, out, clips, url, around)
    _not_both(page > 1 and offset, "--page and --offset")
    _not_both(why and files.form not in ("table", "json"), f"--{files.form} and --why")
    lines = _lines(query, queries, like)
    where = filters(
        tag=tag, title=title, date=date, after=after, before=before, longer=longer, shorter=shorter,
        channel=channel, meta=pairs(meta),
    )  # fmt: skip
    top = top or (TOP if files.lines or page > 1 else None)
    offset = offset or (page - 1) * (top or TOP)
    folder = folder_of(context, library)
    named = () if folder is None else ("--library", str(folder))
    look = Look(queries is not None, min_confidence, offset, named)
    with _opened(folder, network) as opened:
        # A bad line of a file is reported in its place, the others are searched for.
        refused = _refused(opened, lines) if queries is not None else {}
        view: dict[str, Any] = {"top": top, "min_confidence": min_confidence, "offset": offset}
        view |= {"order": order, "by_recording": by_recording, "where": where, "why": why}
        view["snippets"] = spelled(snippets, files, look)
        if like is not None:
            results = iter([opened.search_like(*example(like), **view)])
        else:
            results = opened.search_many((one for one in lines if one not in refused), **view)
        status = tell(opened, answered(lines, results, refused), refused, files, look)
    if status:
        raise typer.Exit(status)


@app.command(epilog="Example: earshot clip interview 0:12:31 0:12:35 --out answer.wav")
def clip(
    context: typer.Context,
    recording: Name,
    start: Annotated[str, typer.Argument(help="Seconds, or h:mm:ss.")],
    end: Annotated[str | None, typer.Argument(help="Seconds, or h:mm:ss; default: START.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File to write (default: title and time, .wav)."),
    ] = None,
    around: Around = 2.0,
    library: LibraryFolder = None,
) -> None:
    """Write a moment of a recording, with its surroundings, to an audio file."""
    begin = parse_time(start)
    span = Span(begin, parse_time(end) if end is not None else begin)
    with Library(folder_of(context, library)) as opened:
        chosen = opened.show(recording)
        target = out or Path(clip_name(chosen, begin))
        written = opened.clip(chosen, target, span, before=around, after=around)
    say(f"{target}: {written.duration:.1f} s of '{chosen.title}' from {clock(written.start)}")


@app.command("list", epilog="Example: earshot list --tag news --after 2020 --json")
def list_(
    context: typer.Context,
    library: LibraryFolder = None,
    tag: Tags = None,
    title: Title = None,
    date: Date = None,
    after: After = None,
    before: Before = None,
    longer: Longer = None,
    shorter: Shorter = None,
    meta: Metas = None,
    as_json: Json = False,
) -> None:
    """List the recordings of the library, all or those that filters fit."""
    where = filters(
        tag=tag, title=title, date=date, after=after, before=before, longer=longer, shorter=shorter,
        meta=pairs(meta),
    )  # fmt: skip
    with Library(folder_of(context, library)) as opened:
        recordings = opened.list(where)
    if as_json:
        for recording in recordings:
            print(recording_line(recording))
    else:
        print_recordings(Terminal(), recordings)


@app.command(epilog="Example: earshot edit interview --tag calls --date 2020-05-17 --meta who=bob")
def edit(
    context: typer.Context,
    recording: Name,
    title: NewTitle = None,
    date: NewDate = None,
    tag: NewTags = None,
    untag: OldTags = None,
    meta: NewMetas = None,
    library: LibraryFolder = None,
) -> None:
    """Change what is known of a recording: its title, date, tags and metadata."""
    change = about(
        title=title, date=date, tags=tag or (), without_tags=untag or (), meta=pairs(meta)
    )
    if change == NOTHING:
        raise UsageError("give what is to be changed: --title, --date, --tag, --untag or --meta")
    with Library(folder_of(context, library)) as opened:
        changed = opened.edit(recording, change)
    print_recording(Terminal(), changed)


@app.command(epilog="Example: earshot remove interview")
def remove(
    context: typer.Context,
    recordings: Annotated[
        list[str],
        typer.Argument(metavar="RECORDING...", help="Ids, beginnings of them, paths or titles."),
    ],
    library: LibraryFolder = None,
) -> None:
    """Remove recordings from the library; their files are left alone."""
    with Library(folder_of(context, library)) as opened:
        removed = opened.remove(*recordings)
    for identity, name in zip(removed, recordings, strict=True):
        say(f"removed {identity}" + (f" ({name})" if name != identity else ""))


def _lines(query: Sequence[str] | None, queries: Path | None, like: str | None) -> list[str]:
    """What is searched for: a query, the queries of a file, or an example."""
    if [query, queries, like].count(None) != 2:
        raise UsageError("give a query, or a file of queries with --queries, or --like")
    if query is not None:
        return [joined(query)]
    return list(read_queries(queries)) if queries is not None else [str(like)]


def _not_both(both: object, names: str) -> None:
    if both:
        raise UsageError(f"{names} cannot be had at once")


def _opened(folder: Path | None, network: str | None) -> Library:
    """A library, heard by its own network unless another one is named."""
    return Library(folder) if network is None else Library(folder, network)


def _refused(library: Library, queries: Iterable[str]) -> dict[str, QueryError]:
    """The queries that cannot be searched for, and why."""
    refused = {}
    for query in queries:
        try:
            library.require_query(query)
        except QueryError as error:
            refused[query] = error
    return refused


def _strict_or_not(apart: bool, allow_private: bool) -> dict[str, Any]:
    """What `Library.add_each` is told of files and URLs that are not what they seem."""
    more: dict[str, Any] = {}
    if allow_private:
        from earshot.fetching import ANY_NETWORK, Rules  # loads what speaks HTTP: few need it

        more["rules"] = Rules(allowed=ANY_NETWORK)
    if apart:
        from earshot.media import Limits  # loads FFmpeg

        more["limits"] = Limits()
    return more


def _summary(counts: Counter[Status]) -> str:
    return ", ".join(f"{counts[status]} {status.value}" for status in Status)


def _print_outcome(outcome: Outcome) -> None:
    recording = outcome.recording
    note = f" ({outcome.note})" if outcome.note else ""
    if outcome.status is Status.FAILED or recording is None:
        print(printable(f"{outcome.path}: {outcome.note}"), file=sys.stderr, flush=True)
    elif outcome.status is Status.SKIPPED:
        say(f"skipped {recording.id}  {outcome.path} (already in the library)")
    else:
        say(f"added {recording.id}  {clock(recording.duration)}  {outcome.path}{note}")
