"""From files to recordings of a library: hash, decode, listen, write, commit; one file at a time.

Memory is bounded by a few blocks of audio, whatever the length of the file: costs go to a
temporary file as the network speaks. A file that cannot be listened to is reported and the rest
goes on; a library that cannot be written ends it all with LibraryError, a network that is none with
NetworkError. This module knows nothing of queries, and of the network only that it listens.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from earshot import media
from earshot.about import NOTHING, About
from earshot.catalog import Catalog
from earshot.errors import MediaError, NetworkError
from earshot.index import (
    IndexWriter,
    NetworkEntry,
    TrackFile,
    costs,
    index_writer,
    recordings_in,
)
from earshot.outcome import Outcome, Progress, ProgressCallback, Status
from earshot.rows import located
from earshot.types import Recording

SILENCE = 10 ** (-60 / 20)
"""A recording whose loudest sample is below this (-60 dBFS) is noted as silent."""

SHORT_SECONDS = 0.5
"""A recording below this length is noted as too short for speech."""

Floats = npt.NDArray[np.float32]


class Listener(Protocol):
    """What adding needs of a network; `earshot.network.Network` is one."""

    @property
    def units(self) -> tuple[str, ...]:
        """The units in the order of the activations' columns."""

    @property
    def blank(self) -> int:
        """The column of the CTC blank."""

    @property
    def frame_seconds(self) -> float:
        """Length of a frame."""

    @property
    def look_seconds(self) -> float:
        """How far a frame looks to each side of itself."""

    @property
    def fingerprint(self) -> str:
        """Tells this network from every other."""

    @property
    def sample_rate(self) -> int:
        """Samples a second that it listens to."""

    def listen(self, blocks: Iterator[Floats], /) -> Iterator[Floats]:
        """Blocks of samples (samples,) to log-posteriors (frames, units), both in pieces."""


@dataclass(frozen=True, slots=True)
class _Job:
    """One file to add, and where it stands among all."""

    path: Path
    file: int
    files: int
    channels: media.Channels
    progress: ProgressCallback | None
    about: About
    decoder: media.Decoder | None = None

    def report(self, seconds: float, duration: float | None) -> None:
        if self.progress is not None:
            self.progress(Progress(str(self.path), self.file, self.files, seconds, duration))


def add_files(
    paths: Iterable[str | os.PathLike[str]],
    *,
    writer: IndexWriter,
    catalog: Catalog,
    network: Listener,
    channels: media.Channels = "auto",
    progress: ProgressCallback | None = None,
    about: About = NOTHING,
    decoder: media.Decoder | None = None,
) -> Iterator[Outcome]:
    """Add files and folders; yield an outcome as soon as each file is settled for good.

    `about` is kept with every recording that is new; those that are there stay as they are. With a
    `decoder`, files are decoded in its process instead of this one.
    Raises LibraryError when the library cannot be written; files yielded before then are kept.
    """
    found = list(_find(paths))
    for number, item in enumerate(found, start=1):
        if isinstance(item, Outcome):
            yield item
            continue
        job = _Job(item, number, len(found), channels, progress, about, decoder)
        outcome = _add(job, writer, catalog, network)
        yield outcome
        if outcome.status is Status.ADDED:
            writer.tidy()


def add_apart(
    path: Path,
    *,
    library: Path,
    scratch: Path,
    network: Listener,
    channels: media.Channels = "auto",
    progress: ProgressCallback | None = None,
    about: About = NOTHING,
    decoder: media.Decoder | None = None,
) -> Outcome:
    """Add one file to a library that is locked only while what was heard is written into it.

    So several files can be heard at once, and others may add and remove meanwhile; they are waited
    for. What is heard is kept in the folder `scratch` until then. Raises what `add_files` raises.
    """
    job = _Job(path, 1, 1, channels, progress, about, decoder)

    def written(digest: str, heard: _Heard | None) -> Outcome:
        with (
            index_writer(library, NetworkEntry.of(network), patience=float("inf")) as writer,
            Catalog(library, writable=True) as catalog,
        ):
            if heard is None or digest[:12] in writer.manifest.recordings():
                return _add(job, writer, catalog, network)
            catalog.keep_only(writer.manifest.recordings())
            outcome = _keep(job, digest, heard, writer, catalog)
            writer.tidy()
            return outcome

    def track(recording: str, channel: int) -> TrackFile:
        return TrackFile(scratch / f"{recording}-{channel}.part", recording, channel)

    try:
        digest = media.digest(path)
        if digest[:12] in recordings_in(library):  # the first file of all makes the library
            return written(digest, None)
        with _heard(job, digest, network, track) as heard:
            return written(digest, heard)
    except (MediaError, OSError) as error:
        return Outcome(str(path), Status.FAILED, note=_reason(error, path))


def _find(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path | Outcome]:
    for path in paths:
        files = list(media.media_files([path]))
        yield from files
        if not files:
            yield Outcome(os.fspath(path), Status.FAILED, note="has no audio or video files in it")


def _add(job: _Job, writer: IndexWriter, catalog: Catalog, network: Listener) -> Outcome:
    try:
        job.report(0.0, None)
        digest = media.digest(job.path)
        if digest[:12] in writer.manifest.recordings():
            known = catalog.find([digest[:12]]).get(digest[:12])
            if known is not None:
                return _already_there(job, digest, known, catalog)
            writer.remove([digest[:12]])  # its row is lost, so it is added anew
        return _listen(job, digest, writer, catalog, network)
    except (MediaError, OSError) as error:  # the file's fault; anything else ends the work
        return Outcome(str(job.path), Status.FAILED, note=_reason(error, job.path))


