"""The network that listens: PCM -> activations, by ONNX Runtime.

A network is a folder: `network.onnx`, and `network.json` with what the file says of itself (see
`kur.export`), so that a search can know units and fingerprint without loading ONNX Runtime. Knows
nothing of files of sound, libraries or search.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot.errors import NetworkError
from earshot.features import Input, Pcm, input_from_metadata, windows

FORMAT = 2
"""The newest form of network.json; 1 knows only networks that `kur` exported."""

SHIPPED = Path(__file__).parent / "networks" / "english"
USUAL_HEAD = "phones"
WINDOW_SECONDS = 60.0
ATTENDING_WINDOW_SECONDS, ATTENDING_CONTEXT_SECONDS = 20.0, 4.0
"""What a network hears at once that attends to everything (attention, recurrence both ways): as
much as the utterances it learned from, and something around."""
Activations = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A folder with a network; ONNX Runtime is loaded when it first listens.

    `units` are the symbols of an activation, `blank` the number of the one that stands for nothing
    new, `frame_seconds` the length of an activation frame, `fingerprint` says which network it is.
    `described` is all that network.json says.
    """

    folder: Path
    head: str
    units: tuple[str, ...]
    blank: int
    frame_seconds: float
    fingerprint: str
    sample_rate: int
    input: str
    frame_multiple: int
    context_seconds: float
    features: Input
    window_seconds: float = WINDOW_SECONDS
    described: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path | str = SHIPPED, head: str | None = None) -> Network:
        """Read what a folder says of its network; NetworkError where it cannot be used.

        `head` names the output to listen to: by default `phones`, or the only one with units.
        """
        folder = Path(folder)
        metadata = read_description(folder)
        path = folder / "network.json"
        try:
            described = metadata["heads"][head or usual_head(metadata)]
            attends = metadata["context_seconds"] is None
            context = ATTENDING_CONTEXT_SECONDS if attends else metadata["context_seconds"]
            usual = ATTENDING_WINDOW_SECONDS if attends else WINDOW_SECONDS
            return cls(
                folder=folder,
                head=described["output"],
                units=tuple(described["units"]),
                blank=int(described["blank"]),
                frame_seconds=float(described["frame_seconds"]),
                fingerprint=str(metadata["fingerprint"]),
                sample_rate=int(metadata["sample_rate"]),
                input=str(metadata["input"]),
                frame_multiple=int(metadata["frame_multiple"]),
                context_seconds=float(context),
                features=input_from_metadata(metadata["features"]),
                window_seconds=float(metadata.get("window_seconds", usual)),
                described=metadata,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{path}: not a network that can be searched with: {error!r}"
            ) from None

    @property
    def look_seconds(self) -> float:
        """How far a frame of activations looks to each side of itself."""
        return self.context_seconds + self.features.look_seconds()

    def listen(self, blocks: Iterable[Pcm]) -> Iterator[Activations]:
        """Log-posteriors of the units, float32 (frames, units), for mono PCM at `sample_rate`.

        Memory is bounded by a window, and the result is the same however the PCM is cut to blocks.
        """
        for window in windows(
            blocks,
            self.features,
            sample_rate=self.sample_rate,
            context_seconds=self.context_seconds,
            multiple=self.frame_multiple,
            window_seconds=self.window_seconds,
        ):
            [scores] = self._session.run([self.head], {self.input: window.frames[None]})
            first = window.before // self.frame_multiple
            count = -(-window.count // self.frame_multiple)
            yield scores[0, first : first + count]

    @cached_property
    def _session(self) -> Any:
        # Imported here because a search opens a Network to know its units, and must start fast.
        import onnxruntime

        options = onnxruntime.SessionOptions()
        # Threads that spin while they wait slow down the decoder beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        path = self.folder / "network.onnx"
        try:
            return onnxruntime.InferenceSession(
                str(path), options, providers=onnxruntime.get_available_providers()
            )
        except Exception as error:  # ONNX Runtime's errors share no root but Exception
            reason = str(error).strip().splitlines()[0]
            raise NetworkError(f"{path}: cannot be loaded: {reason}") from None


def read_description(folder: Path) -> dict[str, Any]:
    """What network.json in `folder` says, of a format that is known; raises NetworkError."""
    path = folder / "network.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NetworkError(f"{folder}: no network here (network.json is missing)") from None
    except (OSError, ValueError, RecursionError) as error:
        raise NetworkError(f"{path}: cannot be read: {error}") from None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("format"), int):
        raise NetworkError(f"{path}: not the description of a network")
    if metadata["format"] > FORMAT:
        raise NetworkError(
            f"{path}: format {metadata['format']} is newer than this Earshot knows ({FORMAT}); "
            f"upgrade it: pip install --upgrade earshot"
        )
    return metadata


def usual_head(metadata: Mapping[str, Any]) -> str:
    """The output that is searched: `phones`, or the only one with units; else KeyError."""
    heads = metadata["heads"]
    named = [name for name, head in heads.items() if isinstance(head, dict) and "units" in head]
    return named[0] if USUAL_HEAD not in heads and len(named) == 1 else USUAL_HEAD
