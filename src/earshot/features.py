"""PCM blocks -> windows of what a network is fed, each with the context that its edges need.

A network hears a window; what it says of the context at the window's edges is thrown away, so that
the activations of a recording do not depend on where its blocks were cut. Three kinds of input are
known: log-mel frames as `kur.features` defines them, and the two that models of the `transformers`
library take, `Waveform` and `StackedFbank`. Knows nothing of files or networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kur.features import FbankOptions, features

Pcm = NDArray[np.float32]
Frames = NDArray[np.float32]

_LEAST_VARIANCE = 1e-7  # what models of the transformers library were trained with


class Input(Protocol):
    """What a network is fed, frame by frame; a frame of a waveform is a sample."""

    def hop(self, sample_rate: int) -> int:
        """Samples from one frame to the next."""

    def frames_in(self, samples: int, sample_rate: int) -> int:
        """How many frames `samples` of PCM give."""

    def look_seconds(self) -> float:
        """How far a frame looks to each side of itself."""

    def of(self, pcm: Pcm, sample_rate: int, multiple: int) -> Frames:
        """The frames of mono PCM in [-1, 1], as many as a network of this stride takes."""

    def as_metadata(self) -> dict[str, Any]:
        """The form that network.json carries."""


@dataclass(frozen=True, slots=True)
class LogMel:
    """Log-mel frames less their moving mean: what networks that `kur` trained are fed."""

    options: FbankOptions

    def hop(self, sample_rate: int) -> int:
        """See `Input`."""
        return round(self.options.hop_seconds * sample_rate)

    def frames_in(self, samples: int, sample_rate: int) -> int:
        """See `Input`."""
        return self.options.frames_in(samples, sample_rate)

    def look_seconds(self) -> float:
        """See `Input`."""
        return self.options.mean_window_seconds / 2 + self.options.frame_seconds

    def of(self, pcm: Pcm, sample_rate: int, multiple: int) -> Frames:
        """float32 (frames, mel_bins), filled up to a multiple of `multiple` frames."""
        frames = features(pcm, sample_rate, self.options)
        # Zeros are what the moving mean leaves of steady sound.
        return np.pad(frames, ((0, -len(frames) % multiple), (0, 0)))

    def as_metadata(self) -> dict[str, Any]:
        """See `Input`."""
        return self.options.as_metadata()


@dataclass(frozen=True, slots=True, kw_only=True)
class Waveform:
    """The samples themselves, as wav2vec 2.0, HuBERT and WavLM take them.

    `normalise`: to mean 0 and variance 1 over the window. `least_samples`: what the network's first
    frame needs.
    """

    normalise: bool
    least_samples: int

    def __post_init__(self) -> None:
        if self.least_samples < 1:
            raise ValueError("a waveform needs least_samples from 1 on")

    def hop(self, sample_rate: int) -> int:
        """See `Input`."""
        return 1

    def frames_in(self, samples: int, sample_rate: int) -> int:
        """Samples at which a frame of the network may begin."""
        return max(0, samples - self.least_samples + 1)

    def look_seconds(self) -> float:
        """See `Input`."""
        return 0.0

    def of(self, pcm: Pcm, sample_rate: int, multiple: int) -> Frames:
        """float32 (samples,)."""
        return _standard(pcm, 0) if self.normalise else np.asarray(pcm, np.float32)

    def as_metadata(self) -> dict[str, Any]:
        """See `Input`."""
        return {"type": "waveform", **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedFbank:
    """Kaldi's log-mel frames, `stack` at a time side by side, as w2v-BERT 2.0 takes them.

    `normalise`: each mel bin to mean 0 and variance 1 over the window.
    """

    mel_bins: int = 80
    stack: int = 2
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.mel_bins < 1 or self.stack < 1:
            raise ValueError("stacked frames need mel_bins and stack from 1 on")

    def hop(self, sample_rate: int) -> int:
        """See `Input`."""
        return sample_rate // 100 * self.stack

    def frames_in(self, samples: int, sample_rate: int) -> int:
        """Only whole ones: the first ends 25 ms after it began."""
        whole = (samples - sample_rate // 40) // (sample_rate // 100) + 1
        return max(0, whole) // self.stack

    def look_seconds(self) -> float:
        """See `Input`."""
        return 0.025

    def of(self, pcm: Pcm, sample_rate: int, multiple: int) -> Frames:
        """float32 (frames, mel_bins * stack)."""
        import kaldi_native_fbank as knf  # a search knows this class too, and needs no filterbank

        kaldi = knf.FbankOptions()
        kaldi.frame_opts.samp_freq = sample_rate
        kaldi.frame_opts.dither = 0.0
        kaldi.mel_opts.num_bins = self.mel_bins
        kaldi.mel_opts.high_freq = sample_rate / 2
        fbank = knf.OnlineFbank(kaldi)
        fbank.accept_waveform(sample_rate, pcm * np.float32(32768.0))  # Kaldi's scale
        fbank.input_finished()
        frames = np.stack([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
        if self.normalise:
            frames = _standard(frames, 1)
        whole = len(frames) // self.stack
        return np.asarray(frames[: whole * self.stack].reshape(whole, -1), np.float32)

    def as_metadata(self) -> dict[str, Any]:
        """See `Input`."""
        return {"type": "stacked_fbank", **asdict(self)}


def input_from_metadata(metadata: Any) -> Input:
    """What network.json says of a network's input; ValueError or TypeError if it is unknown."""
    kind = metadata.get("type") if isinstance(metadata, dict) else None
    if kind == "fbank":
        return LogMel(FbankOptions.from_metadata(metadata))
    known = {"waveform": Waveform, "stacked_fbank": StackedFbank}
    if kind not in known:
        raise ValueError(f"features of type {kind!r}; known: 'fbank', 'waveform', 'stacked_fbank'")
    made: Input = known[kind](**{name: one for name, one in metadata.items() if name != "type"})
    return made


