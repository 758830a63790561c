"""Training: what stops and goes on ends as what never stopped; what is kept; what is said."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from tiny_kur import POINTS, kurfile
from zygote import Zygote

from kur import session
from kur.checkpoint import weights_of
from kur.errors import KurError
from kur.log import Log
from kur.step import measure
from kur.train import State, Trainer


class StopAt:
    """Stops a training after so many batches."""

    def __init__(self, batches: int) -> None:
        self.left = batches
        self.trainer: Trainer | None = None

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        self.left -= 1
        if self.left == 0 and self.trainer:
            self.trainer.stop()

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        pass


def run(folder: Path, text: str = POINTS, *, stop_at: int = 0, **overrides: str) -> Trainer:
    trainer = session.training(kurfile(folder, text, **overrides))
    stop = StopAt(stop_at)
    stop.trainer = trainer
    trainer._watchers = (stop,)
    trainer.run()
    return trainer


def contents(path: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Arrays and metadata of a safetensors file."""
    with safe_open(path, "numpy") as file:
        arrays = {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
        return arrays, json.loads(file.metadata()["kur"])


def everything(folder: Path) -> dict[str, Any]:
    """All that a training leaves behind, but for the time that it took."""
    out = folder / "out"
    left: dict[str, Any] = {
        name: contents(out / f"{name}.safetensors") for name in ("best", "last")
    }
    arrays, metadata = contents(out / "checkpoint.safetensors")
    state = {key: value for key, value in metadata["state"].items() if "seconds" not in key}
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    for line in log:
        line.pop("seconds", None)
    return {**left, "checkpoint": arrays, "state": state, "log": log}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a training leaves that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return everything(folder)


def test_a_whole_training(whole: dict[str, Any]) -> None:
    state = whole["state"]
    assert (state["epoch"], state["batch"], state["step"], state["samples"]) == (3, 0, 15, 120)
    assert state["finished"] and state["until"] == 3
    batches = [line for line in whole["log"] if "loss" in line]
    epochs = [line for line in whole["log"] if "figures" in line]
    assert [line["step"] for line in batches] == list(range(1, 16))
    assert [(line["step"], line["epoch"]) for line in epochs] == [(5, 1), (10, 2), (15, 3)]
    assert set(epochs[0]["figures"]) == {"training loss", "validation loss", "validation accuracy"}
    mean = np.mean([line["loss"] for line in batches[:5]])
    assert epochs[0]["figures"]["training loss"] == pytest.approx(mean, abs=1e-5)
    rates = [line["rate"] for line in batches]
    assert rates[:2] == pytest.approx([0.02 / 1.5, 0.02]) and rates[1:] == sorted(rates[1:])[::-1]


def test_the_same_again(whole: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path)
    assert everything(tmp_path) == whole


@pytest.mark.parametrize("batches", [1, 4, 5, 6, 15])
def test_stopped_and_started_again(batches: int, whole: dict[str, Any], tmp_path: Path) -> None:
    stopped = run(tmp_path, stop_at=batches)
    assert stopped.state.step == batches and not stopped.state.finished
    run(tmp_path)
    assert everything(tmp_path) == whole


def test_a_batch_a_start(whole: dict[str, Any], tmp_path: Path) -> None:
    """A limit of time that is over at once: each start does one batch."""
    for step in range(1, 16):
        limit = "{epochs: 3, elapsed: {minutes: 1e-9, clock: batch}}"
        trainer = run(tmp_path, train__stop_when=limit)
        assert trainer.state.step == step and trainer.batches_done == 1
    run(tmp_path)
    assert everything(tmp_path) == whole


def test_time_in_all(tmp_path: Path) -> None:
    """With `mode: total` the time of earlier starts counts."""
    limit = {"train__stop_when__elapsed": "{minutes: 1e-9, clock: train}"}
    assert run(tmp_path, **limit).state.step == 1
    again = run(tmp_path, **limit)
    assert again.state.step == 1 and again.batches_done == 0


@pytest.mark.parametrize("mode", ["additional", "total"])
def test_a_finished_training_started_again(mode: str, tmp_path: Path) -> None:
    run(tmp_path, train__stop_when__mode=mode)
    again = run(tmp_path, train__stop_when__mode=mode)
    more = 3 if mode == "additional" else 0
    assert again.state.epoch == 3 + more and again.batches_done == 5 * more
    assert run(tmp_path, train__stop_when="{epochs: 8, mode: total}").state.epoch == 8


def test_an_additional_run_that_is_stopped_goes_on_to_its_end(tmp_path: Path) -> None:
    mode = {"train__stop_when__mode": "additional"}
    run(tmp_path, **mode)
    run(tmp_path, stop_at=7, **mode)
    state = run(tmp_path, **mode).state
    assert (state.epoch, state.run_epoch, state.finished) == (6, 3, True)
    rates = [line["rate"] for line in everything(tmp_path)["log"] if "rate" in line]
    assert rates[15:] == rates[:15]  # each run has the schedule to itself


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    one = Zygote()
    yield one
    one.close()


@pytest.mark.parametrize("what", ["batch", "disk"])
def test_killed_at_any_moment(
    what: str, whole: dict[str, Any], zygote: Zygote, tmp_path: Path
) -> None:
    """Every start is killed a little later than the one before, until one gets to the end."""
    (tmp_path / "k.yml").write_text(POINTS)
    kills, step = 0, 1 if what == "batch" else 3
    while (status := zygote(tmp_path, "train", "k.yml", kill=(what, 1 + step * kills))) == -9:
        kills += 1
    assert status == 0, (tmp_path / "stderr").read_text()
    assert kills >= 4
    assert everything(tmp_path) == whole
    parts = [one.name for one in (tmp_path / "out").iterdir() if one.name.endswith(".part")]
    assert len(parts) <= 4  # one at most for each file


def test_interrupted(zygote: Zygote, whole: dict[str, Any], tmp_path: Path) -> None:
    """Ctrl-C ends the training after its batch, with a checkpoint there."""
    (tmp_path / "k.yml").write_text(POINTS)
    assert zygote(tmp_path, "train", "k.yml", kill=("interrupt", 4)) == 130
    said = (tmp_path / "stderr").read_text().splitlines()[-1]
    assert said == "kur: stopped in epoch 1 after batch 4; the same command goes on from there"
    assert zygote(tmp_path, "train", "k.yml") == 0
    assert everything(tmp_path) == whole
    lines = (tmp_path / "stdout").read_text().splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "best weights",
        "last weights",
        "checkpoint",
        "log",
    ]
    assert zygote(tmp_path, "train", "k.yml", kill=("interrupt", 0)) == 0
    assert "all 3 epochs are trained already" in (tmp_path / "stderr").read_text()


