"""Sections: names, aliases, and the options of the running ones."""

from __future__ import annotations

from typing import Any

import pytest

from kur.errors import KurfileError
from kur.marks import MarkedDict
from kur.schema import (
    Checkpoint,
    Destination,
    Elapsed,
    LogTarget,
    Run,
    StopWhen,
    Train,
    TrainWeights,
    all_names,
    canonical,
    names_of,
    read_run,
    read_train,
)
from kur.yaml_marks import load


def section(text: str) -> MarkedDict:
    value = load(text, "f.yml")
    assert isinstance(value, MarkedDict)
    return value


def test_names() -> None:
    assert canonical("training") == canonical("train") == "train"
    assert canonical("model") == "model" and canonical("other") == "other"
    assert names_of("evaluate") == ("evaluate", "evaluation")
    assert names_of("loss") == ("loss",)
    assert {"settings", "validation", "templates", "include"} <= set(all_names())


def test_an_empty_train_section() -> None:
    assert read_train(MarkedDict()) == Train()
    assert read_train(section("{weights:, log: null, hooks:, data:}")) == Train()


def test_a_full_train_section() -> None:
    train = read_train(
        section(
            "data: [{csv: a.csv}]\n"
            "provider: {batch_size: 16}\n"
            "optimizer: sgd\n"
            "hooks: [plot]\n"
            "stop_when: {epochs: 3, mode: total, elapsed: {hours: 2, minutes: 30, clock: train}}\n"
            "weights: {initial: a, must_exist: yes, best: b, last: c}\n"
            "checkpoint: {path: d, minutes: 5, validation: 10}\n"
            "log: {name: binary, path: e, keep_batch: no, rate: 2}\n"
        )
    )
    assert train == Train(
        data={"": train.data[""]},
        provider=train.provider,
        optimizer=train.optimizer,
        hooks=train.hooks,
        stop_when=StopWhen(
            epochs=3, mode="total", elapsed=Elapsed(hours=2.0, minutes=30.0, clock="train")
        ),
        weights=TrainWeights(initial="a", must_exist=True, best="b", last="c"),
        checkpoint=Checkpoint(path="d", minutes=5.0, validation=10),
        log=LogTarget(name="binary", path="e", keep_batch=False, rate=2.0),
    )
    assert train.data[""] == [{"csv": "a.csv"}]
    assert train.optimizer == {"name": "sgd"}
    assert train.stop_when.elapsed is not None
    assert train.stop_when.elapsed.total_minutes == 150


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epochs: 3", StopWhen(epochs=3)),
        ("epochs:", StopWhen()),
        ("epochs: {number: 3, mode: total}", StopWhen(epochs=3, mode="total")),
        ("stop_when: 4", StopWhen(epochs=4)),
        ("stop_when: {epochs: inf}", StopWhen()),
        ("stop_when: {epochs: .inf}", StopWhen()),
        ("stop_when: {epochs: All}", StopWhen()),
        ("stop_when: {elapsed: 5}", StopWhen(elapsed=Elapsed(minutes=5.0))),
        ("stop_when: {elapsed: {days: 1}}", StopWhen(elapsed=Elapsed(days=1.0))),
    ],
)
def test_ways_to_say_when_to_stop(text: str, expected: StopWhen) -> None:
    assert read_train(section(text)).stop_when == expected


def test_one_path_for_weights_keeps_the_best_unless_validation_does() -> None:
    alone = read_train(section("weights: w"), section("data: []"))
    assert alone.weights == TrainWeights(initial="w", best="w")
    beside = read_train(section("weights: w"), section("weights: v"))
    assert beside.weights == TrainWeights(initial="w")


def test_short_forms() -> None:
    train = read_train(section("checkpoint: c\nlog: l"))
    assert train.checkpoint == Checkpoint(path="c")
    assert train.log == LogTarget(path="l")


