"""The `npz` supplier: a NumPy file of named arrays (`numpy.savez`).

Knows nothing of what the arrays mean.
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.data.arrays import Arrays
from kur.data.package import Package, installed
from kur.data.supplier import supplier
from kur.errors import KurError

# An array may be larger than its file by this factor; below ALWAYS bytes anything goes.
_MOST_GROWTH = 200
_ALWAYS = 256 << 20


@supplier("npz")
class Npz(Arrays):
    """The arrays of an .npz file, each a source: row i of each is sample i."""

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
    ) -> None:
        found = installed(Package(url=url, path=path, checksum=checksum), base)
        super().__init__(read_npz(found), found)


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name; KurError if it is not one, or holds Python objects."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist())
        if size > max(_ALWAYS, _MOST_GROWTH * path.stat().st_size):
            raise KurError(f"{path}: is far larger unpacked than packed, and was not read")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise KurError(f"{path}: no such file") from None
    except zipfile.BadZipFile:
        raise KurError(f"{path}: not an .npz file (a zip archive of arrays)") from None
    except (ValueError, KeyError, EOFError, zlib.error, NotImplementedError) as error:
        said = "it holds Python objects" if "allow_pickle" in str(error) else str(error)
        raise KurError(f"{path}: cannot be read as arrays: {said}") from None
    except OSError as error:
        raise KurError(f"{path}: cannot be read: {error.strerror}") from None
