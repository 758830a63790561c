"""What a sentence wants, of a library -> an answer: recordings and the times at which it was said.

    episode 13 at 12:40 and 31:05, episode 5 at 4:20

`answer` is a function of the library, the sentence and what was said before; it neither prints nor
plays. Its texts are for people; programs read `items`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Protocol

from earshot.bot.dates import ALWAYS, Stretch
from earshot.bot.grammar import Intent, Names, understood
from earshot.bot.session import Session, Shown
from earshot.types import Group, Recording, SearchResult

COUNT = 10
"""So many are shown where a sentence does not say."""

TIMES = 8
"""Of a recording, so many times are told; the others are counted."""

CONFIDENCE = 0.3
"""Less likely ones are told only when there are no others."""

PEOPLE = ("speaker", "guest", "host", "agent", "customer", "caller", "author", "artist")
"""Metadata that name people."""

HELP = (
    'Ask what was said: "find me 20 episodes about convolutional neural nets", "where do they '
    'mention gradient descent since May", "how many calls say refund or voucher last year". Then '
    'go on: "only after 2016", "more", "play the second". Put between quotes what is to be taken '
    "word by word."
)


class Searched(Protocol):
    """What an answer needs of a library; `earshot.Library` is one."""

    def list(self, where: str = "") -> Sequence[Recording]:
        """The recordings that filters fit."""

    def search(
        self,
        query: str,
        top: int | None = 10,
        *,
        by_recording: bool = False,
        where: str = "",
    ) -> SearchResult:
        """Where something was said."""


@dataclass(frozen=True, slots=True)
class Item:
    """One recording of an answer: what it is, where in it (seconds), and how likely.

    `more` counts mentions beside those in `spans`.
    """

    recording: str
    title: str
    name: str
    date: str | None
    feed: str
    confidence: float | None
    spans: tuple[tuple[float, float], ...]
    more: int = 0


@dataclass(frozen=True, slots=True)
class Clip:
    """A span to play: of a recording, in seconds."""

    recording: str
    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: a sentence, what it lists, what is to be played, and the conversation from here.

    `total` counts all there are; `query` and `where` are what was searched for, in the query
    language.
    """

    text: str
    session: Session
    items: tuple[Item, ...] = ()
    total: int = 0
    query: str = ""
    where: str = ""
    clip: Clip | None = None


def names_of(recordings: Iterable[Recording]) -> Names:
    """What the library knows by name."""
    feeds: dict[str, None] = {}
    tags: dict[str, None] = {}
    people: dict[str, str] = {}
    for one in recordings:
        tags |= dict.fromkeys(one.tags)
        for key, value in one.meta:
            if key.casefold() == "feed":
                feeds[value] = None
            elif key.casefold() in PEOPLE:
                people.setdefault(value, key)
    return Names(tuple(feeds), tuple(tags), people)


def answer(library: Searched, sentence: str, session: Session, today: date) -> Reply:
    """Answer a sentence; raises QueryError for a topic that cannot be searched for."""
    every = library.list()
    intent = understood(sentence, names_of(every), today)
    if intent.action == "help":
        return Reply(HELP, session)
    if intent.action == "forget":
        return Reply("Forgotten: ask anew.", Session())
    if intent.action == "play":
        return _played(intent, session, every)
    offset = 0
    if intent.action == "more":
        if session.intent is None:
            return Reply("There is nothing to show more of: ask for something first.", session)
        offset = session.offset + len(session.shown)
        intent = replace(session.intent, count=intent.count or session.intent.count)
    elif intent.refines and session.intent is not None:
        intent = intent.after(session.intent)
    if not intent.topic:
        return _listed(library, intent, offset)
    return _searched(library, intent, offset)


def where_of(intent: Intent) -> str:
    """The filters of what is wanted, in the query language."""
    stretch = intent.when
    dates = [f"after:{stretch.after}"] if stretch.after else []
    dates += [f"before:{stretch.before}"] if stretch.before else []
    return " ".join([*dates, *intent.filters])


def _searched(library: Searched, intent: Intent, offset: int) -> Reply:
    where = where_of(intent)
    found = library.search(intent.topic, None, by_recording=True, where=where)
    rows = {one.id: one for one in library.list(where)}
    groups = [one for one in found.groups if one.recording in rows]
    sure = [one for one in groups if one.confidence >= CONFIDENCE]
    groups = sure or groups
    if intent.order in ("newest", "oldest"):
        groups.sort(key=lambda one: rows[one.recording].recorded or "",
                    reverse=intent.order == "newest")  # fmt: skip
    count = intent.count or COUNT
    chosen = groups[offset : offset + count]
    several = len({_feed(rows[one.recording]) for one in groups}) > 1
    items = tuple(_item(one, rows[one.recording], several) for one in chosen)
    mentions = sum(len(_times(one)) for one in groups)
    text = _told(intent, items, len(groups), mentions, offset, doubtful=not sure)
    shown = tuple(Shown(one.recording, one.name, one.spans) for one in items)
    session = Session(intent, shown, offset)
    return Reply(text, session, items, len(groups), intent.topic, where)


def _listed(library: Searched, intent: Intent, offset: int) -> Reply:
    """Recordings, of which nothing is said but who and when."""
    where = where_of(intent)
    rows = list(library.list(where))
    rows.sort(key=lambda one: one.recorded or "", reverse=intent.order != "oldest")
    chosen = rows[offset : offset + (intent.count or COUNT)]
    several = len({_feed(one) for one in rows}) > 1
    items = tuple(
        Item(one.id, one.title, _called(one, several), one.recorded, _feed(one), None, ())
        for one in chosen
    )
    what = _plural(len(rows), "recording")
    text = f"{what}{_limits(intent)}{_which(len(items), len(rows), offset)}."
    shown = tuple(Shown(one.recording, one.name, ((0.0, 30.0),)) for one in items)
    return Reply(text, Session(intent, shown, offset), items, len(rows), "", where)


