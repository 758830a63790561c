"""Is data ever waited for? Clips of speech that are handed over and learned from, a second.

    python benchmarks/kur_loading.py [--clips N] [--rounds N] [--manifest FILE]

The supplier and the provider of `recipes/speech.yml` hand over batches of clips, with 1 and with 2
workers, on one core (where workers are threads) and on several (where they have processes): *cold*,
decoded anew, and *cached*. Beside that, in the same rounds, the network of the recipe learns from
the same batches. Each rate is a median over the rounds, in clips a second of processor time (all
threads and processes together), which a busy machine disturbs least, and of wall time.
For Linux, as cores are taken from the process for a while.

*Waiting*: the network learns while clips are decoded for the first time; which share of the wall
time did it wait for a batch? Set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kur_overhead import kurfile
from kur_runs import RECIPES, report
from reports import keep

from kur.assemble import assemble, providers
from kur.backend import keras
from kur.data.provider import Batch, Provider
from kur.reader import Kurfile
from kur.step import train_on, with_losses

MANIFEST = RECIPES / "work" / "speech" / "train.jsonl"
WORKERS = (1, 2)
Seconds = tuple[float, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--manifest", type=Path, default=MANIFEST, help="of speech_data.py")
    parser.add_argument("--clips", type=int, default=256, help="clips to measure with")
    parser.add_argument("--rounds", type=int, default=3, help="of everything, taking turns")
    options = parser.parse_args(arguments)
    if not options.manifest.exists():
        print(f"{options.manifest}: not there; see --help", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as work:
        found = measured(options.manifest.resolve(), options.clips, options.rounds, Path(work))
    print(found)
    print(f"kept in {keep(report('kur_loading', arguments, **found))}")
    return 0


def measured(manifest: Path, clips: int, rounds: int, work: Path) -> dict[str, Any]:
    """All rates, and the shares of time waited."""
    one = recipe(manifest, clips, work / "learned", workers=1)
    batches = list(provider_of(one).batches(0, training=True))
    trainer = training_of(one)
    for batch in batches:  # each shape once
        trainer(batch)
    laps: dict[str, list[Seconds]] = {}
    waits: dict[str, list[float]] = {}
    for turn in range(rounds):
        laps.setdefault("learned", []).append(timed(lambda: [trainer(b) for b in batches]))
        for cores in dict.fromkeys((1, len(os.sched_getaffinity(0)))):
            for workers in WORKERS:
                name = f"{cores}_cores_{workers}_workers"
                with on_cores(cores):
                    provider = provider_of(recipe(manifest, clips, work / f"{name}{turn}", workers))
                    for kind in ("cold", "cached"):
                        seconds = timed(lambda: list(provider.batches(0, training=True)))  # noqa: B023
                        laps.setdefault(f"{kind}_{name}", []).append(seconds)
                    cold = provider_of(recipe(manifest, clips, work / f"{name}{turn}w", workers))
                    waits.setdefault(name, []).append(waiting(cold, trainer))
    return {
        "clips": clips,
        "rounds": rounds,
        "clips_per_second": {name: rates(each, clips) for name, each in laps.items()},
        "share_of_time_waited_when_cold": {
            name: round(statistics.median(each), 3) for name, each in waits.items()
        },
    }


def recipe(manifest: Path, clips: int, work: Path, workers: int) -> Kurfile:
    """`recipes/speech.yml` with so many clips and a cache of its own in `work`."""
    (work / "speech").mkdir(parents=True)
    (work / "speech" / "train.jsonl").write_bytes(manifest.read_bytes())
    return kurfile(
        "speech",
        settings__work=work,
        train__data__0__speech_recognition__samples=clips,
        train__provider__sortagrad="no",
        train__provider__workers=workers,
    )


def provider_of(one: Kurfile) -> Provider:
    """The provider of its training data."""
    [provider] = providers(one, "train").values()
    return provider


def training_of(one: Kurfile) -> Callable[[Batch], float]:
    """A step of training of its network."""
    assembly = assemble(one, ("train",))
    net = with_losses(assembly.model, assembly.losses)
    net.compile(optimizer=keras().optimizers.Adam(1e-4))
    return lambda batch: train_on(net, assembly.model, assembly.losses, batch)


def waiting(provider: Provider, trainer: Callable[[Batch], float]) -> float:
    """The share of wall time in which a training waits for batches."""
    started, waited = time.perf_counter(), 0.0
    batches = provider.batches(0, training=True)
    while True:
        asked = time.perf_counter()
        batch = next(batches, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - started)
        trainer(batch)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Only so many processors for this thread, and for the threads and processes it starts."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[-count:])
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def timed(work: Callable[[], Any]) -> Seconds:
    """Processor seconds of some work (all threads and ended processes together); wall seconds."""
    started, before = time.perf_counter(), _processor_seconds()
    work()
    return _processor_seconds() - before, time.perf_counter() - started


def _processor_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def rates(laps: Sequence[Seconds], clips: int) -> dict[str, float]:
    """Medians, in clips a second."""
    return {
        kind: round(clips / statistics.median(one[i] for one in laps), 1)
        for i, kind in enumerate(("of_processor", "of_wall"))
    }


if __name__ == "__main__":
    sys.exit(main())
