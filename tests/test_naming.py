"""Variables in the names of saved files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from kur.errors import KurError
from kur.naming import check, filled, latest


def test_variables_are_filled_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUR_TEST_FOLDER", "deep")
    values = {"EPOCH": 3, "TRAIN_LOSS": 0.123456, "VALIDATION_LOSS": None}
    name = "${KUR_TEST_FOLDER}/e${EPOCH}-${TRAIN_LOSS}-${VALIDATION_LOSS}.w"
    check(name)
    assert filled(tmp_path, name, values) == tmp_path / "deep/e3-0.1235-none.w"
    timed = filled(tmp_path, "${TIME=%Y}/${TIME}", values)
    assert re.fullmatch(r"\d{4}/\d{4}-\d\d-\d\d-\d{6}", str(timed.relative_to(tmp_path)))
    assert filled(tmp_path, "$KUR_TEST_FOLDER/plain", {}) == tmp_path / "deep/plain"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("${EPOC}", "unknown variable '${EPOC}' in '${EPOC}' (did you mean 'EPOCH'?); accepted: "),
        ("a/${EPOCH=%Y}", "unknown variable '${EPOCH=%Y}' in 'a/${EPOCH=%Y}' (did you mean"),
        ("${NO_SUCH_VARIABLE_HERE}", "unknown variable '${NO_SUCH_VARIABLE_HERE}' in "),
    ],
)
def test_unknown_variables(name: str, message: str) -> None:
    with pytest.raises(KurError) as caught:
        check(name)
    assert str(caught.value).startswith(message)


def test_the_file_that_was_saved_last(tmp_path: Path) -> None:
    assert latest(tmp_path, "plain") == tmp_path / "plain"
    assert latest(tmp_path, "w-${EPOCH}") == tmp_path / "w-${EPOCH}"
    for age, name in enumerate(["w-10", "w-9", "x-11", "w-[1]"]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert latest(tmp_path, "w-${EPOCH}") == tmp_path / "w-10"
    assert latest(tmp_path, "w-[${EPOCH}]") == tmp_path / "w-[1]"
