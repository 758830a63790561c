"""Kurfile: reads a file with its includes, evaluates its sections, and says where things stand.

Sections are evaluated in their order; `model` and `templates` stay as they are written, because
their layers are evaluated one by one while the network grows. It knows the language; it knows
nothing of layers, data or training.
"""

from __future__ import annotations

import copy
import datetime
import functools
import json
import logging
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from kur import devices, include
from kur import overrides as command_line
from kur.errors import KurfileError, nearest
from kur.evaluate_text import Later, TextError, TextEvaluator, UndefinedNameError
from kur.marks import Mark, MarkedDict, MarkedList, mark_at, mark_of, marked
from kur.schema import SECTIONS, all_names, canonical, names_of
from kur.scope import LazySection

_log = logging.getLogger(__name__)
_LAZY = ("templates", "model")
_ENGINE_NAMES = {"tags", "oldest", "layers"}


def read(
    path: str | Path,
    overrides: Mapping[str, str] | None = None,
    report: include.Report = include.refuse,
) -> MarkedDict:
    """The Kurfile at `path` with includes and `overrides` merged in, and nothing evaluated.

    `overrides` has dotted paths and texts: {"train.optimizer.learning_rate": "1e-4"}. Raises
    KurfileError with file and line; `report` is told of wrong includes instead.
    """
    return command_line.apply(include.read_tree(path, report), overrides or {})


