"""Networks from Kurfiles: names, loops, templates, groups, heads; and one line for each mistake."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
from tiny_kur import kurfile

from kur.data.supplier import Source
from kur.errors import KurError
from kur.model import Model, build, check
from kur.reader import Kurfile
from kur.timing import reach_of, stride_of

SOURCES = {"sound": Source((None, 4)), "word": Source((None,), "int32"), "pixel": Source((6,))}


def made(folder: Path, text: str) -> Model:
    return build(kurfile(folder, dedent(text)), SOURCES)


def test_a_chain_and_its_names(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: pixel
          - dense: 5
          - activation: relu
          - dense: 3
          - activation: softmax
            name: answer
        """,
    )
    assert list(model.nodes) == ["pixel", "..dense.0", "..activation.0", "..dense.1", "answer"]
    assert (model.inputs, model.outputs) == (("pixel",), ("answer",))
    assert [node.mark.line for node in model.nodes.values()] == [2, 3, 4, 5, 6]
    assert model.nodes["answer"].activation == "softmax"
    paths = [variable.path for variable in model.keras.variables]
    assert paths == ["dense_0/kernel", "dense_0/bias", "dense_1/kernel", "dense_1/bias"]


def test_names_that_keras_would_take_for_the_same(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: pixel
          - dense: 5
          - {dense: 5, name: dense_0}
          - {dense: [5, 5], name: a.b}
          - {dense: 5, name: a/b}
        """,
    )
    assert len({variable.path for variable in model.keras.variables}) == 10


def test_the_shape_and_type_of_inputs(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: sound
          - input: word
          - input: {name: other, shape: [3, null], type: int32}
          - input:
            name: pixel
          - input: {name: sound2, shape: [2]}
          - {flatten: , inputs: sound, name: a}
          - {flatten: , inputs: word, name: b}
          - {flatten: , inputs: other, name: c}
          - {flatten: , inputs: pixel, name: d}
          - {flatten: , inputs: sound2, name: e}
        """,
    )
    shapes = {name: tuple(model.nodes[name].tensor.shape[1:]) for name in model.inputs}
    assert shapes == {
        "sound": (None, 4),
        "word": (None,),
        "other": (3, None),
        "pixel": (6,),
        "sound2": (2,),
    }
    assert str(model.nodes["word"].tensor.dtype) == "int32"
    assert str(model.nodes["other"].tensor.dtype) == "int32"


def test_a_shape_leaves_open_what_the_data_says(tmp_path: Path) -> None:
    model = made(tmp_path, "model: [{input: {name: sound, shape: [7, null]}}, dense: 2]\n")
    assert tuple(model.nodes["sound"].tensor.shape[1:]) == (7, 4)


def test_several_heads_and_sinks(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: pixel
          - {dense: 4, name: trunk, sink: yes}
          - {dense: 2, name: one}
          - {dense: 3, name: two, inputs: trunk}
          - dense: 5
          - output:
              name: three
        """,
    )
    assert set(model.outputs) == {"trunk", "one", "three"}
    outputs = model.keras.predict_on_batch({"pixel": np.zeros((2, 6), np.float32)})
    assert {name: array.shape for name, array in outputs.items()} == {
        "trunk": (2, 4),
        "one": (2, 2),
        "three": (2, 5),
    }


def test_a_residual_adds_what_went_in(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        model:
          - input: sound
          - residual:
              - convolution: {size: 3, depthwise: yes}
              - residual: {apply: [dense: 4]}
            name: out
        """,
    )
    model.keras.set_weights([np.zeros_like(one) for one in model.keras.get_weights()])
    sound = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
    assert (model.keras.predict_on_batch({"sound": sound})["out"] == sound).all()


def test_parallel_works_on_each_time_step(tmp_path: Path) -> None:
    text = """\
        model:
          - input: {name: film, shape: [null, 4, 4, 2]}
          - parallel:
              apply:
                - convolution: {kernels: 3, size: 2}
                - batch_normalization
                - dense: {size: 5, flatten: yes}
                - for: {range: 2, iterate: [dense: 5, activation: softmax]}
            name: out
          - output: end
    """
    model = made(tmp_path, text)
    assert model.outputs == ("end",) and model.nodes["end"].activation == "softmax"
    assert model.nodes["end"].tensor.shape == (None, None, 5)
    assert [name for name in model.nodes if name.startswith("..dense")] == [
        "..dense.0", "..dense.1", "..dense.2",
    ]  # fmt: skip
    film = np.random.default_rng(0).normal(size=(2, 7, 4, 4, 2)).astype(np.float32)
    whole = model.keras.predict_on_batch({"film": film})["end"]
    alone = model.keras.predict_on_batch({"film": film[:, 3:4]})["end"]
    assert whole.shape == (2, 7, 5)
    np.testing.assert_allclose(whole[:, 3:4], alone, rtol=1e-5)


