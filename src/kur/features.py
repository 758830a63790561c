"""PCM -> log-mel frames: the one definition that training and listening share.

Knows nothing of files, networks or search. Light on purpose (numpy and kaldi-native-fbank): the
speech supplier uses it to train and `earshot` uses it to listen, so that both hear the same.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.float32]

# Samples that the filterbank is given at a time.
_PART = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class FbankOptions:
    """What a log-mel frame is, in seconds and Hz; ValueError for what no frame can be.

    `log_floor` is the least log energy (about the rounding noise of 16-bit samples: an empty upper
    half of the spectrum, as on a telephone line, is then flat and not full of what a resampler
    left there). `mean_window_seconds` is the width of the moving mean that is subtracted from every
    mel bin (0: none), which takes the microphone and the level out of what the network hears.
    """

    mel_bins: int = 64
    frame_seconds: float = 0.025
    hop_seconds: float = 0.01
    low_hz: float = 20.0
    high_hz: float = 7600.0
    log_floor: float = 4.0
    mean_window_seconds: float = 3.0

    def __post_init__(self) -> None:
        if self.mel_bins < 1 or not 0 < self.hop_seconds <= self.frame_seconds:
            raise ValueError("features need a mel bin, and 0 < hop_seconds <= frame_seconds")
        if not 0 <= self.low_hz < self.high_hz:
            raise ValueError("features need 0 <= low_hz < high_hz")
        if self.mean_window_seconds < 0:
            raise ValueError("features need mean_window_seconds from 0 on")

    def as_metadata(self) -> dict[str, Any]:
        """The form that an exported network carries."""
        return {"type": "fbank", **asdict(self)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any]) -> FbankOptions:
        """The options that an exported network carries; ValueError if they are of another type."""
        kind = metadata.get("type") if isinstance(metadata, dict) else None
        if kind != "fbank":
            raise ValueError(f"features of type {kind!r}; known: 'fbank'")
        return cls(**{key: value for key, value in metadata.items() if key != "type"})

    def frames_in(self, samples: int, sample_rate: int) -> int:
        """How many frames `samples` of PCM give."""
        hop = round(self.hop_seconds * sample_rate)
        return (samples + hop // 2) // hop


def log_mel(pcm: NDArray[np.float32], sample_rate: int, options: FbankOptions) -> Frames:
    """Log-mel energies of mono PCM in [-1, 1]: float32 (frames, mel_bins), natural logarithm.

    Kaldi's filterbank without dither. Frame i is centred on sample (i + 1/2) * hop; the signal is
    mirrored at its edges, so that there is a frame for every hop.
    """
    if options.frames_in(len(pcm), sample_rate) == 0:
        return np.zeros((0, options.mel_bins), np.float32)
    # A search knows these options too, and has no use for the filterbank itself.
    import kaldi_native_fbank as knf

    kaldi = knf.FbankOptions()
    kaldi.frame_opts.samp_freq = sample_rate
    kaldi.frame_opts.frame_length_ms = options.frame_seconds * 1000
    kaldi.frame_opts.frame_shift_ms = options.hop_seconds * 1000
    kaldi.frame_opts.dither = 0.0
    kaldi.frame_opts.snip_edges = False
    kaldi.mel_opts.num_bins = options.mel_bins
    kaldi.mel_opts.low_freq = options.low_hz
    kaldi.mel_opts.high_freq = min(options.high_hz, sample_rate / 2)
    fbank = knf.OnlineFbank(kaldi)
    # Kaldi's scale is that of 16-bit integers; only the floor of the logarithm depends on it.
    # It takes a list faster than an array, whose every number would first become an object of
    # NumPy; a long list is given by parts, as it would weigh ten times the array.
    for start in range(0, len(pcm), _PART):
        part = pcm[start : start + _PART] * np.float32(32768.0)
        fbank.accept_waveform(sample_rate, part.tolist())
    fbank.input_finished()
    frames = np.array([fbank.get_frame(i) for i in range(fbank.num_frames_ready)])
    return np.asarray(np.maximum(frames, options.log_floor), np.float32)


def subtract_moving_mean(frames: Frames, options: FbankOptions) -> Frames:
    """Each mel bin less its mean over the window around each frame: (frames, mel_bins).

    The window is cut off at the edges, so a frame depends on at most half a window on each side.
    """
    half = round(options.mean_window_seconds / options.hop_seconds / 2)
    count = len(frames)
    if half == 0 or count == 0:
        return frames
    sums = np.zeros((count + 1, frames.shape[1]), np.float64)
    np.cumsum(frames, axis=0, out=sums[1:], dtype=np.float64)
    at = np.arange(count)
    first, last = np.maximum(at - half, 0), np.minimum(at + half + 1, count)
    mean = (sums[last] - sums[first]) / (last - first)[:, None]
    return np.asarray(frames - mean, np.float32)


def features(pcm: NDArray[np.float32], sample_rate: int, options: FbankOptions) -> Frames:
    """What the network is fed for mono PCM in [-1, 1]: float32 (frames, mel_bins)."""
    return subtract_moving_mean(log_mel(pcm, sample_rate, options), options)
