"""Which backend Keras runs on: torch, JAX or TensorFlow, chosen once, before Keras is imported.

Knows nothing of Kurfiles beyond what `settings.backend` may hold.
"""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import Any

from kur.arguments import bind
from kur.errors import KurError, nearest

BACKENDS = ("torch", "jax", "tensorflow")
# Kur's own names of 2017. Theano's development ended in 2017; JAX is what took its place.
_OLD_NAMES = {"keras": "tensorflow", "pytorch": "torch", "theano": "jax"}
_note = logging.getLogger("kur").warning
_refused = contextvars.ContextVar("_refused", default=False)


class KerasRefusedError(Exception):
    """Somebody asks for Keras while a Kurfile is only being checked; nobody but the checker sees
    it."""


def _setting(
    *,
    name: str | None = None,
    backend: str | None = None,
    variant: Any = None,
    device: str | None = None,
    parallel: int | None = None,
) -> str | None:
    """The name in the long form of `settings.backend`; the rest is read and noted as unused."""
    for key, value in (("variant", variant), ("device", device), ("parallel", parallel)):
        if value is not None:
            _note("settings.backend: %r is not used: Keras chooses the device itself", key)
    return backend or "tensorflow" if name == "keras" else name


def resolve(setting: object) -> str:
    """The Keras backend that a `settings.backend` value names (torch where it names none);
    KurError if there is no such backend."""
    given = _setting(**bind(_setting, setting, what="'backend'", shorthand="name"))
    if given is None:
        return "torch"
    name = _OLD_NAMES.get(given, given)
    if given == "theano":
        _note("Theano's development ended in 2017; the backend 'jax' takes its place")
    if name not in BACKENDS:
        known = (*BACKENDS, *_OLD_NAMES)
        hint = nearest(name, known)
        raise KurError(f"unknown backend {name!r}{hint}; accepted: {', '.join(known)}")
    return name


def select(setting: object) -> str:
    """Make Keras run on the backend that `setting` names, and return its name.

    Must come before the first call of `keras()`; a second call with another backend is an error,
    because Keras binds to its backend when it is imported.
    """
    name = resolve(setting)
    if "keras" in sys.modules:
        running = str(importlib.import_module("keras").backend.backend())
        if running != name:
            raise KurError(f"Keras already runs on {running}; start a new process to use {name}")
        return name
    if importlib.util.find_spec("keras") is None:
        raise KurError("Keras is not installed: pip install 'earshot[train]'")
    if importlib.util.find_spec(name) is None:
        raise KurError(f"the backend {name} is not installed: pip install {name}")
    os.environ["KERAS_BACKEND"] = name
    return name


@contextlib.contextmanager
def without_keras() -> Iterator[None]:
    """Inside, `keras()` raises KerasRefusedError: what stands before its first use is checked, and
    Keras, which takes seconds to import, is not loaded."""
    token = _refused.set(True)
    try:
        yield
    finally:
        _refused.reset(token)


def keras() -> Any:
    """The Keras module, on the backend that `select` chose (torch when nobody chose)."""
    if _refused.get():
        raise KerasRefusedError
    if "keras" not in sys.modules:
        select(os.environ.get("KERAS_BACKEND", "torch"))
    # Keras takes seconds to import and binds to its backend then: only when a network is built.
    return importlib.import_module("keras")


def reason(error: Exception) -> str:
    """What Keras says in an error, in one line, less its colours and the trace of its calls."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received by")[0]
    lines = (line.strip() for line in text.splitlines())
    kept = [line for line in lines if line and not line.startswith("Exception encountered")]
    return " ".join(kept).rstrip(".") or type(error).__name__
