"""The walk through the `model` section: one container after the other, loops expanded.

Says what stands on what, under which names; what a layer is made of is for those who build on it.
Knows the Kurfile; knows nothing of Keras.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from kur.arguments import ArgumentError, bind
from kur.containers import (
    COMMON_KEYS,
    OPERATORS,
    Apply,
    Container,
    For,
    ForEach,
    Path,
    Scope,
    as_flag,
    parse,
)
from kur.errors import KurfileError, nearest
from kur.graph import Node, Span, Unknown
from kur.layers import LAYERS
from kur.names import Names
from kur.reader import Kurfile

_log = logging.getLogger("kur")


class Walk:
    """Goes through containers and keeps their names; `makers` build the kinds that give values.

    `last` is the node that the next container stands on, `frame` the 'parallel' that it stands in,
    `freezing` whether its weights stay as they are.
    """

    def __init__(self, kurfile: Kurfile, errors: list[KurfileError] | None = None) -> None:
        """With `errors`, what is wrong is put there, and the walk goes on behind it."""
        self.kurfile = kurfile
        self.errors = errors
        self.names = Names()
        self.spans: dict[str, Span] = {}
        self.last: Node | None = None
        self.freezing = False
        self.frame = 0
        self.open_templates: list[str] = []
        # Layers are built by the maker "layer", operators each by their own.
        self.makers: dict[str, Callable[[Container], None]] = {
            "for": self._loop,
            "for_each": self._loop,
            "debug": self._say,
            "assert": self._say,
        }
        kurfile.state.update(self.names.state)
        for name in kurfile.templates:
            if name in (*LAYERS, *OPERATORS, *COMMON_KEYS):
                message = f"a template cannot have the name of the built-in {name!r}"
                raise kurfile.error(None, ("templates", name), message)

    def containers(self, items: Sequence[Any], scope: Scope, path: Path) -> None:
        """Build the containers of a list in their order, each on the one before."""
        if not isinstance(items, list):
            message = f"a list of layers expected, each begun by '-', found {items!r}"
            raise self.kurfile.error(None, path, message)
        for i, item in enumerate(items):
            try:
                self._container(parse(self.kurfile, item, scope, (*path, i)))
            except KurfileError as error:
                if self.errors is None:
                    raise
                self.errors.append(error)
                self._skip(item, (*path, i))

    def _skip(self, item: Any, path: Path) -> None:
        """Stand something unknown where a container was wrong, for those after it."""
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(item, dict) and isinstance(item.get("input"), str):
            name = item["input"]
        mark = self.kurfile.mark(path, item)
        node = Node(str(name), "unknown", Unknown(), mark, frame=self.frame)
        if isinstance(name, str):
            self.names.nodes.setdefault(name, node)
        if self.last is not None and not (isinstance(item, dict) and "inputs" in item):
            self.last.consumed = True
        self.last = node

    def _container(self, c: Container) -> None:
        if not c.common.get("when", True):
            self._pass(c)
            return
        was_freezing = self.freezing
        self.freezing = bool(c.common.get("freeze", was_freezing))
        try:
            self._built(c)
        finally:
            self.freezing = was_freezing
        self._tag(c)

    def _built(self, c: Container) -> None:
        if "inputs" in c.common and c.kind not in ("debug", "assert"):
            if c.kind == "input":
                raise self._error(c, "an input takes no 'inputs'", "inputs")
            self._take_inputs(c)
        if c.kind in self.kurfile.templates:
            self._template(c)
        else:
            self.makers.get(c.kind, self.makers["layer"])(c)

    def _pass(self, c: Container) -> None:
        """A container that `when` leaves out: what went in goes on, under its name as well."""
        with contextlib.suppress(KurfileError):
            if "inputs" in c.common and c.kind != "input":
                self._take_inputs(c, passing=True)
        with contextlib.suppress(KurfileError):
            self._count(c)
        name, last = c.common.get("name"), self.last
        if last is None or last.kind == "group" or c.kind == "input":
            return
        if name is not None and self.names.find(name) is None:
            self.names.alias(str(name), last)
        self._tag(c)

    def _count(self, c: Container) -> None:
        """Take the automatic names that a container which is left out, and those inside it, would
        have had: Kur counted them too."""
        template = self.kurfile.templates.get(c.kind)
        if "name" not in c.common and not (c.kind in ("input", "output") and c.value):
            self.names.automatic("meta" if template is not None else c.kind)
        path = (*c.path, c.kind)
        rounds: list[dict[str, Any]] = [{}]
        inside = template
        if template is not None:
            rounds = [self._template_scope(c)]
        if c.kind in ("for", "for_each"):
            inside, rounds = self._rounds(c)
        elif c.kind == "parallel":
            inside = c.value.get("apply") if isinstance(c.value, dict) else c.value
        for variables in rounds:
            for i, item in enumerate(inside if isinstance(inside, list) else []):
                scope = {**c.scope, **variables}
                self._count(parse(self.kurfile, item, scope, (*path, i)))

    def _say(self, c: Container) -> None:
        """`debug` writes to the log; `assert` stops where its condition does not hold."""
        if "name" not in c.common:
            self.names.automatic(c.kind)
        value = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        if c.kind == "debug":
            _log.debug("%s:%s: %s", c.mark.file, c.mark.line, value)
        elif not as_flag(value):
            found = "" if value == c.value else f": {c.value!r} is {value!r}"
            raise self._error(c, f"the assertion does not hold{found}", "assert")

    def _error(self, c: Container, message: str, *inside: Any) -> KurfileError:
        return self.kurfile.error(None, (*c.path, *inside), message)

    def _bind(self, c: Container, kind: type, value: Any, shorthand: str | None = None) -> Any:
        """The arguments of an operator as its dataclass."""
        try:
            return kind(**bind(kind, value, what=repr(c.kind), shorthand=shorthand))
        except ArgumentError as error:
            inside = (c.kind, error.key) if error.key else (c.kind,)
            raise self._error(c, str(error), *inside) from None

    def _name(self, c: Container, given: object = None) -> str:
        """The container's own name or the next automatic one, which nobody else has."""
        name = c.common.get("name", given)
        if name is None:
            name = self.names.automatic("meta" if c.kind in self.kurfile.templates else c.kind)
        taken = self.names.find(name)
        if taken is not None:
            where = taken.mark.line
            raise self._error(c, f"the name {str(name)!r} is taken by the layer of line {where}")
        return str(name)

    def _take_inputs(self, c: Container, passing: bool = False) -> None:
        given = c.common["inputs"]
        chosen = []
        for name in given if isinstance(given, list | tuple) else [given]:
            node = self.names.find(name)
            if node is None:
                known = self.names.known()
                hint = f"{nearest(name, known)}; named so far: {', '.join(known) or 'none'}"
                raise self._error(c, f"no layer is named {name!r}{hint}", "inputs")
            if node.frame != self.frame:
                message = f"the layer {name!r} of line {node.mark.line} and this one are not in "
                raise self._error(c, f"{message}the same 'parallel'", "inputs")
            chosen.append(node)
        if len(chosen) == 1:
            self.last = chosen[0]
        elif chosen and not passing:
            for node in chosen:
                node.consumed = True
            longest = max(chosen, key=lambda node: len(node.steps))
            tensors = [node.tensor for node in chosen]
            self.last = Node("", "group", tensors, c.mark, longest.steps)
            self.last.inputs, self.last.frame = tuple(chosen), self.frame

    def _before(self, c: Container, several: bool = False) -> Node:
        """The container that `c` stands on."""
        if self.last is None:
            raise self._error(c, "no input before this layer; begin with 'input: NAME'")
        if self.last.kind == "group" and not several:
            count = len(self.last.tensor)
            message = f"'{c.kind}' takes one input, found {count}; join them with 'merge'"
            raise self._error(c, message, "inputs")
        return self.last

    def _tag(self, c: Container) -> None:
        if self.last is not None and self.last.kind != "group":
            self.names.tag(c.common.get("tag", []), c.common.get("oldest", []), self.last.name)

    def _rounds(self, c: Container) -> tuple[list[Any], list[dict[str, Any]]]:
        """The layers inside a loop, and the variables of each turn."""
        value, path = c.value, (*c.path, c.kind)
        if isinstance(value, dict):
            # The layers inside wait for the loop's variables.
            value = {
                key: one if key == "iterate" else self.kurfile.evaluate(one, c.scope, (*path, key))
                for key, one in value.items()
            }
        loop = self._bind(c, For if c.kind == "for" else ForEach, value)
        over = loop.range if isinstance(loop, For) else loop.items
        if isinstance(over, int) and over < 0:
            key = "range" if isinstance(loop, For) else "items"
            raise self._error(c, f"a whole number from 0 on expected, found {over}", c.kind, key)
        items = list(range(over)) if isinstance(over, int) else over
        if isinstance(loop, For):
            return loop.iterate, [{loop.with_index: i} for i in items]
        turns = [{loop.with_index: i, loop.loop_var: one} for i, one in enumerate(items)]
        return loop.iterate, turns

    def _loop(self, c: Container) -> None:
        inside, rounds = self._rounds(c)
        with self._group(c):
            for variables in rounds:
                scope = {**c.scope, **variables}
                self.containers(inside, scope, (*c.path, c.kind, "iterate"))

    def _template(self, c: Container) -> None:
        if c.kind in self.open_templates:
            way = " -> ".join([*self.open_templates, c.kind])
            raise self._error(c, f"the template {c.kind!r} uses itself: {way}")
        inner = {**c.scope, **self._template_scope(c)}
        self.open_templates.append(c.kind)
        try:
            with self._group(c):
                self.containers(self.kurfile.templates[c.kind], inner, ("templates", c.kind))
        finally:
            self.open_templates.pop()

    def _template_scope(self, c: Container) -> dict[str, Any]:
        """What a template knows: its arguments, by name too, and what it stands on."""
        arguments = self.kurfile.evaluate(c.value, c.scope, (*c.path, c.kind))
        last = self.last
        before: Any = [] if last is None else last.name
        if last is not None and last.kind == "group":
            before = [node.name for node in last.inputs]
        scope = {"args": arguments, "inputs": c.common.get("inputs", before)}
        return scope | arguments if isinstance(arguments, dict) else scope

    @contextlib.contextmanager
    def _group(self, c: Container) -> Iterator[None]:
        """Containers that stand in another one: its name and sink are those of the last."""
        name, start, before = self._name(c), self.last, set(self.names.nodes)
        yield
        last = self.last
        if last is None or last.name in before or last.kind == "group":
            return
        last.sink = last.sink or bool(c.common.get("sink"))
        if start is not None:
            self.spans[name] = Span(start.tensor, last, last.steps[len(start.steps) :])
        if "name" in c.common:
            # The layer's own span stays under its old name.
            self.spans[last.name] = self.spans.get(last.name, self.spans[name])
            self.names.rename(last, name)
        else:
            self.names.alias(name, last)

    def _inside(self, c: Container) -> tuple[list[Any], Path]:
        """The layers inside `residual` or `parallel`, given alone or under `apply`."""
        path = (*c.path, c.kind)
        if isinstance(c.value, dict):
            path = (*path, "apply")
        return self._bind(c, Apply, c.value, "apply").apply, path
