"""Candidates searched for in every recording: what was heard of each, and how surely.

A search's own confidence depends a little on what else is searched; what is learned from must not,
or a recording would be judged otherwise alone than among others. So each mention gets an
*evidence*: the same calibrated model, measured against the background that comes with the network
alone, as if one mention an hour were to be expected. What was found is kept on disk by network,
phrases and recording, and only what is new is searched. This module knows nothing of labels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from earshot.search import Found, Track

FORMAT = 1
FOLDER = "topics"
"""Of a library's folder: where models lie, and what was heard in `heard`."""

LEAST = 0.05
"""Mentions of less evidence are not kept."""

SEARCHED = 0.005
"""The confidence down to which a search looks: low, since evidence and confidence differ."""

STEP = 512
"""Phrases that share a pass."""

HEARD = "heard"
_KEPT = 12  # files of what was heard, the latest used; older ones go
_COLUMNS = {
    "recording": np.int32,
    "phrase": np.int32,
    "channel": np.int8,
    "start": np.float32,
    "end": np.float32,
    "sure": np.float32,
}

Progress = Callable[[str, float], None]
"""Told what is done, and how much of it: 0 to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Mentions of `phrases` in `recordings`, one element a mention, by recording and phrase.

    recording, phrase: indexes; channel: from 0; start, end: seconds; sure: 0 to 1. By recording:
    `seconds` it is long, `channels` it has.
    """

    recordings: tuple[str, ...]
    phrases: tuple[Candidate, ...]
    seconds: npt.NDArray[np.float64]
    channels: npt.NDArray[np.int64]
    recording: npt.NDArray[np.int32]
    phrase: npt.NDArray[np.int32]
    channel: npt.NDArray[np.int8]
    start: npt.NDArray[np.float32]
    end: npt.NDArray[np.float32]
    sure: npt.NDArray[np.float32]

    def of(self, recordings: Sequence[str]) -> Evidence:
        """That of some of the recordings, in their order."""
        number = {name: at for at, name in enumerate(self.recordings)}
        chosen = np.array([number[name] for name in recordings], np.int64)
        place = np.full(len(self.recordings), -1, np.int32)
        place[chosen] = np.arange(len(chosen), dtype=np.int32)
        return self._where(tuple(recordings), self.phrases, chosen, place, None)

    def only(self, phrases: Sequence[int]) -> Evidence:
        """That of some of the phrases, in their order."""
        place = np.full(len(self.phrases), -1, np.int32)
        place[list(phrases)] = np.arange(len(phrases), dtype=np.int32)
        chosen = np.arange(len(self.recordings))
        of = tuple(self.phrases[at] for at in phrases)
        return self._where(self.recordings, of, chosen, None, place)

    def _where(
        self,
        recordings: tuple[str, ...],
        phrases: tuple[Candidate, ...],
        chosen: npt.NDArray[np.int64],
        recording: npt.NDArray[np.int32] | None,
        phrase: npt.NDArray[np.int32] | None,
    ) -> Evidence:
        row = self.recording if recording is None else recording[self.recording]
        column = self.phrase if phrase is None else phrase[self.phrase]
        (kept,) = np.nonzero((row >= 0) & (column >= 0))
        kept = kept[np.lexsort((self.start[kept], column[kept], row[kept]))]
        return Evidence(
            recordings, phrases, self.seconds[chosen], self.channels[chosen], row[kept],
            column[kept], self.channel[kept], self.start[kept], self.end[kept], self.sure[kept],
        )  # fmt: skip


