"""The `speech_recognition` supplier: clips of a manifest -> frames, transcripts and lengths.

It decides what happens to a clip on its way (which view, which noise); how that sounds is
`augment`'s. Knows nothing of networks.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError, bind
from kur.data import augment as effects
from kur.data.cache import FrameCache
from kur.data.clips import SAMPLE_RATE, Clip, Pcm, audio_of, clip_of, read_pcm
from kur.data.manifest import read_manifest
from kur.data.supplier import Draw, Sample, Source, Trained, resolve, supplier
from kur.data.vocabulary import Split, load_vocabulary
from kur.errors import KurError
from kur.features import FbankOptions, Frames, log_mel, subtract_moving_mean

Options = TypeVar("Options")
Range = tuple[float, float]

_TELEPHONE_TOP_HZ = 3800.0
# Babble is this many other talkers.
_TALKERS = 3
# Changes when frames come out otherwise than before, so that no old cache is read.
_CACHE_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What the `augment` option may hold; probabilities 0 to 1, ranges drawn from evenly.

    `views` are ways to hear a clip (speed: [low, high], telephone, room), cached each; `noise` is a
    manifest of noises, `rooms` one of impulse responses; `snr` decibels; `tempo` and `tract` are
    factors; `pad` is the most silence before and after, in seconds; `times`, `time`, `bands`,
    `band` are SpecAugment's.
    """

    views: tuple[effects.View, ...] = (effects.View(),)
    noise: str | None = None
    rooms: str | None = None
    noise_probability: float = 0.5
    babble_probability: float = 0.0
    hiss_probability: float = 0.0
    snr: Range = (5.0, 30.0)
    tempo: Range = (1.0, 1.0)
    tract: Range = (1.0, 1.0)
    pad: float = 0.0
    times: int = 0
    time: float = 0.05
    bands: int = 0
    band: int = 8


