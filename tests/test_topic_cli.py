"""The commands `earshot label` and `earshot topic`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import tone_library
from spoken_library import calls, spoken_library
from test_shelf import shelved
from typer.testing import CliRunner

from earshot import cli, label_cli, topic_cli


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a library of calls, with a golden topic; commands hear tones."""
    for module in (cli, label_cli, topic_cli):
        monkeypatch.setattr(module, "Library", tone_library)
    talks, _ = calls(75)
    spoken_library(tmp_path / "calls", talks).close()
    shelved(tmp_path / "calls")
    return tmp_path / "calls"


def run(folder: Path, *words: str, status: int = 0) -> str:
    """What a command prints."""
    done = CliRunner().invoke(cli.app, [*words, "--library", str(folder)])
    assert done.exit_code == status, (done.output, done.exception)
    return done.output


def test_labels_go_in_and_out(folder: Path, tmp_path: Path) -> None:
    _, truth = calls(75)
    rows = [f"{title},{'yes' if said else 'no'}" for title, said in truth.items()]
    file = tmp_path / "labels.csv"
    file.write_text("\n".join(["recording,invoice", *rows]))
    assert "75 opinions on 75 recordings, labels: invoice" in run(
        folder, "label", "import", str(file)
    )
    assert "invoice" in run(folder, "label", "list")
    run(folder, "label", "set", "call 3", "invoice", "no", "--reviewer", "anna")
    [third] = [
        one
        for one in map(json.loads, run(folder, "label", "list", "invoice", "--json").splitlines())
        if one["title"] == "call 3"
    ]
    assert ["anna", "no"] in third["opinions"]
    out = tmp_path / "out.csv"
    run(folder, "label", "export", str(out), "--label", "invoice")
    assert run(folder, "label", "import", str(out)).startswith("76 opinions")
    file.write_text("recording,invoice\nnobody,yes\n")
    assert "nothing was imported" in run(folder, "label", "import", str(file), status=2)
    assert "left out" in _skipped(folder, file)
    assert "removed invoice (76 opinions)" in run(folder, "label", "remove", "invoice")
    assert "There are no labels yet" in run(folder, "label", "list")


def _skipped(folder: Path, file: Path) -> str:
    file.write_text("recording,invoice\nnobody,yes\ncall 1,no\n")
    return run(folder, "label", "import", str(file), "--skip-unknown")


def test_a_topic_is_shown_and_applied(folder: Path, tmp_path: Path) -> None:
    shown = run(folder, "topic", "show", "invoice", "--plot", str(tmp_path / "curve.svg"))
    assert "lantern" in shown and "earshot clip" in shown
    assert (tmp_path / "curve.svg").read_text().startswith("<svg")
    about = json.loads(run(folder, "topic", "show", "invoice", "--json"))
    assert about["counts"].keys() == {"yes", "no"}
    assert {one["phrase"] for one in about["questions"][0]["phrases"]} >= {"invoice", "lantern"}
    [judged] = run(folder, "topic", "apply", "invoice", "call 70", "--json").splitlines()
    assert json.loads(judged)["title"] == "call 70"
    assert "call 70" in run(folder, "topic", "apply", "invoice", "--min-probability", "0")
    assert "invoice" in run(folder, "topic", "list")
    run(folder, "topic", "remove", "invoice")
    assert "There are no topics yet" in run(folder, "topic", "list")
    assert "there are none" in run(folder, "topic", "show", "invoice", status=2)


def test_a_topic_alerts(folder: Path, tmp_path: Path) -> None:
    said = run(folder, "topic", "alert", "invoice", "--cost", "3", "--retroactive")
    assert "invoice alerts on 'yes' from 25% on" in said
    outbox = tmp_path / "outbox"
    lines = run(folder, "topic", "watch", "--mail-folder", str(outbox), "--json").splitlines()
    assert len(lines) == len(list(outbox.glob("*.eml"))) > 0
    assert json.loads(lines[0])["topic"] == "invoice"
    assert run(folder, "topic", "watch") == "0 alerts\n"
    wrong = run(folder, "topic", "alert", "invoice", "--cost", "3", "--per-day", "1", status=2)
    assert "give one of" in wrong
    assert "alerts no more" in run(folder, "topic", "alert", "invoice", "--off")
    assert "at least 20 are needed" in run(folder, "topic", "drift", "invoice", status=2)


def test_a_damaged_topic_hides_no_other(folder: Path) -> None:
    (folder / "topics" / "broken.json").write_text("{")
    listed = run(folder, "topic", "list")
    assert "broken.json: cannot be read" in listed and "2026-" in listed
