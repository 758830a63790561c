"""What is said in a call: a topic, what agents should say, fraud; and what is true of it.

The lines stand in `call_scripts.yml`, with many ways to say each; this draws from them. A call is
the same for the same seed and number, whatever other calls there are. It knows nothing of sound.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SCRIPTS = Path(__file__).with_name("call_scripts.yml")
SIDES = ("agent", "customer")
FRAUD_SHARE = 0.25
NAMED_SHARE = 0.5  # of the calls, in which a word of the topic's name is said
SAID_SHARE = 0.5  # of each item of the rubric
INSTEAD_SHARE = 0.6
INNOCENT_SHARE = 0.5
FILLER_SHARE = 0.3  # of the sentences
STEPS_OF_FRAUD = 3
QUESTIONS = 1  # of those that only an agent in such a call asks
WORDS_A_MINUTE = 150.0
MOST_TRIES = 200

_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says in one go."""

    side: str
    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """Turns in their order, and what is true of them."""

    number: int
    turns: tuple[Turn, ...]
    topic: str
    fraud: str  # the pattern, or ""
    rubric: tuple[tuple[str, bool], ...]
    named: bool  # whether a word of the topic's name is said
    backchannels: tuple[str, ...]  # what a side may say while the other speaks

    @property
    def truth(self) -> dict[str, str]:
        """One column a label."""
        told = {name: "yes" if said else "no" for name, said in self.rubric}
        return {"topic": self.topic, "fraud": "yes" if self.fraud else "no", **told}


def topics() -> tuple[str, ...]:
    """The topics a call may have."""
    return tuple(_scripts()["topics"])


def rubric() -> tuple[str, ...]:
    """The items of the rubric."""
    return tuple(_scripts()["rubric"])


def write_call(number: int, seed: int, minutes: float) -> Call:
    """The call of a number, of about `minutes` (shorter ones have no small talk)."""
    return _Writer(number, seed).call(minutes)


def label_words(topic: str) -> tuple[str, ...]:
    """How words of the topic's name begin."""
    return tuple(_scripts()["topics"][topic]["stems"])


