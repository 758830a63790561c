"""Which words follow which: the language model and the lexicon's tree that snippets are spelled by.

    python recipes/language.py --clips work/speech/train.jsonl --text work/text

counts the texts of clips that are trained with (of corpora whose texts are in the public domain or
CC0: Common Voice, LJ Speech) and the plain text files of a folder, and writes
`language.safetensors` beside the lexicon. `make -C recipes language` does all of it, with the texts
that the shipped one is made of (`language_text.py` names them and their licences). Sentences of the
held-out clips are in none of them: `speech_data.py` has taken those out of the clips, and
`--held-out` leaves them out of the other texts.

A trigram model with interpolated Kneser-Ney smoothing, pruned and in eight bits a number; its form
is told in `earshot.language`, which reads it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from speech_data import NETWORK, normalised

from earshot.language import FORMAT, STEPS, Trie
from earshot.units import PHONES

FREE_CORPORA = (
    "common_voice_1a",
    "common_voice_1b",
    "common_voice_13",
    "common_voice_20",
    "ljspeech",
    "lj_sentences_read_again",
)
SPOKEN_WEIGHT = 3  # how often a clip's text counts: it is what people read aloud, and little of it
DISCOUNT = 0.75
UNSEEN = 0.01  # probability of all words of the lexicon together that no text has
LEAST_WORD, LEAST_PAIR, LEAST_TRIPLE = 1, 2, 3  # rarer ones are told from shorter ones
MOST_KNOWN = 1 << 16  # with BREAK
BREAK = 0  # where a sentence begins, or a word that is not in the lexicon

_SENTENCE = re.compile(r"[.!?;:\n]+(?:\s+|$)|\s--\s|[()\[\]\"“”]")
_GROUPS = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")

Codes = npt.NDArray[np.int64]


def main(arguments: Sequence[str] | None = None) -> int:
    """Count, smooth, prune, write; say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--clips", type=Path, required=True, help="train.jsonl of speech_data.py")
    parser.add_argument("--text", type=Path, required=True, help="folder of plain text files")
    parser.add_argument("--held-out", type=Path, nargs="*", default=[], help="test and valid.jsonl")
    parser.add_argument("--network", type=Path, default=NETWORK, help="folder of lexicon.txt")
    options = parser.parse_args(arguments)
    lexicon = [
        line.split("\t") for line in (options.network / "lexicon.txt").read_text().splitlines()
    ]
    lines = {word: line for line, (word, _) in enumerate(lexicon)}
    held_out = {row["text"] for path in options.held_out for row in rows(path)}
    texts = [
        (sentence, SPOKEN_WEIGHT)
        for row in rows(options.clips)
        if row["corpus"] in FREE_CORPORA
        for sentence in _SENTENCE.split(row["text"])
    ]
    files = sorted(options.text.rglob("*.txt"))
    texts += [(sentence, 1) for path in files for sentence in sentences(path, held_out)]
    counted = count(texts, lines)
    model = smoothed(counted, len(lexicon))
    trie = Trie.built([(line, ways) for line, (_, ways) in enumerate(lexicon)], PHONES)
    target = options.network / "language.safetensors"
    tensors = trie.tensors() | model | {"capital": capitals(texts, lines, len(lexicon))}
    about = {"format": FORMAT, "units": list(PHONES), "lexicon": len(lexicon)}
    save_file(tensors, target, {"language": json.dumps(about)})
    print(
        f"{target}: {target.stat().st_size / 1e6:.1f} MB; {counted.words:,} words counted, "
        f"{len(model['known']):,} known of {len(lexicon):,}, {len(model['pair_words']):,} pairs, "
        f"{len(model['triple_words']):,} triples"
    )
    return 0


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The lines of a manifest."""
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def sentences(path: Path, held_out: Iterable[str]) -> Iterator[str]:
    """The sentences of a text file, lines of a paragraph joined, without those held out."""
    unwanted = {normalised(text) for text in held_out}
    text = path.read_text(encoding="utf-8", errors="replace")
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _SENTENCE.split(" ".join(paragraph.split())):
            if sentence and normalised(sentence) not in unwanted:
                yield sentence


@dataclass(frozen=True)
class Counted:
    """Texts as numbers: `known` lines of the lexicon, most frequent first, BREAK before them.

    triples: (n, 3) words before and the word, as places in `known` and how often in `times`.
    """

    known: list[int]
    triples: Codes
    times: Codes
    words: int


def count(texts: Sequence[tuple[str, int]], lines: dict[str, int]) -> Counted:
    """Every word with the two before it, as often as the text counts."""
    said = [([lines.get(word, -1) for word in words(text)], weight) for text, weight in texts]
    often = Counter(line for text, _ in said for line in text if line >= 0)
    known = [line for line, n in often.most_common(MOST_KNOWN - 1) if n >= LEAST_WORD]
    place = {line: at + 1 for at, line in enumerate(known)} | {-1: BREAK}
    found: Counter[tuple[int, int, int]] = Counter()
    for text, weight in said:
        before, last = BREAK, BREAK
        for line in text:
            word = place.get(line, BREAK)
            if word != BREAK:
                found[before, last, word] += weight
            before, last = last, word
    order = sorted(found)
    return Counted(
        [-1, *known],
        np.array(order, np.int64),
        np.array([found[one] for one in order], np.int64),
        sum(len(text) for text, _ in said),
    )


def words(text: str) -> list[str]:
    """The words of a sentence as the lexicon writes them; figures are words it does not have."""
    return normalised(text).split()


def smoothed(counted: Counted, lexicon: int) -> dict[str, npt.NDArray[np.generic]]:
    """Interpolated Kneser-Ney, pruned, as the arrays of the file."""
    size = len(counted.known)
    u, v, w = counted.triples.T
    pairs, pair_of, fan = unique_pairs(v * size + w)  # each triple once: how many ways before it
    pair_v, pair_w = np.divmod(pairs, size)
    # Words: how many different ones stand before each.
    ways = np.bincount(pair_w, minlength=size).astype(float)
    one = np.maximum(ways - DISCOUNT, 0) / ways.sum()
    one[BREAK] = 0
    one[1:] += (1 - one.sum() - UNSEEN) / (size - 1)
    unseen = UNSEEN / max(lexicon - size + 1, 1)
    # Pairs: how many different words stand before each.
    two, _ = interpolated(fan.astype(float), pair_v, one[pair_w], size)
    # Triples: how often each.
    contexts, context_of, _ = unique_pairs(u * size + v)
    three, _ = interpolated(counted.times.astype(float), context_of, two[pair_of], len(contexts))
    # Pairs are kept that are frequent, or that kept triples need as what they begin with.
    keep3 = counted.times >= LEAST_TRIPLE
    often = np.bincount(pair_of, weights=counted.times, minlength=len(pairs))
    needed = np.isin(pairs, contexts[context_of[keep3]])
    keep2 = (often >= LEAST_PAIR) | needed
    place = np.cumsum(keep2) - 1
    first = contexts[context_of]  # the pair that a triple begins with
    begins = np.minimum(np.searchsorted(pairs, first), len(pairs) - 1)
    keep3 &= (pairs[begins] == first) & keep2[begins]
    # What is left to the words that a context does not name, over what those have without it.
    left1 = backed_off(pair_v[keep2], two[keep2], one[pair_w[keep2]], size)
    begins3 = place[begins[keep3]]
    lower = np.where(keep2[pair_of[keep3]], two[pair_of[keep3]], left1[v[keep3]] * one[w[keep3]])
    left2 = backed_off(begins3, three[keep3], lower, int(keep2.sum()))
    order = np.lexsort((w[keep3], begins3))
    one[BREAK] = unseen
    return {
        "known": np.array(counted.known[1:], np.uint32),
        "single": quantised(one),
        "single_left": quantised(left1),
        "pair_counts": np.bincount(pair_v[keep2], minlength=size).astype(np.uint32),
        "pair_words": pair_w[keep2].astype(np.uint16),
        "pair": quantised(two[keep2]),
        "pair_left": quantised(left2),
        "triple_counts": np.bincount(begins3, minlength=int(keep2.sum())).astype(np.uint32),
        "triple_words": w[keep3][order].astype(np.uint16),
        "triple": quantised(three[keep3][order]),
    }


def unique_pairs(codes: Codes) -> tuple[Codes, Codes, Codes]:
    """Different codes in order, which one each is, and how often each is there."""
    found = np.unique(codes, return_inverse=True, return_counts=True)
    return found[0], found[1], found[2]


def interpolated(
    times: npt.NDArray[np.float64],
    contexts: Codes,
    lower: npt.NDArray[np.float64],
    size: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Discounted shares of each context, the discount given to what shorter contexts say."""
    total = np.bincount(contexts, weights=times, minlength=size)
    taken = np.minimum(times, DISCOUNT)
    rest = np.bincount(contexts, weights=taken, minlength=size) / np.maximum(total, 1e-9)
    return (times - taken) / total[contexts] + rest[contexts] * lower, rest


