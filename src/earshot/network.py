"""The network that listens: PCM -> activations, by ONNX Runtime.

A network is a folder: `network.onnx`, and `network.json` with what the file says of itself (see
`kur.export`), so that a search can know units and fingerprint without loading ONNX Runtime. Knows
nothing of files of sound, libraries or search.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot.errors import NetworkError
from earshot.features import Pcm, windows
from kur.features import FbankOptions

FORMAT = 1
SHIPPED = Path(__file__).parent / "networks" / "english"
Activations = NDArray[np.float32]


@dataclass(frozen=True)
class Network:
    """A folder with a network; ONNX Runtime is loaded when it first listens.

    `units` are the symbols of an activation, `blank` the number of the one that stands for nothing
    new, `frame_seconds` the length of an activation frame, `fingerprint` says which network it is.
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
    features: FbankOptions

    @classmethod
    def open(cls, folder: Path | str = SHIPPED, head: str = "phones") -> Network:
        """Read what a folder says of its network; NetworkError where it cannot be used."""
        folder = Path(folder)
        path = folder / "network.json"
        try:
            metadata: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise NetworkError(f"{folder}: no network here (network.json is missing)") from None
        except (OSError, ValueError) as error:
            raise NetworkError(f"{path}: cannot be read: {error}") from None
        if not isinstance(metadata, dict) or not isinstance(metadata.get("format"), int):
            raise NetworkError(f"{path}: not the description of a network")
        if metadata["format"] > FORMAT:
            raise NetworkError(
                f"{path}: format {metadata['format']} is newer than this Earshot knows ({FORMAT}); "
                f"upgrade it: pip install --upgrade earshot"
            )
        try:
            described = metadata["heads"][head]
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
                context_seconds=float(metadata["context_seconds"]),
                features=FbankOptions.from_metadata(metadata["features"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise NetworkError(
                f"{path}: not a network that can be searched with: {error!r}"
            ) from None

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
        ):
            frames = window.frames
            short = -len(frames) % self.frame_multiple
            if short:
                # Zeros are what the features' moving mean leaves of steady sound.
                frames = np.concatenate([frames, np.zeros((short, frames.shape[1]), np.float32)])
            [scores] = self._session.run([self.head], {self.input: frames[None]})
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
