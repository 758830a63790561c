"""How sure a mention is: what an alignment shows, turned into a calibrated probability.

A cost says how well the ear's activations fit a query, not how often something else fits as well:
"art" is matched every minute by accident, "Mississippi" never. So every query is first measured
against speech in which it was hardly ever said (a background that comes with the network, and the
searched recordings themselves): how many false alarms an hour would a cost as low as this give?
That rate, what the single alignment shows (worst unit, left-out units, pace, pauses) and how many
other places fit as well go into a logistic model whose weights `recipes/calibrate.py` fits on
queries whose mentions are known.

This module knows how alignments look, but nothing of how they are found, of text or of files other
than its own: `confidence.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from earshot.errors import NetworkError
from earshot.lanes import Costs, Track, laid
from earshot.search.align import STEPS_PER_NAT, Tolerance, readable
from earshot.search.sought import Measured

Scores = npt.NDArray[np.float64]

# Format 1 had no weight of rivals; it is read as what it says.
FORMAT = 2
READABLE = (1, FORMAT)

# Length of an average unit in running speech, in seconds: pace is told relative to it.
UNIT_SECONDS = 0.08

# A place whose score is this counts as half a rival: one false alarm in 55 hours.
EVEN = -4.0

# Of so many units, equally likely, any one could come next: what a language leaves open.
PERPLEXITY = 20.0


class Pronunciation(Protocol):
    """A sequence of units that may sound like the query, as `earshot.units` makes it.

    `words` are the indexes in `units` where words start, `log_probability` how likely a speaker is
    to say it this way, `spelled` by word whether it was spelled out from letters.
    """

    @property
    def units(self) -> Sequence[str]: ...
    @property
    def words(self) -> Sequence[int]: ...
    @property
    def log_probability(self) -> float: ...
    @property
    def spelled(self) -> Sequence[bool]: ...


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that an alignment shows. `sign` is the direction its weight may have (0: any).

    No alignment shows less than `least` nor more than `most`.
    """

    name: str
    sign: int
    meaning: str
    least: float = 0.0
    most: float = math.inf


FEATURES: tuple[Feature, ...] = (
    Feature(
        "alarms",
        -1,
        "ln of the false alarms expected at this cost in an hour, or in less",
        least=-math.inf,
    ),
    Feature("cost", -1, "cost of the alignment, nats per unit"),
    Feature("worst", -1, "cost of the worst unit, nats"),
    Feature("clean", 1, "share of the units that were heard cleanly", most=1.0),
    Feature("deleted", -1, "share of the units that were left out", most=1.0),
    Feature("gap", -1, "cost of what was heard between the units, nats per unit"),
    Feature("pause", -1, "longest pause between two words, seconds"),
    Feature("length", 0, "ln of the number of units"),
    Feature(
        "pace",
        0,
        "ln of the seconds per unit, pauses aside, against the average speaker's",
        least=-math.inf,
    ),
    Feature("pace_squared", -1, "the same, squared: very fast and very slow are both unlikely"),
    Feature("doubt", -1, "how unsure the ear was of its best unit where units were found, nats"),
    Feature(
        "log_probability",
        1,
        "ln probability of this pronunciation of the query",
        least=-10.0,
        most=0.0,
    ),
    Feature(
        "spelled", -1, "share of the words whose pronunciation was spelled from letters", most=1.0
    ),
    Feature(
        "rivals",
        -1,
        "ln of the mentions that all costs together promise in an hour, or in less",
        least=-math.inf,
    ),
)


