"""Search: pronunciations against activations, from plain arrays to hits with a confidence.

`align` is the kernel, `confidence` what it finds is worth, `mentions` the way from one to the
other; `why` spells out both for one hit. Nothing here knows of the network, of text or of the
library's files.
"""

from earshot.search.confidence import Calibration, Pronunciation
from earshot.search.ear import Ear
from earshot.search.likeliest import Found
from earshot.search.mentions import (
    Candidate,
    Hit,
    Hits,
    Track,
    Tracks,
    candidates,
    search_columns,
    search_many,
    search_tracks,
)
from earshot.search.why import explain

__all__ = [
    "Calibration",
    "Candidate",
    "Ear",
    "Found",
    "Hit",
    "Hits",
    "Pronunciation",
    "Track",
    "Tracks",
    "candidates",
    "explain",
    "search_columns",
    "search_many",
    "search_tracks",
]
