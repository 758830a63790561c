"""Files -> one tree: reads a Kurfile and everything that it includes, and merges them.

Nothing is evaluated. It knows file formats, `include` and the three ways to merge; it knows
nothing of what sections mean, save that a section may go by two names.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kur import json_marks, yaml_marks
from kur.errors import KurfileError, nearest
from kur.marks import Mark, MarkedDict, MarkedList
from kur.schema import SECTIONS, names_of

METHODS = ("blend", "merge", "concat")
SUFFIXES = (".yml", ".yaml", ".json")
_INCLUDE_KEYS = ("source", "method")
# Told of an error: raises it, or notes it so that reading goes on with the next include.
Report = Callable[[KurfileError], None]


def refuse(error: KurfileError) -> None:
    """The report that ends the reading: raises `error`."""
    raise error


def read_tree(path: str | Path, report: Report = refuse) -> MarkedDict:
    """The Kurfile at `path` with its includes merged into it and `include` gone.

    Raises KurfileError for a file that is missing, unreadable or not a dictionary of sections,
    for a section under two names, and for files that include each other in a circle. `report` is
    told of what is wrong with an include instead.
    """
    file = expanded(str(path))
    if not Path(file).is_file():
        what = "is a folder" if Path(file).is_dir() else "no such file"
        raise KurfileError(f"{what}; expected a Kurfile ({', '.join(SUFFIXES)})", file=file)
    return _Tree(report).read(file, [])


def read_file(file: str) -> Any:
    """What one YAML or JSON file holds, as marked data; includes are left alone."""
    name = Path(file)
    try:
        text = name.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        message = f"the byte 0x{error.object[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise KurfileError(message, file=file, line=line) from None
    except OSError as error:
        raise KurfileError(f"cannot be read: {error.strerror}", file=file) from None
    if name.suffix.lower() == ".json":
        return json_marks.load(text, file)
    return yaml_marks.load(text, file)


def expanded(path: str) -> str:
    """`path` with `~` and `$VARIABLES` filled in."""
    # pathlib would turn './net.yml' into 'net.yml', and templates may ask for the folder.
    return os.path.expanduser(os.path.expandvars(path))  # noqa: PTH111


def combine(included: Any, own: Any, method: str) -> Any:
    """`own` laid over `included`; wherever both say something, `own` wins, a null included.

    Dictionaries are joined key by key. Lists: `blend` joins them item by item, `merge` takes
    the own one, `concat` puts the included one first.
    """
    if isinstance(included, MarkedDict) and isinstance(own, MarkedDict):
        both = {
            key: combine(value, own[key], method) if key in own else value
            for key, value in included.items()
        }
        return MarkedDict(
            {**both, **{k: v for k, v in own.items() if k not in both}},
            own.mark,
            {**included.marks, **own.marks},
        )
    if not (isinstance(included, MarkedList) and isinstance(own, MarkedList)):
        return own
    if method == "concat":
        return MarkedList([*included, *own], own.mark, [*included.marks, *own.marks])
    if method == "blend":
        shared = [combine(old, new, method) for old, new in zip(included, own, strict=False)]
        longer = included if len(included) > len(own) else own
        marks = [*own.marks, *included.marks[len(own) :]]
        return MarkedList([*shared, *longer[len(shared) :]], own.mark, marks)
    return own


class _Tree:
    """One reading: remembers which files are already merged, so that each counts once."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._merged: set[tuple[int, int]] = set()

    def read(self, file: str, chain: list[str]) -> MarkedDict:
        """`file` with its includes; `chain` holds the files that led to it."""
        self._merged.add(_identity(file))
        data: Any = read_file(file)
        if data is None:
            data = MarkedDict({}, Mark(file, 1))
        if not isinstance(data, MarkedDict):
            found = "a list" if isinstance(data, MarkedList) else repr(data)
            accepted = f"a dictionary of sections ({', '.join(SECTIONS)})"
            raise Mark(file, 1).error(f"found {found}; accepted: {accepted}")
        _refuse_both_names(data)
        mark = data.at("include")
        includes = data.pop("include", None)
        data.marks.pop("include", None)
        for source, method, source_mark, path in _sources(includes, mark, self._report):
            for name in self._files(source, file, [*chain, file], source_mark, path):
                try:
                    other = self.read(name, [*chain, file])
                except KurfileError as error:
                    self._report(error)
                    continue
                data = combine(_renamed(other, data), data, method)
        assert isinstance(data, MarkedDict)
        return data

    def _files(
        self, source: str, includer: str, chain: list[str], mark: Mark, path: tuple[object, ...]
    ) -> Iterator[str]:
        """The files that `source` means and that are not merged yet, in order of their names."""
        folder, pattern = Path(includer).parent, expanded(source)
        is_pattern = glob.has_magic(pattern) and not (folder / pattern).is_file()
        names = [pattern]
        if is_pattern:
            # Path.glob takes no absolute patterns.
            names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))  # noqa: PTH207
        found = [str(folder / name) for name in names if (folder / name).is_file()]
        if not found:
            what = "matches no file" if is_pattern else "no such file"
            self._report(mark.error(f"{source!r}: {what} (looked for {folder / pattern})", path))
        for name in found:
            on_the_way = [_identity(one) for one in chain]
            if _identity(name) in on_the_way:
                if is_pattern:
                    continue  # `include: "*.yml"` matches the file that says so
                way = " -> ".join([*chain[on_the_way.index(_identity(name)) :], name])
                self._report(mark.error(f"files include each other in a circle: {way}", path))
                continue
            if _identity(name) not in self._merged:
                yield name


