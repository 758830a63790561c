"""Batches: their order, buckets and padding, every sample once, and what read-ahead must not do."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kur import Points, kurfile

from kur.assemble import providers, seed_of
from kur.data.arrays import Arrays
from kur.data.provider import Provider, ProviderOptions
from kur.data.supplier import SUPPLIERS, Draw, Sample, Source
from kur.errors import KurError


class Stretches:
    """Samples of so many steps: sample i is filled with i + 1."""

    def __init__(self, lengths: list[int], key: str = "") -> None:
        self._lengths = lengths
        self._key = key
        self.draws: list[Draw] = []

    def __len__(self) -> int:
        return len(self._lengths)

    def sources(self) -> dict[str, Source]:
        shapes = {"frames": (None, 2), "symbols": (None,), "picture": (3, 1), "length": ()}
        return {self._key + name: Source(shape) for name, shape in shapes.items()}

    def lengths(self) -> npt.NDArray[np.float64]:
        return np.array(self._lengths, np.float64)

    def name(self, index: int) -> str:
        return f"line {index}"

    def metadata(self) -> dict[str, Any]:
        return {f"{self._key}made by": "a test"}

    def sample(self, index: int, draw: Draw) -> Sample:
        self.draws.append(draw)
        count = self._lengths[index]
        values = {
            "frames": np.full((count, 2), index + 1, np.float32),
            "symbols": np.full(count, index + 1, np.int32),
            "picture": np.zeros((3, 1), np.float32),
            "length": count,
            "text": f"text {index}",
            "loose": np.zeros(count),
        }
        return {self._key + name: value for name, value in values.items()}


def provider(lengths: list[int], seed: int = 0, **options: Any) -> Provider:
    return Provider([Stretches(lengths)], ProviderOptions(**options), seed)


def numbers(plan: list[npt.NDArray[np.int64]]) -> list[list[int]]:
    return [one.tolist() for one in plan]


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "batch_size": st.integers(1, 9),
        "randomize": st.booleans(),
        "bucket": st.booleans(),
        "batch_seconds": st.floats(1, 60),
        "sortagrad": st.booleans() | st.just("length"),
        "reverse": st.booleans(),
    },
)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=40), OPTIONS, st.integers(0, 3), st.booleans()
)
@settings(deadline=None)
def test_every_sample_exactly_once(
    lengths: list[int], options: dict[str, Any], epoch: int, training: bool
) -> None:
    made = provider(lengths, **options)
    plan = numbers(made.plan(epoch, training=training))
    assert sorted(itertools.chain(*plan)) == list(range(len(lengths)))
    assert plan == numbers(provider(lengths, **options).plan(epoch, training=training))
    assert made.count(epoch) == len(made.plan(epoch, training=True))
    limit = options.get("batch_seconds")
    for batch in plan:
        if limit is None:
            assert 0 < len(batch) <= options.get("batch_size", 32)
        else:
            assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= limit


def test_the_order_follows_from_seed_and_epoch() -> None:
    lengths = list(range(1, 51))

    def order(seed: int, epoch: int, **options: Any) -> list[list[int]]:
        return numbers(provider(lengths, seed, batch_size=4, **options).plan(epoch, training=True))

    assert order(1, 0) == order(1, 0)
    assert order(1, 0) != order(2, 0) and order(1, 0) != order(1, 1)
    still = order(1, 0, randomize=False)
    assert still == order(2, 1, randomize=False) and still[0] == [0, 1, 2, 3]
    not_training = provider(lengths, 1, batch_size=4).plan(0, training=False)
    assert numbers(not_training) == still


def test_buckets_hold_samples_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(10, 100, 200).tolist()
    spread = []
    for bucket in (True, False):
        plan = provider(lengths, batch_size=10, bucket=bucket).plan(2, training=True)
        spread.append(np.mean([np.ptp([lengths[i] for i in batch]) for batch in plan]))
    assert spread[0] < 15 < 60 < spread[1]
    first = [lengths[batch[0]] for batch in provider(lengths, bucket=True).plan(0, training=True)]
    assert first != sorted(first)  # the buckets come in random order


def test_sortagrad_sorts_the_first_epoch_only() -> None:
    lengths = np.random.default_rng(0).integers(10, 100, 60).tolist()
    for sortagrad in (True, "length"):
        made = provider(lengths, batch_size=6, sortagrad=sortagrad)
        longest = [max(lengths[i] for i in batch) for batch in made.plan(0, training=True)]
        assert all(a <= 1.11 * b for a, b in itertools.pairwise(longest))
        later = [max(lengths[i] for i in batch) for batch in made.plan(1, training=True)]
        assert sum(a > b for a, b in itertools.pairwise(later)) >= 2


def test_batches_are_padded() -> None:
    made = provider([3, 5, 4], batch_size=3, multiple=4)
    [batch] = made.batches(0, training=False)
    assert batch["sample"] == ["line 0", "line 1", "line 2"]
    assert batch["frames"].shape == (3, 8, 2) and batch["frames"].dtype == np.float32
    assert batch["symbols"].shape == (3, 5) and batch["symbols"].dtype == np.int32
    assert batch["picture"].shape == (3, 3, 1) and batch["length"].tolist() == [3, 5, 4]
    for i, count in enumerate([3, 5, 4]):
        assert (batch["frames"][i, :count] == i + 1).all()
        assert (batch["frames"][i, count:] == 0).all()
    # What no source describes stays a list.
    assert batch["text"] == ["text 0", "text 1", "text 2"]
    assert [len(one) for one in batch["loose"]] == [3, 5, 4]


def test_batches_come_in_the_planned_order_and_can_be_skipped() -> None:
    made = provider(list(range(1, 41)), batch_size=3, workers=4)
    names = [batch["sample"] for batch in made.batches(3, training=True)]
    plan = made.plan(3, training=True)
    assert names == [[f"line {i}" for i in one] for one in plan]
    rest = [batch["sample"] for batch in made.batches(3, training=True, skip=10)]
    assert rest == names[10:]
    assert list(made.batches(3, training=True, skip=len(plan))) == []


def test_an_epoch_of_some_batches() -> None:
    made = provider([1] * 50, batch_size=4, num_batches=3)
    assert made.count(0) == 3 == len(list(made.batches(0, training=True)))


def test_the_draw_says_epoch_and_training() -> None:
    supplier = Stretches([1, 2])
    list(Provider([supplier], ProviderOptions(), 7).batches(5, training=True))
    assert set(supplier.draws) == {Draw(7, 5, True)}
    assert Draw(7, 5, True).random(3).random() == Draw(7, 5, False).random(3).random()
    others = {Draw(*one, True).random(i).random() for one, i in [((7, 5), 3), ((7, 6), 3)]}
    assert len(others | {Draw(8, 5, True).random(3).random(), Draw(7, 5, True).random(4).random()})


def test_suppliers_side_by_side() -> None:
    both = [Stretches([3, 1]), Stretches([2, 2], key="other_")]
    made = Provider(both, ProviderOptions(), 0)
    [batch] = made.batches(0, training=False)
    assert batch["frames"].shape == (2, 3, 2) and batch["other_frames"].shape == (2, 2, 2)
    assert made.metadata() == {"made by": "a test", "other_made by": "a test"}

    class Half(Stretches):
        def sources(self) -> dict[str, Source]:
            return {"frames": Source((None, 2))}

    with pytest.raises(KurError, match="two suppliers give the source 'frames', but not the same"):
        Provider([Stretches([1]), Half([1])], ProviderOptions(), 0)
    with pytest.raises(KurError, match=r"suppliers of one data section differ in length: \[1, 2\]"):
        Provider([Stretches([1]), Stretches([1, 1], "other_")], ProviderOptions(), 0)
    with pytest.raises(KurError, match="the data section has no supplier"):
        Provider([], ProviderOptions(), 0)


@given(
    st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=2, max_size=4),
    st.booleans(),
)
@settings(deadline=None)
def test_suppliers_of_the_same_sources_are_one(corpora: list[list[int]], bucket: bool) -> None:
    options = ProviderOptions(batch_size=4, bucket=bucket)
    both = Provider([Stretches(one) for one in corpora], options, 3)
    lengths = [length for one in corpora for length in one]
    assert both.samples == len(lengths)
    plan = both.plan(1, training=True)
    for batch, indices in zip(both.batches(1, training=True), plan, strict=True):
        assert batch["length"].tolist() == [lengths[i] for i in indices]
        for row, index in zip(batch["frames"], indices, strict=True):
            count = lengths[index]
            inside = index - sum(len(one) for one in corpora[: _corpus(corpora, index)])
            assert (row[:count] == inside + 1).all() and not row[count:].any()
        assert [len(one) for one in batch["loose"]] == batch["length"].tolist()


def _corpus(corpora: list[list[int]], index: int) -> int:
    ends = list(itertools.accumulate(len(one) for one in corpora))
    return next(i for i, end in enumerate(ends) if index < end)


def test_stacked_arrays_and_others() -> None:
    one = Arrays({"x": np.arange(3), "t": np.array(["a", "b", "c"])}, "one")
    two = Arrays({"x": np.arange(10, 15), "t": np.array(list("defgh"))}, "two")
    made = Provider([one, two], ProviderOptions(batch_size=8, sort_by="x", reverse=True), 0)
    [batch] = made.batches(0, training=True)
    assert batch["x"].tolist() == [14, 13, 12, 11, 10, 2, 1, 0]
    assert batch["t"] == list("hgfedcba") and batch["sample"][0] == "two[4]"
    other = Arrays({"x": np.zeros((2, 4))}, "other")
    with pytest.raises(
        KurError, match=r"^one\[0\] and other\[0\] are .*, and their 'x' differ: \(\)"
    ):
        Provider([Arrays({"x": np.arange(3)}, "one"), other], ProviderOptions(), 0)

    class Spoken(Stretches):
        def metadata(self) -> dict[str, Any]:
            return {"vocabulary": {"said": str(self._lengths)}}

    with pytest.raises(KurError, match=r"and differ in their vocabulary; give it to both of them"):
        Provider([Spoken([1]), Spoken([2])], ProviderOptions(), 0)


def test_sorting() -> None:
    values = np.random.default_rng(0).permutation(50)
    data = Arrays({"x": values, "pair": np.zeros((50, 2))}, "a")

    def order(epoch: int, *, training: bool = True, **options: Any) -> list[int]:
        made = Provider([data], ProviderOptions(batch_size=7, **options), 0)
        plan = made.plan(epoch, training=training)
        return [int(values[i]) for batch in plan for i in batch]

    up, given = list(range(50)), values.tolist()
    assert order(0, sort_by="x") == order(3, sort_by="x") == up
    assert order(0, sort_by="x", randomize=False) == up
    assert order(2, sort_by="x", reverse=True) == up[::-1]
    assert order(0, sort_by="x", training=False) == given
    first = {"sort_by": "x", "shuffle_after": 2}
    assert order(0, **first) == order(1, **first) == up
    assert order(2, **first) not in (up, given) and sorted(order(2, **first)) == up
    # Without a source to sort by, the order is that of the file.
    assert order(1, shuffle_after=2) == given != order(2, shuffle_after=2)
    assert order(0, shuffle_after=0) != given
    assert order(0, sortagrad="x") == up != order(1, sortagrad="x")
    # A number shuffles that many at the start.
    assert order(0, randomize=10)[10:] == given[10:] and order(0, randomize=10)[:10] != given[:10]
    assert order(0, randomize=0) == given
    for wrong, message in [
        ({"sort_by": "y"}, "'sort_by' names no source: 'y'; sources: x, pair"),
        ({"sort_by": "pair"}, "'sort_by' needs a source of one number a sample, and 'pair' has"),
        ({"sortagrad": "x", "sort_by": "x"}, "'sortagrad: X' is 'sort_by: X' with 'shuffle_after"),
        ({"sortagrad": True}, "'sortagrad' needs data whose samples differ in length"),
        ({"force_batch_size": True, "batch_seconds": 3.0}, "'force_batch_size' and 'batch_sec"),
        ({"shuffle_after": -1}, "'shuffle_after' must be above 0, found -1"),
    ]:
        with pytest.raises(KurError, match=message):
            order(0, **wrong)


def test_sorting_by_what_only_the_samples_tell() -> None:
    class Heights(Points):
        pass

    data = Heights(count=300)
    [batch] = Provider([data], ProviderOptions(batch_size=300), 0).batches(0, training=False)
    made = Provider([data], ProviderOptions(batch_size=300, sort_by="height"), 0)
    [order] = made.plan(0, training=True)
    heights = batch["height"][order, 0]
    assert (np.diff(heights) >= 0).all() and len(set(order.tolist())) == 300


def test_batches_of_exactly_one_size() -> None:
    made = provider([1] * 50, batch_size=8, force_batch_size=True)
    for training in (True, False):
        sizes = [len(one) for one in made.plan(0, training=training)]
        assert sizes == [8] * 6 and made.count(0) == 6
    assert made.plan(0, training=True)[0].tolist() != made.plan(1, training=True)[0].tolist()
    with pytest.raises(KurError, match="'force_batch_size': 3 samples do not fill one batch of 8"):
        provider([1] * 3, batch_size=8, force_batch_size=True)


def test_a_sorted_epoch_is_no_wider_than_it_must_be() -> None:
    """Sorted exactly, the sum of the batches' sizes is the least there can be."""
    lengths = np.random.default_rng(1).integers(10, 1000, 200).tolist()
    plan = provider(lengths, batch_size=16, sortagrad="length").plan(0, training=True)
    widest = [max(lengths[i] for i in batch) for batch in plan]
    best = sorted(lengths)
    assert widest == [max(best[i : i + 16]) for i in range(0, 200, 16)]