@dataclass(frozen=True, slots=True)
class Window:
    """One window: what the network is fed, of which the first `before` frames and all from
    `before + count` on are context."""

    frames: Frames
    before: int
    count: int


def windows(
    blocks: Iterable[Pcm],
    fed: Input,
    *,
    sample_rate: int,
    context_seconds: float,
    multiple: int,
    window_seconds: float = 60.0,
) -> Iterator[Window]:
    """Windows that together cover the PCM of all `blocks` (mono, float32, any lengths) once.

    `context_seconds` is how far the network looks to each side; what a frame looks at is added
    to it. `before` and `count` are multiples of `multiple` frames, but for the `count` of the last
    window. At most a window and its context are held in memory.
    """
    hop = fed.hop(sample_rate)
    step = hop * multiple
    look = context_seconds + fed.look_seconds()
    context = math.ceil(look * sample_rate / step) * step
    size = max(1, round(window_seconds * sample_rate / step)) * step
    held = np.zeros(0, np.float32)
    done = 0  # samples of `held` that are context of what comes next
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= done + size + context:
            frames = fed.of(held[: done + size + context], sample_rate, multiple)
            yield Window(frames, done // hop, size // hop)
            keep = max(0, done + size - context)
            done, held = done + size - keep, held[keep:]
    count = fed.frames_in(len(held), sample_rate) - done // hop
    if count > 0:
        yield Window(fed.of(held, sample_rate, multiple), done // hop, count)


def _standard(values: NDArray[np.float32], freedom: int) -> NDArray[np.float32]:
    """`values` with mean 0 and variance 1 along the first axis."""
    wide = values.astype(np.float64)
    spread = np.sqrt(wide.var(axis=0, ddof=min(freedom, len(wide) - 1)) + _LEAST_VARIANCE)
    return np.asarray((wide - wide.mean(axis=0)) / spread, np.float32)
