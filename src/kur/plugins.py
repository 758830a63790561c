"""Plugins: modules of others that add layers, suppliers, losses, hooks and sections to Kur.

A plugin is a module with `__kur__` (a text: what it is) and `setup()`, which is called once and
registers what it adds. Plugins live in a folder, or are installed with pip; the file `enabled` in
that folder lists those that are in use. A plugin is code and runs with all rights of its user, so
nothing runs that was not enabled. Knows nothing of what plugins add.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import keyword
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from kur.entries import placed
from kur.errors import KurError, KurfileError, nearest
from kur.reader import Kurfile
from kur.schema import all_names

DEFAULT_FOLDER = "~/.kur/plugins"
NO_PLUGINS = "none"
_ENABLED = "enabled"

OnSection = Callable[[Any, Kurfile], None]
PLUGIN_SECTIONS: dict[str, OnSection] = {}
_loaded: dict[str, Path | None] = {}


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin as it lies there: its file (None if it is not to be found), and what it says of
    itself ('' if it is no plugin)."""

    name: str
    file: Path | None
    about: str
    enabled: bool


def section(name: str) -> Callable[[OnSection], OnSection]:
    """Register a function for the section `name` of Kurfiles, which a plugin adds: after a Kurfile
    with that section is parsed, it is called with the evaluated section and the Kurfile."""
    if name in all_names():
        raise ValueError(f"{name!r} is a section of Kur itself")

    def register(function: OnSection) -> OnSection:
        PLUGIN_SECTIONS[name] = function
        return function

    return register


class PluggedKurfile(Kurfile):
    """A Kurfile that may have the sections of plugins, which are told of them."""

    def __init__(self, path: str | Path, overrides: Mapping[str, str] | None = None) -> None:
        """Nothing is read yet; see kur.reader.Kurfile."""
        super().__init__(path, overrides, tuple(PLUGIN_SECTIONS))

    def parse(self, errors: list[KurfileError] | None = None) -> None:
        """Read and evaluate, and tell plugins of their sections."""
        super().parse(errors)
        for name, told in PLUGIN_SECTIONS.items():
            if name not in self.raw or any(path[0] == name for path in self.unevaluated):
                continue
            try:
                told(self.section(name), self)
            except KurError as error:
                if errors is None:
                    raise placed(self, error, (name,)) from None
                errors.append(placed(self, error, (name,)))


def load_plugins(where: str | Path | None = None) -> tuple[str, ...]:
    """Load the enabled plugins of a folder (default: ~/.kur/plugins), or the one plugin that
    `where` is (a folder with `__init__.py`, or a file); 'none' loads nothing. Their names.

    KurError names a plugin that is missing or broken, and says why.
    """
    if str(where) == NO_PLUGINS:
        return ()
    folder = _expanded(where)
    if where is not None and not folder.exists():
        raise KurError(f"{where}: no such folder of plugins; 'none' means to use no plugins")
    if (folder / "__init__.py").is_file() or folder.suffix == ".py":
        name = _name_of(folder)
        load(name, folder.parent, "it is what --plugin names")
        return (name,)
    names = enabled(folder)
    for name in names:
        load(name, folder, f"'kur plugin disable {name}' goes on without it")
    return names


def load(name: str, folder: Path, hint: str) -> None:
    """Run a plugin of `folder`, or an installed module, and its `setup`; once. KurError is one
    sentence with its name, where it failed, why, and the `hint`."""
    file = file_of(name, folder)
    if file is None:
        where = f"neither in {folder} nor by pip"
        raise KurError(f"the plugin {name!r} is not installed, {where}; {hint}")
    if name in _loaded and _loaded[name] == file.resolve():
        return
    if _taken(name, file):
        raise KurError(f"the plugin {name!r} ({file}) has the name of another module; rename it")
    known = name in sys.modules
    try:
        module = _module(name, file)
        if not getattr(module, "__kur__", None) or not callable(getattr(module, "setup", None)):
            raise KurError("a plugin has '__kur__' (a text: what it is) and a function 'setup()'")
        module.setup()
    except (Exception, SystemExit) as error:
        if not known:
            for one in [one for one in sys.modules if one == name or one.startswith(f"{name}.")]:
                del sys.modules[one]
        raise KurError(f"the plugin {name!r} is broken: {_why(error, file)}; {hint}") from None
    _loaded[name] = file.resolve()


