"""The train, test and evaluate sections of a Kurfile, assembled and ready to run.

Knows how sections are turned into options; the work itself is done by `train`, `step` and
`evaluate`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Imported for what they register: hooks that have files of their own.
from kur import plot as _plot
from kur import tensorboard as _tensorboard
from kur.arguments import ArgumentError
from kur.assemble import Assembly, assemble, run_section, train_section
from kur.checkpoint import find, told
from kur.data.provider import Batch, Provider
from kur.data.supplier import resolve
from kur.entries import placing
from kur.errors import KurError
from kur.evaluate import Findings, evaluate, of_batch
from kur.evaluation_hooks import About, Current, Output, apply_hooks, make_evaluation_hooks
from kur.hooks import Pause, ProgressLine, make_hooks
from kur.legacy import adopt_log, restore
from kur.log import Log
from kur.model import Model
from kur.naming import latest
from kur.optimizers import Optimizer, make_optimizer
from kur.reader import Kurfile
from kur.schema import Destination, LogTarget, Train
from kur.step import OnBatch, measure
from kur.train import Trainer, TrainOptions

REGISTERED = (_plot, _tensorboard)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What a program has made of a Kurfile before and goes on with: the network, providers by
    section and set, and whether the network's weights are used as they are."""

    model: Model | None = None
    data: Mapping[str, Mapping[str, Provider]] = field(default_factory=dict)
    keeps_weights: bool = False


def training(
    kurfile: Kurfile, backend: str | None = None, *, step: bool = False, made: Made | None = None
) -> Trainer:
    """The trainer that the `train` (and `validate`) section describes; with `step` it waits for
    Enter after each batch."""
    made = made or Made()
    section, base = train_section(kurfile), kurfile.path.parent
    log = _log_of(section.log, base)
    hooks = make_hooks(kurfile, section.hooks, log)
    judges = make_evaluation_hooks(kurfile, "validate", run_section(kurfile, "validate").hooks)
    sections = ("train", "validate") if run_section(kurfile, "validate").data else ("train",)
    options = _options(kurfile, section, base)
    missing = tuple(one for one in sections if one not in made.data)
    assembly = assemble(kurfile, missing, backend, given=made.data, model=made.model)
    optimizer = optimizer_of(kurfile)

    def look(batch: Batch, outputs: Mapping[str, Any]) -> None:
        about = _about(assembly, assembly.data["train"][""])
        apply_hooks(judges, of_batch(assembly.losses, batch, outputs), about)

    try:
        return Trainer(
            assembly.model,
            assembly.losses,
            optimizer,
            assembly.data["train"][""],
            assembly.data.get("validate", {}),
            options,
            log,
            (ProgressLine(), *((Pause(),) if step else ()), *hooks),
            look if judges else None,
        )
    except KurError as error:
        raise kurfile.error(None, ("train",), str(error)) from None


def ready(
    kurfile: Kurfile, name: str, backend: str | None = None, made: Made | None = None
) -> Assembly:
    """What the `test` or `evaluate` section needs, with its weights in the network."""
    made, weights, says = made or Made(), None, None
    if not made.keeps_weights:
        with placing(kurfile, _weights_path(kurfile, name)):
            weights = section_weights(kurfile, name)
            says = _of_data(weights)
        _log.info("weights: %s", weights)
    missing = () if name in made.data else (name,)
    assembly = assemble(kurfile, missing, backend, says=says, given=made.data, model=made.model)
    if weights is not None:
        with placing(kurfile, _weights_path(kurfile, name)):
            restore(weights, assembly.model)
    return assembly


def testing(
    kurfile: Kurfile,
    backend: str | None = None,
    on_batch: OnBatch | None = None,
    assembly: Assembly | None = None,
) -> dict[str, dict[str, float]]:
    """Figures of the network on each set of the `test` section; of several sets there is an
    `average` of the loss, by samples. Hooks are given the first batch of each."""
    section = run_section(kurfile, "test")
    hooks = make_evaluation_hooks(kurfile, "test", section.hooks)
    assembly = assembly or ready(kurfile, "test", backend)
    if not assembly.losses:
        raise kurfile.error(None, ("loss",), "nothing to measure: there is no 'loss' section")
    found: dict[str, dict[str, float]] = {}
    total, samples = 0.0, 0
    for name, provider in assembly.data["test"].items():
        first: list[Findings] = []

        def look(batch: Batch, outputs: Mapping[str, Any], first: list[Findings] = first) -> None:
            if hooks and not first:
                first.append(of_batch(assembly.losses, batch, outputs))
            if on_batch is not None:
                on_batch(batch, outputs)

        found[name] = measure(assembly.model, assembly.losses, provider, on_batch=look)
        total, samples = total + found[name]["loss"] * provider.samples, samples + provider.samples
        for findings in first:
            apply_hooks(hooks, findings, _about(assembly, provider))
    if len(found) > 1:
        found["average"] = {"loss": total / max(1, samples)}
    return found


