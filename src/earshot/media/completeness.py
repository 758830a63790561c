"""Is a file all there? What its headers promise in bytes, compared with the bytes it has.

FFmpeg plays what is left of a cut file and says nothing, so a call that lost its second half would
look like a short call. WAV, AVI, AIFF, MP4, Matroska, WMA, Ogg and MP3 tell their size in bytes,
which is checked here before anything is decoded; where seconds are told, decoding is the check.
This module reads a few bytes at known places; it knows nothing of FFmpeg or of audio.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from io import FileIO

HEAD = 28  # bytes that tell most formats
LARGEST_RIFF = 1 << 32  # a RIFF header counts bytes in 32 bits
# Recorders that cannot go back to write the size leave zero or something close to the largest
# signed or unsigned number.
UNKNOWN_RIFF_SIZES = (range(0x7FFF_0000, 0x8000_1000), range(0xFFFF_0000, 1 << 32))
RIFF_SLACK = 64  # bytes: programs differ in whether they count the header itself
MP4_BOXES = frozenset(
    b"ftyp moov mdat moof free skip wide uuid sidx styp mfra meta pdin emsg pnot udta junk".split()
)
INDEXES = frozenset({b"moov", b"moof"})  # of the whole file, of the fragment that follows
EBML, SEGMENT = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"  # Matroska and WebM
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")  # WMA and WMV
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_SEARCH = 1 << 16  # bytes of the header within which its properties must stand
OGG_HEADER = 27  # bytes of a page's header before its table of segments
OGG_FIRST_PAGE = 2  # flag of the page that begins a logical stream
XING_SEARCH = 200  # bytes after an MP3 frame's start within which its Xing header must stand
XING_FRAMES, XING_BYTES = 1, 2  # flags: which of its fields are there, in this order
MP3_SLACK = 1024  # tags are added and removed behind the header's back


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a look at the headers found.

    `problem` continues the sentence "FILE ..." or is None; `restarts` tells that the time line
    starts again inside the file (Ogg files joined end to end); `length_told` that an MP3 file tells
    its number of frames, so that its duration is no guess; `unmeasured` that the header cannot tell
    how long the audio is (a WAV file above 4 GiB), so that all of the file counts.
    """

    problem: str | None = None
    restarts: bool = False
    length_told: bool = False
    unmeasured: bool = False


def inspect(file: FileIO) -> Completeness:
    """Look at an open file (which is moved to its beginning); unknown formats have no problem."""
    size = os.fstat(file.fileno()).st_size
    head = _at(file, 0, HEAD)
    file.seek(0)
    if head[:4] in (b"RIFF", b"FORM"):
        return _riff(head, size)
    if head[:4] == b"OggS":
        return _ogg(file, size)
    if head[:4] == b"RF64" and head[12:16] == b"ds64":  # WAV above 4 GiB
        return _compared(int.from_bytes(head[20:28], "little") + 8, size, RIFF_SLACK)
    if head[:4] == b"riff":  # Sony Wave64
        return _compared(int.from_bytes(head[16:24], "little"), size, RIFF_SLACK)
    if head[:16] == ASF:
        return _asf(file, size)
    if head[:4] == EBML:
        return _matroska(file, size)
    if head[4:8] in MP4_BOXES:
        return _mp4(file, size)
    if head[:3] == b"ID3" or (head[:1] == b"\xff" and head[1:2] >= b"\xe0"):
        return _mp3(file, head, size)
    return Completeness()


def _riff(head: bytes, size: int) -> Completeness:
    """WAV and AVI (little-endian size), AIFF (big-endian size)."""
    told = int.from_bytes(head[4:8], "little" if head[:4] == b"RIFF" else "big")
    if head[8:12] == b"WAVE" and size > LARGEST_RIFF + RIFF_SLACK:
        return Completeness(unmeasured=True)
    if any(told in unknown for unknown in UNKNOWN_RIFF_SIZES):
        return Completeness()
    return _compared(told + 8, size, RIFF_SLACK)


