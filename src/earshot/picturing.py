"""A recording of a library -> the scene of its picture: activations, mentions, waveform.

It asks the library as any program may, and knows nothing of how pictures are drawn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot.clipping import require_inside, unchanged
from earshot.errors import MediaError, UsageError
from earshot.index import log_posteriors, open_snapshot
from earshot.library import Library
from earshot.picture import require_ending, write_picture
from earshot.plotting import COLUMNS, Scene, drawn
from earshot.types import Mention, Recording, Span

DETAIL_SECONDS = 4.0
"""Of a long recording in which something is sought, what is drawn around the likeliest mention."""

_RATE = 16_000


def draw(
    library: Library,
    recording: Recording,
    target: Path,
    *,
    query: str | None = None,
    span: Span | None = None,
    channel: int = 0,
) -> Span:
    """Write a picture of a recording to an .svg or .png file.

    query: its mentions are marked, and its alignment is laid over what was heard. span: the part
    that is drawn; by default all, or a few seconds around the likeliest mention where the
    recording is longer. Returns the part that was drawn. Raises UsageError for another kind of
    file, a span outside the recording or a channel that it has not, MissingExtra where a PNG
    cannot be drawn.
    """
    require_ending(target)
    snapshot = open_snapshot(library.path)
    tracks = {
        entry.channel: heard
        for entry, heard in zip(snapshot.tracks, snapshot.heard, strict=True)
        if entry.recording == recording.id
    }
    if channel not in tracks:
        raise UsageError(
            f"the recording '{recording.title}' has {len(tracks)} channels, and no {channel + 1}"
        )
    mentions = _mentions(library, recording, query, channel) if query is not None else []
    span = _span(recording, span, mentions)
    network = snapshot.manifest.network
    about = f"{recording.title}  ({recording.id})"
    if len(tracks) > 1:
        about += f", channel {channel + 1} of {len(tracks)}"
    scene = Scene(
        query or recording.title,
        f"{about}: what the network hears, probability of each unit by time",
        network.units,
        network.blank,
        network.frame_seconds,
        np.exp(log_posteriors(tracks[channel].costs())),
        span,
        mentions,
        _wave(recording, span),
    )
    write_picture(drawn(scene), target)
    return span


def _mentions(library: Library, recording: Recording, query: str, channel: int) -> list[Mention]:
    found = library.search(query, None, why=True).mentions
    return [one for one in found if (one.recording, one.channel) == (recording.id, channel)]


def _span(recording: Recording, span: Span | None, mentions: list[Mention]) -> Span:
    """The part that is drawn."""
    if span is not None:
        if span.start <= recording.duration:
            span = Span(span.start, min(span.end, recording.duration))
        if span.end <= span.start:
            raise UsageError(
                f"from {span.start:g} to {span.end:g} seconds there is nothing to draw: --to must "
                "be later than --from"
            )
        require_inside(span, recording)
        return span
    if mentions and recording.duration > 4 * DETAIL_SECONDS:
        best = max(mentions, key=lambda one: one.confidence)
        before = max(DETAIL_SECONDS - best.span.duration, 2.0) / 2
        start = max(best.start - before, 0.0)
        return Span(start, min(best.end + before, recording.duration))
    return Span(0.0, max(recording.duration, 0.04))


def _wave(recording: Recording, span: Span) -> npt.NDArray[np.float32] | None:
    """Lowest and highest sample by column; None where the file is gone or has changed."""
    from earshot import media  # loads FFmpeg

    size = (span.end - span.start) * _RATE
    columns = max(min(COLUMNS, int(size / 8)), 1)
    wave = np.zeros((columns, 2), np.float32)
    at = 0
    try:
        for block in media.blocks(unchanged(recording), channels="mix", sample_rate=_RATE):
            samples = block[0]
            place = (np.arange(at, at + len(samples)) - span.start * _RATE) / size * columns
            inside = (place >= 0) & (place < columns)
            column = place[inside].astype(int)
            np.minimum.at(wave[:, 0], column, samples[inside])
            np.maximum.at(wave[:, 1], column, samples[inside])
            at += len(samples)
            if at > span.end * _RATE:
                break
    except MediaError:
        return None
    return wave
