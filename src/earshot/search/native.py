"""Machine code of `kernels`: loaded where an earlier process left it, else compiled and left there.

Numba takes half a second to import and seconds to compile, so it is asked once for each kernel,
kind of processor and version of what compiles; after that LLVM alone loads the object code. A file
holds one kernel and its own digest; it appears whole or not at all. Where what Numba makes is not
what is expected here, Numba itself is called, with the same results.

This module knows the kernels' names and types, and nothing of what they do.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from struct import Struct
from threading import RLock
from typing import Any

import numpy as np
from platformdirs import user_cache_path

CACHE_VARIABLE = "EARSHOT_CACHE"
"""Environment variable that names the folder where compiled code is kept."""

KERNELS = {
    "run8": "u1:1 i8 i8:2 i8:2 i8:2 u1:1 i8:1 i8 i8 i8 u1:1 u1:1 u1:1 u1:1 i8 i8",
    "run16": "u1:1 i8 i8:2 i8:2 i8:2 u1:1 i8:1 i8 i8 i8 u2:1 u2:1 u2:1 u2:1 i8 i8",
    "count8": "u1:1 i8 i8 i8:1",
    "count16": "u2:1 i8 i8 i8:1",
    "choose": "f8:2 i8:2 i8:1 i8:1 i8:1 f8:1 i8:1 i8:1",
    "seek": "u1:1 i8 i8 i8 i8 i8:2 i8:1 i8:1 i8:1 i4:1 i8:1 i8:1 i8:2 i8 i8:1 u1:1 i4:1 i4:1 i8:1 "
    "i8:2",
    "gauge": "u1:1 i8 i8 i8 i8 i8:2 i8:1 i8:1 i8:1 i8:2 i8:1 i8:1 i8:1 i8:1 u1:2 u1:1 i8:2 i8:2 "
    "u1:2 f8:2 i8:2",
    "doubt": "u1:1 i8 i8 i8:1 f8:1 i8:2 f8:1",
    "take": "u1:3 i8 u1:2",
    "distinct": "i8:2 i8:1 i8:1 i8 f8 u1:1",
    "scan": "u1:2 i8:2 i8:1 i8:2 i8:1",
    "trace": "u1:2 i8:2 i8:1 i8 i8 i8:2 u1:2 i8:2",
    "decode": "f4:2 i8 i2:1 i4:1 i4:1 i4:1 f4:1 i4:1 f4:1 f4:1 i4:1 u2:1 f4:1 f4:1 i4:1 u2:1 f4:1 "
    "f8:1 i8 i8 f8:1 i8:1 i8:2 f8:2 i8:2 f8:2 i8:1 i8:2 i8:2",
}
"""By name what a kernel takes, each a NumPy type, and behind a colon the dimensions of an array
(C-contiguous). All return a whole number."""

_SOURCES = (
    "kernels.py", "place_kernels.py", "paths.py", "vectors.py", "beam.py", "compiled.py",
    "native.py", "../lanes.py",
)  # fmt: skip
_SUFFIX = ".kernel"
_DIGEST = 32

# Calls that compiled code may make to the C library.
_OUTSIDE = {"memset", "memcpy", "memmove"}

_log = logging.getLogger(__name__)
_lock = RLock()
_engines: list[Any] = []  # they own the code, which must not go away


@cache
def kernel(name: str) -> Callable[..., int]:
    """The function of that name in `kernels`, as compiled code."""
    with _lock:
        try:
            path = cache_folder() / f"{name}-{_version()}{_SUFFIX}"
            code = _kept(path) or _compiled(name, path)
            return _Native(name, code)
        except _Unlike as reason:
            _log.debug("%s is called through Numba: %s", name, reason)
            return through_numba(name)


def through_numba(name: str) -> Callable[..., int]:
    """The same as Numba would call it: slower to load, but certain."""
    # Half a second to load, and needed only to compile.
    from earshot.search import compiled, kernels

    return compiled.compiled(kernels.FUNCTIONS[name])


def cache_folder() -> Path:
    """Where compiled code is kept."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else user_cache_path("earshot", appauthor=False)


class _Unlike(Exception):
    """What was compiled cannot be called from here; says why."""


class _Native:
    """A kernel as machine code, called with the arguments that KERNELS says."""

    def __init__(self, name: str, code: bytes) -> None:
        kinds = _kinds(name)
        self._kinds = [(kind.str, kind.itemsize, dimensions) for kind, dimensions in kinds]
        self._name = name
        letters = [letter for one in kinds for letter in _flat_types(*one)]
        self._slots = Struct("@" + "".join(_PACKED[letter] for letter in letters))
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)(_address(name, code))

    def __call__(self, *arguments: Any) -> int:
        flat: list[Any] = []
        for one, (kind, size, dimensions) in zip(arguments, self._kinds, strict=True):
            if not dimensions:
                flat.append(one)
                continue
            known = one.__array_interface__  # all that is asked of an array, at once
            shape = known["shape"]
            if known["typestr"] != kind or len(shape) != dimensions or known["strides"]:
                raise TypeError(f"{self._name} takes {KERNELS[self._name]}, not {one.dtype}")
            strides = [size]
            for length in shape[:0:-1]:
                strides.append(strides[-1] * length)
            flat += (0, 0, one.size, size, known["data"][0], *shape, *reversed(strides))
        returned: int = self._call(self._slots.pack(*flat))
        if returned == _FAILED:
            raise RuntimeError(f"{self._name} failed")
        return returned


