"""The learning curve of a topic as a picture: accuracy by labelled recordings, and what more bring.

The curve goes on, dashed, as a power law through its points; beside it stand the baselines. This
module knows what a topic's report is, and nothing of how pictures are written.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from earshot.picture import Box, Label, Line, Picture
from earshot.topics.model import Topic
from earshot.topics.validation import Point

WIDTH, HEIGHT = 860, 460

_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 70, 60
_INK, _GREY, _RULE, _PAPER = "#1d2433", "#8a8f9c", "#e4e1da", "#ffffff"
_ACCENT, _BAND, _PLAIN = "#d4264c", "#d4264c", "#5b7aa6"
_EXPONENTS = np.linspace(0.1, 1.5, 57)


def expected(points: Sequence[Point], recordings: float) -> float | None:
    """Accuracy to be expected after so many recordings: `a - b * n ** -c` through the points.

    None where fewer than three points leave that open.
    """
    if len(points) < 3:
        return None
    count = np.array([one.recordings for one in points], np.float64)
    reached = np.array([one.accuracy for one in points])
    best: tuple[float, float] | None = None
    for exponent in _EXPONENTS.tolist():
        fallen = count**-exponent
        matrix = np.column_stack((np.ones(len(count)), -fallen))
        # The later points rest on more recordings.
        weight = np.sqrt(count)[:, np.newaxis]
        (top, drop), *_ = np.linalg.lstsq(matrix * weight, reached * weight[:, 0], rcond=None)
        top, drop = min(float(top), 1.0), max(float(drop), 0.0)
        error = float((((top - drop * fallen) - reached) ** 2 * count).sum())
        if best is None or error < best[0] - 1e-12:
            best = error, min(top - drop * recordings**-exponent, 1.0)
    return best[1] if best else None


def drawn(topic: Topic) -> Picture:
    """The picture of a topic's learning curve."""
    points = topic.report.curve
    last = len(topic.recordings)
    accuracy = topic.report.figures["accuracy"]
    ahead = [last, 2 * last]
    axis = _Axis(min([one.recordings for one in points] or [last // 2]), ahead[-1])
    lines = {name: one.value for name, one in topic.report.baselines.items()}
    lowest = min([accuracy.low, *(one.low for one in points), *lines.values()])
    axis.lowest = max(math.floor(lowest * 10 - 0.5) / 10, 0.0)
    items = [
        Box(0, 0, WIDTH, HEIGHT, _PAPER),
        Label(_LEFT, 30, f"{topic.name}: what labels bring", 17, _INK, bold=True),
        Label(_LEFT, 50, f"accuracy on recordings not learned from, {last} labelled", 11, _GREY),
        *_rulers(axis, sorted({*(one.recordings for one in points), *ahead})),
        *_baselines(axis, lines),
        *_measured(axis, points),
    ]
    here = (axis.x(last), axis.y(accuracy.value))
    items.append(Line(((here[0], axis.y(accuracy.low)), (here[0], axis.y(accuracy.high))), _INK, 2))
    items.append(Box(here[0] - 4, here[1] - 4, 8, 8, _INK))
    items.append(Label(here[0] + 8, here[1] - 8, f"{accuracy.value:.0%} now", 12, _INK, bold=True))
    more = expected(points, 2 * last)
    if more is not None:
        steps = np.geomspace(points[-1].recordings, 2 * last, 24).tolist()
        path = [(axis.x(one), axis.y(expected(points, one) or 0.0)) for one in steps]
        items += [Line(((x, y), (u, v)), _ACCENT, 1.5, 0.6)
                  for (x, y), (u, v) in zip(path[::2], path[1::2], strict=False)]  # fmt: skip
        text = f"about {more:.0%} with {2 * last}"
        items.append(Label(axis.x(2 * last) + 8, axis.y(more) + 4, text, 12, _ACCENT))
    return Picture(WIDTH, HEIGHT, tuple(items))


class _Axis:
    """Where numbers of recordings (on a logarithmic axis) and accuracies lie."""

    def __init__(self, first: float, last: float) -> None:
        self.first, self.last = max(first, 1), max(last, first + 1)
        self.lowest = 0.0

    def x(self, recordings: float) -> float:
        """Of a number of recordings."""
        share = math.log(max(recordings, 1) / self.first) / math.log(self.last / self.first)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, accuracy: float) -> float:
        """Of an accuracy."""
        share = (accuracy - self.lowest) / max(1 - self.lowest, 1e-9)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - _TOP)


def _rulers(axis: _Axis, counts: Sequence[int]) -> Iterator[Box | Line | Label]:
    for tenth in range(round(axis.lowest * 10), 11):
        y = axis.y(tenth / 10)
        yield Line(((_LEFT, y), (WIDTH - _RIGHT, y)), _RULE)
        yield Label(_LEFT - 8, y + 4, f"{tenth * 10} %", 10.5, _GREY, "end")
    written = -100.0
    for count in counts:
        if (x := axis.x(count)) - written >= 34:
            yield Label(x, HEIGHT - _BOTTOM + 18, str(count), 10.5, _GREY, "middle")
            written = x
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    yield Label(middle, HEIGHT - _BOTTOM + 40, "labelled recordings", 11, _INK, "middle")


def _baselines(axis: _Axis, lines: dict[str, float]) -> Iterator[Line | Label]:
    below = None
    for name, value in sorted(lines.items(), key=lambda one: -one[1]):
        y = axis.y(value)
        yield Line(((_LEFT, y), (WIDTH - _RIGHT, y)), _PLAIN, 1.5)
        at = y + 4 if below is None else max(y + 4, below + 14)
        below = at
        yield Label(WIDTH - _RIGHT + 8, at, f"{name} {value:.0%}", 11, _PLAIN)


def _measured(axis: _Axis, points: Sequence[Point]) -> Iterator[Box | Line | Label]:
    for one in points:
        x = axis.x(one.recordings)
        yield Line(((x, axis.y(one.low)), (x, axis.y(one.high))), _BAND, 5, 0.25)
    if len(points) > 1:
        path = tuple((axis.x(one.recordings), axis.y(one.accuracy)) for one in points)
        yield Line(path, _ACCENT, 2)
    for one in points:
        x, y = axis.x(one.recordings), axis.y(one.accuracy)
        yield Box(x - 3.5, y - 3.5, 7, 7, _ACCENT)
        yield Label(x, y - 10, f"{one.accuracy:.0%}", 11, _ACCENT, "middle")