def _sources(
    includes: Any, mark: Mark, report: Report
) -> Iterator[tuple[str, str, Mark, tuple[object, ...]]]:
    """What an `include` section asks for: (source, method, where it stands, path)."""
    if includes is None:
        return
    entries = includes if isinstance(includes, MarkedList) else MarkedList([includes], mark)
    for i, entry in enumerate(entries):
        path: tuple[object, ...] = ("include", i) if entries is includes else ("include",)
        method = "blend"
        here, given = entries.at(i), entry
        if isinstance(entry, MarkedDict):
            method = _method(entry, path, report)
            here, given = entry.at("source"), entry.get("source")
            path = (*path, "source")
        for source in given if isinstance(given, MarkedList) else [given]:
            if not isinstance(source, str) or not source:
                message = f"found {source!r}; accepted: a file name, or {{source, method}}"
                report(here.error(message, path))
                continue
            yield source, method, here, path


def _method(entry: MarkedDict, path: tuple[object, ...], report: Report) -> str:
    for key in entry:
        if key not in _INCLUDE_KEYS:
            known = f"accepted: {', '.join(_INCLUDE_KEYS)}"
            message = f"unknown key {key!r}{nearest(key, _INCLUDE_KEYS)}; {known}"
            report(entry.at(key).error(message, (*path, key)))
    method = entry.get("method") or "blend"
    if method not in METHODS:
        hint = f"{nearest(method, METHODS)}; accepted: {', '.join(METHODS)}"
        report(entry.at("method").error(f"unknown method {method!r}{hint}", (*path, "method")))
        return "blend"
    return str(method)


def _refuse_both_names(data: MarkedDict) -> None:
    for section in SECTIONS:
        present = [name for name in names_of(section) if name in data]
        if len(present) > 1:
            first, second = sorted(present, key=lambda name: data.at(name).line)
            message = f"{second!r} is another name of {first!r}, which stands on line "
            message += f"{data.at(first).line}; keep one of them"
            raise data.at(second).error(message, (second,))


def _renamed(included: MarkedDict, own: MarkedDict) -> MarkedDict:
    """`included` with sections under the names that `own` uses, so that they meet."""
    names: dict[object, str] = {}
    for section in SECTIONS:
        for name in names_of(section):
            if name in own:
                names.update(dict.fromkeys(names_of(section), name))
    values = {names.get(key, key): value for key, value in included.items()}
    marks = {names.get(key, key): mark for key, mark in included.marks.items()}
    return MarkedDict(values, included.mark, marks)


def _identity(file: str) -> tuple[int, int]:
    status = Path(file).stat()
    return status.st_dev, status.st_ino
