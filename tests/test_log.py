"""The log of a training: cut back to where it goes on from; what cannot be a log is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from kur.errors import KurError
from kur.log import Log


def test_the_log_is_cut_to_the_checkpoint(tmp_path: Path) -> None:
    log = Log(tmp_path / "deep" / "log.jsonl")
    log.cut(0, 0)
    for step in range(1, 5):
        log.batch(step, (step - 1) // 2, 0.1 * step, 0.5)
        if step % 2 == 0:
            log.epoch(step, step // 2, 1.0, {"loss": 0.123456789})
    log.flush()
    whole = log.read()
    assert len(whole) == 6 and whole[2]["figures"] == {"loss": 0.123457}
    assert log.path is not None
    with log.path.open("a") as file:
        file.write('{"step": 5, "ep')
    assert log.read() == whole
    log.cut(4, 2)
    assert log.read() == whole and log.path.read_text().endswith("}\n")
    log.cut(4, 1)  # the checkpoint stands before the end of the second epoch
    assert log.read() == whole[:-1]
    log.cut(3, 1)
    assert log.read() == whole[:4]
    log.cut(0, 0)
    assert log.read() == [] and log.path.with_name("log.jsonl.old").is_file()


def test_logs_that_cannot_be(tmp_path: Path) -> None:
    assert Log(None).read() == []
    path = tmp_path / "log.jsonl"
    path.write_text('{"message": "hello"}\n')
    with pytest.raises(KurError, match=r"log\.jsonl: not a log of Kur; name another file"):
        Log(path).cut(0, 0)
    with pytest.raises(KurError, match="cannot be written"):
        Log(path / "inside.jsonl").cut(0, 0)
    quiet = Log(tmp_path / "quiet.jsonl", keep_batch=False)
    quiet.batch(1, 0, 0.5, 0.1)
    quiet.epoch(1, 1, 0.1, {})
    assert [line["epoch"] for line in quiet.read()] == [1]


def test_lines_wait_for_so_many_seconds(tmp_path: Path) -> None:
    at_once, later = (Log(tmp_path / f"{rate}.jsonl", rate=rate) for rate in (0, 3600))
    for log in (at_once, later):
        log.batch(1, 0, 0.5, 0.1, 2.0)
    assert at_once.read() == [{"step": 1, "epoch": 0, "loss": 0.5, "rate": 0.1, "seconds": 2.0}]
    assert later.read() == []