def _already_there(job: _Job, digest: str, known: Recording, catalog: Catalog) -> Outcome:
    """Skip a file that the library has; remember where it lies if it has been moved."""
    if known.digest == known.id:  # its row was lost, and made anew without knowing the file
        size = job.path.stat().st_size
        path = located(job.path)
        known = replace(known, path=path, title=_title(job.path), digest=digest, bytes=size)
        known = job.about.applied(known)
        catalog.put(known)
    if known.digest != digest:
        raise MediaError(
            f"has the same first 12 digits of SHA-256 as the recording {known.id}, "
            "which two files have by intent only: remove that one first"
        )
    if not Path(known.path).exists():
        known = replace(known, path=located(job.path), title=_title(job.path))
        catalog.put(known)
    return Outcome(str(job.path), Status.SKIPPED, known)


def _listen(
    job: _Job, digest: str, writer: IndexWriter, catalog: Catalog, network: Listener
) -> Outcome:
    with _heard(job, digest, network, writer.track) as heard:
        return _keep(job, digest, heard, writer, catalog)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What was heard of one file: a track a channel, in temporary files, and how it sounds."""

    tracks: Sequence[TrackFile]
    blocks: _Blocks


@contextmanager
def _heard(
    job: _Job, digest: str, network: Listener, track: Callable[[str, int], TrackFile]
) -> Iterator[_Heard]:
    """Listen to a file; what was heard is there until the context ends."""
    rate = network.sample_rate
    duration, found = _decoded(job, rate)
    blocks = _Blocks(found, rate)
    with ExitStack() as stack:
        tracks = [
            stack.enter_context(track(digest[:12], channel)) for channel in range(blocks.channels)
        ]
        for _ in _fill(tracks, blocks, network):
            job.report(blocks.seconds, duration)
        yield _Heard(tracks, blocks)


def _decoded(job: _Job, rate: int) -> tuple[float | None, Iterator[Floats]]:
    """How long a file is, if it tells, and its sound in blocks."""
    if job.decoder is not None:
        heard = job.decoder.hear(job.path, channels=job.channels, sample_rate=rate)
        return heard.info.duration, heard.blocks
    duration = media.probe(job.path).duration
    return duration, media.blocks(job.path, channels=job.channels, sample_rate=rate)


def _keep(job: _Job, digest: str, heard: _Heard, writer: IndexWriter, catalog: Catalog) -> Outcome:
    """Write what was heard into the library."""
    recording = _recording(job, digest, heard.blocks)
    try:
        segment = writer.stage(heard.tracks)
        catalog.put(recording)
        writer.commit(segment)
    except BaseException:
        writer.clean()
        raise
    return Outcome(str(job.path), Status.ADDED, recording, _warning(heard.blocks))


def _fill(tracks: Sequence[TrackFile], heard: _Blocks, network: Listener) -> Iterator[None]:
    """Let the network listen to all channels in turns; each yield is one piece on its way."""
    listening = {
        track: network.listen(heard.channel(number)) for number, track in enumerate(tracks)
    }
    while listening:
        for track, pieces in list(listening.items()):
            piece = next(pieces, None)
            if piece is None:
                del listening[track]
                continue
            if piece.shape[1:] != (len(network.units),):
                raise NetworkError(
                    f"the network gave activations of shape {piece.shape} where (frames, "
                    f"{len(network.units)}) were expected: its metadata do not fit its weights"
                )
            try:
                track.append(costs(piece))
            except ValueError as error:
                raise MediaError(f"the network makes no sense of it: {error}") from error
            yield


class _Blocks:
    """Blocks of a file by channel, each channel read on its own but decoded together.

    Only what one channel has read and another has not is kept.
    """

    def __init__(self, blocks: Iterator[Floats], rate: int) -> None:
        self._blocks = blocks
        self._rate = rate
        self._samples = 0
        self.peak = 0.0
        self._waiting: list[deque[Floats]] = []
        self._decode()
        if not self._waiting:
            raise MediaError("its audio is empty: there is not a single sample")

    @property
    def channels(self) -> int:
        """Number of channels that are listened to separately."""
        return len(self._waiting)

    @property
    def seconds(self) -> float:
        """Length of what has been decoded so far."""
        return self._samples / self._rate

    def channel(self, number: int) -> Iterator[Floats]:
        """The blocks (samples,) of one channel."""
        waiting = self._waiting[number]
        while waiting or self._decode():
            yield waiting.popleft()

    def _decode(self) -> bool:
        for block in self._blocks:
            if block.shape[1] == 0:
                continue
            self._waiting = self._waiting or [deque() for _ in block]
            for waiting, samples in zip(self._waiting, block, strict=True):
                waiting.append(samples)
            self._samples += block.shape[1]
            self.peak = max(self.peak, float(np.abs(block).max()))
            return True
        return False


def _recording(job: _Job, digest: str, heard: _Blocks) -> Recording:
    known = Recording(
        id=digest[:12],
        path=located(job.path),
        title=_title(job.path),
        duration=heard.seconds,
        channels=heard.channels,
        digest=digest,
        bytes=job.path.stat().st_size,
        added=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    return job.about.applied(known)


def _title(path: Path) -> str:
    """A file's name without its ending; bytes that are no UTF-8 become the replacement sign."""
    return os.fsencode(path.stem).decode("utf-8", "replace")


def _warning(heard: _Blocks) -> str:
    if heard.peak < SILENCE:
        return "it is silent: no sound above -60 dBFS"
    if heard.seconds < SHORT_SECONDS:
        return f"it is only {heard.seconds:.2f} seconds long"
    return ""


def _reason(error: Exception, path: str | os.PathLike[str]) -> str:
    """Why a file failed, without the file's name, which the outcome has."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    name = os.fspath(path)
    reason = str(error).removeprefix(name).removeprefix(repr(name))
    return reason.lstrip(": ").rstrip(".")
