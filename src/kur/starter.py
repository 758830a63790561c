"""`kur init`: a commented Kurfile to start from, with data small enough that it trains at once.

The Kurfiles are the files in `starters/`; what is made here is their data. Knows nothing of
networks.
"""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kur.errors import KurError

TEXTS = Path(__file__).with_name("starters")
SETS = ("train", "validate", "test")
_RATE = 16_000
_HERTZ = {"a": 400.0, "b": 800.0, "c": 1500.0, "d": 2700.0}
# A file's path inside the data's folder, and what is in it.
Made = Iterator[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Starter:
    """A kind of starter: how many samples each set has, and what makes the files of a set."""

    samples: tuple[int, int, int]
    make: Callable[[str, int, np.random.Generator], Made]


def init(path: Path, kind: str, *, force: bool = False) -> Path:
    """Write the starter of a kind to `path`, its data into the folder NAME-data beside it, and
    return that. KurError where one of them is there already, unless `force` overwrites them."""
    if path.suffix not in (".yml", ".yaml"):
        raise KurError(f"{path}: a starter is YAML; give a name that ends in .yml")
    folder = path.with_name(f"{path.stem}-data")
    for there in (path, folder):
        if there.exists() and not force:
            raise KurError(
                f"{there}: is there already; --force overwrites it, or give another name"
            )
    text = (TEXTS / f"{kind}.yml").read_text(encoding="utf-8")
    for word, name in (("DATA", folder.name), ("OUT", f"{path.stem}-out"), ("FILE", path.name)):
        # As a value it is a YAML text, whatever is in the name; elsewhere it stands in a comment.
        text = text.replace(f": {word}\n", f": {json.dumps(name, ensure_ascii=False)}\n")
        text = text.replace(word, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    starter, rng = STARTERS[kind], np.random.default_rng(1)
    for name, count in zip(SETS, starter.samples, strict=True):
        for inside, content in starter.make(name, count, rng):
            file = folder / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    path.write_text(text, encoding="utf-8")
    return folder


def _points(name: str, count: int, rng: np.random.Generator) -> Made:
    """Points of a plane, and in which of three rings around the middle each lies."""
    lines = []
    for ring in rng.integers(3, size=count).tolist():
        radius, angle = ring + rng.uniform(0.1, 0.9), rng.uniform(0, 2 * np.pi)
        point = [round(radius * np.cos(angle), 3), round(radius * np.sin(angle), 3)]
        lines.append({"point": point, "ring": ring})
    yield f"{name}.jsonl", _json_lines(lines)


def _pictures(name: str, count: int, rng: np.random.Generator) -> Made:
    """Discs, squares and crosses of any size at any place, grey with noise, as PGM."""
    rows, columns = np.mgrid[:24, :24]
    for i in range(count):
        radius, (y, x) = rng.uniform(4, 8), rng.uniform(9, 15, size=2)
        down, right = abs(rows - y), abs(columns - x)
        within = (down < radius) & (right < radius)
        shapes = {
            "disc": down**2 + right**2 < radius**2,
            "square": within & ((down > radius - 2) | (right > radius - 2)),
            "cross": within & ((down < 1.5) | (right < 1.5)),
        }
        kind = sorted(shapes)[i % 3]
        picture = rng.integers(80, size=(24, 24)) + 150 * shapes[kind]
        yield f"{name}/{kind}/{i}.pgm", b"P5 24 24 255\n" + picture.astype(np.uint8).tobytes()


def _tones(name: str, count: int, rng: np.random.Generator) -> Made:
    """Words of four letters, each a tone of its own, with gaps and a little noise, as WAV."""
    lines = []
    for i in range(count):
        word = "".join(rng.choice(list(_HERTZ), size=rng.integers(2, 6)).tolist())
        gap = np.zeros(_RATE // 20)
        pieces = [gap]
        for letter in word:
            time = np.arange(round(0.12 * rng.uniform(0.8, 1.2) * _RATE)) / _RATE
            tone = 0.4 * np.sin(2 * np.pi * _HERTZ[letter] * time) * np.hanning(len(time)) ** 0.2
            pieces += [tone, gap]
        sound = np.concatenate(pieces)
        sound += rng.normal(scale=0.002, size=len(sound))
        audio = f"audio/{name}{i}.wav"
        yield audio, _wav(sound)
        lines.append({"audio": audio, "duration": round(len(sound) / _RATE, 3), "text": word})
    yield f"{name}.jsonl", _json_lines(lines)


def _json_lines(rows: list[dict[str, object]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def _wav(sound: NDArray[np.float64]) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as out:
        out.setparams((1, 2, _RATE, len(sound), "NONE", ""))
        out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


STARTERS = {
    "points": Starter((300, 60, 60), _points),
    "images": Starter((300, 60, 60), _pictures),
    "speech": Starter((80, 16, 16), _tones),
}
