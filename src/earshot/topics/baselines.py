"""Plain ways to tell a label, to be measured beside the trees: without them a figure says nothing.

`most frequent` says the commonest value of everything. `keywords` searches for a list of phrases of
each value (else for the words that label and values are called by) and says the value whose phrase
is heard most surely; how sure is enough is found on the other recordings. Nothing else is learned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from earshot.errors import QueryError
from earshot.topics.candidates import Candidate, Spell, given
from earshot.topics.features import Table
from earshot.topics.targets import Target
from earshot.topics.trees import folds
from earshot.topics.validation import FOLDS, Figure, figures

_ENOUGH = 24  # strengths that are tried

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def keywords_of(
    target: Target, lists: Mapping[str, Sequence[str]], spell: Spell
) -> dict[int, list[Candidate]]:
    """By value: what is searched for. lists: by value, or under the label's own name those of a
    yes; raises QueryError for a phrase of the user's that cannot be searched for."""
    found: dict[int, list[Candidate]] = {}
    for number, value in enumerate(target.values):
        named = lists.get(value, ())
        if target.kind == "yes/no" and number == 1:
            named = (*named, *lists.get(target.label, ()), *lists.get("", ()))
        if named:
            found[number] = given(named, spell)
    if lists or target.kind == "grades":
        return found
    for number, value in enumerate(target.values):
        if target.kind == "yes/no":
            words = _words(target.label) if number else ""
        else:
            words = _words(value)
        try:
            if words:
                found[number] = given([words], spell)
        except QueryError:
            continue  # the label is called by something that has no sound
    return found


def baselines(
    target: Target, groups: Ints, seed: int, keywords: Table | None, of: Mapping[int, Sequence[int]]
) -> dict[str, Figure]:
    """The accuracy of each. keywords: what was heard of them; of: by value which of its phrases."""
    found = {"most frequent": _accuracy(np.array([0] * len(target.truth)), target, groups)}
    counts = np.bincount(target.truth, minlength=len(target.values))
    most = np.full(len(target.truth), int(counts.argmax()))
    found["most frequent"] = _accuracy(most, target, groups)
    if keywords is None or not of:
        return found
    sure = np.full((len(target.truth), len(target.values)), -np.inf)
    for value, phrases in of.items():
        sure[:, value] = keywords.values[:, list(phrases), 0].max(axis=1)
    said = np.zeros(len(target.truth), np.int64)
    for train, test in folds(target.truth, groups, FOLDS, seed):
        counts = np.bincount(target.truth[train], minlength=len(target.values))
        others = [value for value in range(len(counts)) if value not in of] or range(len(counts))
        rest = max(others, key=counts.__getitem__)

        def answers(rows: Ints, enough: float, rest: int = rest) -> Ints:
            best = sure[rows].argmax(axis=1)
            return np.where(sure[rows].max(axis=1) >= enough, best, rest)

        strongest = sure[train].max(axis=1)
        tried = np.append(np.quantile(strongest, np.linspace(0, 1, _ENOUGH)), np.inf).tolist()
        right = [(answers(train, one) == target.truth[train]).mean() for one in tried]
        said[test] = answers(test, tried[int(np.argmax(right))])
    found["keywords"] = _accuracy(said, target, groups)
    return found


def _accuracy(said: Ints, target: Target, groups: Ints) -> Figure:
    sure = np.eye(len(target.values))[said]
    return figures(sure, target.truth, groups, target.kind)["accuracy"]


def _words(name: str) -> str:
    """What a label or value is called, as it would be said: `refund_request` is two words."""
    return " ".join(re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)))
