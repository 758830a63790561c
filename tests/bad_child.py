"""A process apart whose decoder does what the name of a file says: crash, hang, eat, lie.

It is `earshot.media.child` in all but the decoding, as real decoders with such defects are mended.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from earshot.media import child

real = child.blocks


def blocks(path: str, **options: Any) -> Iterator[npt.NDArray[np.float32]]:
    """The real blocks; files with certain names go wrong after the first."""
    found = real(path, **options)
    yield next(found)
    word = Path(path).stem
    if word == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif word == "hang":
        time.sleep(60)
    elif word == "spin":
        while True:
            pass
    elif word == "eat":
        yield np.ones((1, 1 << 33), np.float32)  # 32 GB
    elif word == "end":
        os._exit(3)
    elif word == "bug":
        raise KeyError("stream\n7")
    elif word == "write":
        Path(path).with_name("written").write_bytes(b"x")
    elif word == "print":
        os.write(1, b"nonsense from a library")
    elif word == "lie":
        os.write(ANSWERS, child.HEADER.pack(child.BLOCK, 1 << 40))
    yield from found


child.blocks = blocks  # type: ignore[assignment]
if __name__ == "__main__":
    # What `main` writes its answers to: the next descriptor that is free.
    ANSWERS = os.dup(1)
    os.close(ANSWERS)
    child.main()
