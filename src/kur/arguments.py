"""A function's signature is its schema: binds what a Kurfile says to a Python function.

Layers, losses, suppliers, hooks and optimizers are Python functions or classes; their keyword
parameters, types and defaults are the options that a Kurfile may give. Knows nothing of Keras.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union

from kur.errors import KurError, nearest

_MISFIT = object()
_ONE_BRACE = re.compile(r"\{[^{}]+\}")
# What the first versions of Kur called an argument -> what it has been called since.
_FORMER = {"sha256": "checksum", "save_best": "best"}
# What other libraries call an argument -> names that ours may have for it.
_ELSEWHERE = {
    "units": ("size",),
    "filters": ("kernels",),
    "kernel_size": ("size",),
    "pool_size": ("size",),
    "padding": ("border",),
    "rate": ("fraction",),
    "input_dim": ("vocab_size",),
    "output_dim": ("size",),
    "return_sequences": ("sequence",),
    "lr": ("learning_rate",),
    "clipnorm": ("clip",),
    "shuffle": ("randomize",),
}


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
    function: Callable[..., Any],
    value: object,
    *,
    what: str,
    shorthand: str | None = None,
    provided: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Keyword arguments for `function` from a Kurfile's `value`.

    A mapping gives arguments by name; nothing (None) gives none; anything else is the argument
    that `shorthand` names (`dense: 10` is `dense: {size: 10}`). `provided` are values of the
    program's own: those that `function` takes are handed on, and a Kurfile cannot give them.
    ArgumentError names what is unknown, missing or of the wrong type, and what is accepted.
    """
    taken = parameters(function)
    own = {name: one for name, one in (provided or {}).items() if name in taken}
    known = {name: one for name, one in taken.items() if name not in own}
    if isinstance(value, Mapping):
        given = dict(value)
    elif value is None:
        given = {}
    elif shorthand is None:
        raise ArgumentError(f"{what} takes no bare value, found {value!r}; {_accepts(known)}")
    else:
        given = {shorthand: value}
    for former, name in _FORMER.items():
        if former in given and former not in known and name in known and name not in given:
            given[name] = given.pop(former)
    for key in given:
        if key not in known:
            message = f"{what} has no argument {key!r}{meant(key, known)}; {_accepts(known)}"
            raise ArgumentError(message, str(key))
    hints = typing.get_type_hints(function.__init__ if inspect.isclass(function) else function)
    for name, parameter in known.items():
        if name in given:
            given[name] = _convert(given[name], hints.get(name, Any), what, name)
        elif parameter.default is inspect.Parameter.empty:
            raise ArgumentError(f"{what} needs {name!r}; {_accepts(known)}")
    return {**given, **own}


def meant(key: object, known: Collection[str]) -> str:
    """Which argument was meant by a word that is none, as a hint for a message."""
    same = [name for name in _ELSEWHERE.get(str(key), ()) if name in known]
    return f" (did you mean {same[0]!r}?)" if same else nearest(key, known)


def _accepts(known: Mapping[str, inspect.Parameter]) -> str:
    if not known:
        return "it takes no arguments"
    names = [
        name + ("*" if parameter.default is inspect.Parameter.empty else "")
        for name, parameter in known.items()
    ]
    return "accepted (* required): " + ", ".join(names)


def _convert(value: object, hint: Any, what: str, name: str) -> Any:
    converted = _converted(value, hint)
    if converted is _MISFIT:
        message = f"{name!r} of {what} must be {described(hint)}, found {value!r}"
        if isinstance(value, str) and _ONE_BRACE.fullmatch(value):
            message += "; a template has two braces: '{{ ... }}'"
        raise ArgumentError(message, name)
    return converted


def _converted(value: Any, hint: Any) -> Any:
    """`value` as `hint` wants it (a whole number where any number will do, a list for a tuple),
    or _MISFIT."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        options = (_converted(value, option) for option in inside)
        return next((one for one in options if one is not _MISFIT), _MISFIT)
    if origin is Literal:
        same = (one for one in inside if type(value) is type(one) and _folded(value) == one)
        return next(same, _MISFIT)
    if origin in (list, tuple):
        return _sequence(value, origin, inside or (Any,))
    if hint is None or hint is type(None):
        return value if value is None else _MISFIT
    if hint in (int, float) and isinstance(value, bool):
        return _MISFIT
    if hint is float and isinstance(value, int):
        return float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)  # `{{ size / 2 }}` gives a float
    kind = origin or hint
    return value if isinstance(value, kind) else _MISFIT


def _folded(value: Any) -> Any:
    """Names are read whatever their case: 'GRU' is 'gru'."""
    return value.lower() if isinstance(value, str) else value


def _sequence(value: Any, kind: Any, inside: tuple[Any, ...]) -> Any:
    """A list or tuple; `tuple[float, float]` has its length, `tuple[float, ...]` has any."""
    if not isinstance(value, list | tuple):
        return _MISFIT
    hints = inside[:1] * len(value)
    if kind is tuple and inside[-1] is not Ellipsis:
        hints = inside
    if len(hints) != len(value):
        return _MISFIT
    items = [_converted(one, hint) for one, hint in zip(value, hints, strict=True)]
    return _MISFIT if any(one is _MISFIT for one in items) else kind(items)


def described(hint: Any) -> str:
    """A type as people say it: "a whole number", "a list, each a text"."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(described(option) for option in inside)
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in inside)
    if origin is tuple and inside[-1] is not Ellipsis:
        return f"a list of {len(inside)}: " + ", ".join(described(one) for one in inside)
    if origin in (list, tuple):
        item = (inside or (Any,))[0]
        return "a list" if item is Any else f"a list, each {described(item)}"
    names = {
        int: "a whole number",
        float: "a number",
        bool: "yes or no",
        str: "a text",
        dict: "a mapping",
        type(None): "nothing",
    }
    kind = origin or hint
    return names.get(kind, getattr(kind, "__name__", str(hint)))
