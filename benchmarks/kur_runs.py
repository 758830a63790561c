"""Runs `kur` on a Kurfile as a user would, and reports what came of it.

Knows the command line of `kur`; nothing of networks or data.
"""

from __future__ import annotations

import os
import platform
import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from reports import ROOT, head

RECIPES = ROOT / "recipes"
BACKENDS = ("torch", "jax", "tensorflow")
_DISTRIBUTIONS = {
    "torch": ("torch",),
    "jax": ("jax",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
}
FIGURE = re.compile(r"^(?P<name>[^:]+): (?P<value>-?[0-9.]+)(?P<percent> ?%)?", re.MULTILINE)


class RunFailedError(Exception):
    """`kur` ended with an error; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One command: what it printed, and its wall and processor seconds."""

    printed: str
    seconds: float
    cpu_seconds: float

    @property
    def figures(self) -> dict[str, float]:
        """The figures that it printed, `name: value`; shares as shares."""
        return {
            one["name"]: float(one["value"]) / (100 if one["percent"] else 1)
            for one in FIGURE.finditer(self.printed)
        }


def kur(
    command: str,
    kurfile: Path,
    *,
    settings: Mapping[str, object],
    backend: str | None = None,
    threads: int = 1,
) -> Run:
    """Run `kur COMMAND KURFILE`, with `settings` overridden, on `threads` threads."""
    words = [sys.executable, "-m", "kur.cli", command, str(kurfile)]
    for key, value in settings.items():
        words += ["-s", f"{key}={value}"]
    words += [] if backend is None else ["--backend", backend]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=None, text=True, env=environment(threads), check=False
    )
    seconds, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if ended.returncode:
        raise RunFailedError(f"{shlex.join(words)}: exit status {ended.returncode}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(ended.stdout, seconds, cpu)


def environment(threads: int) -> dict[str, str]:
    """The environment of a process that may use `threads` threads, whatever the backend."""
    count = str(threads)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    inner = {"TF_NUM_INTRAOP_THREADS": count, "TF_NUM_INTEROP_THREADS": count}
    flags = "--xla_cpu_multi_thread_eigen=false" if threads == 1 else ""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": str(ROOT / "src")}
    return {**os.environ, **dict.fromkeys(names, count), **inner, "XLA_FLAGS": flags, **quiet}


def report(name: str, arguments: Sequence[str] | None, **found: Any) -> dict[str, Any]:
    """The figures `found`, with what they were measured on and by which command."""
    words = sys.argv[1:] if arguments is None else arguments
    return {**head(name, words, versions()), **found}


def versions() -> dict[str, str]:
    """Versions of Python, Keras and the backends."""
    found = {"python": platform.python_version(), "keras": version("keras")}
    for backend, names in _DISTRIBUTIONS.items():
        for name in names:
            try:
                found[backend] = version(name)
            except ImportError:
                continue
    return found
