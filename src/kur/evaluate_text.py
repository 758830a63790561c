"""One string of a Kurfile -> its value: Jinja2, then a Python literal, until nothing changes.

Templates run in a sandbox: no attribute that begins with an underscore, no undefined names, no
expressions that blow up. It knows nothing of sections, files' lines or the order of evaluation;
names come from the caller, and what goes wrong is a TextError for the caller to place.
"""

from __future__ import annotations

import ast
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, cast

import jinja2
import jinja2.meta
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment

from kur.errors import KurError, listed, nearest
from kur.marks import MarkedDict, MarkedList

MAX_ROUNDS = 64
MAX_LENGTH = 4_000_000
MAX_TEMPLATE = 20_000
MAX_NESTING = 100
_MAX_BITS = 4096
_WIDE_FORMAT = re.compile(r"%[^a-zA-Z%]*(\d{5}|\*)")
# Literals that begin with a letter: None, True, False and prefixed strings. All other words, and
# whatever begins with a blank, are texts without a closer look.
_NOT_LITERAL = re.compile(r"[ \tac-qs-tv-zAC-EG-MO-QSV-Z/~_]")
_OPENING = re.compile(r"[(\[{]")


class TextError(Exception):
    """What is wrong with the text, in one line, without saying where the text stands."""


class UndefinedNameError(TextError):
    """A template asks for `name`, which nobody has defined."""

    def __init__(self, message: str, name: object) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Later:
    """A name whose value is worked out only when a template asks for it."""

    value: Callable[[], object]


def literal(text: str) -> Any:
    """`text` as the Python literal that it is, or unchanged if it is none.

    As in the Kur of 2017: leading blanks, `...` and `set()` make no literal.
    """
    if _NOT_LITERAL.match(text) or text.strip() in ("...", "set()", ""):
        return text
    if len(text) > MAX_LENGTH or _too_nested(text):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def _too_nested(text: str) -> bool:
    """Whether reading `text` as a literal could exhaust the parser's stack."""
    if len(_OPENING.findall(text)) <= MAX_NESTING and not re.search(r"[-+~]{100}", text):
        return False
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth -= 1
    return deepest > MAX_NESTING or re.search(r"[-+~]{100}", text) is not None


class TextEvaluator:
    """Evaluates strings; templates are compiled once. `functions` become Jinja globals."""

    def __init__(self, functions: Mapping[str, Callable[..., object]] | None = None) -> None:
        self._environment = _environment(functions or {})
        self._templates: dict[str, jinja2.Template] = {}

    def value(self, text: str, names: Mapping[str, object]) -> tuple[Any, str]:
        """The value of `text`, and the text that it had just before it became that value.

        A string that holds a list or dictionary gives it as it stands: what is inside is not
        evaluated here. Raises TextError; an error of a `Later` name passes through.
        """
        for _ in range(MAX_ROUNDS):
            rendered = self.render(text, names)
            value = literal(rendered)
            if not isinstance(value, str):
                return value, rendered
            if value == text:
                return value, rendered
            text = value
        raise TextError(
            f"never stops changing: after {MAX_ROUNDS} rounds it is {_shortened(text)!r}"
        )

    def render(self, text: str, names: Mapping[str, object]) -> str:
        """`text` as one pass of Jinja2 leaves it."""
        if "{{" not in text and "{%" not in text and "{#" not in text:
            return without_last_newline(text)
        if len(text) > MAX_TEMPLATE:
            raise TextError(f"a template of {len(text)} characters; accepted: {MAX_TEMPLATE}")
        try:
            template = self._template(text)
            rendered = template.render({key: names[key] for key in names if isinstance(key, str)})
        except (KurError, TextError):
            raise
        except _UndefinedName as error:
            raise self._undefined(error, names) from None
        except jinja2.TemplateSyntaxError as error:
            raise TextError(f"not a Jinja expression: {self._syntax(error)}") from None
        except jinja2.exceptions.SecurityError as error:
            raise TextError(f"refused: {error}") from None
        except RecursionError:
            raise TextError("nested too deeply to be evaluated") from None
        except Exception as error:
            message = str(error).rstrip(".")
            raise TextError(f"cannot evaluate {_shortened(text)!r}: {message}") from None
        if len(rendered) > MAX_LENGTH:
            raise TextError(f"grows beyond {MAX_LENGTH} characters")
        return rendered

    def uses(self, text: str, names: set[str]) -> bool:
        """Whether a template in `text` refers to one of `names`."""
        if "{" not in text:
            return False
        try:
            tree = self._environment.parse(text)
        except jinja2.TemplateSyntaxError:
            return False
        return bool(jinja2.meta.find_undeclared_variables(tree) & names)

    def _template(self, text: str) -> jinja2.Template:
        if text not in self._templates:
            self._templates[text] = self._environment.from_string(text)
        return self._templates[text]

    def _undefined(self, error: _UndefinedName, names: Mapping[str, object]) -> TextError:
        if error.owner is jinja2.utils.missing:
            functions = [name for name in self._environment.globals if name not in names]
            known: Sequence[object] = [*names, *functions]
            hint = f"{nearest(error.name, known)}; defined: {listed(names)}"
            return UndefinedNameError(f"{error.name!r} is not defined{hint}", error.name)
        if isinstance(error.owner, Mapping):
            keys = list(error.owner)
            hint = f"{nearest(error.name, keys)}; it has: {listed(keys)}"
            return TextError(f"there is no {error.name!r} in the dictionary{hint}")
        if isinstance(error.owner, list | tuple):
            size = len(error.owner)
            return TextError(f"there is no item {error.name!r} in a list of {size}")
        return TextError(f"{_shortened(repr(error.owner))} has no {error.name!r}")

    def _syntax(self, error: jinja2.TemplateSyntaxError) -> str:
        message = (error.message or "malformed").rstrip(".")
        found = re.search(r"[Nn]o (filter|test) named '(.*)'", message)
        if found is None:
            return message
        known = self._environment.filters if found[1] == "filter" else self._environment.tests
        return f"there is no {found[1]} {found[2]!r}{nearest(found[2], known)}"