def gather(
    field: Field,
    folder: Path,
    phrases: Sequence[Candidate],
    recordings: Sequence[str],
    progress: Progress | None = None,
) -> Evidence:
    """What was heard of all phrases in these recordings, in their order.

    folder: the library's; what is searched now is kept there. Raises LibraryError for recordings
    that the field does not have.
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
        own = [track for name in new for track in tracks[name]]
        kept |= _heard(field, phrases, own, new, progress)
        _write(path, kept)
    seconds = [max((t.heard.frames for t in own), default=0) for own in tracks.values()]
    rows = [kept[name].rows for name in recordings]
    row = np.repeat(np.arange(len(rows), dtype=np.int32), [len(one["phrase"]) for one in rows])
    return Evidence(
        tuple(recordings),
        tuple(phrases),
        np.array(seconds) * network.frame_seconds,
        np.array([len(own) for own in tracks.values()]),
        row,
        *(
            np.concatenate([np.zeros(0, kind), *(one[name] for one in rows)])
            for name, kind in _COLUMNS.items()
            if name != "recording"
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Of:
    """What was heard in one recording: columns by phrase and time, and how many frames it has."""

    frames: int
    rows: dict[str, npt.NDArray[Any]]


def _heard(
    field: Field,
    phrases: Sequence[Candidate],
    tracks: Sequence[Track],
    recordings: Sequence[str],
    progress: Progress | None,
) -> dict[str, _Of]:
    """Search for all phrases in some tracks."""
    from earshot.search import Tracks, search_columns  # LLVM: nothing but a search needs it

    ready = Tracks(tracks)
    network = field.snapshot.manifest.network
    number = {name: at for at, name in enumerate(recordings)}
    of_track = np.array([number[track.recording] for track in tracks], np.int32)
    channels = np.array([track.channel for track in tracks], np.int8)
    parts: list[list[npt.NDArray[Any]]] = []
    for first in range(0, len(phrases) if len(tracks) else 0, STEP):
        if progress is not None:
            progress("searching", first / len(phrases))
        some = phrases[first : first + STEP]
        found = search_columns(
            [one.ways for one in some],
            ready,
            units=network.units,
            blank=network.blank,
            frame_seconds=network.frame_seconds,
            calibration=field.calibration,
            min_confidence=SEARCHED,
        )
        sure = _evidence(field, [one.ways for one in some], found)
        for at, (one, own) in enumerate(zip(found, sure, strict=True)):
            (kept,) = np.nonzero(own >= LEAST)
            start = one.start[kept] * network.frame_seconds - field.calibration.lead_seconds
            end = (one.end[kept] + 1) * network.frame_seconds + field.calibration.tail_seconds
            track = one.track[kept]
            phrase = np.full(len(kept), first + at)
            rows = (of_track[track], phrase, channels[track], np.maximum(start, 0), end, own[kept])
            parts.append(list(rows))
    columns = {
        name: np.concatenate([np.zeros(0, kind), *(part[at] for part in parts)]).astype(kind)
        for at, (name, kind) in enumerate(_COLUMNS.items())
    }
    order = np.lexsort((columns["start"], columns["phrase"], columns["recording"]))
    edges = np.searchsorted(columns["recording"][order], np.arange(len(recordings) + 1))
    frames = np.zeros(len(recordings), np.int64)
    np.add.at(frames, of_track, [track.heard.frames for track in tracks])
    return {
        name: _Of(
            int(frames[at]),
            {key: one[order[edges[at] : edges[at + 1]]] for key, one in columns.items()},
        )
        for at, name in enumerate(recordings)
    }


def _evidence(
    field: Field, ways: Sequence[Sequence[Any]], found: Sequence[Found]
) -> list[npt.NDArray[np.float64]]:
    """How sure each mention is, against the network's background alone."""
    from earshot.search.confidence import FEATURES, all_alarms
    from earshot.search.ear import Ear
    from earshot.search.sweep import Sweep

    network = field.snapshot.manifest.network
    names = [one.name for one in FEATURES]
    alarms_at, rivals_at = names.index("alarms"), names.index("rivals")
    ear = Ear.of(network.units, network.blank, network.frame_seconds, field.calibration)
    plans = [ear.plan(way) for each in ways for way in each]
    ground = Sweep(
        field.calibration.ground,
        plans,
        frame_seconds=network.frame_seconds,
        confusion=ear.confusion,
    )
    sure = []
    first = 0
    for own, each in zip(ways, found, strict=True):
        features = each.features.copy()
        for at, way in enumerate(own):
            (mine,) = np.nonzero(each.pronunciation == at)
            histogram = ground.histograms[first + at]
            alarms = all_alarms(
                histogram[np.newaxis], len(way.units), BLOCK * network.frame_seconds
            )[0]
            costs = np.minimum(each.cost[mine], len(alarms) - 1)
            features[mine, alarms_at] = alarms[costs]
        features[:, rivals_at] = 0.0
        sure.append(field.calibration.confidence(features))
        first += len(own)
    return sure


def _digest(phrases: Sequence[Candidate], network: str) -> str:
    """A name for what is searched for, and by which ear."""
    said = [[[*way.units], way.log_probability] for one in phrases for way in one.ways]
    counts = [len(one.ways) for one in phrases]
    content = json.dumps([FORMAT, network, SEARCHED, LEAST, counts, said])
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _read(path: Path, phrases: int) -> dict[str, _Of]:
    """What was kept; nothing where it is missing or damaged, since it can be searched again."""
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads((file.metadata() or {})["heard"])
            columns = {name: file.get_tensor(name) for name in _COLUMNS}
        path.touch()
        edges = np.cumsum([0, *about["counts"]]).tolist()
        fits = len({len(one) for one in columns.values()}) == 1 and edges[-1] == len(
            columns["phrase"]
        )
        if not fits or (edges[-1] and int(columns["phrase"].max()) >= phrases):
            return {}
        return {
            name: _Of(frames, {key: one[start:end] for key, one in columns.items()})
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
        "counts": [len(one.rows["phrase"]) for one in kept.values()],
    }
    columns = {
        name: np.concatenate([np.zeros(0, kind), *(one.rows[name] for one in kept.values())])
        for name, kind in _COLUMNS.items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LibraryError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_atomically(path, save(columns, {"heard": json.dumps(about)}))
    files = sorted(path.parent.glob("*.safetensors"), key=lambda one: -one.stat().st_mtime)
    for old in files[_KEPT:]:
        discard(old)
