"""What a topic tells a person: which phrases speak for and against, and which labels look wrong.

All of it can be listened to: phrases and suspects come with mentions. Suspects are found by
confident learning on probabilities of trees that had not seen the recording (cleanlab; Northcutt,
Jiang, Chuang: Confident Learning, JAIR 2021). This module knows nothing of how trees are grown.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from earshot.errors import MissingExtra
from earshot.topics.evidence import Evidence
from earshot.topics.features import Table
from earshot.topics.model import Example, Sign, Suspect
from earshot.topics.targets import Target, answers, joined
from earshot.topics.trees import Grown
from earshot.topics.validation import Tested

EXAMPLES = 3
"""Mentions that are shown of a phrase."""

_DECIDING = 3  # phrases that a suspect's reason names
_UNIT_SECONDS = 0.1  # of slow speech
_WORTH = 0.05  # log-odds below which a phrase decided nothing

Bools = npt.NDArray[np.bool_]


def signs(
    evidence: Evidence, table: Table, grown: Grown, truth: Bools, phrases: Sequence[int]
) -> tuple[Sign, ...]:
    """What each phrase of the trees says, the weightiest first.

    phrases: numbers of the trees' phrases among those of evidence and table.
    """
    adds = grown.contributions(table)[:, : len(grown.phrases)]
    found = []
    for column, phrase in enumerate(phrases):
        best = table.values[:, phrase, 0]
        least = threshold(best, truth)
        here, share = best >= least, adds[:, column]
        heard = float(share[here].mean()) if here.any() else 0.0
        unheard = float(share[~here].mean()) if not here.all() else 0.0
        one = evidence.phrases[phrase]
        shown = here & (truth if heard >= unheard else ~truth)
        found.append(
            Sign(
                one.text, one.origin, heard, unheard, float(here[truth].mean()),
                float(here[~truth].mean()), least,
                examples(evidence, table, phrase, np.flatnonzero(shown)),
            )
        )  # fmt: skip
    return tuple(sorted(found, key=lambda sign: -abs(sign.weight)))


def threshold(best: npt.NDArray[np.float32], truth: Bools) -> float:
    """The strength from which on a phrase counts as heard: where it parts the answers best.

    What is faint among loud recordings is heard among others: there is no number for all phrases.
    """
    order = np.argsort(-best, kind="stable")
    yes = np.cumsum(truth[order]) / max(int(truth.sum()), 1)
    no = np.cumsum(~truth[order]) / max(int((~truth).sum()), 1)
    ranked = best[order]
    last = np.append(ranked[1:] < ranked[:-1], True)  # of equal ones all are heard, or none
    apart = np.where(last, np.abs(yes - no), -1.0)
    return float(ranked[int(apart.argmax())])


def examples(
    evidence: Evidence,
    table: Table,
    phrase: int,
    recordings: npt.NDArray[np.int64],
    most: int = EXAMPLES,
) -> tuple[Example, ...]:
    """Where a phrase is heard best in some recordings, one place in each, to about a second."""
    best = table.values[recordings, phrase, 0]
    units = len(evidence.phrases[phrase].ways[0].units)
    found = []
    for row in recordings[np.argsort(-best, kind="stable")][:most].tolist():
        end = float(table.when[row, phrase])
        start = max(end - 1.0 - units * _UNIT_SECONDS, 0.0)
        side = int(table.side[row, phrase])
        name = evidence.recordings[row]
        strength = round(float(table.values[row, phrase, 0]), 2)
        found.append(Example(name, side, round(start, 2), round(end, 2), strength))
    return tuple(found)


def suspects(evidence: Evidence, table: Table, target: Target, tested: Tested) -> list[Suspect]:
    """Every labelled recording, the one whose label looks most wrong first.

    Its quality is what cleanlab makes of the probabilities, times the share of its reviewers who
    agree with the label.
    """
    quality, wrong = _qualities(target, tested)
    least: dict[tuple[int, int], float] = {}

    def heard(phrase: int, row: int, question: int) -> bool:
        best = table.values[:, phrase, 0]
        key = phrase, question
        if key not in least:
            least[key] = threshold(best, target.answers(question))
        return bool(best[row] >= least[key])

    found = []
    for row in np.argsort(quality, kind="stable").tolist():
        label = int(target.truth[row])
        sure = tested.probabilities[row].copy()
        sure[label] = -1.0
        rather = int(sure.argmax())
        question = min(rather, len(target.questions) - 1)
        if target.kind == "grades":
            question = min(label, rather)
        towards = 1.0 if answers(target.kind, np.array([rather]), question)[0] else -1.0
        deciding = [
            (phrase, add)
            for phrase, add in (tested.adds[question][row] if tested.adds else ())
            if add * towards > _WORTH
        ][:_DECIDING]
        there = {phrase: heard(phrase, row, question) for phrase, _ in deciding}
        shown = [
            (evidence.phrases[phrase].text, one)
            for phrase in there
            if there[phrase]
            for one in examples(evidence, table, phrase, np.array([row]))
        ]
        names = [(evidence.phrases[phrase].text, there[phrase]) for phrase in there]
        found.append(
            Suspect(
                target.recordings[row], target.values[label], target.values[rather],
                float(sure[rather]), float(quality[row]), bool(wrong[row]),
                _reason(target, row, rather, float(sure[rather]), names), tuple(shown),
            )
        )  # fmt: skip
    return found


def _qualities(target: Target, tested: Tested) -> tuple[npt.NDArray[np.float64], Bools]:
    """By recording: how good its label is, and whether it is probably wrong."""
    try:
        from cleanlab.filter import find_label_issues  # seconds to load, and only to learn
        from cleanlab.rank import get_label_quality_scores
    except ImportError:
        raise MissingExtra("what finds wrong labels", "topics") from None
    # Calibrated probabilities come in steps, in which many recordings are equal: the scores do not.
    smooth = joined(target.kind, 1 / (1 + np.exp(-tested.scores)))
    quality = get_label_quality_scores(target.truth, smooth, method="normalized_margin")
    issues = find_label_issues(target.truth, smooth, n_jobs=1)
    found = np.asarray(quality, np.float64) * target.agreement
    return found, np.asarray(issues, np.bool_) | (target.agreement < 1 / 2)


def _reason(
    target: Target, row: int, rather: int, sure: float, names: Sequence[tuple[str, bool]]
) -> str:
    """Why a label may be wrong, in a sentence."""
    said = f"labelled '{target.values[target.truth[row]]}'"
    if target.agreement[row] < 1:
        said += f" by {target.agreement[row]:.0%} of its reviewers"
    heard = [f"'{text}'" for text, there in names if there]
    missing = [f"'{text}'" for text, there in names if not there]
    why = [
        *([f"{', '.join(heard)} {'is' if len(heard) == 1 else 'are'} heard"] if heard else []),
        *([f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not"] if missing else []),
    ]
    because = f": {'; '.join(why)}" if why else ""
    return f"{said}, sounds like '{target.values[rather]}' ({sure:.0%}){because}"
