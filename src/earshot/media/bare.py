"""Samples without any header: what form they have, where only a file's suffix tells it.

Telephone systems write such files; FFmpeg knows few of these suffixes, and takes those for sound at
44,100 Hz. This module opens nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

LAYOUTS = ("mono", "stereo", "2.1", "quad", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True, slots=True)
class Bare:
    """Samples without any header: FFmpeg's name of their form (s16le), their rate, channels."""

    form: str
    sample_rate: int
    channels: int = 1

    def options(self) -> dict[str, str]:
        """What FFmpeg's reader of the form has to be told."""
        layout = LAYOUTS[self.channels - 1]
        return {"sample_rate": str(self.sample_rate), "ch_layout": layout}


_MULAW, _ALAW = Bare("mulaw", 8_000), Bare("alaw", 8_000)
BARE = {
    ".ulaw": _MULAW, ".mulaw": _MULAW, ".ul": _MULAW, ".pcmu": _MULAW,
    ".alaw": _ALAW, ".al": _ALAW, ".pcma": _ALAW,
    ".sln": Bare("s16le", 8_000), ".sln8": Bare("s16le", 8_000), ".sln16": Bare("s16le", 16_000),
    ".sln48": Bare("s16le", 48_000),
}  # fmt: skip
"""Forms by suffix: G.711 mu-law and A-law, and what Asterisk calls signed linear."""

_HEADED = (b"RIFF", b"RIFX", b".snd", b"fLaC", b"OggS", b"ID3")  # named wrongly, but no riddle


def bare(suffix: str, head: bytes) -> Bare | None:
    """The form of a file with this suffix that begins with `head`; None if that has a header."""
    return None if head.startswith(_HEADED) else BARE.get(suffix.lower())
