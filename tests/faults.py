"""Every call by which a library changes the disk, made to fail or to be the process's last.

`hooked` lets a function decide what happens before each such call: files opened for writing, each
write to them, forcing to the disk, renaming, deleting, making folders, committing a row. `Disk`
remembers what of it a power cut would undo.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

Before = Callable[[str, Callable[[], object]], None]
"""Called before each call with its name, and a function that does half of it (half a write)."""


class Disk:
    """What was written but not forced to the disk: data of files, and names in folders.

    SQLite forces its own files by itself, and is left alone. `stash` is a folder on the same disk.
    """

    def __init__(self, stash: Path) -> None:
        self._stash = stash
        self._unforced: set[Path] = set()  # files whose data may be lost
        self._names: list[tuple[Path, Path | None, Path | None]] = []  # name, what was, came from

    def wrote(self, path: Path) -> None:
        self._unforced.add(path)

    def forced(self, handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        self._unforced.discard(path)
        self._names = [one for one in self._names if one[0].parent != path]

    def renaming(self, source: Path, target: Path) -> None:
        self._names.append((target, self._kept(target), source))
        if source in self._unforced:
            self._unforced.remove(source)
            self._unforced.add(target)

    def deleting(self, path: Path) -> None:
        self._names.append((path, self._kept(path), None))

    def cut(self, *, names: bool) -> None:
        """The power fails: unforced data is gone and, if `names`, unforced names are as before."""
        for path in self._unforced:
            if path.exists():
                os.truncate(path, path.stat().st_size // 3)
        for name, was, source in reversed(self._names if names else []):
            if source is not None and name.exists():
                name.rename(source)
            if was is not None:
                was.rename(name)

    def _kept(self, path: Path) -> Path | None:
        if not path.is_file():
            return None
        kept = self._stash / str(len(list(self._stash.iterdir())))
        kept.hardlink_to(path)
        return kept


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
def hooked(before: Before, disk: Disk | None = None) -> Iterator[None]:
    """Call `before` before every call that changes the disk, and let `disk` remember it."""

    def nothing() -> None:
        return None

    def told(name: str) -> Callable[..., Any]:
        original = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            before(name, nothing)
            if disk is not None and name == "replace":
                disk.renaming(Path(args[0]), Path(args[1]))
            if disk is not None and name == "unlink" and "dir_fd" not in kwargs:
                disk.deleting(Path(args[0]))
            result = original(*args, **kwargs)
            if disk is not None and name == "fsync":
                disk.forced(args[0])
            return result

        return call

    def open_told(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if not set(mode) & set("wax+"):
            return real_open(path, mode, *args, **kwargs)
        before("open", nothing)
        file = real_open(path, mode, *args, **kwargs)
        if disk is not None:
            disk.wrote(Path(path))
        return _File(file, before)

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
