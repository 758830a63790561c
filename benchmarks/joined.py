"""A library of long calls out of one of short ones: their activations, joined.

What learning costs depends on how much there is to search, not on who says it: calls of one topic
follow each other in a recording, each channel behind its own, until ten minutes are full. Nothing
is listened to.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.catalog import Catalog
from earshot.index import index_writer
from earshot.library import Library
from earshot.types import Recording

SECONDS = 600.0


def make(
    library: Library, labels: Mapping[str, str], folder: Path, count: int, seed: int = 1
) -> list[tuple[str, str]]:
    """So many recordings in `folder`, of those of a library whose label is the same; their ids,
    each with its label. labels: by the id of a recording of the library."""
    field = library.field()
    network = field.snapshot.manifest.network
    sides: dict[str, dict[int, npt.NDArray[np.uint8]]] = {}
    for track in field.tracks.tracks:
        sides.setdefault(track.recording, {})[track.channel] = track.heard.costs()
    by_label: dict[str, list[str]] = {}
    for recording, label in labels.items():
        if len(sides.get(recording, {})) == 2:
            by_label.setdefault(label, []).append(recording)
    dice = random.Random(seed)
    names = sorted(by_label)
    made = []
    with index_writer(folder, network) as writer, Catalog(folder, writable=True) as catalog:
        for number in range(count):
            label = names[number % len(names)]
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            first, second, frames = [], [], 0
            while frames * network.frame_seconds < SECONDS:
                chosen = dice.choice(by_label[label])
                one, other = (sides[chosen][side] for side in (0, 1))
                size = min(len(one), len(other))
                first.append(one[:size])
                second.append(other[:size])
                frames += size
            with writer.track(digest[:12], 0) as left, writer.track(digest[:12], 1) as right:
                left.append(np.concatenate(first))
                right.append(np.concatenate(second))
                staged = writer.stage([left, right])
            title = f"call {number}"
            length = frames * network.frame_seconds
            catalog.put(
                Recording(digest[:12], title, title, length, 2, digest, 0, "2026-01-01T00:00Z")
            )
            writer.commit(staged)
            writer.tidy()
            made.append((digest[:12], label))
    return made
