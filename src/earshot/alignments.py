"""Why a mention is one, drawn for a person: the units sought over the units heard.

Columns of units, word after word, and below them what the confidence is made of. This module knows
nothing of how an alignment is found: values in, text out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from earshot.present import printable, shown_mentions
from earshot.types import Heard, SearchResult, Step

_INDENT = 5
_ROWS = ("sought", "heard", "sure %", "nats", "at")
_NAMES = max(map(len, _ROWS)) + 2
_STYLES = {"heard": "green", "faint": "yellow", "replaced": "yellow", "gap": "dim"}
_WORST = "red"  # of what was left out, or added
_LONG_GAP = 0.12  # seconds; a shorter gap that costs little goes without saying
_DEAR_GAP = 0.5  # nats
_LITTLE = 0.05  # of log-odds: what adds less is not worth a line
_LEGEND = (
    "sure: the ear's probability of what was sought; nats: what it costs, 0 where it was its best "
    "guess"
)


@dataclass(frozen=True, slots=True)
class _Column:
    """One step as it is drawn: a cell by row, and how."""

    cells: tuple[str, ...]
    style: str

    @property
    def width(self) -> int:
        return max(map(len, self.cells[:-1]))  # times reach over what follows


def print_why(terminal: Console, result: SearchResult, offset: int = 0) -> None:
    """Draw the alignments of the mentions that are shown, numbered as in their table."""
    unicode = terminal.encoding.lower().startswith("utf")
    drawn = False
    for number, mention in enumerate(shown_mentions(result), start=offset + 1):
        for one in mention.heard:
            if one.why is not None:
                terminal.print()
                for line in _drawn(number, one, unicode, terminal.width):
                    terminal.print(line, soft_wrap=True)
                drawn = True
    if drawn:
        terminal.print(Text(f"\n{_LEGEND}", style="dim"))


def _drawn(number: int, one: Heard, unicode: bool, width: int) -> Iterator[Text]:
    """The lines of one alignment and of its reasons."""
    why = one.why
    if why is None:
        return
    yield Text.assemble(
        f"{number:>3}  ",
        (printable(one.phrase), "bold"),
        f"  {_time(one.start)} to {_time(one.end)}",
        (f", {len(one.units)} units, {why.cost:.1f} nats in all", "dim"),
    )
    columns = list(_columns(why.steps, unicode))
    for part in _parts(columns, width - _INDENT - _NAMES):
        for row, name in enumerate(_ROWS):
            yield _line(row, name, part)
    yield Text(
        f"{'':{_INDENT}}confidence {one.confidence:.0%}, of log-odds {why.log_odds:+.1f}:",
    )
    yield Text(f"{'':{_INDENT}}{why.bias:+6.1f}  where every query starts", style="dim")
    for reason in sorted(why.reasons, key=lambda reason: -abs(reason.adds)):
        if abs(reason.adds) >= _LITTLE:
            text = f"{reason.adds:+6.1f}  {reason.meaning}: {reason.value:.2f}"
            yield Text(f"{'':{_INDENT}}{text}", style="dim")


def _columns(steps: Sequence[Step], unicode: bool) -> Iterator[_Column]:
    """The steps that are worth a column, words apart from each other."""
    nothing, gone = ("·", "–") if unicode else (".", "-")
    word = 0
    for step in steps:
        if step.kind == "gap" and step.end - step.start < _LONG_GAP and step.cost < _DEAR_GAP:
            continue
        if step.word != word:
            yield _Column(("", "", "", "", ""), "")
        heard = step.heard or (gone if step.kind == "missing" else nothing)
        sure = "" if step.kind == "missing" else f"{step.sure * 100:.0f}"
        cost = f"{step.cost:.1f}" if step.cost >= 0.05 else nothing
        begins = step.word != word or step is steps[0]
        at = _time(step.start) if begins else ""
        word = step.word
        style = _STYLES.get(step.kind, _WORST)
        yield _Column((step.sought or nothing, heard, sure, cost, at), style)


def _parts(columns: Sequence[_Column], room: int) -> Iterator[Sequence[_Column]]:
    """As many columns to a line as there is room for."""
    part: list[_Column] = []
    used = 0
    for column in columns:
        if part and used + column.width + 1 > room:
            yield part
            part, used = [], 0
        part.append(column)
        used += column.width + 1
    if part:
        yield part


def _line(row: int, name: str, part: Sequence[_Column]) -> Text:
    line = Text(f"{'':{_INDENT}}")
    line.append(f"{name:<{_NAMES}}", style="dim")
    for column in part:
        cell = column.cells[row]
        if row == len(_ROWS) - 1:  # a time takes the room of the columns after it
            before = _INDENT + _NAMES + sum(other.width + 1 for other in part[: part.index(column)])
            if cell and len(line) <= before:
                line.append(" " * (before - len(line)))
                line.append(cell, style="dim")
            continue
        style = column.style if row == 1 else "bold" if row == 0 else "dim"
        line.append(f"{cell:<{column.width}} ", style=style)
    line.rstrip()
    return line


def _time(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    rest = f"{seconds % 60:05.2f}"
    return f"{hours}:{minutes:02d}:{rest}" if hours else f"{minutes}:{rest}"
