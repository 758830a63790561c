"""Speech with three transcripts, phones, characters and parts of speech: the data of `heads.yml`.

    python recipes/speech_data.py --speech ../shared/data/speech --out recipes/work/speech
    pip install 'earshot[recipes]'       (for textblob's list of words with their part of speech)
    python recipes/heads_data.py

reads the manifests of `speech_data.py` and writes `train.jsonl`, `valid.jsonl` and `test.jsonl`
with the clips of `--shortest` to `--longest` seconds, and for each `phones`, `characters` (lower
case letters, apostrophe and blank) and `tags`, symbols separated by blanks where a symbol is more
than a character.

The tags are *not* the work of a tagger and know no context: each word has the one tag that is its
commonest in the lexicon of Brill's tagger (94,000 forms), brought down to the twelve tags of Petrov
et al. (2012) less punctuation; a word outside it goes by its ending. So "run" is a verb wherever it
stands. It is what a network can be asked to hear in a word, no more.

The lexicon comes with the package textblob (MIT licence) as `en/en-lexicon.txt` and is not copied
here. Its head says: from Brill's rule-based tagger 1.14, trained on the Brown corpus and the Penn
Treebank, copyright 1993 Massachusetts Institute of Technology and University of Pennsylvania, MIT
licence; with words of the Twitter Part-of-Speech Annotated Data (Gimpel et al., 2011), CC BY 3.0.

It knows words and their tags; nothing of sound or networks.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from speech_data import SPLITS, normalised, write_lines

WORK = Path(__file__).resolve().parent / "work"
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz' ")
TAGS = ("ADJ", "ADP", "ADV", "CONJ", "DET", "NOUN", "NUM", "PRON", "PRT", "VERB", "X")

# Tags of the Penn Treebank by their beginning, the longest that fits.
UNIVERSAL = {
    "CC": "CONJ", "CD": "NUM", "DT": "DET", "EX": "DET", "FW": "X", "IN": "ADP", "JJ": "ADJ",
    "LS": "X", "MD": "VERB", "NN": "NOUN", "PDT": "DET", "POS": "PRT", "PRP": "PRON", "RB": "ADV",
    "RP": "PRT", "SYM": "X", "TO": "PRT", "UH": "X", "VB": "VERB", "WDT": "DET", "WP": "PRON",
    "WRB": "ADV",
}  # fmt: skip
ENDINGS = {"ly": "ADV", "ing": "VERB", "ed": "VERB", "ous": "ADJ", "ful": "ADJ", "less": "ADJ"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the manifests and say what is in them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--manifests", type=Path, default=WORK / "speech", help="of speech_data.py")
    parser.add_argument("--target", type=Path, default=WORK / "heads", help="folder to write to")
    parser.add_argument("--lexicon", type=Path, help="lines 'WORD TAG' (default: textblob's)")
    parser.add_argument("--shortest", type=float, default=1.0, metavar="SECONDS")
    parser.add_argument("--longest", type=float, default=5.0, metavar="SECONDS")
    options = parser.parse_args(arguments)
    path = options.lexicon or of_textblob()
    if path is None:
        message = "no lexicon: install the one of textblob with pip install 'earshot[recipes]'"
        print(f"{message}, or name a file of lines 'WORD TAG' by --lexicon", file=sys.stderr)
        return 1
    lexicon = read_lexicon(path)
    options.target.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        manifest = options.manifests / f"{split}.jsonl"
        if not manifest.is_file():
            print(f"{manifest}: not there; run recipes/speech_data.py first", file=sys.stderr)
            return 1
        clips = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
        clips = [c for c in clips if options.shortest <= c["duration"] <= options.longest]
        made = [one for clip in clips if (one := with_heads(clip, lexicon)) is not None]
        write_lines(options.target / f"{split}.jsonl", made)
        hours = sum(one["duration"] for one in made) / 3600
        print(f"{options.target / split}.jsonl: {len(made)} clips, {hours:.2f} hours")
    return 0


def with_heads(clip: Mapping[str, Any], lexicon: Mapping[str, str]) -> dict[str, Any] | None:
    """A clip with its three transcripts; None where there would be nothing to hear in one."""
    words = normalised(clip["text"]).split()
    characters = letters_of(clip["text"])
    if not characters.strip() or not clip["phones"]:
        return None
    kept = {key: clip[key] for key in ("audio", "duration", "text", "phones")}
    tags = " ".join(tag_of(word, lexicon) for word in words)
    return {**kept, "characters": characters, "tags": tags}


def letters_of(text: str) -> str:
    """A text in small letters, apostrophes and single blanks."""
    return "".join(sign for sign in normalised(text) if sign in LETTERS)


def tag_of(word: str, lexicon: Mapping[str, str]) -> str:
    """The commonest tag of a word (in small letters); by its ending where nobody knows it."""
    for form in (word, word.capitalize(), word.removesuffix("'s")):
        if form in lexicon:
            return lexicon[form]
    if word.isdigit():
        return "NUM"
    return next((tag for end, tag in ENDINGS.items() if word.endswith(end)), "NOUN")


def read_lexicon(path: Path) -> dict[str, str]:
    """Universal tag by word, of lines 'WORD TAG ...' (the commonest tag first)."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = line.partition(" ")
        tag = universal(rest.split()[0]) if rest.split() and not line.startswith(";;;") else None
        if tag is not None:
            found[word] = tag
    return found


def universal(penn: str) -> str | None:
    """A tag of the Penn Treebank as one of TAGS; None for punctuation."""
    fits = [start for start in UNIVERSAL if penn.startswith(start)]
    return UNIVERSAL[max(fits, key=len)] if fits else None


def of_textblob() -> Path | None:
    """The lexicon that the package textblob carries, if it is installed (it is not loaded)."""
    found = importlib.util.find_spec("textblob")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "en" / "en-lexicon.txt"
    return path if path.is_file() else None


if __name__ == "__main__":
    sys.exit(main())
