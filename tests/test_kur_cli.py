"""The command `kur`, from a Kurfile and audio files to a network that hears, and its messages."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from matplotlib.image import imread
from tiny_kur import POINTS, RATE, kurfile, spoken, tones_project, words

from kur import cli
from kur.features import FbankOptions, features
from kur.metrics import ErrorRate, greedy

HERE = Path(__file__).parent
SRC = HERE.parent / "src"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `kur train` has trained a network that hears tones."""
    folder = tmp_path_factory.mktemp("tones")
    assert cli.main(["train", str(tones_project(folder))]) == 0
    return folder


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit status, output and errors of a command line."""
    capsys.readouterr()
    status = cli.main([str(one) for one in arguments])
    return status, *capsys.readouterr()


def test_training_keeps_what_it_learned(trained: Path) -> None:
    out = trained / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "best.safetensors",
        "checkpoint.safetensors",
        "curves.png",
        "last.safetensors",
        "log.jsonl",
    ]
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    last = lines[-1]["figures"]
    assert set(last) == {
        "training loss",
        "clean validation loss",
        "clean validation letter error rate",
    }
    assert last["clean validation letter error rate"] < 0.1
    first = next(line for line in lines if "figures" in line)["figures"]
    assert last["training loss"] < first["training loss"]


def test_the_plot_is_a_picture_with_curves(trained: Path) -> None:
    picture = imread(trained / "out/curves.png")
    assert picture.shape[:2] == (770, 990)  # two plots: losses and error rates
    colours = {tuple(one) for one in np.round(picture[::2, ::2, :3], 2).reshape(-1, 3).tolist()}
    assert len(colours) > 20


def test_kur_test(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = said(capsys, "test", trained / "k.yml")
    figures = dict(line.split(": ") for line in output.splitlines())
    assert status == 0 and set(figures) == {"clean loss", "clean letter error rate"}
    assert float(figures["clean letter error rate"]) < 0.1


@pytest.mark.parametrize("int8", [False, True])
def test_kur_export(int8: bool, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file hears tones by itself: no Keras, no Kurfile."""
    out = trained / f"net{int8}" / "network.onnx"
    options = ["--format", "onnx", "--out", out, "--head", "said=transcript"]
    status, output, _ = said(
        capsys, "export", trained / "k.yml", *options, *(["--int8"] if int8 else [])
    )
    assert status == 0 and output.startswith(f"{out}: ") and "fingerprint" in output
    runs = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    metadata = json.loads(runs.get_modelmeta().custom_metadata_map["kur"])
    head, rate = metadata["heads"]["said"], ErrorRate()
    for i, word in enumerate(words(12, 77)):
        pcm = spoken(word, seed=5000 + i)
        frames = features(pcm, RATE, FbankOptions.from_metadata(metadata["features"]))
        frames = np.pad(frames, ((0, -len(frames) % metadata["frame_multiple"]), (0, 0)))
        [scores] = runs.run(["said"], {metadata["input"]: frames[None]})
        rate.add("".join(head["units"][u] for u in greedy(scores[0], head["blank"])), word)
    assert rate.value < 0.15


