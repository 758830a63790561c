"""The sections of a Kurfile: their names, their aliases, and what may stand in the running ones.

`train`, `validate`, `test` and `evaluate` are turned from evaluated, marked data into frozen
dataclasses whose fields are the options; short forms (one path, one number) become the long ones.
It knows nothing of files, evaluation, data or Keras; paths stay as they are written.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from kur.arguments import ArgumentError, bind
from kur.errors import KurfileError, nearest
from kur.marks import Mark, MarkedDict, MarkedList

# Section -> its other name, if it has one.
ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "train": "training",
        "validate": "validation",
        "test": "testing",
        "evaluate": "evaluation",
    }
)
# In the order in which they are evaluated.
SECTIONS = ("settings", "train", "validate", "test", "evaluate", "templates", "model", "loss")
_BY_ALIAS = {alias: name for name, alias in ALIASES.items()}
_note = logging.getLogger("kur").warning
_ENDLESS = ("inf", "infinite", "all")

Path = tuple[object, ...]
Kind = TypeVar("Kind")


def canonical(name: str) -> str:
    """The section's own name: `training` is `train`."""
    return _BY_ALIAS.get(name, name)


def names_of(section: str) -> tuple[str, ...]:
    """Every name under which a section may stand in a file, its own first."""
    return (section, ALIASES[section]) if section in ALIASES else (section,)


def all_names() -> tuple[str, ...]:
    """Every word that may stand at the top of a Kurfile, `include` among them."""
    return (*(name for section in SECTIONS for name in names_of(section)), "include")


@dataclass(frozen=True, kw_only=True)
class Elapsed:
    """How long a training may take; `clock` says which time counts."""

    days: float = 0.0
    hours: float = 0.0
    minutes: float = 0.0
    clock: Literal["all", "train", "validate", "batch"] = "all"

    @property
    def total_minutes(self) -> float:
        """All of it in minutes."""
        return (self.days * 24 + self.hours) * 60 + self.minutes


@dataclass(frozen=True, kw_only=True)
class StopWhen:
    """When a training ends; epochs None: never on their account.

    `mode` additional: after so many epochs of this run; total: of all runs together.
    """

    epochs: int | None = None
    mode: Literal["additional", "total"] = "additional"
    elapsed: Elapsed | None = None


@dataclass(frozen=True, kw_only=True)
class TrainWeights:
    """Where weights are read from before training, and written to during it."""

    initial: str | None = None
    must_exist: bool = False
    best: str | None = None
    last: str | None = None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where the state of a training is kept, and how often; nothing said means every epoch.

    `validation`: whether (or on how many batches) to validate at each checkpoint in the middle of
    an epoch; the best weights are judged by that loss too.
    """

    path: str = "checkpoint"
    epochs: int | None = None
    batches: int | None = None
    samples: int | None = None
    minutes: float | None = None
    validation: bool | int = False


@dataclass(frozen=True, kw_only=True)
class LogTarget:
    """Where the log goes; `rate` is the least number of seconds between two writes of it."""

    path: str | None = None
    name: str | None = None
    keep_batch: bool = True
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where `kur evaluate` writes its results."""

    path: str
    format: Literal["pkl", "pickle", "csv"] | None = None


@dataclass(frozen=True, kw_only=True)
class Train:
    """The `train` section. What suppliers, providers, optimizers and hooks take is theirs to say,
    so that those stay marked data."""

    data: Mapping[str, MarkedList] = field(default_factory=dict)
    provider: MarkedDict = field(default_factory=MarkedDict)
    optimizer: MarkedDict = field(default_factory=MarkedDict)
    hooks: MarkedList = field(default_factory=MarkedList)
    stop_when: StopWhen = StopWhen()
    weights: TrainWeights = TrainWeights()
    checkpoint: Checkpoint | None = None
    log: LogTarget | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """A `validate`, `test` or `evaluate` section; `data` has one list of suppliers by set, the
    nameless set '' where the file gives one list. `weights` is the file to read (to write, in
    `validate`)."""

    data: Mapping[str, MarkedList] = field(default_factory=dict)
    provider: MarkedDict = field(default_factory=MarkedDict)
    hooks: MarkedList = field(default_factory=MarkedList)
    weights: str | None = None
    destination: Destination | None = None


