"""Writes the letters network that `kur train recipes/letters.yml` made as Earshot runs it.

    python recipes/letters_export.py [--weights FILE] [--out FOLDER]

Batch normalisation is folded into the convolutions, weights become float16, and the result is
checked: how many of the held-out words (recipes/work/letters/test.jsonl) are right is printed.
The format is described in `earshot.letters`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from earshot.letters import Letters
from kur.reader import Kurfile

ROOT = Path(__file__).parents[1]
WORK = ROOT / "recipes/work/letters"
# What Keras adds to the variance; see keras.layers.BatchNormalization.
EPSILON = 1e-3
# Padding letters behind a word, as in a training batch.
MARGIN = 2

Arrays = dict[str, NDArray[np.float32]]


def main() -> None:
    """Export, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, default=WORK / "best.safetensors")
    parser.add_argument("--out", type=Path, default=ROOT / "src/earshot/networks/english")
    given = parser.parse_args()
    kurfile = Kurfile(ROOT / "recipes/letters.yml")
    kurfile.parse()
    settings = kurfile.section("settings")
    units = [*settings["units"], "<blank>"]
    header = {
        "format": 1,
        "alphabet": "".join(settings["letters"][1:]),
        "units": units,
        "blank": len(units) - 1,
        "repeat": settings["frames"],
        "blocks": settings["depth"],
        "margin": MARGIN,
    }
    target = given.out / "letters.safetensors"
    tensors = {
        name: one.astype(np.float16) for name, one in _folded(load_file(given.weights)).items()
    }
    save_file(tensors, target, {"letters": json.dumps(header)})
    print(f"{target}: {target.stat().st_size:,} bytes")
    _measure(Letters.open(target))


def _folded(weights: Arrays) -> Arrays:
    """The tensors of `earshot.letters` from the variables that Kur keeps."""
    tensors = {
        "embedding": weights["embedding_0/embeddings"],
        "output.kernel": weights["dense_0/kernel"],
        "output.bias": weights["dense_0/bias"],
    }
    blocks = sum(name.startswith("convolution_") for name in weights)
    for i in range(blocks):
        normal = f"batch_normalization_{i}"
        scale = weights[f"{normal}/gamma"] / np.sqrt(weights[f"{normal}/moving_variance"] + EPSILON)
        tensors[f"blocks.{i}.kernel"] = weights[f"convolution_{i}/kernel"] * scale
        tensors[f"blocks.{i}.bias"] = (
            weights[f"{normal}/beta"] - weights[f"{normal}/moving_mean"] * scale
        )
    return tensors


def _measure(letters: Letters) -> None:
    wanted: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for line in (WORK / "test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        wanted[row["letters"]].add(tuple(row["phones"].split()))
    ranks = []
    for word, right in wanted.items():
        found = [one.phones for one in letters.pronunciations(word, 5)]
        ranks.append(next((i for i, phones in enumerate(found) if phones in right), 5))
    for most in (1, 3, 5):
        share = sum(rank < most for rank in ranks) / len(ranks)
        print(f"right among the first {most}: {100 * share:.1f} % of {len(ranks)} held-out words")


if __name__ == "__main__":
    main()
