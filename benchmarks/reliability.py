"""Is a confidence what it says: are eight in ten of the mentions shown with 0.8 right?

    python benchmarks/reliability.py [--quick] [--json] [--save] [--minutes N] [--network FOLDER]
                                     [--card MODEL_CARD.md]

Speech, conditions and queries are those of `found_rate.py`: speakers, sentences and recordings that
neither the network nor its calibration has met. All mentions that a user is shown by default are
held against the truth, by confidence, by condition and by how many units a query has. The expected
calibration error is the mean distance between confidence and share of hits, over ten bins of equal
width, each weighed by its mentions. `--card` draws the picture beside a model card, and writes the
table into it, between two comments that say where.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import corpus as speech_corpus
import found_rate
import metrics
import numpy as np
from alignment import Aligner
from corpus import CONDITIONS, Corpus, Query
from metrics import SystemResult
from ours import search_with_earshot
from reports import conclude, head

from earshot.library import MIN_CONFIDENCE
from earshot.network import SHIPPED
from earshot.units import PHONES, Speller

BINS = 10
# Units of a query: the last of each class.
LENGTHS = (6, 9, 13, 1000)
ALL = "all"
PICTURE = "reliability.svg"
MARKS = ("<!-- reliability: written by benchmarks/reliability.py -->", "<!-- reliability ends -->")
COLOURS = {"clean": "#1b6ca8", "telephone": "#c8553d", "noisy": "#4a8f4a"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A mention that a user is shown: `units` of its query, and whether it is right."""

    condition: str
    units: int
    confidence: float
    hit: bool


