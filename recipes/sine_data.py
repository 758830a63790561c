"""Points of a plane, each above or below a sine curve: the data of `sine.yml`.

    python recipes/sine_data.py [--target FOLDER]

writes `train.jsonl` (10,000 points), `validate.jsonl`, `test.jsonl` and `evaluate.jsonl` (1,000
each): one line a point, `{"point": [x, y], "above": [below, above]}` with a 1 where it is. x is
drawn from -pi to pi, y from -1 to 1. The same command writes the same points.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

WORK = Path(__file__).resolve().parent / "work" / "sine"
POINTS = {"train": 10_000, "validate": 1_000, "test": 1_000, "evaluate": 1_000}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the four files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--target", type=Path, default=WORK, help="folder to write to")
    target = parser.parse_args(arguments).target
    target.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate(POINTS.items()):
        rng = np.random.default_rng(seed)
        x, y = rng.uniform(-np.pi, np.pi, count), rng.uniform(-1, 1, count)
        with (target / f"{name}.jsonl").open("w", encoding="utf-8") as file:
            for point, above in zip(np.stack([x, y], axis=1), y > np.sin(x), strict=True):
                line = {"point": [round(float(v), 6) for v in point], "above": [0, 1]}
                line["above"] = [int(not above), int(above)]
                file.write(json.dumps(line) + "\n")
        print(f"{target / name}.jsonl: {count} points")
    return 0


if __name__ == "__main__":
    sys.exit(main())
