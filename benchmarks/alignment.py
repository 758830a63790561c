"""When each word of a clip is said, by forced alignment with PocketSphinx.

The times are the truth that searches are held against, so they come from neither the network nor
the search under test. Where PocketSphinx cannot align a clip, words lie in proportion to their
letters between the first and last sound. It knows clips and their words; nothing of recordings.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pocketsphinx import Decoder
from sound import ACTIVE_BELOW_PEAK, BLOCK_SECONDS, SAMPLE_RATE, Samples, integers

FRAMES_PER_SECOND = 100
PADDING_SECONDS = 0.3
SLOWEST_LETTER = 0.6  # seconds; a word with slower letters is an alignment gone wrong

Spell = Callable[[str], Sequence[str]]  # phones of a word that PocketSphinx's dictionary lacks


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it is said, in seconds from the beginning of whatever holds it."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """The words of a clip; `forced` is False where their times are only in proportion."""

    words: tuple[Word, ...]
    forced: bool


class Aligner:
    """Aligns clips, and remembers in `cache` (a JSON file) what it has aligned."""

    def __init__(self, cache: Path, spell: Spell) -> None:
        self._cache = cache
        self._spell = spell
        self._known: dict[str, list[list[float]]] = (
            json.loads(cache.read_text(encoding="utf-8")) if cache.is_file() else {}
        )
        self._decoder = Decoder(lm=None, loglevel="FATAL", cmn="batch", beam=1e-80, wbeam=1e-80)

    def align(self, samples: Samples, words: Sequence[str]) -> Alignment:
        """When the words are said in the samples."""
        key = hashlib.sha256(samples.tobytes() + " ".join(words).encode()).hexdigest()[:24]
        if key not in self._known:
            self._known[key] = self._forced(samples, words)
        times = self._known[key]
        if times:
            return Alignment(
                tuple(Word(w, *t) for w, t in zip(words, times, strict=True)), forced=True
            )
        return Alignment(in_proportion(samples, words), forced=False)

    def save(self) -> None:
        """Keep what was aligned for the next run."""
        self._cache.parent.mkdir(parents=True, exist_ok=True)
        partial = self._cache.with_suffix(".partial")
        partial.write_text(json.dumps(self._known), encoding="utf-8")
        partial.replace(self._cache)

    def _forced(self, samples: Samples, words: Sequence[str]) -> list[list[float]]:
        """Start and end of each word, or an empty list where there is no such path."""
        for word in words:
            if self._decoder.lookup_word(word) is None:
                self._decoder.add_word(word, " ".join(self._spell(word)), True)
        # Without silence at both ends the first and the last word may find no room.
        silence = np.zeros(round(PADDING_SECONDS * SAMPLE_RATE), np.float32)
        try:
            self._decoder.set_align_text(" ".join(words))
            self._decoder.start_utt()
            padded = np.concatenate([silence, samples, silence])
            self._decoder.process_raw(integers(padded), full_utt=True)
            self._decoder.end_utt()
            segments = list(self._decoder.seg() or ())
        except RuntimeError:
            return []
        _, last_sound = sounding(samples)
        found = [
            [
                max(0.0, segment.start_frame / FRAMES_PER_SECOND - PADDING_SECONDS),
                # The last word tends to take what silence follows.
                min(last_sound, (segment.end_frame + 1) / FRAMES_PER_SECOND - PADDING_SECONDS),
            ]
            for segment in segments
            if not segment.word.startswith(("<", "[", "+", "("))
        ]
        if len(found) != len(words):
            return []
        wrong = any(
            not 0 < end - start <= SLOWEST_LETTER * len(word)
            for word, (start, end) in zip(words, found, strict=True)
        )
        return [] if wrong else found


def in_proportion(samples: Samples, words: Sequence[str]) -> tuple[Word, ...]:
    """Words laid between the first and the last sound, each as long as its letters' share."""
    start, end = sounding(samples)
    letters = np.cumsum([0] + [len(word) + 1 for word in words])
    edges = start + (end - start) * letters / letters[-1]
    return tuple(
        Word(word, float(a), float(b))
        for word, a, b in zip(words, edges[:-1], edges[1:], strict=True)
    )


def sounding(samples: Samples) -> tuple[float, float]:
    """When the first sound begins and the last one ends, in seconds."""
    size = round(BLOCK_SECONDS * SAMPLE_RATE)
    whole = samples[: len(samples) // size * size].reshape(-1, size).astype(np.float64)
    power = (whole**2).mean(axis=1)
    loud = np.flatnonzero(power >= np.quantile(power, 0.95) * 10 ** (-ACTIVE_BELOW_PEAK / 10))
    return float(loud[0]) * BLOCK_SECONDS, float(loud[-1] + 1) * BLOCK_SECONDS