def test_reuse_shares_weights(tmp_path: Path) -> None:
    """A layer, a loop, and what a 'parallel' does, each once more on other inputs."""
    model = made(
        tmp_path,
        """\
        model:
          - input: sound
          - input: {name: other, shape: [null, 4]}
          - {dense: 4, inputs: sound, name: one}
          - for: {range: 2, iterate: [dense: 4, activation: tanh]}
            name: loop
          - {parallel: [dense: 3], name: last}
          - {reuse: one, inputs: other}
          - reuse: {target: loop}
          - {reuse: last, name: again}
        """,
    )
    assert set(model.outputs) == {"last", "again"}
    assert len(model.keras.variables) == 8
    assert {"..reuse.0", "..reuse.1", "..dense.0", "..parallel.0"} & set(model.nodes) == {
        "..reuse.0", "..reuse.1", "..dense.0",
    }  # fmt: skip
    sound = np.random.default_rng(0).normal(size=(1, 9, 4)).astype(np.float32)
    found = model.keras.predict_on_batch({"sound": sound, "other": sound[:, ::-1]})
    np.testing.assert_allclose(found["again"], found["last"][:, ::-1], rtol=1e-5, atol=1e-6)


def test_frozen_layers_do_not_learn(tmp_path: Path) -> None:
    model = made(
        tmp_path,
        """\
        templates:
          block: [dense: 3, {dense: 3, freeze: no}]
        model:
          - input: pixel
          - {dense: [4, 4], name: a, freeze: yes}
          - {dense: 4, name: a_b}
          - {block: , freeze: yes}
          - dense: 2
        """,
    )
    learning = {variable.path.partition("/")[0] for variable in model.keras.trainable_variables}
    assert learning == {"a_b", "dense_1", "dense_2"}


def test_the_activation_stays_known_where_values_are_only_moved(tmp_path: Path) -> None:
    text = """\
        model:
          - input: pixel
          - dense: 3
          - activation: softmax
          - reshape: [3, 1]
          - transpose: [1, 0]
          - output: out
    """
    assert made(tmp_path, text).nodes["out"].activation == "softmax"


def test_the_acoustic_recipe() -> None:
    """The network that ships: 25 frames a second of 39 phones and a blank."""
    recipe = Kurfile(Path(__file__).parents[1] / "recipes" / "acoustic.yml")
    recipe.parse()
    model = build(recipe, {"utterance": Source((None, 64))})
    steps = model.nodes["phones"].steps
    assert (model.inputs, model.outputs) == (("utterance",), ("phones",))
    assert model.nodes["phones"].tensor.shape[-1] == 40 and stride_of(steps) == 4
    reach = reach_of(steps)
    assert reach is not None and reach < 300


