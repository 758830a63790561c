"""What the network heard of a recording, as a picture: its units over time, mentions marked.

From above: the waveform, the units of the query at their times, the probability of each unit in
each frame with the query's alignment laid over it. This module knows what a recording, its
activations and mentions are, and nothing of how pictures are written.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from earshot.picture import Box, Label, Line, Picture, Pixels, Raster
from earshot.types import Heard, Mention, Span, Step

WIDTH = 1400
COLUMNS = 1240
"""Columns at most: of more frames, those that share a column show their highest probability."""

_LEFT, _RIGHT, _TOP = 64, 24, 58
_WAVE, _STRIP, _ROW, _AXIS, _OVERVIEW = 84, 34, 14, 34, 44
_INK, _GREY, _PAPER, _ACCENT, _WAVES = "#1d2433", "#8a8f9c", "#ffffff", "#d4264c", "#5b7aa6"
# From paper to ink.
_SCALE = (
    (0.0, (250, 249, 246)),
    (0.25, (246, 222, 165)),
    (0.6, (226, 140, 66)),
    (1.0, (58, 28, 74)),
)

# Phones of English by how they are made, vowels first; other units keep the network's order.
_ORDER = tuple(
    unit
    for kind in (
        "IY IH EY EH AE AA AO AH UH UW OW ER AY AW OY",
        "Y W R L M N NG",
        "HH S Z SH ZH F V TH DH CH JH",
        "P B T D K G",
    )
    for unit in kind.split()
)

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What is to be drawn.

    posteriors: probabilities (frames, units) of the whole recording's channel; span: the part that
    is drawn large; wave: lowest and highest sample by column of that part, or None; about: a line
    on what this is.
    """

    title: str
    about: str
    units: Sequence[str]
    blank: int
    frame_seconds: float
    posteriors: Floats
    span: Span
    mentions: Sequence[Mention] = ()
    wave: Floats | None = None

    @property
    def width(self) -> float:
        """Of what is drawn by time, in pixels."""
        return WIDTH - _LEFT - _RIGHT

    def x(self, seconds: float) -> float:
        """Where a time of the span lies."""
        return _LEFT + (seconds - self.span.start) / self.span.duration * self.width


def drawn(scene: Scene) -> Picture:
    """The picture of a scene."""
    order = rows(scene.units, scene.blank)
    whole = len(scene.posteriors) * scene.frame_seconds
    items: list[Box | Line | Label | Raster] = [
        Label(_LEFT, 26, scene.title, 17, _INK, bold=True),
        Label(_LEFT, 44, scene.about, 11, _GREY),
    ]
    y = float(_TOP)
    if scene.span.duration < whole - 1:
        items += _overview(scene, y, whole)
        y += _OVERVIEW + 12
    above = y
    y += _STRIP
    if scene.wave is not None:
        items += _waveform(scene, y)
        y += _WAVE + 6
    height = _ROW * len(order)
    items += _activations(scene, order, y)
    for mention in scene.mentions:
        items += _mention(scene, mention, above, y, order)
    y += height
    items += _axis(scene, y)
    size = int(y + _AXIS)
    return Picture(WIDTH, size, (Box(0, 0, WIDTH, size, _PAPER), *items))


def rows(units: Sequence[str], blank: int) -> list[int]:
    """The units from above, without the blank."""
    named = [at for at in range(len(units)) if at != blank]
    if not {units[at] for at in named} <= set(_ORDER):
        return named
    return sorted(named, key=lambda at: _ORDER.index(units[at]))


def pooled(values: Floats, most: int) -> Floats:
    """(columns, ...): the highest of those that share one of at most so many columns."""
    if len(values) <= most:
        return values
    starts = np.linspace(0, len(values), most, endpoint=False).astype(int)
    found: Floats = np.maximum.reduceat(values, starts, axis=0)
    return found


def coloured(values: Floats) -> Pixels:
    """Values from 0 to 1 as colours, (..., 3)."""
    at = [place for place, _ in _SCALE]
    parts = [np.interp(values, at, [colour[i] for _, colour in _SCALE]) for i in range(3)]
    found: Pixels = np.stack(parts, axis=-1).astype(np.uint8)
    return found


def _activations(scene: Scene, order: Sequence[int], y: float) -> Iterator[Box | Label | Raster]:
    first = round(scene.span.start / scene.frame_seconds)
    last = max(round(scene.span.end / scene.frame_seconds), first + 1)
    shown = pooled(scene.posteriors[first:last][:, order], COLUMNS)
    height = _ROW * len(order)
    yield Raster(_LEFT, y, scene.width, height, coloured(shown.T**0.7))
    yield Box(_LEFT, y, scene.width, height, stroke="#d9d6cf", line=1)
    for row, unit in enumerate(order):
        yield Label(_LEFT - 8, y + row * _ROW + 11, scene.units[unit], 10.5, _INK, "end")


