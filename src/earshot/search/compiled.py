"""Python functions as machine code, by Numba: what `kernels` and `paths` are written with.

They allocate nothing and raise nothing, so that their code needs nothing of Numba when it runs.
This module knows nothing of what they do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba import types

_OPTIONS = {"nogil": True, "error_model": "numpy"}

_F = TypeVar("_F", bound=Callable[..., object])


def compiled(function: _F) -> _F:
    """`function`, to be called from compiled code, or through Numba."""
    return cast(_F, numba.njit(**_OPTIONS)(function))


def assembly(function: Callable[..., int], takes: str) -> tuple[str, str]:
    """The full name of a function and LLVM's text of it, with all that it calls.

    takes: the types of its arguments, as `native.KERNELS` has them.
    """
    one: Any = numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    kinds = []
    for part in takes.split():
        kind, _, dimensions = part.partition(":")
        scalar = numba.from_dtype(np.dtype(kind))
        kinds.append(types.Array(scalar, int(dimensions), "C") if dimensions else scalar)
    one.compile(tuple(kinds))
    (made,) = one.overloads.values()
    return made.fndesc.llvm_func_name, one.inspect_llvm(one.signatures[0])
