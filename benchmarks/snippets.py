"""How rough are snippets? Word error rates of what the ear spells, on held-out real speech.

    python benchmarks/snippets.py [--quick] [--json] [--save]

Each clip of the valid and test sides of `recipes/speech_data.py` (other speakers and sentences than
the ear and the language model were trained on) is decoded from costs of four bits, as a library
keeps them, and compared with its text: word error rate (substituted, left-out and added words over
words said), the share of the words said that were spelled right, and the same for names (words
written with a capital inside a sentence). Also what a snippet costs in processor time.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
from found_rate import SPEECH_VARIABLE, versions
from reports import conclude, head
from sound import read_audio

from earshot.decoding import SENTENCE, decode
from earshot.index import costs, log_posteriors
from earshot.lanes import costs_of, levels
from earshot.network import SHIPPED, Network
from earshot.snippets import AROUND_SECONDS, RUN_UP_SECONDS, Writer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "recipes"))

from speech_data import clips, normalised, reader, split_clips  # noqa: E402

QUICK = 40  # clips


def main(arguments: Sequence[str] | None = None) -> int:
    """Decode, compare, print, and with `--save` keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    speech = Path(os.environ.get(SPEECH_VARIABLE, ROOT.parent / "shared" / "data" / "speech"))
    parser.add_argument("--speech", type=Path, default=speech)
    parser.add_argument("--network", type=Path, default=SHIPPED)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} clips of each side")
    parser.add_argument("--json", action="store_true", help="print the report as JSON too")
    parser.add_argument("--save", action="store_true", help="keep the report in results/")
    options = parser.parse_args(arguments)
    if not options.speech.is_dir():
        print(f"{options.speech}: no folder of speech here; set {SPEECH_VARIABLE}")
        return 1
    report = measure(options)
    for row in report["rows"]:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print(
        f"a snippet of {report['snippet_seconds']:g} s of speech takes "
        f"{report['snippet_milliseconds']} ms of one core"
    )
    conclude(report, options)
    return 0


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report, as it is kept."""
    from collections import Counter

    drops: Counter[str] = Counter()
    split = split_clips(list(clips(options.speech, drops)), reader(options.network), drops)
    network = Network.open(options.network)
    writer = Writer.open(options.network, network.units, network.blank, network.frame_seconds)
    if writer.language is None:
        raise SystemExit(f"{options.network}: no language.safetensors for this network here")
    rows, spent, heard_seconds = [], 0.0, 0.0
    for side in ("valid", "test"):
        by_corpus: dict[str, list[tuple[list[str], list[str], set[int]]]] = {}
        chosen = split[side][:: max(len(split[side]) // QUICK, 1)] if options.quick else split[side]
        for clip in chosen:
            scores = np.concatenate(list(network.listen([read_audio(Path(clip.audio))])))
            kept = log_posteriors(costs_of(levels(costs(scores))))
            begun = time.process_time()
            found = decode(kept, network.blank, writer.language.tables, after=SENTENCE)
            spent += time.process_time() - begun
            heard_seconds += len(kept) * network.frame_seconds
            spelled = [writer.language.word(word.line).lower() for word in found]
            said, names = words_and_names(clip.text)
            for corpus in (clip.corpus, "all"):
                by_corpus.setdefault(corpus, []).append((said, spelled, names))
        rows += [row(side, corpus, found) for corpus, found in sorted(by_corpus.items())]
    around = 2 * (AROUND_SECONDS + RUN_UP_SECONDS)
    return {
        **head("snippets", sys.argv[1:], versions()),
        "network": network.fingerprint,
        "rows": rows,
        "snippet_seconds": around,
        "snippet_milliseconds": round(1000 * spent / heard_seconds * around, 1),
    }


def row(
    side: str, corpus: str, found: Sequence[tuple[list[str], list[str], set[int]]]
) -> dict[str, Any]:
    """Error rates of some clips together."""
    said = sum(len(words) for words, _, _ in found)
    names = sum(len(of) for _, _, of in found)
    errors = sum(distance(words, spelled) for words, spelled, _ in found)
    right = [(set(matched(words, spelled)), of) for words, spelled, of in found]
    return {
        "side": side,
        "corpus": corpus,
        "clips": len(found),
        "words": said,
        "word_error_rate": round(errors / said, 3),
        "words_right": round(sum(len(places) for places, _ in right) / said, 3),
        "names": names,
        "names_right": round(sum(len(places & of) for places, of in right) / max(names, 1), 3),
    }


def words_and_names(text: str) -> tuple[list[str], set[int]]:
    """The words of a text, and which of them are names: written with a capital, but not first."""
    words: list[str] = []
    names = set()
    for first, token in enumerate(text.split()):
        parts = normalised(token).split()
        capital = re.match(r"\W*[A-Z]", token) is not None and token not in ("I", "I'm", "I'll")
        if first and capital:
            names |= set(range(len(words), len(words) + len(parts)))
        words += parts
    return words, names


def distance(said: Sequence[str], spelled: Sequence[str]) -> int:
    """Words to change, leave out or add, at least."""
    above = list(range(len(spelled) + 1))
    for count, word in enumerate(said, start=1):
        corner, above[0] = above[0], count
        for at, other in enumerate(spelled, start=1):
            corner, above[at] = (
                above[at],
                min(above[at] + 1, above[at - 1] + 1, corner + (word != other)),
            )
    return above[-1]


def matched(said: Sequence[str], spelled: Sequence[str]) -> Iterator[int]:
    """Places of the words said that were spelled right, in order."""
    for block in SequenceMatcher(None, said, spelled, autojunk=False).get_matching_blocks():
        yield from range(block.a, block.a + block.size)


if __name__ == "__main__":
    sys.exit(main())
