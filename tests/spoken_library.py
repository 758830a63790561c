"""A library of recordings in which given words were said, made without audio, in one commit.

The activations are those of the network of `fakes`, which hears tones; `stammer` lets it mishear.
So hundreds of recordings cost a second, and what is heard in each is known.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from fakes import BLANK, FRAME, RATE, UNITS, WORDS, ToneNetwork, tone_library

from earshot.catalog import Catalog
from earshot.index import NetworkEntry, index_writer
from earshot.library import Library
from earshot.topics import Labels, Opinion, Plan
from earshot.types import Recording

SECONDS = FRAME / RATE

# A call is about the invoice if that word is said and the lantern is not.
PLAN = Plan(phrases=tuple(WORDS), library_phrases=False, curve=False, repeats=1)


def spoken_library(
    folder: Path,
    talks: Mapping[str, Sequence[str]],
    *,
    meta: Mapping[str, Mapping[str, str]] | None = None,
    stammer: float = 0.0,
) -> Library:
    """A library of recordings by title; what is said in each, by channel (words of `WORDS`, or
    phones between slashes). stammer: the chance that a unit is heard as another."""
    dice = np.random.default_rng(0)
    network = ToneNetwork()
    entry = NetworkEntry(network.fingerprint, network.units, network.blank, network.frame_seconds)
    rows = []
    with index_writer(folder, entry) as writer, ExitStack() as stack:
        tracks = []
        for number, (title, sides) in enumerate(talks.items()):
            digest = sha256(title.encode()).hexdigest()
            costs = [spoken(said, dice, stammer) for said in sides]
            longest = max(map(len, costs))
            for channel, own in enumerate(costs):
                track = stack.enter_context(writer.track(digest[:12], channel))
                track.append(np.concatenate([own, silence(longest - len(own))]))
                tracks.append(track)
            known = tuple((meta or {}).get(title, {}).items())
            added = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}+00:00"
            rows.append(
                Recording(
                    digest[:12], f"/calls/{title}.wav", title, longest * SECONDS, len(sides),
                    digest, 1000, added, meta=known,
                )
            )  # fmt: skip
        writer.commit(writer.stage(tracks))
    with Catalog(folder, writable=True) as catalog:
        catalog.put(*rows)
    return tone_library(folder, network)


def spoken(text: str, dice: np.random.Generator, stammer: float) -> npt.NDArray[np.uint8]:
    """Costs (frames, 40) of words one after the other: two frames a unit, gaps between words."""
    parts = [silence(5)]
    for word in text.split():
        for unit in WORDS.get(word, word.strip("/").replace("-", " ")).split():
            costs = np.full((2, len(UNITS)), 80, np.uint8)
            at = UNITS.index(unit)
            if dice.random() < stammer:
                at = int(dice.integers(BLANK))
            costs[:, at] = 0
            parts += [costs, silence(1)]
        parts.append(silence(5))
    return np.concatenate(parts)


def silence(frames: int) -> npt.NDArray[np.uint8]:
    """Costs of frames in which nothing is heard."""
    costs = np.full((frames, len(UNITS)), 80, np.uint8)
    costs[:, BLANK] = 0
    return costs


def calls(count: int) -> tuple[dict[str, list[str]], dict[str, bool]]:
    """Calls of four to six words by title, and which of them are about the invoice."""
    drawn = random.Random(3)
    talks, truth = {}, {}
    for number in range(count):
        words = [drawn.choice(list(WORDS)) for _ in range(drawn.randint(3, 6))]
        talks[f"call {number}"] = [" ".join(words)]
        truth[f"call {number}"] = "invoice" in words and "lantern" not in words
    return talks, truth


def labelled(library: Library, truth: dict[str, bool], label: str = "invoice") -> None:
    """Keep what is true as labels."""
    ids = {one.title: one.id for one in library.list()}
    Labels(library.path).put(
        Opinion(ids[title], label, "yes" if answer else "no") for title, answer in truth.items()
    )
