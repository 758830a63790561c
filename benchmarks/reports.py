"""Reports of benchmarks: by which command and on what figures were measured, and where they go.

Knows nothing of what is measured.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shlex
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
_FOLDERS = {"--speech": "SPEECH", "--work": "WORK", "--network": "NETWORK", "--card": "CARD"}


def head(name: str, words: Sequence[str], versions: Mapping[str, str]) -> dict[str, Any]:
    """What a report begins with; `words` are those of the command line after the script."""
    return {
        "benchmark": name,
        "date": datetime.date.today().isoformat(),
        "command": command(name, words),
        "hardware": hardware(),
        "versions": dict(versions),
    }


def command(name: str, words: Sequence[str]) -> str:
    """The command line that repeats a run, less where things lie on this machine."""
    shown = [
        _FOLDERS.get(before, Path(word).name if Path(word).is_absolute() else word)
        for before, word in pairwise(["", *words])
    ]
    return shlex.join(["python", f"benchmarks/{name}.py", *shown])


def hardware() -> dict[str, Any]:
    """What the figures were measured on, and how busy it was."""
    model = platform.processor() or platform.machine()
    described = Path("/proc/cpuinfo")
    if described.is_file():
        lines = described.read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    load = round(os.getloadavg()[0], 1)
    return {"cpu": model, "cores": os.cpu_count(), "system": platform.system(), "load": load}


def keep(found: Mapping[str, Any]) -> Path:
    """Write a report to the results."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{found['benchmark']}_{found['date']}.json"
    path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return path


def conclude(found: Mapping[str, Any], options: argparse.Namespace) -> Path | None:
    """Keep a report with `--save`, print it as the last line with `--json`; where it was kept."""
    kept = keep(found) if options.save else None
    if kept is not None:
        print(f"kept in {kept}")
    if options.json:
        print(json.dumps(found))
    return kept
