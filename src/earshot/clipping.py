"""What must hold before a span of a recording is cut out of its file.

It knows what is known of a recording, and nothing of libraries or of formats.
"""

from __future__ import annotations

from pathlib import Path

from earshot.errors import MediaError, UsageError
from earshot.types import Recording, Span


def require_inside(span: Span, recording: Recording) -> None:
    """Raises UsageError unless the span lies in the recording."""
    if not 0 <= span.start <= span.end or span.start > recording.duration:
        raise UsageError(
            f"the span from {span.start:.1f} to {span.end:.1f} seconds does not lie in the "
            f"recording '{recording.title}', which is {recording.duration:.1f} seconds long"
        )


def unchanged(recording: Recording) -> Path:
    """The recording's file, which must still be the one that was added; else MediaError."""
    if not recording.path:
        raise MediaError(
            f"the recording '{recording.title}' has no file to take sound from: it was heard "
            "through a pipe, or its file is not known any more"
        )
    source = Path(recording.path)
    try:
        size = source.stat().st_size
    except OSError as error:
        raise MediaError(
            f"{source} cannot be read ({error.strerror}): if the file was moved, add it again "
            "from where it is now"
        ) from error
    if size != recording.bytes:
        raise MediaError(f"{source} has changed since it was added: add it again")
    return source
