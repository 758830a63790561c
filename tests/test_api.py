"""`kur.Kurfile` as programs use it: one network that is trained, tested and evaluated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_kur import POINTS

import kur
from kur.backend import Backend
from kur.checkpoint import weights_of

EVALUATE = "evaluate:\n  data: [points: {count: 6, seed: 2}]\n  destination: results.pkl\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A Kurfile that trains in a second."""
    path = tmp_path / "k.yml"
    path.write_text(POINTS + EVALUATE, encoding="utf-8")
    return path


def same(one: Any, other: Any) -> bool:
    """Whether two networks have the same weights."""
    first, second = weights_of(one.keras), weights_of(other.keras)
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


def test_train_test_evaluate(file: Path) -> None:
    k = kur.Kurfile(file)
    k.parse()
    model = k.get_model()
    assert model.get_shape_at_layer("quadrant") == (4,) and k.get_model() is model
    before = weights_of(model.keras)
    trainer = k.get_training_function()
    state = trainer()
    assert (state.epoch, state.step, state.finished) == (3, 15, True)
    after = weights_of(model.keras)
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    figures = k.get_testing_function()()
    assert set(figures) == {""} and set(figures[""]) == {"loss", "accuracy"}
    found = k.get_evaluation_function()()[""]
    rows = found.result["quadrant"]
    assert np.shape(rows) == (6, 4) and (file.parent / "results.pkl").exists()
    provider = k.get_provider("evaluation")
    batch = next(iter(provider.batches(0, training=False)))
    assert np.allclose(rows, model.keras.predict({"point": batch["point"]}, verbose=0)["quadrant"])


def test_what_is_restored_is_what_is_tested(file: Path) -> None:
    k = kur.Kurfile(file)
    k.get_training_function()()
    base = file.parent
    k.get_model().save(base / "own.safetensors")
    other = kur.Kurfile(file, {"settings.seed": "9"})
    model = other.get_model()
    assert not same(model, k.get_model())
    model.restore(base / "own.safetensors")
    assert same(model, k.get_model())
    assert other.get_testing_function()() == k.get_testing_function()()
    # Without a network of its own a section takes the weights that training keeps: the best ones.
    fresh = kur.Kurfile(file)
    fresh.get_testing_function()()
    best = kur.Kurfile(file)
    best.get_model().restore(base / "out/best.safetensors")
    assert same(fresh.get_model(), best.get_model())
    named = kur.Kurfile(file, {"test.weights": "none.safetensors"})
    measure = named.get_testing_function()
    with pytest.raises(kur.KurfileError, match=r"test\.weights: .*none\.safetensors: no such weig"):
        measure()


def test_parts(file: Path) -> None:
    k = kur.Kurfile(file, {"validate.data": "{a: [points: {count: 4}], b: [points]}"})
    assert k.get_seed() == 3 and k.get_backend() == Backend("torch")
    train = k.get_provider("train")
    assert train is k.get_provider("training") and train.samples == 40
    assert {name: one.samples for name, one in k.get_provider("validate").items()} == {
        "a": 4,
        "b": 48,
    }
    assert k.get_provider("settings") is None
    assert k.get_optimizer().schedule.peak == 0.02
    losses = k.get_loss()
    assert losses is not None and list(losses) == ["quadrant"] and losses["quadrant"].weight == 1.0
    model = k.get_model()
    assert model.get_shape_at_layer("point") == (2,)
    with pytest.raises(kur.KurError, match="no layer is named 'pont'"):
        model.get_shape_at_layer("pont")


def test_shapes_may_come_from_a_given_provider(file: Path) -> None:
    k = kur.Kurfile(file, {"train.data": "null"})
    model = k.get_model(k.get_provider("test"))
    assert model.inputs == ("point",)


def test_a_dictionary() -> None:
    source: dict[str, Any] = {
        "settings": {"size": "{{ 2 + 3 }}"},
        "model": [{"input": {"name": "x", "shape": [3]}}, {"dense": "{{ size }}", "name": "y"}],
    }
    k = kur.Kurfile(source, {"settings.seed": "4"})
    assert k.get_model().get_shape_at_layer("y") == (5,) and k.get_seed() == 4
    assert "seed" not in source["settings"] and k.get_loss() is None
    with pytest.raises(kur.KurfileError, match=r"^dictionary: train: there is no 'train' section$"):
        k.get_training_function()
    with pytest.raises(kur.KurfileError, match=r"^dictionary: include: a dictionary includes noth"):
        kur.Kurfile({**source, "include": "other.yml"}).parse()
    source["model"][1]["dnse"] = source["model"][1].pop("dense")
    with pytest.raises(
        kur.KurfileError, match=r"^dictionary: model\.1\.dnse: .*did you mean 'dense'"
    ):
        kur.Kurfile(source).get_model()


def test_names_of_the_package() -> None:
    for name in kur.__all__:
        assert callable(getattr(kur, name)) and name in dir(kur)
    assert set(kur.__all__) == set(kur._HOMES)
    with pytest.raises(AttributeError, match="module 'kur' has no attribute 'Kurfil'"):
        kur.Kurfil  # noqa: B018


def test_what_overrides_are(file: Path) -> None:
    wrong: Any = object()  # where Kur 0.7 took an engine
    with pytest.raises(kur.KurError, match=r"overrides\): a dictionary expected, found object"):
        kur.Kurfile(file, wrong)
