"""Everything that is wrong with a Kurfile, as far as it shows without data and without Keras.

After an error the check goes on with the next entry: a text, a key of a section, a supplier, a
hook, a layer, a loss. The checks themselves are those of the modules that use what they check; this
one only calls them one by one. It knows nothing of samples, shapes or training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kur import backend

# Imported for what it registers: hooks that have files of their own.
from kur import session as _session
from kur.assemble import (
    loss_choice,
    provider_options,
    seed_of,
    supplier_choice,
    target_of,
)
from kur.data.package import Package, package_of
from kur.entries import Choice, placed
from kur.errors import KurError, KurfileError
from kur.evaluation_hooks import evaluation_hook_choice
from kur.hooks import hook_choice
from kur.marks import MarkedDict, MarkedList
from kur.model import Outline, check
from kur.optimizers import make_optimizer
from kur.reader import Kurfile
from kur.schema import read_run, read_train

Path = tuple[Any, ...]
REGISTERED = (_session,)
_PACKAGE = ("url", "path", "checksum")
RUNNING = ("train", "validate", "test", "evaluate")


def validate(kurfile: Kurfile) -> tuple[KurfileError, ...]:
    """All errors of an unparsed Kurfile, by file and line; it is parsed on the way."""
    checker = _Checker(kurfile)
    with checker.noting():
        kurfile.parse(checker.errors)
        checker.check()
    return checker.found()


class _Checker:
    def __init__(self, kurfile: Kurfile) -> None:
        self.kurfile = kurfile
        self.errors: list[KurfileError] = []

    def found(self) -> tuple[KurfileError, ...]:
        """The errors, each once, those of the main file first, from top to bottom."""
        main = str(self.kurfile.raw.mark.file)
        once = {str(error): error for error in self.errors}
        ordered = sorted(
            once.values(), key=lambda one: (one.file != main, one.file or "", one.line)
        )
        return tuple(ordered)

    @contextlib.contextmanager
    def noting(self, path: Path = ()) -> Iterator[None]:
        """Note the error that ends what is done inside; it is about `path` if it names no place."""
        try:
            yield
        except KurError as error:
            self.errors.append(placed(self.kurfile, error, path))
        except backend.KerasRefusedError:
            pass  # all that can be said without Keras has been said

    def usable(self, *path: object) -> bool:
        """Whether every text at `path` could be evaluated."""
        return not any(one[: len(path)] == path for one in self.kurfile.unevaluated)

    def check(self) -> None:
        """Check every section of the parsed Kurfile."""
        self._settings()
        for name in RUNNING:
            if self.kurfile.section(name):
                self._running(name, self.kurfile.section(name))
        outline = check(self.kurfile) if self.kurfile.model else Outline((), None)
        self.errors += outline.errors
        with self.noting(("loss",)):
            self._losses(outline)

    def _settings(self) -> None:
        if self.usable("settings", "seed"):
            with self.noting():
                seed_of(self.kurfile)
        if self.usable("settings", "backend"):
            with self.noting(("settings", "backend")):
                backend.resolve(self.kurfile.section("settings").get("backend"))

    def _running(self, name: str, section: MarkedDict) -> None:
        """One of the sections that run: key by key, then as a whole, then what its keys hold."""
        before = len(self.errors)
        for key in section:
            if key in ("data", "hooks") or self.usable(name, key):
                self._read(name, MarkedDict({key: section[key]}, section.mark, section.marks))
        if len(self.errors) == before and self.usable(name):
            self._read(name, section)
        data = section.get("data")
        if isinstance(data, MarkedList):
            self._suppliers(data, (name, "data"))
        elif isinstance(data, MarkedDict) and name != "train":
            for key, entries in data.items():
                if isinstance(entries, MarkedList):
                    self._suppliers(entries, (name, "data", key))
        if isinstance(section.get("hooks"), MarkedList):
            self._hooks(name, section["hooks"])
        if isinstance(section.get("provider"), MarkedDict) and self.usable(name, "provider"):
            with self.noting():
                provider_options(self.kurfile, section["provider"], name)
        if name == "train" and self.usable("train", "optimizer"):
            self._optimizer(section.get("optimizer"))

    def _read(self, name: str, section: MarkedDict) -> None:
        with self.noting((name,)):
            if name == "train":
                read_train(section, self.kurfile.section("validate"))
            else:
                read_run(name, section)

    def _suppliers(self, entries: MarkedList, path: Path) -> None:
        for i, entry in enumerate(entries):
            if self.usable(*path, i):
                with self.noting((*path, i)):
                    choice = supplier_choice(self.kurfile, entry, (*path, i))
                    if choice is not None:
                        self._packages(choice)

    def _packages(self, choice: Choice) -> None:
        """Addresses and checksums of the packages that a supplier would install."""
        own = {key: choice.arguments[key] for key in _PACKAGE if choice.arguments.get(key)}
        with self.noting(choice.path):
            if own.keys() & {"url", "checksum"}:
                Package(**own)
        for key, value in choice.arguments.items():
            with self.noting(choice.path):
                if isinstance(value, dict) and value.keys() & {"url", "checksum"}:
                    package_of(value, key)

    def _hooks(self, name: str, entries: MarkedList) -> None:
        for i, entry in enumerate(entries):
            path = (name, "hooks", i)
            if not self.usable(*path):
                continue
            with self.noting(path):
                if name == "train":
                    hook_choice(self.kurfile, entry, path, None)
                else:
                    evaluation_hook_choice(self.kurfile, entry, path)

    def _optimizer(self, setting: Any) -> None:
        if not isinstance(setting, MarkedDict | str | None):
            return  # has been said
        with self.noting(("train", "optimizer")), backend.without_keras():
            make_optimizer(setting)

    def _losses(self, outline: Outline) -> None:
        for i, entry in enumerate(self.kurfile.section("loss")):
            if not self.usable("loss", i):
                continue
            with self.noting(("loss", i)):
                choice = loss_choice(self.kurfile, entry, ("loss", i))
                if outline.model is not None and outline.model.outputs:
                    target_of(choice, outline.model)
                choice.made()
