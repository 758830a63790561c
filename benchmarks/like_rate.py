"""Is a word found by an example of it, said by somebody else? Beside the text query for it.

    python benchmarks/like_rate.py [--minutes N] [--json] [--save]

Held-out speech as in `found_rate.py` (clean), in one library. Each word of six letters or more
that several speakers say is cut out of one recording by forced alignment, as a person would mark
it, and searched for by example; it must be found where the others say it. Its own place counts
neither for nor against. The same words are searched for as text. found@k, recall at one false alarm
per query and hour, MTWV: see `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import corpus as speech_corpus
import metrics
from alignment import Aligner
from found_rate import SPEECH_VARIABLE, versions
from metrics import Finding, Occurrence
from ours import open_library
from platformdirs import user_cache_path
from reports import ROOT, conclude, head

from earshot.errors import QueryError
from earshot.library import MIN_CONFIDENCE, Library
from earshot.network import SHIPPED
from earshot.types import SearchResult, Span
from earshot.units import PHONES, Speller

LEAST_LETTERS = 6
MARGIN = 0.04  # seconds that a person marks beyond the word on both sides


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with `--save` keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    speech = Path(os.environ.get(SPEECH_VARIABLE, ROOT.parent / "shared" / "data" / "speech"))
    parser.add_argument("--speech", type=Path, default=speech)
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--quick", action="store_true", help="5 minutes of speech")
    parser.add_argument("--work", type=Path, default=user_cache_path("earshot") / "benchmarks")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    options = parser.parse_args(arguments)
    if not options.speech.is_dir():
        print(f"{options.speech}: no folder of speech here; set {SPEECH_VARIABLE}")
        return 1
    report = measure(options.speech, 5.0 if options.quick else options.minutes, options.work)
    for row in report["rows"]:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    conclude(report, options)
    return 0


def measure(speech: Path, minutes: float, work: Path) -> dict[str, Any]:
    """The whole report, as it is kept."""
    aligner = Aligner(work / "alignments.json", Speller.open(SHIPPED, PHONES).phones)
    clips = speech_corpus.speech_clips(speech)
    joined = speech_corpus.join(clips, minutes, aligner, recording_seconds=600)
    who = {str(clip.audio): clip.speaker for clip in clips}
    said: dict[str, list[tuple[str | None, Occurrence]]] = defaultdict(list)
    for sentence in joined.sentences:
        for word in sentence.words:
            if len(word.text) >= LEAST_LETTERS and word.text not in speech_corpus.FUNCTION_WORDS:
                place = Occurrence(sentence.recording, word.start, word.end)
                said[word.text].append((who.get(str(sentence.audio)), place))
    words = {
        word: places
        for word, places in sorted(said.items())
        if len({speaker for speaker, _ in places}) > 1
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = speech_corpus.write_recordings(joined, "clean", [], folder / "recordings")
        library = open_library(folder / "library", SHIPPED)
        library.add(files)
        rows = [row(system, library, words, joined.total_seconds) for system in ("text", "example")]
    return {
        **head("like_rate", sys.argv[1:], versions()),
        "minutes": round(joined.total_seconds / 60, 1),
        "rows": rows,
    }


def row(
    system: str,
    library: Library,
    words: dict[str, list[tuple[str | None, Occurrence]]],
    seconds: float,
) -> dict[str, Any]:
    """What one way of asking finds."""
    told, shown, refused = [], [], 0
    for word, places in words.items():
        speaker, example = places[0]
        others = [place for other, place in places[1:] if other != speaker]
        unjudged = [place for other, place in places if place not in others]
        try:
            found = findings(asked(system, library, word, example), unjudged)
        except QueryError:
            found, refused = [], refused + 1
        told.append(metrics.judge(word, found, others))
        sure = [one for one in found if one.score >= MIN_CONFIDENCE]
        shown.append(metrics.judge(word, sure, others))
    return {
        "system": system,
        "queries": len(words),
        "occurrences": sum(one.occurrences for one in told),
        "refused": refused,
        "found_at_1": round(metrics.found_at(shown, 1), 3),
        "found_at_3": round(metrics.found_at(shown, 3), 3),
        "recall_at_1_fa": round(metrics.recall_at(told, seconds / 3600), 3),
        "mtwv": round(metrics.maximum_value(told, seconds), 3),
    }


def asked(system: str, library: Library, word: str, example: Occurrence) -> SearchResult:
    """The answer to a word, or to its example."""
    if system == "text":
        return library.search(word, 100, 0.0)
    span = Span(max(example.start - MARGIN, 0.0), example.end + MARGIN)
    return library.search_like(library.show(example.recording), span, 100, 0.0)


def findings(result: SearchResult, unjudged: Sequence[Occurrence]) -> list[Finding]:
    """What was found, but for the example itself and what else its speaker says."""
    found = [Finding(Path(m.path).stem, m.start, m.end, m.confidence) for m in result.mentions]
    return [one for one in found if not any(metrics.agrees(one, place) for place in unjudged)]


if __name__ == "__main__":
    sys.exit(main())
