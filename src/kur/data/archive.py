"""An archive (tar, plain or compressed; zip) -> a folder, where nothing in it can do harm.

Plain files and folders are unpacked, below the folder only; links, devices, paths that lead
elsewhere and archives that grow beyond measure are refused. Knows nothing of what files mean.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kur.errors import KurError

# An archive may grow to this many times its size; small ones may grow to ALWAYS bytes anyway.
_MOST_GROWTH = 200
_ALWAYS = 1 << 30
_MOST_FILES = 5_000_000
# What reading a damaged or encrypted archive raises, also from the bytes of a member.
DAMAGED = (
    *(tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, lzma.LZMAError),
    *(EOFError, RuntimeError, NotImplementedError),
)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: its path inside, its size in bytes, and its bytes."""

    name: str
    size: int
    file: IO[bytes]


def is_archive(path: Path) -> bool:
    """Whether a file is a tar or zip archive, by its content."""
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def unpack(path: Path, into: Path, notes: Mapping[str, str] | None = None) -> None:
    """Unpack an archive as the folder `into`, which is not there yet and appears when all of it is
    unpacked; `notes` are files of text beside. KurError if anything is not to be trusted."""
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{into.name}.", dir=into.parent))
    except OSError as error:
        raise KurError(f"{into}: cannot be made: {error.strerror}") from None
    try:
        for member in members(path):
            target = work / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                shutil.copyfileobj(member.file, file, 1 << 20)
        for name, text in (notes or {}).items():
            (work / name).write_text(text, encoding="utf-8")
        work.chmod(0o755)
        _put(work, into)
    except DAMAGED as error:
        raise damaged(path, error) from None
    except OSError as error:
        raise KurError(f"{path}: cannot be unpacked: {error.strerror or error}") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def members(path: Path) -> Iterator[Member]:
    """The plain files of an archive in its order, each to be read before the next one is asked
    for. KurError if one is not to be trusted."""
    budget = max(_ALWAYS, _MOST_GROWTH * path.stat().st_size)
    found = _in_zip(path) if zipfile.is_zipfile(path) else _in_tar(path)
    try:
        for count, member in enumerate(found, 1):
            budget -= member.size
            if budget < 0 or count > _MOST_FILES:
                raise KurError(f"{path}: is far larger unpacked than packed, and was not unpacked")
            yield member
    except DAMAGED as error:
        raise damaged(path, error) from None


def damaged(path: Path, error: BaseException) -> KurError:
    """The error for an archive that raised one of DAMAGED."""
    return KurError(f"{path}: damaged, or no archive that can be read: {error}")


def _in_tar(path: Path) -> Iterator[Member]:
    with tarfile.open(path) as tar:
        for one in tar:
            if one.isdir():
                continue
            name = _checked(one.name, path)
            file = tar.extractfile(one) if one.isreg() else None
            if file is None:
                what = "a link" if one.issym() or one.islnk() else "neither a file nor a folder"
                raise KurError(f"{path}: {one.name!r} in it is {what}, which is not unpacked")
            yield Member(name, one.size, file)


def _in_zip(path: Path) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for one in archive.infolist():
            if one.is_dir():
                continue
            name = _checked(one.filename, path)
            if (one.external_attr >> 28) not in (0, 8):  # the file's type under Unix; 8 is plain
                what = "neither a file nor a folder, which is not unpacked"
                raise KurError(f"{path}: {one.filename!r} in it is {what}")
            with archive.open(one) as file:
                yield Member(name, one.file_size, file)


def _checked(name: str, path: Path) -> str:
    """The path of a member, if it stays below the folder that it is unpacked to."""
    parts = PurePosixPath(name).parts
    if not parts or name.startswith("/") or ".." in parts or "\\" in name or "\0" in name:
        raise KurError(f"{path}: {name!r} in it leads out of the folder; nothing was unpacked")
    if os.name == "nt" and ":" in name:
        raise KurError(f"{path}: {name!r} in it is no path on this system; nothing was unpacked")
    return str(PurePosixPath(*parts))


def _put(work: Path, into: Path) -> None:
    """Give a finished folder its name; another process may have been faster."""
    try:
        work.rename(into)
    except OSError:
        if not into.is_dir():
            raise
