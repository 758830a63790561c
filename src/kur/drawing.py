"""A network as a table and as a picture: its layers, shapes, weights, and what stands on what.

The picture is an SVG, written here as text. Knows built networks; knows nothing of Kurfiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import prod
from pathlib import Path

from kur.errors import KurError
from kur.graph import Model, Node, Shape

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 210, 50, 34, 30, 24
# Fill and line of a box, by what the layer does.
_PLAIN = ("#f4f4f4", "#8a8a8a")
_COLOURS = {
    "input": ("#e3f1e3", "#4d8a4d"),
    "output": ("#fbe6d4", "#b9722d"),
    "dense": ("#e2ecf9", "#4a76ad"),
    "convolution": ("#e2ecf9", "#4a76ad"),
    "recurrent": ("#ece4f7", "#7a57ad"),
    "attention": ("#ece4f7", "#7a57ad"),
    "embedding": ("#e2ecf9", "#4a76ad"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """A layer: its name, its kind, its shape without the batch (None: varies), how many weights it
    has and how many of them learn, and the line of the Kurfile."""

    layer: str
    kind: str
    shape: Shape
    parameters: int
    trainable: int
    file: str
    line: int


def table(model: Model) -> tuple[Row, ...]:
    """The layers of a network in their order; weights that are shared count where they are made."""
    parameters = dict.fromkeys(model.nodes, 0)
    trainable = dict.fromkeys(model.nodes, 0)
    owners = sorted(
        (node for node in model.nodes.values() if node.layer),
        key=lambda node: len(node.layer),
        reverse=True,
    )
    for layer in model.keras.layers:
        owner = next((one.name for one in owners if _is_part(layer.name, one.layer)), None)
        if owner is not None:
            parameters[owner] += sum(prod(one.shape) for one in layer.weights)
            trainable[owner] += sum(prod(one.shape) for one in layer.trainable_weights)
    return tuple(
        Row(
            node.name,
            node.kind,
            tuple(node.tensor.shape[1:]),
            parameters[node.name],
            trainable[node.name],
            node.mark.file,
            node.mark.line,
        )
        for node in model.nodes.values()
    )


def written(model: Model, main: Path) -> str:
    """The table as text; lines of other files than `main` are given with their file."""
    rows = [("layer", "kind", "shape", "parameters", "line")]
    for row in table(model):
        shape = " x ".join("?" if size is None else str(size) for size in row.shape)
        frozen = " (frozen)" if row.parameters and not row.trainable else ""
        line = f"{row.line}" if row.file == str(main) else f"{row.file}:{row.line}"
        rows.append((row.layer, row.kind, shape or "1", f"{row.parameters:,}{frozen}", line))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(t.ljust(w) for t, w in zip(row, widths, strict=True)) for row in rows]
    net = model.keras
    learn = sum(prod(one.shape) for one in net.trainable_weights)
    total = f"parameters: {net.count_params():,}, of which {learn:,} learn"
    return "\n".join([*(line.rstrip() for line in lines), total])


def _is_part(name: str, layer: str) -> bool:
    """Whether the Keras layer `name` is, or stands inside, the node's layer."""
    return name == layer or name.startswith(f"{layer}-")


def draw(model: Model, path: Path) -> None:
    """Write the picture of a network, as SVG; KurError where it cannot be written."""
    if path.suffix.lower() != ".svg":
        raise KurError(f"{path}: a network is drawn as SVG; give a name that ends in .svg")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(svg(model), encoding="utf-8")
    except OSError as error:
        raise KurError(f"{path}: cannot be written: {error.strerror}") from None


def svg(model: Model) -> str:
    """The picture of a network: inputs at the top, each layer below those that it stands on."""
    rows = {row.layer: row for row in table(model)}
    edges = [
        (before.name, node.name)
        for node in model.nodes.values()
        for before in node.inputs
        if before.name in rows
    ]
    places, width, height = _places(list(rows), edges)
    lines = [_edge(places[a], places[b], i) for i, (a, b) in enumerate(edges)]
    boxes = [_box(row, *places[name], model) for name, row in rows.items()]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif">'
    )
    arrow = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8z" fill="#666"/></marker></defs>'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return "\n".join([head, arrow, ground, *lines, *boxes, "</svg>", ""])


