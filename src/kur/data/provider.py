"""Suppliers -> batches: order, buckets, padding, and worker threads that read ahead.

The order of an epoch follows from the seed and the epoch alone, so that a training which was
killed goes on with the batch it would have had. Knows nothing of networks.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kur.arguments import ArgumentError
from kur.data.stacked import Stacked, gathered
from kur.data.supplier import Draw, SortableSupplier, Source, Supplier, rest
from kur.errors import KurError, nearest

Batch = dict[str, Any]
SAMPLE = "sample"
_WORKERS = 2
_POSITIVE = ("batch_size", "num_batches", "shuffle_after", "batch_seconds", "multiple", "workers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderOptions:
    """How batches are made. Only training shuffles and sorts.

    `batch_size` samples a batch (with `force_batch_size` exactly so many: what is left over is
    dropped); with `batch_seconds`, as many samples of like length as fit into that much padded
    length (in the supplier's unit of length). `num_batches` ends an epoch early. `randomize`
    shuffles each epoch (a number: that many samples at the start).

    `sort_by` a source sorts from small to large (`reverse`: from large to small), in each epoch, or
    in the first `shuffle_after` ones; `sortagrad` (a source, or yes for the length) is `sort_by`
    with `shuffle_after: 1` (Amodei et al., 2016). `bucket` puts samples of like length together, in
    random order. `multiple` rounds the number of padded time steps up; `workers` threads read
    ahead (2, or what the supplier asks for); each has clips of speech decoded by a process of its
    own, where there are several cores. What a batch holds does not depend on them.
    """

    name: Literal["batch_provider"] = "batch_provider"
    batch_size: int = 32
    num_batches: int | None = None
    randomize: bool | int = True
    force_batch_size: bool = False
    sortagrad: bool | str = False
    sort_by: str | None = None
    shuffle_after: int | None = None
    reverse: bool = False
    bucket: bool = False
    batch_seconds: float | None = None
    multiple: int = 1
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            value = getattr(self, name)
            if value is not None and not value > 0 and not (name == "shuffle_after" and value == 0):
                raise ArgumentError(f"{name!r} must be above 0, found {value}", name)
        if self.sortagrad and (self.sort_by or self.shuffle_after):
            message = (
                "'sortagrad: X' is 'sort_by: X' with 'shuffle_after: 1'; give one or the other"
            )
            raise ArgumentError(message, "sortagrad")
        if self.force_batch_size and self.batch_seconds is not None:
            message = "'force_batch_size' and 'batch_seconds' exclude each other"
            raise ArgumentError(message, "force_batch_size")

    def sorted_in(self, epoch: int) -> bool:
        """Whether the samples of an epoch of training are sorted."""
        if self.sortagrad:
            return epoch == 0
        return bool(self.sort_by) and (not self.shuffle_after or epoch < self.shuffle_after)

    def shuffled_in(self, epoch: int) -> bool:
        """Whether the samples of an epoch of training are shuffled."""
        waits = 0 if self.shuffle_after is None else self.shuffle_after
        return bool(self.randomize) and not self.sorted_in(epoch) and epoch >= waits


class Provider:
    """Batches of the samples of one or several suppliers.

    Those that give the same sources are read one after the other, others side by side. A batch has
    the sources of the suppliers: arrays of the numeric ones, padded in each batch to its longest
    sample, lists of the others; and as `sample` the name of each sample.
    """

    def __init__(self, suppliers: Sequence[Supplier], options: ProviderOptions, seed: int) -> None:
        if not suppliers:
            raise KurError("the data section has no supplier")
        self._suppliers = _stacked(suppliers)
        sizes = {len(one) for one in self._suppliers}
        if len(sizes) != 1:
            raise KurError(f"the suppliers of one data section differ in length: {sorted(sizes)}")
        self._options = options
        self._seed = seed
        self._sources: dict[str, Source] = {}
        for one in self._suppliers:
            for name, source in one.sources().items():
                if name in (*self._sources, SAMPLE):
                    raise KurError(
                        f"two suppliers give the source {name!r}, but not the same sources "
                        f"otherwise; speech can be told apart by a 'prefix'"
                    )
                self._sources[name] = source
        known = [lengths for one in self._suppliers if (lengths := one.lengths()) is not None]
        self._lengths = known[0] if known else None
        self.samples = sizes.pop()
        self._keys = self._sorting()
        asked = [getattr(one, "workers", None) or _WORKERS for one in self._suppliers]
        self._workers = options.workers or max(asked)
        if options.force_batch_size and self.samples < options.batch_size:
            message = f"{self.samples} samples do not fill one batch of {options.batch_size}"
            raise ArgumentError(f"'force_batch_size': {message}", "force_batch_size")

    def sources(self) -> dict[str, Source]:
        """All numeric sources."""
        return dict(self._sources)

    def metadata(self) -> dict[str, Any]:
        """What the suppliers say of themselves, in one mapping."""
        found: dict[str, Any] = {}
        for one in self._suppliers:
            for key, value in one.metadata().items():
                both = isinstance(value, dict) and isinstance(found.get(key), dict)
                found[key] = {**found[key], **value} if both else value
        return found

    def count(self, epoch: int) -> int:
        """How many batches an epoch of training has."""
        options = self._options
        if options.batch_seconds is not None and self._lengths is not None:
            return len(self.plan(epoch, training=True))
        whole = self.samples // options.batch_size
        if self.samples % options.batch_size and not options.force_batch_size:
            whole += 1
        return whole if options.num_batches is None else min(whole, options.num_batches)

    def plan(self, epoch: int, *, training: bool) -> list[NDArray[np.int64]]:
        """The sample numbers of each batch of an epoch."""
        options = self._options
        rng = np.random.default_rng((self._seed, epoch))
        shuffle = training and options.shuffled_in(epoch)
        order = np.arange(self.samples)
        if shuffle:
            # A number and not yes: only so many samples are shuffled.
            some = self.samples if options.randomize is True else int(options.randomize)
            order[:some] = rng.permutation(order[:some])
        if training and options.sorted_in(epoch) and self._keys is not None:
            order = np.argsort(self._keys, kind="stable")
            order = order[::-1] if options.reverse else order
        elif self._lengths is not None and (options.bucket or options.batch_seconds is not None):
            # A little noise keeps the batches of two epochs from being the same.
            noise = rng.uniform(0.95, 1.05, self.samples) if shuffle else np.ones(self.samples)
            order = np.argsort(self._lengths * noise, kind="stable")
        batches = self._cut(order)
        if shuffle and options.randomize is True:
            batches = [batches[i] for i in rng.permutation(len(batches))]
        return batches[: options.num_batches]

    def batches(self, epoch: int, *, training: bool, skip: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, less the first `skip`, read ahead by worker threads."""
        plan = self.plan(epoch, training=training)[skip:]
        draw = Draw(self._seed, epoch, training)
        waiting: deque[Future[Batch]] = deque()
        try:
            with ThreadPoolExecutor(max_workers=self._workers) as pool:
                try:
                    for indices in plan:
                        waiting.append(pool.submit(self._batch, indices, draw))
                        if len(waiting) > 2 * self._workers:
                            yield waiting.popleft().result()
                    while waiting:
                        yield waiting.popleft().result()
                finally:
                    for future in waiting:
                        future.cancel()
        finally:
            for one in self._suppliers:
                rest(one)

    def _sorting(self) -> NDArray[np.float64] | None:
        """What samples are sorted by; None if they are not."""
        options = self._options
        for name in ("bucket", "batch_seconds"):
            if getattr(options, name) and self._lengths is None:
                raise ArgumentError(f"{name!r} needs data whose samples differ in length", name)
        option = "sortagrad" if options.sortagrad else "sort_by"
        by = options.sortagrad or options.sort_by
        if not by:
            return None
        if by is True:
            if self._lengths is None:
                message = "'sortagrad' needs data whose samples differ in length"
                raise ArgumentError(message, "sortagrad")
            return self._lengths
        if by not in self._sources:
            hint = f"{nearest(by, self._sources)}; sources: {', '.join(self._sources)}"
            raise ArgumentError(f"{option!r} names no source: {by!r}{hint}", option)
        return self._values(str(by), option)

    def _values(self, name: str, option: str) -> NDArray[np.float64]:
        one = next(one for one in self._suppliers if name in one.sources())
        found = one.values(name) if isinstance(one, SortableSupplier) else None
        if found is None and self._sources[name].shape[:1] in ((), (None,)):
            found = one.lengths()  # what grows with the length
        if found is None and self._sources[name].shape in ((), (1,)):
            draw, every = Draw(self._seed, 0, False), np.arange(self.samples)
            some = np.array_split(every, 1 + self.samples // 256)
            parts = [np.asarray(gathered(one, part, draw)[name], np.float64) for part in some]
            found = np.concatenate([part.reshape(-1) for part in parts])
        if found is None:
            message = (
                f"{option!r} needs a source of one number a sample, and {name!r} has the shape"
            )
            raise ArgumentError(f"{message} {self._sources[name].shape}", option)
        return found

    def _cut(self, order: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        limit, size, lengths = self._options.batch_seconds, self._options.batch_size, self._lengths
        if limit is None or lengths is None:
            end = len(order) - (len(order) % size if self._options.force_batch_size else 0)
            return [order[i : i + size] for i in range(0, end, size)]
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
            for name, values in gathered(one, indices, draw).items():
                source = self._sources.get(name)
                if source is not None and not isinstance(values, np.ndarray):
                    values = self._stack(values, source)
                batch[name] = values
        return batch

    def _stack(self, values: list[Any], source: Source) -> NDArray[Any]:
        """One array of all values; where their length varies, padded with zeros (or themselves, in
        a `loop`) to the longest; for steps that hold several numbers each, to a `multiple`."""
        arrays = [np.asarray(value) for value in values]
        if source.shape[:1] != (None,):
            return np.stack(arrays)
        longest = max(len(array) for array in arrays)
        if len(source.shape) > 1:
            longest += -longest % math.lcm(source.multiple, self._options.multiple)
        out = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(out, arrays, strict=True):
            row[: len(array)] = array
            if source.loop and len(array):
                row[len(array) :] = array[np.arange(len(array), longest) % len(array)]
        return out


def _stacked(suppliers: Sequence[Supplier]) -> tuple[Supplier, ...]:
    """The suppliers, those of the same sources as one."""
    groups: dict[frozenset[str], list[Supplier]] = {}
    for one in suppliers:
        groups.setdefault(frozenset(one.sources()), []).append(one)
    return tuple(Stacked(group) if len(group) > 1 else group[0] for group in groups.values())
