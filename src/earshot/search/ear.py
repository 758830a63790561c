"""An ear as a search knows it: what the columns of activations mean, and what its costs are worth.

It makes pronunciations ready to be laid against activations; it knows nothing of any recording.
"""

from __future__ import annotations

from dataclasses import dataclass

from earshot.errors import QueryError
from earshot.search.align import Plan, plan
from earshot.search.confidence import Calibration, Pronunciation


@dataclass(frozen=True, slots=True, eq=False)
class Ear:
    """What the columns of the activations mean, and what is known of who made them.

    units: names of the columns; blank: the column that is none.
    """

    units: tuple[str, ...]
    blank: int
    frame_seconds: float
    calibration: Calibration

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
        )
