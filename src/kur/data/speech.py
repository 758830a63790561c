"""The `speech_recognition` supplier: clips of a manifest -> frames, transcripts and lengths.

It decides what happens to a clip on its way (which view, which noise); how that sounds is
`augment`'s. Knows nothing of networks.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError, bind
from kur.data import augment as effects
from kur.data.archive import is_archive
from kur.data.cache import FrameCache
from kur.data.choice import chosen
from kur.data.clips import SAMPLE_RATE, Clip, audio_of, clip_of, read_pcm
from kur.data.ears import Ears, cores
from kur.data.hearing import Hearing
from kur.data.manifest import read_manifest
from kur.data.normalization import Normalization, NormalizationOptions, Statistics
from kur.data.package import Package, installed, unpacked
from kur.data.spectra import Analysis, Kind
from kur.data.supplier import Draw, Sample, Source, Trained, resolve, supplier
from kur.data.transcripts import Transcripts, keys_of, vocab_of
from kur.data.vocabulary import Split
from kur.errors import KurError
from kur.features import FbankOptions, Frames, log_mel

Options = TypeVar("Options")
Range = tuple[float, float]

_log = logging.getLogger(__name__)
# Clips heard at once, if nothing is said: as many as there are cores, within these.
_WORKERS, _MOST_WORKERS = 2, 4
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
    transcript_raw, transcript_length, duration, audio_source.

    The package (path, url, checksum; an archive is unpacked) is a folder with a .jsonl manifest, or
    the manifest. `key` is the field of the transcript, or several: then transcripts are called
    KEY_transcript. `type` is spec (default), mfcc, raw, or fbank, which `features` and `augment`
    are for. `normalization` is the path of its file, or {path, center, scale, rotate, depth}.
    `samples` takes some ("10%", "10-20%", "100-", 100), `fill` is how short ones are padded,
    `bucket` rounds their padded length to so many seconds, `data_cpus` is how many clips are heard
    at once (on several cores by processes). `prefix` is put before the names of all sources.
    """

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        unpack: bool = True,
        type: Kind | None = None,
        normalization: str | bool | dict[str, Any] | None = None,
        min_duration: float | None = None,
        max_duration: float | None = None,
        max_frequency: float | None = None,
        key: str | list[str] | None = None,
        transcript: str | None = None,
        split: Split = "characters",
        vocab: str | list[Any] | dict[str, Any] | None = None,
        unknown: str | None = None,
        samples: int | float | str | None = None,
        fill: Literal["zero", "loop"] = "zero",
        bucket: float | None = None,
        data_cpus: int | None = None,
        prefix: str | None = None,
        features: dict[str, Any] | None = None,
        augment: dict[str, Any] | None = None,
        cache: str | None = None,
        trained: Callable[[], Trained] | None = None,
        settings_seed: int = 0,
    ) -> None:
        for name, value in (("bucket", bucket), ("max_frequency", max_frequency)):
            if value is not None and not value > 0:
                raise ArgumentError(f"{name!r} must be above 0, found {value}", name)
        self._base, self._seed, self._trained = base, settings_seed, trained or (lambda: {})
        self.workers = data_cpus or max(_WORKERS, min(_MOST_WORKERS, cores()))
        self._prefix = f"{prefix}_" if prefix else ""
        self._analysis = _analysis(type, features, augment, max_frequency)
        self._options = self._analysis.fbank
        self._augmentation = _augmentation(augment)
        self._fill, self._bucket = fill, bucket
        self._normalizing = _normalizing(normalization, self._analysis.kind)
        manifest = _manifest(Package(url=url, path=path, checksum=checksum), base, unpack)
        clips = _clips(manifest, min_duration, max_duration)
        self._clips = [clips[i] for i in chosen(samples, len(clips), settings_seed)]
        rows, keys = [clip.row for clip in self._clips], keys_of(key, transcript)
        known = self._trained() if vocab is None else {}
        self._transcripts = [
            Transcripts(
                self._prefix + (f"{one}_transcript" if len(keys) > 1 else "transcript"),
                *(one, rows, vocab_of(vocab, keys, i), split, base, unknown, known),
            )
            for i, one in enumerate(keys)
        ]
        self._folder = resolve(base, cache) if cache else None
        self._caches: dict[str, FrameCache] = {}
        self._lock = threading.RLock()
        self._normalization = self._read_normalization()
        # Read at once, so that a wrong path is known before a training begins.
        self._noise_rows = self._rows(self._augmentation.noise)
        rooms = tuple(self._rows(self._augmentation.rooms))
        self._ears = Ears(Hearing(self._analysis, rooms))

    def __len__(self) -> int:
        return len(self._clips)

    def sources(self) -> dict[str, Source]:
        """Frames are (time, bins); transcripts (symbols,); lengths are numbers."""
        steps = max(1, round((self._bucket or 0) / self._analysis.step_seconds))
        shape = (None, self._analysis.bins)
        found = {
            "utterance": Source(shape, multiple=steps, loop=self._fill == "loop"),
            "utterance_length": Source((), "int32"),
            "duration": Source(()),
        }
        sources = {self._prefix + name: source for name, source in found.items()}
        for one in self._transcripts:
            sources |= one.sources()
        return sources

    def lengths(self) -> NDArray[np.float64]:
        """Seconds of each clip."""
        return np.array([clip.duration for clip in self._clips])

    def name(self, index: int) -> str:
        """The manifest's file and line, and the clip's file."""
        clip = self._clips[index]
        return f"{clip.row.place} ({clip.named})"

    def values(self, source: str) -> NDArray[np.float64] | None:
        """Seconds, or the number of symbols."""
        for one in self._transcripts:
            if source in one.sources():
                return one.lengths()
        return self.lengths()

    def metadata(self) -> dict[str, Any]:
        """Features, sample rate, units and, where frames are normalized, how."""
        utterance = f"{self._prefix}utterance"
        found: dict[str, Any] = {
            "sample_rate": SAMPLE_RATE,
            "features": self._analysis.metadata(),
            "input": utterance,
        }
        for one in self._transcripts:
            for key, value in one.metadata().items():
                found[key] = {**found.get(key, {}), **value}
        normalization = self._normalized()
        if normalization is not None:
            found["normalization"] = {utterance: normalization.as_metadata()}
        return found

    def sample(self, index: int, draw: Draw) -> Sample:
        """Frames (time, bins), the transcript as numbers, and their lengths."""
        clip = self._clips[index]
        normalization = self._normalized()
        chosen, rng = self._augmentation, draw.random(index)
        if draw.training:
            view = chosen.views[int(rng.integers(len(chosen.views)))]
            frames = self._augmented(self._frames(clip, view), view, rng)
        else:
            frames = self._frames(clip, effects.View())
        frames = self._analysis.levelled(frames)
        if normalization is not None:
            frames = normalization.apply(frames)
        if draw.training and (chosen.times or chosen.bands):
            frames = effects.mask(frames, chosen.times, chosen.time, chosen.bands, chosen.band, rng)
        values = {
            "utterance": frames,
            "utterance_raw": frames,
            "utterance_length": len(frames),
            "duration": np.float32(clip.duration),
            "audio_source": str(clip.audio),
        }
        found = {self._prefix + name: value for name, value in values.items()}
        for one in self._transcripts:
            found |= one.sample(index)
        return found

    def rest(self) -> None:
        """End the processes that listened."""
        self._ears.rest()

    def _read_normalization(self) -> Normalization | None:
        """The normalization of a file that is there; read at once, for its errors."""
        options = self._normalizing
        path = resolve(self._base, options.path) if options and options.path else None
        if options is None or path is None or not path.exists():
            return None
        found = Statistics.read(path)
        if len(found.mean) != self._analysis.bins:
            message = f"made for {len(found.mean)} numbers a frame, not for {self._analysis.bins}"
            raise ArgumentError(f"{path}: {message}", "normalization")
        return Normalization.of(found, options)

    def _normalized(self) -> Normalization | None:
        """The normalization: of its file, of the training data, or made of some clips."""
        options = self._normalizing
        if options is None or self._normalization is not None:
            return self._normalization
        with self._lock:
            known = self._trained().get("normalization", {}).get(f"{self._prefix}utterance")
            if self._normalization is None:  # the training data may have written the file
                self._normalization = self._read_normalization()
            if self._normalization is None and known is not None:
                self._normalization = Normalization.from_metadata(known)
            if self._normalization is None:
                self._normalization = self._learned(options)
        return self._normalization

    def _learned(self, options: NormalizationOptions) -> Normalization:
        order = np.random.default_rng((self._seed, options.depth)).permutation(len(self._clips))
        clips = [self._clips[i] for i in np.sort(order[: options.depth])]
        _log.info("listening to %d clips, to normalize", len(clips))

        def plain(clip: Clip) -> Frames:
            return self._analysis.levelled(self._ears.frames(clip, effects.View()))

        try:
            with ThreadPoolExecutor(self.workers) as pool:
                found = Statistics.of(list(pool.map(plain, clips)))
        finally:
            self.rest()
        if options.path:
            path = resolve(self._base, options.path)
            found.write(path)
            _log.info("normalization written to %s", path)
        return Normalization.of(found, options)

    def _frames(self, clip: Clip, view: effects.View) -> Frames:
        """Frames of a clip in a view, before any mean is taken off."""
        cache = self._cache("clips", view)
        frames = cache.get(clip.key) if cache else None
        if frames is None:
            frames = self._ears.frames(clip, view)
            if cache:
                frames = cache.put(clip.key, frames)
        return frames

    def _cache(self, what: str, view: effects.View) -> FrameCache | None:
        if self._folder is None:
            return None
        rooms = self._augmentation.rooms if view.room else None
        kind = repr(self._options if self._analysis.kind == "fbank" else self._analysis)
        text = json.dumps([_CACHE_VERSION, what, repr(view), kind, rooms])
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        with self._lock:
            if key not in self._caches:
                self._caches[key] = FrameCache(self._folder, key, self._analysis.bins)
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