def test_interrupted_where_nothing_is_kept(zygote: Zygote, tmp_path: Path) -> None:
    text = POINTS.replace("  checkpoint: {path: out/checkpoint.safetensors, batches: 2}\n", "")
    (tmp_path / "k.yml").write_text(text)
    assert zygote(tmp_path, "train", "k.yml", kill=("interrupt", 2)) == 130
    said = (tmp_path / "stderr").read_text().splitlines()[-1]
    assert said.endswith("nothing was kept, because the train section has no 'checkpoint'")


def test_points_are_learned(tmp_path: Path) -> None:
    text = POINTS.replace("epochs: 3", "epochs: 20").replace("dropout: 0.2", "dropout: 0.0")
    run(tmp_path, text, train__data="[{points: {count: 80}}]")
    figures = session.testing(kurfile(tmp_path, text))[""]
    assert figures["accuracy"] >= 0.9


def test_best_and_last_weights(tmp_path: Path) -> None:
    """Validated on answers that are wrong, a network is best at the beginning."""
    wrong = {"validate__data": "[{points: {count: 16, flipped: yes}}]"}
    run(tmp_path, train__stop_when__epochs="4", train__optimizer__learning_rate="0.05", **wrong)
    epochs = [line for line in everything(tmp_path)["log"] if "figures" in line]
    losses = [line["figures"]["validation loss"] for line in epochs]
    assert losses[0] == min(losses) and losses[-1] > losses[0]
    (best, best_says), (last, last_says) = (
        contents(tmp_path / f"out/{name}.safetensors") for name in ("best", "last")
    )
    assert (best_says["epoch"], last_says["epoch"]) == (1, 4) and best != last
    made = kurfile(tmp_path, POINTS, test__data=wrong["validate__data"])
    assert session.testing(made)[""]["loss"] == pytest.approx(losses[0], abs=1e-5)
    assert session.trained_weights(made) == tmp_path / "out/best.safetensors"


