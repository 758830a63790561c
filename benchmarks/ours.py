"""Earshot as a user would search with it: add files to a library, search the library.

It knows Earshot's public interface only.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from metrics import Finding, SystemResult

from earshot.library import MIN_CONFIDENCE, Library
from earshot.network import SHIPPED, Network
from earshot.search import Calibration
from earshot.types import SearchResult
from earshot.units import Speller

DEEPEST = 100  # mentions a query is asked for: more than any measure here needs


def open_library(folder: Path, network: Path) -> Library:
    """An empty library that listens with the network of a folder.

    What the folder lacks beside the network itself (dictionary, calibration) is the shipped
    network's, or for the calibration nothing.
    """
    ear = Network.open(network)
    words = network if (network / "lexicon.txt").is_file() else SHIPPED
    calibration = network / "confidence.json"
    return Library(
        folder,
        ear,
        speller=Speller.open(words, [u for i, u in enumerate(ear.units) if i != ear.blank]),
        calibration=Calibration.open(calibration) if calibration.is_file() else Calibration(),
    )


def search_with_earshot(
    files: Sequence[Path], queries: Sequence[str], folder: Path, network: Path
) -> SystemResult:
    """Add every file, then ask for the queries one after the other."""
    library = open_library(folder, network)
    # Loading models and compiled code once is not part of listening or searching.
    with open_library(folder.with_name(folder.name + "_warm_up"), network) as warm_up:
        warm_up.add(files[:1])
        warm_up.search(queries[0])
    wall, cpu = time.perf_counter(), _cpu_seconds()
    report = library.add(files)
    wall, cpu = time.perf_counter() - wall, _cpu_seconds() - cpu
    bad = [outcome for outcome in report.outcomes if outcome.recording is None]
    if bad:
        raise RuntimeError(f"{bad[0].path} was not added: {bad[0].note}")
    begun = time.perf_counter()
    results = [library.search(query, top=DEEPEST, min_confidence=0.0) for query in queries]
    searching = time.perf_counter() - begun
    findings = {result.query: _findings(result) for result in results}
    shown = {
        query: [finding for finding in found if finding.score >= MIN_CONFIDENCE]
        for query, found in findings.items()
    }
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return SystemResult("earshot", findings, shown, wall, cpu, searching, size, refused=0)


def _findings(result: SearchResult) -> list[Finding]:
    return [Finding(Path(m.path).stem, m.start, m.end, m.confidence) for m in result.mentions]


def _cpu_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