def _stretch(frames: Frames, count: int, rng: np.random.Generator) -> Frames:
    """`count` frames of a noise, from a random place, again from its start where it ends."""
    start = int(rng.integers(len(frames)))
    return np.take(frames, np.arange(start, start + count), axis=0, mode="wrap")


def _manifest(package: Package, base: Path, unpack: bool) -> Path:
    found = installed(package, base)
    if not unpack and is_archive(found):
        raise ArgumentError(f"{found}: an archive, which 'unpack: no' leaves packed", "unpack")
    return unpacked(found)


def _clips(manifest: Path, shortest: float | None, longest: float | None) -> list[Clip]:
    """The clips of a manifest that are neither too short nor too long, in seconds."""
    rows = read_manifest(manifest)
    clips = [
        clip
        for clip in map(clip_of, rows)
        if (shortest is None or clip.duration >= shortest)
        and (longest is None or clip.duration <= longest)
    ]
    if not clips:
        raise KurError(f"{rows[0].file}: no clip between min_duration and max_duration")
    return clips


def _analysis(
    kind: Kind | None, features: Any, augment: Any, max_frequency: float | None
) -> Analysis:
    """How clips are heard. `features` and `augment` are for fbank and stand for it; without them
    the type is that of Kur 0.7."""
    ours = [name for name, one in (("features", features), ("augment", augment)) if one is not None]
    kind = kind or ("fbank" if ours else "spec")
    if ours and kind != "fbank":
        raise ArgumentError(f"{ours[0]!r} is for 'type: fbank', found 'type: {kind}'", ours[0])
    options = _options(FbankOptions, features, "features")
    if max_frequency is not None and max_frequency > options.low_hz:
        options = replace(options, high_hz=min(max_frequency, options.high_hz))
    return Analysis(kind, SAMPLE_RATE, max_frequency, options)


def _normalizing(given: Any, kind: Kind) -> NormalizationOptions | None:
    """How frames are normalized; if nothing is said, as Kur 0.7 did where it could."""
    if given is False or (given is None and kind not in ("spec", "mfcc")):
        return None
    options = {"path": given} if isinstance(given, str) else given
    return _options(NormalizationOptions, None if options is True else options, "normalization")


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
