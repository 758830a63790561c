"""Pronunciations of words that no dictionary holds, from their letters alone.

A small convolutional network, trained elsewhere with CTC, run here in plain numpy:

    letters -> embedding -> each letter repeated -> residual blocks -> log-probabilities of phones
    (letters,)  (letters, channels)  (frames, channels)               (frames, units)

followed by a prefix beam search that sums the probability of every alignment of a pronunciation.
It knows nothing of the dictionary, of numbers, or of how a query is put together.

File format (safetensors). Metadata key "letters" holds JSON: {"format": 1, "alphabet": "abc...",
"units": ["AA", ..., "<blank>"], "blank": 39, "repeat": 2, "blocks": 6, "margin": 2}. Tensors, all
float32 or float16, with `letters` = 1 + length of the alphabet (row 0 is the padding letter):

    embedding          (letters, channels)
    blocks.N.kernel    (width, channels, channels)   x + relu(convolution(x)), zero-padded at the
    blocks.N.bias      (channels,)                   edges; batch normalisation is folded in
    output.kernel      (channels, units)
    output.bias        (units,)

`margin` is how many padding letters follow a word, as they do in a training batch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot.errors import NetworkError

FORMAT = 1

# Prefixes kept at each frame, and how unlikely a unit may be at a frame to be tried at all.
BEAM = 16
LEAST_LOG_PROBABILITY = -9.0

Floats = NDArray[np.float32]
Phones = tuple[str, ...]

_NEVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Block:
    """One residual convolution: `kernel` (width, channels, channels), `bias` (channels,)."""

    kernel: Floats
    bias: Floats


@dataclass(frozen=True, slots=True)
class Heard:
    """One pronunciation of a word, with the log of its probability among all phone sequences."""

    phones: Phones
    log_probability: float


@dataclass(frozen=True, slots=True)
class Letters:
    """The letters network; open one with `Letters.open`."""

    alphabet: str
    units: tuple[str, ...]
    blank: int
    repeat: int
    margin: int
    embedding: Floats
    blocks: tuple[Block, ...]
    output_kernel: Floats
    output_bias: Floats

    @classmethod
    def open(cls, path: Path) -> Letters:
        """Reads the network at `path`; raises `NetworkError` if it is missing or damaged."""
        # Imported here because most queries hold no unknown word and never come this far.
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except FileNotFoundError:
            raise NetworkError(
                f"{path}: the letters network, which tells how words outside the dictionary are "
                "pronounced, is missing from the network's folder"
            ) from None
        except (SafetensorError, OSError) as error:
            raise NetworkError(f"{path}: the letters network cannot be read ({error})") from None
        return _assemble(path, _header(path, metadata), tensors)

    def log_probabilities(self, word: str) -> Floats:
        """Log-probabilities (frames, units) of a word; letters outside the alphabet are left out.

        There are `repeat` frames a letter.
        """
        indexes = [at + 1 for letter in word if (at := self.alphabet.find(letter)) >= 0]
        frames = len(indexes) * self.repeat
        padded = np.repeat(np.array(indexes + [0] * self.margin, dtype=np.intp), self.repeat)
        x = self.embedding[padded]
        for block in self.blocks:
            x = x + np.maximum(_convolve(x, block), 0)
        scores = x[:frames] @ self.output_kernel + self.output_bias
        scores -= scores.max(axis=1, keepdims=True, initial=-np.inf)
        log_sum = np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return np.asarray(scores - log_sum, dtype=np.float32)

    def pronunciations(self, word: str, limit: int = 3, beam: int = BEAM) -> list[Heard]:
        """The `limit` most probable pronunciations of a lower-case word, best first.

        Empty if the word has no letter of the alphabet.
        """
        found = prefix_beam_search(self.log_probabilities(word), self.blank, beam)
        named = (
            Heard(tuple(self.units[unit] for unit in units), log_probability)
            for units, log_probability in found
            if units
        )
        return [one for one, _ in zip(named, range(limit), strict=False)]


def prefix_beam_search(
    log_probabilities: Floats, blank: int, beam: int = BEAM, least: float = LEAST_LOG_PROBABILITY
) -> list[tuple[tuple[int, ...], float]]:
    """The most probable sequences of units under CTC, each with its log-probability, best first.

    `log_probabilities` is (frames, units). At most `beam` prefixes survive a frame; units below
    `least` at a frame are not tried there. After Hannun et al., "First-pass large vocabulary
    continuous speech recognition using bi-directional recurrent DNNs" (2014), without a language
    model. The sum is over all alignments that the beam kept, so it is a lower bound that is
    exact where nothing was dropped.
    """
    # prefix -> log-probabilities of its alignments that end (in a blank, in the prefix's last unit)
    prefixes: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, _NEVER)}
    for frame in log_probabilities.tolist():
        tried = [unit for unit, log_p in enumerate(frame) if log_p >= least and unit != blank]
        grown: dict[tuple[int, ...], tuple[float, float]] = {}
        for prefix, (in_blank, in_unit) in prefixes.items():
            either = _log_add(in_blank, in_unit)
            last = prefix[-1] if prefix else None
            stays_blank, stays_unit = grown.get(prefix, (_NEVER, _NEVER))
            stays_blank = _log_add(stays_blank, either + frame[blank])
            if last is not None:
                stays_unit = _log_add(stays_unit, in_unit + frame[last])
            grown[prefix] = (stays_blank, stays_unit)
            for unit in tried:
                # The same unit again is a new one only after a blank.
                before = in_blank if unit == last else either
                if before == _NEVER:
                    continue
                longer = (*prefix, unit)
                ends_blank, ends_unit = grown.get(longer, (_NEVER, _NEVER))
                grown[longer] = (ends_blank, _log_add(ends_unit, before + frame[unit]))
        best = sorted(grown.items(), key=lambda item: _log_add(*item[1]), reverse=True)
        prefixes = dict(best[:beam])
    return [(prefix, _log_add(*ends)) for prefix, ends in prefixes.items()]


def _log_add(a: float, b: float) -> float:
    """log(exp(a) + exp(b)), also where one of them or both are minus infinity."""
    low, high = (a, b) if a < b else (b, a)
    return high if low == _NEVER else high + math.log1p(math.exp(low - high))


def _convolve(x: Floats, block: Block) -> Floats:
    """A 1-D convolution of x (frames, channels) with zeros beyond the edges; same shape."""
    width = len(block.kernel)
    padded = np.pad(x, ((width // 2, (width - 1) // 2), (0, 0)))
    total = np.broadcast_to(block.bias, x.shape).copy()
    for at in range(width):
        total += padded[at : at + len(x)] @ block.kernel[at]
    return total


@dataclass(frozen=True, slots=True)
class _Header:
    """What the file says of its network, besides the weights."""

    alphabet: str
    units: tuple[str, ...]
    blank: int
    repeat: int
    blocks: int
    margin: int


def _header(path: Path, metadata: dict[str, str]) -> _Header:
    """The checked header; each complaint is a `NetworkError` that names the file."""
    try:
        header = json.loads(metadata["letters"])
        number = header["format"]
    except (KeyError, TypeError, ValueError):
        raise NetworkError(
            f"{path}: this is no letters network (its metadata has no 'letters' entry in JSON "
            "with a 'format')"
        ) from None
    if number != FORMAT:
        raise NetworkError(
            f"{path}: the letters network has format {number!r}, this version of Earshot reads "
            f"format {FORMAT}"
        )

    def value(key: str, wanted: str, fits: Callable[[Any], bool]) -> Any:
        found = header.get(key)
        if not fits(found):
            raise NetworkError(
                f"{path}: '{key}' of the letters network must be {wanted}, not {found!r}"
            )
        return found

    def whole(key: str, low: int, high: int) -> int:
        found = value(
            key,
            f"a whole number from {low} to {high}",
            lambda one: type(one) is int and low <= one <= high,
        )
        return int(found)

    units = value(
        "units",
        "a list of two or more different names",
        lambda one: (
            isinstance(one, list)
            and len(one) > 1
            and all(isinstance(name, str) for name in one)
            and len(set(one)) == len(one)
        ),
    )
    alphabet = value(
        "alphabet",
        "a string of different letters",
        lambda one: isinstance(one, str) and one != "" and len(set(one)) == len(one),
    )
    return _Header(
        alphabet=alphabet,
        units=tuple(units),
        blank=whole("blank", 0, len(units) - 1),
        repeat=whole("repeat", 1, 16),
        blocks=whole("blocks", 1, 100),
        margin=whole("margin", 0, 100),
    )


def _assemble(path: Path, header: _Header, tensors: dict[str, Floats]) -> Letters:
    """The network out of what the file holds, each tensor checked."""
    letters, units = 1 + len(header.alphabet), len(header.units)
    embedding = tensors.get("embedding")
    channels = embedding.shape[-1] if embedding is not None and embedding.ndim == 2 else None

    def tensor(name: str, *shape: int | None) -> Floats:
        wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
        found = tensors.get(name)
        if found is None:
            raise NetworkError(f"{path}: the letters network lacks its tensor '{name}' {wanted}")
        fits = len(found.shape) == len(shape) and all(
            size in (None, actual) for size, actual in zip(shape, found.shape, strict=True)
        )
        if not fits or found.size == 0:
            raise NetworkError(
                f"{path}: tensor '{name}' of the letters network is {found.shape}, not {wanted}"
            )
        values = np.asarray(found, dtype=np.float32)
        if not np.isfinite(values).all():
            raise NetworkError(
                f"{path}: tensor '{name}' of the letters network holds values that are no numbers"
            )
        return values

    return Letters(
        alphabet=header.alphabet,
        units=header.units,
        blank=header.blank,
        repeat=header.repeat,
        margin=header.margin,
        embedding=tensor("embedding", letters, channels),
        blocks=tuple(
            Block(
                tensor(f"blocks.{at}.kernel", None, channels, channels),
                tensor(f"blocks.{at}.bias", channels),
            )
            for at in range(header.blocks)
        ),
        output_kernel=tensor("output.kernel", channels, units),
        output_bias=tensor("output.bias", units),
    )
