"""How many GPUs there are, and which of them `gpu2-6,gpu!3` means.

The driver itself is asked: no training framework is imported. Knows nothing of Kurfiles.
"""

from __future__ import annotations

import ctypes
import functools
import re
import sys

from kur.errors import KurError

_PART = re.compile(r"gpu(?P<without>!?)(?P<first>\d+)(?:-(?P<last>\d+))?")
_FORMS = "cpu, gpu, gpu2, gpu2-6, gpu!3 (all but that one), or several of these joined by commas"
_MOST = 1024  # no machine has more; a range must not become a list that fills the memory


@functools.cache
def gpu_count() -> int:
    """The number of CUDA devices that this process may use; 0 without a driver."""
    name = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(name)
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def parse_device(device: str, count: int) -> tuple[int, ...]:
    """The numbers of the GPUs that `device` means where there are `count`; () is the CPU.

    Parts are read from left to right: `gpu2-6` adds, `gpu!3` takes away (from all, if it comes
    first). Numbers that do not exist are passed over; KurError if none is left.
    """
    if device == "cpu":
        return ()
    if device == "gpu":
        found = set(range(count))
    else:
        parts = [_PART.fullmatch(part.strip()) for part in device.split(",")]
        found = set()
        for i, part in enumerate(parts):
            last = None if part is None else part["last"] or part["first"]
            if part is None or last is None or len(part["first"]) > 4 or len(last) > 4:
                raise KurError(f"found the device {device!r}; accepted: {_FORMS}")
            named = set(range(int(part["first"]), min(int(last), _MOST) + 1))
            if part["without"]:
                found = (set(range(count)) if i == 0 else found) - named
            else:
                found |= named
    there = tuple(sorted(number for number in found if number < count))
    if not there:
        has = {0: "no GPU", 1: "one GPU: gpu0"}.get(count, f"{count} GPUs: gpu0-{count - 1}")
        raise KurError(f"the device {device!r} is not there: this machine has {has}; use 'cpu'")
    return there
