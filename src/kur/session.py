"""A Kurfile's train and test sections, assembled and ready to run.

Knows how sections are turned into options; the work itself is done by `train`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from kur.arguments import ArgumentError
from kur.assemble import Assembly, assemble, run_section, train_section
from kur.checkpoint import load_weights, place
from kur.data.supplier import resolve
from kur.errors import KurError
from kur.hooks import ProgressLine, make_hooks
from kur.log import Log
from kur.naming import latest
from kur.optimizers import Optimizer, make_optimizer
from kur.reader import Kurfile
from kur.schema import LogTarget, Train
from kur.step import measure
from kur.train import Trainer, TrainOptions


def training(kurfile: Kurfile, backend: str | None = None) -> Trainer:
    """The trainer that the `train` (and `validate`) section describes."""
    section, base = train_section(kurfile), kurfile.path.parent
    log = _log(section.log, base)
    hooks = make_hooks(kurfile, section.hooks, base, log)
    _note_hooks(kurfile, "validate")
    sections = ("train", "validate") if run_section(kurfile, "validate").data else ("train",)
    assembly = assemble(kurfile, sections, backend)
    options = _options(kurfile, section, base)
    optimizer = _optimizer(kurfile)
    try:
        return Trainer(
            assembly.model,
            assembly.losses,
            optimizer,
            assembly.data["train"][""],
            assembly.data.get("validate", {}),
            options,
            log,
            (ProgressLine(), *hooks),
        )
    except KurError as error:
        raise kurfile.error(None, ("train",), str(error)) from None


def testing(kurfile: Kurfile, backend: str | None = None) -> dict[str, dict[str, float]]:
    """Figures of the network on each set of the `test` section."""
    _note_hooks(kurfile, "test")
    assembly = assemble(kurfile, ("test",), backend)
    given = run_section(kurfile, "test").weights
    base = kurfile.path.parent
    path = trained_weights(kurfile) if given is None else place(latest(base, given))
    load_weights(path, assembly.model.keras)
    if not assembly.losses:
        raise kurfile.error(None, ("loss",), "nothing to measure: there is no 'loss' section")
    return {
        name: measure(assembly.model, assembly.losses, provider)
        for name, provider in assembly.data["test"].items()
    }


def trained_weights(kurfile: Kurfile) -> Path:
    """The best weights that the `train` section keeps, or else the last ones."""
    kept = train_section(kurfile).weights
    name = run_section(kurfile, "validate").weights or kept.best or kept.last or kept.initial
    if name is None:
        message = "no 'weights': which file holds the trained network?"
        raise kurfile.error(None, ("train", "weights"), message)
    return place(latest(kurfile.path.parent, name))


def _options(kurfile: Kurfile, section: Train, base: Path) -> TrainOptions:
    kept, best_valid = section.weights, run_section(kurfile, "validate").weights
    if kept.best is None:
        # There is one judge, and it is the validation.
        kept, best_valid = replace(kept, best=best_valid), None
    try:
        return TrainOptions(section.stop_when, kept, best_valid, section.checkpoint, base)
    except KurError as error:
        raise kurfile.error(None, ("train", "weights"), str(error)) from None


def _optimizer(kurfile: Kurfile) -> Optimizer:
    try:
        return make_optimizer(train_section(kurfile).optimizer)
    except ArgumentError as error:
        path = ("train", "optimizer", *(error.key.split(".") if error.key else ()))
        raise kurfile.error(None, path, str(error)) from None


def _note_hooks(kurfile: Kurfile, section: str) -> None:
    if run_section(kurfile, section).hooks:
        logging.getLogger("kur").warning("%s.hooks: only training runs hooks", section)


def _log(target: LogTarget | None, base: Path) -> Log:
    """A log in a file, or in a folder."""
    if target is None or target.path is None:
        return Log(None)
    path = resolve(base, target.path)
    path = path if path.suffix == ".jsonl" else path / "log.jsonl"
    return Log(path, target.keep_batch, target.rate)


__all__ = ["Assembly", "testing", "trained_weights", "training"]