class _Writer:
    """Draws lines; in a call that does not name its topic, only such without words of the name."""

    def __init__(self, number: int, seed: int) -> None:
        self._number = number
        self._dice = random.Random(f"{seed} {number}")
        self._scripts = _scripts()
        # In turn rather than by lot, so that few calls have all topics too.
        self._topic = topics()[number % len(topics())]
        self._named = self._dice.random() < NAMED_SHARE
        stems = "|".join(label_words(self._topic))
        self._name = re.compile(rf"\b(?:{stems})", re.IGNORECASE)

    def call(self, minutes: float) -> Call:
        fraud = ""
        if self._dice.random() < FRAUD_SHARE:
            fraud = self._dice.choice(list(self._scripts["fraud"]))
        said = {name: self._dice.random() < SAID_SHARE for name in rubric()}
        turns = self._middle(self._item(said), fraud, minutes)
        return Call(
            self._number,
            tuple(Turn(side, self._with_fillers(text)) for side, text in turns),
            self._topic,
            fraud,
            tuple(said.items()),
            self._named,
            tuple(self._scripts["backchannels"]),
        )

    def _middle(self, item: Any, fraud: str, minutes: float) -> list[tuple[str, str]]:
        script = self._scripts["topics"][self._topic]
        agent, customer = SIDES
        opening = " ".join(item(i) for i in ("says_company", "says_own_name", "recording_notice"))
        turns = [(agent, opening)]
        turns += [(customer, f"{self._line('openers')} {self._problem(script)}")]
        turns += [(agent, item("shows_empathy"))]
        if asked := item("verifies_identity"):
            turns += [(agent, asked), (customer, self._line("answers"))]
        for question, answer in self._dice.sample(script["asks"], QUESTIONS):
            turns += [(agent, self._say(question)), (customer, self._say(answer))]
        turns += [(customer, self._say("", script["says"]))]
        turns += [(agent, item("repeats_problem"))]
        if asked := item("asks_before_hold"):
            turns += [(agent, asked), (customer, self._say("[Yes|Sure|Okay|All right|Go ahead]."))]
        turns += self._aside(fraud)
        turns += [(agent, self._say("", script["ends"]))]
        turns += [(agent, f"{item('gives_timeframe')} {item('gives_reference')}")]
        turns += [(agent, item("offers_extra")), (agent, item("asks_anything_else"))]
        turns += [(customer, self._line("byes")), (agent, item("thanks_at_end"))]
        turns = [(side, text.strip()) for side, text in turns if text.strip()]
        while sum(len(text.split()) for _, text in turns) < minutes * WORDS_A_MINUTE:
            first, second = self._dice.choice(self._scripts["chat"])
            at = self._dice.randrange(3, len(turns) - 2)
            turns[at:at] = [(agent, self._say(first)), (customer, self._say(second))]
        return turns

    def _problem(self, script: dict[str, Any]) -> str:
        """Two sentences on what the call is about; one holds the name where the call does."""
        first, second = self._dice.sample(script["says"], 2)
        if self._named:
            first = self._dice.choice([one for one in script["says"] if self._name.search(one)])
            return f"{self._say(first, named=True)} {self._say(second)}"
        return f"{self._say(first, script['says'])} {self._say(second, script['says'])}"

    def _aside(self, fraud: str) -> list[tuple[str, str]]:
        """What a fraudster does, step by step; or what sounds a little like it."""
        if fraud:
            pattern = self._scripts["fraud"][fraud]
            chosen = sorted(self._dice.sample(range(len(pattern["steps"])), STEPS_OF_FRAUD))
            other = SIDES[1 - SIDES.index(pattern["by"])]
            turns = []
            for step in chosen:
                turns.append((pattern["by"], self._say("", pattern["steps"][step])))
                turns.append(
                    (other, self._say("[Okay|Hm, okay|Really|Right|Oh|Well, if you say so]."))
                )
            return turns
        if self._dice.random() < INNOCENT_SHARE:
            side, line = self._dice.choice(self._scripts["innocent"])
            return [(side, self._say(line))]
        return []

    def _item(self, said: dict[str, bool]) -> Any:
        def item(name: str) -> str:
            entry = self._scripts["rubric"][name]
            if said[name]:
                return self._say("", entry["says"])
            if entry["instead"] and self._dice.random() < INSTEAD_SHARE:
                return self._say("", entry["instead"])
            return ""

        return item

    def _line(self, name: str) -> str:
        return self._say("", self._scripts[name])

    def _say(self, line: str, others: Sequence[str] = (), named: bool = False) -> str:
        """One way to say the line, or one of the others."""
        for _ in range(MOST_TRIES):
            text = self._expanded(line or self._dice.choice(list(others)))
            holds = self._name.search(text) is not None
            if holds if named else self._named or not holds:
                return text
            line = "" if others else line
        raise ValueError(f"{line!r} can only be said with a word of the topic {self._topic!r}")

    def _expanded(self, line: str) -> str:
        """The line with one choice made at every place, as a sentence with its blanks in order."""
        while True:
            line, slots = _SLOT.subn(
                lambda m: self._dice.choice(self._scripts["slots"][m[1]]), line
            )
            line, choices = _CHOICE.subn(lambda m: self._dice.choice(m[1].split("|")), line)
            if not slots and not choices:
                break
        line = re.sub(r"\s+([,.?!])", r"\1", re.sub(r"\s+", " ", line)).strip()
        return line[:1].upper() + line[1:]

    def _with_fillers(self, text: str) -> str:
        sentences = re.split(r"(?<=[.?!]) ", text)
        for i, sentence in enumerate(sentences):
            words = sentence.split()
            if len(words) >= 5 and self._dice.random() < FILLER_SHARE:
                at = self._dice.randrange(0, len(words) - 1)
                words.insert(at, self._dice.choice(self._scripts["fillers"]) + ",")
                sentences[i] = " ".join(words)
        return " ".join(sentences)


@functools.cache
def _scripts() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(SCRIPTS.read_text(encoding="utf-8"))
    return loaded