def _played(intent: Intent, session: Session, every: Sequence[Recording]) -> Reply:
    if intent.name:
        wanted = intent.name.casefold()
        fitting = [one for one in session.shown if wanted in one.name.casefold().split(" of ")[0]]
        fitting = [one for one in fitting if _same(one.name, wanted)] or fitting
        if not fitting:
            called = ((row, _called(row, False)) for row in every)
            fitting = [
                Shown(row.id, name, ((0.0, 30.0),))
                for row, name in called
                if _same(name, wanted) or row.title.casefold() == wanted
            ]
        if not fitting:
            return Reply(f"There is no '{intent.name}' to play.", session)
        chosen = fitting[0]
    else:
        which = intent.which or 1
        at = len(session.shown) + which if which < 0 else which - 1 - session.offset
        if not session.shown:
            return Reply("There is nothing to play: ask for something first.", session)
        if not 0 <= at < len(session.shown):
            first, last = session.offset + 1, session.offset + len(session.shown)
            return Reply(f"There is no number {which}: {first} to {last} were shown.", session)
        chosen = session.shown[at]
    if chosen.recording not in {one.id for one in every}:
        return Reply(f"{chosen.name} has been removed from the library.", session)
    time = intent.time if intent.time > 0 else len(chosen.spans)
    if time > len(chosen.spans):
        return Reply(f"Of {chosen.name} {_plural(len(chosen.spans), 'time')} were told.", session)
    start, end = chosen.spans[time - 1]
    clip = Clip(chosen.recording, chosen.name, start, end)
    return Reply(f"{chosen.name} at {said_time(start)}.", session, clip=clip)


def _same(name: str, wanted: str) -> bool:
    return name.casefold().partition(" of ")[0] == wanted


def _item(group: Group, row: Recording, several: bool) -> Item:
    spans = _times(group)
    return Item(row.id, row.title, _called(row, several), row.recorded, _feed(row),
                group.confidence, spans[:TIMES], max(0, len(spans) - TIMES))  # fmt: skip


def _times(group: Group) -> tuple[tuple[float, float], ...]:
    """The spans of a recording's mentions; the doubtful ones only if there are no others."""
    sure = [one for one in group.mentions if one.confidence >= CONFIDENCE]
    return tuple((one.start, one.end) for one in sure or group.mentions)


def _feed(row: Recording) -> str:
    return next((value for key, value in row.meta if key.casefold() == "feed"), "")


def _called(row: Recording, several: bool) -> str:
    """What people call a recording: `episode 13`, `episode 13 of Deep Talks`, or its title."""
    number = next((value for key, value in row.meta if key.casefold() == "episode"), "")
    if not number:
        return row.title
    return f"episode {number} of {_feed(row)}" if several and _feed(row) else f"episode {number}"


def _told(
    intent: Intent, items: Sequence[Item], total: int, mentions: int, offset: int, *, doubtful: bool
) -> str:
    about = f" about {_readable(intent.topic)}{_limits(intent)}"
    if not total:
        return f"Nothing{about}."
    if not items:
        return f"There are no more than {total}{about}."
    said = ", ".join(f"{one.name}{_at(one)}" for one in items)
    what = _plural(total, "recording")
    if intent.kind == "mentions" or intent.counted:
        what = f"{_plural(mentions, 'time')} in {what}"
    unsure = "perhaps, none of them surely: " if doubtful else ""
    return f"{what}{about}{_which(len(items), total, offset)}: {unsure}{said}."


def _at(item: Item) -> str:
    times = [said_time(start) for start, _ in item.spans]
    if item.more:
        times.append(f"{item.more} times more")
    if len(times) == 1:
        return f" at {times[0]}"
    return f" at {', '.join(times[:-1])} and {times[-1]}"


def _which(shown: int, total: int, offset: int) -> str:
    if shown == total or not shown:
        return ""
    return (
        f" ({offset + 1} to {offset + shown})" if offset or shown > 1 else f" (number {offset + 1})"
    )


def _limits(intent: Intent) -> str:
    """What limits an answer, as a person says it."""
    found = [_days(intent.when)] if intent.when != ALWAYS else []
    for one in intent.filters:
        negative = one.startswith("NOT ")
        name, _, value = one.removeprefix("NOT ").partition(":")
        value = value.strip('"')
        told = f"tagged {value}" if name == "tag" else f"from {value}" if name == "meta.feed" else (
            f"with {value}"
        )  # fmt: skip
        found.append(f"not {told}" if negative else told)
    return "".join(f" {one}" for one in found)


def _days(stretch: Stretch) -> str:
    after, before = stretch.after, stretch.before
    if after and before:
        last = str(int(before) - 1) if re.fullmatch(r"\d{4}", before) else None
        if last is not None and re.fullmatch(r"\d{4}", after):
            return f"of {after}" if last == after else f"of {after} to {last}"
        return f"from {after} on, before {before}"
    return f"from {after} on" if after else f"before {before}"


def _readable(topic: str) -> str:
    return topic.replace('"', "").replace("\\", "").replace(" | ", " or ")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' * (count != 1)}"


def said_time(seconds: float) -> str:
    """As people say times: 4:20, 1:02:03."""
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
