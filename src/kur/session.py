"""A Kurfile's train and test sections, assembled and ready to run.

Knows how sections are turned into options; the work itself is done by `train`.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from kur.arguments import ArgumentError
from kur.assemble import Assembly, assemble, run_section, train_section
from kur.checkpoint import load_weights
from kur.data.supplier import resolve
from kur.errors import KurError
from kur.hooks import ProgressLine, make_hooks
from kur.log import Log
from kur.optimizers import Optimizer, make_optimizer
from kur.reader import Kurfile
from kur.schema import LogTarget
from kur.train import Trainer, TrainOptions, measure


def training(kurfile: Kurfile, backend: str | None = None) -> Trainer:
    """The trainer that the `train` (and `validate`) section describes."""
    section, base = train_section(kurfile), kurfile.path.parent
    if section.checkpoint is not None and section.checkpoint.validation:
        message = "validation runs at the end of each epoch only; leave 'validation' out"
        raise kurfile.error(None, ("train", "checkpoint", "validation"), message)
    log = Log(_log_path(section.log, base), section.log is None or section.log.keep_batch)
    hooks = make_hooks(kurfile, section.hooks, base, log)
    _note_hooks(kurfile, "validate")
    sections = ("train", "validate") if run_section(kurfile, "validate").data else ("train",)
    assembly = assemble(kurfile, sections, backend)
    kept = section.weights
    kept = replace(kept, best=kept.best or run_section(kurfile, "validate").weights)
    options = TrainOptions(section.stop_when, kept, section.checkpoint, base)
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
    path = trained_weights(kurfile) if given is None else resolve(kurfile.path.parent, given)
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
    name = kept.best or kept.last or kept.initial
    if name is None:
        message = "no 'weights': which file holds the trained network?"
        raise kurfile.error(None, ("train", "weights"), message)
    return resolve(kurfile.path.parent, name)


def _optimizer(kurfile: Kurfile) -> Optimizer:
    try:
        return make_optimizer(train_section(kurfile).optimizer)
    except ArgumentError as error:
        path = ("train", "optimizer", *(error.key.split(".") if error.key else ()))
        raise kurfile.error(None, path, str(error)) from None


def _note_hooks(kurfile: Kurfile, section: str) -> None:
    if run_section(kurfile, section).hooks:
        logging.getLogger("kur").warning("%s.hooks: only training runs hooks", section)


def _log_path(target: LogTarget | None, base: Path) -> Path | None:
    """A file, or a folder that the log goes into."""
    if target is None or target.path is None:
        return None
    path = resolve(base, target.path)
    return path if path.suffix == ".jsonl" else path / "log.jsonl"


__all__ = ["Assembly", "testing", "trained_weights", "training"]
