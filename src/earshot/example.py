"""A piece of sound as a query: what the ear heard in it -> the unit sequences that it may be.

The most probable sequences under CTC stand for the lattice of all of them: they are searched for as
the pronunciations of a phrase are. It knows activations, and nothing of files or how is searched.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError
from earshot.letters import prefix_beam_search
from earshot.units import FEWEST_UNITS, MOST_UNITS, Pronunciation

LONGEST_SECONDS = 15.0
"""Of sound that is taken as an example: more than MOST_UNITS are hardly said in less."""

WAYS = 8  # unit sequences that are searched for
_BEAM = 32
_LEAST = -7.0  # units less probable than this in a frame are not tried there


def pronunciations(
    log_posteriors: npt.NDArray[np.float32], units: Sequence[str], blank: int
) -> list[Pronunciation]:
    """Up to WAYS sequences of units that may have been said, the most probable first.

    log_posteriors: (frames, units). Probabilities are relative to the best, which has 1. Raises
    QueryError when there is too little speech in it, or too much.
    """
    found = prefix_beam_search(log_posteriors, blank, _BEAM, _LEAST)
    best = found[0][0] if found else ()
    if len(best) > MOST_UNITS:
        raise QueryError(
            f"the example is {len(best)} phones long, and at most {MOST_UNITS} can be searched "
            "for: give a shorter piece"
        )
    fits = [one for one in found if FEWEST_UNITS <= len(one[0]) <= MOST_UNITS][:WAYS]
    if not fits:
        raise QueryError("no speech was heard in the example, or hardly a sound of it")
    top = fits[0][1]
    return [
        Pronunciation(tuple(units[at] for at in way), (0,), rank, log_p - top, (False,))
        for rank, (way, log_p) in enumerate(fits)
    ]