def test_validation_may_say_where_the_best_weights_go(tmp_path: Path) -> None:
    once = {"train__stop_when__epochs": "1", "train__weights": "start.safetensors"}
    run(tmp_path, validate__weights="best.safetensors", **once)
    assert (tmp_path / "best.safetensors").is_file()
    assert not (tmp_path / "start.safetensors").exists()


def test_initial_weights(tmp_path: Path) -> None:
    once = {"train__stop_when__epochs": "1", "train__checkpoint": "null"}
    first = run(tmp_path, **once)
    nowhere = {"train__optimizer__learning_rate": "1e-30", **once}
    initial = {"train__weights": "{initial: out/last.safetensors}"}
    second = run(tmp_path, **nowhere, **initial)
    for name, array in weights_of(first._model.keras).items():
        np.testing.assert_allclose(weights_of(second._model.keras)[name], array, rtol=1e-6)
    assert (tmp_path / "out/log.jsonl.old").is_file()  # the log of the first training
    run(tmp_path, **nowhere, train__weights="{initial: none.safetensors}")
    with pytest.raises(KurError, match=r"none\.safetensors: no such weights file"):
        run(tmp_path, **nowhere, train__weights="{initial: none.safetensors, must_exist: yes}")


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    run(tmp_path, train__stop_when__epochs="1")
    other = POINTS.replace("dense: 16", "dense: 17")
    with pytest.raises(KurError, match=r"another network .* remove the file to train anew$"):
        run(tmp_path, other)
    with pytest.raises(KurError, match=r"best\.safetensors: this is of another network"):
        session.testing(kurfile(tmp_path, other))


@pytest.mark.parametrize(
    ("every", "steps"),
    [
        ("{path: c, batches: 2}", [2, 4, 5]),
        ("{path: c, samples: 20}", [3, 5]),
        ("{path: c, minutes: 0}", [1, 2, 3, 4, 5]),
        ("c", [5]),
        ("{epochs: 2, path: c}", []),
    ],
)
def test_how_often_a_checkpoint_is_written(every: str, steps: list[int], tmp_path: Path) -> None:
    """Read off the file after each batch of one epoch of two."""
    trainer = session.training(kurfile(tmp_path, POINTS, train__checkpoint=every))
    seen: list[int] = []

    class Look:
        def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
            self.on_epoch(state, {})

        def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
            if (tmp_path / "c").exists():
                seen.append(contents(tmp_path / "c")[1]["state"]["step"])
            if state.epoch == 1:
                trainer.stop()

    trainer._watchers = (Look(),)
    trainer.run()
    assert sorted(set(seen)) == steps


TWO_HEADS = """
settings: {seed: 3}
model:
  - input: point
  - {dense: 8, name: trunk}
  - {dense: 4, name: quadrant}
  - {dense: 1, name: height, inputs: trunk}
loss:
  - {name: categorical_crossentropy, target: quadrant, weight: W1}
  - {name: mean_squared_error, target: height, weight: W2}
train:
  data: [points: {count: 8}]
  provider: {batch_size: 8}
  optimizer: {name: sgd, learning_rate: 0.1}
  epochs: 1
"""


def trunk(folder: Path, first: str, second: str) -> np.ndarray[Any, Any]:
    """By how much one step moves the trunk of a network with two heads."""
    trainer = session.training(
        kurfile(folder, TWO_HEADS.replace("W1", first).replace("W2", second))
    )
    before = weights_of(trainer._model.keras)["trunk/kernel"]
    trainer.run()
    after = weights_of(trainer._model.keras)["trunk/kernel"]
    return np.asarray(after - before)


def test_two_heads_pull_by_their_weights(tmp_path: Path) -> None:
    one, other = trunk(tmp_path, "1", "0"), trunk(tmp_path, "0", "1")
    both = trunk(tmp_path, "0.5", "3")
    assert np.abs(one).max() > 1e-4 and np.abs(other).max() > 1e-4
    np.testing.assert_allclose(both, 0.5 * one + 3 * other, rtol=1e-4, atol=1e-6)


