"""The log of a training: JSON Lines, cut back when a training goes on from an earlier point.

Knows nothing of networks.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kur.errors import KurError

_WAITING = 50


class Log:
    """Batches (`{"step", "epoch", "loss", "rate", "seconds"}`) and epochs (`{"step", "epoch",
    "seconds", "samples", "figures"}`), one a line.

    `path` None keeps nothing, `keep_batch` False epochs only; lines wait for at most `rate`
    seconds, or until there are fifty of them.
    """

    def __init__(
        self, path: Path | None, keep_batch: bool = True, rate: float | None = None
    ) -> None:
        self.path = path
        self._keep_batch = keep_batch
        self._rate = rate
        self._written = time.monotonic()
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

    def batch(self, step: int, epoch: int, loss: float, rate: float, seconds: float = 0.0) -> None:
        """Keep the loss of a batch; `epoch` counts those that are complete, `seconds` of training
        went by."""
        if self._keep_batch:
            kept = {"step": step, "epoch": epoch, "loss": round(loss, 6), "rate": rate}
            self._add({**kept, "seconds": round(seconds, 3)})

    def epoch(
        self,
        step: int,
        epoch: int,
        seconds: float,
        figures: Mapping[str, float],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the figures of an epoch, and what `more` there is to know; `epoch` counts it."""
        rounded = {name: round(value, 6) for name, value in figures.items()}
        kept = {"step": step, "epoch": epoch, "seconds": round(seconds, 3), **(more or {})}
        self._add({**kept, "figures": rounded})
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
        late = self._rate is not None and time.monotonic() - self._written >= self._rate
        if late or len(self._waiting) >= _WAITING:
            self.flush()
            self._written = time.monotonic()
