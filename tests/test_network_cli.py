"""`earshot network` from the shell: what a user types, right and wrong."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from earshot.cli import app, main
from earshot.network import SHIPPED


@pytest.fixture
def networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EARSHOT_NETWORKS", str(tmp_path / "networks"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "networks"


@pytest.fixture
def ear(tmp_path: Path) -> Path:
    """A network's folder: what ships, without what is large and not needed to be added."""
    folder = tmp_path / "ear"
    folder.mkdir()
    for name in ("network.json", "network.onnx", "confidence.json", "background.safetensors"):
        shutil.copyfile(SHIPPED / name, folder / name)
    return folder


def run(*words: str) -> list[str]:
    done = CliRunner().invoke(app, ["network", *words])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a wrong command ends with."""
    with pytest.MonkeyPatch.context() as patched, pytest.raises(SystemExit) as caught:
        patched.setattr(sys, "argv", ["earshot", "network", *words])
        main()
    assert caught.value.code in (1, 2)
    told = capsys.readouterr()
    assert not told.out
    (line,) = told.err.splitlines()
    return line.removeprefix("earshot: ")


def test_a_network_is_added_listed_and_removed(networks: Path, ear: Path) -> None:
    (added,) = run("add", "ear", "--name", "mine")
    assert added.startswith("added mine  ") and "39 units, 25 a second" in added
    shipped, mine = run("list")
    assert shipped.startswith("english  ") and mine == added.removeprefix("added ")
    told = [json.loads(line) for line in run("list", "--json")]
    assert [one["name"] for one in told] == ["english", "mine"]
    assert told[0]["fingerprint"] == told[1]["fingerprint"] and told[1]["problem"] is None
    assert run("remove", "mine") == ["removed mine"]
    assert len(run("list")) == 1 and not list(networks.iterdir())


def test_a_folder_is_called_as_it_is_called(
    networks: Path, ear: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ear)
    assert run("add", ".")[0].startswith("added ear ")
    assert (networks / "ear" / "network.onnx").is_file()


@pytest.mark.parametrize(
    "name", ["../mine", "a b", ".hidden", "-x/..", "english", "a" * 101, "a/b", "mine\n"]
)
def test_names_that_are_paths_or_taken_are_refused(
    networks: Path, ear: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(capsys, "add", "ear", f"--name={name}")
    assert "is no name for a network" in told or "already" in told
    assert not networks.exists() or not list(networks.iterdir())


def test_what_is_no_network_is_told_in_a_line(
    networks: Path, ear: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sound.wav").write_bytes(b"RIFF")
    assert refused(capsys, "add", "sound.wav") == (
        "sound.wav is a file: give the folder of a network, or a model's name"
    )
    assert "no name" in refused(capsys, "add", "")
    half = shutil.copytree(ear, "half")
    (Path(half) / "network.onnx").unlink()
    assert refused(capsys, "add", "half") == "half: network.onnx is missing"
    (Path(half) / "network.json").write_text("{")
    assert "network.json" in refused(capsys, "add", "half")
    assert "no such file" in refused(capsys, "add", "ear", "--lexicon", "none.txt")
    Path("words.txt").write_text("casa k a s a\n")
    assert "words.txt:1: 'k' is no unit" in refused(capsys, "add", "ear", "--lexicon", "words.txt")
    assert not list(networks.iterdir())
    for name in ("english", "nothing", "../ear", "."):
        assert "network" in refused(capsys, "remove", name)
    assert (ear / "network.onnx").is_file()


def test_a_folder_half_written_is_listed_and_can_be_removed(networks: Path, ear: Path) -> None:
    shutil.copytree(ear, networks / "broken")
    (networks / "broken" / "network.json").unlink()
    _, broken = run("list")
    assert broken.startswith("broken  cannot be used: ") and "network.json is missing" in broken
    assert json.loads(run("list", "--json")[1])["problem"]
    assert run("remove", "broken") == ["removed broken"]