def test_kur_build(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = trained / "drawn/net.svg"
    kept = (trained / "out/last.safetensors").read_bytes()
    status, output, _ = said(capsys, "build", trained / "k.yml", "--draw", drawing)
    lines = output.splitlines()
    assert status == 0 and lines[0].split() == ["layer", "kind", "shape", "parameters", "line"]
    assert lines[1].split() == ["utterance", "input", "?", "x", "16", "0", "5"]
    assert next(line for line in lines if line.startswith("said ")).split()[1:5] == [
        "activation", "?", "x", "5",
    ]  # fmt: skip
    assert any(f"{trained}/base.yml:6" in line for line in lines)  # of the file that is included
    assert re.fullmatch(r"parameters: [\d,]+, of which [\d,]+ learn", lines[-3])
    assert lines[-2] == f"drawing: {drawing}" and "</svg>" in drawing.read_text()
    assert re.fullmatch(r"train: a step with the first batch of 8, loss \d+\.\d+", lines[-1])
    assert (trained / "out/last.safetensors").read_bytes() == kept


def test_kur_build_for_a_section(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kurfile(tmp_path, POINTS + "evaluate: {data: [points: {count: 5}]}\n")
    k = tmp_path / "k.yml"
    shaped = ["-s", "model.0={input: {name: point, shape: [2]}}"]
    said_last = {
        how: said(capsys, "build", k, *shaped, *how.split())[1].splitlines()[-1]
        for how in ("-c test", "-c evaluate", "-c train -b")
    }
    assert re.fullmatch(r"test: the first batch, loss \d+\.\d+", said_last["-c test"])
    assert said_last["-c evaluate"] == "evaluate: the first batch gives quadrant (5, 4)"
    assert said_last["-c train -b"] == "train: compiled on torch, not tried: no data"
    broken = ["-s", "train.data=[points: {count: 8, broken: 3}]"]
    status, output, errors = said(capsys, "build", k, *broken)
    assert status == 1 and "parameters: " in output
    assert "train: the loss is not a number in the first batch, sample point 3: its sou" in errors
    status, _, errors = said(capsys, "build", k, "-s", "loss=[]")
    assert (status, errors.count("\n")) == (1, 1) and "there is no 'loss' section" in errors


def test_kur_build_without_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kurfile(tmp_path, "model: [input: {name: x, shape: [3]}, dense: 2]\n")
    for how in ([], ["--bare"], ["-c", "none"]):
        status, output, _ = said(capsys, "build", *how, tmp_path / "k.yml")
        assert status == 0 and output.splitlines()[-1] == "parameters: 8, of which 8 learn"
    status, _, errors = said(capsys, "build", "-c", "train", tmp_path / "k.yml")
    assert (status, errors) == (
        1,
        f"kur: {tmp_path}/k.yml:1: train: no 'data': a list of suppliers is needed\n",
    )


def test_kur_data(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = said(capsys, "data", trained / "k.yml", "-t", "test", "-n", "2")
    lines = output.splitlines()
    assert status == 0 and lines[0] == "test clean: 16 samples" and lines[1] == "batch 1"
    entry = lines.index("entry 1/16")
    shapes = dict(line.strip().split(": ", 1) for line in lines[2:entry])
    assert shapes["utterance"].startswith("(16, ") and shapes["transcript_raw"] == "16 values"
    assert [line for line in lines if line.startswith("entry")] == ["entry 1/16", "entry 2/16"]
    first = dict(line.strip().split(": ", 1) for line in lines[entry + 1 : entry + 3])
    assert "/test.jsonl:1 (" in first["sample"]


def test_kur_data_of_the_first_section_that_has_some(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kurfile(tmp_path, POINTS)
    k, none = tmp_path / "k.yml", ["-s", "train.data=null"]
    lines = said(capsys, "data", k, "-n", "10", "--assemble")[1].splitlines()
    assert lines[0] == "train: 40 samples" and "  -> input point: (8, 2)" in lines
    assert any(line.startswith("  -> loss of quadrant: ") for line in lines)
    entries = [line for line in lines if line.startswith("entry")]
    assert entries[7:] == ["entry 8/8", "entry 1/8", "entry 2/8"]  # two of the second batch
    assert said(capsys, "data", k, *none)[1].splitlines()[0] == "validate: 16 samples"
    status, _, errors = said(capsys, "data", k, "-n", "0")
    assert (status, errors) == (1, "kur: -n 0: at least one sample expected\n")


def test_kur_dump(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = said(capsys, "dump", trained / "k.yml", "-s", "train.stop_when.epochs=7")
    dumped = json.loads(output)
    assert status == 0 and dumped["train"]["stop_when"]["epochs"] == 7
    assert dumped["train"] == dumped["training"]
    assert dumped["settings"]["features"]["mel_bins"] == 16  # of the file that is included
    raw = json.loads(said(capsys, "dump", "-p", trained / "k.yml")[1])
    assert raw["train"]["data"][0]["speech_recognition"]["vocab"] == "{{ letters }}"


def test_kur_dump_of_a_loss_that_speaks_of_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kurfile(
        tmp_path,
        "model: [input: x, {dense: 2, tag: last, name: y}, {dense: 2, inputs: x}]\n"
        "loss: [{target: '{{ tags.last }}', name: ctc}, '{{ layers }}']\n",
    )
    dumped = json.loads(said(capsys, "dump", tmp_path / "k.yml")[1])
    assert dumped["loss"] == [{"target": "y", "name": "ctc"}, ["x", "y", "..dense.0"]]


def test_overrides_reach_the_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kurfile(tmp_path, POINTS)
    once = ["train", tmp_path / "k.yml", "-s", "train.stop_when.epochs=1"]
    status, output, errors = said(capsys, *once)
    assert status == 0 and "epoch 1/1  training loss" in errors
    assert output.splitlines() == [
        f"best weights: {tmp_path}/out/best.safetensors",
        f"last weights: {tmp_path}/out/last.safetensors",
        f"checkpoint: {tmp_path}/out/checkpoint.safetensors",
        f"log: {tmp_path}/out/log.jsonl",
    ]
    status, _, errors = said(capsys, *once)
    assert status == 0 and errors.endswith("kur: all 1 epochs are trained already\n")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # as it was


WRONG: list[tuple[list[str], str]] = [
    (["train", "none.yml"], "none.yml: no such file; expected a Kurfile (.yml, .yaml, .json)"),
    (["train", "k.yml", "-s", "epochs"], "'epochs': -s KEY=VALUE, such as -s train.epochs=2, exp"),
    (["train", "k.yml", "-s", "trian.x=1"], "-s trian.x=1: unknown section 'trian' (did you mean"),
    (
        ["train", "k.yml", "-s", "train.hooks=[plt: x]"],
        "train.hooks.0.plt: unknown hook 'plt' (did you mean 'plot'?); known: ",
    ),
    (
        ["train", "k.yml", "-s", "train.hooks=[plot: {pth: x}]"],
        "train.hooks.0.plot.pth: the hook plot has no argument 'pth' (did you mean 'p",
    ),
    (
        ["train", "k.yml", "-s", "train.hooks=[plot: x.png]", "-s", "train.log=null"],
        "train.hooks.0.plot: a plot is drawn from the log; give 'log' in the train sec",
    ),
    (["train", "k.yml", "-s", "train.data=null"], "train: no 'data': a list of suppli"),
    (
        ["train", "k.yml", "--backend", "troch"],
        "unknown backend 'troch' (did you mean 'torch'?); accepted: torch, jax, tensorflow, ker",
    ),
    (["train", "k.yml", "--backend", "jax"], "Keras already runs on torch; start a new process"),
    (
        ["train", "k.yml", "-s", "settings.precision=float7"],
        "settings.precision: unknown precision 'float7'; accepted: float32, mixed_bfloa",
    ),
    (["test", "k.yml"], "out/best.safetensors: no such weights file"),
    (["export", "k.yml", "--out", "x.onnx"], "out/best.safetensors: no such weights file"),
    (
        ["export", "k.yml", "--out", "x.onnx", "--head", "a"],
        "'a': --head OUTPUT=SOURCE expected",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_one_line_for_what_is_wrong(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    kurfile(tmp_path, POINTS)
    status, output, errors = said(capsys, *arguments)
    assert status == 1 and output == "" and errors.count("\n") == 1
    assert message in errors and errors.startswith("kur: ")


def test_no_command_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = said(capsys)
    assert status == 2 and output.startswith("usage: kur ") and "example: kur train" in output
    with pytest.raises(SystemExit) as caught:
        cli.main(["trian", "k.yml"])
    assert caught.value.code == 2


def python(code: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python; `keras` and other extras are hidden where `code` says so."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SRC), "PATH": os.environ["PATH"], **env},
    )


HIDE = """
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in NAMES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Hidden())
from kur import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("command", "hidden", "message"),
    [
        (["dump"], ["yaml"], "kur: yaml is not installed: pip install 'earshot[train]'\n"),
        (["dump"], ["jinja2"], "kur: jinja2 is not installed: pip install 'earshot[train]'\n"),
        (
            ["build", "--bare"],
            ["keras"],
            "kur: Keras is not installed: pip install 'earshot[train]'\n",
        ),
    ],
)
def test_a_missing_extra_is_its_install_line(
    command: list[str], hidden: list[str], message: str, tmp_path: Path
) -> None:
    kurfile(tmp_path, POINTS)
    done = python(HIDE.replace("NAMES", repr(hidden)), *command, str(tmp_path / "k.yml"))
    assert (done.returncode, done.stderr) == (1, message)


def test_verbose_says_what_is_done(tmp_path: Path) -> None:
    kurfile(tmp_path, "model: [input: {name: x, shape: [3]}, dense: 2]\n")
    run = "import sys\nfrom kur import cli\nsys.exit(cli.main(sys.argv[1:]))"
    k = str(tmp_path / "k.yml")
    assert python(run, "dump", k).stderr == ""
    told = python(run, "-v", "build", "-v", k).stderr.splitlines()
    assert all(re.match(r"\d\d:\d\d:\d\d (INFO|DEBUG) kur\.\w+: ", line) for line in told), told
    assert any(f"INFO kur.reader: read {k}: sections model" in line for line in told)
    assert any(f"DEBUG kur.assemble: {k}:1: x input" in line for line in told)
    assert not any("DEBUG" in line for line in python(run, "build", "-v", k).stderr.splitlines())


def test_the_base_install_has_help_and_version() -> None:
    done = python(HIDE.replace("NAMES", repr(["yaml", "jinja2", "keras", "scipy"])), "--version")
    assert done.returncode == 0 and done.stdout.startswith("kur ")


def test_validate_loads_nothing_that_takes_seconds(tmp_path: Path) -> None:
    kurfile(tmp_path, "model: [input: {name: x, shape: [3]}, dense: 2]\n")
    code = """
import sys
from kur import cli
status = cli.main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules}
slow = {"keras", "torch", "jax", "tensorflow", "scipy", "matplotlib", "onnx", "datasets"}
assert status == 0 and not loaded & slow, loaded & slow
"""
    done = python(code, "validate", str(tmp_path / "k.yml"))
    assert (done.returncode, done.stderr) == (0, "")


def test_dump_imports_no_keras_and_takes_a_closed_pipe(tmp_path: Path) -> None:
    kurfile(tmp_path, POINTS)
    code = """
import sys
from kur import cli
status = cli.main(sys.argv[1:])
loaded = {name.partition(".")[0] for name in sys.modules}
assert status == 0 and not loaded & {"keras", "torch", "numpy", "scipy", "av"}, loaded
"""
    done = python(code, "dump", str(tmp_path / "k.yml"))
    assert done.returncode == 0, done.stderr
    command = f"{sys.executable} -m kur.cli dump {tmp_path}/k.yml | head -c 10"
    piped: Any = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(SRC), "PATH": os.environ["PATH"]},
    )
    assert piped.stderr == ""
