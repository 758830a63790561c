"""Which words there are, how they sound, and which follow which: what snippets are spelled by.

A tree of all pronunciations of a lexicon, and a language model of three words, both as arrays that
are mapped from one file, `language.safetensors`, beside `lexicon.txt`. It knows nothing of what was
heard. `recipes/language.py` makes the file.

File format (safetensors). Metadata key "language" holds JSON: {"format": 1, "units": ["AA", ...],
"lexicon": 126052}, the last being the number of lines of the lexicon. Tensors, with `nodes` of the
tree in breadth-first order (the root first, children of a node together):

    node_units     uint8  (nodes,)      which unit leads to a node (the root: 255)
    node_children  uint8  (nodes,)      how many children it has
    node_words     uint8  (nodes,)      how many words end at it
    words          uint32 (endings,)    lines of the lexicon, in the order of the nodes
    capital        uint8  (lexicon/8,)  a bit a line: is it written with a capital?

    known          uint32 (known - 1,)  lines of words that the model has met: words 1, 2, ...
    single         uint8  (known,)      -ln probability in steps of 1/STEPS; of word 0: that of any
                                        word which the model has not met
    single_left    uint8  (known,)      the same, of what a word leaves to those that follow it in
                                        no pair; word 0 is where a sentence begins
    pair_counts    uint32 (known,)      how many pairs begin with a word
    pair_words     uint16 (pairs,)      the second word, in order; `pair`, `pair_left` beside it
    triple_counts  uint32 (pairs,)      how many triples begin with a pair
    triple_words   uint16 (triples,)    the third word, in order; `triple` beside it
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from earshot.errors import NetworkError

FORMAT = 1
FILE = "language.safetensors"
STEPS = 12
"""Steps to a nat in what is kept of a probability."""

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Trie:
    """Pronunciations as a tree; arrays as in the file, and where children and words begin."""

    units: Array
    children: Array
    endings: Array
    words: Array

    @classmethod
    def built(cls, entries: Sequence[tuple[int, str]], units: Sequence[str]) -> Trie:
        """The tree of `entries`: a number, and pronunciations as a lexicon writes them."""
        index = {unit: at for at, unit in enumerate(units)}
        root: dict[int, Any] = {}
        for line, ways in entries:
            for way in ways.split("|"):
                node = root
                for unit in way.split():
                    node = node.setdefault(index[unit], {})
                node.setdefault(-1, []).append(line)
        found: list[tuple[int, int, list[int]]] = []
        level = [(255, root)]
        while level:
            below: list[tuple[int, dict[int, Any]]] = []
            for leads, node in level:
                children = sorted((at, one) for at, one in node.items() if at >= 0)
                found.append((leads, len(children), node.get(-1, [])))
                below += children
            level = below
        return cls(
            np.array([unit for unit, _, _ in found], np.uint8),
            np.array([count for _, count, _ in found], np.uint8),
            np.array([len(lines) for _, _, lines in found], np.uint8),
            np.array([line for _, _, lines in found for line in lines], np.uint32),
        )

    def tensors(self) -> dict[str, Array]:
        """The arrays under their names in the file."""
        return {
            "node_units": self.units,
            "node_children": self.children,
            "node_words": self.endings,
            "words": self.words,
        }


class Tables(NamedTuple):
    """What a decoder reads (a tuple, because numba takes those as they are).

    The tree: `units` are columns of activations, children of node n are `first_child[n]` up to
    `first_child[n + 1]`, words that end at it `words[first_word[n]:first_word[n + 1]]`; `ahead` is
    the ln probability of the likeliest word below a node. The model: `numbers` by line of the
    lexicon (0: never met), ln probabilities by word, pair and triple; pairs that begin with word w
    are `first_pair[w]` up to `first_pair[w + 1]`, triples that begin with pair p likewise.
    """

    units: Array
    first_child: Array
    first_word: Array
    words: Array
    ahead: Array
    numbers: Array
    single: Array
    single_left: Array
    first_pair: Array
    pair_words: Array
    pair: Array
    pair_left: Array
    first_triple: Array
    triple_words: Array
    triple: Array


@dataclass(frozen=True, slots=True, eq=False)
class Language:
    """A lexicon's tree and its language model; open that of a network with `Language.open`."""

    tables: Tables
    _lexicon: bytes
    _ends: Array  # of the lexicon's lines
    _capital: Array

    @classmethod
    def open(cls, folder: Path, units: Sequence[str]) -> Language | None:
        """That of a network's folder; None where there is none for these units.

        Raises NetworkError for a file that is damaged, or newer than this version.
        """
        path = folder / FILE
        try:
            with safe_open(path, framework="numpy") as file:
                about = json.loads((file.metadata() or {})["language"])
                if about["format"] != FORMAT:
                    raise NetworkError(
                        f"{path}: has format {about['format']}, this version reads format {FORMAT}"
                    )
                found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if not set(about["units"]) <= set(units):
                return None
            lexicon = (folder / "lexicon.txt").read_bytes()
            ends = np.flatnonzero(np.frombuffer(lexicon, np.uint8) == ord("\n"))
            if len(ends) != about["lexicon"]:
                raise NetworkError(
                    f"{path}: was made for a lexicon.txt of {about['lexicon']} words, not of "
                    f"{len(ends)}: make it again with recipes/language.py"
                )
            columns = [units.index(unit) for unit in about["units"]]
            return cls(_tables(found, columns, len(ends)), lexicon, ends, found["capital"])
        except FileNotFoundError:
            return None
        except (LookupError, TypeError, ValueError, OSError, SafetensorError) as error:
            raise NetworkError(f"{path}: is damaged ({error}): install the network again") from None

    def word(self, line: int) -> str:
        """The word of a line of the lexicon, as texts write it inside a sentence."""
        word = self._key(line).decode("utf-8")
        capital = self._capital[line >> 3] >> (7 - (line & 7)) & 1
        return word[:1].upper() + word[1:] if capital else word

    def sounds(self, line: int) -> tuple[str, ...]:
        """How the word of a line is usually said, in units."""
        start = int(self._ends[line - 1]) + 1 if line else 0
        entry = self._lexicon[start : int(self._ends[line])].decode("utf-8")
        return tuple(entry.partition("\t")[2].partition("|")[0].split())

    def line(self, word: str) -> int:
        """The line of a lower-case word; -1 where the lexicon lacks it."""
        wanted = word.encode("utf-8", "replace")
        at = bisect_left(range(len(self._ends)), wanted, key=self._key)
        return at if at < len(self._ends) and self._key(at) == wanted else -1

    def _key(self, line: int) -> bytes:
        start = int(self._ends[line - 1]) + 1 if line else 0
        return self._lexicon[start : self._lexicon.index(b"\t", start)]


