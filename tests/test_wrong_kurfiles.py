"""The catalogue of wrong Kurfiles: what each command says of them, in one line for each error.

Each file of `wrong_kurfiles` begins with the command that meets its errors, and the lines that it
prints; `...` stands for the rest of a line, where lists of names would go out of date.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_kur import write_tones

from kur import cli

HERE = Path(__file__).parent / "wrong_kurfiles"
FILES = sorted(path.name for path in HERE.glob("*.yml"))


class Evil:
    """What a pickle could do."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch pwned",)


def materials(folder: Path) -> None:
    """The data that the Kurfiles speak of."""
    write_tones(folder, "tones", ["abcd", "dcba"])
    lines = (folder / "tones.jsonl").read_text().splitlines()
    silent = {**json.loads(lines[1]), "text": ""}
    (folder / "silent.jsonl").write_text(lines[0] + "\n" + json.dumps(silent) + "\n")
    np.savez(folder / "points.npz", point=np.zeros((4, 2), "float32"))
    (folder / "evil.pkl").write_bytes(pickle.dumps({"point": Evil()}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The catalogue and its data."""
    made = tmp_path_factory.mktemp("wrong") / "kurfiles"
    shutil.copytree(HERE, made)
    materials(made)
    return made


def said(command: str, file: str) -> list[str]:
    """The lines that a command prints about a file, its exit status 1."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = cli.main([command, file])
    assert status == 1
    if command == "validate":
        assert errors.getvalue() == ""
        return output.getvalue().splitlines()
    lines = errors.getvalue().splitlines()
    assert all(line.startswith("kur: ") for line in lines)
    return [line.removeprefix("kur: ") for line in lines]


@pytest.mark.parametrize("name", FILES)
def test_wrong_kurfile(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    head = [line[2:] for line in Path(name).read_text().splitlines() if line.startswith("# ")]
    command, expected = head[0].removeprefix("kur "), head[1:]
    found = said(command, name)
    assert len(found) == len(expected)
    for line, wanted in zip(found, expected, strict=True):
        pattern = ".*".join(map(re.escape, wanted.split("...")))
        assert re.fullmatch(pattern, line), f"{line}\n{wanted}"
    assert not Path("pwned").exists()


def test_the_catalogue_is_large() -> None:
    assert len(FILES) >= 40
