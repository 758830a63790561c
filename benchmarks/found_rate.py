"""How often is what was said found, and how fast? Earshot beside PocketSphinx, in one run.

    python benchmarks/found_rate.py [--quick] [--json] [--minutes N] [--network FOLDER] [--no-peers]

Held-out speech (folder `EARSHOT_SPEECH`, or ../shared/data/speech) in three conditions, searched
for words and phrases that occur in it: found@1 and found@3 (share of the queries with a true
mention among the first 1 and 3), recall at one false alarm per query and hour, MTWV; and what it
costs. `benchmarks/README.md` says how each is measured. `--save` keeps the report in `results/`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import corpus as speech_corpus
import metrics
from alignment import Aligner
from corpus import CONDITIONS, KINDS, Corpus, Query
from metrics import SystemResult
from ours import search_with_earshot
from peers import keyphrases, transcripts
from platformdirs import user_cache_path
from reports import ROOT, conclude, head

from earshot.network import SHIPPED
from earshot.units import PHONES, Speller

SPEECH_VARIABLE = "EARSHOT_SPEECH"
PACKAGES = ("earshot", "pocketsphinx", "onnxruntime", "numpy", "numba", "av")
QUICK_MINUTES, QUICK_RECORDING_SECONDS, QUICK_QUERIES = 1.2, 33.0, 15
ALL_MINUTES = 600.0  # more than there are
ALL = "all"

Search = Callable[[list[Path], list[str], Path], SystemResult]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report: a system in a condition, for queries of one kind or all."""

    condition: str
    system: str
    kind: str
    queries: int
    occurrences: int
    found_at_1: float
    found_at_3: float
    recall_at_1_fa: float
    mtwv: float


