"""Fit a network's `confidence.json` on recordings of which every word is known.

    earshot --library WORK add RECORDINGS
    python recipes/calibrate.py WORK REFERENCES.jsonl --out src/earshot/networks/english

REFERENCES.jsonl has one line a word said: {"recording": its id, title or file name, "start",
"end": seconds, "text"}. A line may also hold a whole utterance; and a manifest of clips as
`recipes/speech_data.py` writes it will do ("audio" for the recording, "duration" for the end).
Recordings whose lines say "condition" are searched apart by it: where the same words are heard in
several conditions, a query would otherwise be said once more in each than it is to be found in one.
Recordings should be of others than the network was trained on, and of the kind that will be
searched. Queries are words and phrases of the references, or those of --queries (one a line). What
is learned, in this order:

1. weights: a logistic model of what a candidate shows, signs bounded (no cost may ever raise a
   confidence), regularised by an L2 penalty that cross-validation over queries chooses;
2. curve: a monotone correction of the result, when there are mentions enough to measure one;
3. lead and tail: how far words reach beyond their first and last unit.

The first minutes of the recordings become the background that queries are measured against; they
are left out of the rest. Printed are the Brier score, the expected calibration error of mentions
that would be shown, and MTWV, cross-validated over queries, together and by condition.

It needs numpy and scipy, and knows nothing of audio or of networks.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

import earshot.search
from earshot.errors import EarshotError
from earshot.index import open_snapshot
from earshot.search import Calibration, Candidate, Pronunciation, Track, candidates
from earshot.search.confidence import FEATURES
from earshot.searching import LEAST_CONFIDENCE

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

HIT_SECONDS = 0.5  # a hit's midpoint lies within this of what was said (NIST)
BETA = 999.9  # what a false alarm costs against a miss, in the term-weighted value (NIST)
FOLDS = 5
PENALTIES = (0.1, 1.0, 10.0, 100.0)
CURVE_HITS = 1000  # fewer do not tell a curve from chance
CURVE_BINS = 15
EXACT_HITS = 20  # fewer do not tell where words begin and end
LETTERS = 5  # the least that a word has which is asked for, alone or in a phrase
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


class Speller(Protocol):
    """Text to pronunciations; `earshot.units.Speller` is one."""

    def pronunciations(self, text: str, limit: int = 8) -> Sequence[Pronunciation]: ...


@dataclass(frozen=True, slots=True)
class Said:
    """One word of a recording; `track` an index in the tracks, times in seconds.

    `exact` tells whether the times are the word's own or those of the utterance it lies in.
    """

    track: int
    start: float
    end: float
    text: str
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Trial:
    """Queries searched for, and what came of it.

    One element a candidate: features (candidates, features), hits, queries (index of its query),
    leads and tails (seconds from what was said to the alignment's edges; NaN where unknown).
    said: how often each query was said; seconds: how much was searched for each. Of trials in
    several conditions a query is another one in each; texts: by query, a number for its text.
    """

    features: Floats
    hits: Flags
    queries: npt.NDArray[np.int64]
    leads: Floats
    tails: Floats
    said: npt.NDArray[np.int64]
    seconds: Floats
    texts: npt.NDArray[np.int64]

    def of(self, first: int, last: int) -> Trial:
        """The part of it that is of the queries from `first` to `last`, exclusive."""
        mine = (self.queries >= first) & (self.queries < last)
        columns = (self.features, self.hits, self.queries - first, self.leads, self.tails)
        own = slice(first, last)
        whole = self.said[own], self.seconds[own], self.texts[own]
        return Trial(*(column[mine] for column in columns), *whole)


@dataclass(frozen=True, slots=True)
class Quality:
    """Brier score, expected calibration error of what is shown, maximum term-weighted value."""

    brier: float
    error: float
    value: float

    def __str__(self) -> str:
        return f"Brier {self.brier:.4f}, error {self.error:.4f}, MTWV {self.value:.4f}"


@dataclass(frozen=True, slots=True)
class Ear:
    """What the tracks' columns are and how long a frame is."""

    units: tuple[str, ...]
    blank: int
    frame_seconds: float


def main() -> int:
    """Command line; see the module's beginning."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("library", type=Path)
    parser.add_argument("references", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the network")
    parser.add_argument("--queries", type=Path, help="one a line, instead of chosen ones")
    parser.add_argument("--count", type=int, default=500, help="queries to choose")
    parser.add_argument("--background-minutes", type=float, default=20.0)
    parser.add_argument("--rows", type=Path, help="write what was learned on, one candidate a line")
    options = parser.parse_args()
    try:
        calibrate(options)
    except (EarshotError, OSError, ValueError) as error:
        print(f"calibrate: {error}", file=sys.stderr)
        return 1
    return 0


def calibrate(options: argparse.Namespace) -> None:
    """Read, learn, report, write."""
    from earshot.spellers import open_speller  # reads the dictionary: only when run

    speller = open_speller(options.out)
    snapshot = open_snapshot(options.library)
    network = snapshot.manifest.network
    ear = Ear(tuple(network.units), network.blank, network.frame_seconds)
    tracks = [
        Track(entry.recording, entry.channel, heard)
        for entry, heard in zip(snapshot.tracks, snapshot.heard, strict=True)
    ]
    names = names_of(options.library, tracks)
    said, conditions = read_references(options.references, names)
    background = count_background(tracks, options.background_minutes * 60 / ear.frame_seconds)
    if background >= len(tracks):
        raise ValueError("the recordings are all background: add more, or take fewer minutes")
    rest = [replace(one, track=one.track - background) for one in said if one.track >= background]
    start = Calibration(background=tuple(one.heard.costs() for one in tracks[:background]))
    tracks = tracks[background:]
    if options.queries:
        queries = options.queries.read_text(encoding="utf-8").splitlines()
    else:
        queries = choose_queries(rest, options.count)
    parts: dict[str, list[int]] = {}
    for index in range(len(tracks)):
        parts.setdefault(conditions.get(index + background, ""), []).append(index)
    trials = []
    for part in parts.values():
        own = {index: at for at, index in enumerate(part)}
        heard = [replace(one, track=own[one.track]) for one in rest if one.track in own]
        trials.append(search(queries, [tracks[i] for i in part], heard, speller, start, ear))
    trial = together(trials)
    if options.rows:
        write_rows(options.rows, trial, queries)
    learned = learn(trial, start, list(parts))
    learned.save(options.out / "confidence.json")


def read_references(path: Path, names: Mapping[str, int]) -> tuple[list[Said], dict[int, str]]:
    """Words said, in order, and the condition by track; ValueError for a line of no use."""
    said = []
    conditions: dict[int, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            track = names[row["recording"] if "recording" in row else Path(row["audio"]).name]
            start = float(row.get("start", 0.0))
            end = float(row["end"] if "end" in row else start + row["duration"])
            words = WORD.findall(row["text"].lower())
            conditions[track] = str(row.get("condition", ""))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            what = f"{type(error).__name__} {error}"
            raise ValueError(f"{path}:{number}: not a word of a recording ({what})") from error
        said += [Said(track, start, end, word, exact=len(words) == 1) for word in words]
    return sorted(said, key=lambda one: (one.track, one.start)), conditions


def names_of(library: Path, tracks: Sequence[Track]) -> dict[str, int]:
    """Index of the first track of each recording, by id, title and file name."""
    from earshot.library import Library  # only when run

    names: dict[str, int] = {}
    for index, track in enumerate(tracks):
        names.setdefault(track.recording, index)
    for recording in Library(library).list():
        if recording.id in names:
            for name in (recording.title, recording.path, Path(recording.path).name):
                names.setdefault(name, names[recording.id])
    return names


def count_background(tracks: Sequence[Track], frames: float) -> int:
    """How many tracks, from the first, make so many frames."""
    total = 0
    for count, track in enumerate(tracks):
        if total >= frames:
            return count
        total += track.heard.frames
    return len(tracks)


def choose_queries(said: Sequence[Said], count: int, seed: int = 1) -> list[str]:
    """Words, and phrases of two and three words, a third each; each has a long word at least."""
    generator = random.Random(seed)
    chosen = []
    for length in (1, 2, 3):
        pool = {
            " ".join(one.text for one in words)
            for words in runs(said, length)
            if any(len(one.text) >= LETTERS for one in words)
        }
        chosen += generator.sample(sorted(pool), min(count // 3, len(pool)))
    return chosen


def runs(said: Sequence[Said], length: int) -> list[Sequence[Said]]:
    """All `length` words that follow each other in a recording, less than a second apart."""
    found = []
    for first in range(len(said) - length + 1):
        words = said[first : first + length]
        steps = pairwise(words)
        if all(a.track == b.track and b.start - a.end < 1.0 for a, b in steps):
            found.append(words)
    return found


def occurrences(said: Sequence[Said], queries: Sequence[str]) -> list[list[Said]]:
    """Where each query was said, as one `Said` each."""
    wanted = {tuple(query.lower().split()): index for index, query in enumerate(queries)}
    found: list[list[Said]] = [[] for _ in queries]
    for length in sorted({len(words) for words in wanted}):
        for words in runs(said, length):
            index = wanted.get(tuple(one.text for one in words))
            if index is not None:
                start, end = words[0].start, words[-1].end
                exact = all(one.exact for one in words)
                found[index].append(Said(words[0].track, start, end, queries[index], exact))
    return found


def search(
    queries: Sequence[str],
    tracks: Sequence[Track],
    said: Sequence[Said],
    speller: Speller,
    calibration: Calibration,
    ear: Ear,
) -> Trial:
    """Search for all queries and hold what comes against what was said."""
    pronunciations = [speller.pronunciations(query) for query in queries]
    found = candidates(
        pronunciations,
        tracks,
        earshot.search.Ear(ear.units, ear.blank, ear.frame_seconds, calibration),
    )
    true = occurrences(said, queries)
    rows: list[tuple[Candidate, int, Said | None]] = []
    for index, (ranked, spoken) in enumerate(zip(found, true, strict=True)):
        left = list(spoken)
        for one in ranked:
            match = next((other for other in left if _agree(one, other, ear)), None)
            if match is not None:
                left.remove(match)
            rows.append((one, index, match))
    return Trial(
        features=np.array([one.features for one, _, _ in rows]).reshape(-1, len(FEATURES)),
        hits=np.array([match is not None for _, _, match in rows], np.bool_),
        queries=np.array([index for _, index, _ in rows], np.int64),
        leads=np.array([_lead(one, match, ear) for one, _, match in rows]),
        tails=np.array([_tail(one, match, ear) for one, _, match in rows]),
        said=np.array([len(spoken) for spoken in true], np.int64),
        seconds=np.full(len(queries), sum(one.heard.frames for one in tracks) * ear.frame_seconds),
        texts=np.arange(len(queries)),
    )


def together(trials: Sequence[Trial]) -> Trial:
    """Trials of the same queries in several conditions as one."""
    firsts = np.cumsum([0, *(len(one.said) for one in trials[:-1])])
    moved = [
        replace(one, queries=one.queries + first)
        for one, first in zip(trials, firsts.tolist(), strict=True)
    ]
    names = Trial.__slots__
    return Trial(*(np.concatenate([getattr(one, name) for one in moved]) for name in names))


def _agree(found: Candidate, said: Said, ear: Ear) -> bool:
    """Whether the middle of a candidate lies where the query was said, or close by."""
    middle = (found.start + found.end + 1) / 2 * ear.frame_seconds
    near = said.start - HIT_SECONDS <= middle <= said.end + HIT_SECONDS
    return found.track == said.track and near


def _lead(found: Candidate, said: Said | None, ear: Ear) -> float:
    return found.start * ear.frame_seconds - said.start if said and said.exact else np.nan


def _tail(found: Candidate, said: Said | None, ear: Ear) -> float:
    return said.end - (found.end + 1) * ear.frame_seconds if said and said.exact else np.nan


def learn(trial: Trial, start: Calibration, parts: Sequence[str] = ("",)) -> Calibration:
    """The calibration with weights, curve, lead and tail learned from `trial`; prints how good.

    parts: names of the conditions whose queries follow each other in the trial, equally many.
    """
    size = len(trial.said) // len(parts)
    seconds = trial.seconds[::size].sum()
    print(f"{size} queries, said {trial.said.sum()} times in {seconds:.0f} s;")
    print(f"{len(trial.hits)} candidates, {trial.hits.sum()} of them hits")
    if trial.hits.sum() < 2 * FOLDS or trial.hits.all():
        raise ValueError("there are too few hits or false alarms to learn from")
    plain = quality(start.confidence(trial.features), trial)
    print(f"before: {plain}")
    tried = []
    for penalty in PENALTIES:
        held_out = cross_validated(trial, start, penalty)
        shown = quality(held_out, trial)
        tried.append((shown.brier, penalty, held_out))
        print(f"L2 {penalty:g}: {shown}")
    _, penalty, held_out = min(tried, key=lambda one: one[0])
    for index, part in enumerate(parts if len(parts) > 1 else ()):
        own = index * size, (index + 1) * size
        mine = (trial.queries >= own[0]) & (trial.queries < own[1])
        print(f"  {part or 'unnamed'}: {quality(held_out[mine], trial.of(*own))}")
    bias, weights = fit(trial.features, trial.hits, penalty)
    learned = start.with_weights(bias, weights)
    for name, weight in weights.items():
        print(f"  {name:16} {weight:+.4f}")
    if trial.hits.sum() >= CURVE_HITS:
        learned = replace(learned, curve=monotone(np.log(held_out / (1 - held_out)), trial.hits))
    if np.isfinite(trial.leads).sum() >= EXACT_HITS:
        lead, tail = np.nanmedian(trial.leads), np.nanmedian(trial.tails)
        print(f"words reach {lead:.3f} s before their first unit, {tail:.3f} s behind their last")
        learned = replace(learned, lead_seconds=round(lead, 3), tail_seconds=round(tail, 3))
    return learned


def fit(features: Floats, hits: Flags, penalty: float) -> tuple[float, dict[str, float]]:
    """Bias and weights, by feature, of the penalised logistic model whose signs are bounded."""
    spread = np.maximum(features.std(axis=0), 1e-6)
    centre = features.mean(axis=0)
    scaled = np.column_stack(((features - centre) / spread, np.ones(len(features))))
    signs = np.where(hits, 1.0, -1.0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        margin = signs * (scaled @ weights)
        inner = weights.copy()
        inner[-1] = 0.0
        value = np.logaddexp(0.0, -margin).sum() + penalty / 2 * (inner @ inner)
        slope = scaled.T @ (-signs / (1.0 + np.exp(np.clip(margin, -50, 50))))
        return float(value), slope + penalty * inner

    limits = {-1: (None, 0.0), 0: (None, None), 1: (0.0, None)}
    bounds = [*(limits[feature.sign] for feature in FEATURES), (None, None)]
    result = minimize(loss, np.zeros(scaled.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds)
    raw = result.x[:-1] / spread
    weights = {one.name: float(weight) for one, weight in zip(FEATURES, raw, strict=True)}
    return float(result.x[-1] - raw @ centre), weights


def cross_validated(trial: Trial, start: Calibration, penalty: float) -> Floats:
    """Confidence of every candidate by a model that has not seen its query."""
    confidence = np.zeros(len(trial.hits))
    for fold in range(FOLDS):
        out = trial.texts[trial.queries] % FOLDS == fold
        if out.any() and trial.hits[~out].any():
            bias, weights = fit(trial.features[~out], trial.hits[~out], penalty)
            confidence[out] = start.with_weights(bias, weights).confidence(trial.features[out])
    return confidence


def quality(confidence: Floats, trial: Trial) -> Quality:
    """How far confidences are from what happened, and how well they rank."""
    hits = trial.hits.astype(np.float64)
    shown = confidence >= LEAST_CONFIDENCE
    sure, true = confidence[shown], hits[shown]
    bins = np.minimum((sure * 10).astype(np.int64), 9)
    error = sum(
        abs(sure[bins == one].mean() - true[bins == one].mean()) * (bins == one).mean()
        for one in range(10)
        if (bins == one).any()
    )
    brier = float(((confidence - hits) ** 2).mean())
    return Quality(brier, float(error), maximum_value(confidence, trial))


def maximum_value(confidence: Floats, trial: Trial) -> float:
    """Term-weighted value at the best threshold, over the queries that were said at all."""
    weights = trial.said[trial.queries].astype(np.float64)
    counted = weights > 0
    order = np.argsort(-confidence[counted], kind="stable")
    hits = trial.hits[counted][order]
    often = weights[counted][order]
    seconds = trial.seconds[trial.queries][counted][order]
    gain = np.where(hits, 1.0 / often, -BETA / (seconds - often))
    total = np.concatenate(([0.0], np.cumsum(gain)))
    return float(total.max() / max((trial.said > 0).sum(), 1))


def monotone(odds: Floats, hits: Flags) -> tuple[tuple[float, float], ...]:
    """Points (log-odds, share of hits) that never fall: pool-adjacent-violators over bins.

    Bins hold equal numbers of hits, as most candidates are hopeless ones. Ends are open.
    """
    order = np.argsort(odds, kind="stable")
    edges = np.searchsorted(np.cumsum(hits[order]), np.linspace(0, hits.sum(), CURVE_BINS + 1))
    edges[0], edges[-1] = 0, len(order)
    pools: list[list[float]] = []
    for first, last in pairwise(edges):
        if last <= first:
            continue
        part = order[first:last]
        pools.append([float(odds[part].sum()), float(hits[part].sum()), float(len(part))])
        while len(pools) > 1 and pools[-2][1] / pools[-2][2] >= pools[-1][1] / pools[-1][2]:
            top = pools.pop()
            pools[-1] = [a + b for a, b in zip(pools[-1], top, strict=True)]
    inner = [(x / size, share / size) for x, share, size in pools]
    return ((-30.0, 0.0), *((round(x, 4), round(y, 4)) for x, y in inner), (30.0, 1.0))


def write_rows(path: Path, trial: Trial, queries: Sequence[str]) -> None:
    """One JSON line a candidate: its query, features and whether it was a hit."""
    with path.open("w", encoding="utf-8") as file:
        for shown, hit, query in zip(trial.features, trial.hits, trial.queries, strict=True):
            values = {one.name: float(x) for one, x in zip(FEATURES, shown, strict=True)}
            row = {"query": queries[trial.texts[query]], "features": values, "hit": int(hit)}
            file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    sys.exit(main())
