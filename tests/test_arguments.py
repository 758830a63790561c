"""Signatures as schemas: what fits, what is converted, and what is said of what does not fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kur.arguments import ArgumentError, bind, parameters
from kur.marks import MarkedDict


def sample(
    tensor: object,
    *,
    size: int,
    rate: float = 0.5,
    kind: Literal["same", "valid"] = "same",
    bias: bool = True,
    names: list[str] | str | None = None,
    span: tuple[float, float] = (0.0, 1.0),
    many: tuple[int, ...] = (),
    inner: dict[str, Any] | None = None,
    anything: Any = None,
) -> None:
    """A function like those that are registered."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """A dataclass like those that are registered."""

    path: str
    count: int = 3


def said(value: object, **given: Any) -> tuple[str, str]:
    with pytest.raises(ArgumentError) as caught:
        bind(sample, value, what="sample", **given)
    return str(caught.value), caught.value.key


def test_only_keywords_are_options() -> None:
    assert list(parameters(sample))[:2] == ["size", "rate"]
    assert list(parameters(Options)) == ["path", "count"]


def test_what_fits() -> None:
    given = {"size": 3, "rate": 1, "bias": False, "names": ["a"], "span": [1, 2], "many": [1, 2, 3]}
    bound = bind(sample, given, what="sample")
    assert bound == {**given, "span": (1.0, 2.0), "many": (1, 2, 3)}
    assert isinstance(bound["rate"], float) and isinstance(bound["span"][0], float)
    assert bind(sample, 3, what="sample", shorthand="size") == {"size": 3}
    assert bind(Options, {"path": "x"}, what="options") == {"path": "x"}
    assert bind(Options, "x", what="options", shorthand="path") == {"path": "x"}


def test_marked_mappings_stay_as_they_are() -> None:
    inner = MarkedDict({"a": 1})
    assert bind(sample, {"size": 1, "inner": inner}, what="sample")["inner"] is inner


def test_what_the_program_gives() -> None:
    made = bind(Options, {"count": 1}, what="options", provided={"path": "/", "other": 2})
    assert made == {"count": 1, "path": "/"}
    with pytest.raises(
        ArgumentError, match=r"no argument 'path'; accepted \(\* required\): count$"
    ):
        bind(Options, {"path": "x"}, what="options", provided={"path": "/"})


@pytest.mark.parametrize(
    ("value", "message", "key"),
    [
        (
            {"size": 1, "bais": True},
            "sample has no argument 'bais' (did you mean 'bias'?); ",
            "bais",
        ),
        ({"rate": 1}, "sample needs 'size'; accepted (* required): size*, rate, kind, bias, ", ""),
        (None, "sample needs 'size'; ", ""),
        (7, "sample takes no bare value, found 7; accepted", ""),
        ({"size": 1.5}, "'size' of sample must be a whole number, found 1.5", "size"),
        ({"size": True}, "'size' of sample must be a whole number, found True", "size"),
        ({"size": "3 "}, "'size' of sample must be a whole number, found '3 '", "size"),
        ({"size": 1, "rate": "x"}, "'rate' of sample must be a number, found 'x'", "rate"),
        ({"size": 1, "kind": "all"}, "'kind' of sample must be one of same, valid, found", "kind"),
        ({"size": 1, "bias": 1}, "'bias' of sample must be yes or no, found 1", "bias"),
        (
            {"size": 1, "names": [1]},
            "'names' of sample must be a list, each a text or a text or nothing, found [1]",
            "names",
        ),
        (
            {"size": 1, "span": [1]},
            "'span' of sample must be a list of 2: a number, a number, found [1]",
            "span",
        ),
        (
            {"size": 1, "many": ["x"]},
            "'many' of sample must be a list, each a whole number, found ['x']",
            "many",
        ),
        ({"size": 1, "inner": []}, "'inner' of sample must be a mapping or nothing, ", "inner"),
    ],
)
def test_what_does_not_fit(value: object, message: str, key: str) -> None:
    found, where = said(value)
    assert found.startswith(message) and where == key


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*parameters(sample), "other"]), values) | values)
@settings(deadline=None)
def test_anything_is_bound_or_refused_in_one_line(value: object) -> None:
    try:
        bound = bind(sample, value, what="sample", shorthand="size")
    except ArgumentError as error:
        assert "\n" not in str(error)
    else:
        assert type(bound["size"]) is int and set(bound) <= set(parameters(sample))


def test_former_names() -> None:
    def package(*, path: str, checksum: str | None = None) -> None:
        pass

    said = {"path": "a", "sha256": "0f"}
    assert bind(package, said, what="'data'") == {"path": "a", "checksum": "0f"}
    assert said == {"path": "a", "sha256": "0f"}
    with pytest.raises(ArgumentError, match="no argument 'sha256'"):
        bind(package, {**said, "checksum": "1e"}, what="'data'")
