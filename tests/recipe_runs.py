"""Every recipe, shortened, on the backend that Keras was told to take: trained, then tested.

    python tests/recipe_runs.py FOLDER BACKEND

One process for all recipes, because a backend takes seconds to load; FOLDER holds the data (see
test_recipes.py). The last line that is printed is JSON: status and figures by recipe.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from pathlib import Path

from kur import cli

RECIPES = Path(__file__).parents[1] / "recipes"

# What makes a recipe small: `--set` of its training and its test.
SHORT = {
    "mnist": {
        "settings.mnist": "mnist",
        "settings.channels": "[8, 16, 16]",
        "train.provider": "{batch_size: 16}",
    },
    "cifar": {
        "settings.cifar": "cifar",
        "settings.stages": "[8, 8]",
        "train.provider": "{batch_size: 16}",
    },
    "sine": {"train.provider": "{batch_size: 64, num_batches: 20}"},
    "language_model": {"settings.rnn": "{size: 16, depth: 1}"},
    "speech": {
        "settings.rnn": "{size: 16, depth: 1}",
        "settings.cnn.1.kernels": "8",
        "train.provider": "{batch_size: 8}",
    },
    "heads": {
        "settings.channels": "16",
        "settings.depth": "{lower: 1, upper: 1}",
        "train.provider": "{batch_size: 8}",
    },
    "acoustic": {
        "settings.channels": "16",
        "settings.depth": "1",
        "settings.precision": "float32",
        "train.provider": "{batch_seconds: 16, multiple: 256}",
    },
    "letters": {
        "settings.channels": "16",
        "settings.depth": "1",
        "train.provider": "{batch_size: 8}",
    },
}
EPOCHS = 2


def main(folder: Path, backend: str) -> None:
    """Run all of SHORT and print what came of them."""
    found = {}
    for name, settings in SHORT.items():
        chosen = {
            "settings.work": str(folder / backend),
            "train.stop_when": f"{{epochs: {EPOCHS}, mode: total}}",
            "train.hooks": "[]",
            **{
                key: str(folder / value) if key in ("settings.mnist", "settings.cifar") else value
                for key, value in settings.items()
            },
        }
        words = [word for key, value in chosen.items() for word in ("-s", f"{key}={value}")]
        words = [str(RECIPES / f"{name}.yml"), *words, "--backend", backend]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = [cli.main([command, *words]) for command in ("train", "test")]
            if name in ("sine", "speech"):
                status.append(cli.main(["evaluate", *words]))
        found[name] = {"status": status, "printed": printed.getvalue()}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
