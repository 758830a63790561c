"""The process apart in which files are decoded: `python -m earshot.media.child`.

A request is a line of JSON on standard input; the answer is a row of messages on standard output,
each of which says its kind and its length: what the headers tell, blocks of PCM, and the end or an
error. Nothing of it is ever unpickled. Memory and processor time are limited by the operating
system where it can; no file may be written. This module knows nothing of who asks.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from earshot.errors import EarshotError, MediaError, UsageError
from earshot.media.opening import probe, shown
from earshot.media.reading import blocks

try:
    import resource
except ImportError:  # Windows: a crash costs one recording there too, but nothing is limited
    resource = None  # type: ignore[assignment]

INFO, BLOCK, END, FAILED = b"I", b"B", b"E", b"F"
HEADER = struct.Struct("<cQ")
"""Of a message: its kind, and how many bytes follow."""

SHAPE = struct.Struct("<HI")
"""Of a block: channels and samples; then the samples as float32, channel after channel."""

ERRORS = {"MediaError": MediaError, "UsageError": UsageError}
CPU_SECONDS = 3600  # for one file: only a decoder that never ends takes so long
OPEN_FILES = 64
_PAGE = os.sysconf("SC_PAGESIZE") if hasattr(os, "sysconf") else 4096


def main() -> None:
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # whatever a library prints must not get among the messages
    os.dup2(silent, 2)
    confine(int(sys.argv[1]))
    with contextlib.suppress(BrokenPipeError):  # nobody listens any more
        for line in sys.stdin.buffer:
            _answer(json.loads(line), answers)


def confine(memory: int) -> None:
    """Limit this process to `memory` bytes more than it has, no core dumps, no written files."""
    if resource is None:
        return
    limits = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_AS, _mapped() + memory),
    ]
    for which, limit in limits:
        with contextlib.suppress(ValueError, OSError):  # a stricter one holds already
            resource.setrlimit(which, (limit, limit))


def _mapped() -> int:
    """Bytes of address space that this process has; where it cannot be known, what it may have."""
    try:
        return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * _PAGE
    except (OSError, ValueError):
        return 2 << 30


def _answer(request: dict[str, object], answers: BinaryIO) -> None:
    if resource is not None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(
                resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1])
            )
    try:
        for kind, body in _decoded(request):
            answers.write(HEADER.pack(kind, len(body)))
            _write(answers, body)
    except BrokenPipeError:
        raise
    except Exception as error:
        body = json.dumps(_told(error, str(request["path"]))).encode()
        answers.write(HEADER.pack(FAILED, len(body)) + body)
    else:
        answers.write(HEADER.pack(END, 0))


def _decoded(request: dict[str, object]) -> Iterator[tuple[bytes, bytes | memoryview]]:
    path = str(request["path"])
    yield INFO, json.dumps(asdict(probe(path))).encode()
    options = {name: request[name] for name in ("channels", "sample_rate", "block_seconds")}
    found: Iterator[NDArray[np.float32]] = blocks(path, **options)  # type: ignore[arg-type]
    for block in found:
        whole = np.ascontiguousarray(block, np.float32)
        yield BLOCK, SHAPE.pack(*whole.shape) + whole.tobytes()


def _write(answers: BinaryIO, body: bytes | memoryview) -> None:
    left = memoryview(body)
    while left:
        left = left[answers.write(left) :]


def _told(error: Exception, path: str) -> dict[str, str]:
    """An error as a message: its class, as far as it may be one, and its sentence."""
    if isinstance(error, EarshotError):
        return {"kind": type(error).__name__, "sentence": str(error)}
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        sentence = f"{shown(path)} needs more memory to be decoded than it may have."
    else:
        sentence = f"{shown(path)} cannot be decoded: {type(error).__name__}: {error}."
    return {"kind": "MediaError", "sentence": " ".join(sentence.split())}


if __name__ == "__main__":
    main()
