"""How fast is a search, and how large what it reads? By size of the library.

    python benchmarks/search_speed.py [--quick] [--json] [--save] [--hours N ...] [--no-peers]

Libraries of so many hours are made of real activations: of those of speech that come with the
network, in pieces of four seconds in an order drawn by lot, which keeps all statistics but those
of sentences. They are searched as a user would, `Library.search`, for words and phrases of ten
units, one after the other: a warm library, whole answers, ranking included; and beside that the
pass over everything alone. `cold` is `earshot search` in a process of its own, imports included;
`first` is the first one that a machine does, which compiles. PocketSphinx listens to a recording of
`examples/` for the same phrases, in the same run. Seconds are those of the clock, and beside them
those of the processors, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from found_rate import versions
from peers import keyphrases
from reports import ROOT, conclude, head
from sound import SAMPLE_RATE, read_audio

from earshot.catalog import Catalog
from earshot.index import NetworkEntry, index_writer
from earshot.library import Library
from earshot.network import SHIPPED, Network
from earshot.search import Calibration, Ear
from earshot.search.native import CACHE_VARIABLE
from earshot.search.sweep import Laid, Sweep
from earshot.searching import LEAST_CONFIDENCE
from earshot.types import Recording
from earshot.units import Speller

HOURS = (10, 30, 100, 300)
QUICK_HOURS = (1, 10)
QUERIES, QUICK_QUERIES = 100, 12
COLD, QUICK_COLD = 15, 3
MANY, QUICK_MANY = 1000, 40
UNITS = 10
PIECE = 100  # frames
CANDIDATES = """
mississippi restaurant understanding communication hospital appointment economic development
photographer transportation particular temperature electricity independent conversation
television championship professor immediately government manufacturing international
relationship environment microphone headquarters satellite celebration strawberries
pronunciation expedition scientific industrial cathedral vegetables parliament calculator
magnificent traditional newspaper fundamental experiment mathematics refrigerator
difficulty preparation accompanied remarkable discovered candidates observation
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--save` keep, with a plot where Matplotlib is installed."""
    options = _options(arguments)
    report = measure(options)
    print(as_text(report))
    kept = conclude(report, options)
    if kept is not None:
        plot(report, kept.with_suffix(".svg"))
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report, as it is kept."""
    network = Network.open()
    calibration = Calibration.open(SHIPPED / "confidence.json")
    speech = np.concatenate(calibration.background)
    queries = queries_of(UNITS, options.queries)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for hours in options.hours:
            folder = Path(name) / f"{hours:g}"
            make_library(folder, hours, speech, network)
            rows.append(search_all(folder, hours, queries))
            print(f"{hours:g} hours: {rows[-1]['median_ms']:.1f} ms a query", file=sys.stderr)
        many = search_together(Path(name) / f"{options.hours[0]:g}", options.many)
        usual = max((one for one in options.hours if one <= 100), default=options.hours[0])
        cold = search_cold(Path(name) / f"{usual:g}", usual, queries[0], options.cold)
    largest = rows[-1]
    return {
        **head("search_speed", sys.argv[1:], versions()),
        "network": network.fingerprint,
        "units_of_queries": UNITS,
        "hours_per_second": largest["hours_per_second"],
        "hours_per_processor_second": largest["hours_per_processor_second"],
        "megabytes_per_hour": largest["megabytes_per_hour"],
        "bytes_per_hour": round(largest["megabytes_per_hour"] * 1e6),
        "latency_ms": {key: largest[key] for key in ("median_ms", "p95_ms", "p99_ms")},
        "pass_hours_per_processor_second": largest["pass_hours_per_processor_second"],
        "cold": cold,
        "growth": rows,
        "many_at_once": many,
        "pocketsphinx": None if options.no_peers else peer(queries, options.jobs),
    }


def queries_of(units: int, count: int) -> list[str]:
    """Texts with a pronunciation of so many units: words, and phrases of two words."""
    speller = Speller.open(SHIPPED)
    lengths = {word: len(speller.pronunciations(word)[0].units) for word in CANDIDATES.split()}
    found = [word for word, length in lengths.items() if length == units]
    short = ("big", "old", "two", "the", "new", "our", "your", "first", "good", "small")
    for word in CANDIDATES.split():
        for other in short:
            if lengths[word] < units:
                text = f"{other} {word}"
                if len(speller.pronunciations(text)[0].units) == units:
                    found.append(text)
    return found[:count]


def make_library(
    folder: Path, hours: float, speech: npt.NDArray[np.uint8], network: Network
) -> None:
    """A library of recordings of an hour, or of a tenth of `hours` if that is less."""
    dice = np.random.default_rng(1)
    pieces = speech[: len(speech) // PIECE * PIECE].reshape(-1, PIECE, speech.shape[1])
    each = min(hours / 10, 1.0)
    size = round(each * 3600 / network.frame_seconds / PIECE)
    entry = NetworkEntry(
        network.fingerprint, tuple(network.units), network.blank, network.frame_seconds
    )
    with index_writer(folder, entry) as writer, Catalog(folder, writable=True) as catalog:
        for number in range(round(hours / each)):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            with writer.track(digest[:12], 0) as track:
                for done in range(0, size, 500):
                    chosen = dice.integers(0, len(pieces), min(size - done, 500))
                    track.append(pieces[chosen].reshape(-1, speech.shape[1]))
                staged = writer.stage([track])
            name = f"recording {number}"
            catalog.put(
                Recording(digest[:12], name, name, each * 3600, 1, digest, 0, "2026-01-01T00:00Z")
            )
            writer.commit(staged)
            writer.tidy()


def search_all(folder: Path, hours: float, queries: Sequence[str]) -> dict[str, Any]:
    """What the queries took, one after the other."""
    with Library(folder) as library:
        for query in queries[:2]:  # loads models, compiled code, and the index into memory
            library.search(query)
        walls, processors = [], []
        for query in queries:
            wall, spent = timed(lambda query=query: library.search(query))  # type: ignore[misc]
            walls.append(wall)
            processors.append(spent)
        searched = library.search(queries[0]).searched_hours
        passes = [pass_alone(library, query) for query in queries]
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    wall, spent = float(np.median(walls)), float(np.median(processors))
    pass_wall, pass_spent = np.median(passes, axis=0).tolist()
    return {
        "hours": round(searched, 2),
        "queries": len(queries),
        "median_ms": round(1000 * wall, 2),
        "p95_ms": round(1000 * float(np.quantile(walls, 0.95)), 2),
        "p99_ms": round(1000 * float(np.quantile(walls, 0.99)), 2),
        "processor_ms": round(1000 * spent, 2),
        "hours_per_second": round(searched / wall),
        "hours_per_processor_second": round(searched / spent),
        "pass_ms": round(1000 * pass_wall, 2),
        "pass_processor_ms": round(1000 * pass_spent, 2),
        "pass_hours_per_second": round(searched / pass_wall),
        "pass_hours_per_processor_second": round(searched / pass_spent),
        "megabytes_per_hour": round(size / 1e6 / searched, 4),
    }


def pass_alone(library: Library, query: str) -> tuple[float, float]:
    """What the pass over everything takes, for one pronunciation of the query."""
    snapshot = library._present()
    network, calibration = snapshot.manifest.network, library._calibrated()
    ear = Ear(network.units, network.blank, network.frame_seconds, calibration)
    plan = ear.plan(library.pronunciations(query)[0])
    laid = Laid(snapshot.heard)
    seconds = network.frame_seconds
    return timed(lambda: Sweep(laid, [plan], frame_seconds=seconds))


def search_cold(folder: Path, hours: float, query: str, times: int) -> dict[str, Any]:
    """`earshot search` from the shell: median and least, and the first one of a machine."""
    with tempfile.TemporaryDirectory() as empty:
        first = cold(folder, query, os.environ | {CACHE_VARIABLE: empty})
        again = [cold(folder, query, os.environ | {CACHE_VARIABLE: empty}) for _ in range(times)]
    walls, processors = np.array(again).T
    return {
        "hours": hours,
        "searches": times,
        "median_seconds": round(float(np.median(walls)), 3),
        "least_seconds": round(float(walls.min()), 3),
        "processor_seconds": round(float(np.median(processors)), 3),
        "least_processor_seconds": round(float(processors.min()), 3),
        "first_seconds": round(first[0], 2),
        "first_processor_seconds": round(first[1], 2),
    }


def cold(folder: Path, query: str, environment: dict[str, str]) -> tuple[float, float]:
    """Seconds by the clock and of the processors that one `earshot search` takes."""
    code = "from earshot.cli import main; main()"
    command = [sys.executable, "-c", code, "search", query, "--library", str(folder)]
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - wall, spent


def search_together(folder: Path, count: int) -> dict[str, Any]:
    """Many phrases in one pass, against one after the other; the answers must be the same.

    All mentions that a search shows, and beside that only those surer than not.
    """
    words = (SHIPPED / "lexicon.txt").read_text(encoding="utf-8").split("\n")
    dice = np.random.default_rng(2)
    picked = dice.choice(len(words) - 1, count, replace=False)
    phrases = [word for at in picked if len(word := words[at].partition("\t")[0]) >= 6]
    few = phrases[: max(count // 20, 10)]
    found: dict[str, Any] = {"phrases": len(phrases)}
    same = True
    with Library(folder) as library:
        library.search(few[0])
        for name, least in {"": LEAST_CONFIDENCE, "_surer_than_half": 0.5}.items():
            alone: list[Any] = []
            each = partial(library.search, min_confidence=least)
            _, one = timed(lambda alone=alone, each=each: alone.extend(map(each, few)))  # type: ignore[misc]
            together: list[Any] = []
            many = partial(library.search_many, phrases, min_confidence=least)
            _, every = timed(lambda together=together, many=many: together.extend(many()))  # type: ignore[misc]
            same &= all(a.mentions == b.mentions for a, b in zip(alone, together, strict=False))
            found[f"processor_ms_each_alone{name}"] = round(1000 * one / len(few), 3)
            found[f"processor_ms_each_together{name}"] = round(1000 * every / len(phrases), 3)
    return {**found, "same_answers": same}


def peer(queries: Sequence[str], jobs: int) -> dict[str, Any]:
    """PocketSphinx, listening to a recording for all the phrases at once."""
    recording = ROOT / "examples" / "recordings" / "diary.opus"
    hours = len(read_audio(recording)) / SAMPLE_RATE / 3600
    result = keyphrases([recording], list(queries), jobs)
    return {
        "phrases": len(queries) - result.refused,
        "seconds_of_audio": round(3600 * hours, 1),
        "hours_per_second": round(hours / result.listen_seconds, 5),
        "hours_per_processor_second": round(hours / max(result.listen_cpu_seconds, 1e-9), 5),
    }


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of the processors."""
    wall, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - spent


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [
        f"queries of {report['units_of_queries']} units, whole answers, one after the other",
        f"{'hours':>8} {'median ms':>10} {'p95 ms':>8} {'p99 ms':>8} {'cpu ms':>8} "
        f"{'hours/s':>9} {'hours/cpu s':>12} {'pass only':>12} {'MB/hour':>8}",
    ]
    for row in report["growth"]:
        lines.append(
            f"{row['hours']:>8.1f} {row['median_ms']:>10.1f} {row['p95_ms']:>8.1f} "
            f"{row['p99_ms']:>8.1f} {row['processor_ms']:>8.1f} {row['hours_per_second']:>9} "
            f"{row['hours_per_processor_second']:>12} "
            f"{row['pass_hours_per_processor_second']:>12} {row['megabytes_per_hour']:>8.3f}"
        )
    many, sphinx, start = report["many_at_once"], report["pocketsphinx"], report["cold"]
    lines.append(
        f"earshot search, {start['hours']:g} hours, a new process: {start['median_seconds']} s "
        f"({start['processor_seconds']} s of processor), at least {start['least_seconds']} s; the "
        f"first one on a machine {start['first_seconds']} s ({start['first_processor_seconds']})"
    )
    lines.append(
        f"{many['phrases']} phrases at once: {many['processor_ms_each_together']} ms of processor "
        f"each, alone {many['processor_ms_each_alone']}; of mentions surer than not "
        f"{many['processor_ms_each_together_surer_than_half']}, alone "
        f"{many['processor_ms_each_alone_surer_than_half']}; same answers: {many['same_answers']}"
    )
    if sphinx:
        lines.append(
            f"PocketSphinx key phrases listen again: {sphinx['hours_per_second']} hours a second "
            f"for {sphinx['phrases']} phrases"
        )
    return "\n".join(lines)


def plot(report: dict[str, Any], target: Path) -> None:
    """Milliseconds of a query by hours searched, as a picture."""
    try:
        from matplotlib.figure import Figure  # optional: the figures are in the report
    except ImportError:
        return
    figure = Figure(figsize=(6, 4))
    axes = figure.subplots()
    hours = [row["hours"] for row in report["growth"]]
    names = {"median_ms": "median", "p99_ms": "99th percentile", "processor_ms": "processors"}
    for key, name in names.items():
        axes.loglog(hours, [row[key] for row in report["growth"]], marker="o", label=name)
    axes.set_xlabel("hours searched")
    axes.set_ylabel("milliseconds a query")
    axes.legend()
    figure.savefig(target)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="small libraries and few queries")
    parser.add_argument("--json", action="store_true", help="the report as the last line")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    parser.add_argument("--hours", nargs="+", type=float, help="sizes of libraries, rising")
    parser.add_argument("--queries", type=int, help="queries for each")
    parser.add_argument("--cold", type=int, help="searches in a process of their own")
    parser.add_argument("--many", type=int, help="phrases to search for at once")
    parser.add_argument("--no-peers", action="store_true", help="measure Earshot alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes of the peer")
    options = parser.parse_args(arguments)
    quick = options.quick
    options.hours = options.hours or list(QUICK_HOURS if quick else HOURS)
    options.queries = options.queries or (QUICK_QUERIES if quick else QUERIES)
    options.cold = options.cold or (QUICK_COLD if quick else COLD)
    options.many = options.many or (QUICK_MANY if quick else MANY)
    return options


if __name__ == "__main__":
    sys.exit(main())
