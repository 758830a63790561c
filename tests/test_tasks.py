"""Work in threads: all of it is done, in order, whatever the number."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from earshot.search.tasks import in_threads, processors


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_come_in_order(threads: int, count: int) -> None:
    tasks: list[Callable[[], int]] = [lambda number=number: number * 7 for number in range(count)]  # type: ignore[misc]
    assert in_threads(tasks, threads) == [number * 7 for number in range(count)]


def test_two_run_at_once() -> None:
    meeting = threading.Barrier(2, timeout=20)
    assert len(set(in_threads([meeting.wait, meeting.wait], 2))) == 2


def test_an_error_is_raised_and_the_next_work_is_done() -> None:
    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_threads([fail] * 4, 2)
    assert in_threads([lambda: 1] * 4, 2) == [1] * 4


def test_many_at_once_share_the_threads() -> None:
    def one(start: int) -> list[int]:
        return in_threads([lambda at=at: start + at for at in range(20)], 2)  # type: ignore[misc]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(one, range(64))) == [
            [start + at for at in range(20)] for start in range(64)
        ]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    in_threads([lambda: 1] * 4, 2)
    child = os.fork()
    if child == 0:
        os._exit(0 if in_threads([lambda: 3] * 4, 2) == [3] * 4 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_there_is_a_processor() -> None:
    assert processors() >= 1
