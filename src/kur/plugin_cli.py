"""The commands `kur plugin install|enable|disable|list`.

Knows where plugins come from: a folder that is copied, or pip. Installing runs nothing of a folder.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from kur.errors import KurError

# What pip calls a package, and perhaps which versions of it.
_REQUIREMENT = re.compile(r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)(?:[=<>!~]=?[\w.,=<>!~*]+)?")


def add_plugin_commands(commands: Any) -> None:
    """Add `plugin` to the subcommands of a parser."""
    about = "install, enable, disable or list plugins"
    parser = commands.add_parser("plugin", help=about, description=about)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, about in (
        ("install", _install, "copy a plugin's folder to where plugins live, or install it by pip"),
        ("enable", _enable, "use an installed plugin from now on"),
        ("disable", _disable, "use a plugin no more"),
        ("list", _list, "print the plugins that there are"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.set_defaults(run=run)
        if name != "list":
            what = "a folder, a file or a package's name" if name == "install" else "its name"
            action.add_argument("name", help=what)


# What follows imports inside functions, so that other commands do not wait for it.
def _install(given: argparse.Namespace) -> None:
    # See above.
    from kur import plugins

    folder = plugins.folder_of(given.plugin)
    source = Path(given.name).expanduser()
    if source.exists() or "/" in given.name or given.name.endswith(".py"):
        name = _copied(source, folder)
        print(f"installed: {plugins.file_of(name, folder)}")
    else:
        name = _by_pip(given.name, folder)
        print(f"installed: {name}")
    print(f"'kur plugin enable {name}' turns it on")


def _copied(source: Path, folder: Path) -> str:
    """Copy a plugin from a folder or a file, in place of an older copy; its name."""
    # See above.
    from kur import plugins

    source = source.resolve()
    name = source.name.removesuffix(".py")
    main = source / "__init__.py" if source.is_dir() else source
    if not main.is_file():
        raise KurError(f"{main}: no such file; a plugin is a module of Python")
    if not plugins.is_name(name):
        raise KurError(f"{source}: {name!r} is no name of a module; letters, digits and '_' are")
    if not plugins.about(main):
        raise KurError(f"{main}: no plugin of Kur: there is no '__kur__' that says what it is")
    target = folder.resolve() / source.name
    if source == target or target.is_relative_to(source):
        raise KurError(f"{source}: is installed there already")
    folder.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.part")
    _remove(temporary)
    if source.is_dir():
        shutil.copytree(source, temporary, symlinks=True, ignore=_left_out)
    else:
        shutil.copyfile(source, temporary)
    # One of the two forms that may be there from before.
    for old in (folder / name, folder / f"{name}.py"):
        _remove(old)
    temporary.replace(target)
    return name


def _left_out(folder: str, names: list[str]) -> set[str]:
    """What is no part of a plugin; links could lead anywhere."""
    hidden = {name for name in names if name.startswith(".") or name == "__pycache__"}
    return hidden | {name for name in names if (Path(folder) / name).is_symlink()}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _by_pip(package: str, folder: Path) -> str:
    """Have pip install a package; the name of its module."""
    # See above.
    from kur import plugins

    parts = _REQUIREMENT.fullmatch(package)
    if parts is None:
        raise KurError(f"{package!r}: a folder, a file or a package's name is expected")
    name = re.sub(r"[.-]", "_", parts[1])
    command = [sys.executable, "-m", "pip", "install", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it says nothing"]
        raise KurError(f"pip could not install {package!r}: {said[-1]}")
    importlib.invalidate_caches()
    file = plugins.file_of(name, folder) if plugins.is_name(name) else None
    if file is None or not plugins.about(file):
        raise KurError(f"pip installed {package!r}, which has no module {name!r} with '__kur__'")
    return name


def _enable(given: argparse.Namespace) -> None:
    # See above.
    from kur import plugins

    plugins.enable(given.name, plugins.folder_of(given.plugin))
    print(f"enabled: {given.name}")


def _disable(given: argparse.Namespace) -> None:
    # See above.
    from kur import plugins

    plugins.disable(given.name, plugins.folder_of(given.plugin))
    print(f"disabled: {given.name}")


def _list(given: argparse.Namespace) -> None:
    # See above.
    from kur import plugins

    folder = plugins.folder_of(given.plugin)
    found = plugins.plugins_in(folder)
    for one in found:
        said = one.about or ("no plugin: it has no '__kur__'" if one.file else "not installed")
        print(f"{one.name:<20} {'enabled' if one.enabled else 'disabled':<9} {said}")
    if not found:
        print(f"no plugins in {folder}", file=sys.stderr)