@supplier("speech_recognition")
class SpeechRecognition:
    """Speech with transcripts; sources utterance, utterance_length, utterance_raw, transcript,
    transcript_raw, transcript_length, duration, audio_source (with `key`, each prefixed KEY_)."""

    def __init__(
        self,
        *,
        base: Path,
        path: str,
        type: Literal["fbank"] = "fbank",
        features: dict[str, Any] | None = None,
        transcript: str = "text",
        split: Split = "characters",
        vocab: list[str] | str | None = None,
        unknown: str | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        samples: int | None = None,
        key: str | None = None,
        cache: str | None = None,
        augment: dict[str, Any] | None = None,
        trained: Callable[[], Trained] | None = None,
    ) -> None:
        if samples is not None and samples < 1:
            raise ArgumentError(f"'samples' must be at least 1, found {samples}", "samples")
        self._base = base
        self._prefix = f"{key}_" if key else ""
        self._options = _options(FbankOptions, features, "features")
        self._augmentation = _augmentation(augment)
        manifest = resolve(base, path)
        self._clips = [
            clip
            for clip in (clip_of(row, transcript) for row in read_manifest(manifest))
            if (min_duration is None or clip.duration >= min_duration)
            and (max_duration is None or clip.duration <= max_duration)
        ][:samples]
        if not self._clips:
            raise KurError(f"{manifest}: no clip between min_duration and max_duration")
        if vocab is None and trained is not None:
            vocab = trained().get("vocabulary", {}).get(f"{self._prefix}transcript")
        texts = (clip.text for clip in self._clips)
        self._vocabulary = load_vocabulary(vocab, split, base, texts, unknown)
        self._transcripts = [self._encoded(clip) for clip in self._clips]
        self._folder = resolve(base, cache) if cache else None
        self._caches: dict[str, FrameCache] = {}
        self._lock = threading.RLock()
        # Read at once, so that a wrong path is known before a training begins.
        self._noise_rows = self._rows(self._augmentation.noise)
        self._room_rows = self._rows(self._augmentation.rooms)

    def __len__(self) -> int:
        return len(self._clips)

    def sources(self) -> dict[str, Source]:
        """Frames are (time, mel_bins); transcripts (symbols,); lengths are numbers."""
        sources = {
            "utterance": Source((None, self._options.mel_bins)),
            "utterance_length": Source((), "int32"),
            "transcript": Source((None,), "int32"),
            "transcript_length": Source((), "int32"),
            "duration": Source(()),
        }
        return {self._prefix + name: source for name, source in sources.items()}

    def lengths(self) -> NDArray[np.float64]:
        """Seconds of each clip."""
        return np.array([clip.duration for clip in self._clips])

    def name(self, index: int) -> str:
        """The manifest's file and line, and the clip's file."""
        clip = self._clips[index]
        return f"{clip.row.place} ({clip.named})"

    def metadata(self) -> dict[str, Any]:
        """Features, sample rate and units."""
        return {
            "sample_rate": SAMPLE_RATE,
            "features": self._options.as_metadata(),
            "input": f"{self._prefix}utterance",
            "vocabulary": {f"{self._prefix}transcript": list(self._vocabulary.symbols)},
            "split": {f"{self._prefix}transcript": self._vocabulary.split},
        }

    def sample(self, index: int, draw: Draw) -> Sample:
        """Frames (time, mel_bins), the transcript as numbers, and their lengths."""
        clip, transcript = self._clips[index], self._transcripts[index]
        chosen, rng = self._augmentation, draw.random(index)
        if draw.training:
            view = chosen.views[int(rng.integers(len(chosen.views)))]
            frames = self._augmented(self._frames(clip, view), view, rng)
        else:
            frames = self._frames(clip, effects.View())
        frames = subtract_moving_mean(frames, self._options)
        if draw.training and (chosen.times or chosen.bands):
            frames = effects.mask(frames, chosen.times, chosen.time, chosen.bands, chosen.band, rng)
        values = {
            "utterance": frames,
            "utterance_raw": frames,
            "utterance_length": len(frames),
            "transcript": transcript,
            "transcript_raw": clip.text,
            "transcript_length": len(transcript),
            "duration": np.float32(clip.duration),
            "audio_source": str(clip.audio),
        }
        return {self._prefix + name: value for name, value in values.items()}

    def _encoded(self, clip: Clip) -> NDArray[np.int32]:
        transcript = self._vocabulary.encode(clip.text)
        if len(transcript) == 0:
            raise clip.row.error(
                f"the transcript {clip.text!r} has no symbol of the vocabulary; drop the clip or "
                f"extend 'vocab'"
            )
        return transcript

    def _frames(self, clip: Clip, view: effects.View) -> Frames:
        """Log-mel frames of a clip in a view, before any mean is taken off."""
        cache = self._cache("clips", view)
        frames = cache.get(clip.key) if cache else None
        if frames is None:
            # A view is heard once, so its random choices hang on the clip alone: on its name in
            # the manifest, which is the same wherever the data lies.
            seed = int.from_bytes(hashlib.sha256(clip.named.encode()).digest()[:8], "big")
            rooms = self._rooms if view.room else []
            pcm = read_pcm(clip.audio, clip.row)
            pcm = view.hear(pcm, SAMPLE_RATE, rooms, np.random.default_rng(seed))
            frames = log_mel(pcm, SAMPLE_RATE, self._options)
            if cache:
                frames = cache.put(clip.key, frames)
        return frames

    def _cache(self, what: str, view: effects.View) -> FrameCache | None:
        if self._folder is None:
            return None
        rooms = self._augmentation.rooms if view.room else None
        text = json.dumps([_CACHE_VERSION, what, repr(view), repr(self._options), rooms])
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        with self._lock:
            if key not in self._caches:
                self._caches[key] = FrameCache(self._folder, key, self._options.mel_bins)
            return self._caches[key]

    def _augmented(self, frames: Frames, view: effects.View, rng: np.random.Generator) -> Frames:
        chosen = self._augmentation
        if chosen.tract != (1.0, 1.0):
            frames = effects.warp_vocal_tract(frames, rng.uniform(*chosen.tract), self._options)
        if chosen.tempo != (1.0, 1.0):
            frames = effects.change_tempo(frames, rng.uniform(*chosen.tempo))
        if chosen.pad:
            edges = rng.integers(0, int(chosen.pad / self._options.hop_seconds) + 1, 2)
            frames = np.pad(frames, ((edges[0], edges[1]), (0, 0)), mode="minimum")
        top = self._bin_of(_TELEPHONE_TOP_HZ) if view.telephone else None
        noisy = chosen.noise_probability if self._noise_rows else 0.0
        kind = rng.random()
        if kind < noisy:
            noise = _stretch(self._noises[rng.integers(len(self._noises))], len(frames), rng)
            frames = effects.add_noise(frames, noise, rng.uniform(*chosen.snr), top=top)
        elif kind < noisy + chosen.babble_probability:
            snr = rng.uniform(max(chosen.snr[0], 10.0), max(chosen.snr[1], 10.0))
            frames = effects.add_noise(frames, self._babble(len(frames), rng), snr, top=top)
        if rng.random() < chosen.hiss_probability:
            loud = float(np.quantile(frames, 0.9))
            hissed = effects.hiss(frames, loud - rng.uniform(2.0, 9.0))
            frames = np.concatenate([hissed[:, :top], frames[:, top:]], axis=1) if top else hissed
        return frames

    def _babble(self, count: int, rng: np.random.Generator) -> Frames:
        others = rng.integers(len(self._clips), size=_TALKERS)
        voices = [self._frames(self._clips[int(i)], effects.View()) for i in others]
        heard = [_stretch(voice - voice.mean(), count, rng) for voice in voices]
        return np.asarray(np.logaddexp.reduce(heard), np.float32)

    def _bin_of(self, hertz: float) -> int:
        edges = np.array([self._options.low_hz, self._options.high_hz, hertz])
        mel = 1127.0 * np.log1p(edges / 700)
        return int((mel[2] - mel[0]) / (mel[1] - mel[0]) * (self._options.mel_bins + 1))

    def _rows(self, manifest: str | None) -> list[Any]:
        return [] if manifest is None else read_manifest(resolve(self._base, manifest))

    @cached_property
    def _noises(self) -> list[Frames]:
        """Frames of every noise, read when the first one is wanted."""
        with self._lock:
            cache = self._cache("noise", effects.View())
            noises = []
            for row in self._noise_rows:
                path, _ = audio_of(row)
                name = str(path.absolute())
                frames = cache.get(name) if cache else None
                if frames is None:
                    frames = log_mel(read_pcm(path, row), SAMPLE_RATE, self._options)
                    frames = cache.put(name, frames) if cache else frames
                noises.append(frames)
            return noises

    @cached_property
    def _rooms(self) -> list[Pcm]:
        """Impulse response of every room, read when the first one is wanted."""
        with self._lock:
            return [read_pcm(audio_of(row)[0], row) for row in self._room_rows]


def _stretch(frames: Frames, count: int, rng: np.random.Generator) -> Frames:
    """`count` frames of a noise, from a random place, again from its start where it ends."""
    start = int(rng.integers(len(frames)))
    return np.take(frames, np.arange(start, start + count), axis=0, mode="wrap")


def _augmentation(given: dict[str, Any] | None) -> Augmentation:
    values = dict(given or {})
    views = values.pop("views", None)
    if views is not None:
        if not isinstance(views, list) or not views:
            raise ArgumentError("'views' must be a list of views, such as [{}]", "augment.views")
        each = [_options(effects.View, one, f"augment.views.{i}") for i, one in enumerate(views)]
        return _options(Augmentation, values, "augment", views=tuple(each))
    return _options(Augmentation, values, "augment")


def _options(kind: type[Options], given: Any, key: str, **provided: Any) -> Options:
    """A dataclass of options from what stands under `key`."""
    try:
        return kind(**bind(kind, given, what=repr(key), provided=provided))
    except ArgumentError as error:
        raise ArgumentError(str(error), f"{key}.{error.key}" if error.key else key) from None
    except ValueError as error:
        raise ArgumentError(str(error), key) from None
