"""Alignments as a person sees them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from earshot.alignments import print_why
from earshot.types import Group, Heard, Mention, Reason, SearchResult, Step, Why

STEPS = (
    Step("heard", "K", "K", 3661.0, 3661.04, 0.0, 0.98, 0),
    Step("gap", "", "", 3661.04, 3661.08, 0.125, 0.9, 0),
    Step("replaced", "AE", "AH", 3661.08, 3661.12, 1.25, 0.2, 0),
    Step("missing", "T", "", 3661.12, 3661.12, 5.6, 0.0, 0),
    Step("added", "", "S", 3661.12, 3661.2, 5.0, 0.1, 0),
    Step("gap", "", "", 3661.2, 3661.6, 1.0, 0.99, 0),
    Step("faint", "S", "", 3661.6, 3661.64, 2.0, 0.1, 1),
)
WHY = Why(
    STEPS,
    (Reason("alarms", "false alarms", -14.0, 3.5), Reason("pace", "pace", 0.01, 0.001)),
    -1.0,
    2.501,
)
HEARD = Heard("cat \x1bs", ("K", "AE", "T", "S"), 0, 3661.0, 3661.7, 0.92, why=WHY)
MENTION = Mention("id", "path", "title", 0, 3661.0, 3661.7, 0.92, (HEARD,))
RESULT = SearchResult("cat s", (MENTION,), 1.0, 0.1, 1)


def drawn(result: SearchResult, width: int = 200, encoding: str = "utf-8", offset: int = 0) -> str:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding=encoding), width=width, highlight=False)
    print_why(console, result, offset)
    console.file.flush()
    return raw.getvalue().decode(encoding)


def test_what_was_sought_stands_over_what_was_heard() -> None:
    lines = drawn(RESULT, offset=4).splitlines()
    assert lines[1].startswith(r"  5  cat \x1bs  1:01:01.00 to 1:01:01.70")
    sought, heard, sure, nats, at = (line.split()[1:] for line in lines[2:7])
    assert sought == ["K", "AE", "T", "·", "·", "S"]
    assert heard == ["K", "AH", "–", "S", "·", "·"]
    assert sure == ["%", "98", "20", "10", "99", "10"]  # what was left out has none
    assert nats == ["·", "1.2", "5.6", "5.0", "1.0", "2.0"]
    assert at == ["1:01:01.00", "1:01:01.60"]
    # In columns: each unit lies over what was heard of it.
    places = [lines[2].index(unit) for unit in ("AE", "T")]
    assert [lines[3][place : place + 2].strip() for place in places] == ["AH", "–"]
    assert lines[6].index("1:01:01.60") == lines[2].rindex("S")


def test_reasons_add_up_for_all_to_see() -> None:
    text = drawn(RESULT)
    assert "confidence 92%, of log-odds +2.5:" in text
    assert "-1.0  where every query starts" in text
    assert "+3.5  false alarms: -14.00" in text
    assert "pace" not in text  # it adds nothing to speak of


def test_a_narrow_terminal_gets_several_rows_and_loses_no_unit() -> None:
    lines = drawn(RESULT, width=28).splitlines()
    sought = [line.split()[1:] for line in lines if line.strip().startswith("sought")]
    assert len(sought) > 1
    assert [unit for row in sought for unit in row] == ["K", "AE", "T", "·", "·", "S"]


def test_an_old_terminal_gets_signs_that_it_has() -> None:
    assert drawn(RESULT, encoding="ascii").split("heard", 1)[1].split()[:4] == ["K", "AH", "-", "S"]


@pytest.mark.parametrize("groups", [False, True])
def test_groups_show_their_best_and_others_nothing(groups: bool) -> None:
    plain = Mention("id", "path", "title", 0, 1.0, 2.0, 0.5, (Heard("x", ("K",), 0, 1, 2, 0.5),))
    group = Group("id", "path", "title", 0.9, (plain, MENTION))
    result = SearchResult("x", (plain, MENTION) if groups else (plain,), 1.0, 0.1, 1)
    if groups:
        result = SearchResult("x", (plain, MENTION), 1.0, 0.1, 1, (group,))
    assert drawn(result).count("sought") == (2 if groups else 0)  # a row, and the legend
