"""One entry of a list (a supplier, a hook): `NAME: {options}` -> what it names, and its arguments.

The name is looked up in a registry, the options are bound to the signature found there. It makes
nothing unless asked to, so that a Kurfile can be checked without data. It knows no registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kur.arguments import ArgumentError, bind, parameters
from kur.errors import KurError, KurfileError, nearest
from kur.marks import MarkedDict
from kur.reader import Kurfile

Path = tuple[Any, ...]


@dataclass(frozen=True)
class Choice:
    """What an entry at `path` asks for: `make(**arguments)`."""

    kurfile: Kurfile
    path: Path
    make: Callable[..., Any]
    arguments: Mapping[str, Any]

    def made(self) -> Any:
        """The thing itself; KurfileError says where its entry stands."""
        try:
            return self.make(**self.arguments)
        except KurError as error:
            raise placed(self.kurfile, error, self.path) from None


def choose(
    kurfile: Kurfile,
    entry: Any,
    path: Path,
    registry: Mapping[str, Callable[..., Any]],
    kind: str,
    provided: Mapping[str, object] | None = None,
) -> Choice | None:
    """What the `entry` at `path` names in `registry`; None if its `when` says no.

    `kind` is the word for it in messages: 'supplier'. A bare value is the argument `path`, or the
    first if there is none. `provided` are the program's own arguments. Raises KurfileError.
    """
    if isinstance(entry, str):
        entry = MarkedDict({entry: None}, kurfile.mark(path))
    if not isinstance(entry, MarkedDict):
        message = f"a {kind} is a mapping such as 'NAME: {{path: ...}}', found {entry!r}"
        raise kurfile.error(None, path, message)
    if not entry.get("when", True):
        return None
    # A 'name' beside it was taken and not used by Kur 0.7.
    names = [key for key in entry if key not in ("when", "name")]
    if len(names) != 1:
        found = ", ".join(map(str, names)) or "none"
        hint = "; are its options indented below it?" if set(names) & set(registry) else ""
        raise kurfile.error(None, path, f"one {kind} expected, found {found}{hint}")
    name = names[0]
    inside, value = (*path, name), entry[name]
    make = named(kurfile, name, inside, registry, kind)
    if isinstance(value, MarkedDict) and "when" in value:
        if not value["when"]:
            return None
        value = MarkedDict({key: value[key] for key in value if key != "when"}, value.mark)
    taken = [one for one in parameters(make) if one not in (provided or {})]
    short = "path" if "path" in taken else next(iter(taken), None)
    what = f"the {kind} {name}"
    return Choice(
        kurfile, inside, make, arguments(kurfile, value, inside, make, what, short, provided)
    )


def named(
    kurfile: Kurfile,
    name: object,
    path: Path,
    registry: Mapping[str, Callable[..., Any]],
    kind: str,
) -> Callable[..., Any]:
    """What `name` is in `registry`; KurfileError with the nearest name if nothing is."""
    if not isinstance(name, str) or name not in registry:
        message = f"unknown {kind} {name!r}{nearest(name, registry)}"
        raise kurfile.error(None, path, f"{message}; known: {', '.join(registry)}")
    return registry[name]


def arguments(
    kurfile: Kurfile,
    value: Any,
    path: Path,
    make: Callable[..., Any],
    what: str,
    shorthand: str | None = None,
    provided: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """The arguments for `make` from the `value` that stands at `path`; see kur.arguments.bind."""
    try:
        return bind(make, value, what=what, shorthand=shorthand, provided=provided)
    except ArgumentError as error:
        raise placed(kurfile, error, path) from None


def placed(kurfile: Kurfile, error: KurError, path: Path) -> KurfileError:
    """An error at its place in the Kurfile: at the line of the argument that it is about."""
    if isinstance(error, KurfileError):
        return error
    key = error.key if isinstance(error, ArgumentError) else ""
    inside = [int(step) if step.isdecimal() else step for step in key.split(".") if step]
    return kurfile.error(None, (*path, *inside), str(error))


@contextlib.contextmanager
def placing(kurfile: Kurfile, path: Path) -> Iterator[None]:
    """Inside, an error that names no place in a Kurfile is about `path`."""
    try:
        yield
    except KurError as error:
        raise placed(kurfile, error, path) from None
