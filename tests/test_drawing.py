"""The table and the picture of a network."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tiny_kur import kurfile

from kur.drawing import draw, svg, table
from kur.errors import KurError
from kur.model import Model, build

TEXT = """\
model:
  - input: {name: sound, shape: [null, 4]}
  - residual:
      - convolution: {size: 3, depthwise: yes, highway: yes}
  - {recurrent: {size: 3, bidirectional: yes}, name: rnn, freeze: yes}
  - parallel: [dense: 2]
  - {dense: 5, name: "a<b"}
  - {dense: [5, 6], inputs: rnn, name: side}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return build(kurfile(tmp_path_factory.mktemp("d"), TEXT), {})


def test_the_table(model: Model) -> None:
    rows = {row.layer: row for row in table(model)}
    assert [(row.kind, row.line) for row in rows.values()] == [
        ("input", 2), ("convolution", 4), ("residual", 3), ("recurrent", 5), ("dense", 6),
        ("parallel", 6), ("dense", 7), ("dense", 8),
    ]  # fmt: skip
    assert rows["rnn"].shape == (None, 3) and rows["rnn"].trainable == 0
    # Two kernels of 3 by 4 and a bias; each layer has what it made.
    assert rows["..convolution.0"].parameters == 28
    assert rows["side"].parameters == 3 * 5 + 5 + 5 * 6 + 6
    assert sum(row.parameters for row in rows.values()) == model.keras.count_params()


def test_the_picture_has_every_layer_and_every_arrow(model: Model, tmp_path: Path) -> None:
    draw(model, tmp_path / "out" / "net.svg")
    root = ET.parse(tmp_path / "out" / "net.svg").getroot()
    name = "{http://www.w3.org/2000/svg}"
    boxes = root.findall(f"{name}g/{name}rect")
    assert len(boxes) == len(model.nodes) == 8
    corners = {(float(box.attrib["x"]), float(box.attrib["y"])) for box in boxes}
    assert len(corners) == 8  # no box on another
    wide, high = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(x + 210 <= wide and y + 50 <= high for x, y in corners)
    assert len(root.findall(f"{name}path")) == 8
    said = " ".join(text.text or "" for text in root.iter(f"{name}text"))
    assert "a<b: dense" in said and "? x 3" in said and "frozen" in said
    assert svg(model) == svg(model)


def test_a_picture_is_an_svg(model: Model, tmp_path: Path) -> None:
    with pytest.raises(KurError, match=r"net\.png: a network is drawn as SVG; give a name that e"):
        draw(model, tmp_path / "net.png")