CHAIN = "model:\n  - input: pixel\n"
WRONG = {
    "no input": ("model:\n  - dense: 3\n", "2: model.0: no input before this layer; begin with "),
    "unknown layer": (
        CHAIN + "  - danse: 3\n",
        "3: model.1.danse: unknown layer 'danse' (did you mean 'dense'?); known: dense, ",
    ),
    "not a layer": (CHAIN + "  - 7\n", "3: model.1: a layer is a mapping such as 'dense: 10', fo"),
    "mis-indented": (
        CHAIN + "  - dense:\n    size: 3\n",
        "3: model.1: one layer type expected, found 'dense', 'size'; are its arguments indented ",
    ),
    "only common keys": (
        CHAIN + "  - name: x\n",
        "3: model.1: one layer type expected, found none",
    ),
    "no such source": (
        "model:\n  - input: pixle\n",
        "2: model.0.input: the data has no source named 'pixle' (did you mean 'pixel'?) and no "
        "'shape' is given; sources: sound, word, pixel",
    ),
    "no name": ("model:\n  - input:\n", "2: model.0: an input needs a name: 'input: NAME'"),
    "input argument": (
        "model:\n  - input: {name: x, shpe: [3]}\n",
        "2: model.0.input.shpe: 'input' has no argument 'shpe' (did you mean 'shape'?); accepted",
    ),
    "input type": (
        "model:\n  - input:\n      name: x\n      shape: [3]\n      type: float31\n",
        "5: model.0.input.type: 'type' of 'input' must be one of float16, float32, ",
    ),
    "input shape": (
        "model:\n  - input: {name: sound, shape: [null, 5]}\n  - dense: 3\n",
        "2: model.0.input.shape: the shape [None, 5] does not fit the data, which has [None, 4]",
    ),
    "input that leads nowhere": (
        "model:\n  - input: sound\n  - input: pixel\n  - dense: 3\n",
        "2: model: no layer takes the input 'sound'",
    ),
    "inputs": (
        CHAIN + "  - {dense: 3, name: one}\n  - {dense: 3, inputs: two}\n",
        "4: model.2.inputs: no layer is named 'two'; named so far: pixel, one",
    ),
    "several inputs": (
        CHAIN + "  - {dense: 3, name: one}\n  - {dense: 3, inputs: [one, pixel]}\n",
        "4: model.2.inputs: 'dense' takes one input, found 2; join them with 'merge'",
    ),
    "several inputs of a residual": (
        CHAIN + "  - {dense: 6, name: a}\n  - {residual: [dense: 6], inputs: [a, pixel]}\n",
        "4: model.2.inputs: 'residual' takes one input, found 2; join them with 'merge'",
    ),
    "duplicate name": (
        CHAIN + "  - {dense: 3, name: one}\n  - {dense: 4, name: one}\n",
        "4: model.2: the name 'one' is taken by the layer of line 3",
    ),
    "duplicate output": (
        CHAIN + "  - {dense: 3, name: one}\n  - output: one\n",
        "4: model.2: the name 'one' is taken by the layer of line 3",
    ),
    "residual changes the shape": (
        CHAIN + "  - residual:\n      - dense: 3\n",
        "3: model.1.residual: the layers inside turn (6,) into (3,); a residual must keep the "
        "shape (its input, 'pixel' of line 2, has the shape (6,))",
    ),
    "residual changes the length": (
        "model:\n  - input: sound\n"
        "  - residual: [convolution: {kernels: 4, size: 3, strides: 2}]\n",
        "3: model.1.residual: the layers inside change the number of time steps; a residual must",
    ),
    "residual of nothing": (CHAIN + "  - residual: []\n", "3: model.1.residual: no layers inside"),
    "residual argument": (
        CHAIN + "  - residual: {layers: []}\n",
        "3: model.1.residual.layers: 'residual' has no argument 'layers'; accepted",
    ),
    "parallel": (
        "model:\n  - input: sound\n  - parallel:\n      - convolution: {kernels: 3, size: 3}\n",
        "4: model.1.parallel.0.convolution: a convolution needs (time, channels), (height, width, "
        "channels) or a volume (its input, 'sound' of line 2, has the shape (4,))",
    ),
    "parallel without steps": (
        CHAIN + "  - parallel: [dense: 3]\n",
        "3: model.1.parallel: time steps are needed, each with values of its own (its input, 'pixe",
    ),
    "parallel of nothing": (
        "model:\n  - input: sound\n  - parallel: []\n",
        "3: model.1.parallel: no layers inside",
    ),
    "an output in parallel": (
        "model:\n  - input: sound\n  - parallel:\n"
        "      - {dense: 3, sink: yes}\n      - dense: 2\n",
        "4: model.1.parallel: the layer '..dense.0' inside 'parallel' cannot be an output",
    ),
    "into a parallel": (
        "model:\n  - input: sound\n  - parallel:\n      - {dense: 3, name: in}\n"
        "  - {dense: 3, inputs: in}\n",
        "5: model.2.inputs: the layer 'in' of line 4 and this one are not in the same 'parallel'",
    ),
    "inputs of an input": (
        CHAIN + "  - {input: word, inputs: pixel}\n",
        "3: model.1.inputs: an input takes no 'inputs'",
    ),
    "reuse": (
        CHAIN + "  - {dense: 3, name: one}\n  - reuse: oen\n",
        "4: model.2.reuse: no layer before this one is named 'oen' (did you mean 'one'?); named s",
    ),
    "reuse that does not fit": (
        CHAIN + "  - {dense: 3, name: one}\n  - reuse: one\n",
        "4: model.2.reuse: 'one' of line 3 does not fit here: ",
    ),
    "reuse argument": (
        CHAIN + "  - dense: 3\n  - reuse: {name: x}\n",
        "4: model.2.reuse.name: 'reuse' has no argument 'name'",
    ),
    "assert": (
        CHAIN + "  - dense: 3\n  - assert: '{{ layers|length > 2 }}'\n",
        "4: model.2.assert: the assertion does not hold: '{{ layers|length > 2 }}' is False",
    ),
    "sink": (
        CHAIN + "  - {dense: 3, sink: maybe}\n",
        "3: model.1.sink: yes or no expected, found 'maybe'",
    ),
    "name": (
        CHAIN + "  - {dense: 3, name: [a]}\n",
        "3: model.1.name: 'name' must be a text, found ['a']",
    ),
    "two shapes": (
        "model:\n  - input: sound\n  - {dense: 3, name: a}\n"
        "  - {dense: 2, name: b, inputs: sound}\n  - {merge: add, inputs: [a, b]}\n",
        "5: model.3.merge: ",
    ),
    "for without layers": (
        CHAIN + "  - for: {range: 3}\n",
        "3: model.1.for: 'for' needs 'iterate'; accepted (* required): range*, iterate*, with_in",
    ),
    "for by a text": (
        CHAIN + "  - for:\n      range: many\n      iterate: []\n",
        "4: model.1.for.range: 'range' of 'for' must be a whole number, found 'many'",
    ),
    "for backwards": (
        CHAIN + "  - for: {range: -1, iterate: []}\n",
        "3: model.1.for.range: a whole number from 0 on expected, found -1",
    ),
    "for argument": (
        CHAIN + "  - for: {range: 1, index: i, iterate: []}\n",
        "3: model.1.for.index: 'for' has no argument 'index' (did you mean 'with_index'?); ",
    ),
    "for_each of a text": (
        CHAIN + "  - for_each: {items: abc, iterate: []}\n",
        "3: model.1.for_each.items: 'items' of 'for_each' must be a whole number or a list, found",
    ),
    "inside a loop": (
        CHAIN + "  - for:\n      range: 2\n      iterate:\n        - dense: '{{ sze }}'\n",
        "6: model.1.for.iterate.0.dense: 'sze' is not defined",
    ),
    "inside a template": (
        "templates:\n  t:\n    - dense: '{{ size }}'\n" + CHAIN + "  - t: {siz: 3}\n",
        "3: templates.t.0.dense: 'size' is not defined (did you mean 'siz'?); defined: ",
    ),
    "template of itself": (
        "templates:\n  a: [b: ]\n  b:\n    - a:\n" + CHAIN + "  - a:\n",
        "4: templates.b.0: the template 'a' uses itself: a -> b -> a",
    ),
    "template like a layer": (
        "templates:\n  dense: []\n" + CHAIN + "  - dense: 3\n",
        "2: templates.dense: a template cannot have the name of the built-in 'dense'",
    ),
    "template of a text": (
        "templates:\n  t: x\n" + CHAIN + "  - t:\n",
        "2: templates.t: a list of layers expected, each begun by '-', found 'x'",
    ),
    "output argument": (
        CHAIN + "  - dense: 3\n  - output: {nme: x}\n",
        "4: model.2.output.nme: 'output' has no argument 'nme' (did you mean 'name'?); accepted",
    ),
    "only an input": (CHAIN, "2: model: no layer takes the input 'pixel'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_model(what: str, tmp_path: Path) -> None:
    text, message = WRONG[what]
    with pytest.raises(KurError) as caught:
        build(kurfile(tmp_path, text), SOURCES)
    assert str(caught.value).startswith(f"{tmp_path}/k.yml:{message}")
    assert "\n" not in str(caught.value)


def test_a_check_goes_on_past_every_error_without_keras(tmp_path: Path) -> None:
    outline = check(
        kurfile(
            tmp_path,
            dedent(
                """\
                model:
                  - input: pixel
                  - dense: {sise: 5}
                    name: first
                  - for: {range: 2, iterate: [dense: "{{ index + 1 }}", denze: 3]}
                  - convolution: {size: 3, kernels: no}
                  - dropout: 2
                  - dense: 3
                    name: answer
                    inputs: first
                  - dense: 3
                    inputs: fist
                """
            ),
        )
    )
    found = "\n".join(map(str, outline.errors))
    assert [error.line for error in outline.errors] == [3, 5, 6, 7, 12], found
    assert "did you mean 'dense'" in str(outline.errors[1])
    assert outline.model is not None
    assert outline.model.inputs == ("pixel",) and "answer" in outline.model.outputs
