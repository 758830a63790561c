"""Work in a few threads: kernels let go of Python's lock, so that threads are enough.

The threads are kept for the next search. This module knows nothing of what is done.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import TypeVar

_T = TypeVar("_T")


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_threads(tasks: Sequence[Callable[[], _T]], threads: int) -> list[_T]:
    """Do all tasks, in so many threads, this one among them; their results, in order."""
    if threads < 2 or len(tasks) < 2:
        return [task() for task in tasks]
    left = iter(enumerate(tasks))
    done: list[tuple[int, _T]] = []

    def some() -> None:
        # Taking the next one is a single step of the interpreter.
        for number, task in left:
            done.append((number, task()))

    helpers = min(threads, len(tasks)) - 1
    waiting = [_pool(threads, os.getpid()).submit(some) for _ in range(helpers)]
    some()
    for one in waiting:
        if not one.cancel():  # one that has not begun has nothing left to do
            one.result()
    return [result for _, result in sorted(done, key=lambda pair: pair[0])]


@lru_cache(maxsize=4)
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Threads of this process: a child that was forked has none of its parent's."""
    return ThreadPoolExecutor(threads, thread_name_prefix="earshot")
