"""Evidence -> numbers to learn from: what was heard of each phrase in each recording.

Of a phrase five things are told: how strongly its best mention was heard, for a recording of that
length; how many mentions are to be expected; where in the recording the best one lies; and how
strong the best one of each side of a call is. That a phrase was not heard is a low number like any
other. Of two phrases: which of them came first. This module knows nothing of labels and of how
anything is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.topics.evidence import Evidence

KINDS = ("best", "count", "where", "first side", "second side")
"""What is told of each phrase."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """values: (recordings, phrases, kinds) as in KINDS; when: (recordings, phrases) seconds at
    which the best mention ends; side: (recordings, phrases) the channel that it is on."""

    values: Floats
    when: Floats
    side: npt.NDArray[np.int8]

    def columns(
        self, phrases: Sequence[int], orders: Sequence[tuple[int, int]] = ()
    ) -> npt.NDArray[np.float32]:
        """(recordings, features): all kinds of each phrase, then each pair's order.

        An order is by how many seconds the second of the two phrases came behind the first.
        """
        some = self.values[:, list(phrases)].reshape(len(self.values), -1)
        if not orders:
            return some
        before, behind = (list(each) for each in zip(*orders, strict=True))
        return np.concatenate((some, self.when[:, behind] - self.when[:, before]), axis=1)

    def rows(self, which: npt.NDArray[np.int64]) -> Table:
        """Some of the recordings."""
        return Table(self.values[which], self.when[which], self.side[which])


def table(evidence: Evidence) -> Table:
    """The numbers of all recordings and phrases."""
    shape = (len(evidence.recordings), len(evidence.phrases))
    # How many matches as good accident brings in a recording of this length, not in an hour.
    hours = np.log(np.maximum(evidence.seconds, 1.0) / 3600).astype(np.float32)[:, np.newaxis]
    values = np.full((len(KINDS), *shape), np.nan, np.float32)
    values[0], values[1] = -np.inf, 0.0
    when, side = np.zeros(shape, np.float32), np.zeros(shape, np.int8)
    channels = np.bincount(evidence.recording, minlength=shape[0])
    for channel in range(int(channels.max(initial=0))):
        (rows,) = np.nonzero(evidence.channel == channel)
        of = evidence.recording[rows]
        strength = evidence.strength[rows]
        values[1, of] += evidence.count[rows]
        better = strength > values[0, of]
        values[0, of] = np.maximum(values[0, of], strength)
        when[of] = np.where(better, evidence.second[rows], when[of])
        side[of] = np.where(better, channel, side[of])
        if channel < 2:
            several = (channels[of] > 1)[:, np.newaxis]
            values[3 + channel, of] = np.where(several, strength - hours[of], np.nan)
    values[0] -= hours
    values[2] = when / np.maximum(evidence.seconds, 1.0)[:, np.newaxis]
    return Table(np.ascontiguousarray(values.transpose(1, 2, 0)), when, side)
