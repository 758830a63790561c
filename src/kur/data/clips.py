"""A line of a speech manifest -> a clip: where its sound is, how long it is, what is said.

Reads manifests of Kur (`uuid`, `duration_s`), NeMo (`audio_filepath`) and plain ones (`audio`),
and the sound itself by FFmpeg. Knows nothing of features or vocabularies.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from kur.data.manifest import Row

SAMPLE_RATE = 16000
Pcm = NDArray[np.float32]
# Samples of a long frame: the most of a long file that is held in its own form.
_LONG = 1 << 20
_ENDINGS = ("wav", "mp3", "flac", "opus")


@dataclass(frozen=True, slots=True)
class Clip:
    """Sound; `audio` is the file, `named` is how the manifest names it."""

    audio: Path
    named: str
    duration: float
    row: Row = field(repr=False)

    @property
    def key(self) -> str:
        """The name of its frames in a cache."""
        return str(self.audio.absolute())


def clip_of(row: Row) -> Clip:
    """The clip of a line."""
    values = row.values
    duration = values.get("duration", values.get("duration_s"))
    if not isinstance(duration, int | float) or not 0 < duration < math.inf:
        raise row.error("no 'duration' (or 'duration_s') in seconds, above 0")
    audio, named = audio_of(row)
    return Clip(audio, named, float(duration), row)


def audio_of(row: Row) -> tuple[Path, str]:
    """The file that a line is about, and how the line names it."""
    named = row.values.get("audio") or row.values.get("audio_filepath")
    if named is not None:
        return row.file.parent / Path(str(named)).expanduser(), str(named)
    uuid = row.values.get("uuid")
    if uuid is None:
        raise row.error("no 'audio', 'audio_filepath' or 'uuid' says where the audio is")
    for ending in _ENDINGS:
        path = row.file.parent / "audio" / f"{uuid}.{ending}"
        if path.exists():
            return path, str(uuid)
    wanted = ", .".join(_ENDINGS)
    raise row.error(f"no audio/{uuid} with one of the endings .{wanted} beside the manifest")


def read_pcm(path: Path, row: Row) -> Pcm:
    """A whole audio file as mono PCM at 16 kHz, float32 in [-1, 1]; errors name the manifest's
    line."""
    pieces = []
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise row.error(f"{path} has no audio in it")
            # The mean of the channels: FFmpeg's own mix of two is louder than either.
            resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
            for frame in _joined(container.decode(audio=0)):
                pieces += [one.to_ndarray().mean(axis=0) for one in resampler.resample(frame)]
    except FileNotFoundError:
        raise row.error(f"no such audio file: {path}") from None
    except (av.error.FFmpegError, OSError) as error:
        raise row.error(f"{path} cannot be read as audio: {error.strerror}") from None
    except ValueError:
        message = f"{path} changes its sample rate or channels midway; convert it to one of each"
        raise row.error(message) from None
    pcm = np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
    if len(pcm) == 0:
        raise row.error(f"{path} holds no sound")
    return pcm


def _joined(frames: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame | None]:
    """Frames as few long ones, and None at the end: a packet of Opus holds 20 ms, and the steps of
    Python for each cost as much as its sound. ValueError where their form changes."""
    waiting = av.AudioFifo()
    first = None
    for frame in frames:
        first = frame if first is None else first
        if frame.layout != first.layout:  # the fifo would read what is not there
            raise ValueError(f"{first.layout} and then {frame.layout}")
        frame.pts = None  # sound is told by its order; gaps in time are not filled
        waiting.write(frame)
        if waiting.samples >= _LONG:
            yield waiting.read()
    if waiting.samples:
        yield waiting.read()
    yield None
