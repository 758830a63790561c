"""Paths of saved files with variables in them: `model-${EPOCH}-${VALIDATION_LOSS}.w`.

Knows nothing of what is saved.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from kur.data.supplier import resolve
from kur.errors import KurError, nearest

# What a training fills in; TIME=FORMAT is the time by strftime.
VARIABLES = (
    "TIMESTAMP",
    "SAMPLE",
    "BATCH",
    "EPOCH",
    "TRAIN_LOSS",
    "BATCH_LOSS",
    "VALIDATION_LOSS",
    "EPOCH_LOSS",
    "TIME",
)
_FORM = re.compile(r"\$\{(?P<name>\w+)(?:=(?P<format>[^}]*))?\}")


def check(path: str) -> None:
    """KurError if `path` names a variable that is neither one of these nor of the environment."""
    for found in _FORM.finditer(path):
        name = found["name"]
        if name in VARIABLES and (found["format"] is None or name == "TIME"):
            continue
        if name not in os.environ or found["format"] is not None:
            accepted = ", ".join(VARIABLES[:-1])
            raise KurError(
                f"unknown variable {found[0]!r} in {path!r}{nearest(name, VARIABLES)}; accepted: "
                f"{accepted}, TIME=FORMAT and those of the environment"
            )


def filled(base: Path, path: str, values: Mapping[str, int | float | None]) -> Path:
    """`path` with its variables filled in; numbers have four places, None is `none`."""

    def fill(found: re.Match[str]) -> str:
        name = found["name"]
        if name == "TIME":
            return datetime.now().strftime(found["format"] or "%Y-%m-%d-%H%M%S")
        if name not in values:
            return found[0]
        value = values[name]
        if isinstance(value, float):
            return f"{value:.4f}"
        return "none" if value is None else str(value)

    return resolve(base, _FORM.sub(fill, path))


def latest(base: Path, path: str) -> Path:
    """The file that was saved last under `path`; where there is none yet, the path as written."""
    plain = resolve(base, path)
    if not any(found["name"] in VARIABLES for found in _FORM.finditer(path)):
        return plain
    parts: list[str] = []
    end = 0
    for found in _FORM.finditer(path):
        if found["name"] in VARIABLES:
            parts += [path[end : found.start()], "*"]
            end = found.end()
    parts.append(path[end:])
    text = "".join(one if one == "*" else os.path.expandvars(one) for one in parts)
    # What else looks like a pattern in the path is meant as it is written.
    pattern = "*".join(glob.escape(one) for one in str(resolve(base, text)).split("*"))
    there = [Path(one) for one in glob.glob(pattern)]  # noqa: PTH207 (any root)
    return max(there, key=lambda one: (one.stat().st_mtime_ns, one.name), default=plain)
