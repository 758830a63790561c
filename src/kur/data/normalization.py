"""Normalization of frames: centred, scaled and whitened by what some clips were like.

Reads and writes the YAML file of Kur 0.7 (mean, stddev, S, Vt). Knows nothing of sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import yaml
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.errors import KurError
from kur.features import Frames

Doubles = NDArray[np.float64]
# A file of 161 x 161 numbers takes the reader that is written in Python seconds.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
# Directions that hold less than this share of the largest deviation are noise of the arithmetic.
_SMALLEST = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class NormalizationOptions:
    """`center` takes the mean off, `scale` divides by the deviation, `rotate` decorrelates (zca,
    the same as yes: back along the old axes; pca: along the principal ones; no). The statistics
    are read from `path`, or made of `depth` clips and written there."""

    path: str | None = None
    center: bool = True
    scale: bool = True
    rotate: bool | Literal["zca", "pca"] = True
    depth: int = 100

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ArgumentError(f"'depth' must be at least 1, found {self.depth}", "depth")


@dataclass(frozen=True, slots=True)
class Statistics:
    """What frames (n, bins) were like: mean and standard deviation (bins,), the inverses of the
    deviations along the principal directions (bins, bins; diagonal), and those (bins, bins)."""

    mean: Doubles
    stddev: Doubles
    scales: Doubles
    directions: Doubles

    @classmethod
    def of(cls, clips: Sequence[Frames]) -> Statistics:
        """The statistics of all frames of some clips."""
        frames = np.vstack(clips).astype(np.float64)
        mean = frames.mean(axis=0)
        degrees = max(1, len(frames) - 1)
        centred = frames - mean
        deviation = np.sqrt(np.square(centred).sum(axis=0) / degrees)
        # The singular values of the frames, by way of their small covariance.
        squares, vectors = np.linalg.eigh(centred.T @ centred)
        found = np.sqrt(np.maximum(squares[::-1], 0))
        kept = found > max(found[0], 1e-300) * _SMALLEST
        scales = np.where(kept, np.sqrt(degrees) / np.where(kept, found, 1.0), 0.0)
        stddev = np.where(deviation > 0, deviation, 1.0)
        return cls(mean, stddev, np.diag(scales), vectors.T[::-1])

    @classmethod
    def read(cls, path: Path) -> Statistics:
        """The statistics of a file; KurError if it is not one."""
        try:
            given = yaml.load(path.read_text(encoding="utf-8"), _Loader)
            parts = [np.array(given[key], np.float64) for key in ("mean", "stddev", "S", "Vt")]
        except OSError as error:
            raise KurError(f"{path}: cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError):
            message = "not a normalization file: lists 'mean', 'stddev', 'S' and 'Vt' expected"
            raise KurError(f"{path}: {message}") from None
        bins = parts[0].size
        if [one.shape for one in parts] != [(bins,), (bins,), (bins, bins), (bins, bins)]:
            shapes = ", ".join(str(one.shape) for one in parts)
            raise KurError(f"{path}: its parts do not fit each other: {shapes}")
        if not all(np.isfinite(one).all() for one in parts) or not parts[1].all():
            raise KurError(f"{path}: holds numbers that are not finite, or a deviation of 0")
        return cls(*parts)

    def write(self, path: Path) -> None:
        """Write them as a file that Kur 0.7 can read, whole or not at all."""
        parts = {"mean": self.mean, "stddev": self.stddev, "S": self.scales, "Vt": self.directions}
        text = yaml.dump({key: one.tolist() for key, one in parts.items()}, Dumper=_Dumper)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.new")
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise KurError(f"{path}: cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Normalization:
    """Frames -> (frames - mean) @ matrix + offset."""

    mean: Doubles
    matrix: Doubles
    offset: Doubles

    @classmethod
    def of(cls, found: Statistics, options: NormalizationOptions) -> Normalization:
        """The transform that the options ask for."""
        bins = len(found.mean)
        if options.rotate:
            matrix = found.directions
            if options.rotate == "pca":
                # Directions are known but for their sign; a rule makes it always the same.
                matrix = np.where(matrix[:, :1] < 0, -1.0, 1.0) * matrix
            if options.scale:
                matrix = found.scales @ matrix
            if options.rotate != "pca":
                matrix = found.directions.T @ matrix
        else:
            matrix = np.diag(1 / found.stddev) if options.scale else np.eye(bins)
        return cls(found.mean, matrix.T, np.zeros(bins) if options.center else found.mean)

    @classmethod
    def from_metadata(cls, given: Any) -> Normalization:
        """What `as_metadata` gave."""
        return cls(*(np.array(given[key], np.float64) for key in ("mean", "matrix", "offset")))

    def as_metadata(self) -> dict[str, Any]:
        """The transform as plain lists, for an exported network and for data of other sections."""
        parts = {"mean": self.mean, "matrix": self.matrix, "offset": self.offset}
        return {key: one.tolist() for key, one in parts.items()}

    def apply(self, frames: Frames) -> Frames:
        """Frames (n, bins) normalized, float32."""
        return ((frames - self.mean) @ self.matrix + self.offset).astype(np.float32)
