"""The command `kur`: parses the command line, calls the package, prints.

Knows nothing that the package does not; every error a user can cause is one line.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kur import __version__
from kur.errors import KurError
from kur.plugin_cli import add_plugin_commands

if TYPE_CHECKING:
    from kur.reader import Kurfile
    from kur.train import Trainer

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return its exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if not hasattr(given, "run"):
        parser.print_help()
        return 2
    _set_up_logging(given.verbose + getattr(given, "more_verbose", 0), plain=given.no_color)
    try:
        if hasattr(given, "kurfile"):
            _load_plugins(given.plugin)
        return int(given.run(given) or 0)
    except KurError as error:
        print(f"kur: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_status
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "kur":
            raise
        print(f"kur: {error.name} is not installed: pip install 'earshot[train]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nkur: stopped", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read the output has closed it; nothing may be written at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"kur: {error}", file=sys.stderr)
        return 1


def _set_up_logging(verbose: int, *, plain: bool) -> None:
    """One line a message on stderr: warnings, and progress of downloads; with `verbose` more, and
    with the time and the module. In colour on a terminal that may have it."""
    if plain:
        os.environ["NO_COLOR"] = "1"  # the progress bar looks for it
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines(verbose, sys.stderr.isatty() and not os.environ.get("NO_COLOR")))
    handler.addFilter(_Once())
    logging.basicConfig(level=logging.DEBUG if verbose > 2 else logging.WARNING, handlers=[handler])
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.getLogger("kur").setLevel(level)
    logging.getLogger("kur.data").setLevel(min(level, logging.INFO))  # how far downloads are
    logging.captureWarnings(verbose > 0)


class _Once(logging.Filter):
    """Lets a warning pass once, though the Kurfile that it is about is read by several."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.WARNING:
            return True
        message = record.getMessage()
        new = message not in self._said
        self._said.add(message)
        return new


