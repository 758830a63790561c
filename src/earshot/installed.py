"""The networks of this user: those that were added, and the one that ships.

Each is a folder in `networks_folder()`, made beside it and renamed into place, so that it is there
whole or not at all. A library says by fingerprint which one made it; `by_fingerprint` finds it
again. Knows nothing of libraries or of what a network hears, but that it can hear a background.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_data_path

from earshot.errors import NetworkError, UsageError
from earshot.network import SHIPPED, Network, read_description

NETWORKS_VARIABLE = "EARSHOT_NETWORKS"
"""Environment variable that names the folder of added networks."""

BACKGROUND_MINUTES = 20.0
"""So much of the recordings given as background is listened to."""

SHIPPED_NAME = "english"
FILES = (
    "network.json", "network.onnx", "network.onnx.data", "lexicon.txt", "letters.safetensors",
    "confidence.json", "background.safetensors", "MODEL_CARD.md",
)  # fmt: skip
"""All that a network's folder may hold."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_TRAINED_FRAME = 0.04  # seconds: the frame that the prices of an alignment were chosen for


@dataclass(frozen=True, slots=True)
class Installed:
    """A network that is at hand under `name`; `problem` says why it cannot be used, if so."""

    name: str
    folder: Path
    network: Network | None
    bytes: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Adding:
    """How a network is added; see `add`."""

    name: str | None = None
    lexicon: Path | None = None
    language: str | None = None
    background: Sequence[Path] = ()
    int8: bool = False
    trust_pickle: bool = False


def networks_folder() -> Path:
    """Where added networks lie: EARSHOT_NETWORKS, or in the user's data folder."""
    named = os.environ.get(NETWORKS_VARIABLE)
    return Path(named) if named else user_data_path("earshot", appauthor=False) / "networks"


def installed() -> list[Installed]:
    """The network that ships, then those that were added, by name."""
    found = [_look(SHIPPED_NAME, SHIPPED)]
    folder = networks_folder()
    if folder.is_dir():
        names = sorted(one.name for one in folder.iterdir() if _NAME.fullmatch(one.name))
        found += [_look(name, folder / name) for name in names]
    return found


def find(name: str) -> Path:
    """The folder of the network `name`: an added one, the one that ships, or a path to a folder.

    Raises NetworkError where there is none.
    """
    if name == SHIPPED_NAME:
        return SHIPPED
    if _NAME.fullmatch(name) and (networks_folder() / name).is_dir():
        return networks_folder() / name
    if (Path(name) / "network.json").exists():
        return Path(name)
    known = ", ".join(one.name for one in installed())
    raise NetworkError(
        f"there is no network {name!r} (there are: {known}): add it with `earshot network add`"
    )


def by_fingerprint(fingerprint: str) -> Path | None:
    """The folder of the network with this fingerprint, or None."""
    for one in installed():
        if one.network is not None and one.network.fingerprint == fingerprint:
            return one.folder
    return None


def remove(name: str) -> None:
    """Delete an added network; raises UsageError for one that was not added."""
    if name == SHIPPED_NAME:
        raise UsageError(f"the network {name!r} ships with Earshot and cannot be removed")
    folder = networks_folder() / name
    if not _NAME.fullmatch(name) or not folder.is_dir():
        known = ", ".join(one.name for one in installed()[1:]) or "none"
        raise UsageError(f"no network {name!r} was added (added: {known})")
    try:
        # Out of sight first: what a crash leaves is no network any more.
        gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=networks_folder()))
        folder.rename(gone / name)
        shutil.rmtree(gone)
    except OSError as error:
        raise NetworkError(f"{folder} cannot be removed: {error.strerror}") from None


