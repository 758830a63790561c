"""What was said around a mention, spelled as well as the ear can.

The activations on both sides are decoded into words, where the network has a `language.safetensors`
(else into its units, without any lexicon); the words that were sought stand between them as they
were typed. It is a guess, for people to look at, and nothing is ever searched in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from earshot.decoding import CUT, NOTHING, SENTENCE, WHOLE, decode, follow, spelled
from earshot.explaining import Extras, explained, of_each
from earshot.index import Snapshot, log_posteriors
from earshot.language import Language
from earshot.spellers import DELIMITERS
from earshot.types import Heard, Mention, SearchResult, Snippet

if TYPE_CHECKING:
    from earshot.lanes import Track
    from earshot.search import Calibration

AROUND_SECONDS = 3.0
"""Of what is shown on both sides of a mention."""

RUN_UP_SECONDS = 1.0
"""Decoded before that, so that a word which is cut off does not spoil the next."""

LONGEST_BETWEEN_SECONDS = 8.0
"""Between two phrases of one mention; of more only both ends are shown."""

APPROXIMATE = "~"
"""What every snippet begins with."""

MORE = "…"


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """Spells activations: in the words of `language`, or without it in the network's own units."""

    units: tuple[str, ...]
    blank: int
    frame_seconds: float
    language: Language | None

    @classmethod
    def open(cls, folder: Path, units: tuple[str, ...], blank: int, frame_seconds: float) -> Writer:
        """The writer of the network in `folder`; NetworkError where its language is damaged."""
        return cls(units, blank, frame_seconds, Language.open(folder, units))

    def frames(self, seconds: float) -> int:
        """So many frames are as long."""
        return round(seconds / self.frame_seconds)

    def lines(self, phrase: str) -> list[int]:
        """The words of a phrase by line of the lexicon, -1 for those it lacks."""
        words = phrase.lower().replace("’", "'").split()
        known = self.language
        return [known.line(word.strip('.,;:!?"()')) for word in words] if known else []

    def words(
        self, track: Track, first: int, end: int, after: int = NOTHING, before: int = WHOLE
    ) -> list[tuple[str, int, int]]:
        """What was said from frame `first` to `end`, exclusive: words, their first and last frame.

        after, before: what the language model knows of the words around, see `decode`.
        """
        if end <= first:
            return []
        heard = log_posteriors(track.costs(first, end))
        if self.language is None:
            text = self._joined([self.units[unit] for unit in spelled(heard, self.blank)])
            return [(text, first, end - 1)] if text else []
        found = decode(heard, self.blank, self.language.tables, after=after, before=before)
        return [
            (self.language.word(word.line), first + word.first, first + word.last) for word in found
        ]

    def _joined(self, found: list[str]) -> str:
        """Units as a text: letters together, phones apart."""
        letters = sum(len(unit) == 1 for unit in self.units) * 2 > len(self.units)
        between = next((one for one in DELIMITERS if one in self.units), " ")
        named = [unit for unit in found if not (unit.startswith("<") and unit.endswith(">"))]
        text = ("" if letters else " ").join(named).replace(between, " ")
        return " ".join((text.lower() if letters else text).split())


def told(
    result: SearchResult,
    snapshot: Snapshot,
    calibration: Calibration,
    folder: Path,
    extras: Extras,
) -> SearchResult:
    """The same result with what `extras` ask for; `folder` is that of the network.

    Raises NetworkError where the network's language is damaged.
    """
    if extras.why:
        result = explained(result, snapshot, calibration)
    if extras.snippets:
        network = snapshot.manifest.network
        writer = _opened(folder, network.units, network.blank, network.frame_seconds)
        result = with_snippets(result, snapshot, writer, typed=extras.typed)
    return result


