"""Activations of an ear that does not exist: what a CTC network says of made-up words.

Peaky as such networks are (one or two frames a unit, blank between), and as fallible: units are
heard as similar ones, missed, or heard where there are none, and the true one is then often, not
always, a close second. No audio and no network is involved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.lanes import laid
from earshot.search import Track
from earshot.units import PHONES

UNITS = (*PHONES, "<blank>")
BLANK = len(PHONES)
FRAME_SECONDS = 0.04


@dataclass(frozen=True)
class Sounds:
    """A pronunciation, as `earshot.units` would make it."""

    units: tuple[str, ...]
    words: tuple[int, ...] = (0,)
    rank: int = 0
    log_probability: float = 0.0
    spelled: tuple[bool, ...] = (False,)


@dataclass(frozen=True)
class Spoken:
    """Words that were said: which, and from which frame to which (exclusive)."""

    words: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    costs: npt.NDArray[np.uint8]


class SyntheticEar:
    """Speaks random words and hears them; everything follows from `seed`.

    miss, swap, add: chances that a unit is missed, heard as another, or followed by one that was
    not said; blur: nats that scores are spread by.
    """

    def __init__(
        self,
        seed: int,
        *,
        miss: float = 0.05,
        swap: float = 0.15,
        add: float = 0.03,
        blur: float = 1.0,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.miss, self.swap, self.add, self.blur = miss, swap, add, blur
        # Every unit has a few that sound like it.
        fixed = np.random.default_rng(7)
        self.similar = [fixed.permutation(39)[:4] for _ in PHONES]
        self.frequency = fixed.dirichlet(np.full(39, 2.0))

    def word(self, length: int) -> tuple[int, ...]:
        """A word nobody knows, of so many units."""
        return tuple(self.rng.choice(39, length, p=self.frequency).tolist())

    def lexicon(self, count: int) -> list[tuple[int, ...]]:
        """Words of 2 to 10 units."""
        return [self.word(int(length)) for length in self.rng.integers(2, 11, count)]

    def speak(
        self, lexicon: Sequence[tuple[int, ...]], words: Sequence[int], pause: float = 0.2
    ) -> Spoken:
        """Say `words` (indexes in `lexicon`) one after the other, some after a pause."""
        rows: list[npt.NDArray[np.float64]] = [self._blank() for _ in range(5)]
        spans = []
        for word in words:
            start = len(rows)
            before = -1
            for phone in lexicon[word]:
                rows.extend(self._unit(phone, again=phone == before))
                before = phone
            spans.append((start, len(rows)))
            if self.rng.random() < pause:
                rows.extend(self._blank() for _ in range(int(self.rng.integers(3, 25))))
        rows.extend(self._blank() for _ in range(5))
        return Spoken(tuple(words), tuple(spans), quantised(np.array(rows)))

    def babble(self, frames: int) -> npt.NDArray[np.uint8]:
        """So many frames of units without order."""
        rows: list[npt.NDArray[np.float64]] = []
        while len(rows) < frames:
            rows.extend(self._unit(int(self.rng.choice(39, p=self.frequency)), again=False))
        return quantised(np.array(rows[:frames]).reshape(-1, len(UNITS)))

    def _unit(self, phone: int, *, again: bool) -> list[npt.NDArray[np.float64]]:
        rows = [self._blank() for _ in range(int(self.rng.integers(0, 3)) + again)]
        chance = self.rng.random()
        scores = self._floor()
        scores[self.similar[phone]] += self.rng.gamma(2.0, 1.0, 4)
        if chance < self.miss:
            scores[BLANK] = 0.0
            scores[phone] = -self.rng.gamma(2.0, 1.5)
        elif chance < self.miss + self.swap:
            scores[phone] = -self.rng.gamma(2.0, 1.2)
            scores[self.rng.choice(self.similar[phone])] = 0.0
        else:
            scores[phone] = 0.0
        rows.append(scores)
        if self.rng.random() < 0.25:
            rows.append(scores + self.rng.normal(0.0, 0.3, 40))
        if self.rng.random() < self.add:
            extra = self._floor()
            extra[self.rng.integers(39)] = 0.0
            rows.append(extra)
        return rows

    def _floor(self) -> npt.NDArray[np.float64]:
        return -8.0 + self.blur * self.rng.normal(0.0, 1.0, 40)

    def _blank(self) -> npt.NDArray[np.float64]:
        scores = self._floor()
        scores[BLANK] = 0.0
        return scores


def quantised(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Costs in 1/16 nat of scores (frames, units), as the index keeps them."""
    gaps = scores.max(axis=1, keepdims=True) - scores
    return np.minimum(np.rint(gaps * 16), 255).astype(np.uint8)


def track(name: str, costs: npt.NDArray[np.uint8]) -> Track:
    """A track of these costs (frames, 40), in lanes of its own."""
    return Track(name, 0, laid([costs])[0])


def sounds(phones: Sequence[int], words: Sequence[int] = (0,)) -> Sounds:
    """The pronunciation of phones given by number."""
    return Sounds(tuple(PHONES[p] for p in phones), tuple(words), spelled=(False,) * len(words))