def test_running_sections() -> None:
    run = read_run("evaluate", section("data: [{csv: a}]\nweights: w\ndestination: out.pkl"))
    assert run == Run(data=run.data, weights="w", destination=Destination(path="out.pkl"))
    sets = read_run("test", section("data: {a: [x], b: [y]}\nweights: {initial: w}"))
    assert sets.data == {"a": ["x"], "b": ["y"]} and sets.weights == "w"
    assert read_run("validate", section("weights: {best: w}")).weights == "w"
    assert read_run("validate", section("weights:")).weights is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "train",
            "log: x\nepoch: 3",
            "f.yml:2: train.epoch: unknown key 'epoch' (did you mean 'epochs'?); accepted: ",
        ),
        (
            "train",
            "epochs: yes",
            "f.yml:1: train.epochs: found True epochs; accepted: a whole "
            "number, or inf, infinite, all",
        ),
        ("train", "epochs: -1", "f.yml:1: train.epochs: found -1 epochs; accepted: "),
        ("train", "stop_when:\n  elapsed:\n    hour: 3", "f.yml:3: train.stop_when.elapsed.hour: "),
        ("train", "stop_when:\n  mode: totl", "f.yml:2: train.stop_when.mode: "),
        ("train", "weights:\n  bets: x", "f.yml:2: train.weights.bets: "),
        ("train", "weights: 3", "f.yml:1: train.weights: "),
        ("train", "checkpoint:\n  minutes: often", "f.yml:2: train.checkpoint.minutes: "),
        ("train", "log: [x]", "f.yml:1: train.log"),
        ("train", "data: x.csv", "f.yml:1: train.data: found 'x.csv'; accepted: a list of "),
        ("train", "data: {a: []}", "f.yml:1: train.data: found {'a': []}; accepted: a list of "),
        ("train", "hooks: plot", "f.yml:1: train.hooks: found 'plot'; accepted: a list, each "),
        ("train", "provider: 3", "f.yml:1: train.provider: found 3; accepted: a dictionary, or "),
        (
            "test",
            "weights: {best: x}",
            "f.yml:1: test.weights.best: unknown key 'best'; accepted: initial",
        ),
        ("test", "data: {a: x}", "f.yml:1: test.data.a: found 'x'; accepted: a list, each item "),
        ("test", "destination: x", "f.yml:1: test.destination: unknown key 'destination'; "),
        ("validate", "weights: [x]", "f.yml:1: validate.weights: found ['x']; accepted: a path, "),
        ("evaluate", "destination:\n  format: pkl", "f.yml:2: evaluate.destination: "),
        ("evaluate", "destination: {path: x, format: xls}", "f.yml:1: evaluate.destination.format"),
    ],
)
def test_wrong_options(name: str, text: str, message: str) -> None:
    with pytest.raises(KurfileError) as caught:
        read: Any = read_train(section(text)) if name == "train" else read_run(name, section(text))
        assert read is None
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_words_of_the_first_versions_of_kur(caplog: pytest.LogCaptureFixture) -> None:
    train = read_train(
        section(
            "epochs: {number: 2, mode: additional}\n"
            "stop_when: {epochs: 1}\n"
            "weights: {initial: a, save_best: b, checkpoint: {path: c, batches: 5}}\n"
        )
    )
    assert train.stop_when == StopWhen(epochs=1)
    assert [one.getMessage() for one in caplog.records] == [
        "f.yml:1: 'epochs' is not used: 'stop_when' says when to stop"
    ]
    assert train.weights == TrainWeights(initial="a", best="b")
    assert train.checkpoint == Checkpoint(path="c", batches=5)
    newer = read_train(section("{weights: {checkpoint: old}, checkpoint: new}"))
    assert newer.checkpoint == Checkpoint(path="new")
    assert read_run("evaluate", section("output: f.pkl")).destination == Destination(path="f.pkl")
    with pytest.raises(KurfileError, match=r"f.yml:1: evaluate.destination.format"):
        read_run("evaluate", section("output: {path: f, format: xls}"))
    with pytest.raises(KurfileError, match="unknown key 'output'"):
        read_run("test", section("output: f.pkl"))
