"""The names of containers: those that are given, those that are counted, and tags.

Automatic names are `..TYPE.N`, counted for each type as Kur counted them, because weights on disk
are called after them. Knows nodes and their names; knows nothing of what they do.
"""

from __future__ import annotations

import re
from typing import Any

from kur.graph import Node

# What Keras calls the operations that stand beside layers.
_OPERATION = re.compile(r"(add|subtract|multiply|squeeze|expand_dims|transpose)(_\d+)?")


class Names:
    """Every container of a model that is being built, by name.

    `state` is what templates see: `tags`, `oldest` and `layers`.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.aliases: dict[str, str] = {}
        self.state: dict[str, Any] = {"tags": {}, "oldest": {}, "layers": []}
        self._counts: dict[str, int] = {}
        self._layers: set[str] = set()

    def automatic(self, kind: str) -> str:
        """The next automatic name of that type."""
        count = self._counts.get(kind, 0)
        self._counts[kind] = count + 1
        return f"..{kind}.{count}"

    def known(self) -> list[str]:
        """All names that 'inputs' may use; automatic ones of groups are left out."""
        return [*self.nodes, *(one for one in self.aliases if not one.startswith(".."))]

    def find(self, name: object) -> Node | None:
        """The node of that name or further name."""
        key = str(name)
        return self.nodes.get(self.aliases.get(key, key))

    def add(self, node: Node) -> None:
        """A node that has been built, under its own name."""
        self.nodes[node.name] = node
        self.state["layers"].append(node.name)

    def alias(self, name: str, node: Node) -> None:
        """A further name of a node."""
        if name != node.name:
            self.aliases[name] = node.name

    def rename(self, node: Node, name: str) -> None:
        """Another name for a node, which keeps its old one as a further name."""
        old = node.name
        if name == old:
            return
        self.nodes = {name if key == old else key: one for key, one in self.nodes.items()}
        self.aliases = {key: name if one == old else one for key, one in self.aliases.items()}
        self.aliases[old] = name
        layers = self.state["layers"]
        layers[:] = [name if one == old else one for one in layers]
        node.name = name

    def layer(self, name: str, taken: bool = False) -> str:
        """A name for Keras, which gives it to backend parameters, where dots and slashes mean
        something else; `taken` as it is."""
        safe = name if taken else re.sub(r"[./]", "_", name).strip("_") or "layer"
        if not taken and _OPERATION.fullmatch(safe):
            safe += "_"
        while safe in self._layers:
            safe += "_"
        self._layers.add(safe)
        return safe

    def tag(self, tags: object, oldest: object, name: str) -> None:
        """`tag` is the last layer that has it, `oldest` the first."""
        for one in tags if isinstance(tags, list | tuple) else [tags]:
            self.state["tags"][one] = name
        for one in oldest if isinstance(oldest, list | tuple) else [oldest]:
            self.state["oldest"].setdefault(one, name)