@dataclass(frozen=True, slots=True)
class Bin:
    """Mentions of like confidence: how many, their mean confidence, the share that is right."""

    mentions: int
    confidence: float
    right: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep what is asked to be kept."""
    options = _options(arguments)
    speech = options.speech.resolve()
    if not speech.is_dir():
        print(f"{speech}: no folder of speech here; set {found_rate.SPEECH_VARIABLE}")
        return 1
    if options.card and not _has_marks(options.card):
        print(f"{options.card}: is no text with the lines {MARKS[0]!r} and {MARKS[1]!r}")
        return 1
    report = measure(options, speech)
    print(as_table(report))
    if options.card:
        options.card.with_name(PICTURE).write_text(picture(report), encoding="utf-8")
        write_into(options.card, report)
    conclude(report, options)
    return 0


def measure(options: argparse.Namespace, speech: Path) -> dict[str, Any]:
    """The whole report, as it is kept."""
    speller = Speller.open(SHIPPED, PHONES)
    aligner = Aligner(options.work / "alignments.json", speller.phones)
    joined = speech_corpus.join(
        speech_corpus.speech_clips(speech),
        options.minutes,
        aligner,
        recording_seconds=options.recording_seconds,
    )
    queries = speech_corpus.choose_queries(joined, options.queries)
    units = {query.text: len(speller.pronunciations(query.text)[0].units) for query in queries}
    noise = speech_corpus.noise_files(speech)
    shown: list[Shown] = []
    values: dict[str, dict[str, float]] = {}
    for condition in CONDITIONS:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            files = speech_corpus.write_recordings(joined, condition, noise, folder / "recordings")
            texts = [query.text for query in queries]
            result = search_with_earshot(files, texts, folder / "library", options.network)
            shown += judged(condition, result, joined, queries, units)
            values[condition] = one_threshold(result, joined, queries)
    return {
        **head("reliability", sys.argv[1:], found_rate.versions()),
        "network": json.loads((options.network / "network.json").read_bytes())["fingerprint"],
        "minutes": round(joined.total_seconds / 60, 2),
        "queries": len(queries),
        "shown_from": MIN_CONFIDENCE,
        **summary(shown),
        "term_weighted_value": values,
    }


def judged(
    condition: str,
    result: SystemResult,
    joined: Corpus,
    queries: Sequence[Query],
    units: dict[str, int],
) -> list[Shown]:
    """Every mention shown, held against the truth."""
    found = []
    for query in queries:
        one = metrics.judge(query.text, result.shown[query.text], joined.occurrences(query))
        found += [
            Shown(condition, units[query.text], score, hit)
            for score, hit in zip(one.scores, one.hits, strict=True)
        ]
    return found


def one_threshold(
    result: SystemResult, joined: Corpus, queries: Sequence[Query]
) -> dict[str, float]:
    """MTWV with one threshold for all queries, and with the best one for each."""
    told = [metrics.judge(q.text, result.findings[q.text], joined.occurrences(q)) for q in queries]
    seconds = joined.total_seconds
    own = [metrics.maximum_value([one], seconds) for one in told]
    return {
        "one_for_all": round(metrics.maximum_value(told, seconds), 4),
        "best_for_each": round(sum(own) / len(own), 4),
    }


def summary(shown: Sequence[Shown]) -> dict[str, Any]:
    """Bins by condition, and the calibration error by condition and length."""
    bins = {
        condition: [asdict(one) for one in binned(_of(shown, condition))]
        for condition in (*CONDITIONS, ALL)
    }
    errors = []
    for least, most in zip((1, *(end + 1 for end in LENGTHS[:-1])), LENGTHS, strict=True):
        for condition in (*CONDITIONS, ALL):
            of = [one for one in _of(shown, condition) if least <= one.units <= most]
            errors.append(_row(condition, _length(least, most), of))
    errors += [_row(condition, ALL, _of(shown, condition)) for condition in (*CONDITIONS, ALL)]
    return {"bins": bins, "errors": errors}


def binned(shown: Sequence[Shown]) -> list[Bin]:
    """Ten bins of equal width, those without a mention left out."""
    sure = np.array([one.confidence for one in shown])
    right = np.array([one.hit for one in shown], np.float64)
    which = np.minimum((sure * BINS).astype(np.int64), BINS - 1)
    return [
        Bin(int(mine.sum()), float(sure[mine].mean()), float(right[mine].mean()))
        for one in range(BINS)
        if (mine := which == one).any()
    ]


def error(shown: Sequence[Shown]) -> float:
    """The expected calibration error."""
    bins = binned(shown)
    return sum(one.mentions * abs(one.confidence - one.right) for one in bins) / max(len(shown), 1)


def as_table(report: dict[str, Any]) -> str:
    """Calibration errors as a table of Markdown: a row a length, a column a condition."""
    by = {(one["condition"], one["units"]): one for one in report["errors"]}
    lengths = list(dict.fromkeys(one["units"] for one in report["errors"]))
    head = ["expected calibration error, of so many shown", *CONDITIONS, "together"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for length in lengths:
        name = "all queries" if length == ALL else f"queries of {length} units"
        cells = [by[condition, length] for condition in (*CONDITIONS, ALL)]
        told = [f"{one['error']:.3f} of {one['mentions']}" if one["mentions"] else "-"
                for one in cells]  # fmt: skip
        lines.append("| " + " | ".join([name, *told]) + " |")
    values = report["term_weighted_value"]
    for key, name in (
        ("one_for_all", "term-weighted value, one threshold for all"),
        ("best_for_each", "the same, the best for each query (out of reach)"),
    ):
        told = [f"{values[condition][key]:.2f}" for condition in CONDITIONS]
        lines.append("| " + " | ".join([name, *told, ""]) + " |")
    return "\n".join(lines)


def write_into(card: Path, report: dict[str, Any]) -> None:
    """Replace what stands between the marks of a model card."""
    text = card.read_text(encoding="utf-8")
    told = (
        f"{report['minutes']:.0f} minutes of test speech in each condition, {report['queries']} "
        f"queries that are said in it; mentions shown from {report['shown_from']:g} on.\n\n"
        f"![Share of mentions that are right, by confidence.]({PICTURE})\n\n{as_table(report)}"
    )
    between = re.compile(f"({re.escape(MARKS[0])}\n).*({re.escape(MARKS[1])})", re.DOTALL)
    written = between.sub(lambda found: f"{found[1]}{told}\n{found[2]}", text)
    card.write_text(written, encoding="utf-8")


def picture(report: dict[str, Any]) -> str:
    """The reliability diagram as an SVG: share of hits by confidence, and how many are shown."""
    size, left, top, bars = 320, 56, 16, 70
    x = lambda value: left + size * value  # noqa: E731
    y = lambda value: top + size * (1 - value)  # noqa: E731
    foot = top + size + 30 + bars
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + size + 130} {foot + 44}" '
        'font-family="sans-serif" font-size="12" fill="#333">',
        '<rect width="100%" height="100%" fill="#fff"/>',
    ]
    for step in range(0, 11, 2):
        at = step / 10
        parts += [
            f'<path d="M{x(at):.1f} {y(0):.1f}V{y(1):.1f}M{x(0):.1f} {y(at):.1f}H{x(1):.1f}" '
            'stroke="#e4e4e4"/>',
            f'<text x="{left - 8}" y="{y(at) + 4:.1f}" text-anchor="end">{at:g}</text>',
            f'<text x="{x(at):.1f}" y="{foot + 16}" text-anchor="middle">{at:g}</text>',
        ]
    parts += [
        f'<path d="M{x(0)} {y(0)}L{x(1)} {y(1)}" stroke="#999" stroke-dasharray="4 4"/>',
        f'<text x="{x(0.5):.1f}" y="{foot + 36}" text-anchor="middle">confidence</text>',
        f'<text transform="translate(14 {y(0.5):.1f}) rotate(-90)" text-anchor="middle">'
        "share that is right</text>",
        f'<text x="{left - 8}" y="{foot - bars / 2:.1f}" text-anchor="end">shown</text>',
    ]
    most = max((one["mentions"] for name in CONDITIONS for one in report["bins"][name]), default=1)
    for row, name in enumerate(CONDITIONS):
        bins, colour = report["bins"][name], COLOURS[name]
        points = " ".join(f"{x(b['confidence']):.1f},{y(b['right']):.1f}" for b in bins)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}"/>')
        for one in bins:
            # A dot's area grows with how many mentions it stands for.
            radius = 2 + 6 * (one["mentions"] / most) ** 0.5
            parts.append(
                f'<circle cx="{x(one["confidence"]):.1f}" cy="{y(one["right"]):.1f}" '
                f'r="{radius:.1f}" fill="{colour}" fill-opacity="0.6"/>'
            )
            height = bars * one["mentions"] / most
            first = x(min(int(one["confidence"] * BINS), BINS - 1) / BINS) + 3 + 9 * row
            parts.append(
                f'<rect x="{first:.1f}" y="{foot - height:.1f}" width="8" height="{height:.1f}" '
                f'fill="{colour}"/>'
            )
        parts += [
            f'<rect x="{left + size + 16}" y="{top + 20 * row}" width="12" height="12" '
            f'fill="{colour}"/>',
            f'<text x="{left + size + 34}" y="{top + 11 + 20 * row}">{name}</text>',
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _of(shown: Sequence[Shown], condition: str) -> list[Shown]:
    return [one for one in shown if condition in (ALL, one.condition)]


def _row(condition: str, units: str, shown: Sequence[Shown]) -> dict[str, Any]:
    return {
        "condition": condition,
        "units": units,
        "mentions": len(shown),
        "error": round(error(shown), 4) if shown else None,
    }


def _length(least: int, most: int) -> str:
    return f"{least} and more" if most == LENGTHS[-1] else f"{least} to {most}"


def _has_marks(card: Path) -> bool:
    if not card.is_file():
        return False
    text = card.read_text(encoding="utf-8")
    return all(mark in text for mark in MARKS)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = found_rate.parser(__doc__ or "")
    parser.add_argument("--card", type=Path, help="model card to write the table and picture to")
    return found_rate.completed(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
