"""How many GPUs there are, asked of the driver itself: no training framework is imported.

It knows nothing of Kurfiles or backends.
"""

from __future__ import annotations

import ctypes
import functools
import sys


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
