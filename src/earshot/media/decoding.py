"""An open source -> PCM on one time line, at the source's own rate, piece by piece.

Time 0 is where the container's time begins, as in a player: audio that starts late in a video gets
silence before it, and holes that timestamps show (a muted microphone, lost packets of a live
recording) are silence too, so that a mention's time is the time at which a player shows it. What
cannot be decoded is an error, never a silent loss. This module knows nothing of files and paths,
and nothing of the rate and the channels that others want.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Discard
from numpy.typing import NDArray

from earshot.errors import MediaError
from earshot.media.opening import HIGHEST_RATE, LOWEST_RATE, Source

PIECE_SECONDS = 1.0  # frames are of 20 ms: handing on whole seconds saves most of Python's time
# Decoders carry state from packet to packet (Opus converges in 0.08 s, MP3 borrows from earlier
# frames), and a resampler may need up to one second to begin on a whole sample.
PREROLL_SECONDS = 2.0

# Timestamps that differ less than this from the count of samples are jitter: players go by the
# count. FFmpeg's own players draw the line here too (aresample's min_hard_comp).
GAP_SECONDS = 0.1
# Broadcast and joined files restart their clocks: longer jumps there are no silence, the audio
# simply goes on (ffmpeg's dts_delta_threshold).
JUMP_SECONDS = 10.0
TS_DISCONT = 0x0200  # FFmpeg's flag of formats that do so (AVFMT_TS_DISCONT)
# A pause may be long, but within the length that the headers tell, by and large.
LONG_PAUSE_SECONDS = 60.0
MOST_SILENCE_SECONDS = 12 * 3600.0

# One broken frame is common where files were joined (an advertisement in a podcast) and swallows
# no word: it becomes silence. More than that is damage.
BROKEN_SECONDS = 0.25
BROKEN_SHARE = 0.01
MISSING_SECONDS = 0.5  # headers round, and count the video that outlasts its sound
LOUDEST = 16.0  # 24 dB over full scale: floating-point samples above are in some other unit

# Containers whose every moment has a packet: a hole in the timestamps is damage, not silence.
WITHOUT_HOLES = frozenset({"aac", "ac3", "aiff", "eac3", "flac", "mp3", "wav"})
# Their headers tell the length in seconds; FFmpeg guesses it from the bit rate for all others.
WITH_LENGTH = frozenset(
    {"aiff", "ape", "asf", "au", "caf", "flac", "flv", "matroska,webm", "rm", "tak", "tta", "w64"}
    | {"wv"}
)
# A packet's timestamp alone tells its place, so that what lies before a span can be skipped ...
WITH_PLACES = frozenset(
    {"aac", "ac3", "eac3", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "mp3", "ogg", "wav"}
)
# ... and an index or the packets' own timestamps lead there without reading what lies before.
WITH_INDEX = WITH_PLACES - {"aac", "ac3", "eac3", "mp3"}

# In these, packets follow each other in the file but for headers of at most some hundred bytes. If
# there are more bytes between two packets, the demuxer stepped over damage, and a hole in the
# timestamps soon after (in Ogg they are put right at the end of a page) is no pause.
GAPLESS = frozenset({"matroska,webm", "ogg"})
UNREAD_BYTES = 1024
UNREAD_SECONDS = 10.0

# Full scale of what decoders put out, by format without the "p" of planar ones.
FULL_SCALE = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "flt": 1.0, "dbl": 1.0}


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of audio that follows the one before without a hole.

    `samples` is float32 (channels, samples) with full scale at 1, `rate` in Hz, `start` seconds on
    the recording's time line, `channels` FFmpeg's names of the channels ("FL", "LFE").
    """

    samples: NDArray[np.float32]
    rate: int
    start: float
    channels: tuple[str, ...]


def pieces(
    source: Source, start: float = 0.0, piece_seconds: float = PIECE_SECONDS
) -> Iterator[Piece]:
    """Decode a source from `start` seconds on, or from somewhat before where that is all it can.

    From 0 on it begins exactly at 0 and ends with the last sample. Raises MediaError that names the
    file and the time where it is damaged, or says what is missing if it ends too early.
    """
    yield from _Timeline(source, start, piece_seconds).pieces()


