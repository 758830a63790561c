"""Which backend Keras runs on (torch, JAX or TensorFlow) and on which devices: chosen once, before
Keras is imported.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from kur.arguments import ArgumentError, bind
from kur.devices import gpu_count, parse_device
from kur.errors import KurError, nearest

BACKENDS = ("torch", "jax", "tensorflow")
# Kur's own names of 2017. Theano's development ended in 2017; JAX is what took its place.
_OLD_NAMES = {"keras": "tensorflow", "pytorch": "torch", "theano": "jax"}
# How many devices each can spread a batch over: any number, or one.
_SPREADS = ("jax",)
_note = logging.getLogger("kur").warning
_refused = contextvars.ContextVar("_refused", default=False)


class KerasRefusedError(Exception):
    """Somebody asks for Keras while a Kurfile is only being checked; nobody but the checker sees
    it."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend and its devices. `gpus` None: nothing is said, the framework chooses; (): the CPU.
    `parallel` is the number of devices that share each batch."""

    name: str = "torch"
    gpus: tuple[int, ...] | None = None
    parallel: int = 1


def _setting(
    *,
    name: str | None = None,
    backend: str | None = None,
    variant: str | list[Any] | None = None,
    device: str | None = None,
    parallel: int | None = None,
    optimizer: Any = None,
    theano_flags: Any = None,
    gpu_busy_load: Any = None,
    skip_check: Any = None,
) -> tuple[str | None, str | None, int | None]:
    """Name, device and degree of parallelism in the long form of `settings.backend`. What Kur told
    Theano and the GPUs of its time, and its `variant`, are read and mean nothing any more."""
    old = {"optimizer": optimizer, "theano_flags": theano_flags, "variant": variant}
    for key, value in old.items():
        if value is not None:
            _note("settings.backend: %r means nothing to Keras 3 and is not used", key)
    if parallel is not None and parallel < 1:
        raise ArgumentError(f"'parallel' must be at least 1, found {parallel}", "parallel")
    if name == "keras" or name is None:
        name = backend or name
    return name, device, parallel


def resolve(setting: object, name: str | None = None) -> Backend:
    """The backend that a `settings.backend` value names (torch where it names none); `name` takes
    the place of the name there. KurError if there is no such backend or device."""
    given, device, parallel = _setting(
        **bind(_setting, setting, what="'backend'", shorthand="name")
    )
    gpus = None
    if device is not None:
        try:
            gpus = parse_device(device, gpu_count())
        except KurError as error:
            raise ArgumentError(str(error), "device" if isinstance(setting, dict) else "") from None
    # Several GPUs that are named one by one are meant to work together; `gpu` is any one.
    spread = len(gpus) if gpus and device != "gpu" else 1
    chosen = Backend(_name(name or given), gpus, parallel or spread)
    if chosen.parallel > 1 and chosen.name not in _SPREADS:
        _note("%s trains on one device here; 'jax' spreads batches over several", chosen.name)
        chosen = replace(chosen, parallel=1)
    return chosen


def _name(given: str | None) -> str:
    if given is None:
        return "torch"
    name = _OLD_NAMES.get(given, given)
    if given == "theano":
        _note("Theano's development ended in 2017; the backend 'jax' takes its place")
    if name not in BACKENDS:
        known = (*BACKENDS, *_OLD_NAMES)
        raise KurError(
            f"unknown backend {name!r}{nearest(name, known)}; accepted: {', '.join(known)}"
        )
    return name


_chosen = Backend()
_running: Backend | None = None


def select(setting: object, name: str | None = None) -> str:
    """Make Keras run as `setting` says (on the backend `name`, if one is given), and return the
    backend's name.

    Must come before the first call of `keras()`; a second call with another backend or other
    devices is an error, because Keras binds to its backend when it is imported.
    """
    global _chosen, _running
    wanted = resolve(setting, name)
    running = running_backend()
    if running is not None:
        if running != wanted.name:
            raise KurError(
                f"Keras already runs on {running}; start a new process to use {wanted.name}"
            )
        before, _running = _running or Backend(running), wanted
        if _gpus(wanted) != _gpus(before):
            raise KurError("Keras already runs on another device; start a new process")
        if wanted.parallel != before.parallel:
            _share(importlib.import_module("keras"), wanted)
        return wanted.name
    must_be_installed()
    if importlib.util.find_spec(wanted.name) is None:
        extra = "train" if wanted.name == "torch" else wanted.name
        raise KurError(
            f"the backend {wanted.name} is not installed: pip install 'earshot[{extra}]'"
        )
    _chosen = wanted
    os.environ.update(_environment(wanted))
    return wanted.name


def running_backend() -> str | None:
    """The backend that Keras runs on; None before Keras is imported."""
    if "keras" not in sys.modules:
        return None
    return str(importlib.import_module("keras").backend.backend())


def must_be_installed() -> None:
    """KurError where Keras is missing; found out without loading it."""
    found = None
    with contextlib.suppress(ModuleNotFoundError):  # may come from a finder that is asked
        found = importlib.util.find_spec("keras")
    if found is None and "keras" not in sys.modules:
        raise KurError("Keras is not installed: pip install 'earshot[train]'")


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
    global _running
    if _refused.get():
        raise KerasRefusedError
    if "keras" not in sys.modules:
        if "KERAS_BACKEND" not in os.environ or os.environ["KERAS_BACKEND"] != _chosen.name:
            select(os.environ.get("KERAS_BACKEND", "torch"))
        # Keras takes seconds to import and binds to its backend then: only when a network is built.
        library = importlib.import_module("keras")
        _running = _chosen
        _take_devices(library, _chosen)
    return importlib.import_module("keras")


def reason(error: Exception) -> str:
    """What Keras says in an error, in one line, less its colours and the trace of its calls."""
    text = re.sub(r"\x1b\[\d*m", "", str(error)).partition("Arguments received by")[0]
    lines = (line.strip() for line in text.splitlines())
    kept = [line for line in lines if line and not line.startswith("Exception encountered")]
    return " ".join(kept).rstrip(".") or type(error).__name__


def _gpus(backend: Backend) -> tuple[int, ...] | None:
    """What is compared: without a GPU, nothing said and the CPU are the same."""
    return backend.gpus if backend.gpus or gpu_count() else None


def _environment(backend: Backend) -> dict[str, str]:
    """Environment variables by which Keras and its backends are told, before they are imported."""
    told = {"KERAS_BACKEND": backend.name}
    numbers = ",".join(map(str, backend.gpus or ()))
    if backend.name == "tensorflow":
        # TensorFlow tells much about the machine that is no user's concern.
        told["TF_CPP_MIN_LOG_LEVEL"] = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2")
    if backend.gpus is None:
        return told
    if backend.name == "torch":
        told["KERAS_TORCH_DEVICE"] = f"cuda:{backend.gpus[0]}" if backend.gpus else "cpu"
    if backend.name == "jax":
        told |= {"JAX_CUDA_VISIBLE_DEVICES": numbers} if numbers else {"JAX_PLATFORMS": "cpu"}
    return told


def _take_devices(library: Any, backend: Backend) -> None:
    """What can only be said once Keras is there: see that the GPUs can be used, and spread."""
    if backend.name == "tensorflow" and backend.gpus is not None:
        # Loaded by Keras already.
        tensorflow = importlib.import_module("tensorflow")
        there = tensorflow.config.list_physical_devices("GPU")
        chosen = [one for i, one in enumerate(there) if i in backend.gpus]
        tensorflow.config.set_visible_devices(chosen, "GPU")
        _must_have(bool(chosen), backend)
    if backend.name == "torch" and backend.gpus:
        _must_have(importlib.import_module("torch").cuda.is_available(), backend)
    if backend.name == "jax" and backend.gpus:
        _must_have(importlib.import_module("jax").default_backend() != "cpu", backend)
    if backend.parallel > 1:
        _share(library, backend)


def _must_have(usable: bool, backend: Backend) -> None:
    if backend.gpus and not usable:
        raise KurError(f"{backend.name} cannot use the GPU: install its build for CUDA")


def _share(library: Any, backend: Backend) -> None:
    """Give each device its part of every batch; weights are the same on all of them."""
    distribution = library.distribution
    devices = distribution.list_devices()
    if len(devices) < backend.parallel:
        _note("'parallel' asks for %d devices, %d are there", backend.parallel, len(devices))
    devices = devices[: backend.parallel]

    class Spread(distribution.DataParallel):  # type: ignore[misc,name-defined]
        def get_data_layout(self, data_shape: Sequence[int]) -> Any:
            if data_shape[0] % len(devices) == 0:
                return super().get_data_layout(data_shape)
            # A last batch that cannot be cut into equal parts is worked on whole by each.
            return distribution.TensorLayout([None] * len(data_shape), self.device_mesh)

    distribution.set_distribution(Spread(devices=devices) if len(devices) > 1 else None)
