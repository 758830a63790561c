"""Excerpts of a text, and the same one character further on: the data of `language_model.yml`.

    python recipes/language_model_data.py [FILE...] [--target FOLDER] [--length N]

writes `train.jsonl`, `valid.jsonl`, `test.jsonl` (one line an excerpt,
`{"text": ..., "next": ...}`) and `vocab.json` (the characters). Without files the text is what
this repository says of itself: its documents and the source of `kur`. Each file is cut into pages
of 2,000 characters; of twenty pages one is for validation and one for the test, so what is tested
stands nowhere in training.
Letters become small ones, and characters that the training pages lack become blanks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORK = Path(__file__).resolve().parent / "work" / "language_model"
PAGE = 2000  # characters
SIDES = {0: "valid", 1: "test"}  # by the hash of a page, modulo ONE_IN
ONE_IN = 20
RAREST = 3  # a character that occurs less often in training becomes a blank


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files and say how much is in them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("files", type=Path, nargs="*", help="texts in UTF-8")
    parser.add_argument("--target", type=Path, default=WORK, help="folder to write to")
    parser.add_argument("--length", type=int, default=128, help="characters of an excerpt")
    options = parser.parse_args(arguments)
    split: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for path in options.files or own_text():
        for side, page in pages(path.read_text(encoding="utf-8").lower()):
            split[side].append(page)
    if not all(split.values()):
        print(f"too little text: {sum(map(len, split['train']))} characters to train with")
        return 1
    joined = "".join(split["train"])
    vocabulary = sorted(one for one in set(joined) if one == " " or joined.count(one) >= RAREST)
    vocabulary = sorted({*vocabulary, " "})
    options.target.mkdir(parents=True, exist_ok=True)
    (options.target / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    known = set(vocabulary)
    for side, texts in split.items():
        with (options.target / f"{side}.jsonl").open("w", encoding="utf-8") as file:
            for page in texts:
                text = "".join(one if one in known else " " for one in page)
                for start in range(0, len(text) - 1, options.length):
                    excerpt = text[start : start + options.length + 1]
                    line = {"text": excerpt[:-1], "next": excerpt[1:]}
                    file.write(json.dumps(line) + "\n")
    sizes = ", ".join(f"{side} {sum(map(len, texts)):,}" for side, texts in split.items())
    print(f"{options.target}: characters: {sizes}; {len(vocabulary)} different ones")
    return 0


def own_text() -> list[Path]:
    """The documents of this repository and the source of `kur`."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("src/kur/**/*.py")])


def pages(text: str) -> Iterator[tuple[str, str]]:
    """The pages of a text, each with the side it is on; that hangs on nothing but its words."""
    for start in range(0, len(text), PAGE):
        page = text[start : start + PAGE]
        number = int(hashlib.sha256(page.encode()).hexdigest(), 16)
        yield SIDES.get(number % ONE_IN, "train"), page


if __name__ == "__main__":
    sys.exit(main())
