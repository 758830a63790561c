"""An ear as a search knows it: what the columns of activations mean, and what its costs are worth.

It makes pronunciations ready to be laid against activations; it knows nothing of any recording.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from earshot.errors import LibraryError, QueryError
from earshot.search.align import Confusion, Plan, plan
from earshot.search.confidence import Calibration, Pronunciation


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """What the columns of the activations mean, and what is known of who made them."""

    units: tuple[str, ...]
    blank: int
    frame_seconds: float
    calibration: Calibration
    confusion: Confusion | None

    @classmethod
    def of(
        cls, units: Sequence[str], blank: int, frame_seconds: float, calibration: Calibration
    ) -> Ear:
        """The ear of a network; LibraryError where its calibration is of other units."""
        confusion = None
        if calibration.confusion is not None:
            if calibration.units != tuple(units):
                raise LibraryError("The library's units are not those its network was measured on.")
            confusion = Confusion(calibration.confusion, blank)
        return cls(tuple(units), blank, frame_seconds, calibration, confusion)

    def plan(self, pronunciation: Pronunciation) -> Plan:
        """A pronunciation made ready; QueryError for units that the network does not have."""
        unknown = sorted(set(pronunciation.units) - set(self.units))
        if unknown:
            raise QueryError(f"The network that made this library knows no unit {unknown[0]!r}.")
        return plan(
            [self.units.index(unit) for unit in pronunciation.units],
            pronunciation.words,
            blank=self.blank,
            tolerance=self.calibration.tolerance,
            deletions=self.confusion.steps[:, self.blank] if self.confusion else None,
        )
