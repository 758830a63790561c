"""Sections of a Kurfile -> the things they describe: suppliers, providers, model, losses.

The one place that knows both the Kurfile and the registries; it trains nothing.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kur.arguments import ArgumentError
from kur.backend import keras, must_be_installed, resolve, select

# Imported for what they register: each supplier is a file of its own.
from kur.data import cifar as _cifar
from kur.data import csv_file as _csv_file
from kur.data import image_folder as _image_folder
from kur.data import jsonl as _jsonl
from kur.data import mnist as _mnist
from kur.data import npz as _npz
from kur.data import parquet as _parquet
from kur.data import pickle_file as _pickle_file
from kur.data import speech as _speech
from kur.data import text as _text
from kur.data import tokens as _tokens
from kur.data.provider import Provider, ProviderOptions
from kur.data.supplier import SUPPLIERS, Source, Supplier, Trained
from kur.entries import Choice, arguments, choose, named, placed
from kur.errors import KurError, nearest
from kur.losses import LOSSES, Ctc, Loss
from kur.marks import MarkedDict
from kur.model import Model, build
from kur.reader import Kurfile
from kur.schema import Run, Train, read_run, read_train

REGISTERED = (
    *(_cifar, _csv_file, _image_folder, _jsonl, _mnist, _npz),
    *(_parquet, _pickle_file, _speech, _text, _tokens),
)
DEFAULT_SEED = 0
DEFAULT_PRECISION = "float32"
Path = tuple[Any, ...]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assembly:
    """A network ready to be fed: the model, its losses, and the data of each wanted section."""

    kurfile: Kurfile
    backend: str
    model: Model
    losses: tuple[Loss, ...]
    data: Mapping[str, Mapping[str, Provider]]


def assemble(
    kurfile: Kurfile,
    sections: tuple[str, ...],
    backend: str | None = None,
    precision: str | None = None,
    *,
    says: Trained | None = None,
    given: Mapping[str, Mapping[str, Provider]] | None = None,
    model: Model | None = None,
) -> Assembly:
    """Build everything that `sections` (such as train and validate) of a parsed Kurfile need.

    `says` is what is known of the training data from elsewhere (trained weights tell it); `given`
    is what the network is fed with, if it does not come from the sections; `model` is the network,
    if it has been built already.

    `precision` is a Keras dtype policy (`float32`, `mixed_bfloat16`), by default that of
    `settings.precision`.
    """
    settings = kurfile.section("settings")
    must_be_installed()
    # Data first: it is quicker to check than Keras is to load.
    data: dict[str, Mapping[str, Provider]] = dict(given or {})
    for name in sections:
        data[name] = providers(kurfile, name, data.get("train"), says)
        for key, one in data[name].items():
            sources = ", ".join(f"{of} {source.shape}" for of, source in one.sources().items())
            _log.info("data: %s: %d samples of %s", f"{name} {key}".strip(), one.samples, sources)
    chosen = _selected(kurfile, settings.get("backend"), backend)
    keras().utils.set_random_seed(seed_of(kurfile))
    policy = precision or settings.get("precision") or DEFAULT_PRECISION
    try:
        keras().config.set_dtype_policy(str(policy))
    except ValueError:
        message = f"unknown precision {policy!r}; accepted: float32, mixed_bfloat16, mixed_float16"
        raise kurfile.error(None, ("settings", "precision"), message) from None
    _log.info("backend: Keras %s on %s, precision %s", keras().__version__, chosen, policy)
    model = model or build(kurfile, _sources(data))
    count = model.keras.count_params()
    _log.info("model: %d containers, %d parameters", len(model.nodes), count)
    for node in model.nodes.values():
        shape = getattr(node.tensor, "shape", "several")
        _log.debug("%s:%d: %s %s %s", node.mark.file, node.mark.line, node.name, node.kind, shape)
    for section, sets in data.items():
        for provider in sets.values():
            _check_inputs(model, provider, section)
    made = losses(kurfile, model)
    symbols = _metadata(next(iter(data.values()))).get("vocabulary", {}) if data else {}
    for loss in made:
        if isinstance(loss, Ctc):
            loss.spell(symbols)
    return Assembly(kurfile, chosen, model, made, data)


def _selected(kurfile: Kurfile, setting: Any, name: str | None) -> str:
    if name is not None:
        resolve(name)  # an error here is of the command line, not of the file
    try:
        return select(setting, name)
    except KurError as error:
        raise (
            error if name is not None else placed(kurfile, error, ("settings", "backend"))
        ) from None


def seed_of(kurfile: Kurfile) -> int:
    """`settings.seed`, from which all randomness follows."""
    seed = kurfile.section("settings").get("seed", DEFAULT_SEED)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        message = f"a whole number from 0 to {2**32 - 1} expected, found {seed!r}"
        raise kurfile.error(None, ("settings", "seed"), message)
    return seed


def train_section(kurfile: Kurfile) -> Train:
    """The options of the `train` section."""
    return read_train(kurfile.section("train"), kurfile.section("validate"))


def run_section(kurfile: Kurfile, name: str) -> Run:
    """The options of the `validate`, `test` or `evaluate` section."""
    return read_run(name, kurfile.section(name))


def providers(
    kurfile: Kurfile,
    section: str,
    training: Mapping[str, Provider] | None = None,
    says: Trained | None = None,
) -> dict[str, Provider]:
    """The providers of a section by name; one nameless ('') where `data` is a plain list.

    A vocabulary (or normalization) that is not given is that of the training data, so that a
    network is always measured by the symbols that it was trained on; `training` are its providers,
    if they have been made already, `says` what is known of it without them.
    """
    options = train_section(kurfile) if section == "train" else run_section(kurfile, section)
    if not any(options.data.values()):
        message = "no 'data': a list of suppliers is needed"
        raise kurfile.error(None, (section,), message)
    trained: Callable[[], Trained] | None = None
    if section != "train" and says:
        trained = functools.partial(dict, says)
    elif section != "train" and train_section(kurfile).data:
        trained = functools.cache(lambda: _metadata(training or providers(kurfile, "train")))
    made = {}
    for name, entries in options.data.items():
        path: Path = (section, "data", name) if name else (section, "data")
        suppliers: list[Supplier] = []
        for i, entry in enumerate(entries):
            before = functools.partial(_shared, tuple(suppliers)) if suppliers else None
            seed = seed_of(kurfile)
            choice = supplier_choice(kurfile, entry, (*path, i), seed, trained or before)
            suppliers += [] if choice is None else [choice.made()]
        try:
            chosen = provider_options(kurfile, options.provider, section)
            made[name] = Provider(suppliers, chosen, seed_of(kurfile))
        except ArgumentError as error:
            raise placed(kurfile, error, (section, "provider")) from None
        except KurError as error:
            raise placed(kurfile, error, path) from None
    return made


def losses(kurfile: Kurfile, model: Model) -> tuple[Loss, ...]:
    """The losses of the `loss` section, attached to the model."""
    made = []
    for i, entry in enumerate(kurfile.section("loss")):
        choice = loss_choice(kurfile, entry, ("loss", i))
        target = target_of(choice, model)
        loss = choice.made()
        loss.target = target
        try:
            loss.attach(model)
        except KurError as error:
            raise placed(kurfile, error, choice.path) from None
        # What is wrong with a batch shows when it comes; the line is known here only.
        setattr(loss, "truth", _placing(loss.truth, choice))  # noqa: B010
        made.append(loss)
    return tuple(made)


def _placing(truth: Callable[[Any], Any], choice: Choice) -> Callable[[Any], Any]:
    def with_place(batch: Any) -> Any:
        try:
            return truth(batch)
        except KurError as error:
            raise placed(choice.kurfile, error, choice.path) from None

    return with_place


def loss_choice(kurfile: Kurfile, entry: Any, path: Path) -> Choice:
    """What an entry of the `loss` section asks for."""
    if not isinstance(entry, MarkedDict):
        message = f"a loss is a mapping with 'name' and 'target', found {entry!r}"
        raise kurfile.error(None, path, message)
    values = dict(entry)
    if values.get("name") is None:
        message = f"a loss needs a 'name'; known: {', '.join(LOSSES)}"
        raise kurfile.error(None, path, message)
    name = values.pop("name")
    make = named(kurfile, name, (*path, "name"), LOSSES, "loss")
    return Choice(kurfile, path, make, arguments(kurfile, values, path, make, f"the loss {name}"))


def target_of(choice: Choice, model: Model) -> str:
    """The output of the model that a loss means by its target; KurfileError if there is none."""
    target = choice.arguments["target"]
    found = model.output_named(target)
    if found is None:
        hint = f"{nearest(target, model.outputs)}; outputs: {', '.join(model.outputs)}"
        message = f"no output is named {target!r}{hint}"
        raise choice.kurfile.error(None, (*choice.path, "target"), message)
    return found


def supplier_choice(
    kurfile: Kurfile,
    entry: Any,
    path: Path,
    seed: int = DEFAULT_SEED,
    trained: Callable[[], Trained] | None = None,
) -> Choice | None:
    """What an entry of a `data` list asks for; None if its `when` says no."""
    provided = {"base": kurfile.path.parent, "trained": trained, "settings_seed": seed}
    return choose(kurfile, entry, path, SUPPLIERS, "supplier", provided)


def provider_options(kurfile: Kurfile, value: MarkedDict, section: str) -> ProviderOptions:
    """The options under `provider` in a section."""
    path = (section, "provider")
    given = arguments(kurfile, value, path, ProviderOptions, "the provider")
    try:
        return ProviderOptions(**given)
    except ArgumentError as error:
        raise placed(kurfile, error, path) from None


def _metadata(sets: Mapping[str, Provider]) -> Trained:
    return {key: value for one in sets.values() for key, value in one.metadata().items()}


def _shared(suppliers: Sequence[Supplier]) -> Trained:
    """What suppliers of the training data say for those that follow; each has a vocabulary of its
    own, since the first one's need not have all symbols of the next."""
    found = {key: value for one in suppliers for key, value in one.metadata().items()}
    return {key: value for key, value in found.items() if key != "vocabulary"}


def _sources(data: Mapping[str, Mapping[str, Provider]]) -> dict[str, Source]:
    """The sources of all data; those of the first section count."""
    found: dict[str, Source] = {}
    for sets in data.values():
        for provider in sets.values():
            found = {**provider.sources(), **found}
    return found


def _check_inputs(model: Model, provider: Provider, section: str) -> None:
    there = provider.sources()
    for name in model.inputs:
        if name not in there:
            hint = f"{nearest(name, there)}; it has: {', '.join(there)}"
            message = f"the data of '{section}' has no source {name!r}{hint}"
            raise model.nodes[name].mark.error(message, ("model",))
