"""How well and how fast is `recipes/mnist.yml` learned on each backend?

    python benchmarks/kur_mnist.py [--mnist FOLDER] [--backends torch jax tensorflow] [--threads N]

One Kurfile, trained from nothing on all 60,000 pictures and tested on the 10,000, by the commands
a user would type. Keeps `results/kur_mnist_DATE.json`: `accuracy` and `seconds` (of `kur train`,
from its start to its end) by backend; `cpu_seconds` is what the processors worked in that time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kur_runs import BACKENDS, RECIPES, kur, report
from reports import ROOT, keep

MNIST = ROOT.parent / "shared" / "data" / "images" / "mnist"
KURFILE = RECIPES / "mnist.yml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--mnist", type=Path, default=MNIST, help="folder of the four IDX files")
    parser.add_argument("--backends", nargs="+", default=BACKENDS, choices=BACKENDS)
    parser.add_argument("--threads", type=int, default=1, help="threads of each training")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="overrides")
    options = parser.parse_args(arguments)
    if not options.mnist.is_dir():
        print(f"{options.mnist}: no such folder; --mnist names the one with the four IDX files")
        return 1
    found: dict[str, dict[str, Any]] = {"accuracy": {}, "seconds": {}, "cpu_seconds": {}}
    for backend in options.backends:
        with tempfile.TemporaryDirectory() as work:
            settings = {"settings.mnist": options.mnist.resolve(), "settings.work": work}
            settings |= dict(one.split("=", 1) for one in options.set)
            trained = kur(
                "train", KURFILE, settings=settings, backend=backend, threads=options.threads
            )
            tested = kur("test", KURFILE, settings=settings, backend=backend)
        found["accuracy"][backend] = tested.figures["accuracy"]
        found["seconds"][backend] = round(trained.seconds, 1)
        found["cpu_seconds"][backend] = round(trained.cpu_seconds, 1)
        print(
            f"{backend}: accuracy {100 * tested.figures['accuracy']:.2f} %, "
            f"{trained.seconds:.0f} s ({trained.cpu_seconds:.0f} s of processor)",
            flush=True,
        )
    kept = keep(report("kur_mnist", arguments, threads=options.threads, **found))
    print(f"kept in {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