def with_snippets(
    result: SearchResult, snapshot: Snapshot, writer: Writer, *, typed: bool = True
) -> SearchResult:
    """The same result, each mention with what was said around it.

    typed: whether its phrases are words; those of an example are not, and are decoded too.
    """
    tracks = {
        (entry.recording, entry.channel): heard
        for entry, heard in zip(snapshot.tracks, snapshot.heard, strict=True)
    }

    def told(mention: Mention) -> Mention:
        track = tracks[mention.recording, mention.channel]
        pieces = _spelled_out(mention, track, writer) if typed else _heard(mention, track, writer)
        return replace(mention, snippet=_joined(pieces))

    return of_each(result, told)


@lru_cache(maxsize=2)
def _opened(folder: Path, units: tuple[str, ...], blank: int, frame_seconds: float) -> Writer:
    return Writer.open(folder, units, blank, frame_seconds)


_Piece = tuple[str, bool]  # a text, and whether it was sought


def _spelled_out(mention: Mention, track: Track, writer: Writer) -> Iterator[_Piece]:
    """What is before the first phrase, the phrases as they were typed, and what is between."""
    phrases = sorted(mention.heard, key=lambda one: one.frames)
    yield from _left(track, phrases[0], writer)
    for one, following in pairwise(phrases):
        yield one.phrase, True
        begin, end = one.frames[1] + 1, following.frames[0]
        if end - begin > writer.frames(LONGEST_BETWEEN_SECONDS):
            yield from _right(track, one, writer)
            yield from _left(track, following, writer)
        else:
            state = _after(one, writer)
            before = _first_line(following, writer)
            yield from ((text, False) for text, _, _ in writer.words(
                track, begin, end, state, before
            ))  # fmt: skip
    yield phrases[-1].phrase, True
    yield from _right(track, phrases[-1], writer)


def _left(track: Track, one: Heard, writer: Writer) -> Iterator[_Piece]:
    """What was said before a phrase."""
    end = one.frames[0]
    shown = end - writer.frames(AROUND_SECONDS)
    begin = max(shown - writer.frames(RUN_UP_SECONDS), 0)
    state = SENTENCE if begin == 0 else NOTHING
    words = writer.words(track, begin, end, state, _first_line(one, writer))
    if begin > 0:
        yield MORE, False
    # A word without a lexicon is all that was heard.
    whole = begin == 0 or writer.language is None
    yield from (
        (text, False) for text, first, _ in words if whole or first >= max(shown, begin + 1)
    )


def _right(track: Track, one: Heard, writer: Writer) -> Iterator[_Piece]:
    """What was said behind a phrase."""
    begin = one.frames[1] + 1
    shown = begin + writer.frames(AROUND_SECONDS)
    end = min(shown + writer.frames(RUN_UP_SECONDS), track.frames)
    before = WHOLE if end == track.frames else CUT
    words = writer.words(track, begin, end, _after(one, writer), before)
    whole = end == track.frames or writer.language is None
    yield from ((text, False) for text, _, last in words if whole or last < shown)
    if end < track.frames:
        yield MORE, False


def _heard(mention: Mention, track: Track, writer: Writer) -> Iterator[_Piece]:
    """All that was said, the mention included."""
    first, last = mention.heard[0].frames
    begin = max(first - writer.frames(AROUND_SECONDS), 0)
    end = min(last + 1 + writer.frames(AROUND_SECONDS), track.frames)
    if begin > 0:
        yield MORE, False
    before = WHOLE if end == track.frames else CUT
    words = writer.words(track, begin, end, SENTENCE if begin == 0 else NOTHING, before)
    for text, start, stop in words:
        yield text, min(stop, last) - max(start, first) >= (stop - start) / 2
    if end < track.frames:
        yield MORE, False


def _after(one: Heard, writer: Writer) -> int:
    if writer.language is None:
        return NOTHING
    return follow(writer.language.tables, writer.lines(one.phrase))


def _first_line(one: Heard, writer: Writer) -> int:
    return (writer.lines(one.phrase) or [-1])[0]


def _joined(pieces: Iterator[_Piece]) -> Snippet:
    text = APPROXIMATE
    sought = []
    for piece, is_sought in pieces:
        if is_sought:
            sought.append((len(text) + 1, len(text) + 1 + len(piece)))
        text += f" {piece}"
    return Snippet(text, tuple(sought))
