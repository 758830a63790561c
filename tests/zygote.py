"""A Python that has loaded Keras once and forks for each command line of `kur` that it is sent.

So tests can let real processes die at any moment without paying for a start of Keras each time.
One JSON object a line comes in: `{"folder", "arguments", "kill"}`; `kill` [what, n] ends the
process by SIGKILL at the n-th `batch`, or before the n-th time that it forces or renames a file
(`disk`), or sends it SIGINT at the n-th batch (`interrupt`). One line goes out: the exit status,
negative for a signal.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tiny_kur

from kur import cli
from kur.backend import keras
from kur.hooks import hook
from kur.train import State

HERE = Path(__file__).parent


class Zygote:
    """Starts command lines of `kur` in processes that may die, on one backend."""

    def __init__(self, backend: str = "torch", **environment: str) -> None:
        path = [str(HERE), str(HERE.parent / "src"), *sys.path]
        own = {"PYTHONPATH": ":".join(path), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
        own["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"  # compiled quickly, run a few times
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**own, "KERAS_BACKEND": backend, **environment},
        )

    def __call__(self, folder: Path, *arguments: str, kill: tuple[str, int] = ("", 0)) -> int:
        """How a command line ended: its exit status, or -9 if it was killed."""
        assert self._process.stdin and self._process.stdout
        order = {"folder": str(folder), "arguments": arguments, "kill": kill}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


@hook("signal")
class Signal:
    """Sends this process signal `number` after `batches` of its own."""

    def __init__(self, *, batches: int, number: int) -> None:
        self._left = batches
        self._number = number

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), self._number)

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        pass


def die_at_the_disk(count: int) -> None:
    """Let the `count`-th call that forces or renames a file be the last, before it is done."""
    left = [count]

    def watched(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*given, **named)

        return call

    os.fsync = watched(os.fsync)
    os.replace = watched(os.replace)


def run(order: dict[str, Any]) -> int:
    """One command line in a process of its own; how it ended."""
    child = os.fork()
    if child == 0:
        folder = Path(order["folder"])
        os.chdir(folder)
        with (folder / "stdout").open("w") as out, (folder / "stderr").open("w") as err:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
        arguments, (what, count) = order["arguments"], order["kill"]
        if what in ("batch", "interrupt"):
            number = int(signal.SIGKILL if what == "batch" else signal.SIGINT)
            hooks = f"[{{signal: {{batches: {count}, number: {number}}}}}]"
            arguments += ["-s", f"train.hooks={hooks}"]
        elif what == "disk":
            die_at_the_disk(count)
        status = cli.main(arguments)
        sys.stdout.flush()
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def serve() -> None:
    """Answer orders until there are no more."""
    assert tiny_kur.POINTS
    keras()
    for line in sys.stdin:
        print(run(json.loads(line)), flush=True)


if __name__ == "__main__":
    serve()
