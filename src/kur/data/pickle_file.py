"""The `pickle` and `numpy_dict` suppliers: a dictionary of arrays that Python or NumPy wrote.

Both formats are programs that run when they are read as usual; here they are only read (`pickles`),
unless a Kurfile says `trust: yes`.
"""

from __future__ import annotations

import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.arrays import Arrays, column_of
from kur.data.npz import read_npz
from kur.data.package import Package, installed
from kur.data.pickles import RefusedPickle, read_pickle
from kur.data.supplier import supplier
from kur.errors import KurError

_log = logging.getLogger(__name__)
_NPY = b"\x93NUMPY"


class _Dictionary(Arrays):
    """The values of a dictionary as sources."""

    def __init__(
        self,
        *,
        base: Path,
        path: str | None = None,
        source: str | None = None,
        url: str | None = None,
        checksum: str | None = None,
        trust: bool = False,
    ) -> None:
        if path is not None and source is not None:
            raise ArgumentError("'path' and 'source' are the same; keep 'path'", "source")
        package = Package(url=url, path=path or source, checksum=checksum)
        found = installed(package, base)
        try:
            data = self._read(found, trust)
        except RefusedPickle as error:
            raise RefusedPickle(f"{error}; if you trust the file, say 'trust: yes'") from None
        except OSError as error:
            raise KurError(f"{found}: cannot be read: {error.strerror}") from None
        if not isinstance(data, dict):
            message = f"a dictionary of arrays expected, found a {type(data).__name__}"
            raise KurError(f"{found}: {message}")
        columns = {_key(key): _array(value, key, found) for key, value in data.items()}
        super().__init__(columns, found)

    def _read(self, path: Path, trust: bool) -> Any:
        raise NotImplementedError


@supplier("pickle")
class Pickle(_Dictionary):
    """Each entry of a pickled dictionary is a source: arrays, or lists of as many rows.

    The file is a package (`path`, which may be called `source`; url, checksum). Files that hold
    more than plain containers and arrays could run anything, and are refused unless `trust: yes`.
    """

    def _read(self, path: Path, trust: bool) -> Any:
        return _load(path.read_bytes(), path, trust)


@supplier("numpy_dict")
class NumpyDict(_Dictionary):
    """Each entry of a dictionary that `numpy.save` wrote is a source; options as for `pickle`."""

    def _read(self, path: Path, trust: bool) -> Any:
        with path.open("rb") as file:
            if file.read(2) == b"PK":
                return read_npz(path)
            file.seek(0)
            try:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    read = np.lib.format.read_array_header_2_0
                shape, _, kind = read(file)
            except ValueError as error:
                raise KurError(f"{path}: not a file that numpy.save wrote: {error}") from None
            if shape != () or not kind.hasobject:
                message = f"a dictionary expected, found an array of the shape {shape}"
                raise KurError(f"{path}: {message}")
            found = _load(file.read(), path, trust)
        return found.reshape(-1)[0] if isinstance(found, np.ndarray) and found.size else found


def _load(data: bytes, path: Path, trust: bool) -> Any:
    if not trust:
        return read_pickle(data, path)
    _log.warning("%s: is run as a program, because the Kurfile says 'trust: yes'", path)
    try:
        return pickle.loads(data, encoding="latin1")
    except Exception as error:  # whatever a trusted program raises
        raise KurError(f"{path}: cannot be read: {error}") from None


def _key(key: Any) -> str:
    return key.decode("latin1") if isinstance(key, bytes) else str(key)


def _array(value: Any, key: Any, path: Path) -> NDArray[Any]:
    if isinstance(value, list | tuple):
        return column_of(value)
    if not isinstance(value, np.ndarray):
        message = f"{_key(key)!r} is a {type(value).__name__}, an array or a list is needed"
        raise KurError(f"{path}: {message}")
    return np.asarray(value)
