"""Sentences -> what is wanted, each part of a sentence varied independently of the others."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.bot.dates import Stretch
from earshot.bot.grammar import ALL, Intent, Names, understood
from earshot.query import read

TODAY = date(2026, 11, 24)
NAMES = Names(
    ("Deep Talks", "History"), ("news", "calls"), {"Ada Lovelace": "speaker", "Bob": "agent"}
)


def wanted(sentence: str) -> Intent:
    return understood(sentence, NAMES, TODAY)


SENTENCES: list[tuple[str, dict[str, Any]]] = [
    ("find me 20 episodes about convolutional neural nets",
     {"topic": "convolutional neural nets", "count": 20, "kind": "recordings"}),
    ("convolutional neural nets", {"topic": "convolutional neural nets"}),
    ("Where do they mention gradient descent since May?",
     {"topic": "gradient descent", "when": Stretch("2026-05")}),
    ("how many calls say refund or voucher last year",
     {"topic": "refund | voucher", "kind": "recordings", "when": Stretch("2025", "2026"),
      "counted": True}),
    ("how often was the budget mentioned", {"topic": "the budget", "counted": True}),
    ("which episodes talk about both refunds and managers but not vouchers",
     {"topic": "(refunds AND managers) AND NOT vouchers", "kind": "recordings"}),
    ("show me the newest 3 episodes from History",
     {"action": "list", "count": 3, "kind": "recordings", "filters": ("meta.feed:History",),
      "order": "newest"}),
    ("find all mentions of budget with Ada Lovelace tagged news",
     {"topic": "budget", "count": ALL, "kind": "mentions",
      "filters": ("tag:news", 'meta.speaker:"Ada Lovelace"')}),
    ("calls by bob about refunds yesterday",
     {"topic": "refunds", "kind": "recordings", "when": Stretch("2026-11-23", "2026-11-24"),
      "filters": ("meta.agent:Bob",)}),
    ("find episodes of Deep Talks about nets",
     {"topic": "nets", "kind": "recordings", "filters": ('meta.feed:"Deep Talks"',)}),
    ("nets, but not from History", {"topic": "nets", "filters": ("NOT meta.feed:History",)}),
    ("has anyone said cancel my contract?", {"topic": "cancel my contract"}),
    ("refund NEAR/10 manager", {"topic": "refund NEAR/10 manager"}),
    ('is there anything about "May 2016" in 2017',
     {"topic": "May 2016", "when": Stretch("2017", "2018")}),
    ("what is the latest on dark matter", {"topic": "dark matter", "order": "newest"}),
    ("search for the phrase “to be or not to be”", {"topic": "to be or not to be"}),
    ("find an episode about the second world war",
     {"topic": "the second world war", "count": 1, "kind": "recordings"}),
    # What follows has words in it that mean something elsewhere.
    ("find times square", {"topic": "times square"}),
    ("Bob the builder", {"topic": "Bob the builder"}),
    ("the best of times", {"topic": "the best of times"}),
    ("video games", {"topic": "video games"}),
    ("do as I say", {"topic": "do as I say"}),
    ("20 episodes about letters from prison",
     {"topic": "letters from prison", "count": 20, "kind": "recordings"}),
    ("deep talks", {"topic": "deep talks"}),
    ("play of light", {"topic": "play of light"}),
    # Follow-ups
    ("only after 2016", {"when": Stretch("2017"), "refines": True}),
    ("and only from Deep Talks", {"filters": ('meta.feed:"Deep Talks"',), "refines": True}),
    ("what about transformers", {"topic": "transformers", "refines": True}),
    ("only the newest 5", {"count": 5, "order": "newest", "refines": True}),
    ("and in 2016?", {"when": Stretch("2016", "2017"), "refines": True}),
    ("more", {"action": "more"}), ("show me 5 more", {"action": "more", "count": 5}),
    ("the next ten", {"action": "more", "count": 10}), ("what else", {"action": "more"}),
    ("play the second", {"action": "play", "which": 2}),
    ("play it", {"action": "play", "which": 1}),
    ("play number 3 at the second time", {"action": "play", "which": 3, "time": 2}),
    ("please play the last one again", {"action": "play", "which": -1}),
    ("play episode 13", {"action": "play", "name": "episode 13"}),
    ("show me the first one", {"action": "play", "which": 1}),
    ("start over", {"action": "forget"}), ("help", {"action": "help"}), ("", {"action": "help"}),
    ("?", {"action": "help"}), ("find me", {"action": "help"}),
]  # fmt: skip


@pytest.mark.parametrize("sentence, parts", SENTENCES, ids=[one[0] for one in SENTENCES])
def test_sentences(sentence: str, parts: dict[str, Any]) -> None:
    assert wanted(sentence) == Intent(**parts)


VERBS = ("", "find ", "find me ", "please show me ", "can you give us ", "I want ", "search for ")
COUNTS = {"": None, "20 ": 20, "a dozen ": 12, "all ": ALL, "two ": 2, "up to 5 ": 5}
NOUNS = {"episodes": "recordings", "calls": "recordings", "mentions": "mentions"}
CONNECTED = ("about", "mentioning", "that mention", "on", "which talk about", "where they discuss")
TOPICS = ("convolutional neural nets", "harbour", "the $3.50 fee", "Zürich's lakes", "a b testing")
WHENS = {
    "": Stretch(), " since May": Stretch("2026-05"), " in 2016": Stretch("2016", "2017"),
    " last year": Stretch("2025", "2026"), " before March 2019": Stretch(None, "2019-03"),
}  # fmt: skip
WHOS = {
    "": (), " from Deep Talks": ('meta.feed:"Deep Talks"',), " by Bob": ("meta.agent:Bob",),
    " tagged news": ("tag:news",), " with ada lovelace": ('meta.speaker:"Ada Lovelace"',),
}  # fmt: skip


@given(
    st.sampled_from(VERBS), st.sampled_from(list(COUNTS)), st.sampled_from(list(NOUNS)),
    st.sampled_from(CONNECTED), st.sampled_from(TOPICS), st.sampled_from(list(WHENS)),
    st.sampled_from(list(WHOS)), st.booleans(), st.sampled_from(("", "?", ".", " please")),
)  # fmt: skip
def test_parts_are_independent(
    verb: str, count: str, noun: str, connected: str, topic: str, when: str, who: str,
    swapped: bool, end: str,
) -> None:  # fmt: skip
    limits = who + when if swapped else when + who
    found = wanted(f"{verb}{count}{noun} {connected} {topic}{limits}{end}")
    assert (found.count, found.kind, found.when, found.filters) == (
        COUNTS[count], NOUNS[noun], WHENS[when], WHOS[who],
    )  # fmt: skip
    assert found.topic.strip('"') == topic
    assert (found.action, found.refines) == ("search", False)


@given(st.text(max_size=120))
def test_any_sentence_is_understood(sentence: str) -> None:
    found = wanted(sentence)
    assert found.action in ("search", "list", "play", "more", "forget", "help")
    # Who writes the query language himself is told by it what is wrong; all else becomes a query.
    if found.topic and not re.search(r"[|/]|\b(AND|OR|NOT|NEAR)\b", sentence):
        read(found.topic)


@given(st.lists(st.text("abcdefgäß", min_size=2, max_size=9), min_size=1, max_size=6))
def test_words_that_mean_nothing_else_are_the_topic(words: list[str]) -> None:
    assert wanted(" ".join(words)).topic == " ".join(words)
    assert wanted(f'find 3 episodes about "{" ".join(words)}"').topic == " ".join(words)


def test_a_follow_up_keeps_what_it_does_not_change() -> None:
    first = wanted("find 20 episodes about nets from History since 2010")
    then = wanted("only before 2016").after(first)
    assert (then.topic, then.count, then.when) == ("nets", 20, Stretch("2010", "2016"))
    then = wanted("what about harbours").after(then)
    assert (then.topic, then.filters) == ("harbours", ("meta.feed:History",))
    then = wanted("only the newest 5").after(then)
    assert (then.count, then.order, then.topic) == (5, "newest", "harbours")
