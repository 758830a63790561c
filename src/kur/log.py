"""The log of a training: JSON Lines, cut back when a training goes on from an earlier point.

Knows nothing of networks.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kur.errors import KurError

_WAITING = 50


class Log:
    """Batches (`{"step", "epoch", "loss", "rate"}`) and epochs (`{"step", "epoch", "seconds",
    "figures"}`), one a line; `path` None keeps nothing, `keep_batch` False epochs only."""

    def __init__(self, path: Path | None, keep_batch: bool = True) -> None:
        self.path = path
        self._keep_batch = keep_batch
        self._waiting: list[str] = []

    def cut(self, step: int, epoch: int) -> None:
        """Forget what came after `step` batches and `epoch` whole epochs; the log of an earlier
        training, of which nothing goes on, is kept beside it as NAME.old."""
        self._waiting = []
        if self.path is None:
            return
        lines = self.read()
        if step == 0 and lines:
            self.path.replace(self.path.with_name(self.path.name + ".old"))
        # A checkpoint may be older than the end of the epoch that its last batch completes.
        kept = [
            line
            for line in lines
            if line["step"] <= step and ("figures" not in line or line["epoch"] <= epoch)
        ]
        temporary = self.path.with_name(f".{self.path.name}.part")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            text = "".join(json.dumps(line) + "\n" for line in kept if step > 0)
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(self.path)
        except OSError as error:
            raise KurError(f"{self.path}: cannot be written: {error.strerror}") from None

    def batch(self, step: int, epoch: int, loss: float, rate: float) -> None:
        """Keep the loss of a batch; `epoch` counts those that are complete."""
        if self._keep_batch:
            self._add({"step": step, "epoch": epoch, "loss": round(loss, 6), "rate": rate})

    def epoch(self, step: int, epoch: int, seconds: float, figures: Mapping[str, float]) -> None:
        """Keep the figures of an epoch; `epoch` counts it."""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        self._add({"step": step, "epoch": epoch, "seconds": round(seconds, 1), "figures": rounded})
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self.path is not None and self._waiting:
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.writelines(self._waiting)
            except OSError as error:
                raise KurError(f"{self.path}: cannot be written: {error.strerror}") from None
        self._waiting = []

    def read(self) -> list[dict[str, Any]]:
        """All lines; a half one that a killed run left at the end is not among them."""
        if self.path is None or not self.path.is_file():
            return []
        lines = []
        for line in self.path.read_bytes().splitlines():
            try:
                value = json.loads(line)
            except ValueError:
                break
            if not isinstance(value, dict) or not {"step", "epoch"} <= value.keys():
                raise KurError(f"{self.path}: not a log of Kur; name another file as 'log'")
            lines.append(value)
        return lines

    def _add(self, line: dict[str, Any]) -> None:
        self._waiting.append(json.dumps(line) + "\n")
        if len(self._waiting) >= _WAITING:
            self.flush()
