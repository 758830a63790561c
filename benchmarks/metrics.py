"""Measures of search in speech: found@k, recall at a false-alarm rate, term-weighted value.

Definitions follow NIST's Spoken Term Detection evaluation (2006) and OpenKWS: a finding is a hit
when its midpoint is within half a second of the span of an occurrence that no better finding has
taken; every other finding, a second one of the same occurrence too, is a false alarm. Term-weighted
value is 1 - mean over queries of (P_miss + 999.9 * P_fa), P_fa = false alarms / (seconds of audio
- true occurrences).

It knows nothing of audio, of how things are found, or what a score means beyond "more is surer".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TOLERANCE_SECONDS = 0.5
BETA = 999.9  # what a false alarm costs against a miss, for terms of one in ten thousand seconds


@dataclass(frozen=True, slots=True)
class Occurrence:
    """Where a query was really said; seconds from the beginning of the recording."""

    recording: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Where a system says that a query was said, and how sure it is (any scale, more is surer)."""

    recording: str
    start: float
    end: float
    score: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """The findings of one query, best first, held against its `occurrences`.

    `hits[i]` tells whether the i-th finding is the first one of an occurrence, `scores[i]` is its
    score (never rising), `true_top[i]` whether it lies at an occurrence at all, be it one that a
    better finding has taken.
    """

    query: str
    occurrences: int
    scores: tuple[float, ...]
    hits: tuple[bool, ...]
    true_top: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """A system that shows findings of at least `threshold`: what it finds and what it invents."""

    threshold: float
    hits: int
    false_alarms: int
    value: float  # term-weighted


@dataclass(frozen=True, slots=True)
class SystemResult:
    """What a system found for each query, and what that cost.

    `shown` holds, by query, what a user sees by default, best first; `findings` everything that
    the system can tell, however unsure. `listen_seconds` (`listen_cpu_seconds`: of all processors
    together) is for taking in all recordings, `search_seconds` for all queries one after the other
    once that is done, None where searching is listening again.
    """

    name: str
    findings: dict[str, list[Finding]]
    shown: dict[str, list[Finding]]
    listen_seconds: float
    listen_cpu_seconds: float
    search_seconds: float | None
    index_bytes: int
    refused: int  # queries that could not be asked for


def judge(query: str, findings: Sequence[Finding], occurrences: Sequence[Occurrence]) -> Judgement:
    """Findings, in any order, against the truth; equal scores keep the order given."""
    ranked = sorted(findings, key=lambda finding: -finding.score)
    free = list(occurrences)
    hits, true_top = [], []
    for finding in ranked:
        here = [o for o in free if agrees(finding, o)]
        if here:
            free.remove(min(here, key=lambda o: abs(_middle(finding) - _middle(o))))
        hits.append(bool(here))
        true_top.append(bool(here) or any(agrees(finding, o) for o in occurrences))
    return Judgement(
        query,
        len(occurrences),
        tuple(finding.score for finding in ranked),
        tuple(hits),
        tuple(true_top),
    )


def agrees(finding: Finding, occurrence: Occurrence) -> bool:
    """Whether the finding's midpoint is within half a second of the occurrence."""
    return (
        finding.recording == occurrence.recording
        and occurrence.start - TOLERANCE_SECONDS
        <= _middle(finding)
        <= occurrence.end + TOLERANCE_SECONDS
    )


def found_at(judgements: Sequence[Judgement], k: int) -> float:
    """Share of the queries with a true mention among the first `k` findings."""
    _some(judgements)
    return sum(any(j.true_top[:k]) for j in judgements) / len(judgements)


def recall_at(judgements: Sequence[Judgement], hours: float, per_query_hour: float = 1.0) -> float:
    """Share of all occurrences found by the lowest threshold (one for all queries) that gives at
    most `per_query_hour` false alarms per query and hour of audio."""
    _some(judgements)
    allowed = per_query_hour * len(judgements) * hours
    within = [p.hits for p in points(judgements, hours * 3600) if p.false_alarms <= allowed]
    return max(within, default=0) / sum(j.occurrences for j in judgements)


def maximum_value(judgements: Sequence[Judgement], seconds: float) -> float:
    """MTWV: the term-weighted value at the best threshold; 0 is what showing nothing gives."""
    return max((p.value for p in points(judgements, seconds)), default=0.0)


def actual_value(judgements: Sequence[Judgement], seconds: float, threshold: float) -> float:
    """ATWV: the term-weighted value of a system that shows findings of at least `threshold`."""
    shown = [p for p in points(judgements, seconds) if p.threshold >= threshold]
    return shown[-1].value if shown else 0.0


def points(judgements: Sequence[Judgement], seconds: float) -> list[Point]:
    """All distinct operating points, from the strictest threshold (nothing shown) to the loosest.

    Each finding moves the term-weighted value by a share of its own query, so that one pass over
    all findings, best first, gives every point.
    """
    _some(judgements)
    queries = len(judgements)
    steps: list[tuple[float, bool, float]] = []
    for j in judgements:
        if j.occurrences < 1:
            raise ValueError(f"query {j.query!r} occurs nowhere: term-weighted value needs misses")
        gain = 1.0 / j.occurrences / queries
        loss = BETA / (seconds - j.occurrences) / queries
        for score, hit in zip(j.scores, j.hits, strict=True):
            steps.append((score, hit, gain if hit else -loss))
    steps.sort(key=lambda step: -step[0])
    found = [Point(float("inf"), 0, 0, 0.0)]
    hits, false_alarms, value = 0, 0, 0.0
    for i, (score, hit, change) in enumerate(steps):
        hits += hit
        false_alarms += not hit
        value += change
        if i + 1 == len(steps) or steps[i + 1][0] != score:  # equal scores are shown together
            found.append(Point(score, hits, false_alarms, value))
    return found


def _middle(span: Finding | Occurrence) -> float:
    return (span.start + span.end) / 2


def _some(judgements: Sequence[Judgement]) -> None:
    if not judgements:
        raise ValueError("no queries were judged")