def test_each_head_has_its_figures(tmp_path: Path) -> None:
    text = TWO_HEADS.replace("W1", "2").replace("W2", "0.5")
    trainer = session.training(kurfile(tmp_path, text))
    figures = measure(trainer._model, trainer._losses, trainer._data)
    assert set(figures) == {"loss", "quadrant loss", "quadrant accuracy", "height loss"}
    assert figures["loss"] == pytest.approx(
        2 * figures["quadrant loss"] + 0.5 * figures["height loss"]
    )


def test_figures_do_not_depend_on_the_batches(tmp_path: Path) -> None:
    found = []
    for size in ("16", "5"):
        made = kurfile(tmp_path, POINTS, validate__provider=f"{{batch_size: {size}}}")
        trainer = session.training(made)
        found.append(measure(trainer._model, trainer._losses, trainer._validation[""]))
    assert found[0] == pytest.approx(found[1], rel=1e-5)


def test_validation_at_checkpoints(tmp_path: Path) -> None:
    """In the middle of an epoch too; it judges the weights, on some batches only as on all."""
    seen: list[tuple[int, bool]] = []
    some = {"validate__provider": "{batch_size: 4}", "train__stop_when__epochs": "1"}

    def trained(validation: str) -> list[dict[str, Any]]:
        every = f"{{path: out/checkpoint.safetensors, batches: 2, validation: {validation}}}"
        trainer = session.training(
            kurfile(tmp_path / validation, POINTS, **some, train__checkpoint=every)
        )

        class Look(StopAt):
            def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
                seen.append((state.step, (tmp_path / validation / "out/best.safetensors").exists()))

        trainer._watchers = (Look(0),)
        trainer.run()
        return [one for one in everything(tmp_path / validation)["log"] if "figures" in one]

    for folder in ("yes", "1"):
        (tmp_path / folder).mkdir()
    whole, part = trained("yes"), trained("1")
    assert seen == [(2, True), (4, True), (5, True), (2, True), (4, True), (5, True)]
    assert [(one["step"], one["epoch"]) for one in whole] == [(2, 0), (4, 0), (5, 1)]
    assert "training loss" not in whole[0]["figures"]
    assert whole[0]["figures"]["validation loss"] != part[0]["figures"]["validation loss"]
    assert whole[2]["figures"]["validation loss"] == part[2]["figures"]["validation loss"]


def test_the_best_by_training_and_by_validation(tmp_path: Path) -> None:
    """Each loss keeps its own weights, where both have a file."""
    wrong = "[{points: {count: 16, flipped: yes}}]"
    rate = {"train__optimizer__learning_rate": "0.05", "train__stop_when__epochs": "3"}
    run(tmp_path, validate__weights="out/valid.safetensors", validate__data=wrong, **rate)
    says = {name: contents(tmp_path / f"out/{name}.safetensors")[1] for name in ("best", "valid")}
    assert (says["best"]["epoch"], says["valid"]["epoch"]) == (3, 1)
    made = kurfile(tmp_path, POINTS, validate__weights="out/valid.safetensors")
    assert session.trained_weights(made) == tmp_path / "out/valid.safetensors"


def test_names_with_variables(tmp_path: Path) -> None:
    """Each save has a file of its own; what goes on, goes on from the last one."""
    kept = {
        "train__weights": "{last: 'out/${EPOCH}-${BATCH}-${TRAIN_LOSS}.w'}",
        "train__checkpoint": "{path: 'out/at-${BATCH}', batches: 2}",
    }
    run(tmp_path, **kept, stop_at=7)
    names = sorted(one.name for one in (tmp_path / "out").iterdir() if one.name != "log.jsonl")
    assert [one for one in names if one.startswith("at-")] == ["at-2", "at-4", "at-5", "at-7"]
    [last] = [one for one in names if one.startswith("1-5-")]
    [line] = [one for one in Log(tmp_path / "out/log.jsonl").read() if "figures" in one]
    assert last == f"1-5-{line['figures']['training loss']:.4f}.w"
    again = run(tmp_path, **kept)
    assert again.batches_done == 8 and again.state.step == 15
    assert again.kept()["checkpoint"].name == "at-15"


