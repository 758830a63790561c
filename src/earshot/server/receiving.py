"""A request's body -> a file on the disk, in bounded memory, with its digest.

Either the body is the file, or it is a form (multipart/form-data) with one file in it and small
fields beside. What is not whole is deleted. It knows nothing of recordings and jobs.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import BinaryIO

from fastapi import Request
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from earshot.server.errors import Refused

MOST_FIELDS = 100
MOST_FIELD_BYTES = 64 << 10
"""Of a form: fields beside the file, and bytes of all of them."""

_MOST_HEADER_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class Received:
    """A file that was sent: where it lies, and what was sent with it (names with their values)."""

    path: Path
    digest: str
    bytes: int
    filename: str = ""
    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


async def receive(request: Request, target: Path, *, most_bytes: int, patience: float) -> Received:
    """Write the file that a request brings to `target`.

    Raises Refused: 413 for more than `most_bytes`, 408 when no byte comes for `patience` seconds,
    400 for a form that makes no sense or a body that ends too early.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    promised = request.headers.get("content-length", "")
    if promised.isdigit() and int(promised) > most_bytes + MOST_FIELD_BYTES:
        raise too_large(most_bytes)
    try:
        with target.open("xb") as file:
            sink = _Sink(file, most_bytes)
            blocks = _blocks(request, patience)
            if kind == b"multipart/form-data":
                form = _Form(sink, options.get(b"boundary", b""))
                await form.read(blocks)
                filename, fields = form.filename, form.fields
            else:
                filename, fields = _named(request), {}
                async for block in blocks:
                    sink.write(block)
            file.flush()
        if not sink.bytes:
            raise Refused(400, "there is no audio in the request: its file is empty or missing")
        return Received(
            target,
            sink.hash.hexdigest(),
            sink.bytes,
            filename,
            {name: tuple(values) for name, values in fields.items()},
        )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def too_large(most_bytes: int) -> Refused:
    """The answer to more than is accepted."""
    return Refused(413, f"the file is larger than the {most_bytes:,} bytes that are accepted")


class _Sink:
    """A file that is written, counted and hashed on the way."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self._file = file
        self._most = most
        self.bytes = 0
        self.hash = hashlib.sha256()

    def write(self, block: bytes) -> None:
        self.bytes += len(block)
        if self.bytes > self._most:
            raise too_large(self._most)
        self.hash.update(block)
        try:
            self._file.write(block)
        except OSError as error:
            raise Refused(
                507,
                f"the server cannot keep the file ({error.strerror}): try again later",
                code="no_space",
            ) from error


class _Form:
    """A multipart form as it comes in: its first file goes to a sink, its fields are kept."""

    def __init__(self, sink: _Sink, boundary: bytes) -> None:
        if not boundary or len(boundary) > 200:
            raise Refused(400, "the form names no boundary in its Content-Type")
        self._sink = sink
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_header_field": self._header_name,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._ends,
            },
        )
        self.filename = ""
        self.fields: dict[str, list[str]] = {}
        self._files = 0
        self._left = MOST_FIELD_BYTES
        self._count = 0
        self._done = False
        self._name = ""
        self._value = bytearray()
        self._is_file = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._disposition = b""

    async def read(self, blocks: AsyncIterator[bytes]) -> None:
        """Read all of it."""
        async for block in blocks:
            try:
                self._parser.write(block)
            except ValueError as error:  # MultipartParseError is one
                raise Refused(400, f"the form makes no sense: {error}") from None
        if not self._done:
            raise Refused(400, "the form ends too early: its last boundary is missing")

    def _part_begins(self) -> None:
        self._count += 1
        if self._count > MOST_FIELDS:
            raise Refused(400, f"the form has more than {MOST_FIELDS} fields")
        self._value.clear()
        self._disposition = b""
        self._is_file = False
        self._name = ""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[0], data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(self._header[1], data[start:end])

    def _grow(self, buffer: bytearray, data: bytes) -> None:
        buffer += data
        if len(buffer) > _MOST_HEADER_BYTES:
            raise Refused(400, "a header in the form is too long")

    def _header_ends(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""))
        self._is_file = b"filename" in options
        if self._is_file:
            self._files += 1
            if self._files > 1:
                raise Refused(400, "the form has more than one file: send one a request")
            self.filename = _text(options[b"filename"])

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._sink.write(data[start:end])
            return
        self._left -= end - start
        if self._left < 0:
            raise Refused(413, f"the form's fields are longer than {MOST_FIELD_BYTES:,} bytes")
        self._value += data[start:end]

    def _part_ends(self) -> None:
        if not self._is_file:
            self.fields.setdefault(self._name, []).append(_text(bytes(self._value)))

    def _ends(self) -> None:
        self._done = True


async def _blocks(request: Request, patience: float) -> AsyncIterator[bytes]:
    """The body's blocks; raises Refused when they stop coming."""
    stream = request.stream()
    while True:
        try:
            block = await asyncio.wait_for(anext(stream), patience)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                408, f"no byte came for {patience:g} seconds: the upload was given up"
            ) from None
        except ClientDisconnect:
            raise Refused(400, "the connection ended before the file did") from None
        yield block


def _named(request: Request) -> str:
    """The file's name in a Content-Disposition header, if there is one."""
    message = Message()
    message["content-disposition"] = request.headers.get("content-disposition", "attachment")
    return message.get_filename() or ""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