def read_train(section: MarkedDict, validate: MarkedDict | None = None) -> Train:
    """The `train` section as its options. One path under `weights` is read at the start and, if
    `validate` keeps no weights of its own, takes the best ones. KurfileError names file and line.
    """
    known = ("data", "provider", "optimizer", "hooks", "weights", "checkpoint", "log")
    _known_keys(section, (*known, "stop_when", "epochs"), ("train",))
    section = _former_checkpoint(section)
    weights = section.get("weights")
    if isinstance(weights, str):
        keeps = validate is not None and bool(validate.get("weights"))
        weights = {"initial": weights, "best": None if keeps else weights}
    return Train(
        data=_data(section, ("train",)),
        provider=_dictionary(section, "provider", ("train",), "name"),
        optimizer=_dictionary(section, "optimizer", ("train",), "name"),
        hooks=_list(section, "hooks", ("train",)),
        stop_when=_stop_when(section),
        weights=_bound(TrainWeights, weights, _at(section, "weights"), ("train", "weights")),
        checkpoint=_optional(Checkpoint, section, "checkpoint", ("train",), "path"),
        log=_optional(LogTarget, section, "log", ("train",), "path"),
    )


def _former_checkpoint(section: MarkedDict) -> MarkedDict:
    """The section with the `checkpoint` that Kur first had under `weights` where it stands now."""
    weights = section.get("weights")
    if not isinstance(weights, MarkedDict) or "checkpoint" not in weights:
        return section
    found, rest = section.copy(), weights.copy()
    value, mark = rest.pop("checkpoint"), weights.at("checkpoint")
    if "checkpoint" not in found:
        found["checkpoint"], found.marks["checkpoint"] = value, mark
    found["weights"] = rest
    return found


def read_run(name: str, section: MarkedDict) -> Run:
    """A `validate`, `test` or `evaluate` section as its options; KurfileError names the line."""
    path: Path = (name,)
    if name == "evaluate" and "output" in section and "destination" not in section:
        section = section.copy()  # the first versions of Kur called it so
        section.marks["destination"] = section.at("output")
        section["destination"] = section.pop("output")
    known = ["data", "provider", "hooks", "weights"]
    known += ["destination"] if name == "evaluate" else []
    _known_keys(section, tuple(known), path)
    return Run(
        data=_data(section, path),
        provider=_dictionary(section, "provider", path, "name"),
        hooks=_list(section, "hooks", path),
        weights=_weights(section, "best" if name == "validate" else "initial", path),
        destination=_optional(Destination, section, "destination", path, "path"),
    )


def _stop_when(section: MarkedDict) -> StopWhen:
    """`stop_when`, or the older `epochs: N` and `epochs: {number, mode}`; of both, the newer."""
    if "epochs" in section and section.get("stop_when") is not None:
        at = section.at("epochs")
        _note("%s:%s: 'epochs' is not used: 'stop_when' says when to stop", at.file, at.line)
        key = "stop_when"
    else:
        key = "epochs" if "epochs" in section else "stop_when"
    value, mark, path = section.get(key), section.at(key), ("train", key)
    given = dict(value) if isinstance(value, dict) else {"epochs": value}
    where = _at(section, key)
    if key == "epochs" and "number" in given:
        given["epochs"] = given.pop("number")
    given["epochs"] = _epochs(given.get("epochs"), mark, path)
    if given.get("elapsed") is not None:
        inner = _at(value, "elapsed") if isinstance(value, MarkedDict) else mark
        given["elapsed"] = _bound(Elapsed, given["elapsed"], inner, (*path, "elapsed"), "minutes")
    return _bound(StopWhen, given, where, path)


