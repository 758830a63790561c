"""Sound files that a user names -> text, by a trained network with a ctc loss.

The Kurfile's own speech data says how sound becomes frames. Knows nothing of training.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import av

from kur.arguments import bind
from kur.assemble import Assembly, assemble, run_section, seed_of, train_section
from kur.checkpoint import told
from kur.data.provider import Provider, ProviderOptions
from kur.data.supplier import SUPPLIERS, Supplier
from kur.data.vocabulary import load_vocabulary
from kur.errors import KurError
from kur.evaluate import evaluate
from kur.evaluation_hooks import texts_of
from kur.legacy import restore
from kur.losses import Ctc
from kur.marks import MarkedDict
from kur.reader import Kurfile
from kur.session import section_weights

_SPEECH = "speech_recognition"
# What says which clips there are, and not how they are heard.
_OF_CLIPS = (
    "url",
    "path",
    "checksum",
    "unpack",
    "samples",
    "min_duration",
    "max_duration",
    "cache",
    "augment",
    "bucket",
)


def transcribe(
    kurfile: Kurfile, files: Sequence[Path], backend: str | None = None
) -> list[dict[str, str]]:
    """For each file, what every ctc output of the network hears in it, by the output's name."""
    weights = section_weights(kurfile, "evaluate")
    says = told(weights).get("data", {})
    options = _speech(kurfile)
    for file in files:
        _length(file)  # a wrong one is known before Keras is loaded
    with tempfile.TemporaryDirectory() as folder:
        supplier = _supplier(kurfile, options, says, files, Path(folder))
        plan = ProviderOptions(batch_size=8)
        provider = Provider([supplier], plan, seed_of(kurfile))
        assembly = assemble(kurfile, (), backend, given={"evaluate": {"": provider}})
        restore(weights, assembly.model)
        try:
            result = evaluate(assembly.model, assembly.losses, provider).result
        except KurError as error:
            # The list of files is ours, and no user's concern.
            raise KurError(_without_place(str(error), folder)) from None
    return _texts(kurfile, assembly, provider.metadata(), result, len(files))


def _texts(
    kurfile: Kurfile, assembly: Assembly, says: dict[str, Any], result: Any, count: int
) -> list[dict[str, str]]:
    found: list[dict[str, str]] = [{} for _ in range(count)]
    losses = [loss for loss in assembly.losses if isinstance(loss, Ctc)]
    if not losses:
        message = "no output has a 'ctc' loss, so that none spells a text"
        raise kurfile.error(None, ("loss",), message)
    for loss in losses:
        symbols = says["vocabulary"].get(loss.source)
        if symbols is None:
            continue
        joint = " " if says["split"].get(loss.source) == "spaces" else ""
        warp = loss.blank == 0
        texts = texts_of(result[loss.target], symbols, joint, warp=warp)
        for one, text in zip(found, texts, strict=True):
            one[loss.target] = text
    return found


def _speech(kurfile: Kurfile) -> MarkedDict:
    """The options of the first speech data that the Kurfile names."""
    sections = [run_section(kurfile, name).data for name in ("evaluate", "test", "validate")]
    for data in [*sections, train_section(kurfile).data]:
        for entries in data.values():
            for entry in entries:
                given = entry.get(_SPEECH) if isinstance(entry, dict) else None
                if isinstance(given, str):
                    return MarkedDict({"path": given})
                if isinstance(given, MarkedDict):
                    return given
    message = f"no section has {_SPEECH!r} data, which would say how sound is heard"
    raise kurfile.error(None, ("evaluate", "data"), message)


def _supplier(
    kurfile: Kurfile, options: MarkedDict, says: dict[str, Any], files: Sequence[Path], folder: Path
) -> Supplier:
    given = {key: value for key, value in options.items() if key not in _OF_CLIPS}
    prefix = f"{given['key']}_" if given.get("key") else ""
    known = says.get("vocabulary", {}).get(f"{prefix}transcript")
    vocabulary = given.get("vocab") or known
    if vocabulary is None:
        message = "the weights do not say the vocabulary; give 'vocab' in the speech data"
        raise kurfile.error(None, ("evaluate", "data"), message)
    base = kurfile.path.parent
    split = given.get("split", "characters")
    given["vocab"] = list(
        load_vocabulary(vocabulary, split, base, (), given.get("unknown")).symbols
    )
    make = SUPPLIERS[_SPEECH]
    manifest = folder / "files.jsonl"
    # Suppliers want a transcript; any symbol of the vocabulary does, and nobody looks at it.
    some = given["vocab"][0]
    field = given.get("transcript", "text")
    lines = [{"audio": str(one.absolute()), "duration": _length(one), field: some} for one in files]
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    provided = {"base": base, "trained": None}
    value = {**given, "path": str(manifest)}
    return make(**bind(make, value, what=f"the supplier {_SPEECH}", provided=provided))


def _length(file: Path) -> float:
    """Seconds of sound in a file, as it says; KurError if there is none."""
    try:
        with av.open(str(file)) as container:
            if container.streams.audio:
                return float(max(0.001, (container.duration or av.time_base) / av.time_base))
    except (av.error.FFmpegError, OSError) as error:
        raise KurError(f"{file}: cannot be read as sound: {error.strerror}") from None
    raise KurError(f"{file}: has no sound in it")


def _without_place(message: str, folder: str) -> str:
    """A message less the line of the list of files."""
    return re.sub(rf"{re.escape(folder)}\S*:\d+: ", "", message)
