"""Event files for TensorBoard, read back by a reader of our own."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing import event_accumulator
from test_train import StopAt
from tiny_kur import POINTS, kurfile

from kur import session
from kur.log import Log
from kur.tensorboard import crc32c


def unmasked(masked: int) -> int:
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def records(data: bytes) -> Iterator[bytes]:
    """The events of a file; both checksums of each are right."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        assert crc32c(data[at : at + 8]) == unmasked(struct.unpack_from("<I", data, at + 8)[0])
        event = data[at + 12 : at + 12 + length]
        crc = struct.unpack_from("<I", data, at + 12 + length)[0]
        assert crc32c(event) == unmasked(crc)
        yield event
        at += 16 + length


def fields(data: bytes) -> dict[int, list[Any]]:
    """A protocol buffer's fields by number: numbers, doubles, floats, bytes."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 0x80:
                return value, at

    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = varint(at)
        value: Any
        if key & 7 == 0:
            value, at = varint(at)
        elif key & 7 == 2:
            length, at = varint(at)
            value, at = data[at : at + length], at + length
        else:
            form, size = {1: ("<d", 8), 5: ("<f", 4)}[key & 7]
            (value,), at = struct.unpack_from(form, data, at), at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def scalars(events: list[dict[int, list[Any]]]) -> list[tuple[int, str, float]]:
    found = []
    for event in events:
        for summary in event.get(5, []):
            for value in fields(summary)[1]:
                one = fields(value)
                found.append((event.get(2, [0])[0], one[1][0].decode(), one[2][0]))
    return found


def test_checksums() -> None:
    """The values of RFC 3720, B.4."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_a_training_is_logged(tmp_path: Path) -> None:
    """What stands in the event files is what stands in the log; a second start says from where
    on the first one no longer counts."""
    given = {"train__hooks": "[{tensorboard: out/board}]", "train__stop_when__epochs": "2"}
    first = session.training(kurfile(tmp_path, POINTS, **given))
    stop = StopAt(7)
    stop.trainer = first
    first._watchers = (*first._watchers, stop)
    first.run()
    session.training(kurfile(tmp_path, POINTS, **given)).run()
    files = sorted((tmp_path / "out/board").iterdir(), key=lambda one: one.stat().st_mtime_ns)
    assert len(files) == 2 and all(one.name.startswith("events.out.tfevents.") for one in files)
    both = [[fields(one) for one in records(file.read_bytes())] for file in files]
    for events, begins in zip(both, (1, 8), strict=True):
        assert events[0][3] == [b"brain.Event:2"] and events[0][1][0] > 1e9
        assert events[1][2] == [begins] and fields(events[1][7][0]) == {1: [1]}
    found = scalars([*both[0], *both[1]])
    log = Log(tmp_path / "out/log.jsonl").read()
    losses = [(line["step"], line["loss"]) for line in log if "loss" in line]
    told = [(step, value) for step, tag, value in found if tag == "batch/loss"]
    assert [step for step, _ in told] == [step for step, _ in losses] == list(range(1, 11))
    assert [one for _, one in told] == pytest.approx([one for _, one in losses], abs=1e-5)
    accuracy = [(step, value) for step, tag, value in found if tag == "epoch/validation_accuracy"]
    lines = [line for line in log if "figures" in line]
    assert accuracy == [
        (line["step"], pytest.approx(line["figures"]["validation accuracy"], abs=1e-5))
        for line in lines
    ]
    assert {tag for _, tag, _ in found} >= {"batch/learning_rate", "epoch/training_loss"}


def test_tensorboard_itself_reads_it(tmp_path: Path) -> None:
    given = {"train__hooks": "[{tensorboard: board}]", "train__stop_when__epochs": "1"}
    session.training(kurfile(tmp_path, POINTS, **given)).run()
    accumulator = event_accumulator.EventAccumulator(str(tmp_path / "board"))
    accumulator.Reload()
    assert "batch/loss" in accumulator.Tags()["scalars"]
    assert [one.step for one in accumulator.Scalars("batch/loss")] == [1, 2, 3, 4, 5]
