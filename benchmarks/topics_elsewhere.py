"""Labels that real speech carries, learned and judged by `earshot.topics` itself: cross-validated.

- *digit*: which of ten digits is said, a recording a word, over a telephone, six speakers; no
  speaker is learned from and judged by;
- *wake word*: whether a clip is the word "alexa", else a sentence of Common Voice;
- *child*: whether the speaker is a child (speechocean762 gives ages). How somebody sounds is no
  phrase, and all read the same kind of sentences: this should not be told, and what is reported
  says how far it is from that.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech_data import rows

from earshot.about import about
from earshot.library import Library
from earshot.topics import Plan, import_labels, train

CHILD = 16  # younger ones are children
MOST = 300  # recordings of a label
SPEAKER = "speaker"


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording, what it is labelled, and who speaks."""

    path: Path
    value: str
    speaker: str


def measure(speech: Path, work: Path) -> list[dict[str, Any]]:
    """Accuracy by label, beside that of saying the most frequent value of everything."""
    found = []
    for label, clips in (
        ("digit", digits(speech)), ("wake word", wake_word(speech)), ("child", children(speech))
    ):  # fmt: skip
        chosen = random.Random(1).sample(clips, min(MOST, len(clips)))
        with Library(work / label.replace(" ", "_")) as library:
            for speaker in sorted({clip.speaker for clip in chosen}):
                own = [clip.path for clip in chosen if clip.speaker == speaker]
                library.add(own, about=about(meta={SPEAKER: speaker}))
            listed = work / f"{label}.csv"
            with listed.open("w", encoding="utf-8", newline="") as out:
                csv.writer(out).writerow(["path", label])
                csv.writer(out).writerows([clip.path, clip.value] for clip in chosen)
            import_labels(library, listed)
            plan = Plan(group=SPEAKER, curve=False, repeats=1)
            report = train(library, label.replace(" ", "-"), label, plan).report
        found.append(
            {
                "label": label,
                "recordings": len(chosen),
                "speakers": len({clip.speaker for clip in chosen}),
                **{name: round(one.value, 3) for name, one in report.figures.items()},
                "most_frequent": round(report.baselines["most frequent"].value, 3),
            }
        )
    return found


def digits(speech: Path) -> list[Clip]:
    """Spoken digits."""
    return list(_clips(speech / "spoken_digits"))


def wake_word(speech: Path) -> list[Clip]:
    """A wake word, and sentences; who says the word is not known, so each is a speaker."""
    said = [Clip(one.path, "yes", one.path.stem) for one in _clips(speech / "keywords")]
    others = [Clip(one.path, "no", one.speaker) for one in _clips(speech / "common_voice_20")]
    return [*said[: MOST // 2], *random.Random(1).sample(others, min(MOST // 2, len(others)))]


def children(speech: Path) -> list[Clip]:
    """Children and adults who read sentences; three sentences each."""
    found: dict[str, list[Clip]] = {}
    for row in rows(speech / "speechocean762"):
        value = "yes" if int(row["age"]) < CHILD else "no"
        path = speech / "speechocean762" / row["audio"]
        found.setdefault(row["speaker"], []).append(Clip(path, value, row["speaker"]))
    return [clip for own in found.values() for clip in own[:3]]


def _clips(corpus: Path) -> Iterator[Clip]:
    for row in rows(corpus):
        yield Clip(corpus / row["audio"], row["text"], str(row.get("speaker") or "unknown"))