@dataclass(frozen=True, eq=False)
class Calibration:
    """Everything about a network that search has to know, read from its `confidence.json`.

    lead_seconds, tail_seconds: how far a word reaches before its first unit's first frame and
    behind its last unit's last. weights: by feature, of a logistic model with `bias`. curve: points
    (log-odds, confidence) of a last monotone correction, or none. background: costs (frames, units)
    of speech that queries are measured against.
    """

    tolerance: Tolerance = field(default_factory=Tolerance)
    lead_seconds: float = 0.04
    tail_seconds: float = 0.04
    bias: float = 0.0
    # Uncalibrated, a mention is as likely as one true mention an hour is against its false alarms.
    weights: Mapping[str, float] = field(default_factory=lambda: {"alarms": -1.0})
    curve: tuple[tuple[float, float], ...] = ()
    background: tuple[Costs, ...] = ()

    @cached_property
    def ground(self) -> tuple[Track, ...]:
        """The background, laid into lanes."""
        return laid(self.background)

    @classmethod
    def open(cls, path: Path) -> Calibration:
        """Read `confidence.json`; raises NetworkError when it is missing, damaged or newer."""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise NetworkError(f"{path}: cannot be read ({error.strerror}).") from error
        except ValueError as error:
            raise NetworkError(f"{path}: is not JSON ({error}).") from error
        if not isinstance(content, dict) or content.get("format") not in READABLE:
            found = content.get("format") if isinstance(content, dict) else None
            raise NetworkError(f"{path}: has format {found}, this version reads up to {FORMAT}.")
        try:
            return _parse(content, path.parent)
        except (KeyError, TypeError, ValueError, OSError, SafetensorError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
            raise NetworkError(f"{path}: {what}; install the network again.") from error

    def save(self, path: Path) -> None:
        """Write `confidence.json` and, beside it, `background.safetensors` when there is one."""
        if self.background:
            names = {f"{index:04d}": costs.copy() for index, costs in enumerate(self.background)}
            save_file(names, path.with_name("background.safetensors"))
        content = {
            "format": FORMAT,
            "tolerance": asdict(self.tolerance),
            "lead_seconds": self.lead_seconds,
            "tail_seconds": self.tail_seconds,
            "bias": self.bias,
            "weights": dict(self.weights),
            "curve": [list(point) for point in self.curve],
            "background": "background.safetensors" if self.background else None,
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def confidence(self, features: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Probabilities (candidates,) of `features` (candidates, len(FEATURES))."""
        odds = np.full(len(features), self.bias)
        # Summed in one order whatever the number of rows: a product of matrices is not.
        for index, feature in enumerate(FEATURES):
            odds += self.weights.get(feature.name, 0.0) * features[:, index]
        return self._corrected(np.clip(odds, -30.0, 30.0))

    def _corrected(self, odds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if self.curve:
            points = np.array(self.curve)
            corrected: npt.NDArray[np.float64] = np.interp(odds, points[:, 0], points[:, 1])
            return corrected
        probabilities: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-odds))
        return probabilities

    def most_confident(
        self,
        length: Scores | float,
        probability: Scores,
        alarms: Scores,
        cost: Scores,
        rivals: Scores,
        pace: Scores | float = math.inf,
    ) -> Scores:
        """The most that alignments can be worth.

        length, probability, rivals: what there are; alarms, cost: the least there are; pace: the
        most there is. All as the features, arrays that fit each other.
        """
        exact: dict[str, Any] = {
            "length": length, "rivals": rivals, "log_probability": probability
        }  # fmt: skip
        least_known: dict[str, Any] = {"alarms": alarms, "cost": cost}
        odds = np.full(1, self.bias)
        for feature in FEATURES:
            weight = self.weights.get(feature.name, 0.0)
            if not weight or feature.name in ("pace", "pace_squared"):
                continue
            if feature.name in exact:
                odds = odds + weight * exact[feature.name]
            else:
                least = least_known.get(feature.name, feature.least)
                odds = odds + np.maximum(weight * least, weight * feature.most)
        # What it costs lies in its units, the worst of which cost more than the mean, or in gaps.
        worst, gap = (self.weights.get(name, 0.0) for name in ("worst", "gap"))
        odds = odds + cost * min(max(worst, gap), 0.0)
        # The pace and its square are one number: a parabola, which has a top or no bound at all.
        linear, square = (self.weights.get(name, 0.0) for name in ("pace", "pace_squared"))
        if square < 0:
            best = np.minimum(pace, -linear / (2 * square))
            odds = odds + (linear + square * best) * best
        elif linear or square:
            odds = np.full_like(odds, np.inf)
        return self._corrected(np.clip(odds, -30.0, 30.0))

    def with_weights(self, bias: float, weights: Mapping[str, float]) -> Calibration:
        """The same with other weights and no curve."""
        return replace(self, bias=bias, weights=dict(weights), curve=())


def log_alarms(
    histogram: npt.NDArray[np.int64],
    costs: npt.NDArray[np.integer],
    units: int,
    window_seconds: float,
) -> npt.NDArray[np.float64]:
    """ln of the false alarms an hour that a query of so many units gives at `costs` or lower.

    histogram: how many windows (see Sweep) had which lowest cost; its last bin counts those with
    none within the limit. costs: in steps. True mentions are among the windows, so nothing is read
    off the lowest few: the slope of the tail is measured in the bulk, and followed downwards as a
    straight line, costs of accidental matches being close to exponential there. Added to it is
    what no cost can tell from a mention: the same units, said within other words.
    """
    every = all_alarms(histogram[np.newaxis], units, window_seconds)[0]
    found: npt.NDArray[np.float64] = every[np.minimum(costs, len(every) - 1)]
    return found


def all_alarms(
    histograms: npt.NDArray[np.int64], units: int, window_seconds: float
) -> npt.NDArray[np.float64]:
    """`log_alarms` (plans, costs) at every cost, of plans with histograms (plans, costs + 1)."""
    totals = np.maximum(histograms.sum(axis=1), 1)[:, np.newaxis]
    cumulative = np.maximum(np.cumsum(histograms[:, :-1], axis=1), 0.5) / totals
    last = cumulative.shape[1] - 1
    # The lowest costs that these shares of the windows do not exceed, or the last there is.
    low, high = (np.minimum((cumulative < one).sum(axis=1), last) for one in _TAIL_SHARES)
    ends = zip(cumulative, low.tolist(), high.tolist(), strict=True)
    rises = np.array([math.log(row[upper] / row[lower]) for row, lower, upper in ends])
    slopes = np.clip(rises / np.maximum(high - low, 1), *_SLOPES)[:, np.newaxis]
    steps, low = np.arange(last + 1), low[:, np.newaxis]
    logs = np.log(np.take_along_axis(cumulative, np.maximum(steps, low), axis=1))
    logs -= slopes * np.maximum(low - steps, 0)
    within = math.log(3600 / UNIT_SECONDS) - units * math.log(PERPLEXITY)
    both = np.logaddexp(logs + math.log(3600 / window_seconds), within)
    limited: npt.NDArray[np.float64] = np.maximum(both, -12.0)
    return limited


def log_rivals(
    scores: Sequence[npt.NDArray[np.float64]],
    histograms: Sequence[npt.NDArray[np.int64]],
    hours: float,
) -> float:
    """ln of the mentions that the costs alone promise in an hour, or in all if that is less.

    scores: by pronunciation and cost, ln of the alarms expected; histograms: windows of that cost.
    A place is the less likely a mention the more of the others are as good: scores of one query are
    wrong together (its sounds are commoner, or the ear worse at them, than was expected), so what
    is left of them is told by comparing them with each other. Known in the field as relative to the
    maximum, or as sum to one; counting by the hour, this does not depend on how much is searched.
    """
    promised = [
        float(counts[: len(score)] @ (1.0 / (1.0 + np.exp(np.clip(score - EVEN, -50, 50)))))
        for score, counts in zip(scores, histograms, strict=True)
    ]
    # Pronunciations of a query are met at the same places: the one that promises most counts.
    return math.log(max([_FEWEST, *promised]) / max(hours, 1.0))


def said(pronunciation: Pronunciation) -> tuple[int, float, float, float]:
    """What a pronunciation itself says of all its alignments: the number of its units, ln of that,
    how likely it is, and which share of its words was spelled from letters."""
    count = len(pronunciation.units)
    spelled = pronunciation.spelled
    share = sum(spelled) / len(spelled) if spelled else 0.0
    return count, math.log(count), max(pronunciation.log_probability, -10.0), share


def features(
    shown: Measured,
    alarms: npt.NDArray[np.float64],
    count: npt.NDArray[np.float64],
    length: npt.NDArray[np.float64],
    log_probability: npt.NDArray[np.float64],
    spelled: npt.NDArray[np.float64],
    rivals: npt.NDArray[np.float64],
    *,
    frame_seconds: float,
) -> npt.NDArray[np.float64]:
    """The features (alignments, len(FEATURES)) of alignments that `measured` shows.

    alarms, what is `said` of their pronunciations, rivals of their queries: (alignments,) each.
    """
    cost, worst, clean, deleted, gaps, pause, spoken, doubt = shown.T
    pace = paces(spoken, count, frame_seconds)
    return np.column_stack(
        (
            alarms,
            (cost + gaps) / STEPS_PER_NAT / count,
            worst / STEPS_PER_NAT,
            clean / count,
            deleted / count,
            gaps / STEPS_PER_NAT / count,
            pause * frame_seconds,
            length,
            pace,
            pace * pace,
            np.log(doubt) / np.maximum(count - deleted, 1),
            log_probability,
            spelled,
            rivals,
        )
    )


def paces(frames: Scores, count: Scores, frame_seconds: float) -> Scores:
    """The pace of speech that lasts so many frames and has so many units, as the feature."""
    pace: Scores = np.log(np.maximum(frames, 1) * frame_seconds / (count * UNIT_SECONDS))
    return pace


# Shares of windows between which the slope of the tail is measured. The lower one stands clear of
# true mentions as long as there are fewer than one in every 30 seconds.
_TAIL_SHARES = (1 / 30, 1 / 4)

# Bounds of that slope, in e-folds a step: too few windows, or too short a query, show anything.
_SLOPES = (1 / 32, 1 / 8)

# Where costs promise nothing at all.
_FEWEST = 1e-9


def _parse(content: dict[str, Any], folder: Path) -> Calibration:
    """A calibration from the content of its file; raises what a damaged content makes it raise."""
    prices = content["tolerance"]
    tolerance = Tolerance(**{one.name: int(prices[one.name]) for one in fields(Tolerance)})
    weights = {str(name): float(weight) for name, weight in content["weights"].items()}
    unknown = sorted(set(weights) - {feature.name for feature in FEATURES})
    if unknown:
        raise ValueError(f"unknown feature {unknown[0]}")
    if content.get("confusion") is not None:
        raise ValueError("it prices confusions of units, which are not searched with any more")
    background: tuple[Costs, ...] = ()
    if content["background"] is not None:
        arrays = load_file(folder / content["background"])
        background = tuple(readable(arrays[name]) for name in sorted(arrays))
    return Calibration(
        tolerance=tolerance,
        lead_seconds=float(content["lead_seconds"]),
        tail_seconds=float(content["tail_seconds"]),
        bias=float(content["bias"]),
        weights=weights,
        curve=tuple((float(x), float(y)) for x, y in content["curve"]),
        background=background,
    )
