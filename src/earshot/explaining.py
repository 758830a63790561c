"""What is told of mentions beside where they are: why they are thought to be there.

It knows how a library is read and what a search has found, and nothing of how it was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from earshot.types import Heard, Mention, SearchResult

if TYPE_CHECKING:
    from earshot.index import Snapshot
    from earshot.search import Calibration


@dataclass(frozen=True, slots=True)
class Extras:
    """What is to be told of mentions beside where they are, see `Library.search`.

    typed: whether the query is words, and not an example.
    """

    why: bool = False
    snippets: bool = False
    typed: bool = True


@dataclass(frozen=True, slots=True)
class Sounds:
    """The pronunciation of a phrase that was heard, as a search takes it."""

    units: tuple[str, ...]
    words: tuple[int, ...]
    log_probability: float = 0.0
    spelled: tuple[bool, ...] = ()


def explained(result: SearchResult, snapshot: Snapshot, calibration: Calibration) -> SearchResult:
    """The same result, in which each phrase that was heard says why."""
    from earshot.search import Ear, explain  # numba: nothing but a search needs it

    network = snapshot.manifest.network
    ear = Ear(network.units, network.blank, network.frame_seconds, calibration)
    tracks = {
        (entry.recording, entry.channel): heard
        for entry, heard in zip(snapshot.tracks, snapshot.heard, strict=True)
    }

    def told(mention: Mention) -> Mention:
        def why(one: Heard) -> Heard:
            track = tracks[mention.recording, one.channel]
            sounds = Sounds(one.units, one.words)
            return replace(one, why=explain(sounds, track, one.frames, one.features, ear))

        return replace(mention, heard=tuple(map(why, mention.heard)))

    return of_each(result, told)


def of_each(result: SearchResult, told: Callable[[Mention], Mention]) -> SearchResult:
    """The same result with each mention changed, those of groups too."""
    if not result.groups:
        return replace(result, mentions=tuple(map(told, result.mentions)))
    groups = tuple(
        replace(group, mentions=tuple(map(told, group.mentions))) for group in result.groups
    )
    return replace(
        result, groups=groups, mentions=tuple(one for group in groups for one in group.mentions)
    )