class Kurfile:
    """A Kurfile: read and evaluated by `parse`, then asked for its sections.

    path: the file. raw: what was read. data: the sections evaluated, under both of their names.
    state: the names that building the model makes known to templates (`tags`, `oldest`, `layers`).
    unevaluated: the texts that could not be evaluated and why, by path, if `parse` was told to go
    on.
    """

    def __init__(
        self,
        path: str | Path,
        overrides: Mapping[str, str] | None = None,
        plugins: Iterable[str] | None = None,
    ) -> None:
        """Nothing is read yet. `plugins` names the sections that plugins add to the language."""
        self._filename = include.expanded(str(path))
        self.path = Path(self._filename)
        self.raw = MarkedDict({}, Mark(str(self.path), 1))
        self.state: dict[str, Any] = {"tags": {}, "oldest": {}, "layers": []}
        self.unevaluated: dict[tuple[object, ...], KurfileError] = {}
        self._errors: list[KurfileError] | None = None
        self._overrides = dict(overrides or {})
        self._plugins = tuple(plugins or ())
        self._data = MarkedDict({}, self.raw.mark)
        self._names: dict[str, object] = {}
        self._waiting: list[str] = []
        self._files: dict[str, Any] = {}
        self._text = TextEvaluator(
            {
                "gpu_count": devices.gpu_count,
                "load_json": self._load_file,
                "load_yaml": self._load_file,
            }
        )

    def parse(self, errors: list[KurfileError] | None = None) -> None:
        """Read the files and evaluate every section but `model` and `templates`.

        A `loss` that speaks of `tags`, `oldest` or `layers` waits until it is asked for. Raises
        KurfileError for the first thing that is wrong; with `errors`, everything that is wrong is
        put there, sections that cannot be used are left out and texts stay as they are written.
        """
        self._errors, self.unevaluated = errors, {}
        self.raw = self._read()
        _log.info("read %s: sections %s", self._filename, ", ".join(map(str, self.raw)))
        self._check_sections()
        self._data = self.raw.copy()
        self._names = {
            "filename": self._filename,
            "raw": copy.deepcopy(self.raw),
            "parsed": self._data,
            "host": socket.gethostname(),
        }
        self._waiting = []
        for section in (*SECTIONS, *self._plugins):
            name = self._name(section)
            if name is None or section in _LAZY:
                continue
            if section == "loss" and self._needs_model(self.raw[name]):
                self._waiting.append(section)
            else:
                self._evaluate_section(section, name)

    @property
    def data(self) -> MarkedDict:
        """The evaluated sections, each under both of its names; `model` and `templates` raw.

        A loss that speaks of the model's layers stays as it is written until there are some.
        """
        if self.state["layers"]:
            self._finish_waiting()
        return self._data

    @property
    def waits_for_model(self) -> bool:
        """Whether the loss speaks of the model's layers, and nothing is known of those yet."""
        return bool(self._waiting) and not self.state["layers"]

    def section(self, name: str) -> Any:
        """The evaluated section (either of its names), an empty dictionary if absent or empty.

        `loss` and `model` are lists, and so are empty ones.
        """
        if name in self._waiting:
            self._finish_waiting()
        value = self._data.get(canonical(name))
        if value is None:
            mark = self.raw.at(name)
            return MarkedList([], mark) if name in ("loss", "model") else MarkedDict({}, mark)
        return value

    @property
    def model(self) -> MarkedList:
        """The containers of the `model` section, as they are written."""
        containers: MarkedList = self.section("model")
        return containers

    @property
    def templates(self) -> MarkedDict:
        """The `templates` section, as it is written."""
        templates: MarkedDict = self.section("templates")
        return templates

    def evaluate(
        self, value: Any, scope: Mapping[str, object] | None = None, path: Iterable[object] = ()
    ) -> Any:
        """`value` with every string in it evaluated, marks kept.

        `scope` adds names that win over those of the Kurfile. `path` is where the value stands in
        the Kurfile, for the messages: ("model", 3, "dense"). Raises KurfileError.
        """
        where = tuple(path)
        names = {**self.state, **self._names, **(scope or {})}
        return self._evaluated(value, names, self.mark(where, value), where)

    def mark(self, path: Iterable[object], node: object = None) -> Mark:
        """Where `path` stands, as near as is known; the place of `node` if the path is not."""
        steps = tuple(path)
        if steps and isinstance(steps[0], str):
            written = self._name(canonical(steps[0])) or steps[0]
            if written in self.raw:
                return mark_at(self.raw, (written, *steps[1:]))
        return mark_of(node, self.raw.mark)

    def error(self, node_or_mark: object, path: Iterable[object], message: str) -> KurfileError:
        """An error to raise about `path`; the node (or a Mark) tells the place if it does not."""
        steps = tuple(path)
        if isinstance(node_or_mark, Mark):
            return node_or_mark.error(message, steps)
        return self.mark(steps, node_or_mark).error(message, steps)

    def dump(self, pre_parse: bool = False) -> str:
        """The sections as JSON, sorted and indented by four; as they are written on `pre_parse`."""
        data = self.raw if pre_parse else self.data
        return json.dumps(_plain(data), indent=4)

    def _read(self) -> MarkedDict:
        """The whole tree, as it is written."""
        return read(self._filename, self._overrides, self._report)

    def _report(self, error: KurfileError, path: tuple[object, ...] | None = None) -> None:
        """Raise an error, or note it (and where a text stays unevaluated for it) and go on."""
        if self._errors is None:
            raise error
        if str(error) not in map(str, self._errors):
            self._errors.append(error)
        if path is not None:
            self.unevaluated[canonical(str(path[0])), *path[1:]] = error

    def _finish_waiting(self) -> None:
        for section in self._waiting[:]:
            self._evaluate_section(section, section)
            self._waiting.remove(section)

    def _name(self, section: str) -> str | None:
        """The name under which a section stands in this Kurfile."""
        return next((name for name in names_of(section) if name in self.raw), None)

    def _check_sections(self) -> None:
        """Unknown sections, sections of the wrong kind and a missing model are errors."""
        known = (*all_names(), *self._plugins)
        for name in self.raw:
            if name not in known:
                message = f"unknown section {name!r}{nearest(name, known)}"
                message += f"; accepted: {', '.join(known)}"
                self._report(self.raw.at(name).error(message, (name,)))
        for section in SECTIONS:
            name = self._name(section)
            if name is None:
                continue
            value, mark = self.raw[name], self.raw.at(name)
            kind = MarkedList if section in ("model", "loss") else MarkedDict
            if value is None and section != "model":
                continue
            if isinstance(value, str) and section not in _LAZY:
                continue  # a template may still give a dictionary or a list
            if not isinstance(value, kind):
                self._report(mark.error(_wrong_kind(section, value), (name,)))
                self.raw[name] = None
        if not self.raw.get("model") and not self._errors:
            message = "no layers; a Kurfile needs a 'model' section, a list of layers"
            self._report(self.raw.at("model").error(message, ("model",)))

    def _needs_model(self, value: object) -> bool:
        if isinstance(value, MarkedDict):
            return any(self._needs_model(item) for item in value.values())
        if isinstance(value, MarkedList):
            return any(self._needs_model(item) for item in value)
        wanted = _ENGINE_NAMES - set(self._names)
        return isinstance(value, str) and self._text.uses(value, wanted)

    def _evaluate_section(self, section: str, name: str) -> None:
        """Evaluate one section with itself in scope, and put it into data and scope."""
        names = {**self.state, **self._names}
        lazy = LazySection(
            name,
            self.raw[name],
            lambda text, mark, path: self._value(text, names, mark, path),
            self._report,
        )
        if section == "settings" and isinstance(self.raw[name], MarkedDict):
            for key in self.raw[name]:
                names[key] = Later(functools.partial(lazy.seen, key))
        for alias in names_of(section):
            names[alias] = Later(lazy.view)
        value = lazy.evaluated()
        kind = MarkedList if section == "loss" else MarkedDict
        if value is not None and section in SECTIONS and not isinstance(value, kind):
            self._report(self.raw.at(name).error(_wrong_kind(section, value), (name,)))
            value = None
        if section == "settings" and value is not None:
            self._names.update({key: value[key] for key in value if isinstance(key, str)})
            # Who asks for what could not be evaluated is told why, and not of another error.
            for path, error in self.unevaluated.items():
                self._names[str(path[1])] = Later(functools.partial(_refuse, error))
        for alias in names_of(section):
            self._data[alias] = value
            self._data.marks[alias] = self.raw.at(name)
            self._names[alias] = value

    def _evaluated(
        self, value: Any, names: Mapping[str, object], mark: Mark, path: tuple[object, ...]
    ) -> Any:
        if isinstance(value, str):
            return self._value(value, names, mark, path)[0]
        if isinstance(value, MarkedDict):
            inside = {
                key: self._evaluated(item, names, value.at(key), (*path, key))
                for key, item in value.items()
            }
            return MarkedDict(inside, value.mark, value.marks)
        if isinstance(value, MarkedList):
            items = [
                self._evaluated(item, names, value.at(i), (*path, i))
                for i, item in enumerate(value)
            ]
            return MarkedList(items, value.mark, value.marks)
        if isinstance(value, dict | list):
            return self._evaluated(marked(value, mark), names, mark, path)
        if isinstance(value, tuple):
            return tuple(
                self._evaluated(item, names, mark, (*path, i)) for i, item in enumerate(value)
            )
        return value

    def _value(
        self, text: str, names: Mapping[str, object], mark: Mark, path: tuple[object, ...]
    ) -> tuple[Any, str]:
        """The value of one string, what it holds evaluated too, and the text it had before."""
        try:
            value, written = self._text.value(text, names)
        except UndefinedNameError as error:
            if isinstance(error.name, str) and self._name(canonical(error.name)):
                message = f"the section {error.name!r} is not evaluated before this one"
                raise mark.error(f"{message}; the order is {', '.join(SECTIONS)}", path) from None
            raise mark.error(str(error), path) from None
        except TextError as error:
            raise mark.error(str(error), path) from None
        if isinstance(value, dict | list | tuple):
            value = self._evaluated(marked(value, mark), names, mark, path)
        return value, written

    def _load_file(self, file: str, use_cache: bool = True) -> Any:
        """What a JSON or YAML file holds; a relative path starts at the Kurfile's folder."""
        path = self.path.parent / include.expanded(file)
        name = str(path.resolve())
        if not use_cache or name not in self._files:
            if not path.is_file():
                raise TextError(f"{file!r}: no such file (looked for {path})")
            self._files[name] = include.read_file(str(path))
        return self._files[name]


