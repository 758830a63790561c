"""A damaged catalogue -> a new one with all the rows that can still be read.

The damaged one is first copied aside, whole, so that nothing is lost if this is interrupted at any
moment; done again, it goes on with the copy. This module knows nothing of the index.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from earshot.catalog import Catalog
from earshot.index.durable import PART, sync_folder, writing
from earshot.rows import FILE, readable
from earshot.types import Recording

DAMAGED = FILE + ".damaged"
"""Where the damaged catalogue stays."""

_ASIDE = "catalog.rescue"  # a folder while this is going on
_FILES = (FILE, FILE + "-wal")


def interrupted(folder: Path) -> bool:
    """Was a rescue in this library begun and not ended? What an ended one left is deleted."""
    if (folder / _ASIDE / "old").exists():
        return True
    shutil.rmtree(folder / _ASIDE, ignore_errors=True)
    return False


def rescue(folder: Path) -> list[Recording] | None:
    """Make the catalogue anew of the rows that can be read, and return them.

    None where there was no catalogue at all: there is an empty one then. Raises LibraryError when
    the disk refuses.
    """
    aside = folder / _ASIDE
    old, new = aside / "old", aside / "new"
    if not (folder / FILE).exists() and not old.exists():
        Catalog(folder, writable=True).close()
        return None
    with writing(folder / FILE):
        if not old.exists():
            _copy(folder, old)
        found = readable(old)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        with Catalog(new, writable=True) as catalog:
            catalog.put(*found)
        shutil.copyfile(old / FILE, folder / DAMAGED)
        for ending in ("-wal", "-shm"):  # of the damaged one: a new one must not meet its log
            with suppress(FileNotFoundError):
                (folder / (FILE + ending)).unlink()
        (new / FILE).replace(folder / FILE)
        sync_folder(folder)
        shutil.rmtree(aside / "done", ignore_errors=True)
        old.replace(aside / "done")  # from here on there is nothing to go on with
        shutil.rmtree(aside)
    return found


def _copy(folder: Path, old: Path) -> None:
    """Copy the catalogue and its log to the folder `old`, which is there whole or not at all."""
    part = old.with_name(old.name + PART)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in _FILES:
        with suppress(FileNotFoundError):
            shutil.copyfile(folder / name, part / name)
    part.replace(old)
