"""What does a Kurfile cost beside the same network by hand in Keras?

    python benchmarks/kur_overhead.py [--rounds N] [--batches N]

`recipes/mnist.yml`'s network, trained by `kur`'s own loop (with log, progress and the
loss read back after each batch) and by a loop of `train_on_batch` over a network made by hand with
the same layers, optimizer and data in memory. Rounds of the two take turns in one process, so that
a busy machine slows both; what is compared are medians of processor seconds a batch (wall seconds
stand beside them). Batches come from providers of the same kind on both sides, so what is measured
is what `kur` adds. Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kur_runs import RECIPES, report
from reports import ROOT, keep

from kur.assemble import providers
from kur.backend import keras
from kur.hooks import HOOKS
from kur.reader import Kurfile
from kur.session import training
from kur.train import State

MNIST = ROOT.parent / "shared" / "data" / "images" / "mnist"


class Turns:
    """A watcher of a training that notes the processor and wall seconds of each batch, and lets
    the loop by hand have its turn after each epoch."""

    def __init__(self, by_hand: Callable[[int], Iterator[None]]) -> None:
        self.seconds: dict[str, list[tuple[float, float]]] = {"kurfile": [], "by_hand": []}
        self._by_hand = by_hand
        self._last = (0.0, 0.0)

    def on_start(self, state: State) -> None:
        """The first batch begins."""
        self._last = (time.process_time(), time.perf_counter())

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """A batch is done."""
        self._lap("kurfile")

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """As many batches by hand."""
        self.on_start(state)
        for _ in self._by_hand(state.epoch - 1):
            self._lap("by_hand")
        self.on_start(state)

    def _lap(self, name: str) -> None:
        now = (time.process_time(), time.perf_counter())
        self.seconds[name].append((now[0] - self._last[0], now[1] - self._last[1]))
        self._last = now


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--mnist", type=Path, default=MNIST, help="folder of the four IDX files")
    parser.add_argument("--rounds", type=int, default=40, help="of each kind, taking turns")
    parser.add_argument("--batches", type=int, default=20, help="in a round")
    options = parser.parse_args(arguments)
    if not options.mnist.exists():
        print(f"{options.mnist}: not there; see --help", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as work:
        found = overhead(options, work)
    print(found)
    print(f"kept in {keep(report('kur_overhead', arguments, overhead=found))}")
    return 0


def kurfile(name: str, **settings: object) -> Kurfile:
    """A recipe, parsed, with settings of its own; `a__b` is `a.b`."""
    given = {key.replace("__", "."): str(value) for key, value in settings.items()}
    made = Kurfile(RECIPES / f"{name}.yml", overrides=given)
    made.parse()
    return made


def overhead(options: argparse.Namespace, work: str) -> dict[str, Any]:
    """Milliseconds a batch by Kurfile and by hand, and how much more the first are."""
    one = kurfile(
        "mnist",
        settings__mnist=options.mnist.resolve(),
        settings__work=work,
        train__provider__num_batches=options.batches,
        train__checkpoint="null",
        train__weights="null",
        train__hooks="[turns]",
        train__stop_when=f"{{epochs: {options.rounds + 1}, mode: total}}",
        validate="null",
    )
    watching: list[Turns] = []

    def turns() -> Turns:
        [data] = providers(one, "train").values()
        net = by_hand()

        def batches(epoch: int) -> Iterator[None]:
            for batch in data.batches(epoch, training=True):
                net.train_on_batch(batch["images"], batch["labels"])
                yield

        watching.append(Turns(batches))
        return watching[0]

    HOOKS["turns"] = turns
    training(one).run()
    # The first round of each is not counted: layers are built in it.
    medians = {
        f"{name}_{kind}_ms": round(1000 * statistics.median(one[i] for one in laps), 4)
        for name, each in watching[0].seconds.items()
        if (laps := each[options.batches :])
        for i, kind in enumerate(("cpu", "wall"))
    }
    share = {
        kind: round(medians[f"kurfile_{kind}_ms"] / medians[f"by_hand_{kind}_ms"] - 1, 4)
        for kind in ("cpu", "wall")
    }
    return {"batches": options.rounds * options.batches, **medians, "overhead": share}


def by_hand() -> Any:
    """The network of `recipes/mnist.yml`, as one writes it in Keras."""
    layers = keras().layers
    x = image = keras().Input((28, 28, 1))
    for kernels in (24, 48, 96):
        x = layers.Conv2D(kernels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.Activation("relu")(x)
    # With a seed of its own: torch is quicker without, but then no two trainings are the same.
    x = layers.Dropout(0.3, seed=1)(layers.Flatten()(x))
    x = layers.Activation("softmax")(layers.Dense(10)(x))
    made = keras().Model(image, x)
    made.compile(optimizer=keras().optimizers.Adam(4e-3), loss="categorical_crossentropy")
    return made


if __name__ == "__main__":
    sys.exit(main())