def _ogg(file: FileIO, size: int) -> Completeness:
    """Walk from page to page: the last one must end within the file; count the beginnings."""
    place, streams_began, restarts = 0, False, False
    while place < size:
        header = _at(file, place, OGG_HEADER + 255)
        if header[:4] != b"OggS":
            break  # something else follows, or damage, which the decoder meets and reports
        if len(header) < OGG_HEADER or len(header) < OGG_HEADER + header[26]:
            return _compared(place + OGG_HEADER + 255, size, 0)
        if header[5] & OGG_FIRST_PAGE:
            restarts = restarts or streams_began
        else:
            streams_began = True
        place += OGG_HEADER + header[26] + sum(header[OGG_HEADER : OGG_HEADER + header[26]])
    return replace(_compared(place, size, 0), restarts=restarts)


def _asf(file: FileIO, size: int) -> Completeness:
    """An object of properties tells the number of bytes, 40 bytes from its beginning."""
    header = _at(file, 0, ASF_SEARCH)
    place = header.find(ASF_PROPERTIES) + 40
    if place < 40:
        return Completeness()
    return _compared(int.from_bytes(header[place : place + 8], "little"), size, 0)


def _matroska(file: FileIO, size: int) -> Completeness:
    """One header, then one segment that holds everything; a live recording leaves its size open."""
    start, length = _ebml_size(file, 4)
    segment = start + length
    if _at(file, segment, 4) != SEGMENT:
        return Completeness()
    start, length = _ebml_size(file, segment + 4)
    return _compared(start + length, size, 0)


def _ebml_size(file: FileIO, place: int) -> tuple[int, int]:
    """Where an element's content begins, and its length; 0 for one that is not known."""
    field = _at(file, place, 8)
    width = 9 - field[0].bit_length() if field and field[0] else 9
    if len(field) < width:
        return place, 0
    value = int.from_bytes(field[:width], "big") - (1 << 7 * width)
    return place + width, 0 if value == (1 << 7 * width) - 1 else value


def _mp4(file: FileIO, size: int) -> Completeness:
    """Walk over the top-level boxes: each must end within the file, and one must be the index."""
    place, seen = 0, set[bytes]()
    while place < size:
        header = _at(file, place, 16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kind not in MP4_BOXES and seen & INDEXES == {b"moov"}:
            return Completeness()  # this index tells where everything is: what follows may be junk
        if kind not in MP4_BOXES and not (kind.isalnum() and kind.isascii()):
            return Completeness(f"is damaged: at byte {place:,} an MP4 box should begin")
        seen.add(kind)
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length < 8:  # 0: up to the end of the file
            break
        place += length
    if place > size:
        return _compared(place, size, 0)
    if not seen & INDEXES:
        return Completeness("has no index (moov): its recording was cut off before it was finished")
    return Completeness()


def _mp3(file: FileIO, head: bytes, size: int) -> Completeness:
    """MP3 with a Xing or Info header in its first frame, which tells the number of bytes."""
    start = 0
    if head[:3] == b"ID3":
        # Four bytes of seven bits; a size of tags that the header itself is not part of.
        start = 10 + sum((byte & 0x7F) << 7 * (3 - i) for i, byte in enumerate(head[6:10]))
    frame = _at(file, start, XING_SEARCH)
    found = max(frame.find(b"Xing"), frame.find(b"Info"))
    fields = frame[found + 4 :]
    if frame[:1] != b"\xff" or found < 0 or len(fields) < 12 or not fields[3] & XING_BYTES:
        return Completeness()
    frames = bool(fields[3] & XING_FRAMES)
    told = start + int.from_bytes(fields[8:12] if frames else fields[4:8], "big")
    # Where another file was joined on, FFmpeg goes back to guessing the duration.
    exact = frames and size < told + MP3_SLACK
    return replace(_compared(told, size, MP3_SLACK), length_told=exact)


def _compared(promised: int, size: int, slack: int) -> Completeness:
    if promised <= size + slack:
        return Completeness()
    return Completeness(
        f"is truncated: its headers describe {promised:,} bytes, it has only {size:,}"
    )


def _at(file: FileIO, place: int, count: int) -> bytes:
    try:
        file.seek(place)
        return file.read(count) or b""
    except (OSError, OverflowError):  # a place that no file has; damage shows in what is missing
        return b""
