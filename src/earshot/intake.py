"""What a user names (files, folders, URLs) -> recordings of a library, one outcome at a time.

A URL is fetched into the library's own folder `media`, without holding the library's lock, and kept
there under the digest of its content as long as a recording needs it. This module knows nothing of
how is listened.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Iterable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from earshot import media
from earshot.about import LONGEST, NOTHING, About, about
from earshot.adding import Listener, add_files
from earshot.catalog import Catalog
from earshot.errors import FetchError, LibraryError, MediaError
from earshot.fetched import MEDIA, URL, name_of, unfinished
from earshot.fetching import Fetched, Rules, download, shown
from earshot.index import FILE, NetworkEntry, index_writer
from earshot.index.writer import PATIENCE
from earshot.outcome import Outcome, Progress, ProgressCallback, Status
from earshot.rows import located


@dataclass(frozen=True, slots=True)
class Intake:
    """How to take in: how channels are heard, who is told, what is kept, what may be fetched.

    With `limits`, media are decoded in a process apart, and within them.
    """

    channels: media.Channels = "auto"
    progress: ProgressCallback | None = None
    about: About = NOTHING
    rules: Rules | None = None
    limits: media.Limits | None = None


def is_url(text: str | os.PathLike[str]) -> bool:
    """Whether this is meant as a URL, of any scheme, rather than as a path."""
    return isinstance(text, str) and re.match(r"\s*[a-zA-Z][a-zA-Z0-9+.-]*://", text) is not None


def take_in(
    folder: Path,
    names: Iterable[str | os.PathLike[str]],
    network: Listener,
    how: Intake,
) -> Generator[Outcome, None, None]:
    """Add what is named to the library in `folder`, in that order; see `Library.add_each`."""
    given = list(names)
    if not given:  # a library is made all the same, or one that cannot be written is told
        yield from _added(folder, [], network, how)
    at = 0
    for urls, group in groupby(given, is_url):
        if not urls:
            files = list(group)
            yield from _added(folder, files, network, how)
            at += len(files)
            continue
        for url in map(str, group):
            at += 1
            yield _fetched(folder, url.strip(), (at, len(given)), network, how)


def _added(
    folder: Path,
    names: Iterable[str | os.PathLike[str]],
    network: Listener,
    how: Intake,
    patience: float = PATIENCE,
) -> Generator[Outcome, None, None]:
    with (
        index_writer(folder, NetworkEntry.of(network), patience=patience) as writer,
        Catalog(folder, writable=True) as catalog,
        nullcontext() if how.limits is None else media.Decoder(how.limits) as decoder,
    ):
        catalog.keep_only(writer.manifest.recordings())
        yield from add_files(
            names,
            writer=writer,
            catalog=catalog,
            network=network,
            channels=how.channels,
            progress=how.progress,
            about=how.about,
            decoder=decoder,
        )


def _fetched(
    folder: Path,
    url: str,
    place: tuple[int, int],
    network: Listener,
    how: Intake,
) -> Outcome:
    """Fetch one URL and add what came."""

    def report(have: int, total: int | None) -> None:
        if how.progress is not None:
            how.progress(Progress(url, *place, 0.0, None, have, total))

    def listen(now: Progress) -> None:
        if how.progress is not None:
            how.progress(replace(now, path=url, file=place[0], files=place[1]))

    if not (folder / FILE).exists():  # what is fetched lies in a library, which thus must be one
        with index_writer(folder, NetworkEntry.of(network)):
            pass
    try:
        kept, known = _kept(folder, url, how, report)
    except FetchError as error:
        note = str(error).removeprefix(shown(url)).lstrip(": ").rstrip(".")
        return Outcome(url, Status.FAILED, note=note)
    outcome: Outcome | None = None
    try:
        # Another one who writes is waited for: what came must not be lost.
        limits = how.limits or media.Limits()  # who knows who made it
        added = replace(how, progress=listen, about=known, limits=limits)
        (outcome,) = _added(folder, [kept], network, added, float("inf"))
    finally:
        recording = outcome.recording if outcome is not None else None
        if recording is None or recording.path != located(kept):  # it failed, or lies elsewhere
            kept.unlink(missing_ok=True)
    return replace(outcome, path=url)


def _kept(
    folder: Path, url: str, how: Intake, report: Callable[[int, int | None], None]
) -> tuple[Path, About]:
    """Fetch a URL into the library's own folder; the file, and what is known of it."""
    part = unfinished(folder, url)
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        found = download(url, part, how.rules or Rules(), report)
        kept = part.replace(folder / MEDIA / name_of(media.digest(part), found.name))
    except MediaError as error:
        part.unlink(missing_ok=True)
        raise FetchError(f"{shown(url)} is empty (0 bytes).") from error
    except OSError as error:
        raise LibraryError(f"{part.parent} cannot be written: {error.strerror}") from error
    return kept, _known(found, url, how.about)


def _known(found: Fetched, url: str, given: About) -> About:
    """What is said of all that is added, and where this came from."""
    address = url if len(url) <= LONGEST else shown(url)[:LONGEST]
    name = " ".join(Path(found.name).stem.split()) or "media"
    origin = about(title=name, meta={URL: address})
    return replace(
        given,
        title=origin.title if given.title is None else given.title,
        meta=origin.meta + given.meta,
    )