def _taken(name: str, file: Path) -> bool:
    """Whether another module is called so, loaded or not."""
    if name in sys.modules:
        found = getattr(sys.modules[name], "__file__", None)
        return found is None or Path(found).resolve() != file.resolve()
    spec = importlib.util.find_spec(name)
    return spec is not None and (
        not spec.has_location or Path(str(spec.origin)).resolve() != file.resolve()
    )


def _module(name: str, file: Path) -> ModuleType:
    """The module at `file`, which may import what lies beside it as `from . import ...`."""
    if name in sys.modules:
        return sys.modules[name]
    inside = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inside)
    if spec is None or spec.loader is None:
        raise KurError(f"{file} is no module of Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _why(error: BaseException, file: Path) -> str:
    """Where in the plugin's own files an error came from, and what it was."""
    if isinstance(error, KurError):
        return str(error)
    inside = file.parent if file.name == "__init__.py" else file
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if Path(one.filename).is_relative_to(inside)]
    place = f"{own[-1].filename}:{own[-1].lineno}: " if own else ""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {error.msg}"
    return f"{place}{type(error).__name__}: {' '.join(str(error).split())}"


def file_of(name: str, folder: Path) -> Path | None:
    """The file of a plugin: in the folder, or else where Python finds an installed module."""
    if not is_name(name):
        raise KurError(f"{name!r} is no name of a plugin: letters, digits and '_' make one")
    for file in (folder / name / "__init__.py", folder / f"{name}.py"):
        if file.is_file():
            return file
    spec = None if name in sys.builtin_module_names else importlib.util.find_spec(name)
    return None if spec is None or not spec.has_location else Path(str(spec.origin))


def plugins_in(folder: Path) -> list[Plugin]:
    """The plugins that lie in a folder or are enabled there, by name; none of them is run."""
    active = enabled(folder)
    lying = {one.stem for one in folder.glob("*.py")} if folder.is_dir() else set()
    lying |= {one.parent.name for one in folder.glob("*/__init__.py")}
    found = []
    for name in sorted({*filter(is_name, lying), *active}):
        file = file_of(name, folder)
        found.append(Plugin(name, file, about(file) if file else "", name in active))
    return found


def about(file: Path) -> str:
    """What a plugin says of itself, read without running it; '' if `file` is no plugin."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ""
    said = ""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            names = [one.id for one in node.targets if isinstance(one, ast.Name)]
            said = str(node.value.value or "") if "__kur__" in names else said
    return " ".join(said.split())


def enabled(folder: Path) -> tuple[str, ...]:
    """The names in the folder's list, in its order."""
    path = folder / _ENABLED
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    except (OSError, UnicodeDecodeError):
        raise KurError(f"{path}: cannot be read; a list of plugins is expected there") from None
    names = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for name in names:
        if not is_name(name):
            raise KurError(f"{path}: {name!r} is no name of a plugin; one name a line is expected")
    return tuple(dict.fromkeys(names))


def enable(name: str, folder: Path) -> None:
    """Put a plugin on the list, once it has been loaded; a broken one is an error."""
    load(name, folder, "it was not enabled")
    if name not in enabled(folder):
        _write_enabled(folder, (*enabled(folder), name))


def disable(name: str, folder: Path) -> None:
    """Take a plugin off the list; it stays installed."""
    active = enabled(folder)
    if name not in active:
        hint = f"{nearest(name, active)}; enabled: {', '.join(active) or 'none'}"
        raise KurError(f"the plugin {name!r} is not enabled{hint}")
    _write_enabled(folder, tuple(one for one in active if one != name))


def _write_enabled(folder: Path, names: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{_ENABLED}.part"
    temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    temporary.replace(folder / _ENABLED)


def folder_of(where: str | Path | None) -> Path:
    """The folder of plugins that is meant; KurError if it is none or one plugin."""
    if str(where) == NO_PLUGINS:
        raise KurError("'--plugin none' names no folder of plugins; leave it out, or name one")
    folder = _expanded(where)
    if folder.is_file() or (folder / "__init__.py").is_file():
        raise KurError(f"{folder} is one plugin; the folder of several is expected here")
    return folder


def is_name(name: str) -> bool:
    """Whether a module can be called so."""
    plain = name.isascii() and name.isidentifier() and not name.startswith("__")
    return plain and not keyword.iskeyword(name)


def _name_of(path: Path) -> str:
    return path.resolve().name.removesuffix(".py")


def _expanded(where: str | Path | None) -> Path:
    return Path(DEFAULT_FOLDER if where is None else where).expanduser()
