"""Sound files that a user names become text."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_kur import spoken, tones_project, write_audio

from kur import cli
from kur.checkpoint import told
from kur.errors import KurError
from kur.reader import Kurfile
from kur.session import training
from kur.transcribe import transcribe


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Kurfile of a trained network that hears tones, whose training data is gone."""
    folder = tmp_path_factory.mktemp("tones")
    path = tones_project(folder, 96)
    text = path.read_text()
    start = text.index("validate:")
    path.write_text(text[:start].replace("epochs: 6", "epochs: 14"))
    made = Kurfile(path)
    made.parse()
    training(made).run()
    for one in (*folder.glob("*.jsonl"), *folder.glob("audio/train*")):
        one.unlink()
    return path


def parsed(path: Path) -> Kurfile:
    made = Kurfile(path)
    made.parse()
    return made


def test_files_become_text(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order in which they are named, whatever their lengths, formats and names."""
    texts = ["abca", "dcb", "bdda", "cab"]
    names = ["long one.wav", "b.flac", "c.opus", "ü.wav"]
    files = [tmp_path / name for name in names]
    for i, (file, text) in enumerate(zip(files, texts, strict=True)):
        write_audio(file, spoken(text, seed=50 + i))
    found = transcribe(parsed(project), files)
    right = sum(one["said"] == text for one, text in zip(found, texts, strict=True))
    assert right >= 3, found
    assert told(project.parent / "out/best.safetensors")["data"]["vocabulary"] == {
        "transcript": list("abcd")
    }
    capsys.readouterr()
    assert cli.main(["evaluate", str(project), "--files", *map(str, files)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"{file}: {one['said']}" for file, one in zip(files, found, strict=True)]


def test_files_that_are_no_sound(project: Path, tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_text("hello")
    with pytest.raises(KurError, match=r"x\.wav: cannot be read as sound: "):
        transcribe(parsed(project), [tmp_path / "x.wav"])
    with pytest.raises(KurError, match=r"none\.wav: cannot be read as sound: No such file"):
        transcribe(parsed(project), [tmp_path / "none.wav"])


def test_kurfiles_that_hear_nothing(tmp_path: Path) -> None:
    (tmp_path / "k.yml").write_text(
        "train: {weights: w}\nmodel: [input: x, dense: 1]\nloss: []\n", encoding="utf-8"
    )
    (tmp_path / "w").touch()
    with pytest.raises(KurError, match=r"w: not a readable safetensors file"):
        transcribe(parsed(tmp_path / "k.yml"), [])
    (tmp_path / "w").unlink()
    (tmp_path / "w").mkdir()
    with pytest.raises(KurError, match="no section has 'speech_recognition' data, which would say"):
        transcribe(parsed(tmp_path / "k.yml"), [])
