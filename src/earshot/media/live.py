"""Audio that is still being made, from a pipe: PCM as soon as it is there.

A container that can be read from its beginning on without seeking (WAV, MP3, Ogg, FLAC, Matroska,
MPEG-TS, ADTS ...), or bare samples whose form the caller tells. The same locks hold as for files
(see `opening`), and time is counted as there. This module knows nothing of what is done with the
PCM.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

from earshot.errors import MediaError
from earshot.media.bare import Bare
from earshot.media.completeness import Completeness
from earshot.media.decoding import Piece, pieces
from earshot.media.opening import (
    SNIFF_BYTES,
    Source,
    audio_stream,
    open_container,
    refuse_text,
    told,
)

PIECE_SECONDS = 0.1
LOOK_SECONDS = 0.2  # how often a reader that waits asks whether it is to stop
# A pipe gives no more than what was said: FFmpeg must not wait for megabytes to know what it is.
PROBING = {"probesize": "65536", "analyzeduration": "200000"}
HEAD_BYTES = 512


class Pipe:
    """The bytes of an open pipe (or file) as FFmpeg gets them, as many as are there.

    `stop` is asked while nothing comes; once it says yes, the pipe is at its end.
    """

    failure: OSError | None = None

    def __init__(self, handle: int, stop: Callable[[], bool]) -> None:
        self.name = "media"
        self._handle = handle
        self._stop = stop
        self._head = b""

    def head(self) -> bytes:
        """The first bytes, enough to tell text from audio; they will be read again."""
        head = b""
        while len(head) < HEAD_BYTES and (more := self.read(SNIFF_BYTES)):
            head += more
        self._head = head
        return head

    def read(self, count: int) -> bytes:
        """Up to `count` bytes, as soon as there are any; none at the end."""
        if self._head:
            some, self._head = self._head[:count], self._head[count:]
            return some
        try:
            while not self._stop():
                if select.select([self._handle], [], [], LOOK_SECONDS)[0]:
                    return os.read(self._handle, count)
        except OSError as error:
            self.failure = error
        return b""


def live(
    handle: int, name: str, *, bare: Bare | None = None, stop: Callable[[], bool] = lambda: False
) -> Iterator[Piece]:
    """Pieces of about a tenth of a second of what comes through the open pipe `handle`.

    `name` is what messages call it. Raises MediaError where it is no audio or is damaged; what came
    before is good.
    """
    pipe = Pipe(handle, stop)
    options, form = dict(PROBING), None
    if bare is None:
        head = pipe.head()
        if not head:
            raise MediaError(f"{name} is at its end before any audio came")
        refuse_text(head, name)
    else:
        form = bare.form
        options |= bare.options()
    container = open_container(pipe, name, options, form)
    try:
        stream = audio_stream(container, name)
        info = told(container, stream, "media")
        source = Source(name, container, stream, info, Completeness(), pipe)
        yield from pieces(source, piece_seconds=PIECE_SECONDS)
    finally:
        container.close()
