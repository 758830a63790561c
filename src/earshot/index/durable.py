"""Writes that survive a crash: a file is there whole, or not at all.

A file is written under a temporary name, forced to the disk, then renamed into place, and the
folder that holds the name is forced to the disk too. This module also says in one sentence what
the operating system refused. It knows nothing of what the bytes mean.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from earshot.errors import LibraryError

PART = ".part"
"""Ending of a file that is still being written; one found later is a crash's leftover."""

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while `path` is written into a LibraryError."""
    try:
        yield
    except OSError as error:
        raise LibraryError(refusal(error, path)) from error


def refusal(error: OSError, path: Path) -> str:
    """Say in one sentence why `path` could not be written."""
    if error.errno in _FULL:
        return (
            f"the disk that holds {path.parent} is full: free some space and run the command "
            "again, everything added before is kept"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"{path} cannot be written ({error.strerror}): "
            "give a library folder that you may write to"
        )
    return f"{path} cannot be written: {error.strerror or error}"


def write_atomically(target: Path, data: bytes) -> None:
    """Put `data` into `target` so that any reader, also after a crash, sees all or the old file.

    Raises LibraryError when the disk refuses; the old file is then still in place unless only
    the last step, forcing the folder to the disk, was refused.
    """
    part = target.with_name(target.name + PART)
    with writing(target):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            publish(part, target)
        except BaseException:
            discard(part)
            raise


def publish(part: Path, target: Path) -> None:
    """Rename the finished file `part` to `target` and force the new name to the disk."""
    part.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in `folder` to the disk (systems that cannot open a folder need it not)."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(path: Path) -> None:
    """Delete `path` if it can be deleted; what stays is a leftover for the next writer."""
    with suppress(OSError):
        path.unlink()
