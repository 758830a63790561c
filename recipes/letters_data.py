"""Writes the training data of the letters network: words and how they sound, from the lexicon.

    python recipes/letters_data.py [--lexicon lexicon.txt] [--target recipes/work/letters]

gives train.jsonl, valid.jsonl and test.jsonl, one pronunciation a line: {"letters": "word",
"phones": "W ER D"}. A word with several pronunciations has several lines, best first.

Words are split by family (what is left of a word without its endings, cut to five letters), so
that "computers" is never tested on a network that was taught "computer". What no rule of spelling
could tell is left out: abbreviations that are read letter by letter ("fbi") or as the word that
they stand for ("blvd"), and words with anything but the letters a to z.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path

from earshot.lexicon import Lexicon, Phones

ROOT = Path(__file__).parents[1]
LEXICON = ROOT / "src/earshot/networks/english/lexicon.txt"
TARGET = ROOT / "recipes/work/letters"

SETS = ("test", "valid", "train")  # by percentile of the family's hash, see `set_of`
PERCENT_TEST = 4
PERCENT_VALID = 4
REPEAT = 2  # frames that the network gives to each letter: CTC must fit a word's phones in them

_WORD = re.compile(r"(?=.*[aeiouy])[a-z]{2,}")
_ENDING = re.compile(r"(?<=...)(?:'?s|e[sdr]|ing|ly|y|ie|e|er|or|est|man|son|ness|able|tion)$")


def family(word: str) -> str:
    """What words that are spelled from one stem share: the stem's first five letters."""
    while (shorter := _ENDING.sub("", word)) != word:
        word = shorter
    if len(word) > 3 and word[-1] == word[-2]:  # runn(ing), stopp(ed)
        word = word[:-1]
    return word[:5]


def set_of(word: str) -> str:
    """Which of the sets a word belongs to; the same on every machine."""
    digest = hashlib.sha256(family(word).encode()).digest()
    percentile = int.from_bytes(digest[:4], "big") % 100
    if percentile < PERCENT_TEST:
        return "test"
    return "valid" if percentile < PERCENT_TEST + PERCENT_VALID else "train"


def fits(word: str, phones: Phones) -> bool:
    """Whether CTC can align the phones with the word's frames (equal neighbours need a blank)."""
    repeats = sum(one == next_one for one, next_one in pairwise(phones))
    return len(phones) + repeats <= REPEAT * len(word)


def collect(lexicon: Lexicon) -> dict[str, list[dict[str, str]]]:
    """Set -> its lines, in the lexicon's order."""
    names = {letter: lexicon.pronunciations(f"{letter}.") for letter in map(chr, range(97, 123))}
    lines: dict[str, list[dict[str, str]]] = {name: [] for name in SETS}
    for word in lexicon.words():
        if not _WORD.fullmatch(word):
            continue
        by_letter = sum((names[letter][0] for letter in word), ())
        for phones in lexicon.pronunciations(word):
            if phones != by_letter and fits(word, phones):
                lines[set_of(word)].append({"letters": word, "phones": " ".join(phones)})
    return lines


def main() -> None:
    """Writes the three files and says how many lines each has."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--lexicon", type=Path, default=LEXICON)
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    options.target.mkdir(parents=True, exist_ok=True)
    for name, lines in collect(Lexicon.open(options.lexicon)).items():
        path = options.target / f"{name}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        print(f"{path}: {len({line['letters'] for line in lines})} words, {len(lines)} lines")


if __name__ == "__main__":
    main()
