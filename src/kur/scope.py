"""Sections whose strings may refer to each other, in any order: each is worked out when asked for.

Inside `settings` (and inside any section, by its own name) a template sees values, not the text
that they are written as; a value that needs itself is an error that shows the way round. It knows
nothing of Jinja2 or files: the caller says how one string is evaluated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kur.errors import KurfileError
from kur.marks import Mark, MarkedDict, MarkedList, mark_of

Path = tuple[object, ...]
# (text, where it stands, path) -> (its value, the text just before it became that value)
EvaluateText = Callable[[str, Mark, Path], tuple[Any, str]]
# Told of a text at a path that cannot be evaluated: raises the error, or notes it.
Report = Callable[[KurfileError, Path], None]


class _Written:
    """A number that was written as a text: printed, compared and joined as that text.

    The Kur of 2017 saw the texts themselves here: `{{ version + "-x" }}` and `version == "1.10"`
    worked, `{{ rate * 2 }}` did not. With this both do.
    """

    text: str

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return repr(self.text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.text, name) if name[0] != "_" else super().__getattribute__(name)

    def __add__(self, other: Any) -> Any:
        return self.text + other if isinstance(other, str) else super().__add__(other)  # type: ignore[misc]

    def __radd__(self, other: Any) -> Any:
        return other + self.text if isinstance(other, str) else super().__radd__(other)  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return self.text == other if isinstance(other, str) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __len__(self) -> int:
        return len(self.text)

    def __contains__(self, part: str) -> bool:
        return part in self.text

    def __getitem__(self, at: Any) -> str:
        return self.text[at]


class WrittenInt(_Written, int):
    """A whole number that a template prints as it was written."""

    __hash__ = int.__hash__


class WrittenFloat(_Written, float):
    """A number that a template prints as it was written: `1.10` stays `1.10` inside a path."""

    __hash__ = float.__hash__


class LazySection:
    """One section while it is being evaluated: raw data in, values out, each string once."""

    def __init__(self, name: str, raw: Any, evaluate: EvaluateText, report: Report) -> None:
        """`report` is told of texts that cannot be evaluated; where it returns they stay texts."""
        self.name = name
        self._raw = raw
        self._evaluate = evaluate
        self._report = report
        self._known: dict[Path, tuple[Any, str]] = {}
        self._active: list[Path] = []

    def view(self) -> Any:
        """The section as templates see it: nothing is worked out before it is asked for."""
        return self._seen((self.name,), self._raw, mark_of(self._raw))

    def seen(self, key: object) -> Any:
        """One value of the section (a dictionary), as templates see it."""
        return self._seen((self.name, key), self._raw[key], self._raw.at(key))

    def evaluated(self) -> Any:
        """The whole section, worked out, with its marks."""
        return self._value((self.name,), self._raw, mark_of(self._raw))

    def _text(self, path: Path, text: str, mark: Mark) -> tuple[Any, str]:
        if path in self._known:
            return self._known[path]
        if path in self._active:
            way = [*self._active[self._active.index(path) :], path]
            chain = " -> ".join(".".join(map(str, step)) for step in way)
            raise mark.error(f"needs its own value: {chain}", path)
        self._active.append(path)
        try:
            value, written = self._evaluate(text, mark, path)
        finally:
            self._active.pop()
        self._known[path] = value, written
        return value, written

    def _seen(self, path: Path, raw: Any, mark: Mark) -> Any:
        if isinstance(raw, MarkedDict):
            return LazyDict(self, path, raw)
        if isinstance(raw, MarkedList):
            return LazyList(self, path, raw)
        if not isinstance(raw, str):
            return raw
        value, written = self._text(path, raw, mark)
        return _as_written(value, written)

    def _value(self, path: Path, raw: Any, mark: Mark) -> Any:
        if isinstance(raw, MarkedDict):
            values = {key: self._value((*path, key), raw[key], raw.at(key)) for key in raw}
            return MarkedDict(values, raw.mark, raw.marks)
        if isinstance(raw, MarkedList):
            items = [self._value((*path, i), item, raw.at(i)) for i, item in enumerate(raw)]
            return MarkedList(items, raw.mark, raw.marks)
        if not isinstance(raw, str):
            return raw
        try:
            return self._text(path, raw, mark)[0]
        except KurfileError as error:
            self._report(error, path)
            return raw


class LazyDict(dict[Any, Any]):
    """A dictionary of a section being evaluated; keys are at hand, values are worked out."""

    def __init__(self, section: LazySection, path: Path, raw: MarkedDict) -> None:
        super().__init__(raw)
        self.__section = section
        self.__path = path
        self.__raw = raw

    def __getitem__(self, key: Any) -> Any:
        if key not in self.__raw:
            raise KeyError(key)
        return self.__section._seen((*self.__path, key), self.__raw[key], self.__raw.at(key))

    # Overridden so that dict(self) and {**self} ask for the values one by one.
    def __iter__(self) -> Iterator[Any]:
        return super().__iter__()

    def get(self, key: Any, default: Any = None) -> Any:
        return self[key] if key in self.__raw else default

    def values(self) -> Any:
        return self.copy().values()

    def items(self) -> Any:
        return self.copy().items()

    def copy(self) -> dict[Any, Any]:
        return {key: self[key] for key in self.__raw}

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        return self.copy() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


class LazyList(list[Any]):
    """A list of a section being evaluated; its length is at hand, items are worked out."""

    def __init__(self, section: LazySection, path: Path, raw: MarkedList) -> None:
        super().__init__(raw)
        self.__section = section
        self.__path = path
        self.__raw = raw

    def _item(self, index: int) -> Any:
        return self.__section._seen((*self.__path, index), self.__raw[index], self.__raw.at(index))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.copy()[index]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self._item(index % len(self))

    def __iter__(self) -> Iterator[Any]:
        return (self._item(i) for i in range(len(self.__raw)))

    def __reversed__(self) -> Iterator[Any]:
        return iter(self.copy()[::-1])

    def copy(self) -> list[Any]:
        return list(iter(self))

    def __contains__(self, value: object) -> bool:
        return value in self.copy()

    def __add__(self, other: Any) -> list[Any]:
        joined: list[Any] = self.copy() + other
        return joined

    def __radd__(self, other: Any) -> list[Any]:
        joined: list[Any] = other + self.copy()
        return joined

    def __mul__(self, times: Any) -> list[Any]:
        copy: list[Any] = self.copy() * times
        return copy

    __rmul__ = __mul__

    def index(self, value: Any, *limits: Any) -> int:
        return self.copy().index(value, *limits)

    def count(self, value: Any) -> int:
        return self.copy().count(value)

    def __repr__(self) -> str:
        return repr(self.copy())

    def __eq__(self, other: object) -> bool:
        return self.copy() == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


def _as_written(value: Any, text: str) -> Any:
    """A number that remembers its text; any other value as it is."""
    number: WrittenInt | WrittenFloat
    if type(value) is int:
        number = WrittenInt(value)
    elif type(value) is float:
        number = WrittenFloat(value)
    else:
        return value
    number.text = text
    return number
