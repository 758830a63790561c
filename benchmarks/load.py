"""What does a library answer when many search at once, while it grows?

    python benchmarks/load.py [--quick] [--json] [--save] [--searchers N] [--hours N]

A library of so many hours is made as in `search_speed.py`. So many threads then search it through
one `Library`, each with the next query as soon as it has an answer, as the workers of a server do;
meanwhile another process adds recordings, one after the other, and each must show up in the
answers. Every answer is looked at: one that is torn (a recording without the one added before it)
or an error ends the benchmark. The same searches without anything being added are the ratio.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from found_rate import versions
from reports import conclude, head
from search_speed import UNITS, make_library, queries_of

from earshot.library import Library
from earshot.network import SHIPPED, Network
from earshot.search import Calibration

ADDING = """
import sys, time
import numpy as np
from pathlib import Path
sys.path[:0] = {path!r}
from earshot.catalog import Catalog
from earshot.index import index_writer
from earshot.network import SHIPPED
from earshot.search import Calibration
from earshot.types import Recording
speech = np.concatenate(Calibration.open(SHIPPED / "confidence.json").background)[:1500]
with index_writer(Path({folder!r})) as writer, Catalog(Path({folder!r}), writable=True) as catalog:
    number = 0
    while not Path({stop!r}).exists():
        id = f"{{number:012x}}"
        with writer.track(id, 0) as track:
            track.append(speech)
            staged = writer.stage([track])
        catalog.put(Recording(id, "/added", f"added {{number}}", 60.0, 1, id * 5, 1,
                              f"9999-{{number:06d}}"))
        writer.commit(staged)
        writer.tidy()
        number += 1
        if number == 1:
            print("ready", flush=True)
        time.sleep({pause})
print(number)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--save` keep."""
    options = _options(arguments)
    report = measure(options)
    print(as_text(report))
    conclude(report, options)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report, as it is kept."""
    speech = np.concatenate(Calibration.open(SHIPPED / "confidence.json").background)
    queries = queries_of(UNITS, 40)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "library"
        make_library(folder, options.hours, speech, Network.open())
        with Library(folder) as library:
            library.search(queries[0])  # what is loaded once
            alone = searched(library, queries, 1, options.seconds / 2)
            still = searched(library, queries, options.searchers, options.seconds)
            growing = while_added(library, queries, options)
    return {
        **head("load", sys.argv[1:], versions()),
        "load_average": [round(one, 1) for one in os.getloadavg()],  # other work on the machine
        "hours": options.hours,
        "searchers": options.searchers,
        "one_searcher": alone,
        "nothing_added": still,
        "while_added": growing,
        "queries_per_second": growing["queries_per_second"],
        "p99_ms": growing["p99_ms"],
        "ratio_to_nothing_added": round(
            growing["queries_per_second"] / still["queries_per_second"], 2
        ),
    }


def while_added(
    library: Library, queries: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Search while another process adds a recording of a minute after the other."""
    stop = library.path.with_name("stop")
    program = ADDING.format(
        path=sys.path, folder=str(library.path), stop=str(stop), pause=options.pause
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as adding:
        try:
            assert adding.stdout is not None
            adding.stdout.readline()  # the first one is there
            found = searched(library, queries, options.searchers, options.seconds)
        finally:
            stop.touch()
        added = int(adding.stdout.read())
    if adding.returncode:
        raise SystemExit("the process that adds has failed")
    problems = [str(one) for one in library.check() if one.harmful]
    if problems:
        raise SystemExit(f"the library is damaged afterwards: {problems[0]}")
    return found | {"recordings_added": added}


def searched(
    library: Library, queries: Sequence[str], searchers: int, seconds: float
) -> dict[str, Any]:
    """So many threads search one library for so many seconds; how long each answer took."""
    taken: list[float] = []
    failures: list[str] = []
    end = time.perf_counter() + seconds

    def search(first: int) -> None:
        number, hours = first, 0.0
        while not failures and time.perf_counter() < end:
            begun = time.perf_counter()
            try:
                result = library.search(queries[number % len(queries)], top=20)
            except Exception as error:  # whatever it is, it is what this looks for
                failures.append(repr(error))
                return
            taken.append(time.perf_counter() - begun)
            if result.searched_hours < hours - 1e-9:
                failures.append("an answer of before came after one of later")
            hours = result.searched_hours
            number += 1

    cpu = time.process_time()
    begun = time.perf_counter()
    threads = [threading.Thread(target=search, args=(7 * n,)) for n in range(searchers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall = time.perf_counter() - begun
    if failures:
        raise SystemExit(f"a search failed: {failures[0]}")
    ms = 1000 * np.array(taken)
    return {
        "queries": len(taken),
        "queries_per_second": round(len(taken) / wall, 1),
        "processor_ms_a_query": round(1000 * (time.process_time() - cpu) / len(taken), 2),
        "median_ms": round(float(np.median(ms)), 1),
        "p95_ms": round(float(np.quantile(ms, 0.95)), 1),
        "p99_ms": round(float(np.quantile(ms, 0.99)), 1),
        "worst_ms": round(float(ms.max()), 1),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    lines = [f"{report['hours']:g} hours, {report['searchers']} searchers at once"]
    for name in ("one_searcher", "nothing_added", "while_added"):
        row = report[name]
        lines.append(
            f"{name.replace('_', ' '):>14}: {row['queries_per_second']:8.1f} queries/s, median "
            f"{row['median_ms']:.0f} ms, 99 % within {row['p99_ms']:.0f} ms"
        )
    added = report["while_added"]["recordings_added"]
    lines.append(f"{added} recordings added meanwhile; no errors, no torn answers")
    return "\n".join(lines)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few seconds, one hour")
    parser.add_argument("--json", action="store_true", help="the last line is a JSON object")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    parser.add_argument("--searchers", type=int, default=64, help="searches at once")
    parser.add_argument("--hours", type=float, default=10.0, help="size of the library")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each is measured")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds between two additions")
    options = parser.parse_args(arguments)
    if options.quick:
        options.hours, options.seconds = 1.0, 3.0
    return options


if __name__ == "__main__":
    sys.exit(main())
