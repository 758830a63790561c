"""Candidates searched for in every recording, exhaustively: how strongly each was heard, and when.

A search shows mentions that are likely; to learn from, a faint one in a recording tells as much as
a sure one, and none at all too. So nothing is cut off here: of every phrase, on every channel, the
best place is kept, however bad. Its *strength* is -ln of the matches as good that accident brings
in an hour of speech, measured on the background that comes with the network: it is the same
whatever else is searched, so a recording is judged alone as it is among others. What was found is
kept on disk by network, phrases and recording, and only what is new is searched. This module knows
nothing of labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from earshot.errors import LibraryError
from earshot.index.durable import discard, write_atomically
from earshot.lanes import BLOCK
from earshot.searching import Field
from earshot.topics.candidates import Candidate

if TYPE_CHECKING:
    from earshot.search import Track
    from earshot.search.align import Plan
    from earshot.search.ear import Ear
    from earshot.search.sweep import Laid
    from earshot.units import Pronunciation

FORMAT = 1
FOLDER = "topics"
"""Of a library's folder: where models lie, and what was heard in `heard`."""

HEARD = "heard"

EVEN = 4.0
"""A place of this strength counts as half a mention: accident brings one such in 55 hours."""

LARGEST_PASS = 1 << 27
"""What is remembered of one pass, in windows times pronunciations."""

_MOST_PHRASES = 512  # of a pass
_KEPT = 12  # files of what was heard, the latest used; older ones go

