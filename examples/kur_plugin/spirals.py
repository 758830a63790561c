"""A supplier: `spirals: {count: 400}`."""

import numpy as np

import kur
from kur.data.arrays import Arrays


@kur.supplier("spirals")
class Spirals(Arrays):
    """Points on two spirals that turn around each other: `point` (2,), and which `arm`, 0 or 1."""

    def __init__(self, *, count: int = 400, noise: float = 0.02, seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        arm = random.integers(2, size=count)
        away = random.uniform(0.2, 1.0, size=count)
        angle = 4 * away + np.pi * arm
        point = away[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        point += random.normal(scale=noise, size=point.shape)
        super().__init__({"point": point, "arm": arm}, where=f"spirals {seed}")