class _Timeline:
    """Places decoded frames on the recording's time line; good for one pass."""

    def __init__(self, source: Source, start: float, piece_seconds: float) -> None:
        self.source = source
        self.piece_seconds = piece_seconds
        self.format: str = source.container.format.name
        self.origin = (source.container.start_time or 0) / av.time_base
        self.shift = 0.0  # seconds to add to timestamps since the clock last restarted
        self.now: float | None = None  # where the next sample belongs; None before the first
        self.last = 0.0  # end of the last packet of any stream, in the container's time
        self.breaking = 0.0  # seconds that could not be decoded since the last good frame
        self.broken = 0.0  # seconds that could not be decoded at all
        self.cut = False  # the container itself could not be read on
        self.place: int | None = None  # in the file, of the last packet (of a page, of packets)
        self.file_end = 0  # where in the file the packets read so far end
        self.suspect_until = 0.0  # a hole before this time is damage
        direct = self.format in WITH_PLACES and not source.completeness.restarts
        self.skip_to = max(start - PREROLL_SECONDS, 0.0) if direct else 0.0

    def pieces(self) -> Iterator[Piece]:
        """Frames, gathered into pieces of about a second; silence where the time line has holes."""
        batch: list[AudioFrame] = []
        batch_begin, gathered = 0.0, 0
        for frame in self._frames():
            begin, hole = self._place(frame)
            if batch and (
                hole or gathered >= self.piece_seconds * frame.rate or _differ(batch, frame)
            ):
                yield self._piece(batch, batch_begin)
                batch = []
            if not batch:
                batch_begin, gathered = begin, 0
                yield from _silence(hole, begin - hole, frame)
            batch.append(frame)
            gathered += frame.samples
        if batch:
            yield self._piece(batch, batch_begin)
        self._check_end()

    def _frames(self) -> Iterator[AudioFrame]:
        self._position()
        stream = self.source.stream
        # As floats, once: fractions would take as long as the decoding.
        ticks = [float(each.time_base or 0) for each in self.source.container.streams]
        for packet in self._packets():
            pts, tick = packet.pts, ticks[packet.stream.index]
            length = (packet.duration or 0) * tick
            self._note_unread(packet)
            if pts is not None:
                end = pts * tick + length
                self.last = max(self.last, end)
                # Packets before time 0 (an edit list's, a codec's first ones) prepare the decoder.
                if self.skip_to and end - self.origin < self.skip_to:
                    continue
            if packet.stream is not stream:
                continue
            try:
                frames: list[Any] = packet.decode()
            except av.FFmpegError as error:
                if packet.size:  # otherwise it is the end of the stream, not a piece of it
                    self._count_broken(length, error)
                continue
            for frame in frames:
                if frame.samples:
                    yield frame

    def _position(self) -> None:
        """Leave out what need not be read: other streams, and what lies before the start."""
        container, stream = self.source.container, self.source.stream
        if self.format not in WITH_LENGTH:  # where only the whole file's length is told, all count
            for other in container.streams:
                if other is not stream:
                    other.discard = Discard.all
        if self.skip_to > 0 and self.format in WITH_INDEX:
            # Where it cannot seek after all, the packets before the start are read and dropped.
            with suppress(av.FFmpegError):
                container.seek(int((self.skip_to + self.origin) / stream.time_base), stream=stream)

    def _packets(self) -> Iterator[Packet[Any]]:
        packets = self.source.container.demux()
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except IndexError:
                # PyAV, telling the decoders that this is the end, trips over a stream that was not
                # there at the beginning (in broadcasts); all packets have come.
                return
            except (av.FFmpegError, OSError):
                self.cut = True
                return
            yield packet

    def _note_unread(self, packet: Packet[Any]) -> None:
        place = packet.pos
        if place is None or not packet.size:
            return
        if place == self.place:
            self.file_end += packet.size
            return
        if self.place is not None and place - self.file_end > UNREAD_BYTES:
            self.suspect_until = (self.now or 0.0) + UNREAD_SECONDS
        self.place, self.file_end = place, max(self.file_end, place + packet.size)

    def _count_broken(self, seconds: float, error: Exception) -> None:
        self.breaking += seconds
        self.broken += seconds
        allowed = BROKEN_SECONDS + BROKEN_SHARE * (self.now or 0.0)
        if self.breaking > BROKEN_SECONDS or self.broken > allowed:
            raise self._damaged("its audio cannot be decoded") from error

    def _place(self, frame: AudioFrame) -> tuple[float, float]:
        """Move the clock over a frame; returns when it begins and the seconds of silence before."""
        if not LOWEST_RATE <= frame.rate <= HIGHEST_RATE:
            raise self._damaged(f"its audio claims {frame.rate} Hz")
        repaired, self.breaking = self.breaking, 0.0
        if self.now is None:
            at = max((frame.time or 0.0) - self.origin, 0.0)
            # After a seek the time line begins with the first frame that comes, otherwise at 0.
            hole = 0.0 if self.skip_to > 0 else at
            self.now = at - hole
        else:
            hole = self._hole(frame.time, repaired)
        begin = self.now + hole
        if hole > LONG_PAUSE_SECONDS and begin > self._latest():
            raise self._damaged(f"its timestamps jump by {hole / 3600:.1f} hours")
        self.now = begin + frame.samples / frame.rate
        return begin, hole

    def _latest(self) -> float:
        """The time at which audio may begin at the latest after a long pause."""
        duration = self.source.info.duration
        told = MOST_SILENCE_SECONDS if duration is None else duration + LONG_PAUSE_SECONDS
        return min(told, (self.now or 0.0) + MOST_SILENCE_SECONDS)

    def _hole(self, time: float | None, repaired: float) -> float:
        """Seconds between the clock and a timestamp, if they are a hole rather than jitter."""
        if time is None or self.now is None:
            return 0.0
        hole = time - self.origin + self.shift - self.now
        restarting = int(self.source.container.format.flags) & TS_DISCONT
        if hole < -GAP_SECONDS or (restarting and hole > JUMP_SECONDS):
            self.shift -= hole
            return 0.0
        lost = self.format in GAPLESS and self.now < self.suspect_until
        if hole - repaired > GAP_SECONDS and (lost or self.format in WITHOUT_HOLES):
            raise self._damaged(f"{hole:.2f} s of audio are missing")
        return hole if hole > (0.0 if repaired else GAP_SECONDS) else 0.0

    def _piece(self, batch: list[AudioFrame], begin: float) -> Piece:
        first = batch[0]
        if (kind := first.format.name.removesuffix("p")) not in FULL_SCALE:  # 64-bit integers
            batch = [f for frame in batch for f in av.AudioResampler(format="dbl").resample(frame)]
            kind = "dbl"
        raw = np.concatenate([frame.to_ndarray() for frame in batch], axis=1)
        names = tuple(channel.name for channel in first.layout.channels)
        if raw.shape[0] != len(names):  # packed: one row in which the channels take turns
            raw = raw.reshape(-1, len(names)).T
        with np.errstate(all="ignore"):  # what is no number or too large is refused below
            samples = raw.astype(np.float32)
            if kind == "u8":
                samples -= FULL_SCALE[kind]
            samples /= np.float32(FULL_SCALE[kind])
        peak = float(np.abs(samples).max())
        if not peak <= LOUDEST:  # this way round, so that "not a number" is met too
            raise MediaError(
                f"{self.source.name} has samples of {peak:.6g} at {_clock(begin)} where full scale "
                "is 1: it is damaged or in a wrong unit."
            )
        return Piece(samples, first.rate, begin, names)

    def _check_end(self) -> None:
        duration: int | None = self.source.container.duration
        had = max(self.now or 0.0, self.last)
        told = self.format in WITH_LENGTH or self.source.completeness.length_told
        if duration is not None and told:
            promised = duration / av.time_base
            if promised - had > MISSING_SECONDS:
                raise MediaError(
                    f"{self.source.name} is truncated: its header says {promised:.2f} s, "
                    f"only {had:.2f} s could be decoded."
                )
        if self.source.reader.failure:
            raise self._damaged(f"reading failed ({self.source.reader.failure.strerror})")
        if self.cut:
            raise self._damaged("it cannot be read on")
        if self.now is None and self.skip_to <= 0:
            raise MediaError(f"{self.source.name} has an audio stream without any audio in it.")

    def _damaged(self, what: str) -> MediaError:
        return MediaError(f"{self.source.name} is damaged at {_clock(self.now or 0.0)}: {what}.")


def _silence(seconds: float, begin: float, like: AudioFrame) -> Iterator[Piece]:
    """Pieces of silence that have the rate and the channels of a frame."""
    names = tuple(channel.name for channel in like.layout.channels)
    left = round(seconds * like.rate)
    while left > 0:
        count = min(left, round(PIECE_SECONDS * like.rate))
        zeros = np.zeros((len(names), count), np.float32)
        yield Piece(zeros, like.rate, begin + seconds - left / like.rate, names)
        left -= count


def _differ(batch: list[AudioFrame], frame: AudioFrame) -> bool:
    """Audio may change its rate or its channels on the way (broadcasts, joined files)."""
    first = batch[0]
    return bool(
        first.rate != frame.rate
        or first.format.name != frame.format.name
        or first.layout.name != frame.layout.name
    )


def _clock(seconds: float) -> str:
    """Seconds as h:mm:ss.cc."""
    minutes, rest = divmod(seconds, 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:05.2f}"
