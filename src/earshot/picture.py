"""A picture as boxes, lines, labels and one raster, written as SVG or as PNG.

SVG is written here; PNG is drawn by matplotlib, which is in the extra `plot`. It knows nothing of
what is drawn.
"""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.errors import MissingExtra, UsageError

ENDINGS = (".svg", ".png")
_FONT = "DejaVu Sans, Verdana, sans-serif"
_DPI = 100
_SHARPER = 2  # pixels of a PNG to one of the picture

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, from its upper left corner; `line` is the width of its outline, or 0."""

    x: float
    y: float
    width: float
    height: float
    fill: str = "none"
    opacity: float = 1.0
    stroke: str = "none"
    line: float = 0.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line through points."""

    points: tuple[tuple[float, float], ...]
    stroke: str
    line: float = 1.0
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text whose baseline begins, has its middle, or ends (`anchor`) at a point."""

    x: float
    y: float
    text: str
    size: float = 11.0
    fill: str = "#333333"
    anchor: str = "start"
    bold: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """A table of colours (rows, columns, 3), each as large a box as fits."""

    x: float
    y: float
    width: float
    height: float
    pixels: Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What is drawn, the first at the back."""

    width: int
    height: int
    items: tuple[Box | Line | Label | Raster, ...]


def require_ending(target: Path) -> None:
    """UsageError for a file that is neither SVG nor PNG, MissingExtra where PNG needs one."""
    if target.suffix.lower() not in ENDINGS:
        raise UsageError(f"{target}: a picture is written as .svg or .png")
    if target.suffix.lower() == ".png":
        try:
            import matplotlib  # noqa: F401  (only where a PNG is wanted)
        except ImportError:
            what = "what draws PNG (.svg needs nothing)"
            raise MissingExtra(what, "plot") from None


def write_picture(picture: Picture, target: Path) -> None:
    """Write it in the format of the file's ending; raises as `require_ending`, and UsageError
    where the file cannot be written."""
    require_ending(target)
    try:
        if target.suffix.lower() == ".svg":
            target.write_text(svg(picture), encoding="utf-8")
        else:
            _png(picture, target)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error.strerror or error}") from error


def svg(picture: Picture) -> str:
    """The picture as the text of an SVG file."""
    size = f'width="{picture.width}" height="{picture.height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {picture.width} {picture.height}" font-family="{_FONT}">'
    ]
    return "\n".join([*lines, *(_element(item) for item in picture.items), "</svg>", ""])


def _element(item: Box | Line | Label | Raster) -> str:
    if isinstance(item, Box):
        return (
            f'<rect x="{item.x:.2f}" y="{item.y:.2f}" width="{max(item.width, 0):.2f}" '
            f'height="{item.height:.2f}" fill="{item.fill}" fill-opacity="{item.opacity:g}" '
            f'stroke="{item.stroke}" stroke-width="{item.line:g}"/>'
        )
    if isinstance(item, Line):
        points = " ".join(f"{x:.2f},{y:.2f}" for x, y in item.points)
        return (
            f'<polyline points="{points}" fill="none" stroke="{item.stroke}" '
            f'stroke-width="{item.line:g}" stroke-opacity="{item.opacity:g}"/>'
        )
    if isinstance(item, Label):
        weight = ' font-weight="bold"' if item.bold else ""
        text = escape("".join(c if c.isprintable() else "?" for c in item.text))
        return (
            f'<text x="{item.x:.2f}" y="{item.y:.2f}" font-size="{item.size:g}" '
            f'fill="{item.fill}" text-anchor="{item.anchor}"{weight}>{text}</text>'
        )
    data = base64.b64encode(_png_of(item.pixels)).decode()
    return (
        f'<image x="{item.x:.2f}" y="{item.y:.2f}" width="{item.width:.2f}" '
        f'height="{item.height:.2f}" preserveAspectRatio="none" image-rendering="pixelated" '
        f'href="data:image/png;base64,{data}"/>'
    )


def _png_of(pixels: Pixels) -> bytes:
    """A PNG file of a table of colours (PNG specification, ISO 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    height, width, _ = pixels.shape
    rows = np.concatenate((np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)), axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 9))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def _png(picture: Picture, target: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only where a PNG is wanted
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure((picture.width / _DPI, picture.height / _DPI), dpi=_DPI * _SHARPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    point = 72 / _DPI
    for order, item in enumerate(picture.items):
        if isinstance(item, Box):
            where = (item.x, item.y), item.width, item.height
            if item.fill != "none":
                axes.add_patch(
                    Rectangle(*where, color=item.fill, alpha=item.opacity, lw=0, zorder=order)
                )
            if item.stroke != "none":
                line = item.line * point
                axes.add_patch(Rectangle(*where, fill=False, ec=item.stroke, lw=line, zorder=order))
        elif isinstance(item, Line):
            xs, ys = zip(*item.points, strict=True)
            axes.plot(
                xs, ys, color=item.stroke, lw=item.line * point, alpha=item.opacity, zorder=order
            )
        elif isinstance(item, Label):
            anchor = {"start": "left", "middle": "center", "end": "right"}[item.anchor]
            axes.text(
                item.x, item.y, item.text, size=item.size * point, color=item.fill, ha=anchor,
                va="baseline", weight="bold" if item.bold else "normal", zorder=order,
                parse_math=False,
            )  # fmt: skip
        else:
            extent = (item.x, item.x + item.width, item.y + item.height, item.y)
            axes.imshow(
                item.pixels, extent=extent, aspect="auto", interpolation="nearest", zorder=order
            )
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    figure.savefig(target, format="png")
