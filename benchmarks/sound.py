"""Audio of the benchmark's recordings: read, levelled, made noisy or sent down a telephone line.

Mono float32 arrays of 16,000 samples a second in [-1, 1] between all functions. It knows nothing
of words or queries, and shares no code with what is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SAMPLE_RATE = 16_000
SPEECH_LEVEL = 10 ** (-26 / 20)  # root mean square of active speech, as codecs are tested (P.56)
TELEPHONE_RATE = 8_000
TELEPHONE_BAND = (300.0, 3400.0)  # Hz
BLOCK_SECONDS = 0.02
ACTIVE_BELOW_PEAK = 25.0  # dB under the loudest blocks is still speech
NOISE_PIECE_SECONDS = 20.0


def read_audio(path: Path, sample_rate: int = SAMPLE_RATE) -> Samples:
    """All of an audio file as (samples,), mixed to one channel."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=sample_rate)
    pieces: list[Samples] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(frame))
        pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
    return np.concatenate(pieces).astype(np.float32) if pieces else np.zeros(0, np.float32)


def write_flac(path: Path, samples: Samples) -> None:
    """16-bit FLAC at 16 kHz."""
    _write(path, _integers(samples)[None, :], "flac", SAMPLE_RATE)


def write_telephone(path: Path, *channels: Samples) -> None:
    """What a telephone line leaves: 300 to 3400 Hz, 8 kHz, 8-bit mu-law, in a WAV file.

    One channel, or two of one length: the sides of a call.
    """
    ends = []
    for samples in channels:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=TELEPHONE_RATE)
        frame = _frame(_integers(band(samples, *TELEPHONE_BAND)), SAMPLE_RATE)
        pieces = [piece.to_ndarray()[0] for piece in (*resampler.resample(frame),)]
        pieces.extend(piece.to_ndarray()[0] for piece in resampler.resample(None))
        ends.append(np.concatenate(pieces))
    _write(path, np.stack(ends), "pcm_mulaw", TELEPHONE_RATE)


def active_level(samples: Samples) -> float:
    """Root mean square of the blocks that hold speech; 0 for silence."""
    size = round(BLOCK_SECONDS * SAMPLE_RATE)
    whole = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    if not len(whole):
        return 0.0
    power = (whole**2).mean(axis=1)
    active = power >= np.quantile(power, 0.95) * 10 ** (-ACTIVE_BELOW_PEAK / 10)
    return float(np.sqrt(power[active].mean()))


def levelled(samples: Samples, level: float = SPEECH_LEVEL) -> Samples:
    """The samples at the given active level, lowered further where they would clip."""
    now = active_level(samples)
    if now == 0.0:
        return samples
    gain = level / now
    peak = float(np.abs(samples).max()) * gain
    return (samples * (gain if peak < 0.99 else gain * 0.99 / peak)).astype(np.float32)


def noise_track(
    sources: Sequence[Samples], samples: int, snr: float, generator: np.random.Generator
) -> Samples:
    """`samples` of noise, `snr` dB under SPEECH_LEVEL: pieces of 20 s from sources drawn at random.

    Each source is repeated until it fills its piece and brought to the same level, so that the
    ratio holds everywhere, not only on average.
    """
    level = SPEECH_LEVEL * 10 ** (-snr / 20)
    size = round(NOISE_PIECE_SECONDS * SAMPLE_RATE)
    track = np.zeros(0, np.float32)
    while len(track) < samples:
        source = sources[int(generator.integers(len(sources)))]
        if active_level(source) == 0.0:
            continue
        start = int(generator.integers(len(source)))
        piece = np.resize(np.roll(source, -start), size)
        track = np.concatenate([track, levelled(piece, level)])
    return track[:samples]


def band(samples: Samples, low: float, high: float) -> Samples:
    """Frequencies from `low` to `high` Hz, with 100 Hz of slope at both ends."""
    # A length with a large prime factor would take seconds, and wrap the end into the beginning.
    size = 1 << (len(samples) + SAMPLE_RATE // 10).bit_length()
    spectrum = np.fft.rfft(samples, size)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    rising = np.clip((hertz - low) / 100 + 0.5, 0, 1)
    falling = np.clip((high - hertz) / 100 + 0.5, 0, 1)
    return np.fft.irfft(spectrum * rising * falling, size)[: len(samples)].astype(np.float32)


def integers(samples: Samples) -> bytes:
    """Little-endian 16-bit PCM, which is what PocketSphinx reads."""
    return _integers(samples).astype("<i2").tobytes()


def _integers(samples: Samples) -> NDArray[np.int16]:
    return (np.clip(samples, -1, 1) * 32767).round().astype(np.int16)


def _frame(channels: NDArray[np.int16], rate: int) -> av.AudioFrame:
    """`channels` is (samples,) or (channels, samples)."""
    sides = np.atleast_2d(channels)
    layout = "mono" if len(sides) == 1 else "stereo"
    packed = np.ascontiguousarray(sides.T).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
    frame.sample_rate = rate
    return frame


def _frames(channels: NDArray[np.int16], rate: int, size: int = 4096) -> Iterator[av.AudioFrame]:
    for start in range(0, channels.shape[1], size):
        yield _frame(channels[:, start : start + size], rate)


def _write(path: Path, channels: NDArray[np.int16], codec: str, rate: int) -> None:
    with av.open(str(path), "w") as container:
        layout = "mono" if len(channels) == 1 else "stereo"
        stream = container.add_stream(codec, rate=rate, layout=layout)
        for frame in _frames(channels, rate):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
