"""Which samples of a collection are taken: `samples: 100`, "10-20", "50-", "10%", "10-20%".

The choice is random, follows from the seed, and keeps the order; choices by one seed fit together,
so that "0-80%" and "80-100%" are a split. Knows nothing of what is chosen.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError

_NUMBER = r"\d+(?:\.\d*)?"
_FORM = re.compile(rf"\s*({_NUMBER})\s*(?:(-)\s*({_NUMBER})?\s*)?(%)?\s*")


def chosen(samples: int | float | str | None, count: int, seed: int) -> NDArray[np.int64]:
    """The numbers of the chosen ones among `count`, rising; all if `samples` is None.

    ArgumentError if `samples` says nothing that is known, or leaves nothing.
    """
    first, last = bounds(samples, count)
    if (first, last) == (0, count):
        return np.arange(count)
    # The generator of Kur 0.7: a seed chooses what it always chose.
    order = np.random.RandomState(seed).permutation(count)
    return np.sort(order[first:last])


def bounds(samples: int | float | str | None, count: int) -> tuple[int, int]:
    """Where the choice begins and ends in the random order of `count` samples."""
    if samples is None:
        return 0, count
    match = _FORM.fullmatch(str(samples))
    if not match:
        accepted = "a number, '10-20', '10-', '10%' or '10-20%'"
        raise ArgumentError(f"'samples' must be {accepted}, found {samples!r}", "samples")
    one, dash, other, percent = match.groups()
    whole = 100.0 if percent else float(count)
    low, high = (float(one), float(other or whole)) if dash else (0.0, float(one))
    if percent:
        low, high = count * (low / 100), count * (high / 100)
    first, last = min(int(low), count), min(int(high), count)
    if first >= last:
        raise ArgumentError(f"'samples: {samples}' takes none of {count:,} samples", "samples")
    return first, last
