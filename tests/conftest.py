"""For all tests: what of this machine and its user has no part in them, and how they share it.

`make test` runs files side by side in processes: a file stays in one, so what its tests share is
made once, and the dearest files begin first, so that no processor waits at the end for one of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# The plugins of Kur that a user has at home.
os.environ["KUR_PLUGIN"] = "none"

# A thread each, for all that count processors to choose how many they start: the processors are
# busy with other tests. To be set before any of them is imported; processes of tests inherit it.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # XLA
)
os.environ.update(dict.fromkeys(THREADS, "1"))

# JAX compiles quickly instead of well: tests run what they compile a few times.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

GIGABYTES = 4
"""Memory of a process of tests and of those that it starts, at the most."""

DEAREST = (
    "test_kill", "test_recipes", "test_every_backend", "test_train", "test_backend",
    "test_benchmarks", "test_transcribe",
)  # fmt: skip
"""Files that take longest, in this order."""


@pytest.hookimpl(optionalhook=True)  # without pytest-xdist nobody asks
def pytest_xdist_auto_num_workers() -> int:
    """How many processes: one for each processor that memory lets work."""
    here = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    processors = len(here(0)) if here else os.cpu_count() or 1
    return max(1, min(processors, memory() // GIGABYTES))


def memory() -> int:
    """This machine's memory in gigabytes, or enough where it is not told."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    except (AttributeError, ValueError, OSError):
        return 16


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The dearest files begin first."""
    items.sort(key=lambda item: place(item.path))


def place(path: Path) -> int:
    return DEAREST.index(path.stem) if path.stem in DEAREST else len(DEAREST)