@dataclass(frozen=True, slots=True)
class Cost:
    """What a system takes; hours and seconds of audio per second, bytes per hour of audio.

    `search_hours_per_second` is per query, None where every new query listens again.
    """

    condition: str
    system: str
    add_x_real_time: float
    add_x_real_time_per_core: float
    search_hours_per_second: float | None
    index_bytes_per_hour: float
    refused_queries: int


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--save` keep."""
    options = _options(arguments)
    speech = options.speech.resolve()
    if not speech.is_dir():
        print(
            f"{speech}: no folder of speech here; set {SPEECH_VARIABLE} to the one that holds "
            "common_voice_13 and the other corpora, each with its manifest.jsonl"
        )
        return 1
    report = measure(options, speech)
    print(as_text(report))
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
    noise = speech_corpus.noise_files(speech)
    systems = _systems(options)
    rows: list[Row] = []
    costs: list[Cost] = []
    for condition in options.conditions:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _say(f"{condition}: writing {joined.total_seconds / 60:.1f} minutes of recordings")
            files = speech_corpus.write_recordings(joined, condition, noise, folder / "recordings")
            for search in systems:
                result = search(files, [query.text for query in queries], folder / "library")
                rows += score(condition, result, joined, queries)
                costs.append(cost(condition, result, joined, len(queries)))
                _say(
                    f"{condition}: {result.name} found {rows[-1].found_at_3:.1%} among the first "
                    f"3, adding at {costs[-1].add_x_real_time:.1f} x real time"
                )
    return {
        **head("found_rate", sys.argv[1:], versions()),
        "network": json.loads((options.network / "network.json").read_bytes())["fingerprint"],
        "corpus": {
            "minutes": round(joined.total_seconds / 60, 2),
            "recordings": len(joined.names),
            "clips": len(joined.sentences),
            "clips_with_aligned_words": round(joined.forced, 4),
            "queries": dict(speech_corpus.kinds(queries)),
        },
        "rows": [asdict(row) for row in rows],
        "costs": [asdict(one) for one in costs],
        "found_at_3_against_transcripts": ratios(rows),
    }


def score(
    condition: str, result: SystemResult, joined: Corpus, queries: Sequence[Query]
) -> list[Row]:
    """A system's rows: by kind of query, and all together."""
    truth = {query.text: joined.occurrences(query) for query in queries}
    rows = []
    for kind in (*KINDS, ALL):
        of = [query.text for query in queries if kind in (ALL, query.kind)]
        if not of:
            continue
        shown = [metrics.judge(q, result.shown[q], truth[q]) for q in of]
        told = [metrics.judge(q, result.findings[q], truth[q]) for q in of]
        rows.append(
            Row(
                condition,
                result.name,
                kind,
                len(of),
                sum(len(truth[q]) for q in of),
                round(metrics.found_at(shown, 1), 4),
                round(metrics.found_at(shown, 3), 4),
                round(metrics.recall_at(told, joined.total_seconds / 3600), 4),
                round(metrics.maximum_value(told, joined.total_seconds), 4),
            )
        )
    return rows


def cost(condition: str, result: SystemResult, joined: Corpus, queries: int) -> Cost:
    """What the system took for the recordings of one condition."""
    hours = joined.total_seconds / 3600
    searching = result.search_seconds
    return Cost(
        condition,
        result.name,
        round(joined.total_seconds / result.listen_seconds, 2),
        round(joined.total_seconds / max(result.listen_cpu_seconds, 1e-9), 2),
        round(hours * queries / max(searching, 1e-9), 2) if searching is not None else None,
        round(result.index_bytes / hours),
        result.refused,
    )


def ratios(rows: Sequence[Row]) -> dict[str, float | None]:
    """found@3 of all queries, ours over the transcripts', by condition; None for over nothing."""
    rate = {(row.condition, row.system): row.found_at_3 for row in rows if row.kind == ALL}
    return {
        condition: round(ours / theirs, 3) if (theirs := rate[condition, "transcripts"]) else None
        for (condition, system), ours in rate.items()
        if system == "earshot" and (condition, "transcripts") in rate
    }


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    about = report["corpus"]
    lines = [
        f"{about['minutes']} minutes of held-out speech in {about['recordings']} recordings; "
        f"queries: {', '.join(f'{n} {kind}' for kind, n in about['queries'].items())}",
        "",
        f"{'condition':<10} {'system':<12} {'queries':<9} {'n':>4}  found@1  found@3  "
        "recall@1FA   MTWV",
    ]
    for row in report["rows"]:
        lines.append(
            f"{row['condition']:<10} {row['system']:<12} {row['kind']:<9} {row['queries']:>4}  "
            f"{row['found_at_1']:7.1%}  {row['found_at_3']:7.1%}  {row['recall_at_1_fa']:10.1%}  "
            f"{row['mtwv']:5.3f}"
        )
    lines += [
        "",
        f"{'condition':<10} {'system':<12} {'adds, x real time':>18} {'per core':>9} "
        f"{'searches, h/s':>14} {'index, kB/h':>12}",
    ]
    for one in report["costs"]:
        searches = one["search_hours_per_second"]
        lines.append(
            f"{one['condition']:<10} {one['system']:<12} {one['add_x_real_time']:>18.1f} "
            f"{one['add_x_real_time_per_core']:>9.1f} "
            f"{'listens again' if searches is None else format(searches, '.0f'):>14} "
            f"{one['index_bytes_per_hour'] / 1000:>12.0f}"
        )
    for condition, ratio in report["found_at_3_against_transcripts"].items():
        shown = "transcripts found nothing" if ratio is None else f"{ratio:.2f} times"
        lines.append(f"\n{condition}: found@3 against PocketSphinx transcripts: {shown}")
    return "\n".join(lines)


def versions() -> dict[str, str]:
    """Versions of what took part; a package that is run from its source has none."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "source"
    return found


def _systems(options: argparse.Namespace) -> list[Search]:
    def ours(files: list[Path], queries: list[str], library: Path) -> SystemResult:
        return search_with_earshot(files, queries, library, options.network)

    def text(files: list[Path], queries: list[str], _: Path) -> SystemResult:
        return transcripts(files, queries, options.jobs)

    def phrases(files: list[Path], queries: list[str], _: Path) -> SystemResult:
        return keyphrases(files, queries, options.jobs)

    return [ours] if options.no_peers else [ours, text, phrases]


def parser(about: str) -> argparse.ArgumentParser:
    """The options of what is measured on held-out speech."""
    parser = argparse.ArgumentParser(description=about.split("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="a minute of speech in each condition, 60 queries"
    )
    parser.add_argument("--json", action="store_true", help="the report as the last line")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    parser.add_argument("--minutes", type=float, help="of speech in each condition (default: all)")
    parser.add_argument("--queries", type=int, help="of each kind (default: 100)")
    parser.add_argument("--network", type=Path, default=SHIPPED, help="folder of the network")
    named = os.environ.get(SPEECH_VARIABLE)
    speech = Path(named) if named else ROOT.parent / "shared" / "data" / "speech"
    parser.add_argument("--speech", type=Path, default=speech)
    work = user_cache_path("earshot", appauthor=False) / "benchmarks"
    parser.add_argument("--work", type=Path, default=work, help="where alignments are remembered")
    return parser


def completed(options: argparse.Namespace) -> argparse.Namespace:
    """How much is measured, where that was not said."""
    quick = options.quick
    options.minutes = options.minutes or (QUICK_MINUTES if quick else ALL_MINUTES)
    options.queries = options.queries or (QUICK_QUERIES if quick else 100)
    options.recording_seconds = (
        QUICK_RECORDING_SECONDS if quick else speech_corpus.RECORDING_SECONDS
    )
    return options


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    known = parser(__doc__ or "")
    known.add_argument("--no-peers", action="store_true", help="measure Earshot alone")
    known.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    known.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes of the peers")
    return completed(known.parse_args(arguments))


def _say(text: str) -> None:
    width = shutil.get_terminal_size().columns
    print(text[:width], file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