def evaluating(
    kurfile: Kurfile,
    backend: str | None = None,
    on_batch: OnBatch | None = None,
    assembly: Assembly | None = None,
) -> dict[str, Current]:
    """What the hooks of the `evaluate` section leave of each set of its data (without hooks: rows
    by output, and by source); it is written to the `destination`, where there is one."""
    section = run_section(kurfile, "evaluate")
    hooks = make_evaluation_hooks(kurfile, "evaluate", section.hooks)
    assembly = assembly or ready(kurfile, "evaluate", backend)
    left = {}
    for name, provider in assembly.data["evaluate"].items():
        findings = evaluate(assembly.model, assembly.losses, provider, on_batch)
        about = _about(assembly, provider, every=True)
        after = _destination(kurfile, section.destination, name)
        left[name] = apply_hooks((*hooks, *after), findings, about)
    return left


def destinations(kurfile: Kurfile) -> list[Path]:
    """The files that `evaluating` writes as the `destination` of the section."""
    section = run_section(kurfile, "evaluate")
    given, base = section.destination, kurfile.path.parent
    return (
        [] if given is None else [resolve(base, _by_set(given.path, one)) for one in section.data]
    )


def trained_weights(kurfile: Kurfile) -> Path:
    """The best weights that the `validate` or `train` section keeps, or else the last ones."""
    kept = train_section(kurfile).weights
    name = run_section(kurfile, "validate").weights or kept.best or kept.last or kept.initial
    if name is None:
        message = "no 'weights': which file holds the trained network?"
        raise kurfile.error(None, ("train", "weights"), message)
    return find(latest(kurfile.path.parent, name))


def _of_data(weights: Path) -> dict[str, Any]:
    """What weights tell of the data that they were trained on."""
    found = told(weights).get("data")
    return found if isinstance(found, dict) else {}


def section_weights(kurfile: Kurfile, name: str) -> Path:
    """The weights that a section names, or those that training keeps."""
    section = run_section(kurfile, name)
    if section.weights is None:
        return trained_weights(kurfile)
    return find(latest(kurfile.path.parent, section.weights))


def _weights_path(kurfile: Kurfile, name: str) -> tuple[str, ...]:
    """Where the weights of a section are named."""
    if run_section(kurfile, name).weights is not None:
        return (name, "weights")
    return ("validate" if run_section(kurfile, "validate").weights else "train", "weights")


def _about(assembly: Assembly, provider: Provider, every: bool = False) -> About:
    says, model = provider.metadata(), assembly.model
    vocabulary, split = says.get("vocabulary", {}), says.get("split", {})
    return About(model.inputs, model.outputs, vocabulary, split, every)


def _destination(kurfile: Kurfile, given: Destination | None, name: str) -> tuple[Output, ...]:
    """The `destination` as the hook that comes last."""
    if given is None:
        return ()
    path = _by_set(given.path, name)
    return (Output(base=kurfile.path.parent, path=path, format=given.format),)


def _by_set(path: str, name: str) -> str:
    """A path of its own for each set of data that has a name."""
    plain = Path(path)
    return str(plain.with_name(f"{plain.stem}-{name}{plain.suffix}")) if name else path


def _options(kurfile: Kurfile, section: Train, base: Path) -> TrainOptions:
    kept, best_valid = section.weights, run_section(kurfile, "validate").weights
    if kept.best is None:
        # There is one judge, and it is the validation.
        kept, best_valid = replace(kept, best=best_valid), None
    try:
        return TrainOptions(section.stop_when, kept, best_valid, section.checkpoint, base)
    except KurError as error:
        raise kurfile.error(None, ("train", "weights"), str(error)) from None


def optimizer_of(kurfile: Kurfile) -> Optimizer:
    """The optimizer of the `train` section; KurfileError names the line."""
    try:
        return make_optimizer(train_section(kurfile).optimizer)
    except ArgumentError as error:
        path = ("train", "optimizer", *(error.key.split(".") if error.key else ()))
        raise kurfile.error(None, path, str(error)) from None


def _log_of(target: LogTarget | None, base: Path) -> Log:
    """A log in a file, or in a folder, where a log of Kur 0.7 is gone on with."""
    if target is None or target.path is None:
        return Log(None)
    path = resolve(base, target.path)
    if path.suffix != ".jsonl":
        path = adopt_log(path, path / "log.jsonl")
    return Log(path, target.keep_batch, target.rate)


__all__ = [
    "Assembly",
    "Made",
    "destinations",
    "evaluating",
    "optimizer_of",
    "ready",
    "section_weights",
    "testing",
    "trained_weights",
    "training",
]