def _waveform(scene: Scene, y: float) -> Iterator[Box | Line]:
    if scene.wave is None or not len(scene.wave):
        return
    loudest = max(float(np.abs(scene.wave).max()), 1e-4)
    step = scene.width / len(scene.wave)
    middle = y + _WAVE / 2
    yield Line(((_LEFT, middle), (_LEFT + scene.width, middle)), "#d9d6cf")
    for at, (low, high) in enumerate((scene.wave / loudest * (_WAVE / 2 - 2)).tolist()):
        yield Box(_LEFT + at * step, middle - high, step, max(high - low, 0.6), _WAVES)


def _overview(scene: Scene, y: float, whole: float) -> Iterator[Box | Line | Label]:
    """The whole recording: how much is said when, the mentions, and what is drawn below."""
    speech = pooled(1 - scene.posteriors[:, scene.blank], COLUMNS // 4)
    step = scene.width / len(speech)
    base = y + _OVERVIEW - 14
    for at, much in enumerate(speech.tolist()):
        yield Box(_LEFT + at * step, base - much * 24, step * 0.8, much * 24, "#cfd6e2")
    place = scene.width / whole
    start, end = scene.span.start * place, scene.span.end * place
    yield Box(_LEFT + start, base - 28, max(end - start, 2), 30, stroke=_INK, line=1.2)
    for mention in scene.mentions:
        x = _LEFT + (mention.start + mention.end) / 2 * place
        yield Line(((x, base - 26), (x, base)), _ACCENT, 1.6)
    yield Label(_LEFT, base + 12, "0:00", 9.5, _GREY)
    yield Label(_LEFT + scene.width, base + 12, _clock(whole), 9.5, _GREY, "end")


def _mention(
    scene: Scene, mention: Mention, above: float, y: float, order: Sequence[int]
) -> Iterator[Box | Line | Label]:
    """A mention: a band, its name and confidence, and the path of its alignment."""
    for one in mention.heard:
        start, end = max(one.start, scene.span.start), min(one.end, scene.span.end)
        if start >= end:
            continue
        left, right = scene.x(start), scene.x(end)
        bottom = y + _ROW * len(order)
        yield Box(left, above + 16, right - left, bottom - above - 16, _ACCENT, 0.07)
        yield Line(((left, above + 16), (right, above + 16)), _ACCENT, 2)
        name = f"{one.phrase}  {one.confidence:.0%}"
        yield Label(left, above + 11, name, 11.5, _ACCENT, bold=True)
        yield from _alignment(scene, one, above, y, order)


def _alignment(
    scene: Scene, one: Heard, above: float, y: float, order: Sequence[int]
) -> Iterator[Box | Line | Label]:
    """Each unit sought, boxed where it was heard, and a line through them."""
    steps = [step for step in one.why.steps if step.sought] if one.why else []
    places = {scene.units[unit]: y + row * _ROW for row, unit in enumerate(order)}
    seen = [s for s in steps if scene.span.start <= s.start and s.end <= scene.span.end]

    def middle(step: Step) -> tuple[float, float]:
        return scene.x((step.start + step.end) / 2), places[step.sought] + _ROW / 2

    frame = scene.width / scene.span.duration * scene.frame_seconds
    for before, after in pairwise(seen):
        yield Line((middle(before), middle(after)), _ACCENT, 1.2, 0.75)
    written = -1e9
    for step in seen:
        x, top = scene.x(step.start), places[step.sought]
        if step.kind == "missing":
            yield Line(((x - 3, top + 3), (x + 3, top + _ROW - 3)), _ACCENT, 1.6)
            yield Line(((x - 3, top + _ROW - 3), (x + 3, top + 3)), _ACCENT, 1.6)
        else:
            width = max(scene.x(step.end) - x, frame)
            yield Box(x, top, width, _ROW, stroke=_ACCENT, line=1.6)
        if middle(step)[0] - written > 9 * max(len(step.sought), 1) + 3:
            written = middle(step)[0]
            colour = _INK if step.kind == "heard" else _ACCENT
            yield Label(written, above + 30, step.sought, 10.5, colour, "middle")


def _axis(scene: Scene, y: float) -> Iterator[Line | Label]:
    step = next(
        (one for one in (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
         if scene.span.duration / one <= 14),
        scene.span.duration / 10,
    )  # fmt: skip
    tick = np.ceil(scene.span.start / step - 1e-6) * step
    while tick <= scene.span.end + 1e-6:
        x = scene.x(float(tick))
        yield Line(((x, y), (x, y + 5)), _GREY)
        digits = 1 if step < 1 else 0
        yield Label(x, y + 18, _clock(float(tick), digits), 10, _GREY, "middle")
        tick += step


def _clock(seconds: float, digits: int = 0) -> str:
    whole = int(seconds + 1e-6)
    rest = f"{seconds % 60:0{3 + digits if digits else 2}.{digits}f}"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