def without_last_newline(text: str) -> str:
    """What Jinja2 makes of a text without templates: newlines unified, the last one dropped."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text[:-1] if text.endswith("\n") else text


class _UndefinedName(jinja2.UndefinedError):
    """A name, or an attribute of `owner`, that is not there."""

    def __init__(self, name: object, owner: object, message: str | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.owner = owner


class _Missing(jinja2.StrictUndefined):
    """An undefined value that remembers what was looked for, and where."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: object = jinja2.utils.missing,
        name: str | None = None,
        exc: type[jinja2.TemplateRuntimeError] = jinja2.UndefinedError,
    ) -> None:
        if exc is jinja2.UndefinedError and hint is None:
            exc = cast(type[jinja2.TemplateRuntimeError], partial(_UndefinedName, name, obj))
        super().__init__(hint, obj, name, exc)


class _Context(Context):
    """Names, of which some are worked out when they are asked for."""

    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        return value.value() if isinstance(value, Later) else value


class _Sandbox(SandboxedEnvironment):
    context_class = _Context
    intercepted_binops = frozenset({"*", "**", "%"})

    def getattr(self, obj: Any, attribute: str) -> Any:
        # Marks belong to the reader, not to the Kurfile: there `mark` is a key like any other.
        if attribute in _MARK_ATTRIBUTES and isinstance(obj, MarkedDict | MarkedList):
            return self.getitem(obj, attribute)
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        if argument in _MARK_ATTRIBUTES and isinstance(obj, MarkedDict | MarkedList):
            try:
                return obj[argument]
            except (LookupError, TypeError):
                return self.undefined(obj=obj, name=argument)
        return super().getitem(obj, argument)

    def unsafe_undefined(self, obj: Any, attribute: str) -> NoReturn:
        raise jinja2.exceptions.SecurityError(
            f"{attribute!r} reaches into Python's internals; attributes that begin with '_' and "
            "the like cannot be used"
        )

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "**" and isinstance(left, int) and isinstance(right, int):
            if left.bit_length() * abs(right) > _MAX_BITS:
                raise TextError("a power too large to be worked out")
        elif operator == "*":
            for many, times in ((left, right), (right, left)):
                repeats = isinstance(many, str | bytes | list | tuple) and isinstance(times, int)
                if repeats and len(many) * times > MAX_LENGTH:
                    raise TextError("a repetition too long to be worked out")
        elif operator == "%" and isinstance(left, str) and _WIDE_FORMAT.search(left):
            raise TextError("a text format too wide to be worked out")
        return super().call_binop(context, operator, left, right)


_MARK_ATTRIBUTES = ("mark", "marks", "at")


def _environment(functions: Mapping[str, Callable[..., object]]) -> _Sandbox:
    environment = _Sandbox(undefined=_Missing, cache_size=0)
    environment.globals.pop("lipsum")  # text without end, and of no use in a Kurfile
    environment.globals.update(functions)
    environment.filters.update(
        basename=_of_text(os.path.basename),
        dirname=_of_text(os.path.dirname),
        splitext=_of_text(os.path.splitext),
        combine=_combine,
        as_dict=_as_dict,
        ternary=_ternary,
    )
    return environment


def _of_text(function: Callable[[str], object]) -> Callable[[object], object]:
    """A filter for paths, which may look like numbers: `2017`."""
    return lambda value: function(value if isinstance(value, str) else str(value))


def _combine(value: Mapping[Any, Any], new: Mapping[Any, Any] | None = None) -> dict[Any, Any]:
    """The filter `combine`: a dictionary with the keys of another added, which win."""
    return {**value, **(new or {})}


def _as_dict(value: object, key: object) -> dict[object, object]:
    """The filter `as_dict`: a dictionary of one key."""
    return {key: value}


def _ternary(value: object, if_true: object, if_false: object) -> object:
    """The filter `ternary`: one value or the other."""
    return if_true if value else if_false


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."
