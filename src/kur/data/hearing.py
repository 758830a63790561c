"""A clip, heard in one view -> frames: what is done once for each and worth keeping.

Everything here follows from its arguments alone, so that it may happen in any process (`ears`).
Knows nothing of caches, batches or what is drawn anew in each epoch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kur.data.augment import View
from kur.data.clips import SAMPLE_RATE, Clip, Pcm, audio_of, read_pcm
from kur.data.manifest import Row
from kur.data.spectra import Analysis
from kur.features import Frames


@dataclass(frozen=True)
class Hearing:
    """How the clips of a supplier are heard; `rooms` are lines of the manifest of rooms."""

    analysis: Analysis
    rooms: tuple[Row, ...] = ()

    def frames(self, clip: Clip, view: View) -> Frames:
        """Frames (time, bins) of a clip in a view, before any mean is taken off."""
        # A view is heard once, so its random choices hang on the clip alone: on its name in the
        # manifest, which is the same wherever the data lies.
        seed = int.from_bytes(hashlib.sha256(clip.named.encode()).digest()[:8], "big")
        rooms = self._responses if view.room else []
        pcm = read_pcm(clip.audio, clip.row)
        pcm = view.hear(pcm, SAMPLE_RATE, rooms, np.random.default_rng(seed))
        if len(pcm) < self.analysis.shortest:
            message = f"{clip.audio} has {len(pcm)} samples, too few for one frame"
            raise clip.row.error(f"{message} ({self.analysis.shortest})")
        return self.analysis.frames(pcm)

    @cached_property
    def _responses(self) -> list[Pcm]:
        """Impulse response of every room, read when the first one is wanted."""
        return [read_pcm(audio_of(row)[0], row) for row in self.rooms]
