"""JSON text -> marked data, or one line that says what is wrong with the text.

Values mean what JSON says, not what YAML would make of them. It knows nothing of Kurfiles.
"""

from __future__ import annotations

import bisect
import json
import re
from typing import Any

from kur.marks import Mark, MarkedDict, MarkedList

_MAX_DEPTH = 100
_SPACE = re.compile(r"[ \t\n\r]*")


def load(text: str, file: str) -> Any:
    """The value of `text` as marked data; `file` is only for the marks and messages.

    Raises KurfileError with the line for anything that is not JSON, or for a key written twice.
    """
    return _Parser(text, file).document()


class _Parser:
    """Walks objects and arrays itself, for the marks; the standard decoder reads the rest."""

    def __init__(self, text: str, file: str) -> None:
        self._text = text
        self._file = file
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._decoder = json.JSONDecoder()

    def document(self) -> Any:
        value, end = self._value(self._skip(0), 0)
        end = self._skip(end)
        if end != len(self._text):
            raise self._wrong(end, "more text follows the end of the document")
        return value

    def _mark(self, position: int) -> Mark:
        return Mark(self._file, bisect.bisect_left(self._ends, position) + 1)

    def _wrong(self, position: int, message: str) -> Exception:
        return self._mark(min(position, len(self._text))).error(f"not JSON: {message}")

    def _skip(self, position: int) -> int:
        found = _SPACE.match(self._text, position)
        return found.end() if found else position

    def _value(self, start: int, depth: int) -> tuple[Any, int]:
        if depth > _MAX_DEPTH:
            raise self._wrong(start, f"nested more than {_MAX_DEPTH} deep")
        opening = self._text[start : start + 1]
        if opening == "{":
            return self._object(start, depth + 1)
        if opening == "[":
            return self._array(start, depth + 1)
        try:
            return self._decoder.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            message = error.msg[0].lower() + error.msg[1:]
            raise self._wrong(error.pos, message) from None
        except ValueError as error:
            raise self._wrong(start, str(error)) from None

    def _object(self, start: int, depth: int) -> tuple[MarkedDict, int]:
        result = MarkedDict({}, self._mark(start))
        at = self._skip(start + 1)
        if self._text[at : at + 1] == "}":
            return result, at + 1
        while True:
            if self._text[at : at + 1] != '"':
                raise self._wrong(at, "expected a key in double quotes")
            key, end = self._value(at, depth)
            if key in result:
                message = f"{key!r} is written twice; it already stands on line "
                raise self._mark(at).error(message + str(result.at(key).line))
            result.marks[key] = self._mark(at)
            end = self._skip(end)
            if self._text[end : end + 1] != ":":
                raise self._wrong(end, f"expected ':' after the key {key!r}")
            result[key], at = self._value(self._skip(end + 1), depth)
            at, closed = self._next(at, "}")
            if closed:
                return result, at

    def _array(self, start: int, depth: int) -> tuple[MarkedList, int]:
        items: list[Any] = []
        marks: list[Mark] = []
        at = self._skip(start + 1)
        if self._text[at : at + 1] == "]":
            return MarkedList(items, self._mark(start), marks), at + 1
        while True:
            marks.append(self._mark(at))
            item, at = self._value(at, depth)
            items.append(item)
            at, closed = self._next(at, "]")
            if closed:
                return MarkedList(items, self._mark(start), marks), at

    def _next(self, position: int, closing: str) -> tuple[int, bool]:
        """Past the comma to the next item, or past `closing`: (position, whether closed)."""
        at = self._skip(position)
        sign = self._text[at : at + 1]
        if sign == closing:
            return at + 1, True
        if sign != ",":
            raise self._wrong(at, f"expected ',' or '{closing}'")
        return self._skip(at + 1), False
