"""What an owner says of a recording is kept plain, and changes what it says and nothing else."""

from __future__ import annotations

import pytest

from earshot.about import LONGEST, NOTHING, about
from earshot.errors import UsageError
from earshot.types import Recording

RECORDING = Recording(
    "3f2a1b4c5d6e", "/a.wav", "a", 1.0, 1, "3f" * 32, 1, "2026-01-01",
    "2020", ("News", "sea"), (("speaker", "Ann"), ("room", "5")),
)  # fmt: skip


def test_nothing_changes_nothing() -> None:
    assert NOTHING.applied(RECORDING) == RECORDING
    assert about() == NOTHING


def test_what_is_said_is_changed() -> None:
    changed = about(
        title=" A  talk\n",
        date="2021-02",
        tags=["NEWS", "new"],
        without_tags=["Sea"],
        meta={"speaker": "Bob", "room": "", "mood": "e\u0301"},
    ).applied(RECORDING)
    assert changed.title == "A talk"
    assert changed.recorded == "2021-02"
    assert changed.tags == ("News", "new")
    assert changed.meta == (("speaker", "Bob"), ("mood", "é"))
    assert (changed.id, changed.path, changed.added) == (
        RECORDING.id,
        RECORDING.path,
        RECORDING.added,
    )
    assert about(date="").applied(RECORDING).recorded is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"title": " "},
        {"title": "a" * (LONGEST + 1)},
        {"date": "yesterday"},
        {"date": "2020-02-30"},
        {"tags": [""]},
        {"meta": {"a.b": "c"}},
        {"meta": {"": "c"}},
        {"meta": {"a b": "c"}},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        about(**wrong)  # type: ignore[arg-type]


def test_half_characters_are_replaced() -> None:
    assert about(title="caf\udce9").title == "caf\ufffd"
