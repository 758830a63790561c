"""What a search found, printed or as files: `earshot search --format FORM --out PLACE`.

It decides what goes where and tells it; how a file looks is the matter of `exports`.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args
from urllib.parse import quote, urlsplit

from earshot.alignments import print_why
from earshot.errors import EarshotError, QueryError, UsageError
from earshot.library import Library
from earshot.options import ExportForm
from earshot.present import (
    CSV_HEADING,
    Look,
    Terminal,
    clock,
    complain,
    print_result,
    result_line,
    result_rows,
    say,
)
from earshot.types import Mention, SearchResult

if TYPE_CHECKING:
    from earshot.exports import Sound

_ENDINGS: dict[str, ExportForm] = {
    ".json": "json", ".jsonl": "json", ".csv": "csv", ".srt": "srt", ".vtt": "vtt", ".cue": "cue",
    ".ffmetadata": "ffmetadata", ".rss": "rss", ".xml": "rss", ".parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wanted:
    """In which form what was found is wanted, where, and whether clips are.

    `out` is a file, or a folder if it is one or ends in a slash; None is standard output.
    `around` are seconds of a clip's surroundings, `url` is where the clips will be found.
    """

    form: ExportForm | Literal["table"]
    out: str | None = None
    clips: Path | None = None
    url: str | None = None
    around: float = 2.0

    @property
    def lines(self) -> bool:
        """Whether answers are printed one by one, as soon as they are there."""
        return self.out is None and self.form in ("table", "json", "csv")

    @property
    def kept(self) -> bool:
        """Whether something is made of all answers together."""
        return not self.lines or self.clips is not None


def wanted(
    form: ExportForm | None, as_json: bool, as_csv: bool, out: str | None, clips: Path | None,
    url: str | None, around: float,
) -> Wanted:  # fmt: skip
    """What the options of a search ask for; raises UsageError for what does not go together."""
    if as_json + as_csv + (form is not None) > 1:
        raise UsageError("--json, --csv and --format cannot be had at once")
    form = "json" if as_json else "csv" if as_csv else form
    if out is not None and form is None:
        form = _ENDINGS.get(Path(out).suffix.lower())
        if form is None:
            known = ", ".join(get_args(ExportForm))
            raise UsageError(f"'{out}' does not say what to write: give --format, one of {known}")
    if form == "parquet" and out is None:
        raise UsageError("Parquet is nothing to print: give a file with --out")
    if form == "rss" and (url is None or urlsplit(url).scheme not in ("http", "https")):
        raise UsageError(
            "a feed needs the address of the folder where it and its clips will be found: "
            "--url https://example.org/mentions/"
        )
    if url is not None and form != "rss":
        raise UsageError("--url is the address of a feed: it goes with --format rss")
    return Wanted(form or "table", out, clips, url, around)


def answered(
    lines: Iterable[str], results: Iterator[SearchResult], refused: Mapping[str, QueryError]
) -> Iterator[SearchResult]:
    """One answer a query, empty where it is refused, as soon as it is there."""
    for line in lines:
        yield SearchResult(line, (), 0.0, 0.0) if line in refused else next(results)


def spelled(asked: bool | None, files: Wanted, look: Look) -> bool:
    """Whether snippets are shown: as asked, or to a person who reads one answer."""
    if asked is None:
        return files.form == "table" and not look.headings and sys.stdout.isatty()
    return asked and files.form not in ("csv", "parquet")


def tell(
    library: Library,
    answers: Iterator[SearchResult],
    refused: Mapping[str, QueryError],
    files: Wanted,
    look: Look,
) -> int:
    """Print answers or write them, as it is wanted; returns the status that the command ends with.

    What is printed only passes; what becomes a file is kept until all is there.
    """
    if files.lines:
        answers = _printed(answers, refused, files, look)
    results = [one for one in answers if files.kept]
    sounds: dict[str, Sound] = {}
    mentions = [mention for result in results for mention in result.mentions]
    if files.clips is not None:
        sounds = _cut(library, mentions, files, files.clips)
    if not files.lines:
        _write(library, results, refused, files, sounds)
    for reason in refused.values():
        return reason.exit_status
    return 0 if files.clips is None or len(sounds) == len(_clips(mentions, files)) else 1


def _printed(
    results: Iterable[SearchResult], refused: Mapping[str, QueryError], files: Wanted, look: Look
) -> Iterator[SearchResult]:
    """The same results, each printed as it passes."""
    terminal = Terminal()
    if files.form == "csv":
        print(CSV_HEADING)
    for result in results:
        reason = refused.get(result.query)
        if files.form == "json" or files.form == "csv":
            for line in _lines(result, reason, files.form):
                print(line)
            sys.stdout.flush()
        elif reason is not None:
            complain(f"{result.query}: {reason}")
        else:
            print_result(terminal, result, look)
            print_why(terminal, result, look.offset)
        yield result


def _lines(
    result: SearchResult, refused: QueryError | None, form: Literal["json", "csv"]
) -> list[str]:
    """One answer as lines of JSON or CSV; a query that was refused is complained of in CSV."""
    if form == "json":
        return [result_line(result, str(refused) if refused else None)]
    if refused is not None:
        complain(f"{result.query}: {refused}")
    return result_rows(result)


def _write(
    library: Library,
    results: Sequence[SearchResult],
    refused: Mapping[str, QueryError],
    wanted: Wanted,
    sounds: Mapping[str, Sound],
) -> None:
    from earshot import exports  # XML and mail: nothing that a plain search needs

    if wanted.form in ("json", "csv"):
        lines = [CSV_HEADING] if wanted.form == "csv" else []
        for result in results:
            lines += _lines(result, refused.get(result.query), wanted.form)
        _put(wanted.out, "\n".join([*lines, ""]).encode(), _counted(results))
        return
    for query, reason in refused.items():
        complain(f"{query}: {reason}")
    if wanted.form == "parquet":
        _put(wanted.out, exports.parquet(results), _counted(results))
    elif wanted.form == "rss":
        ending = _ending(wanted)
        feed = exports.rss(
            results,
            {recording.id: recording for recording in library.list()},
            str(wanted.url),
            lambda mention: sounds.get(exports.clip_name(mention, ending)),
        )
        _put(wanted.out, feed, _counted(results))
    else:
        _write_sheets(library, results, wanted)


def _write_sheets(library: Library, results: Sequence[SearchResult], wanted: Wanted) -> None:
    """A file for each recording: to the file that was named if it is one, else into a folder."""
    from earshot import exports  # see `_write`

    sheet = exports.SHEETS[wanted.form]
    found = exports.by_recording(results)
    recordings = [one for one in library.list() if one.id in found]
    texts = {one.id: sheet.write(found[one.id], one).encode() for one in recordings}
    out = wanted.out
    if out is not None and (Path(out).is_dir() or out.endswith(("/", "\\"))):
        folder = _made(Path(out))
        for identity, name in exports.sheet_names(recordings, sheet).items():
            _save(folder / name, texts[identity])
        say(f"{folder}: {_plural(len(texts), 'file')}, one a recording; {_counted(results)}")
    elif len(recordings) > 1:
        raise UsageError(
            f"the mentions are in {len(recordings)} recordings, and {wanted.form} is of one: name "
            "a folder, --out mentions/, in which each gets a file"
        )
    elif texts:
        _put(out, next(iter(texts.values())), _counted(results))
    else:
        complain("no mention was found: nothing is written")


def _cut(
    library: Library, mentions: Iterable[Mention], wanted: Wanted, folder: Path
) -> dict[str, Sound]:
    """Cut out all mentions; by file name what became of them. What fails costs only itself."""
    from earshot import exports  # see `_write`

    made: dict[str, Sound] = {}
    media_type = "audio/mpeg" if wanted.form == "rss" else "audio/wav"
    _made(folder)
    for name, mention in _clips(mentions, wanted).items():
        try:
            span = library.clip(mention, folder / name, before=wanted.around, after=wanted.around)
        except EarshotError as error:
            complain(f"no clip of '{mention.title}' at {clock(mention.start)}: {error}")
            continue
        url = f"{(wanted.url or '').rstrip('/')}/{quote(name)}"
        size = (folder / name).stat().st_size
        made[name] = exports.Sound(url, media_type, size, span.duration)
    if wanted.out is not None or wanted.form == "table":  # else it would stand in what is printed
        say(f"{folder}: {_plural(len(made), 'clip')}")
    return made


def _clips(mentions: Iterable[Mention], wanted: Wanted) -> dict[str, Mention]:
    from earshot import exports  # see `_write`

    return exports.clip_names(mentions, _ending(wanted))


def _ending(wanted: Wanted) -> str:
    return ".mp3" if wanted.form == "rss" else ".wav"  # what every podcast program plays


def _put(out: str | None, data: bytes, counted: str) -> None:
    """Into a file, and tell it; or to standard output."""
    if out is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        _save(Path(out), data)
        say(f"{out}: {counted}")


def _save(target: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all; raises UsageError where that is refused."""
    part = target.with_name(f".earshot-{secrets.token_hex(6)}.part")
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a device or a pipe
            return
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            with suppress(FileNotFoundError):  # it has its new name
                part.unlink()
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"no folder can be made at {folder}: {error.strerror}") from error
    return folder


def _counted(results: Sequence[SearchResult]) -> str:
    found = [mention for result in results for mention in result.mentions]
    total = sum(max(one.total, len(one.mentions)) for one in results if not one.groups)
    of = f"{len(found)} of {total} mentions" if total > len(found) else ""
    recordings = len({mention.recording for mention in found})
    return (of or _plural(len(found), "mention")) + f" in {_plural(recordings, 'recording')}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"