def test_filling() -> None:
    class Filled(Stretches):
        def sources(self) -> dict[str, Source]:
            return {**super().sources(), "frames": Source((None, 2), multiple=4, loop=True)}

        def sample(self, index: int, draw: Draw) -> Sample:
            rows = np.arange(self._lengths[index], dtype=np.float32)
            return {**super().sample(index, draw), "frames": np.stack([rows, rows], axis=1)}

    made = Provider([Filled([2, 5])], ProviderOptions(multiple=6), 0)
    [batch] = made.batches(0, training=False)
    assert batch["frames"].shape == (2, 12, 2)
    assert batch["frames"][0, :, 0].tolist() == [0, 1] * 6
    assert batch["frames"][1, :, 1].tolist() == [0, 1, 2, 3, 4] * 2 + [0, 1]


def test_an_error_of_a_worker_comes_through_and_threads_end() -> None:
    class Broken(Stretches):
        def sample(self, index: int, draw: Draw) -> Sample:
            if index == 7:
                raise KurError("clip 7 is broken")
            return super().sample(index, draw)

    before = threading.active_count()
    made = Provider([Broken([1] * 90)], ProviderOptions(batch_size=2, workers=3), 0)
    with pytest.raises(KurError, match="clip 7 is broken"):
        list(made.batches(0, training=False))
    batches = provider([1] * 90, batch_size=2).batches(0, training=False)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_read_ahead_is_bounded() -> None:
    supplier = Stretches([1] * 400)
    batches = Provider([supplier], ProviderOptions(batch_size=2, workers=2), 0).batches(
        0, training=False
    )
    next(batches)
    assert len(supplier.draws) <= 2 * 6
    batches.close()  # type: ignore[attr-defined]


