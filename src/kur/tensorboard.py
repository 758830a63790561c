"""A log that TensorBoard reads: event files, written here byte by byte, without TensorFlow.

An event is a protocol buffer; a file is a row of them, each with its length and two checksums
(CRC-32C, masked). Knows nothing of networks.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from kur.data.supplier import resolve
from kur.errors import KurError
from kur.hooks import hook
from kur.train import State

_WAITING = 50
_POLYNOMIAL = 0x82F63B78
_MASK = 0xA282EAD8
_START = 1  # SessionLog.START: TensorBoard forgets what an earlier session wrote from here on


@hook("tensorboard")
class TensorBoard:
    """Losses and learning rate of each batch, and every figure of each epoch, in an event file of a
    folder: `tensorboard --logdir PATH` shows them."""

    def __init__(self, *, base: Path, path: str) -> None:
        self._folder = resolve(base, path)
        self._file: Path | None = None
        self._waiting: list[bytes] = []

    def on_start(self, state: State) -> None:
        """Begin a file; what an earlier one has beyond this point does not count."""
        name = (
            f"events.out.tfevents.{int(time.time())}.{time.monotonic_ns()}.{socket.gethostname()}"
        )
        self._file = self._folder / name
        self._add(field(3, b"brain.Event:2"))
        self._add(number(2, state.step + 1) + field(7, number(1, _START)))

    def on_batch(self, state: State, batches: int, loss: float, rate: float) -> None:
        """Keep loss and rate."""
        self._scalars(state.step, {"batch/loss": loss, "batch/learning_rate": rate})

    def on_epoch(self, state: State, figures: Mapping[str, float]) -> None:
        """Keep every figure, and write."""
        named = {f"epoch/{name.replace(' ', '_')}": value for name, value in figures.items()}
        self._scalars(state.step, named)
        self._write()

    def on_end(self, state: State, reason: str) -> None:
        """Write what waits."""
        self._write()

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        summary = b"".join(
            field(1, field(1, name.encode()) + b"\x15" + struct.pack("<f", value))
            for name, value in values.items()
        )
        self._add(number(2, step) + field(5, summary))

    def _add(self, event: bytes) -> None:
        # Field 1 is the time, a double.
        self._waiting.append(record(b"\x09" + struct.pack("<d", time.time()) + event))
        if len(self._waiting) >= _WAITING:
            self._write()

    def _write(self) -> None:
        if self._file is None or not self._waiting:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.writelines(self._waiting)
        except OSError as error:
            raise KurError(f"{self._file}: cannot be written: {error.strerror}") from None
        self._waiting = []


def number(tag: int, value: int) -> bytes:
    """A field of a protocol buffer that holds a whole number from 0 on."""
    return _varint(tag << 3) + _varint(value)


def field(tag: int, content: bytes) -> bytes:
    """A field of a protocol buffer that holds a text or another buffer."""
    return _varint(tag << 3 | 2) + _varint(len(content)) + content


def record(data: bytes) -> bytes:
    """An event as it stands in a file: length, its checksum, the event, its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _checked(length) + data + _checked(data)


def crc32c(data: bytes) -> int:
    """The checksum of Castagnoli (1993), as RFC 3720 uses it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _checked(data: bytes) -> bytes:
    crc = crc32c(data)
    masked = ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF
    return struct.pack("<I", masked)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
    return byte


_TABLE = [_entry(byte) for byte in range(256)]
