"""Kur: networks described in a YAML file, not programmed.

`kur.Kurfile` reads one and runs it; the decorators `kur.layer`, `kur.supplier`, `kur.loss`,
`kur.hook`, `kur.evaluation_hook`, `kur.optimizer` and `kur.section` add to what one may say. What
stands behind these names is loaded when it is asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kur.api import Kurfile
    from kur.data.supplier import supplier
    from kur.errors import KurError, KurfileError
    from kur.evaluation_hooks import evaluation_hook
    from kur.hooks import hook
    from kur.layers import layer
    from kur.losses import loss
    from kur.optimizers import optimizer
    from kur.plugins import load_plugins, section

__version__ = "0.1.0"

_HOMES = {
    "KurError": "kur.errors",
    "Kurfile": "kur.api",
    "KurfileError": "kur.errors",
    "evaluation_hook": "kur.evaluation_hooks",
    "hook": "kur.hooks",
    "layer": "kur.layers",
    "load_plugins": "kur.plugins",
    "loss": "kur.losses",
    "optimizer": "kur.optimizers",
    "section": "kur.plugins",
    "supplier": "kur.data.supplier",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kur' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = [
    "KurError",
    "Kurfile",
    "KurfileError",
    "evaluation_hook",
    "hook",
    "layer",
    "load_plugins",
    "loss",
    "optimizer",
    "section",
    "supplier",
]
