"""Paths as a user gives them -> the files to listen to: folders are walked, files taken as given.

Goes by names alone; this module opens nothing but folders and knows nothing of what files hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from earshot.media.opening import PathLike

MEDIA_SUFFIXES = (
    ".3g2 .3gp .aac .ac3 .aif .aifc .aiff .al .alaw .amr .ape .asf .au .avi .awb .caf .divx .dss "
    ".dts .eac3 .f4v .flac .flv .g722 .gsm .m2ts .m4a .m4b .m4r .m4v .mka .mkv .mov .mp2 .mp3 .mp4 "
    ".mpc .mpeg .mpg .mpga .mts .mulaw .mxf .oga .ogg .ogv .opus .qt .ra .rm .rmvb .sln16 .snd "
    ".sph .spx .tak .ts .tta .ul .ulaw .voc .vob .w64 .wav .wav49 .weba .webm .wma .wmv .wv"
)
# These two are also what TypeScript calls its sources.
SHARED_SUFFIXES = frozenset({".mts", ".ts"})
TRANSPORT_SYNC = 0x47  # begins every packet of an MPEG transport stream, after 4 bytes in .mts


def media_files(paths: Iterable[PathLike]) -> Iterator[Path]:
    """The files that `paths` stand for, each once, in the order of `paths`, sorted within folders.

    A file is yielded whatever its name. A folder gives those files below it, at any depth, whose
    suffix is one of audio or video; hidden files and folders in it are left out, links followed.
    What does not exist or cannot be listed is yielded too: opening it says why in a sentence.
    """
    given: set[str] = set()
    folders: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        for file in _walked(path, folders) if _is_folder(path) else [path]:
            if (real := _real(file)) not in given:
                given.add(real)
                yield file


def _walked(folder: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    try:
        status = folder.stat()
        # Links may lead back to where we came from.
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        entries = sorted(folder.iterdir())
    except OSError:
        yield folder
        return
    known = MEDIA_SUFFIXES.split()
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _walked(entry, seen)
        elif entry.suffix.lower() in known and _is_media(entry):
            yield entry


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # nothing can be known of it, which is said when it is opened
        return False


def _real(path: Path) -> str:
    """The same text for the same file, whatever links lead to it."""
    try:
        return os.path.realpath(path)
    except ValueError:  # a name that no file can have
        return str(path)


def _is_media(path: Path) -> bool:
    if path.suffix.lower() not in SHARED_SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(5)
    except OSError:
        return True
    return TRANSPORT_SYNC in (head[:1] + head[4:5])