def backed_off(
    contexts: Codes,
    own: npt.NDArray[np.float64],
    lower: npt.NDArray[np.float64],
    size: int,
) -> npt.NDArray[np.float64]:
    """By context: what it leaves to other words, over what these have without it."""
    named = np.bincount(contexts, weights=own, minlength=size)
    without = np.bincount(contexts, weights=lower, minlength=size)
    return np.clip((1 - named) / np.maximum(1 - without, 1e-6), 1e-6, 1.0)


def quantised(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """-ln in steps of 1/STEPS, in one byte."""
    steps = np.rint(-np.log(np.maximum(probabilities, 1e-30)) * STEPS)
    return np.clip(steps, 0, 255).astype(np.uint8)


def capitals(
    texts: Sequence[tuple[str, int]], lines: dict[str, int], size: int
) -> npt.NDArray[np.uint8]:
    """One bit a word of the lexicon: do texts write it with a capital inside a sentence?"""
    seen: Counter[str] = Counter()
    upper: Counter[str] = Counter()
    for text, _ in texts:
        shown = _GROUPS.findall(text)
        if not any(word[:1].isupper() for word in shown[1:]) and not text[:1].isupper():
            continue  # texts without any capitals tell nothing
        for word in shown[1:]:
            seen[word.lower()] += 1
            upper[word.lower()] += word[:1].isupper()
    bits = np.zeros(size, np.bool_)
    for word, line in lines.items():
        bits[line] = word == "i" or word.startswith("i'") or upper[word] * 2 > seen[word]
    return np.packbits(bits)


if __name__ == "__main__":
    sys.exit(main())
