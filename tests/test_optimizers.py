"""Optimizers: schedules by the numbers, clipping of real gradients, and options that cannot be."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_kur import POINTS, kurfile

from kur.arguments import ArgumentError
from kur.backend import keras
from kur.errors import KurError
from kur.optimizers import OPTIMIZERS, Schedule, make_optimizer
from kur.session import training


def test_a_constant_rate() -> None:
    for setting in (None, "adam", {"name": "adam"}, {"learning_rate": 0.001}):
        optimizer = make_optimizer(setting)
        assert type(optimizer.keras).__name__ == "Adam"
        assert [optimizer.schedule.at(step, 0) for step in (0, 7)] == [0.001, 0.001]
        assert not optimizer.schedule.needs_total
    assert make_optimizer({"name": "sgd", "learning_rate": 1}).schedule.at(5, 10) == 1.0


def test_each_optimizer_has_a_rate_of_its_own() -> None:
    rates = {name: make_optimizer(name).schedule.at(0, 1) for name in OPTIMIZERS}
    assert rates == {
        "adam": 0.001,
        "adamw": 0.001,
        "sgd": 0.01,
        "adadelta": 1.0,
        "rmsprop": 0.001,
    }


def test_cosine_with_a_warm_up() -> None:
    schedule = make_optimizer(
        {"learning_rate": {"peak": 1.0, "schedule": "cosine", "warmup": 0.25, "final": 0.2}}
    ).schedule
    found = [schedule.at(step, 8) for step in range(9)]
    fall = [0.2 + 0.8 * (1 + math.cos(math.pi * part / 6)) / 2 for part in range(7)]
    assert found == pytest.approx([0.5, 1.0, *fall])


def test_linear() -> None:
    schedule = Schedule(peak=2.0, schedule="linear", final=1.0)
    assert [schedule.at(step, 4) for step in range(5)] == [2.0, 1.75, 1.5, 1.25, 1.0]
    assert schedule.at(99, 4) == 1.0


@given(
    st.sampled_from(["constant", "cosine", "linear"]),
    st.floats(0, 0.99),
    st.floats(1e-6, 10),
    st.floats(0, 1),
    st.integers(1, 500),
)
@settings(deadline=None)
def test_a_rate_is_never_above_its_peak(
    kind: Any, warmup: float, peak: float, share: float, total: int
) -> None:
    schedule = Schedule(peak=peak, schedule=kind, warmup=warmup, final=share * peak)
    rates = [schedule.at(step, total) for step in range(total + 1)]
    assert all(0 < rate <= peak * (1 + 1e-9) for rate in rates[:total])
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


def moved(setting: dict[str, Any], gradients: list[list[float]]) -> list[list[float]]:
    """By how much one step of the optimizer moves weights that are zero."""
    library = keras()
    variables = [library.Variable(np.zeros(len(one), np.float32)) for one in gradients]
    optimizer = make_optimizer(setting)
    optimizer.keras.build(variables)
    optimizer.keras.learning_rate = optimizer.schedule.at(0, 1)
    optimizer.keras.apply([library.ops.convert_to_tensor(one) for one in gradients])
    return [(-library.ops.convert_to_numpy(one)).tolist() for one in variables]


def test_clipping_by_norm_is_of_all_gradients_together() -> None:
    sgd = {"name": "sgd", "learning_rate": 1.0}
    assert moved(sgd, [[3.0], [0.0, 4.0]]) == [[3.0], [0.0, 4.0]]
    [[first], [_, second]] = moved({**sgd, "clip": {"norm": 1}}, [[3.0], [0.0, 4.0]])
    assert (first, second) == (pytest.approx(0.6), pytest.approx(0.8))
    small = moved({**sgd, "clip": {"norm": 10}}, [[3.0], [0.0, 4.0]])
    assert small == [[pytest.approx(3.0)], [0.0, pytest.approx(4.0)]]


def test_clipping_by_value_is_of_each() -> None:
    sgd = {"name": "sgd", "learning_rate": 1.0, "clip": {"abs": 2}}
    assert moved(sgd, [[3.0], [-1.0, -4.0]]) == [[2.0], [-1.0, -2.0]]


def test_momentum_and_decay_reach_keras() -> None:
    sgd = make_optimizer({"name": "sgd", "momentum": 0.9, "nesterov": True}).keras
    assert (sgd.momentum, sgd.nesterov) == (0.9, True)
    assert make_optimizer({"name": "adamw", "weight_decay": 0.5}).keras.weight_decay == 0.5


WRONG: list[tuple[Any, str, str]] = [
    ("adm", "name", "unknown optimizer 'adm' (did you mean 'adam'?); known: adam, adamw, "),
    ({"rate": 1}, "rate", "the optimizer adam has no argument 'rate'"),
    ({"momentum": 1.0}, "momentum", "the optimizer adam has no argument 'momentum'"),
    ({"learning_rate": "fast"}, "learning_rate", "'learning_rate' of the optimizer adam must be "),
    ({"learning_rate": 0}, "learning_rate.peak", "the learning rate must be above 0, found 0"),
    ({"learning_rate": {}}, "learning_rate", "'learning_rate' needs 'peak'; accepted"),
    ({"learning_rate": {"peak": 1, "warmup": 1}}, "learning_rate.warmup", "'warmup' is a share of"),
    ({"learning_rate": {"peak": 1, "final": 2}}, "learning_rate.final", "'final' must be from 0 "),
    (
        {"learning_rate": {"peak": 1, "schedule": "cos"}},
        "learning_rate.schedule",
        "'schedule' of 'learning_rate' must be one of constant, cosine, linear, found 'cos'",
    ),
    ({"clip": {}}, "clip", "'clip' takes one of 'norm' and 'abs'"),
    ({"clip": {"norm": 1, "abs": 1}}, "clip", "'clip' takes one of 'norm' and 'abs'"),
    ({"clip": {"norm": 0}}, "clip.norm", "'norm' of 'clip' must be above 0, found 0"),
    ({"clip": {"nrm": 1}}, "clip.nrm", "'clip' has no argument 'nrm' (did you mean 'norm'?)"),
    ({"clip": 1}, "clip", "'clip' takes no bare value, found 1; accepted"),
]


@pytest.mark.parametrize(("setting", "key", "message"), WRONG)
def test_what_is_wrong_with_an_optimizer(setting: Any, key: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make_optimizer(setting)
    assert str(caught.value).startswith(message) and caught.value.key == key


def test_the_line_of_what_is_wrong(tmp_path: Path) -> None:
    text = POINTS.replace(
        "optimizer: {name: adam, learning_rate: {peak: 0.02, schedule: cosine, warmup: 0.1}}",
        "optimizer:\n    clip:\n      norm: 0",
    )
    line = text.splitlines().index("      norm: 0") + 1
    with pytest.raises(KurError) as caught:
        training(kurfile(tmp_path, text))
    where = f"{tmp_path}/k.yml:{line}: train.optimizer.clip.norm: "
    assert str(caught.value).startswith(where + "'norm' of 'clip' must be above 0")


def test_a_schedule_needs_an_end(tmp_path: Path) -> None:
    with pytest.raises(KurError, match="the learning rate follows the number of epochs; give 'ep"):
        training(kurfile(tmp_path, POINTS, train__stop_when__epochs="inf"))


def test_decay_and_the_scale_of_a_source() -> None:
    setting = {"name": "SGD", "learning_rate": 1.0, "decay": 0.5, "scale_rate": "duration"}
    batch = {"duration": np.array([[2.0], [16.0]])}
    optimizer = make_optimizer(setting)
    assert [optimizer.rate(step, 0, batch) for step in (0, 2)] == [9.0, 4.5]
    root = make_optimizer({**setting, "scale_mode": "sqrt"})
    assert root.rate(2, 0, batch) == 1.5
    assert make_optimizer({"name": "rmsprop", "learning_rate": None, "clip": None}).rate(
        5, 0, {}
    ) == pytest.approx(0.001)
    with pytest.raises(KurError, match=r"'scale_rate' needs the source 'duration' \(did you mean"):
        optimizer.rate(0, 0, {"durations": 1})
    with pytest.raises(KurError, match=r"'duration' over a batch is 0\.0, which is no factor"):
        optimizer.rate(0, 0, {"duration": np.zeros(3)})
    for wrong, key in (({"decay": -1}, "decay"), ({"scale_mode": "cube"}, "scale_mode")):
        with pytest.raises(ArgumentError) as caught:
            make_optimizer(wrong)
        assert caught.value.key == key
