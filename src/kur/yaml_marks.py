"""YAML 1.1 text -> marked data, or one line that says what is wrong with the text.

A safe loader: no tag can name a Python object. Anchors and `<<` work; a key written twice, an
anchor inside itself and a document that multiplies itself through anchors are errors. It knows
nothing of Kurfiles.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, NoReturn

import yaml

from kur.marks import Mark, MarkedDict, MarkedList, expanded_size

MAX_VALUES = 200_000
MAX_DEPTH = 100
_TAG = "tag:yaml.org,2002:"
_MERGE = _TAG + "merge"
_SCALARS = {_TAG + name for name in ("null", "bool", "int", "float", "str", "timestamp", "value")}

# What PyYAML calls the problem -> what it means to the person who wrote the file.
_PROBLEMS = (
    ("found character '\\t'", "a tab cannot indent YAML; use spaces"),
    (
        "mapping values are not allowed here",
        "a ':' where no key can stand; check the indentation and the line above, or quote it",
    ),
    ("could not find expected ':'", "expected 'key: value'; the ':' is missing"),
    (
        "expected <block end>, but found '<block sequence start>'",
        "a '-' that is indented differently from the lines before it",
    ),
    (
        "expected <block end>, but found '-'",
        "a '-' among keys; a block is either a list of '-' items or 'key: value' lines",
    ),
    (
        "expected <block end>, but found '?'",
        "a key among '-' items, or a line indented differently from the lines before it",
    ),
    (
        "expected <block end>, but found",
        "a line that is indented differently from the lines before it",
    ),
    ("found undefined alias", "an alias (*name) of an anchor (&name) that is not defined above"),
    ("found duplicate anchor", "an anchor (&name) that is already defined above"),
    ("cannot start any token", "a value cannot begin with this character; quote it"),
    ("but found another document", "a second document begins ('---'); a file holds one"),
)
# Problems whose cause is where something was opened, not where PyYAML noticed.
_UNCLOSED = (
    ("expected ',' or '}'", "a '{' that is not closed; expected ',' or '}'"),
    ("expected ',' or ']'", "a '[' that is not closed; expected ',' or ']'"),
    ("found unexpected end of stream", "a quote that is opened and never closed"),
)


def load(text: str, file: str) -> Any:
    """The one document of `text` as marked data; `file` is only for the marks and messages.

    Raises KurfileError with the line for anything that is not plain YAML 1.1.
    """
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            value = _Builder(loader, file).build(node) if node is not None else None
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        _refuse(error, file)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"the character {chr(error.character)!r} cannot stand in a YAML file"
        raise Mark(file, line).error(message) from None
    except RecursionError:
        raise Mark(file, 1).error(f"nested more than {MAX_DEPTH} deep") from None
    if expanded_size(value) > MAX_VALUES:
        message = f"anchors multiply this file to more than {MAX_VALUES} values"
        raise Mark(file, 1).error(message)
    return value


def _refuse(error: yaml.MarkedYAMLError, file: str) -> NoReturn:
    """Raise PyYAML's `error` as one line."""
    problem = error.problem or error.context or "malformed"
    noticed = error.problem_mark.line + 1 if error.problem_mark else 1
    began = error.context_mark.line + 1 if error.context_mark else noticed
    for sign, meaning in _UNCLOSED:
        if sign in problem:
            raise Mark(file, began).error(f"not YAML: {meaning}") from None
    message = next((meaning for sign, meaning in _PROBLEMS if sign in problem), problem)
    if began != noticed:
        message += f" (what it belongs to began on line {began})"
    raise Mark(file, noticed).error(f"not YAML: {message}") from None


class _Builder:
    """Nodes -> marked data; one node becomes one object however many aliases point at it."""

    def __init__(self, loader: yaml.SafeLoader, file: str) -> None:
        self._loader = loader
        self._file = file
        self._built: dict[int, Any] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Any:
        if id(node) in self._built:
            return self._built[id(node)]
        if id(node) in self._open:
            raise self._mark(node).error("an anchor that holds itself")
        if len(self._open) > MAX_DEPTH:
            raise self._mark(node).error(f"nested more than {MAX_DEPTH} deep")
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            value: Any = self._mapping(node)
        elif isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            items = [self.build(item) for item in node.value]
            value = MarkedList(items, self._mark(node), map(self._mark, node.value))
        elif isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
            value = self._scalar(node)
        else:
            tag = node.tag.replace(_TAG, "!!")
            message = f"the tag {tag!r} is not accepted; a Kurfile holds plain data, no tags"
            raise self._mark(node).error(message)
        self._open.discard(id(node))
        self._built[id(node)] = value
        return value

    def _mark(self, node: yaml.Node) -> Mark:
        return Mark(self._file, node.start_mark.line + 1)

    def _scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TAG + "value":
            return node.value  # PyYAML knows the tag of a bare '=' but cannot build it
        try:
            return self._loader.construct_object(node)
        except (ValueError, OverflowError, KeyError, IndexError):
            kind = node.tag.removeprefix(_TAG)
            raise self._mark(node).error(f"{node.value!r} is not a valid {kind}") from None

    def _mapping(self, node: yaml.MappingNode) -> MarkedDict:
        own: dict[Hashable, Any] = {}
        marks: dict[Hashable, Mark] = {}
        merged = MarkedDict()
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._merge(merged, value_node, self._mark(key_node))
                continue
            key = self._key(key_node)
            if key in own:
                message = f"{key!r} is written twice; it already stands on line {marks[key].line}"
                raise self._mark(key_node).error(message)
            own[key] = self.build(value_node)
            marks[key] = self._mark(key_node)
        return MarkedDict({**merged, **own}, self._mark(node), {**merged.marks, **marks})

    def _merge(self, merged: MarkedDict, node: yaml.Node, mark: Mark) -> None:
        """Add to `merged` what `<<` refers to; of several, the first that has a key wins."""
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in reversed(sources):
            value = self.build(source)
            if not isinstance(value, MarkedDict):
                message = "'<<' takes a dictionary or a list of dictionaries"
                raise mark.error(message)
            merged.update(value)
            merged.marks.update(value.marks)

    def _key(self, node: yaml.Node) -> Hashable:
        if isinstance(node, yaml.ScalarNode):
            key: Hashable = self.build(node)
            return key
        if isinstance(node, yaml.MappingNode) and node.flow_style:
            message = 'a Jinja expression must stand in quotes: "{{ ... }}"'
        else:
            message = "a key must be a single value, not a list or a dictionary"
        raise self._mark(node).error(message)