class _Lines(logging.Formatter):
    """`kur: MESSAGE`; if verbose, `12:30:01 INFO kur.module: MESSAGE`."""

    def __init__(self, verbose: int, coloured: bool) -> None:
        form = "%(asctime)s %(levelname)s %(name)s: %(message)s" if verbose else "kur: %(message)s"
        super().__init__(form, datefmt="%H:%M:%S")
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line, of a warning in yellow, of an error in red, of a detail in grey."""
        line = super().format(record)
        codes = {logging.DEBUG: 90, logging.WARNING: 33, logging.ERROR: 31, logging.CRITICAL: 31}
        code = codes.get(record.levelno) if self._coloured else None
        return line if code is None else f"\x1b[{code}m{line}\x1b[0m"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kur",
        description="Networks described in a YAML file, not programmed.",
        epilog="example: kur train recipes/acoustic.yml",
    )
    parser.add_argument("--version", "-V", action="version", version=f"kur {__version__}")
    parser.add_argument(
        "--plugin",
        default=os.environ.get("KUR_PLUGIN") or None,
        metavar="DIR",
        help="where plugins live (~/.kur/plugins), one plugin, or none; also KUR_PLUGIN",
    )
    parser.add_argument("--no-color", action="store_true", help="plain text on the terminal too")
    _add_verbose(parser, "verbose")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    made = {}
    for name, run, about in (
        ("train", _train, "train the network, going on where a training was stopped"),
        ("test", _test, "measure the network on the test section"),
        ("evaluate", _evaluate, "run the network on new data, or on files that are named"),
        ("build", _build, "build the network, print its layers, try it on a batch"),
        ("validate", _validate, "check a Kurfile without its data, and print all errors"),
        ("dump", _dump, "print the parsed Kurfile as JSON"),
        ("data", _data, "print the first batch of a section, sample by sample"),
        ("export", _export, "write the network for others to run"),
    ):
        command = made[name] = commands.add_parser(name, help=about, description=about)
        command.add_argument("kurfile", help="the Kurfile (.yml, .yaml or .json)")
        command.add_argument(
            "-s",
            "--set",
            action="append",
            default=[],
            metavar="KEY=VALUE",
            dest="overrides",
            help="override a value: -s train.epochs=2",
        )
        command.set_defaults(run=run)
        _add_verbose(command, "more_verbose")
    for name in ("train", "test", "evaluate", "build", "data"):
        made[name].add_argument("--backend", help="torch, jax or tensorflow")
    for name in ("train", "test", "evaluate"):
        made[name].add_argument("--step", action="store_true", help="wait after each batch")
    made["evaluate"].add_argument(
        "--files", nargs="+", type=Path, metavar="FILE", help="sound files, to be printed as text"
    )
    _add_build(made["build"])
    made["dump"].add_argument("-p", "--pre-parse", action="store_true", help="as it is read")
    _add_data(made["data"])
    _add_export(made["export"])
    _add_init(commands)
    add_plugin_commands(commands)
    return parser


def _add_verbose(command: argparse.ArgumentParser, name: str) -> None:
    told = "say what is being done; twice: in detail; three times: libraries too"
    command.add_argument("-v", "--verbose", dest=name, action="count", default=0, help=told)


def _add_init(commands: Any) -> None:
    about = "write a commented Kurfile to start from, with data that it trains on at once"
    command = commands.add_parser("init", help=about, description=about)
    command.add_argument("file", type=Path, help="the Kurfile to write (.yml)")
    command.add_argument(
        "--kind",
        default="points",
        choices=["points", "images", "speech"],
        help="what it learns from: points of a plane (default), pictures or sounds",
    )
    command.add_argument("--force", action="store_true", help="overwrite what is there")
    command.set_defaults(run=_init)
    _add_verbose(command, "more_verbose")


def _add_build(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-c",
        "--compile",
        default="auto",
        choices=["none", "train", "test", "evaluate", "auto"],
        help="the section it is built for, and with whose first batch it is tried (none: neither; "
        "auto, the default: the first section with data)",
    )
    command.add_argument(
        "-b", "--bare", action="store_true", help="without any data: inputs must have shapes"
    )
    command.add_argument("--draw", type=Path, metavar="FILE", help="draw the network (.svg)")


def _add_data(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-t",
        "--section",
        "--target",
        default="auto",
        choices=["train", "validate", "test", "evaluate", "auto"],
        help="auto, the default: the first section with data",
    )
    command.add_argument(
        "-n", "--number", type=int, metavar="N", help="how many samples (default: one batch)"
    )
    command.add_argument(
        "--assemble",
        action="store_true",
        help="build the network too, and print the shapes that it and its losses are fed with",
    )


def _add_export(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", default="onnx", choices=["onnx"])
    command.add_argument(
        "--weights", type=Path, metavar="FILE", help="default: train.weights.best of the Kurfile"
    )
    command.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    command.add_argument(
        "--head",
        action="append",
        default=[],
        metavar="OUTPUT=SOURCE",
        help="an output whose units are the vocabulary of a source",
    )
    command.add_argument("--int8", action="store_true", help="weights of dense layers in 8 bits")


# What follows imports inside functions, because Jinja2, YAML and Keras belong to the extra
# 'train', and because Keras takes seconds to load, for which `kur dump` should not wait.
def _kurfile(given: argparse.Namespace) -> Kurfile:
    kurfile = _unread(given)
    kurfile.parse()
    return kurfile


def _unread(given: argparse.Namespace) -> Kurfile:
    # See above: an extra.
    from kur.plugins import PluggedKurfile

    overrides = dict(
        _pair(one, "-s KEY=VALUE, such as -s train.epochs=2,") for one in given.overrides
    )
    return PluggedKurfile(given.kurfile, overrides)


def _load_plugins(where: str | None) -> None:
    # See above: an extra.
    from kur.plugins import load_plugins

    load_plugins(where)


def _train(given: argparse.Namespace) -> int:
    # See above: an extra, and slow to load.
    from kur.entries import placing
    from kur.session import training

    kurfile = _kurfile(given)
    trainer = training(kurfile, given.backend, step=given.step)
    with _stop_on_signal(trainer) as interrupted, placing(kurfile, ("train",)):
        state = trainer.run()
    if interrupted:
        goes_on = "the same command goes on from there"
        if not trainer.keeps_state:
            goes_on = "nothing was kept, because the train section has no 'checkpoint'"
        where = f"in epoch {state.epoch + 1} after batch {state.batch}"
        print(f"\nkur: stopped {where}; {goes_on}", file=sys.stderr)
        return _INTERRUPTED
    if not trainer.batches_done and state.epoch == state.until:
        print(f"kur: all {state.epoch} epochs are trained already", file=sys.stderr)
    for what, path in trainer.kept().items():
        print(f"{what}: {path}")
    return 0


@contextlib.contextmanager
def _stop_on_signal(trainer: Trainer) -> Iterator[list[int]]:
    """Let the first Ctrl-C (or TERM) end the training after its batch, and a second one at once;
    the list holds the signals that came."""
    came: list[int] = []

    def stop(number: int, frame: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        print("\nkur: stopping after this batch; again to stop at once", file=sys.stderr)
        trainer.stop()

    watched = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, stop) for number in watched}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _init(given: argparse.Namespace) -> None:
    # See above: an extra.
    from kur.starter import init

    data = init(given.file, given.kind, force=given.force)
    print(f"{given.file}: a Kurfile to start from, with its data in {data}")
    print(f"'kur train {given.file}' trains it")


def _test(given: argparse.Namespace) -> None:
    # See above: an extra, and slow to load.
    from kur.hooks import pause_after
    from kur.session import testing

    pause = pause_after("test") if given.step else None
    for name, figures in testing(_kurfile(given), given.backend, pause).items():
        for figure, value in figures.items():
            print(f"{name + ' ' if name else ''}{figure}: {value:.4f}")


def _evaluate(given: argparse.Namespace) -> None:
    # See above: an extra, and slow to load.
    from kur.hooks import pause_after
    from kur.session import destinations, evaluating
    from kur.transcribe import transcribe

    kurfile = _kurfile(given)
    if given.files:
        heard = transcribe(kurfile, given.files, given.backend)
        for file, texts in zip(given.files, heard, strict=True):
            for output, text in texts.items():
                print(f"{file}{f' [{output}]' if len(texts) > 1 else ''}: {text}")
        return
    pause = pause_after("evaluate") if given.step else None
    found = evaluating(kurfile, given.backend, pause)
    for path in destinations(kurfile):
        print(f"results: {path}")
    if not destinations(kurfile) and not kurfile.section("evaluate").get("hooks"):
        count = sum(one.samples for one in found.values())
        said = "'destination' or 'hooks' in the evaluate section say what becomes of it"
        print(f"kur: {count} samples were evaluated; {said}", file=sys.stderr)


def _build(given: argparse.Namespace) -> None:
    # See above: an extra, and slow to load.
    from kur.building import built, tried
    from kur.drawing import draw, written

    kurfile = _kurfile(given)
    made = built(kurfile, given.compile, given.backend, bare=given.bare)
    print(written(made.model, kurfile.path), flush=True)
    if given.draw:
        draw(made.model, given.draw)
        print(f"drawing: {given.draw}", flush=True)
    said = tried(made)
    if said:
        print(said)


def _validate(given: argparse.Namespace) -> int:
    # See above: an extra.
    from kur.validate import validate

    errors = validate(_unread(given))
    for error in errors:
        print(error)
    if not errors:
        print(f"{given.kurfile}: OK")
    return 1 if errors else 0


def _dump(given: argparse.Namespace) -> None:
    kurfile = _kurfile(given)
    if kurfile.waits_for_model and not given.pre_parse:
        # Knows layers and numpy, which few Kurfiles need here.
        from kur.model import check

        for error in check(kurfile).errors:
            raise error
    print(kurfile.dump(pre_parse=given.pre_parse))


def _data(given: argparse.Namespace) -> None:
    # See above: an extra, and slow to load.
    from kur.assemble import assemble, providers
    from kur.building import shapes_of_step, with_data

    kurfile, section = _kurfile(given), given.section
    if given.number is not None and given.number < 1:
        raise KurError(f"-n {given.number}: at least one sample expected")
    if section == "auto":
        section = with_data(kurfile, ("train", "validate", "test", "evaluate")) or "train"
    assembly = assemble(kurfile, (section,), given.backend) if given.assemble else None
    for name, provider in (
        assembly.data[section] if assembly else providers(kurfile, section)
    ).items():
        print(f"{section}{' ' + name if name else ''}: {provider.samples} samples")
        left = given.number
        for number, batch in enumerate(provider.batches(0, training=section == "train"), 1):
            print(f"batch {number}")
            for source, value in batch.items():
                print(f"  {source}: {getattr(value, 'shape', f'{len(value)} values')}")
            for what, shape in (shapes_of_step(assembly, batch) if assembly else {}).items():
                print(f"  -> {what}: {shape}")
            left = _print_samples(batch, left)
            if not left:
                break


def _print_samples(batch: Mapping[str, Any], most: int | None) -> int:
    """Print the samples of a batch, `most` of them; how many are still wanted."""
    count = len(batch["sample"])
    for i in range(count if most is None else min(count, most)):
        print(f"entry {i + 1}/{count}")
        for source, value in batch.items():
            told = " ".join(str(value[i]).split())
            print(f"  {source}: {told if len(told) < 90 else told[:87] + '...'}")
    return max(0, (most or 0) - count)


def _export(given: argparse.Namespace) -> None:
    # See above: an extra, and slow to load.
    from kur.export import export_onnx

    heads = dict(_pair(one, "--head OUTPUT=SOURCE") for one in given.head)
    metadata = export_onnx(_kurfile(given), given.out, given.weights, heads, int8=given.int8)
    size, fingerprint = given.out.stat().st_size, metadata["fingerprint"][:12]
    print(f"{given.out}: {size:,} bytes, fingerprint {fingerprint}")


def _pair(text: str, form: str) -> tuple[str, str]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise KurError(f"{text!r}: {form} expected")
    return key, value


if __name__ == "__main__":
    sys.exit(main())