def _epochs(value: object, mark: Mark, path: Path) -> int | None:
    if value is None or (isinstance(value, str) and value.lower() in _ENDLESS):
        return None
    if isinstance(value, float) and math.isinf(value):
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        accepted = f"a whole number, or {', '.join(_ENDLESS)}"
        raise mark.error(f"found {value!r} epochs; accepted: {accepted}", path)
    return value


def _weights(section: MarkedDict, key: str, path: Path) -> str | None:
    """One path, written alone or under `key`."""
    value = section.get("weights")
    if isinstance(value, MarkedDict):
        _known_keys(value, (key,), (*path, "weights"))
        value = value.get(key)
    if value is None or isinstance(value, str):
        return value
    message = f"found {value!r}; accepted: a path, or {{{key}: PATH}}"
    raise section.at("weights").error(message, (*path, "weights"))


def _data(section: MarkedDict, path: Path) -> Mapping[str, MarkedList]:
    value = section.get("data")
    if value is None:
        return {}
    if isinstance(value, MarkedList):
        return {"": value}
    if isinstance(value, MarkedDict) and path != ("train",):
        return {str(name): _list(value, name, (*path, "data")) for name in value}
    message = f"found {value!r}; accepted: a list of suppliers, each begun by '-'"
    raise section.at("data").error(message, (*path, "data"))


def _dictionary(section: MarkedDict, key: str, path: Path, shorthand: str) -> MarkedDict:
    """A dictionary under `key`; a single text means that its `shorthand` is that text."""
    value = section.get(key)
    if value is None:
        return MarkedDict({}, section.at(key))
    if isinstance(value, str):
        return MarkedDict({shorthand: value}, section.at(key))
    if isinstance(value, MarkedDict):
        return value
    message = f"found {value!r}; accepted: a dictionary, or one name"
    raise section.at(key).error(message, (*path, key))


def _list(section: MarkedDict, key: object, path: Path) -> MarkedList:
    value = section.get(key)
    if value is None:
        return MarkedList([], section.at(key))
    if isinstance(value, MarkedList):
        return value
    message = f"found {value!r}; accepted: a list, each item begun by '-'"
    raise section.at(key).error(message, (*path, key))


def _optional(
    kind: type[Kind], section: MarkedDict, key: str, path: Path, shorthand: str
) -> Kind | None:
    if section.get(key) is None:
        return None
    return _bound(kind, section[key], _at(section, key), (*path, key), shorthand)


def _bound(
    kind: type[Kind], value: Any, where: Mark | MarkedDict, path: Path, shorthand: str | None = None
) -> Kind:
    """`value` as a dataclass; a wrong key or value is an error at its line."""
    try:
        what = f"'{path[-1]}'"
        return kind(**bind(kind, value, what=what, shorthand=shorthand))
    except ArgumentError as error:
        mark = where.at(error.key) if isinstance(where, MarkedDict) else where
        steps = (*path, error.key) if error.key else path
        raise mark.error(str(error), steps) from None


def _at(section: MarkedDict, key: str) -> Mark | MarkedDict:
    """What tells the lines of the keys under `key`: the dictionary there, or the key's place."""
    value = section.get(key)
    return value if isinstance(value, MarkedDict) else section.at(key)


def _known_keys(section: MarkedDict, known: tuple[str, ...], path: Path) -> None:
    """Refuse a key that is none of `known`."""
    for key in section:
        if key not in known:
            raise unknown_key(section, key, known, path)


def unknown_key(
    section: MarkedDict, key: object, known: tuple[str, ...], path: Path
) -> KurfileError:
    """The error for a key that is none of `known`, with the nearest of them."""
    message = f"unknown key {key!r}{nearest(key, known)}; accepted: {', '.join(known)}"
    return section.at(key).error(message, (*path, key))