def _tables(found: dict[str, Array], columns: Sequence[int], lines: int) -> Tables:
    """The arrays of the file, made ready; raises what a damaged file makes it raise."""
    numbers = np.zeros(lines, np.int32)
    numbers[found["known"]] = np.arange(1, len(found["known"]) + 1)
    named = np.append(np.array(columns, np.int16), np.full(256 - len(columns), -1, np.int16))
    first_child = _first(found["node_children"]) + 1  # node 0 is nobody's child
    first_word = _first(found["node_words"])
    first_pair, first_triple = _first(found["pair_counts"]), _first(found["triple_counts"])
    nodes, words = len(found["node_units"]), found["words"]
    fits = (
        first_child[-1] == nodes == len(first_child) - 1
        and first_word[-1] == len(words)
        and len(first_word) == nodes + 1
        and int(words.max()) < lines
        and (named[found["node_units"][1:]] >= 0).all()
        and len(numbers[numbers > 0]) + 1 == len(found["single"]) == len(found["single_left"])
        and len(first_pair) == len(found["single"]) + 1
        and first_pair[-1] == len(found["pair"]) == len(found["pair_words"])
        and len(first_triple) == len(found["pair_left"]) + 1 == len(found["pair"]) + 1
        and first_triple[-1] == len(found["triple"]) == len(found["triple_words"])
        and max(found["pair_words"].max(), found["triple_words"].max()) < len(found["single"])
    )
    if not fits:
        raise ValueError("its tables do not fit each other")
    tables = Tables(
        named[found["node_units"]],
        first_child,
        first_word,
        words.astype(np.int32),
        np.full(nodes, -np.inf, np.float32),
        numbers,
        _ln(found["single"]),
        _ln(found["single_left"]),
        first_pair,
        found["pair_words"],
        _ln(found["pair"]),
        _ln(found["pair_left"]),
        first_triple,
        found["triple_words"],
        _ln(found["triple"]),
    )
    _look_ahead(tables)
    return tables


def _first(counts: Array) -> Array:
    """Where the things begin that are counted, and where the last of them end."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int32)


def _ln(steps: Array) -> Array:
    return steps.astype(np.float32) / np.float32(-STEPS)


def _look_ahead(tables: Tables) -> None:
    """Fill `ahead`: level by level from the leaves, each node's likeliest word."""
    own = np.repeat(np.arange(len(tables.units)), np.diff(tables.first_word))
    np.maximum.at(tables.ahead, own, tables.single[tables.numbers[tables.words]])
    level = (0, 1)
    levels = []
    while level[0] < level[1]:
        levels.append(level)
        level = int(tables.first_child[level[0]]), int(tables.first_child[level[1]])
    for start, end in reversed(levels[:-1]):
        parents = np.repeat(np.arange(start, end), np.diff(tables.first_child[start : end + 1]))
        below = slice(tables.first_child[start], tables.first_child[end])
        np.maximum.at(tables.ahead, parents, tables.ahead[below])
