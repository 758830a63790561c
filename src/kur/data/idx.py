"""IDX files, the format of MNIST and of everything that Kur 0.7 kept on disk: one array each.

Two zero bytes, a type, the number of dimensions, each dimension as a big-endian 32-bit number, then
the values, big-endian (http://yann.lecun.com/exdb/mnist). Knows nothing of what the arrays mean.
"""

from __future__ import annotations

import gzip
import logging
import math
import struct
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from kur.errors import KurError

_log = logging.getLogger(__name__)
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_DIMENSIONS = 32
_GZIP = b"\x1f\x8b"
# A header may claim any size. Beyond this a file must hold as many bytes, or a fair share of them
# where they are compressed.
_ALWAYS_READ = 64 << 20
_MOST_GROWTH = 200


def read_idx(path: Path) -> NDArray[Any]:
    """The array of an IDX file, gzipped or not, in the byte order of this machine.

    KurError for a file that is not there, is of another format, or ends early.
    """
    try:
        with path.open("rb") as plain:
            packed = plain.read(2) == _GZIP
        size = path.stat().st_size
        with gzip.open(path) if packed else path.open("rb") as file:
            return _read(cast(IO[bytes], file), path, size * (_MOST_GROWTH if packed else 1))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise KurError(f"{path}: damaged gzip data: {error}") from None
    except FileNotFoundError:
        raise KurError(f"{path}: no such file") from None
    except OSError as error:
        raise KurError(f"{path}: cannot be read: {error.strerror}") from None


def _read(file: IO[bytes], path: Path, most: int) -> NDArray[Any]:
    magic = file.read(4)
    known = len(magic) == 4 and magic[:2] == b"\0\0" and magic[2] in _TYPES
    if not known or magic[3] > _MOST_DIMENSIONS:
        found = magic.hex(" ") or "nothing"
        raise KurError(f"{path}: not an IDX file: it begins with {found}, not 00 00 and a type")
    kind = np.dtype(_TYPES[magic[2]])
    header = file.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise KurError(f"{path}: ends inside its header")
    shape = struct.unpack(f">{magic[3]}I", header)
    size = math.prod(shape) * kind.itemsize
    data = file.read(size) if size <= max(most, _ALWAYS_READ) else b""
    if len(data) < size:
        raise KurError(f"{path}: ends early: its header promises {size:,} bytes of values")
    if file.read(1):
        _log.warning("%s: holds more than its header says; the rest is left out", path)
    return np.frombuffer(data, kind).reshape(shape).astype(kind.newbyteorder("="))
