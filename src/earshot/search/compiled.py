"""Python functions compiled to machine code when they are first called, and kept on disk.

This module knows nothing of what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

_F = TypeVar("_F", bound=Callable[..., object])


def compiled(function: _F) -> _F:
    """Compile `function` with numba at its first call; kept on disk where that can be written.

    Numba keeps it beside the source or in the user's cache folder (NUMBA_CACHE_DIR says where
    else). Where neither can be written, as in a read-only container, every process compiles anew.
    """
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(_F, numba.njit(cache=True, **options)(function))
    except RuntimeError:
        return cast(_F, numba.njit(**options)(function))
