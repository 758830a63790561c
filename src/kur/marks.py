"""Plain data that remembers where it was written: file and line of every key and item.

It knows nothing of YAML, JSON or Kurfiles.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kur.errors import KurfileError


@dataclass(frozen=True)
class Mark:
    """A place in a file; lines count from one, and line 0 means that the place has no lines."""

    file: str
    line: int

    def error(self, message: str, path: Iterable[object] = ()) -> KurfileError:
        """An error about this place, to be raised by the caller."""
        return KurfileError(message, file=self.file, line=self.line, path=path)


NOWHERE = Mark("", 0)


class MarkedDict(dict[Any, Any]):
    """A dictionary with the place where it begins and the place of every key."""

    mark: Mark
    marks: dict[Hashable, Mark]

    def __init__(
        self,
        values: Mapping[Any, Any] | None = None,
        mark: Mark = NOWHERE,
        marks: Mapping[Hashable, Mark] | None = None,
    ) -> None:
        super().__init__(values or {})
        self.mark = mark
        self.marks = dict(marks or {})

    def at(self, key: object) -> Mark:
        """Where `key` stands; where the dictionary begins if the key has no place of its own."""
        return self.marks.get(key, self.mark)

    def copy(self) -> MarkedDict:
        """A shallow copy, marks included."""
        return MarkedDict(self, self.mark, self.marks)


class MarkedList(list[Any]):
    """A list with the place where it begins and the place of every item."""

    mark: Mark
    marks: list[Mark]

    def __init__(
        self,
        values: Iterable[Any] = (),
        mark: Mark = NOWHERE,
        marks: Iterable[Mark] | None = None,
    ) -> None:
        super().__init__(values)
        self.mark = mark
        self.marks = [mark] * len(self) if marks is None else list(marks)

    def at(self, index: object) -> Mark:
        """Where item `index` stands; where the list begins if that is not known."""
        if isinstance(index, int) and -len(self.marks) <= index < len(self.marks):
            return self.marks[index]
        return self.mark

    def copy(self) -> MarkedList:
        """A shallow copy, marks included."""
        return MarkedList(self, self.mark, self.marks)


def mark_of(value: object, default: Mark = NOWHERE) -> Mark:
    """Where `value` begins, if it is marked data."""
    return value.mark if isinstance(value, MarkedDict | MarkedList) else default


def mark_at(root: object, path: Iterable[object]) -> Mark:
    """The place nearest to `path` inside `root`: as deep as the marks go."""
    mark = mark_of(root)
    value = root
    for step in path:
        if not isinstance(value, MarkedDict | MarkedList):
            break
        mark = value.at(step)
        if isinstance(value, MarkedDict):
            value = value.get(step)
        else:
            value = value[step] if isinstance(step, int) and step < len(value) else None
    return mark


def marked(value: object, mark: Mark) -> Any:
    """`value` with every plain dictionary and list in it marked with the one place `mark`."""
    if isinstance(value, MarkedDict | MarkedList):
        return value
    if isinstance(value, dict):
        inner = {key: marked(item, mark) for key, item in value.items()}
        return MarkedDict(inner, mark, dict.fromkeys(inner, mark))
    if isinstance(value, list):
        return MarkedList((marked(item, mark) for item in value), mark)
    return value


def expanded_size(value: object, sizes: dict[int, int] | None = None) -> int:
    """How many values `value` holds once everything that is shared in it is written out."""
    sizes = {} if sizes is None else sizes
    if not isinstance(value, dict | list | tuple):
        return 1
    if id(value) not in sizes:
        items = value.values() if isinstance(value, dict) else value
        sizes[id(value)] = 1 + sum(expanded_size(item, sizes) for item in items)
    return sizes[id(value)]
