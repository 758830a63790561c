"""A library of recordings: add, search, list, show, remove, clip, optimize, check, repair.

`Library` is what the command line, Python and every other surface call; it joins the stages (media,
network, index, catalogue, search) and holds no logic of theirs. It knows nothing of terminals.

The stages that are heavy to load (FFmpeg, numba) are imported by the method that needs them:
listing a library loads neither of them, and a search neither FFmpeg nor ONNX Runtime.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt
from platformdirs import user_data_path

from earshot import rows, searching
from earshot.about import NOTHING, About
from earshot.clipping import require_inside, unchanged
from earshot.errors import LibraryError, UsageError
from earshot.example import heard_in, said_in
from earshot.example import pronunciations as exampled
from earshot.explaining import Extras
from earshot.fetched import forget
from earshot.index import (
    NetworkEntry,
    Snapshot,
    index_writer,
    open_snapshot,
    read_manifest,
    require_network,
    snapshot_version,
)
from earshot.installed import by_fingerprint, find
from earshot.language import Language
from earshot.network import SHIPPED, Network
from earshot.outcome import AddReport, Outcome, ProgressCallback
from earshot.query import holds, named, read_filters
from earshot.searching import (
    LEAST_CONFIDENCE,
    Asked,
    Field,
    Order,
    View,
    exemplified,
    understood,
)
from earshot.types import Mention, Recording, SearchResult, Span

if TYPE_CHECKING:
    from earshot.adding import Listener
    from earshot.fetching import Rules
    from earshot.media import Channels, Limits, Plan
    from earshot.search import Calibration
    from earshot.streaming import Stream
    from earshot.units import Pronunciation
    from earshot.upkeep import Finding, Optimized

LIBRARY_VARIABLE = "EARSHOT_LIBRARY"
"""Environment variable that names the library folder when none is given."""

TOP = 10
"""Mentions that a search shows unless told otherwise."""

MIN_CONFIDENCE = LEAST_CONFIDENCE
"""Mentions less likely than this are not shown unless asked for: nineteen of twenty are wrong."""

BATCH = 256
"""Queries that share one pass over the index."""


class Speller(Protocol):
    """What a search needs to turn text into units; `earshot.units.Speller` is one."""

    def pronunciations(self, text: str, limit: int = 8) -> Sequence[Pronunciation]:
        """Pronunciations of `text`, best first."""


def default_folder() -> Path:
    """The library folder when none is given: EARSHOT_LIBRARY, or the user's data folder."""
    named = os.environ.get(LIBRARY_VARIABLE)
    return Path(named) if named else user_data_path("earshot", appauthor=False) / "library"


