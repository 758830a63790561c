"""What a supplier of data is, and the suppliers that a Kurfile can name.

A supplier is a numbered collection of samples; each sample is a mapping from source names to
arrays, numbers or texts. Knows nothing of batches, networks or training.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Sample = Mapping[str, Any]
# What the suppliers of the training data say of themselves, see `Supplier.metadata`.
Trained = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """Shape of one numeric source of each sample (None where the length varies from sample to
    sample) and the type that a network takes it as.

    Where the length varies, a batch is as long as its longest sample, rounded up to a `multiple` of
    steps; shorter ones are filled with zeros, or with themselves again in a `loop`.
    """

    shape: tuple[int | None, ...]
    type: str = "float32"
    multiple: int = 1
    loop: bool = False


@dataclass(frozen=True, slots=True)
class Draw:
    """Which hearing of a sample is wanted: `training` turns augmentation on, and the same `seed`
    and `epoch` always give the same sample, so that a resumed training sees what it would have."""

    seed: int
    epoch: int
    training: bool

    def random(self, index: int) -> np.random.Generator:
        """The random numbers of sample `index` in this epoch."""
        return np.random.default_rng((self.seed, self.epoch, index))


class Supplier(Protocol):
    """A numbered collection of samples. One that is slow may have an attribute `workers`: in how
    many threads its samples are best made; and a method `rest`, see the function."""

    def __len__(self) -> int:
        """How many samples there are."""

    def sources(self) -> dict[str, Source]:
        """The numeric sources; what else a sample holds stays a list in each batch."""

    def lengths(self) -> NDArray[np.float64] | None:
        """A number by which samples of like length can be found (seconds, symbols); None if all
        are alike."""

    def name(self, index: int) -> str:
        """What a person knows sample `index` by: its file, and the line there."""

    def sample(self, index: int, draw: Draw) -> Sample:
        """The sample `index` (0 to len - 1)."""

    def metadata(self) -> dict[str, Any]:
        """What an exported network must carry to be fed the same way (features, vocabulary)."""


@runtime_checkable
class BatchSupplier(Supplier, Protocol):
    """A supplier that makes a batch at once, which for arrays is much faster than one by one."""

    def batch(self, indices: NDArray[np.int64], draw: Draw) -> Mapping[str, Any]:
        """The samples `indices`: of each numeric source an array (samples, ...), of what else there
        is a list."""


@runtime_checkable
class SortableSupplier(Supplier, Protocol):
    """A supplier that knows numbers of its samples without making them."""

    def values(self, source: str) -> NDArray[np.float64] | None:
        """A number for each sample by which `source` can be sorted; None if there is none."""


def rest(supplier: Supplier) -> None:
    """Tell a supplier that wants to know it that a pass over its samples has ended, for good or
    for now: it may let go of what it can start again."""
    told = getattr(supplier, "rest", None)
    if told is not None:
        told()


SUPPLIERS: dict[str, Callable[..., Supplier]] = {}


def supplier(name: str) -> Callable[[type], type]:
    """Register a class as the supplier `name`; its keyword parameters are its options.

    Some are given by the program if the class takes them: `base`, the folder that relative paths
    start from; `trained`, which gives the metadata of the training data, so that other data is
    described by the same vocabulary, classes and normalization; and `settings_seed`, the
    Kurfile's seed.
    """

    def register(kind: type) -> type:
        SUPPLIERS[name] = kind
        return kind

    return register


def resolve(base: Path, path: str) -> Path:
    """`path` of a Kurfile: `~` is the home folder, `$NAME` is what the environment says, and a
    relative path starts at `base`."""
    expanded = Path(os.path.expandvars(path)).expanduser()
    return expanded if expanded.is_absolute() else base / expanded
