"""Let the network of `language_model.yml` write.

    python recipes/language_model_write.py "How it begins" [--characters N] [--temperature T]

prints a text that begins as told and goes on as the network guesses, one character after another.
Low temperatures keep to what is likely, high ones are bolder. It shows how a trained network is
used from Python: assemble the Kurfile, load the weights, ask for predictions.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kur.assemble import assemble
from kur.checkpoint import load_weights
from kur.errors import KurError
from kur.reader import Kurfile
from kur.session import trained_weights

KURFILE = Path(__file__).resolve().parent / "language_model.yml"
WINDOW = 128  # characters that the network is shown, as many as in training


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the network writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("begin", nargs="?", default="the network ", help="how the text begins")
    parser.add_argument("--characters", type=int, default=400, help="how many to write")
    parser.add_argument("--temperature", type=float, default=0.6, help="0.1 (timid) to 1 (bold)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another text")
    parser.add_argument("--kurfile", type=Path, default=KURFILE)
    parser.add_argument("-s", "--set", action="append", default=[], help="override: KEY=VALUE")
    options = parser.parse_args(arguments)
    try:
        print(write(options))
    except KurError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def write(options: argparse.Namespace) -> str:
    """The text, its beginning included."""
    kurfile = Kurfile(options.kurfile, overrides=dict(one.split("=", 1) for one in options.set))
    kurfile.parse()
    assembly = assemble(kurfile, ("test",))
    load_weights(trained_weights(kurfile), assembly.model.keras)
    [provider] = assembly.data["test"].values()
    vocabulary = provider.metadata()["vocabulary"]["next"]
    numbers = [vocabulary.index(one) for one in options.begin.lower() if one in vocabulary] or [0]
    rng = np.random.default_rng(options.seed)
    while len(numbers) < len(options.begin) + options.characters:
        shown = np.zeros((1, WINDOW), np.int32)
        recent = numbers[-WINDOW:]
        shown[0, : len(recent)] = recent
        scores = assembly.model.keras.predict_on_batch({"text": shown})["next"]
        # What stands behind the last character cannot have changed what is guessed after it.
        scores = np.asarray(scores, np.float64)[0, len(recent) - 1] / options.temperature
        likely = np.exp(scores - scores.max())
        numbers.append(int(rng.choice(len(vocabulary), p=likely / likely.sum())))
    return "".join(vocabulary[one] for one in numbers)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.exit(main())
