"""Suppliers -> batches: order, buckets, padding, and worker threads that read ahead.

The order of an epoch follows from the seed and the epoch alone, so that a training which was
killed goes on with the batch it would have had. Knows nothing of networks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.supplier import BatchSupplier, Draw, Source, Supplier
from kur.errors import KurError, nearest

Batch = dict[str, Any]
SAMPLE = "sample"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """How batches are made.

    `batch_size` samples a batch; with `batch_seconds`, as many samples of like length as fit into
    that much padded length (in the supplier's unit of length). `bucket` puts samples of like length
    together; `sortagrad` (yes, or a source that grows with the length) sorts the first epoch from
    short to long (Amodei et al., 2016). `multiple` rounds the number of padded time steps up;
    `num_batches` ends an epoch early; `workers` threads read ahead.
    """

    name: Literal["batch_provider"] = "batch_provider"
    batch_size: int = 32
    num_batches: int | None = None
    randomize: bool = True
    bucket: bool = False
    batch_seconds: float | None = None
    sortagrad: bool | str = False
    multiple: int = 1
    workers: int = 2

    def __post_init__(self) -> None:
        for name in ("batch_size", "num_batches", "batch_seconds", "multiple", "workers"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ArgumentError(f"{name!r} must be above 0, found {value}", name)


class Provider:
    """Batches of the samples of one or several suppliers (which are then read side by side).

    A batch has the sources of the suppliers: arrays of the numeric ones, padded with zeros, lists
    of the others; and as `sample` the name of each sample.
    """

    def __init__(self, suppliers: Sequence[Supplier], options: ProviderOptions, seed: int) -> None:
        if not suppliers:
            raise KurError("the data section has no supplier")
        sizes = {len(one) for one in suppliers}
        if len(sizes) != 1:
            raise KurError(f"the suppliers of one data section differ in length: {sorted(sizes)}")
        self._suppliers = tuple(suppliers)
        self._options = options
        self._seed = seed
        self._sources: dict[str, Source] = {}
        for one in suppliers:
            for name, source in one.sources().items():
                if name in (*self._sources, SAMPLE):
                    raise KurError(f"two suppliers give the source {name!r}; set another 'key'")
                self._sources[name] = source
        known = [lengths for one in suppliers if (lengths := one.lengths()) is not None]
        self._lengths = known[0] if known else None
        self._check_sorting()
        self.samples = sizes.pop()

    def sources(self) -> dict[str, Source]:
        """All numeric sources."""
        return dict(self._sources)

    def metadata(self) -> dict[str, Any]:
        """What the suppliers say of themselves, in one mapping."""
        return {key: value for one in self._suppliers for key, value in one.metadata().items()}

    def count(self, epoch: int) -> int:
        """How many batches an epoch of training has."""
        options = self._options
        if options.batch_seconds is not None and self._lengths is not None:
            return len(self.plan(epoch, training=True))
        whole = -(-self.samples // options.batch_size)
        return whole if options.num_batches is None else min(whole, options.num_batches)

    def plan(self, epoch: int, *, training: bool) -> list[NDArray[np.int64]]:
        """The sample numbers of each batch of an epoch."""
        options = self._options
        rng = np.random.default_rng((self._seed, epoch))
        shuffle = training and options.randomize
        order = rng.permutation(self.samples) if shuffle else np.arange(self.samples)
        by_length = options.bucket or options.batch_seconds is not None
        first_sorted = bool(options.sortagrad) and training and epoch == 0
        if self._lengths is not None and (by_length or first_sorted):
            # A little noise keeps the batches of two epochs from being the same.
            noise = rng.uniform(0.95, 1.05, self.samples) if shuffle else np.ones(self.samples)
            order = np.argsort(self._lengths * noise, kind="stable")
        batches = self._cut(order)
        if shuffle and not first_sorted:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches[: options.num_batches]

    def batches(self, epoch: int, *, training: bool, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, less the first `skip`, read ahead by worker threads."""
        plan = self.plan(epoch, training=training)[skip:]
        draw = Draw(self._seed, epoch, training)
        waiting: deque[Future[Batch]] = deque()
        with ThreadPoolExecutor(max_workers=self._options.workers) as pool:
            try:
                for indices in plan:
                    waiting.append(pool.submit(self._batch, indices, draw))
                    if len(waiting) > 2 * self._options.workers:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()

    def _check_sorting(self) -> None:
        options = self._options
        wants = [
            name for name in ("bucket", "batch_seconds", "sortagrad") if getattr(options, name)
        ]
        if wants and self._lengths is None:
            raise ArgumentError(f"{wants[0]!r} needs data whose samples differ in length", wants[0])
        by = options.sortagrad
        if isinstance(by, str) and by not in self._sources:
            hint = f"{nearest(by, self._sources)}; sources: {', '.join(self._sources)}"
            raise ArgumentError(f"'sortagrad' names no source: {by!r}{hint}", "sortagrad")

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        limit, size, lengths = self._options.batch_seconds, self._options.batch_size, self._lengths
        if limit is None or lengths is None:
            return [order[i : i + size] for i in range(0, len(order), size)]
        batches: list[NDArray[np.int64]] = []
        start, longest = 0, 0.0
        for i, index in enumerate(order):
            longest = max(longest, float(lengths[index]))
            if i > start and longest * (i - start + 1) > limit:
                batches.append(order[start:i])
                start, longest = i, float(lengths[index])
        batches.append(order[start:])
        return batches

    def _batch(self, indices: NDArray[np.int64], draw: Draw) -> Batch:
        batch: Batch = {SAMPLE: [self._suppliers[0].name(int(index)) for index in indices]}
        for one in self._suppliers:
            if isinstance(one, BatchSupplier):
                batch.update(one.batch(indices, draw))
                continue
            samples = [one.sample(int(index), draw) for index in indices]
            for name in samples[0]:
                values = [sample[name] for sample in samples]
                source = self._sources.get(name)
                batch[name] = values if source is None else self._stack(values, source)
        return batch

    def _stack(self, values: list[Any], source: Source) -> NDArray[Any]:
        """One array of all values; where their length varies, padded with zeros to the longest
        (and, for steps that hold several numbers each, to a `multiple`)."""
        arrays = [np.asarray(value) for value in values]
        if source.shape[:1] != (None,):
            return np.stack(arrays)
        longest = max(len(array) for array in arrays)
        longest += -longest % self._options.multiple if len(source.shape) > 1 else 0
        out = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(out, arrays, strict=True):
            row[: len(array)] = array
        return out