Progress = Callable[[str, float], None]
"""Told what is done, and how much of it: 0 to 1."""

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """How `phrases` were heard in `recordings`, one row a channel of a recording.

    recording, channel: (rows,) whose rows they are, `seconds` (recordings,) how long each is.
    strength: (rows, phrases) of the best place; second: (rows, phrases) in which it ends; count:
    (rows, phrases) mentions to be expected.
    """

    recordings: tuple[str, ...]
    phrases: tuple[Candidate, ...]
    seconds: npt.NDArray[np.float64]
    recording: Ints
    channel: Ints
    strength: Floats
    second: Floats
    count: Floats

    def only(self, phrases: Sequence[int]) -> Evidence:
        """That of some of the phrases, in their order."""
        which = list(phrases)
        return Evidence(
            self.recordings,
            tuple(self.phrases[at] for at in which),
            self.seconds,
            self.recording,
            self.channel,
            *(one[:, which] for one in (self.strength, self.second, self.count)),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Of:
    """One recording: its frames, and (channels, phrases) of strength, second and count."""

    frames: int
    strength: Floats
    second: Floats
    count: Floats


def gather(
    field: Field,
    folder: Path,
    phrases: Sequence[Candidate],
    recordings: Sequence[str],
    progress: Progress | None = None,
) -> Evidence:
    """What was heard of all phrases in these recordings, in their order.

    folder: the library's; what is searched now is kept there.
    """
    network = field.snapshot.manifest.network
    tracks: dict[str, list[Track]] = {name: [] for name in recordings}
    for track in field.tracks.tracks:
        if track.recording in tracks:
            tracks[track.recording].append(track)
    lengths = {name: sum(one.heard.frames for one in own) for name, own in tracks.items()}
    path = folder / FOLDER / HEARD / f"{_digest(phrases, network.fingerprint)}.safetensors"
    kept = _read(path, len(phrases))
    kept = {name: one for name, one in kept.items() if lengths.get(name, one.frames) == one.frames}
    new = [name for name in tracks if name not in kept]
    if new:
        kept |= _heard(field, phrases, {name: tracks[name] for name in new}, progress)
        _write(path, kept)
    found = [kept[name] for name in recordings]
    longest = [max((one.heard.frames for one in own), default=0) for own in tracks.values()]
    channels = [len(one.strength) for one in found]
    nothing = np.zeros((0, len(phrases)), np.float32)
    return Evidence(
        tuple(recordings),
        tuple(phrases),
        np.array(longest) * network.frame_seconds,
        np.repeat(np.arange(len(found)), channels),
        np.concatenate([np.zeros(0, np.int64), *(np.arange(count) for count in channels)]),
        np.concatenate([nothing, *(one.strength for one in found)]),
        np.concatenate([nothing, *(one.second for one in found)]),
        np.concatenate([nothing, *(one.count for one in found)]),
    )


def _heard(
    field: Field,
    phrases: Sequence[Candidate],
    tracks: dict[str, list[Track]],
    progress: Progress | None,
) -> dict[str, _Of]:
    """Search for all phrases in these recordings."""
    from earshot.search.ear import Ear  # LLVM: nothing but a search needs it
    from earshot.search.sweep import Laid

    network = field.snapshot.manifest.network
    ear = Ear(network.units, network.blank, network.frame_seconds, field.calibration)
    own = [track for each in tracks.values() for track in each]
    laid = Laid([track.heard for track in own])
    shape = (len(own), len(phrases))
    strength, second, count = (np.zeros(shape, np.float32) for _ in range(3))
    plans = [[ear.plan(way) for way in one.ways] for one in phrases]
    for some in _passes([len(one) for one in plans], laid.windows):
        if progress is not None:
            progress("searching", some.start / len(phrases))
        ways = [way for one in phrases[some] for way in one.ways]
        whole = _strengths(field, ear, laid, [one for each in plans[some] for one in each], ways)
        for phrase in range(some.start, some.stop):
            mine = [next(whole) for _ in plans[phrase]]
            # Pronunciations are met at the same places: the one that is heard best counts.
            best = np.argmax([one[0] for one in mine], axis=0)
            for into, which in ((strength, 0), (second, 1), (count, 2)):
                each = np.array([one[which] for one in mine])
                into[:, phrase] = each[best, np.arange(len(own))]
    found = {}
    row = 0
    for name, sides in tracks.items():
        rows = slice(row, row + len(sides))
        frames = sum(track.heard.frames for track in sides)
        found[name] = _Of(frames, strength[rows], second[rows], count[rows])
        row = rows.stop
    return found


def _passes(ways: Sequence[int], windows: int) -> Iterator[slice]:
    """Phrases that share a pass, given how many pronunciations each has."""
    first = size = 0
    most = max(LARGEST_PASS // max(windows, 1), 1)
    for at, count in enumerate(ways):
        if at > first and (size + count > most or at - first == _MOST_PHRASES):
            yield slice(first, at)
            first, size = at, 0
        size += count
    if ways:
        yield slice(first, len(ways))


def _strengths(
    field: Field, ear: Ear, laid: Laid, plans: Sequence[Plan], ways: Sequence[Pronunciation]
) -> Iterator[tuple[Floats, Floats, Floats]]:
    """By plan: strength, second and count (tracks,) each."""
    from earshot.search.confidence import all_alarms
    from earshot.search.lowest import programs
    from earshot.search.sweep import Sweep

    ready = list(programs(plans))
    over, ground = (
        Sweep(
            searched,
            plans,
            frame_seconds=ear.frame_seconds,
            ready=ready,
        )
        for searched in (laid, field.calibration.ground)
    )
    window = BLOCK * ear.frame_seconds
    for index, (plan, way) in enumerate(zip(plans, ways, strict=True)):
        alarms = all_alarms(ground.histograms[index][np.newaxis], len(plan.phones), window)[0]
        worth = way.log_probability - alarms
        lows, scale = over.lows(index)
        found = np.zeros((3, len(laid.tracks)), np.float32)
        # What costs more than the limit is a little less than what costs that.
        table = np.append(worth[::scale], np.full(1, worth[-1] - 1))
        expected = 1 / (1 + np.exp(EVEN - table))
        expected[-1] = 0.0
        for piece, lowest in zip(laid.pieces, lows, strict=True):
            line = np.minimum(lowest.T.reshape(-1), len(table) - 1).astype(np.int64)
            place = np.arange(len(line))
            keys = np.minimum.reduceat(line * len(line) + place, piece.first)
            cost, block = np.divmod(keys, len(line))
            found[0, piece.index] = table[cost]
            found[1, piece.index] = (block - piece.first + 1) * window
            found[2, piece.index] = np.add.reduceat(expected[line], piece.first)
        yield found[0], found[1], found[2]


def _digest(phrases: Sequence[Candidate], network: str) -> str:
    """A name for what is searched for, and by which ear."""
    said = [[[*way.units], way.log_probability] for one in phrases for way in one.ways]
    counts = [len(one.ways) for one in phrases]
    content = json.dumps([FORMAT, network, counts, said])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read(path: Path, phrases: int) -> dict[str, _Of]:
    """What was kept; nothing where it is missing or damaged, since it can be searched again."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["heard"])
            arrays = [file.get_tensor(name) for name in ("strength", "second", "count")]
        path.touch()
        edges = np.cumsum([0, *about["channels"]]).tolist()
        if any(one.shape != (edges[-1], phrases) or one.dtype != np.float32 for one in arrays):
            return {}
        return {
            name: _Of(frames, *(one[start:end] for one in arrays))
            for name, frames, start, end in zip(
                about["recordings"], about["frames"], edges[:-1], edges[1:], strict=True
            )
        }
    except (OSError, SafetensorError, LookupError, TypeError, ValueError):
        return {}


def _write(path: Path, kept: dict[str, _Of]) -> None:
    about = {
        "recordings": list(kept),
        "frames": [one.frames for one in kept.values()],
        "channels": [len(one.strength) for one in kept.values()],
    }
    arrays = {
        name: np.concatenate([getattr(one, name) for one in kept.values()])
        for name in ("strength", "second", "count")
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_atomically(path, save(arrays, {"heard": json.dumps(about)}))
    files = sorted(path.parent.glob("*.safetensors"), key=lambda one: -one.stat().st_mtime)
    for old in files[_KEPT:]:
        discard(old)