def _refuse(error: KurfileError) -> NoReturn:
    raise error


def _wrong_kind(section: str, value: object) -> str:
    if section in ("model", "loss"):
        what = "layers" if section == "model" else "losses"
        accepted = f"a list of {what}, each begun by '-'"
    else:
        accepted = "a dictionary, 'key: value'"
    kinds = {MarkedDict: "a dictionary", MarkedList: "a list", type(None): "nothing"}
    return f"found {kinds.get(type(value), repr(value))}; accepted: {accepted}"


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it, sorted: keys are texts; sets, dates and the like as near as can
    be."""
    if isinstance(value, dict):
        return {_key(key): _plain(value[key]) for key in _ordered(value)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((_plain(item) for item in value), key=repr)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)


def _ordered(keys: Iterable[Any]) -> list[Any]:
    """Keys in their own order, numbers as numbers; as the texts that they become if they differ
    in kind."""
    try:
        return sorted(keys)
    except TypeError:
        return sorted(keys, key=_key)


def _key(key: object) -> str:
    """A key as JSON writes it."""
    if isinstance(key, bool | float) or key is None:
        return json.dumps(key)
    return key if isinstance(key, str) else str(key)


__all__ = ["Kurfile", "Mark", "MarkedDict", "MarkedList", "read"]
