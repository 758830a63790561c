"""The trees of `earshot.topics` on the words of texts: what a transcript would tell of a label.

Words and pairs of words take the place of phrases that were searched for, the certainty of a word
that of a mention; everything after that is `earshot.topics`' own. Given what was really said it
tells how much there is to be learned at best.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from earshot.topics.candidates import Candidate
from earshot.topics.evidence import Evidence
from earshot.topics.features import Table, table
from earshot.topics.targets import Target
from earshot.topics.validation import predicted

LEAST_CALLS = 2  # that hold a word or a pair
UNHEARD, SURE = -2.0, 12.0  # strengths of what was not said, and of what surely was


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a side of a call; times in seconds, `sure` from 0 to 1."""

    text: str
    side: int
    start: float
    end: float
    sure: float = 1.0


def words_of(sides: Sequence[tuple[int, str]], seconds_a_word: float = 0.35) -> list[Word]:
    """What was said by which side, in turn, as words that follow each other evenly."""
    texts = [(side, word) for side, text in sides for word in re.findall(r"[a-z']+", text.lower())]
    return [
        Word(text, side, at * seconds_a_word, (at + 1) * seconds_a_word)
        for at, (side, text) in enumerate(texts)
    ]


def table_of(calls: Mapping[str, Sequence[Word]]) -> Table:
    """The numbers of all calls, in their order: of each word and each pair of a side's words."""
    held = {name: [_terms(said, side) for side in (0, 1)] for name, said in calls.items()}
    counts = Counter(
        term for own in held.values() for term in {one.text for side in own for one in side}
    )
    known = sorted(term for term, count in counts.items() if count >= LEAST_CALLS)
    number = {term: at for at, term in enumerate(known)}
    shape = (2 * len(calls), len(known))
    strength = np.full(shape, UNHEARD, np.float32)
    second, count = (np.zeros(shape, np.float32) for _ in range(2))
    for row, terms in enumerate(side for own in held.values() for side in own):
        for one in terms:
            if one.text in number:
                at = number[one.text]
                sure = UNHEARD + (SURE - UNHEARD) * one.sure
                if sure > strength[row, at]:
                    strength[row, at], second[row, at] = sure, one.end
                count[row, at] += one.sure
    return table(
        Evidence(
            tuple(calls),
            tuple(Candidate(term, (), "word") for term in known),
            np.full(len(calls), 3600.0),  # certainties do not depend on the length
            np.arange(shape[0]) // 2,
            np.arange(shape[0]) % 2,
            strength,
            second,
            count,
        )
    )


def accuracy(
    numbers: Table, given: Target, train: Sequence[int], test: Sequence[int], truth: Sequence[int]
) -> float:
    """Of the test calls, learned from the labels that the others were given."""
    learned, judged = np.array(train), np.array(test)
    groups = np.arange(len(given.truth))
    sure = predicted(numbers, given, groups, learned, judged, seed=0)
    return float((sure.argmax(axis=1) == np.array(truth)).mean())


def _terms(said: Sequence[Word], side: int) -> list[Word]:
    own = [one for one in said if one.side == side]
    pairs = [
        Word(f"{a.text} {b.text}", side, a.start, b.end, min(a.sure, b.sure))
        for a, b in pairwise(own)
    ]
    return [*own, *pairs]
