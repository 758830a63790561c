"""A recording that grows: what was heard can be searched while more is still being said.

Each second or so, what was written is heard and committed. Activations near the end of what is
there are not yet what they will be, since the network looks some seconds ahead: they are committed
all the same, and replaced by better ones as soon as more is known; so a search finds a word at
once, and the finished recording is what it would be had it been added as a file. The end that is
not settled, and up to a minute before it, lie in one small segment that each commit replaces; what
is older is sealed in segments that are merged like all others (see `earshot.index`).

The library is locked for each commit only, a few hundredths of a second. This module knows nothing
of queries and of terminals.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot import media
from earshot.about import NOTHING, About
from earshot.adding import Listener
from earshot.catalog import Catalog
from earshot.errors import LibraryBusy, LibraryError, UsageError
from earshot.index import IndexWriter, NetworkEntry, SegmentEntry, costs, index_writer
from earshot.lanes import BLOCK, LANES, Costs
from earshot.types import Recording

COMMIT_SECONDS = 0.75
"""So long after the last commit the next one begins, if there is anything new."""

WAITING_SECONDS = 120.0
"""So much sound may wait to be heard; then `Stream.write` waits. Live sound never comes to that."""

LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000  # samples a second
MOST_CHANNELS = 8

Floats = npt.NDArray[np.float32]


class Stream:
    """A recording that grows, made by `Library.stream`; a context manager.

    `write` takes sound as it comes and returns at once; a thread hears and commits it. `flush`
    returns when all that was written can be searched, `close` when the recording is whole. A
    process that dies leaves a recording that ends with its last commit. Errors of the thread are
    raised by the next call.
    """

    def __init__(
        self,
        folder: Path,
        network: Listener,
        entry: NetworkEntry,
        title: str,
        *,
        channels: media.Plan = "mix",
        about: About = NOTHING,
        commit_seconds: float | None = COMMIT_SECONDS,
    ) -> None:
        """`commit_seconds` None: only `flush` and `close` commit anything, in the caller's time."""
        self._folder = folder
        self._network = network
        self._entry = entry
        self._resampler = media.Resampler(network.sample_rate, channels)
        self._ears: list[_Ear] = []
        self._sealed = 0  # frames that lie in segments that are replaced no more
        self._committed = False
        self._changed = False  # since the last commit
        self._failure: BaseException | None = None
        self._closed = False
        self._lock = threading.RLock()  # of everything that hears and commits
        self._incoming: list[Floats] = []
        self._waiting = 0  # samples
        self._news = threading.Condition()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        digest = hashlib.sha256(f"{title} {now}".encode() + os.urandom(32)).hexdigest()
        self._row = about.applied(Recording(digest[:12], "", title, 0.0, 1, digest, 0, now))
        with index_writer(folder, entry):
            pass  # a library that cannot be written is told before anything is said
        self._thread: threading.Thread | None = None
        if commit_seconds is not None:
            self._thread = threading.Thread(
                target=self._keep_committing, args=(commit_seconds,), daemon=True
            )
            self._thread.start()

    @property
    def recording(self) -> Recording:
        """The recording as it is now; it is in the library after the first commit."""
        return self._row

    def write(self, pcm: npt.NDArray[np.float32] | npt.NDArray[np.int16], sample_rate: int) -> None:
        """Hand over the next sound: (samples,) or (channels, samples), float in [-1, 1] or int16.

        Raises UsageError for what is no sound, LibraryError when the library could not be written.
        """
        samples = _checked(pcm, sample_rate)
        names = tuple(f"{number}" for number in range(len(samples)))
        pieces = self._resampler.feed(media.Piece(samples, sample_rate, 0.0, names))
        self._receive(list(pieces))

    def flush(self) -> None:
        """Return when all that was written can be searched; waits for other writers."""
        self._commit(patience=float("inf"))

    def close(self) -> None:
        """End the recording; waits for other writers. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        with self._news:
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._raise_failure()
        self._receive(list(self._resampler.flush()))
        self._commit(patience=float("inf"), last=True)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _receive(self, pieces: list[Floats]) -> None:
        self._raise_failure()
        most = WAITING_SECONDS * self._network.sample_rate
        with self._news:
            self._incoming += pieces
            self._waiting += sum(piece.shape[1] for piece in pieces)
            self._news.notify_all()
            while self._thread is not None and self._waiting > most and self._failure is None:
                self._news.wait(1.0)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _keep_committing(self, seconds: float) -> None:
        """What the thread does, until the stream is closed or fails."""
        try:
            while not self._closed:
                begun = time.monotonic()
                with suppress(LibraryBusy):  # the next time will do: nothing is lost
                    self._commit(patience=1.0)
                with self._news:
                    left = begun + seconds - time.monotonic()
                    while not self._closed and (left > 0 or not (self._waiting or self._changed)):
                        self._news.wait(left if left > 0 else 1.0)
                        left = begun + seconds - time.monotonic()
        except BaseException as error:
            self._failure = error
            with self._news:
                self._news.notify_all()

    def _commit(self, *, patience: float, last: bool = False) -> None:
        """Hear what was written and let it count."""
        with self._lock:
            self._hear(last=last)
            if not self._ears or not (self._changed or last):
                return
            with (
                index_writer(self._folder, self._entry, patience=patience) as writer,
                Catalog(self._folder, writable=True) as catalog,
            ):
                here = self._row.id in writer.manifest.recordings()
                if self._committed and not here:
                    raise LibraryError(
                        f"the recording '{self._row.title}' was removed while it was heard"
                    )
                self._write(writer, catalog, last=last)
            self._changed = False

    def _hear(self, *, last: bool) -> None:
        with self._news:
            incoming, self._incoming = self._incoming, []
            self._waiting = 0
            self._news.notify_all()
        if incoming:
            sound = np.concatenate(incoming, axis=1)
            self._ears = self._ears or [_Ear(self._network) for _ in sound]
            for ear, samples in zip(self._ears, sound, strict=True):
                ear.take(samples)
            self._changed = True
        if self._changed or last:
            for ear in self._ears:
                ear.hear(last=last)

    def _write(self, writer: IndexWriter, catalog: Catalog, *, last: bool) -> None:
        """Stage what is not sealed, write the row, commit; merge what was sealed."""
        seconds = self._ears[0].samples / self._network.sample_rate
        growing = None if last else datetime.now(UTC).isoformat(timespec="seconds")
        self._row = replace(self._row, duration=seconds, channels=len(self._ears), growing=growing)
        segments: list[SegmentEntry] = []
        seal = self._sealable(last=last)
        start = self._sealed
        if seal:
            settled = [ear.unsealed()[:seal] for ear in self._ears]
            segments.append(writer.stage_part(self._row.id, settled, start))
        ends = [np.concatenate([ear.unsealed()[seal:], ear.provisional]) for ear in self._ears]
        if len(ends[0]) or not segments:
            segments.append(writer.stage_part(self._row.id, ends, start + seal, segments))
        grown = self._row
        changed = None
        if self._committed:  # what its owner says of it meanwhile stays
            changed = catalog.change(
                grown.id, lambda row: replace(row, duration=grown.duration, growing=growing)
            )
        if changed is None:
            catalog.put(grown)
        writer.commit_parts(segments)
        self._committed = True
        self._sealed += seal
        for ear in self._ears:
            ear.sealed(seal)
        if last:
            writer.join(self._row.id)
        if seal:
            writer.tidy(leave={segments[-1].file} if len(segments) > 1 else ())

    def _sealable(self, *, last: bool) -> int:
        """How many settled frames fill the lanes of segments: none are left empty then."""
        settled = len(self._ears[0].unsealed())
        full = max(LANES // len(self._ears), 1) * BLOCK
        return settled if last else max((settled + 1) // full * full - 1, 0)


class _Ear:
    """One channel: the sound that is still needed, and what was heard since the last seal."""

    def __init__(self, network: Listener) -> None:
        self._network = network
        self._frame = round(network.frame_seconds * network.sample_rate)  # samples
        self._look = ceil(network.look_seconds / network.frame_seconds) + 1  # frames
        self._held = np.zeros(0, np.float32)
        self._from = 0  # the frame at which `_held` begins
        self._settled = 0  # frames of which no more sound can tell anything
        self._unsealed: list[Costs] = []
        self.samples = 0
        self.provisional = np.zeros((0, len(network.units)), np.uint8)

    def take(self, samples: Floats) -> None:
        """More sound (samples,)."""
        self._held = np.concatenate([self._held, samples])
        self.samples += len(samples)

    def hear(self, *, last: bool) -> None:
        """Let the network listen; `last`: no more sound comes, so all of it is settled."""
        pieces = list(self._network.listen(iter([self._held])))
        none = np.zeros((0, len(self._network.units)), np.uint8)
        heard = np.concatenate([none, *(costs(piece) for piece in pieces)])
        end = self._from + len(heard)
        settled = end if last else max(self._settled, end - self._look)
        begin = self._settled - self._from
        self._unsealed.append(heard[begin : settled - self._from])
        self.provisional = heard[settled - self._from :]
        self._settled = settled
        keep = max(settled - self._look, self._from)
        self._held = self._held[(keep - self._from) * self._frame :]
        self._from = keep

    def unsealed(self) -> Costs:
        """Settled costs (frames, units) that are in no sealed segment yet."""
        self._unsealed = [np.concatenate(self._unsealed)]
        return self._unsealed[0]

    def sealed(self, frames: int) -> None:
        """So many of them are sealed now."""
        self._unsealed = [self.unsealed()[frames:]]


def _checked(pcm: npt.NDArray[np.float32] | npt.NDArray[np.int16], sample_rate: int) -> Floats:
    given = np.asarray(pcm)
    samples = np.atleast_2d(given)
    if given.ndim not in (1, 2) or not 1 <= len(samples) <= MOST_CHANNELS:
        raise UsageError(
            f"sound has the shape (samples,) or (channels, samples), not {given.shape}"
        )
    if not LOWEST_RATE <= sample_rate <= HIGHEST_RATE:
        raise UsageError(f"no sound has {sample_rate} samples a second")
    if samples.dtype == np.int16:
        return np.asarray(samples, np.float32) / np.float32(32768)
    if samples.dtype.kind != "f" or not np.isfinite(samples).all():
        raise UsageError("sound is float numbers in [-1, 1], or int16")
    return np.clip(samples, -1, 1).astype(np.float32)
