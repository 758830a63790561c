"""A function's signature is its schema: binds what a Kurfile says to a Python function.

Layers, losses, suppliers, hooks and optimizers are Python functions or classes; their keyword
parameters, types and defaults are the options that a Kurfile may give. Knows nothing of Keras.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union

from kur.errors import KurError, nearest


class ArgumentError(KurError):
    """An argument that a function does not take; `key` says which one ('' for the whole)."""

    def __init__(self, message: str, key: str = "") -> None:
        super().__init__(message)
        self.key = key


def parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword-only parameters of `function`: what a Kurfile may give."""
    signature = inspect.signature(function)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def bind(
    function: Callable[..., Any], value: object, *, what: str, shorthand: str | None = None
) -> dict[str, Any]:
    """Keyword arguments for `function` from a Kurfile's `value`.

    A mapping gives arguments by name; nothing (None) gives none; anything else is the argument
    that `shorthand` names (`dense: 10` is `dense: {size: 10}`). ArgumentError names what is
    unknown, missing or of the wrong type, and what is accepted.
    """
    known = parameters(function)
    if isinstance(value, Mapping):
        given = dict(value)
    elif value is None:
        given = {}
    elif shorthand is None:
        raise ArgumentError(f"{what} takes no bare value, found {value!r}; {_accepts(known)}")
    else:
        given = {shorthand: value}
    hints = typing.get_type_hints(
        function.__init__ if inspect.isclass(function) else function  # type: ignore[misc]
    )
    for key in given:
        if key not in known:
            raise ArgumentError(
                f"{what} has no argument {key!r}; {_accepts(known)}{nearest(str(key), list(known))}",
                str(key),
            )
    for name, parameter in known.items():
        if name in given:
            given[name] = _convert(given[name], hints.get(name, Any), what, name)
        elif parameter.default is inspect.Parameter.empty:
            raise ArgumentError(f"{what} needs {name!r}; {_accepts(known)}")
    return given


def _accepts(known: Mapping[str, inspect.Parameter]) -> str:
    if not known:
        return "it takes no arguments"
    names = [
        name + ("*" if parameter.default is inspect.Parameter.empty else "")
        for name, parameter in known.items()
    ]
    return "accepted (* required): " + ", ".join(names)


def _convert(value: object, hint: Any, what: str, name: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not _fits(value, hint):
        raise ArgumentError(
            f"{name!r} of {what} must be {_describe(hint)}, found {value!r}", name
        )
    return value


def _fits(value: object, hint: Any) -> bool:
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in typing.get_args(hint))
    if origin is Literal:
        return value in typing.get_args(hint)
    if origin in (list, tuple):
        item = (typing.get_args(hint) or (Any,))[0]
        return isinstance(value, list | tuple) and all(_fits(one, item) for one in value)
    if origin is dict:
        return isinstance(value, dict)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe(hint: Any) -> str:
    origin = typing.get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_describe(option) for option in typing.get_args(hint))
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in typing.get_args(hint))
    if origin in (list, tuple):
        item = (typing.get_args(hint) or (Any,))[0]
        return f"a list of {_describe(item)}"
    if origin is dict or hint is dict:
        return "a mapping"
    names = {
        int: "a whole number", float: "a number", bool: "yes or no", str: "a text",
        type(None): "nothing",
    }
    return names.get(hint, getattr(hint, "__name__", str(hint)))