GOOD = "model: [input: {name: point, shape: [2]}, dense: 2]\n"
WRONG = [
    ("train: {}\n", "2: train: no 'data': a list of suppliers is needed"),
    (
        "train:\n  data:\n    - pionts: {}\n",
        "4: train.data.0.pionts: unknown supplier 'pionts' (did you mean 'points'?); known: ",
    ),
    (
        "train:\n  data:\n    - points:\n        cuont: 3\n",
        "5: train.data.0.points.cuont: the supplier points has no argument 'cuont' (did you mean ",
    ),
    (
        "train:\n  data:\n    - points:\n        count: many\n",
        "5: train.data.0.points.count: 'count' of the supplier points must be a whole number",
    ),
    (
        "train:\n  data:\n    - points:\n      count: 3\n",
        "4: train.data.0: one supplier expected, found points, count; are its options indented ",
    ),
    ("train:\n  data:\n    - 3\n", "4: train.data.0: a supplier is a mapping such as 'NAME: "),
    (
        "train:\n  data:\n    - points:\n  provider:\n    batch_sze: 3\n",
        "6: train.provider.batch_sze: the provider has no argument 'batch_sze' (did you mean ",
    ),
    (
        "train:\n  data:\n    - points:\n  provider:\n    batch_size: 0\n",
        "6: train.provider.batch_size: 'batch_size' must be above 0, found 0",
    ),
    (
        "train:\n  data:\n    - points:\n  provider:\n    bucket: yes\n",
        "6: train.provider.bucket: 'bucket' needs data whose samples differ in length",
    ),
    (
        "train:\n  data:\n    - points:\n  provider: batch_supplier\n",
        "5: train.provider.name: 'name' of the provider must be one of batch_provider, found ",
    ),
    (
        "train:\n  data:\n    - points: {when: no}\n",
        "3: train.data: the data section has no supplier",
    ),
    (
        "train:\n  data:\n    - {points: , when: no}\n",
        "3: train.data: the data section has no supplier",
    ),
    (
        "settings:\n  seed: x\ntrain:\n  data: [points: ]\n",
        "3: settings.seed: a whole number from 0 to 4294967295 expected, found 'x'",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_with_data(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(KurError) as caught:
        providers(kurfile(tmp_path, GOOD + text), "train")
    assert str(caught.value).startswith(f"{tmp_path}/k.yml:{message}")
    assert "\n" not in str(caught.value)


def test_the_line_inside_a_named_set(tmp_path: Path) -> None:
    text = GOOD + "test:\n  data:\n    one:\n      - points: {}\n    two:\n      - ponts: {}\n"
    with pytest.raises(KurError, match=r"k\.yml:7: test\.data\.two\.0\.ponts: unknown supplier"):
        providers(kurfile(tmp_path, text), "test")


def test_sortagrad_by_a_source_that_is_not_there() -> None:
    with pytest.raises(KurError, match="'sortagrad' names no source: 'lenght' "):
        provider([1, 2], sortagrad="lenght")


def test_a_supplier_is_added_by_a_decorator(tmp_path: Path) -> None:
    assert SUPPLIERS["points"] is Points
    made = kurfile(tmp_path, GOOD + "train: {data: [points: {count: 5}]}\n")
    assert providers(made, "train")[""].samples == 5 and seed_of(made) == 0
