"""A hook: `hooks: [table: epochs.csv]` in the `train` section."""

from collections.abc import Mapping
from pathlib import Path

import kur
from kur.train import State


@kur.hook("table")
class Table:
    """Writes the figures of each epoch as a line of a CSV file."""

    def __init__(self, *, base: Path, path: str) -> None:
        self._path = base / path

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Nothing."""

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Add a line; the first one says what the columns are."""
        new = not self._path.exists()
        with self._path.open("a", encoding="utf-8") as file:
            if new:
                file.write(",".join(["epoch", *figures]) + "\n")
            file.write(",".join([str(state.epoch), *(f"{x:.4f}" for x in figures.values())]) + "\n")
