"""A layer: `maxout: 16` or `maxout: {size: 16, pieces: 3}`."""

from typing import Any

import kur
from kur.arguments import ArgumentError
from kur.backend import keras


@kur.layer("maxout", shorthand="size")
def maxout(x: Any, name: str, *, size: int, pieces: int = 2) -> Any:
    """Of several dense layers the largest value (Goodfellow et al., 2013)."""
    if pieces < 2:
        raise ArgumentError(f"'pieces' must be at least 2, found {pieces}", "pieces")
    layers = keras().layers
    parts = [layers.Dense(size, name=f"{name}-{i}")(x) for i in range(pieces)]
    return layers.Maximum(name=name)(parts)