def add(source: str, how: Adding) -> Installed:
    """Add a network: a network's folder, or a CTC model of transformers by folder or name.

    `name` is what it is called from then on (default: the last part of `source`); `lexicon` a
    text file of words in the network's own units; `language` "en" lets numbers be read to a model
    of letters; `background` are recordings that queries are measured against. Raises UsageError,
    NetworkError or MissingExtra, and leaves nothing behind then.
    """
    given = Path(source)
    called = given.resolve().name if source and given.exists() else given.name or source
    name = how.name or re.sub(r"[^A-Za-z0-9._-]", "-", called).lstrip(".-_")
    target = networks_folder() / name
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} is no name for a network: use letters, digits, '.', '_', '-'")
    if target.exists() or name == SHIPPED_NAME:
        raise UsageError(f"there is a network {name!r} already: give this one another --name")
    if given.is_file():
        raise UsageError(f"{source} is a file: give the folder of a network, or a model's name")
    if how.lexicon is not None and not how.lexicon.is_file():
        raise UsageError(f"{how.lexicon}: no such file, expected a lexicon")
    try:
        networks_folder().mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=".adding-", dir=networks_folder()))
    except OSError as error:
        raise NetworkError(f"{networks_folder()} cannot be written: {error.strerror}") from None
    try:
        _fill(source, staged, how)
        staged.chmod(0o755)
        staged.rename(target)
    except OSError as error:
        raise NetworkError(f"{error.filename or target}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return _look(name, target)


def _fill(source: str, folder: Path, how: Adding) -> None:
    """Make the folder of a network."""
    given = Path(source)
    if (given / "network.json").exists():
        Network.open(given)
        for name in FILES:
            if (given / name).exists():
                shutil.copyfile(given / name, folder / name)
        if not (folder / "network.onnx").exists():
            raise NetworkError(f"{given}: network.onnx is missing")
        _say_how(folder, how)
    else:
        from earshot.ctc_models import export_checkpoint  # the only way to torch

        metadata = export_checkpoint(
            source,
            folder,
            own_lexicon=how.lexicon is not None,
            language=how.language,
            int8=how.int8,
            trust_pickle=how.trust_pickle,
        )
        if metadata["speller"]["reading"] == "english":
            for name in ("lexicon.txt", "letters.safetensors"):
                shutil.copyfile(SHIPPED / name, folder / name)
    network = Network.open(folder)
    if how.lexicon is not None:
        units = [one for at, one in enumerate(network.units) if at != network.blank]
        lines = read_lexicon(how.lexicon, units)
        (folder / "lexicon.txt").write_text("".join(lines), encoding="utf-8")
    if how.background or not (folder / "confidence.json").exists():
        _calibrate(folder, network, how.background)


def _say_how(folder: Path, how: Adding) -> None:
    """Write into a copied network.json how its texts are read from now on, if that was said."""
    if how.lexicon is None and how.language is None:
        return
    metadata = read_description(folder)
    speller: dict[str, Any] = dict(metadata.get("speller") or {})
    if how.lexicon is not None or speller.get("reading") != "english":
        speller["reading"] = "plain"
        speller["numbers"] = "english" if how.language == "en" else None
    # Of format 1 or 2 as it was: `speller` means the same in both.
    text = json.dumps({**metadata, "speller": speller}, indent=1, ensure_ascii=False)
    (folder / "network.json").write_text(text + "\n", encoding="utf-8")


def read_lexicon(path: Path, units: Iterable[str]) -> list[str]:
    """The lines of a `Lexicon` from a text file of words and what they sound like.

    One pronunciation a line, `word unit unit ...`, or several, `word<TAB>unit unit|unit unit`;
    `word(2)` is another one of `word`. Raises NetworkError with file and line for what is neither
    or names a unit that the network does not have.
    """
    known = set(units)
    found: dict[str, list[str]] = {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise NetworkError(f"{path} is not text in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise NetworkError(f"{path} cannot be read: {error.strerror}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith(";;;"):
            continue
        word, tab, rest = line.strip().partition("\t")
        if not tab:
            word, _, rest = line.strip().partition(" ")
        word = re.sub(r"\(\d+\)$", "", word).lower()
        for said in rest.split("|") if tab and "|" not in known else [rest]:
            unknown = [unit for unit in said.split() if unit not in known]
            if unknown or not said.split() or not word:
                what = f"{unknown[0]!r} is no unit of the network" if unknown else "no units"
                raise NetworkError(f"{path}:{number}: {what} (expected: word unit unit ...)")
            joined = " ".join(said.split())
            if joined not in found.setdefault(word, []):
                found[word].append(joined)
    if not found:
        raise NetworkError(f"{path}: the lexicon has no words")
    ordered = sorted(found.items(), key=lambda item: item[0].encode())
    return [f"{word}\t{'|'.join(said)}\n" for word, said in ordered]


def _calibrate(folder: Path, network: Network, background: Sequence[Path]) -> None:
    """Write confidence.json: what is in the folder, or prices for its frames and no weights yet."""
    from earshot.search import Calibration  # numba: seconds to load
    from earshot.search.align import Tolerance

    path = folder / "confidence.json"
    if path.exists():
        calibration = Calibration.open(path)
    else:
        usual = Tolerance()
        share = network.frame_seconds / _TRAINED_FRAME
        shorter = {
            name: max(1, round(getattr(usual, name) * share)) for name in ("stay", "gap", "pause")
        }
        calibration = Calibration(tolerance=replace(usual, **shorter))
    if background:
        heard = tuple(_hear(network, background))
        if not heard:
            raise UsageError("the background has no recordings in it that can be listened to")
        calibration = replace(calibration, background=heard)
    calibration.save(path)


def _hear(network: Network, background: Sequence[Path]) -> Iterator[Any]:
    """The costs (frames, units) of each recording, until there is enough."""
    from earshot import media  # FFmpeg: see `_calibrate`
    from earshot.index import costs
    from earshot.search.align import readable

    left = round(BACKGROUND_MINUTES * 60 / network.frame_seconds)
    for path in media.media_files(background):
        mono = (
            block.mean(axis=0)
            for block in media.blocks(path, channels="mix", sample_rate=network.sample_rate)
        )
        pieces = []
        for piece in network.listen(mono):
            pieces.append(costs(piece[:left]))
            left -= len(pieces[-1])
            if left <= 0:
                break
        if pieces:
            yield readable(np.concatenate(pieces))
        if left <= 0:
            return


def _look(name: str, folder: Path) -> Installed:
    size = sum((folder / one).stat().st_size for one in FILES if (folder / one).exists())
    try:
        return Installed(name, folder, Network.open(folder), size)
    except NetworkError as error:
        return Installed(name, folder, None, size, str(error))
