"""Loops, templates, conditions, tags and the automatic names, which weights on disk follow."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from tiny_kur import kurfile

from kur.data.supplier import Source
from kur.model import Model, build

SOURCES = {"sound": Source((None, 4)), "pixel": Source((6,))}


def made(folder: Path, text: str) -> Model:
    return build(kurfile(folder, dedent(text)), SOURCES)


def test_automatic_names_are_counted_as_kur_counted_them(tmp_path: Path) -> None:
    """Also those of layers that are left out, for each type by itself; groups have their own."""
    model = made(
        tmp_path,
        """\
        templates:
          pair: [dense: 2, {dense: 3, name: "named {{ args }}"}]
        model:
          - input: pixel
          - dense: 3
          - {dense: 3, name: mine}
          - {dense: 3, when: no}
          - for: {range: 2, iterate: [dense: 3, {pair: 1, when: no}, activation: relu]}
            when: no
          - for: {range: 2, iterate: [dense: 3, activation: relu]}
            name: loop
          - {reuse: mine, inputs: "..activation.3", name: x}
          - {dense: 4, inputs: ..for.0, when: no, name: passed}
          - {dense: 5, inputs: passed}
          - pair: 0
            inputs: x
          - debug: "{{ layers[-1] }}"
          - {dense: 6, inputs: [..meta.2]}
        """,
    )
    names = [name for name, node in model.nodes.items() if node.kind == "dense"]
    assert names == [
        "..dense.0", "mine", "..dense.6", "..dense.7", "..dense.8", "..dense.9", "named 0",
        "..dense.10",
    ]  # fmt: skip
    # The name of a loop is its last layer's, which is known by its own too.
    assert model.nodes["loop"].kind == "activation" and model.node("..activation.3").name == "loop"
    paths = {variable.path for variable in model.keras.variables}
    assert "dense_10/kernel" in paths and "mine/kernel" in paths


def test_debug_and_assert(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = """\
        model:
          - input: pixel
          - debug: "{{ layers|length }} so far: {{ layers[-1] }}"
          - assert: "{{ layers|length == 1 }}"
          - debug
          - {dense: 3, name: out}
    """
    with caplog.at_level("DEBUG", "kur"):
        model = made(tmp_path, text)
    assert [one.getMessage() for one in caplog.records if one.name == "kur"] == [
        f"{tmp_path}/k.yml:3: 1 so far: pixel",
        f"{tmp_path}/k.yml:5: None",
    ]
    assert model.outputs == ("out",)


def test_a_template_knows_what_it_stands_on(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        templates:
          skip:
            - {dense: 6, name: "{{ args }}"}
            - {merge: add, inputs: ["{{ args }}", "{{ inputs }}"]}
        model:
          - input: pixel
          - skip: a
          - skip: b
        """,
    )
    assert model.nodes["..merge.1"].inputs == (model.nodes["b"], model.nodes["..merge.0"])


def test_flags_may_be_texts_of_templates(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        settings: {deep: "no", keep: "yes"}
        model:
          - input: pixel
          - {dense: 3, name: one, sink: "{{ keep }}", freeze: "{{ keep }}"}
          - {dense: 3, when: "{{ deep }}"}
          - {dense: 2, name: two}
        """,
    )
    assert set(model.outputs) == {"one", "two"} and len(model.keras.trainable_variables) == 2


def test_loops_templates_and_conditions(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        settings: {wide: 3, small: yes}
        templates:
          pair:
            - dense: "{{ size }}"
            - activation: "{{ kind }}"
          twice:
            - for: {range: 2, iterate: [pair: {size: "{{ args }}", kind: tanh}]}
        model:
          - input: pixel
          - for:
              range: 2
              with_index: i
              iterate:
                - {dense: "{{ wide + i }}", name: "wide{{ i }}"}
          - for_each: {items: [7, 8], loop_var: n, iterate: [dense: "{{ n + index }}"]}
          - {dense: 50, when: "{{ not small }}"}
          - twice: 4
          - pair: {size: 5, kind: relu}
            name: last
          - output: answer
        """,
    )
    sizes = [node.tensor.shape[-1] for node in model.nodes.values() if node.kind == "dense"]
    assert sizes == [3, 4, 7, 9, 4, 4, 5]
    assert {"wide0", "wide1", "last"} <= set(model.nodes)
    assert model.nodes["last"].kind == "activation" and model.outputs == ("answer",)


def test_inputs_of_a_group_go_to_its_first_layer_and_its_name_to_its_last(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        templates:
          join:
            - merge: add
            - dense: "{{ inputs|length }}"
        model:
          - input: pixel
          - {dense: 3, name: a}
          - {dense: 3, name: b, inputs: pixel}
          - join:
            inputs: [a, b]
            name: joined
            sink: yes
          - for: {range: 2, iterate: [dense: 7]}
            inputs: b
            name: looped
          - {dense: 1, inputs: joined, name: end}
        """,
    )
    assert set(model.outputs) == {"joined", "looped", "end"}
    assert model.nodes["joined"].tensor.shape[-1] == 2
    assert model.nodes["looped"].tensor.shape[-1] == 7


def test_tags_are_known_to_what_comes_later(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: pixel
          - {dense: 3, tag: [wide, x], oldest: first}
          - {dense: 4, tag: wide, oldest: first}
          - {dense: 5, inputs: "{{ tags.wide }}"}
          - {dense: 6, inputs: "{{ oldest.first }}"}
          - {dense: "{{ layers|length }}", inputs: "{{ tags.x }}", name: last}
        """,
    )
    kernels = [
        tuple(variable.shape) for variable in model.keras.variables if "kernel" in variable.path
    ]
    assert kernels == [(6, 3), (3, 4), (4, 5), (3, 6), (3, 5)]


def test_a_loss_may_speak_of_the_layers(tmp_path: Path) -> None:
    text = "model: [input: pixel, {dense: 3, tag: end}]\nloss: [target: '{{ tags.end }}']\n"
    made_of = kurfile(tmp_path, text)
    build(made_of, SOURCES)
    assert made_of.section("loss")[0]["target"] == "..dense.0"
