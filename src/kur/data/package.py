"""Packages: data that a Kurfile names by `path`, `url` and `checksum` -> files on this machine.

Path only: a file or a folder that is there. Url only: kept in the cache folder. Both: `path` is a
folder (made if need be) in which the file is kept, or the file itself if it is one. A file is used
again while its SHA-256 is `checksum`, and otherwise downloaded again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import platformdirs

from kur.arguments import ArgumentError, bind
from kur.data.archive import is_archive, unpack
from kur.data.download import check_url, download
from kur.data.supplier import resolve
from kur.errors import KurError

CACHE = "KUR_CACHE"
_log = logging.getLogger(__name__)
_STAMP = ".unpacked.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """Where data is: `url`, `path`, or both, and its SHA-256 in hexadecimal digits."""

    url: str | None = None
    path: str | None = None
    checksum: str | None = None

    def __post_init__(self) -> None:
        if self.url is None and self.path is None:
            raise ArgumentError("'path' or 'url' must say where the data is")
        if self.url is not None:
            try:
                check_url(self.url)
            except KurError as error:
                raise ArgumentError(str(error), "url") from None
        checksum = self.checksum
        if checksum is not None and not re.fullmatch(r"\s*[0-9a-fA-F]{64}\s*", checksum):
            message = f"'checksum' must be a SHA-256: 64 hexadecimal digits, found {checksum!r}"
            raise ArgumentError(message, "checksum")


def package_of(given: str | Mapping[str, Any], key: str) -> Package:
    """The package that stands under `key` of a supplier: a path, or a mapping."""
    try:
        return Package(**bind(Package, given, what=repr(key), shorthand="path"))
    except ArgumentError as error:
        raise ArgumentError(str(error), f"{key}.{error.key}" if error.key else key) from None


def installed(package: Package, base: Path, key: str = "") -> Path:
    """The file or folder of a package, downloaded if need be; relative paths start at `base`.

    KurError if it cannot be had, or is not what `checksum` says; `key` is where the package stands
    among the options of its supplier, if it is not those options themselves.
    """
    wanted = package.checksum.strip().lower() if package.checksum else None
    path = None if package.path is None else resolve(base, os.path.expandvars(package.path))
    if package.url is None:
        assert path is not None  # Package sees to it
        try:
            return _there(path, wanted)
        except ArgumentError as error:
            raise ArgumentError(str(error), f"{key}.{error.key}" if key else error.key) from None
    if path is None:
        # Files of different addresses may share their name.
        path = cache_folder() / hashlib.sha256(package.url.encode()).hexdigest()[:12]
    if not path.is_file():
        path = path / file_name(package.url)
    if path.is_file():
        if wanted is None or _digest(path) == wanted:
            return path
        _log.warning("%s: not what 'checksum' says; downloading it again", path)
    download(package.url, path)
    if wanted is not None and (found := _digest(path)) != wanted:
        path.unlink()
        message = f"its SHA-256 is {found}, 'checksum' says {wanted}; it was not kept"
        raise KurError(f"{package.url}: {message}")
    return path


def unpacked(path: Path) -> Path:
    """The folder of a package: itself, or what its archive holds, unpacked once beside it as
    NAME.unpacked (in the cache folder if nothing can be written there). A file that is no archive
    is returned as it is."""
    if not is_archive(path):
        return path
    status = path.stat()
    stamp = json.dumps({"size": status.st_size, "changed": status.st_mtime_ns})
    folder = path.with_name(f"{path.name}.unpacked")
    if not folder.exists() and not os.access(path.parent, os.W_OK):
        place = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]
        folder = cache_folder() / place / folder.name
    try:
        if (folder / _STAMP).read_text("utf-8") == stamp:
            return folder
        shutil.rmtree(folder)  # of an older archive of that name
    except FileNotFoundError:
        if folder.exists():
            message = f"{folder}: is in the way of unpacking {path.name}, and was not made by kur"
            raise KurError(message) from None
    except OSError as error:
        raise KurError(f"{folder}: cannot be used: {error.strerror}") from None
    _log.info("unpacking %s", path)
    unpack(path, folder, {_STAMP: stamp})
    return folder


def file_name(url: str) -> str:
    """What the file of a URL is called on disk."""
    name = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w.,+=@ -]", "_", name).lstrip(".").strip()[-200:]
    return name or "download"


def cache_folder() -> Path:
    """Where packages without a path are kept: $KUR_CACHE, or the user's cache folder."""
    chosen = os.environ.get(CACHE)
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("kur"))


def _there(path: Path, wanted: str | None) -> Path:
    if path.is_dir():
        if wanted is not None:
            _log.warning("%s: a folder, of which 'checksum' cannot be checked", path)
        return path
    if not path.exists():
        raise ArgumentError(f"{path}: no such file or folder; 'url' would download it", "path")
    if wanted is not None and (found := _digest(path)) != wanted:
        message = f"{path}: its SHA-256 is {found}, 'checksum' says {wanted}"
        raise ArgumentError(message, "checksum")
    return path


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise KurError(f"{path}: cannot be read: {error.strerror}") from None