def test_an_old_kurfile_without_a_checkpoint_goes_on(tmp_path: Path) -> None:
    """Weights that are read and written, and a log, are all that Kur 0.7 went on from."""
    old = {
        "train__checkpoint": "null",
        "train__stop_when": "null",
        "train__epochs": "2",
        "train__weights": "{initial: w, last: w, best: b}",
        "train__optimizer": "sgd",
    }
    text = POINTS.replace("  stop_when: {epochs: 3, mode: total}\n", "")
    first = run(tmp_path, text, **{k: v for k, v in old.items() if k != "train__stop_when"})
    assert (first.state.epoch, first.state.step) == (2, 10)
    again = run(tmp_path, text, **{k: v for k, v in old.items() if k != "train__stop_when"})
    assert (again.state.epoch, again.state.step, again.state.samples) == (4, 20, 160)
    assert again.batches_done == 10 and again.state.best <= first.state.best
    steps = [line["step"] for line in Log(tmp_path / "out/log.jsonl").read() if "loss" in line]
    assert steps == list(range(1, 21))


def test_several_validation_sets(tmp_path: Path) -> None:
    """Each has its figures; the best network is judged by the mean over their samples."""
    sets = "{a: [{points: {count: 12}}], b: [{points: {count: 4, flipped: yes}}]}"
    trainer = run(tmp_path, train__stop_when__epochs="1", validate__data=sets)
    [line] = [line for line in everything(tmp_path)["log"] if "figures" in line]
    a, b = (line["figures"][f"{name} validation loss"] for name in "ab")
    assert trainer.state.best == pytest.approx((12 * a + 4 * b) / 16, abs=1e-5)
    assert line["figures"]["validation loss"] == pytest.approx((12 * a + 4 * b) / 16, abs=1e-5)
    assert "b validation accuracy" in line["figures"]


def test_a_sample_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(KurError) as caught:
        run(tmp_path, train__data="[{points: {count: 8, broken: 5}}]")
    assert str(caught.value) == (
        "the loss is not a number in epoch 1, batch 1, sample point 5: its source 'point' holds "
        "values that are not numbers"
    )
    assert not (tmp_path / "out/checkpoint.safetensors").exists()


def test_a_training_that_runs_away_names_the_layer(tmp_path: Path) -> None:
    rate = {"train__optimizer": "{name: sgd, learning_rate: 1e30}"}
    with pytest.raises(KurError) as caught:
        run(tmp_path, **rate)
    found = str(caught.value)
    assert found.startswith("the loss is not a number in epoch 1, batch 2, sample point ")
    assert f"the first layer that gives no numbers is '..dense.1' of {tmp_path}/k.yml:8" in found
    assert found.endswith("or clip the gradients (optimizer: {clip: {norm: 1}})")


def test_validation_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(KurError, match=r"^the loss on the validation data is nan$"):
        run(tmp_path, validate__data="[{points: {count: 16, broken: 1}}]")


NO_TRAINING = [
    (
        POINTS.replace("  - {name: categorical_crossentropy, target: quadrant}", "").replace(
            "loss:", "loss: []"
        ),
        "train: nothing to train for: the Kurfile has no 'loss' section",
    ),
    (
        POINTS.replace("- dense: 16", "- {dense: 16, freeze: yes}").replace(
            "- dense: 4", "- {dense: 4, freeze: yes}"
        ),
        "train: nothing to train: every layer is frozen or has no weights",
    ),
    (
        POINTS.replace("out/last.safetensors", "'out/${EPOHC}.safetensors'"),
        "train.weights: unknown variable '${EPOHC}' in 'out/${EPOHC}.safetensors' (did you mean "
        "'EPOCH'?); accepted: TIMESTAMP, SAMPLE, BATCH, EPOCH, ",
    ),
]


@pytest.mark.parametrize(("text", "message"), NO_TRAINING)
def test_what_cannot_be_trained(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(KurError) as caught:
        session.training(kurfile(tmp_path, text))
    assert f": {message}" in str(caught.value)


def test_the_clocks() -> None:
    state = State(seconds=5, batch_seconds=3, validate_seconds=2)
    clocks = [state.clock(name) for name in ("all", "train", "validate", "batch")]
    assert clocks == [7, 5, 2, 3]
    assert asdict(State())["best"] == float("inf")