class Library:
    """All recordings of one folder.

    `path` is the library's folder (default: `default_folder()`); it is made when the first file is
    added. `network` is the one to listen with: by default that which made the library, and for a
    new one that which ships with Earshot; a name means an added network (`earshot network add`) or
    a network's folder. `speller` and `calibration` replace those in the network's folder. All are
    opened when they are first needed.

    One process at a time adds or removes; any number search meanwhile, each in the state that it
    found. Errors are `earshot.errors.EarshotError`s whose message is one sentence.

    ```python
    with Library("calls") as library:
        library.add(["recordings/"])
        for mention in library.search("cancel my contract").mentions:
            print(mention.title, mention.start, mention.confidence)
    ```
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        network: Listener | str | None = None,
        *,
        speller: Speller | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.path = Path(path) if path is not None else default_folder()
        self._network = Network.open(find(network)) if isinstance(network, str) else network
        self._speller = speller
        self._calibration = calibration
        self._snapshot: Snapshot | None = None
        self._field: Field | None = None
        self._version: tuple[int, int, int] | None = None

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the mapped index; the library opens again by itself when it is used."""
        self._snapshot = self._field = self._version = None

    def add(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        channels: Channels = "auto",
        progress: ProgressCallback | None = None,
        about: About = NOTHING,
        rules: Rules | None = None,
        limits: Limits | None = None,
    ) -> AddReport:
        """Add files, all media files of folders, URLs; what cannot be listened to is reported.

        A file that is in the library already, by content, is skipped. What URLs lead to is kept in
        the library's folder `media`; `rules` (see `earshot.fetching`) say what may be fetched.
        `channels` says whether the channels of a file are heard as one (`mix`), separately
        (`split`), or as the file suggests (`auto`). `about` (see `earshot.about`) is kept with what
        is new. With `limits` (`earshot.media.Limits`), files are decoded in a process apart, and
        what crashes or goes over them is reported. Raises LibraryError when the library cannot be
        written (OtherNetwork, LibraryBusy among them); what was added before is kept.
        """
        outcomes = self.add_each(
            paths, channels=channels, progress=progress, about=about, rules=rules, limits=limits
        )
        return AddReport(tuple(outcomes))

    def add_each(
        self,
        paths: Iterable[str | os.PathLike[str]],
        *,
        channels: Channels = "auto",
        progress: ProgressCallback | None = None,
        about: About = NOTHING,
        rules: Rules | None = None,
        limits: Limits | None = None,
    ) -> Generator[Outcome, None, None]:
        """Like `add`, one outcome at a time: what is yielded as added survives any crash.

        The library is locked for other writers while files are listened to, but not while a URL is
        fetched, until the iterator is exhausted or closed.
        """
        from earshot.intake import Intake, take_in  # loads FFmpeg

        how = Intake(channels, progress, about, rules, limits)
        yield from take_in(self.path, paths, self.listener(), how)

    def stream(self, title: str, *, channels: Plan = "mix", about: About = NOTHING) -> Stream:
        """A recording that grows: what is written to it can be searched within two seconds.

        ```python
        with library.stream("call 17") as call:
            call.write(samples, 8000)  # as often as there is more
        ```

        Leaving it ends the recording; a process that dies leaves one that ends there. The library
        is locked for moments only, so several streams can grow at once. Raises what `add` raises.
        """
        from earshot.streaming import Stream  # loads FFmpeg

        network = self.listener()
        return Stream(
            self.path, network, NetworkEntry.of(network), title, channels=channels, about=about
        )

    def search(
        self,
        query: str,
        top: int | None = TOP,
        min_confidence: float = MIN_CONFIDENCE,
        *,
        offset: int = 0,
        order: Order = "confidence",
        by_recording: bool = False,
        where: str = "",
        why: bool = False,
        snippets: bool = False,
    ) -> SearchResult:
        """Find where `query`, in the query language, was said: the `top` mentions (None: all).

        `offset` leaves out so many before them. They are in order of confidence or of time; if
        `by_recording`, `top` and `offset` count recordings, each with all its mentions. `where`
        has filters as a query may hold them (`tag:news after:2020`): only recordings that fit are
        searched. `why` lays open each mention's alignment and what its confidence is made of,
        `snippets` adds what was said around it, as well as the ear can spell it (10 to 20 ms each).
        Raises QueryError for a query that cannot be searched for, OtherNetwork when the library
        was made by another network, LibraryError when it cannot be read.
        """
        view = View(top, min_confidence, offset, order, by_recording)
        return next(self._search_each([query], view, where, Extras(why, snippets)))

    def search_many(
        self,
        queries: Iterable[str],
        top: int | None = TOP,
        min_confidence: float = MIN_CONFIDENCE,
        *,
        offset: int = 0,
        order: Order = "confidence",
        by_recording: bool = False,
        where: str = "",
        why: bool = False,
        snippets: bool = False,
    ) -> Iterator[SearchResult]:
        """Like `search` for each query in turn, but faster: many share one pass over the index.

        Yields results in the order of the queries; `seconds` of each is its share of a pass.
        """
        view = View(top, min_confidence, offset, order, by_recording)
        return self._search_each(queries, view, where, Extras(why, snippets))

    def search_like(
        self,
        example: str | os.PathLike[str] | Mention | Recording,
        span: Span | None = None,
        top: int | None = TOP,
        min_confidence: float = MIN_CONFIDENCE,
        *,
        offset: int = 0,
        order: Order = "confidence",
        by_recording: bool = False,
        where: str = "",
        why: bool = False,
        snippets: bool = False,
    ) -> SearchResult:
        """Find what sounds like an example: an audio file, a mention, or a span of a recording.

        With `span`, `example` is a recording or names one. The rest is as in `search`; the
        example's own place is among what is found. Raises QueryError for an example without
        speech or of more than a long phrase, MediaError for a file that cannot be listened to.
        """
        view = View(top, min_confidence, offset, order, by_recording)
        snapshot = self._present()
        if isinstance(example, Recording) or span is not None or isinstance(example, Mention):
            label, heard = self._said(example, span, snapshot)
        else:
            label, heard = f"like {os.fspath(example)}", heard_in(Path(example), self.listener())
        network = snapshot.manifest.network
        language = Language.open(self.network_folder(), network.units)
        ways = exampled(heard, network.units, network.blank, language)
        asked = exemplified(label, ways, where)
        return next(self._answered([asked], view, snapshot, Extras(why, snippets, typed=False)))

    def require_query(self, query: str) -> None:
        """Raises QueryError for a query that cannot be searched for; searches nothing."""
        understood(query, self.pronunciations)

    def pronunciations(self, phrase: str) -> Sequence[Pronunciation]:
        """What a search for a word or a phrase listens for, best first.

        Raises QueryError for a phrase that cannot be searched for.
        """
        if self._speller is None:
            from earshot.spellers import open_speller  # reads a dictionary of 130,000 words

            self._speller = open_speller(self.network_folder())
        return self._speller.pronunciations(phrase)

    def field(self, snapshot: Snapshot | None = None) -> Field:
        """What a search searches now (or did then), for those who do something else with it."""
        snapshot = snapshot or self._present()
        field = self._field
        if field is None or field.snapshot is not snapshot:
            field = self._field = Field(snapshot, self._calibrated(), self._rows)
        return field

    def list(self, where: str = "") -> tuple[Recording, ...]:
        """All recordings that filters `where` (`tag:news longer:10m`) fit, in the order of adding.

        Raises QueryError for what is no filter.
        """
        filters = read_filters(where)
        ids: Collection[str] = read_manifest(self.path).recordings()
        if (ways := named(filters)) is not None:
            ids = [one for one in ids if one.startswith(ways)]
        there = (row for row in self._rows(ids).values() if filters is None or holds(filters, row))
        return tuple(sorted(there, key=lambda row: (row.added, row.path)))

    def show(self, name: str) -> Recording:
        """The recording that an id, its beginning, a path or a title means; else UsageError."""
        return rows.pick(name, self.list())

    def edit(self, name: str, about: About) -> Recording:
        """Change what is known of a recording, named as in `show`; return it as it is then.

        Searches and additions may go on meanwhile.
        """
        from earshot.catalog import Catalog  # see `remove`

        recording = self.show(name)
        with Catalog(self.path, writable=True) as catalog:
            changed = catalog.change(recording.id, about.applied)
        if changed is None:
            raise UsageError(f"the recording '{recording.title}' has just been removed")
        return changed

    def remove(self, *names: str) -> tuple[str, ...]:
        """Remove recordings, each named as in `show`; return their ids.

        Their files are left alone, but for what was fetched from URLs. Raises UsageError,
        before anything is removed, when a name fits none or several.
        """
        from earshot.catalog import Catalog  # SQLAlchemy: only to write

        with index_writer(self.path) as writer:
            present = writer.manifest.recordings()
            # An id must do without its row: that is how a damaged library is mended.
            ids = tuple(name if name in present else self.show(name).id for name in names)
            writer.remove(ids)
            with Catalog(self.path, writable=True) as catalog:
                removed = catalog.find(ids).values()
                catalog.keep_only(writer.manifest.recordings())
            writer.tidy()
        forget(self.path, removed)
        return ids

    def clip(
        self,
        what: Mention | Recording | str,
        target: str | os.PathLike[str],
        span: Span | None = None,
        *,
        before: float = 2.0,
        after: float = 2.0,
    ) -> Span:
        """Write a mention, or a span of a recording, with its surroundings to an audio file.

        `before` and `after` are seconds of surroundings; the format follows the ending of
        `target`. Returns the span that was written. Raises UsageError for a span outside the
        recording, MediaError when the recording's file is gone or has changed.
        """
        from earshot import media  # loads FFmpeg

        if isinstance(what, Mention):
            span = span or what.span
            what = what.recording
        recording = what if isinstance(what, Recording) else self.show(what)
        if span is None:
            span = Span(0.0, recording.duration)
        require_inside(span, recording)
        source = unchanged(recording)
        start = max(0.0, span.start - before)
        end = min(recording.duration, span.end + after)
        media.write_clip(source, start, end, Path(target))
        return Span(start, end)

    def optimize(self) -> Optimized:
        """Merge segments, take what was removed off the disk, bring old formats up to date.

        Searches go on meanwhile. Raises LibraryError for a library that is damaged or read-only.
        """
        from earshot.upkeep import optimize  # loads FFmpeg

        return optimize(self.path)

    def check(self, *, media: bool = False) -> tuple[Finding, ...]:
        """Read all of the library and return everything that is not as it should be.

        With `media`, the recordings' own files are read as well, not only looked at.
        """
        from earshot.upkeep import inspect  # see `optimize`

        return inspect(self.path, read_media=media)

    def repair(self, *, media: bool = False) -> tuple[Finding, ...]:
        """Mend what `check` finds, as far as it can be mended; return what was found and done.

        Nothing healthy is lost; damaged recordings are dropped, with the command that adds them.
        """
        from earshot.upkeep import repair  # see `optimize`

        return repair(self.path, self._network_entry, read_media=media)

    def _search_each(
        self, queries: Iterable[str], view: View, where: str, extras: Extras
    ) -> Iterator[SearchResult]:
        waiting = iter(queries)
        while batch := list(islice(waiting, BATCH)):
            snapshot = self._present()
            asked = [understood(query, self.pronunciations, where) for query in batch]
            yield from self._answered(asked, view, snapshot, extras)

    def _answered(
        self, asked: Sequence[Asked], view: View, snapshot: Snapshot, extras: Extras
    ) -> Iterator[SearchResult]:
        field = self.field(snapshot)
        for result in searching.search(asked, field, view):
            if extras.why or extras.snippets:
                from earshot.snippets import told  # a search needs none of it

                result = told(result, snapshot, field.calibration, self.network_folder(), extras)
            yield result

    def _said(
        self,
        example: str | os.PathLike[str] | Mention | Recording,
        span: Span | None,
        snapshot: Snapshot,
    ) -> tuple[str, npt.NDArray[np.float32]]:
        """What a span of a recording is called, and its activations."""
        channel = example.channel if isinstance(example, Mention) and span is None else None
        if isinstance(example, Mention):
            span = span or example.span
            example = example.recording
        recording = example if isinstance(example, Recording) else self.show(os.fspath(example))
        span = span or Span(0.0, recording.duration)
        require_inside(span, recording)
        heard = said_in(snapshot, recording, span, channel)
        return f"like {recording.title}@{span.start:.2f}-{span.end:.2f}", heard

    def _present(self) -> Snapshot:
        """The index as it is now; mapped anew only when it has changed."""
        version = snapshot_version(self.path)
        snapshot = self._snapshot  # of this thread: another one may find a newer one meanwhile
        if snapshot is None or version != self._version:
            snapshot = open_snapshot(self.path)
            require_network(snapshot.manifest, self.listener().fingerprint, self.path)
            self._snapshot, self._version = snapshot, version
        return snapshot

    def _rows(self, recordings: Collection[str]) -> dict[str, Recording]:
        """The rows of these recordings, without those that have been removed meanwhile."""
        if not recordings:
            return {}
        found = rows.find(self.path, recordings)
        missing = set(recordings).difference(found)
        if missing and (lost := missing.intersection(read_manifest(self.path).recordings())):
            raise LibraryError(
                f"{self.path} has lost the catalogue's rows of {len(lost)} recordings: `earshot "
                f"check --repair` lists them without, or add their files again: "
                f"{' '.join(sorted(lost)[:5])}"
            )
        return found

    def listener(self) -> Listener:
        """The network that listens here: what a new recording must be heard by."""
        if self._network is None:
            self._network = Network.open(self._made_by() or SHIPPED)
        return self._network

    def _network_entry(self, fingerprint: str) -> NetworkEntry | None:
        """What a manifest says of the network with this fingerprint, if that is at hand."""
        if self._network is None and (folder := by_fingerprint(fingerprint)):
            return NetworkEntry.of(Network.open(folder))
        entry = NetworkEntry.of(self.listener())
        return entry if entry.fingerprint == fingerprint else None

    def _made_by(self) -> Path | None:
        """The folder of the network that made what is here, if there is anything and it is."""
        try:
            manifest = read_manifest(self.path)
        except LibraryError:  # none yet, or damaged: whoever needs it will say so
            return None
        return by_fingerprint(manifest.network.fingerprint) if manifest.segments else None

    def network_folder(self) -> Path:
        """Where the network's dictionary and calibration lie."""
        network = self.listener()
        return network.folder if isinstance(network, Network) else SHIPPED

    def _calibrated(self) -> Calibration:
        if self._calibration is None:
            from earshot.search import Calibration  # see `_search`

            self._calibration = Calibration.open(self.network_folder() / "confidence.json")
        return self._calibration
