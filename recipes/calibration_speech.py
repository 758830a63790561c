"""Recordings to calibrate confidences on, and the time of every word in them.

    python recipes/calibration_speech.py --speech FOLDER [--out recipes/work/calibration]

writes recordings/*.flac, *.wav and references.jsonl, as `recipes/calibrate.py` reads them: first
some minutes of training speech, which become the background that queries are measured against,
then the validation side of `speech_data.py`, each clean, over a telephone and in noise (of the
training side). Nothing of the test side is in it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "benchmarks"))

from alignment import Aligner
from corpus import CONDITIONS, Corpus, join, write_recordings
from speech_data import NETWORK, clips, noises, reader, split_clips

from earshot.units import PHONES, Speller

ROOT = Path(__file__).resolve().parents[1]

RECORDING_SECONDS = 150.0
BACKGROUND_MINUTES = 7.0  # in each condition
# Speech of many people in many rooms: what a library is like.
BACKGROUND_CORPORA = ("common_voice_13", "common_voice_20", "common_voice_1a")


def main() -> None:
    """Write recordings and references."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--speech", type=Path, default=ROOT / "../shared/data/speech")
    parser.add_argument("--out", type=Path, default=ROOT / "recipes/work/calibration")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    aligner = Aligner(given.out / "alignments.json", Speller.open(NETWORK, PHONES).phones)
    split = split_clips(list(clips(given.speech, Counter())), reader(NETWORK), Counter())
    background = [clip for clip in split["train"] if clip.corpus in BACKGROUND_CORPORA]
    noise = [Path(row["audio"]) for row in noises(given.speech)[0]]
    sides = (
        ("background", join(background, BACKGROUND_MINUTES, aligner, 1, RECORDING_SECONDS)),
        ("speech", join(split["valid"], 1e9, aligner, 1, RECORDING_SECONDS)),
    )
    with (given.out / "references.jsonl").open("w", encoding="utf-8") as references:
        for side, corpus in sides:
            for condition in CONDITIONS:
                for line in _write(corpus, f"{side}_{condition}", condition, noise, given.out):
                    references.write(json.dumps(line) + "\n")
            print(
                f"{side}: {corpus.total_seconds / 60:.1f} minutes in each condition, "
                f"{100 * corpus.forced:.0f} % of the sentences aligned"
            )


def _write(
    corpus: Corpus, prefix: str, condition: str, noise: list[Path], out: Path
) -> list[dict[str, object]]:
    """The recordings of one side and condition; returns the words in them."""
    titles = {}
    for file in write_recordings(corpus, condition, noise, out / prefix):
        # Files are told apart by name, and the background must be added first.
        target = out / "recordings" / f"{prefix}_{file.name}"
        target.parent.mkdir(exist_ok=True)
        titles[file.stem] = target.name
        file.replace(target)
    (out / prefix).rmdir()
    return [
        {
            "recording": titles[one.recording],
            "start": word.start,
            "end": word.end,
            "text": word.text,
            "condition": condition,
        }
        for one in corpus.sentences
        for word in one.words
    ]


if __name__ == "__main__":
    main()
