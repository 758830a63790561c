"""Every call by which a library changes the disk, made to fail or to be the process's last.

`hooked` lets a function decide what happens before each such call: files opened for writing, each
write to them, forcing to the disk, renaming, deleting, making folders, committing a row.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

Before = Callable[[str, Callable[[], object]], None]
"""Called before each call with its name, and a function that does half of it (half a write)."""


class _File:
    """A file whose writes are told before they happen."""

    def __init__(self, file: Any, before: Before) -> None:
        self._file = file
        self._before = before

    def write(self, data: Any) -> int:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._before("write", half)
        return int(self._file.write(data))

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def hooked(before: Before) -> Iterator[None]:
    """Call `before` before every call that changes the disk."""

    def nothing() -> None:
        return None

    def told(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            before(name, nothing)
            return original(*args, **kwargs)

        return call

    def open_told(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(path, mode, *args, **kwargs)
        before("open", nothing)
        return _File(real_open(path, mode, *args, **kwargs), before)

    def commit_told(_: object) -> None:
        before("commit", nothing)

    names = ("fsync", "replace", "unlink", "mkdir")
    real = {name: getattr(os, name) for name in names}
    real_open = io.open
    for name in names:
        setattr(os, name, told(name))
    io.open = open_told  # type: ignore[assignment]
    event.listen(Engine, "commit", commit_told)
    try:
        yield
    finally:
        event.remove(Engine, "commit", commit_told)
        io.open = real_open
        for name in names:
            setattr(os, name, real[name])