def _places(
    names: Sequence[str], edges: Sequence[tuple[str, str]]
) -> tuple[dict[str, tuple[int, int]], int, int]:
    """The upper left corner of each box, and the size of the picture.

    A box stands in the row after the last one that it stands on, below the middle of those that
    stand in that row.
    """
    before: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        before[end].append(start)
    depth: dict[str, int] = {}
    for name in names:  # a layer comes after those that it stands on
        depth[name] = 1 + max((depth[one] for one in before[name]), default=-1)
    columns: dict[str, float] = {}
    for row in range(max(depth.values()) + 1):
        inside = [name for name in names if depth[name] == row]
        wished = {}
        for i, name in enumerate(inside):
            above = [columns[one] for one in before[name] if depth[one] == row - 1]
            wished[name] = sum(above) / len(above) if above else float(i)
        taken = -1.0
        for name in sorted(inside, key=lambda one: wished[one]):
            columns[name] = max(wished[name], taken + 1)
            taken = columns[name]
    right = 70  # lines that pass by a box run there
    places = {
        name: (
            round(_MARGIN + columns[name] * (_WIDTH + _GAP_X + right)),
            _MARGIN + depth[name] * (_HEIGHT + _GAP_Y),
        )
        for name in names
    }
    width = max(x for x, _ in places.values()) + _WIDTH + right + _MARGIN
    height = max(y for _, y in places.values()) + _HEIGHT + _MARGIN
    return places, width, height


def _edge(start: tuple[int, int], end: tuple[int, int], number: int) -> str:
    """An arrow; one that passes other rows goes round them on the right."""
    x1, y1 = start[0] + _WIDTH // 2, start[1] + _HEIGHT
    x2, y2 = end[0] + _WIDTH // 2, end[1]
    rows = (end[1] - start[1]) // (_HEIGHT + _GAP_Y)
    if rows > 1:
        x1, y1, x2, y2 = (
            start[0] + _WIDTH,
            start[1] + _HEIGHT // 2,
            end[0] + _WIDTH,
            end[1] + _HEIGHT // 2,
        )
        out = max(x1, x2) + 18 + 14 * (number % 4)
        way = f"M{x1} {y1}C{out} {y1} {out} {y1} {out} {y1 + 30}L{out} {y2 - 30}"
        way += f"C{out} {y2} {out} {y2} {x2} {y2}"
    else:
        way = f"M{x1} {y1}C{x1} {y1 + _GAP_Y // 2} {x2} {y2 - _GAP_Y // 2} {x2} {y2}"
    return f'<path d="{way}" fill="none" stroke="#666" marker-end="url(#tip)"/>'


def _box(row: Row, x: int, y: int, model: Model) -> str:
    node: Node = model.nodes[row.layer]
    kind = "output" if row.layer in model.outputs else row.kind
    fill, line = _COLOURS.get(kind, _PLAIN)
    what = row.kind
    if row.kind == "activation" and node.activation:
        what = f"activation {node.activation}"
    shape = " x ".join("?" if size is None else str(size) for size in row.shape)
    told = shape
    if row.parameters:
        told += f" · {row.parameters:,} weights"
        told += "" if row.trainable else ", frozen"
    middle = x + _WIDTH // 2
    return (
        f"<g><title>{escape(f'{row.file}:{row.line}')}</title>"
        f'<rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" fill="{fill}" '
        f'stroke="{line}"/>'
        f'<text x="{middle}" y="{y + 20}" text-anchor="middle" font-size="13">'
        f"{escape(_short(what if row.layer.startswith('..') else f'{row.layer}: {what}'))}</text>"
        f'<text x="{middle}" y="{y + 38}" text-anchor="middle" font-size="11" fill="#555">'
        f"{escape(_short(told, 38))}</text></g>"
    )


def _short(text: str, longest: int = 30) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
