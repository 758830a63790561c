"""A Kurfile for programs: gives the model, the data and the functions that its sections describe.

One network is built and shared: what `get_training_function` trains is what `get_model` gave and
what the other functions then measure. Knows how things are run; the command line needs none of it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kur import backend as backends
from kur import overrides as command_line
from kur import session
from kur.assemble import Assembly, assemble, losses, providers, seed_of
from kur.data.provider import Provider
from kur.entries import placing
from kur.errors import KurError, KurfileError
from kur.evaluation_hooks import Current
from kur.graph import Model as Graph
from kur.legacy import restore
from kur.losses import Loss
from kur.marks import Mark, MarkedDict, marked
from kur.optimizers import Optimizer
from kur.plugins import PluggedKurfile
from kur.schema import canonical
from kur.train import State, Trainer

_WITH_DATA = ("train", "validate", "test", "evaluate")
_DICTIONARY = "dictionary"


class Model(Graph):
    """A built network that knows whether it has `learned`: whether its weights are those of a
    training or of a file. Its `keras` is the Keras model."""

    learned = False

    def restore(self, path: str | Path) -> None:
        """Set the weights from a file, or from a folder of Kur 0.7; KurError where they do not
        fit."""
        restore(Path(path).expanduser(), self)
        self.learned = True


class Kurfile(PluggedKurfile):
    """A Kurfile: `parse` it, then ask for what it describes. Sections are those of `data`.

    Raises KurfileError (a KurError) with file, line and what would be accepted.
    """

    def __init__(
        self,
        source: str | Path | Mapping[str, Any],
        overrides: Mapping[str, str] | None = None,
        *,
        backend: str | None = None,
    ) -> None:
        """`source`: the file, or a dictionary of sections, whose relative paths start at the
        working directory. `overrides` has dotted paths and texts: {"train.stop_when.epochs": "2"}.
        `backend` (torch, jax, tensorflow) takes the place of `settings.backend`."""
        if overrides is not None and not isinstance(overrides, Mapping):
            kind = type(overrides).__name__
            raise KurError(f"kur.Kurfile(source, overrides): a dictionary expected, found {kind}")
        super().__init__(_DICTIONARY if isinstance(source, Mapping) else source, overrides)
        self._source = copy.deepcopy(dict(source)) if isinstance(source, Mapping) else None
        self._backend = backend
        self._parsed = False
        self._model: Model | None = None
        self._sets: dict[str, Mapping[str, Provider]] = {}

    def parse(self, errors: list[KurfileError] | None = None) -> None:
        """Read and evaluate the Kurfile (anew), see kur.reader.Kurfile.parse."""
        self._model, self._sets = None, {}
        super().parse(errors)
        self._parsed = True

    def get_model(self, provider: Provider | None = None) -> Model:
        """The network, built once. Shapes that the Kurfile leaves open are those of `provider`, or
        else of the first section (train, validate, test, evaluate) that has data."""
        self._ensure_parsed()
        if self._model is None:
            sets = {"train": {"": provider}} if provider is not None else self._first_sets()
            assembly = assemble(self, (), self._backend, given=sets)
            self._model = Model(**vars(assembly.model))
        return self._model

    def get_provider(self, section: str) -> Provider | dict[str, Provider] | None:
        """What makes batches of a section's data: `provider.batches(epoch, training=False)`; by
        name where the section has several sets, None where it has no data."""
        self._ensure_parsed()
        sets = self._provided(canonical(section))
        return sets[""] if tuple(sets) == ("",) else dict(sets) or None

    def get_training_function(self) -> Callable[[], State]:
        """A function that trains the network as the `train` section says (and goes on where a
        training was stopped), and returns where the training then stands."""
        trainer, model = self.get_trainer(), self.get_model()

        def train() -> State:
            state = trainer.run()
            model.learned = True
            return state

        return train

    def get_trainer(self) -> Trainer:
        """What trains the network: `run`, and `stop` from elsewhere."""
        self._needs("train")
        made = session.Made(self.get_model(), {"train": self._provided("train")})
        return session.training(self, self._backend, made=made)

    def get_testing_function(self) -> Callable[[], dict[str, dict[str, float]]]:
        """A function that measures the network on the `test` section and returns figures by set
        ('' where there is one): {"": {"loss": 0.3, "accuracy": 0.9}}. See `_ready` for weights."""
        self._needs("test")
        return lambda: session.testing(self, assembly=self._ready("test"))

    def get_evaluation_function(self) -> Callable[[], dict[str, Current]]:
        """A function that runs the network on the `evaluate` section, writes its `destination` and
        returns by set what hooks left: without hooks, `result` and `truth` have rows by output and
        by source."""
        self._needs("evaluate")
        return lambda: session.evaluating(self, assembly=self._ready("evaluate"))

    def get_optimizer(self) -> Optimizer:
        """The optimizer of the `train` section; its `keras` is that of Keras."""
        self._needs("train")
        self._select()
        return session.optimizer_of(self)

    def get_loss(self) -> dict[str, Loss] | None:
        """The losses by the output that each is of; None without a `loss` section."""
        model = self.get_model()
        return {loss.target: loss for loss in losses(self, model)} or None

    def get_backend(self) -> backends.Backend:
        """The backend of Keras, its GPUs (None: those that there are), and over how many devices
        batches are spread."""
        self._ensure_parsed()
        with placing(self, ("settings", "backend")):
            return backends.resolve(self.section("settings").get("backend"), self._backend)

    def get_seed(self) -> int:
        """`settings.seed`, from which all randomness follows; 0 where there is none."""
        self._ensure_parsed()
        return seed_of(self)

    def _ready(self, name: str) -> Assembly:
        """What a section needs. Its own `weights` are read first; a section without takes the
        network as it is if that has learned, and otherwise the weights that training keeps."""
        model, own = self._model, self.section(name).get("weights")
        keeps = model is not None and model.learned and own is None
        trained = {key: self._sets[key] for key in ("train",) if keeps and key in self._sets}
        made = session.Made(model, trained, keeps)
        assembly = session.ready(self, name, self._backend, made)
        if self._model is None:
            self._model = Model(**vars(assembly.model))
        self._model.learned = True
        return assembly

    def _first_sets(self) -> dict[str, Mapping[str, Provider]]:
        name = next((one for one in _WITH_DATA if self.section(one).get("data")), None)
        return {} if name is None else {name: self._provided(name)}

    def _provided(self, section: str) -> Mapping[str, Provider]:
        """The providers of a section by set, made once."""
        if section not in self._sets:
            if section not in _WITH_DATA or not self.section(section).get("data"):
                return {}
            self._sets[section] = providers(self, section, self._sets.get("train"))
        return self._sets[section]

    def _select(self) -> None:
        """Make Keras run on the wanted backend before it is loaded."""
        with placing(self, ("settings", "backend")):
            backends.select(self.section("settings").get("backend"), self._backend)

    def _needs(self, section: str) -> None:
        self._ensure_parsed()
        if not self.section(section):
            raise self.error(None, (section,), f"there is no '{section}' section")

    def _ensure_parsed(self) -> None:
        if not self._parsed:
            self.parse()

    def _read(self) -> MarkedDict:
        if self._source is None:
            return super()._read()
        mark = Mark(_DICTIONARY, 0)
        if "include" in self._source:
            message = "a dictionary includes nothing; write it to a file, or read the other file"
            raise mark.error(message, ("include",))
        tree: MarkedDict = marked(copy.deepcopy(self._source), mark)
        return command_line.apply(tree, self._overrides)
