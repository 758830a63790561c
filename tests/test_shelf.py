"""Topics on disk: those of every format open for ever and say what they said; damage is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from spoken_library import calls, spoken_library

from earshot.errors import LibraryError, UsageError
from earshot.topics import judge, load, names, remove, rule_of
from earshot.topics.shelf import save

GOLDEN = Path(__file__).parent / "golden"
FORMATS = sorted(GOLDEN.glob("topic-*"))


def shelved(folder: Path, golden: Path = FORMATS[-1]) -> Path:
    """A golden topic in the folder of a library; its file."""
    (folder / "topics").mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(golden / "invoice.json", folder / "topics" / "invoice.json"))


@pytest.mark.parametrize("golden", FORMATS, ids=lambda path: path.name)
def test_topics_of_every_format_say_what_they_said(tmp_path: Path, golden: Path) -> None:
    expected = json.loads((golden / "expected.json").read_text())
    talks, _ = calls(len(expected))
    with spoken_library(tmp_path, talks) as library:
        shelved(tmp_path, golden)
        topic = load(tmp_path, "invoice")
        for one in judge(library, topic, library.list()):
            value, probability = expected[one.recording.title]
            assert one.value == value
            assert one.probability == pytest.approx(probability, abs=1e-6)
    rule = rule_of(topic)
    assert rule is not None and rule.by == "precision"


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    path = shelved(tmp_path)
    before = path.read_text()
    save(tmp_path, load(tmp_path, "invoice"))
    assert json.loads(path.read_text()) == json.loads(before)
    assert names(tmp_path) == ["invoice"]
    remove(tmp_path, "invoice")
    assert names(tmp_path) == []
    with pytest.raises(UsageError, match="there is no topic 'invoice'; there are none"):
        remove(tmp_path, "invoice")


DAMAGE = {
    "newer": (lambda c: c.update(format=2), "has format 2, this version reads format 1"),
    "lacking": (lambda c: c.pop("questions"), r"is damaged \('questions'\): train the topic again"),
    "trees": (
        lambda c: c["questions"][0].update(trees="tree\n" * 9),
        "a text of trees is not what its digest says",
    ),
    "numbers": (
        lambda c: c["questions"][0]["phrases"].append(99),
        "its trees count phrases that it does not have",
    ),
    "curve": (lambda c: c["questions"][0]["low"].pop(), "a curve has not the points"),
    "kind": (lambda c: c.update(kind="guess"), "no kind of label is 'guess'"),
    "parts": (lambda c: c["usual"].pop(), "its parts do not fit each other"),
    "silent": (lambda c: c["phrases"][0].update(ways=[]), "has no sound"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_a_sentence(tmp_path: Path, damage: str) -> None:
    change, problem = DAMAGE[damage]
    path = shelved(tmp_path)
    content = json.loads(path.read_text())
    change(content)  # type: ignore[no-untyped-call]
    path.write_text(json.dumps(content))
    with pytest.raises(LibraryError, match=problem):
        load(tmp_path, "invoice")
    path.write_text(path.read_text()[:1000])
    with pytest.raises(LibraryError, match="cannot be read"):
        load(tmp_path, "invoice")


@pytest.mark.parametrize("name", ["../up", "", ".hidden", "a/b", "x" * 65, "line\n", "it.json"])
def test_names_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is no name for a topic"):
        load(tmp_path, name)
