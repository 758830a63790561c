"""Evidence -> numbers to learn from: what was heard of each phrase in each recording.

Of a phrase five things are told: how sure its best mention is, how many mentions are to be
expected, where in the recording the best one lies, and how sure the best one of each side of a call
is. That a phrase was not heard is a 0 as good as any number. Of two phrases: which of them came
first. This module knows nothing of labels and of how anything is learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot.topics.evidence import Evidence

KINDS = ("best", "count", "where", "first side", "second side")
"""What is told of each phrase."""

PRESENT = 0.5
"""Evidence from which on a phrase counts as heard, where yes or no is to be said."""

_ORDERED = 0.25  # phrases less sure than this were not said before or after anything

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """values: (recordings, phrases, kinds) as in KINDS; when: (recordings, phrases) seconds at
    which the best mention starts, NaN where nothing was heard."""

    values: Floats
    when: Floats

    def columns(
        self, phrases: Sequence[int], orders: Sequence[tuple[int, int]] = ()
    ) -> npt.NDArray[np.float32]:
        """(recordings, features): all kinds of each phrase, then each pair's order.

        An order is 1 where the first of the two phrases came first, -1 where the other did, NaN
        where one of them was not heard.
        """
        some = self.values[:, list(phrases)].reshape(len(self.values), -1)
        if not orders:
            return some
        before, behind = (list(each) for each in zip(*orders, strict=True))
        apart = np.sign(self.when[:, behind] - self.when[:, before])
        sure = np.minimum(self.values[:, before, 0], self.values[:, behind, 0]) >= _ORDERED
        return np.concatenate((some, np.where(sure, apart, np.nan)), axis=1).astype(np.float32)

    def present(self) -> npt.NDArray[np.bool_]:
        """(recordings, phrases): whether each was heard."""
        heard: npt.NDArray[np.bool_] = self.values[:, :, 0] >= PRESENT
        return heard

    def rows(self, which: npt.NDArray[np.int64]) -> Table:
        """Some of the recordings."""
        return Table(self.values[which], self.when[which])


def table(evidence: Evidence) -> Table:
    """The numbers of all recordings and phrases."""
    shape = (len(evidence.recordings), len(evidence.phrases))
    values = np.zeros((*shape, len(KINDS)), np.float32)
    where = values.transpose(2, 0, 1)
    row, column, sure = evidence.recording, evidence.phrase, evidence.sure
    np.maximum.at(where[0], (row, column), sure)
    np.add.at(where[1], (row, column), sure)
    two = evidence.channels[row] > 1
    for side in (0, 1):
        (here,) = np.nonzero(two & (evidence.channel == side))
        np.maximum.at(where[3 + side], (row[here], column[here]), sure[here])
    when = np.full(shape, np.nan, np.float32)
    order = np.argsort(sure, kind="stable")  # the surest is written last, and stays
    when[row[order], column[order]] = evidence.start[order]
    where[2] = when / np.maximum(evidence.seconds, 1e-3)[:, np.newaxis]
    return Table(values, when)