def _kinds(name: str) -> list[tuple[np.dtype[Any], int]]:
    """What a kernel takes: the type of each argument, and its dimensions, 0 for a number."""
    parts = [one.partition(":") for one in KERNELS[name].split()]
    return [(np.dtype(kind), int(dimensions or 0)) for kind, _, dimensions in parts]


def _flat_types(kind: np.dtype[Any], dimensions: int) -> list[str]:
    """How Numba passes it: of an array owners, size, an element's size, data, shape, strides."""
    if not dimensions:
        return ["double" if kind.kind == "f" else "i64"]
    return ["ptr", "ptr", "i64", "i64", "ptr", *["i64"] * 2 * dimensions]


@lru_cache(maxsize=1)
def _version() -> str:
    """Changes whenever code that was kept may be another than would be compiled now."""
    import llvmlite.binding as llvm  # a third of a search's start: only when it calls a kernel

    here = Path(__file__).parent
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update((here / source).read_bytes())
    numba = find_spec("numba")
    if numba is not None and numba.origin is not None:
        with suppress(OSError):
            digest.update(Path(numba.origin).with_name("_version.py").read_bytes())
    parts = (llvm.llvm_version_info, llvm.get_process_triple(), llvm.get_host_cpu_name())
    digest.update(repr((parts, _features(llvm))).encode())
    return digest.hexdigest()[:20]


def _features(llvm: Any) -> str:
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM does not know for every processor
        return ""


def _kept(path: Path) -> bytes | None:
    """Code that was left in a file, if it is there and whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[_DIGEST:]
    return code if hashlib.sha256(code).digest() == content[:_DIGEST] else None


def _keep(path: Path, code: bytes) -> None:
    """Leave code in a file, for others; where that cannot be written, they compile too."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(hashlib.sha256(code).digest() + code)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def _say_once() -> None:
    _log.warning("preparing the search for this processor, once: this takes some seconds")


def _compiled(name: str, path: Path) -> bytes:
    """Compile a kernel to object code, and keep it."""
    import llvmlite.binding as llvm  # see `_version`

    from earshot.search import compiled, kernels  # see `through_numba`

    _say_once()
    full, text = compiled.assembly(kernels.FUNCTIONS[name], KERNELS[name])
    module = llvm.parse_assembly(text)
    wanted = ["ptr", "ptr"]
    for kind, dimensions in _kinds(name):
        wanted += _flat_types(kind, dimensions)
    function = module.get_function(full)
    takes = [str(one.type).replace("i8*", "ptr") for one in function.arguments]
    if takes[2:] != wanted[2:] or len(takes) != len(wanted):
        raise _Unlike(f"it takes {' '.join(takes)}")
    function.name = name
    # Numba's code counts who uses an array, and frees it; these arrays have no such owner.
    for one in [one for one in module.functions if one.is_declaration]:
        if one.name == "NRT_MemInfo_call_dtor":
            empty = str(one).replace("declare", "define", 1).partition("#")[0]
            module.link_in(llvm.parse_assembly(f"{empty.strip()} {{ ret void }}"))
        elif one.name not in _OUTSIDE and not one.name.startswith("llvm."):
            raise _Unlike(f"it calls {one.name}")
    module.link_in(llvm.parse_assembly(_entry(name, wanted[2:])))
    for one in module.functions:
        if not one.is_declaration and one.name != f"{name}_entry":
            one.linkage = "internal"
    code: bytes = _machine(llvm).emit_object(module)
    _keep(path, code)
    return code


_PACKED = {"ptr": "P", "i64": "q", "double": "d"}
_FAILED = -(1 << 63)


def _entry(name: str, takes: Sequence[str]) -> str:
    """LLVM's text of what calls a kernel with arguments that lie in slots of eight bytes.

    Handing ninety of them over one by one costs ten times as much as a short kernel itself.
    """
    lines = [f"declare i32 @{name}(ptr, ptr, {', '.join(takes)})"]
    lines += [f"define i64 @{name}_entry(ptr %slots) {{", "%returned = alloca i64"]
    lines += ["%error = alloca ptr", f"store i64 {_FAILED}, ptr %returned"]
    for slot, kind in enumerate(takes):
        lines.append(f"%at{slot} = getelementptr i64, ptr %slots, i64 {slot}")
        lines.append(f"%slot{slot} = load {kind}, ptr %at{slot}")
    handed = ", ".join(f"{kind} %slot{slot}" for slot, kind in enumerate(takes))
    lines.append(f"%status = call i32 @{name}(ptr %returned, ptr %error, {handed})")
    lines += ["%well = icmp eq i32 %status, 0", "%found = load i64, ptr %returned"]
    lines += [f"%said = select i1 %well, i64 %found, i64 {_FAILED}", "ret i64 %said", "}"]
    return "\n".join(lines)


def _machine(llvm: Any) -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=_features(llvm), opt=3, jit=True,
        codemodel="jitdefault",
    )  # fmt: skip


def _address(name: str, code: bytes) -> int:
    """Where a kernel lies in memory, loaded from its object code."""
    import llvmlite.binding as llvm  # see `_version`

    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine(llvm))
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    address = int(engine.get_function_address(f"{name}_entry"))
    if not address:
        raise _Unlike("its code has no such function")
    _engines.append(engine)
    return address
