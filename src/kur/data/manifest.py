"""Manifests: JSON Lines files with one clip (or one example) a line.

Knows the file format; knows nothing of what the fields mean.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kur.errors import KurError


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a manifest: its values and where it stands."""

    values: dict[str, Any]
    file: Path
    line: int

    @property
    def place(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"

    def error(self, message: str) -> KurError:
        """An error about this line."""
        return KurError(f"{self.place}: {message}")


def read_manifest(path: Path) -> list[Row]:
    """The rows of a manifest file, or of the first `.jsonl` file of a folder."""
    path = find_manifest(path) if path.is_dir() else path
    try:
        lines = path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except FileNotFoundError:
        raise KurError(f"{path}: no such manifest") from None
    except OSError as error:
        raise KurError(f"{path}: cannot be read: {error.strerror}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError:
            raise KurError(f"{path}:{number}: not UTF-8; save the file as UTF-8") from None
        except ValueError as error:
            raise KurError(f"{path}:{number}: not JSON: {error}") from None
        if not isinstance(values, dict):
            raise KurError(f"{path}:{number}: an object expected, found {str(values)[:40]!r}")
        rows.append(Row(values, path, number))
    if not rows:
        raise KurError(f"{path}: the manifest is empty")
    return rows


def find_manifest(folder: Path) -> Path:
    """The first .jsonl file of a folder that is not hidden, or else of a folder in it."""
    for inside, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(".jsonl") and not name.startswith("."):
                return Path(inside) / name
    raise KurError(f"{folder}: no .jsonl manifest in this folder")
