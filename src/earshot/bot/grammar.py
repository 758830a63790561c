"""A sentence -> what is wanted: how many of what, about what, of when, from whom.

Small and predictable instead of clever: phrases that mean something are taken out one after the
other, and what is left is what to search for, word by word. What stands between quotes has no
meaning of its own. Names of feeds, tags and people are recognised if the library knows them. This
module searches nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Literal

from earshot.bot.dates import ALWAYS, NUMBER, Stretch, dated, number
from earshot.query import And, Choice, Filter, Node, Not, Phrase

Action = Literal["search", "list", "play", "more", "forget", "help"]
Kind = Literal["recordings", "mentions"]
Order = Literal["best", "newest", "oldest"]

ALL = 100_000
"""How many are wanted where all are."""

LONGEST = 1000  # characters of a sentence

_RECORDINGS = (
    "episodes?", "recordings?", "podcasts?", "calls?", "talks?", "videos?", "files?", "shows?",
    "interviews?", "lectures?", "meetings?", "conversations?", "programmes?", "programs?",
    "sermons?", "results?", "things?", "ones?",
)  # fmt: skip
_MENTIONS = (
    "mentions?", "times?", "places?", "moments?", "passages?", "clips?", "spots?", "occurrences?",
)  # fmt: skip
_NOUNS = "|".join([*_RECORDINGS, *_MENTIONS])
_NOUN = rf"(?P<noun>{_NOUNS})"
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "last": -1,
}  # fmt: skip
_NTH = rf"(?P<nth>{'|'.join(_ORDINALS)}|\d{{1,4}}(?:st|nd|rd|th)?)"


def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_POLITE = _compiled(
    r"^(?:please|hey|hi|hello|ok(?:ay)?|so|well|now|earshot|can you|could you|would you|will you"
    r"|i(?:'d| would) like(?: you)? to|i want(?: you)? to|i(?:'d| would) like|i want|i need"
    r"|let me|help me)\b[, ]*"
)
_FOLLOWING = _compiled(
    r"^(?:and|but|now|also|then|ok(?:ay)?|instead|(?:of|from|in) (?:those|these|them)"
    r"|which of (?:those|these|them)|(?P<only>only|just|narrow (?:it|that|them) down to|keep)"
    r"|(?P<about>what about|how about))\b[, ]*(?:(?:the )?(?:ones|those|these"
    r"|them)\b(?: that are)? ?)?"
)
_VERB = _compiled(
    r"^(?:find|show|hear|search|get|give|list|tell|look up|look|fetch|bring|display"
    r"|do you (?:have|know)"
    r"|are there|is there|there (?:are|is)|have we(?: got)?|do we have|what are|what is|which are)"
    r"\b(?: (?:through|in)\b)?(?: for\b)?(?: (?:me|us)\b)? ?"
)
_MANY = _compiled(rf"^(?:how (?P<many>many|often)|(?:what|which|in (?:what|which))) (?:{_NOUN})?")
_WHERE = _compiled(
    r"^(?:where|when|who|has|have|did|does|do|is|was|are|were)\b(?: in the (?:library|recordings))?"
    r"(?: (?:do|did|does|has|have|is|was|are|were))?"
    r"(?: (?:they|we|he|she|it|i|you|anyone|anybody|someone|somebody|people|everyone))?"
    r"(?: (?:ever|already|all))? ?"
)
# A noun alone may begin what is sought (times square): then something must follow that shows it.
_BEHIND = (
    "about|on|of|regarding|concerning|that|which|where|who|in|from|with|by|for|mention|contain|say"
    "|discuss|talk|speak|cover|deal|explain|tagged"
)
_COUNTED = _compiled(
    rf"^(?:the |my )?(?:(?:(?P<all>all|every|each|any|some)(?: of)?(?: the)?"
    rf"|(?:up to |at most |about )?(?P<count>{NUMBER}))(?: more)? {_NOUN}\b"
    rf"|{_NOUN.replace('noun', 'alone')}\b(?=$| (?:{_BEHIND}))) ?"
)
_BARE_COUNT = _compiled(r"^(?:the )?(?:top |best |first )?(?P<count>\d{1,4})$")
_ORDER = _compiled(
    r"\b(?:the )?(?:(?P<newest>newest|latest|most recent)|(?P<oldest>oldest|earliest)"
    r"|(?P<best>best|top"
    rf"|most likely))(?: first)?\b(?=$| (?:{NUMBER}$|(?:{NUMBER} )?(?:{_NOUNS})\b|about\b"
    rf"|on\b|ones?\b))"
)
_CONNECTED = _compiled(
    r"^(?:(?:that|which|who|where|in which|when|of) )?"
    r"(?:(?:they|we|he|she|it|people|anyone|someone|somebody) )?(?:(?:are|is|was|were|has|have) )?"
    r"(?:something |anything |anyone |stuff )?"
    r"(?:about|on|regarding|concerning|for|mention(?:s|ed|ing)?|contain(?:s|ed|ing)?|with"
    r"|say(?:s|ing)?"
    r"|said|discuss(?:es|ed|ing)?|talk(?:s|ed|ing)? (?:about|of)|speak(?:s|ing)? (?:about"
    r"|of)|spoken? of"
    r"|cover(?:s|ed|ing)?|deal(?:s|ing)? with|explain(?:s|ed|ing)?|the (?:words?|phrase"
    r"|topic)(?: of)?"
    r"|of)\b ?"
)
_TRAILING = _compiled(
    r"(?:^| )(?:(?:is|was|are|were|been|being|gets?|got) )?(?:mentioned|said|discussed|talked about"
    r"|spoken (?:of|about)|brought up|come up|comes up)$"
)
_MORE = _compiled(
    rf"^(?:(?:show|give|find|get)(?: me)? )?(?:the next(?: (?P<next>{NUMBER}))?"
    rf"|(?P<count>{NUMBER}) more"
    rf"|more|next|go on|continue|and more|what else)(?: {_NOUN})?(?: please)?$"
)
_PLAY = _compiled(
    r"^(?:play|hear|listen to|start"
    r"|open)\b(?: me\b)?(?: back\b)? ?(?P<what>.*?)(?: please| again)?$"
)
_SHOWN = _compiled(rf"^(?:show|give)(?: me)? (?P<what>the (?:{'|'.join(_ORDINALS)})(?: one)?)$")
_WHICH = _compiled(
    rf"^(?:(?:the|number|no\.?|#|result) ?)*{_NTH}(?: (?:one|of them|{_NOUN}))?"
    r"(?:,? (?:at )?(?:the )?(?P<time>first|second|third|fourth|fifth|last)(?: time"
    r"| mention| place)?)?$"
)
_FORGET = _compiled(
    r"^(?:forget(?: it| that| everything| all)?|start over|reset|new search|clear|never ?mind)$"
)
_HELP = _compiled(r"^(?:help|what can (?:you|i) (?:do|ask|say).*|how does this work|\?)?$")
_TAGGED = _compiled(
    r"\b(?P<no>not |without |un)?(?:tagged|labell?ed)(?: (?:as|with))? (?P<tag>\[\d+\]|[\w./-]+)"
    r"|\b(?P<none>without|with) the (?:tag|label) (?P<name>\[\d+\]|[\w./-]+)"
)
_RAW = re.compile(r"\b(?:AND|OR|NOT|NEAR(?:/\d+)?)\b|[|]|(?<!\S)/[A-Z][A-Z ]*/")
_HELD = re.compile(r"\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Names:
    """What the library knows by name: feeds, tags, and people by what they are there.

    `people` is the name of the metadata (speaker, agent, guest ...) by the person's name.
    """

    feeds: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    people: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Intent:
    """What is wanted.

    `topic` is a query in the query language, without filters, which are in `filters`. `count` is
    how many, None where that is not said. `refines` is true of a sentence that goes on from the one
    before. `which` and `time` say what to play: the how manieth of what was shown (-1: the last),
    and which of its times; `name` is what it is called otherwise.
    """

    action: Action = "search"
    topic: str = ""
    count: int | None = None
    kind: Kind | None = None
    when: Stretch = ALWAYS
    filters: tuple[str, ...] = ()
    order: Order | None = None
    refines: bool = False
    counted: bool = False
    which: int | None = None
    time: int = 1
    name: str = ""

    def after(self, before: Intent) -> Intent:
        """This, a follow-up, joined with what was wanted before."""
        return replace(
            before,
            topic=self.topic or before.topic,
            count=self.count or before.count,
            kind=self.kind or before.kind,
            when=self.when.within(before.when) if self.when != ALWAYS else before.when,
            filters=tuple(dict.fromkeys((*before.filters, *self.filters))),
            order=self.order or before.order,
            counted=self.counted,
        )


def understood(sentence: str, names: Names, today: date) -> Intent:
    """What a sentence wants; every sentence wants something, if only help."""
    held: list[str] = []
    text = _hold(" ".join(sentence[:LONGEST].split()), held)
    text = re.sub(r",? please$", "", text.strip(" .!?,;:"), flags=re.IGNORECASE)
    if _HELP.match(text):
        return Intent("help")
    if _FORGET.match(text):
        return Intent("forget")
    text = _polite(text)
    if match := _MORE.match(text):
        return Intent("more", count=number(match["count"] or match["next"] or ""))
    if (match := _PLAY.match(text) or _SHOWN.match(text)) and (
        played := _played(match["what"], held)
    ):
        return played
    return _search(text, held, names, today)


def _search(text: str, held: list[str], names: Names, today: date) -> Intent:
    following = _FOLLOWING.match(text)
    if following:
        text = _polite(text[following.end() :])
        if again := _FOLLOWING.match(text):  # "and only ..."
            text = text[again.end() :]
    filters, text = _named(text, held, names)
    when, text = dated(text, today)
    order, text = _ordered(text)
    many, text = _asked(text)
    counted = _COUNTED.match(text)
    noun = many["noun"] if many else None
    if counted and noun is None:
        noun = counted["noun"] or counted["alone"]
    count: int | None = None
    if counted:
        text = text[counted.end() :]
        count = ALL if (counted["all"] or "").lower() in ("all", "every", "each") else None
        count = number(counted["count"]) if counted["count"] else count
    elif match := _BARE_COUNT.match(text):
        text, count = "", int(match["count"])
    asked = bool(many or counted)
    while (connected := _CONNECTED.match(text)) and (asked or connected.end() < len(text)):
        text, asked = text[connected.end() :], False
    text = _TRAILING.sub("", text).strip(" ,.!?;:")
    topic = _topic(text, held)
    limited = bool(filters or when != ALWAYS or order or count or noun)
    return Intent(
        action="search" if topic or following else "list" if limited else "help",
        topic=topic,
        count=count,
        kind=_kind(noun),
        when=when,
        filters=filters,
        order=order,
        refines=bool(following) or (not topic and limited and noun is None),
        counted=bool(many and many["many"]),
    )


def _asked(text: str) -> tuple[re.Match[str] | None, str]:
    """How the sentence begins: `find me`, `how many episodes`, `where do they`; and the rest."""
    if many := _MANY.match(text):
        rest = text[many.end() :].strip()
        return many, re.sub(r"^(?:do|does|did|are|is|have|has|were|was)\b ?(?:there|they|we)? ?",
                            "", rest)  # fmt: skip
    if verb := _VERB.match(text):
        rest = text[verb.end() :]
        many = _MANY.match(rest) if rest.lower().startswith(("how ", "which ", "what ")) else None
        return (many, rest[many.end() :].strip()) if many else (None, rest)
    if (where := _WHERE.match(text)) and where.end() < len(text):
        rest = text[where.end() :]
        # "is", "do" and the like may begin a phrase that is sought: a verb of saying tells.
        if _CONNECTED.match(rest) or _TRAILING.search(rest):
            return None, rest
    return None, text


def _polite(text: str) -> str:
    while (match := _POLITE.match(text)) and match.end():
        text = text[match.end() :]
    return text


def _hold(text: str, held: list[str]) -> str:
    """What stands between quotes, put aside: `[0]`, `[1]` ..."""

    def aside(match: re.Match[str]) -> str:
        held.append(next(part for part in match.groups() if part is not None))
        return f" [{len(held) - 1}] "

    plain = text.replace("[", "(").replace("]", ")")
    plain = re.sub(r"\"([^\"]+)\"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»", aside, plain)
    return " ".join(plain.replace('"', " ").split())


def _let_go(text: str, held: list[str]) -> str:
    return _HELD.sub(lambda match: held[int(match[1])], text)


def _named(text: str, held: list[str], names: Names) -> tuple[tuple[str, ...], str]:
    """Filters of the feeds, tags and people that a sentence names, and the rest of it."""
    found: list[Filter | Not] = []

    def tagged(match: re.Match[str]) -> str:
        name = _let_go(match["tag"] or match["name"], held)
        one = Filter("tag", name)
        negative = match["no"] or (match["none"] or "").lower() == "without"
        found.append(Not(one) if negative else one)
        return " "

    text = _TAGGED.sub(tagged, text)
    for name, one in _known(names):
        quoted = next((f"[{at}]" for at, each in enumerate(held) if each.casefold() == name), None)
        if name not in text.casefold() and quoted is None:
            continue
        words = re.escape(name) if quoted is None else rf"(?:{re.escape(name)}|{re.escape(quoted)})"
        pattern = (
            r"\b(?P<no>without|not (?:from|by|with|in)|except(?: for)?|but not)? ?"
            r"\b(?:from|in|on|by|with|of|at|the|feed|podcast|show|spoken by|speaker|for|only)? ?"
            rf"(?:the )?(?:podcast |feed |show |speaker )?(?<!\w){words}(?!\w)"
            r"(?: (?:podcast|feed|show))?"
        )
        for match in re.finditer(pattern, text, re.IGNORECASE):
            # A name alone, without "from" or "by", is more likely what is talked about.
            feed = isinstance(one, Filter) and one.name == "meta.feed"
            if _points(match[0], name, quoted) or (feed and " of " in f" {match[0].lower()}"):
                found.append(Not(one) if match["no"] else one)
                text = " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())
                break
    return tuple(dict.fromkeys(map(str, found))), " ".join(text.split())


def _points(words: str, name: str, quoted: str | None) -> bool:
    before = words.casefold().replace(quoted or name, "").replace(name, "").split()
    return any(word in _POINTING for word in before)


_POINTING = frozenset({
    "from", "in", "by", "with", "at", "feed", "podcast", "show", "speaker", "without", "except",
    "only", "on",
})  # fmt: skip


def _known(names: Names) -> Iterable[tuple[str, Filter]]:
    """Names in small letters, long ones first, and the filters that they mean."""
    found = {tag.casefold(): Filter("tag", tag) for tag in names.tags}
    found |= {one.casefold(): Filter(f"meta.{key}", one) for one, key in names.people.items()}
    found |= {feed.casefold(): Filter("meta.feed", feed) for feed in names.feeds}
    return sorted(found.items(), key=lambda one: -len(one[0]))


def _ordered(text: str) -> tuple[Order | None, str]:
    match = _ORDER.search(text)
    if match is None:
        return None, text
    order: Order = "newest" if match["newest"] else "oldest" if match["oldest"] else "best"
    return order, " ".join(f"{text[: match.start()]} {text[match.end() :]}".split())


def _kind(noun: str | None) -> Kind | None:
    if noun is None:
        return None
    mentions = any(re.fullmatch(one, noun, re.IGNORECASE) for one in _MENTIONS)
    return "mentions" if mentions else "recordings"


def _topic(text: str, held: list[str]) -> str:
    """What is left, as a query: `a or b`, `both a and b`, `a but not b`, otherwise word by word."""
    if not text:
        return ""
    if _RAW.search(text):
        return _HELD.sub(lambda match: f'"{held[int(match[1])]}"', text)
    wanted, *without = re.split(
        r",? (?:but not|and not|without|not (?:about|mentioning))(?: about| mentioning)? ", text,
        flags=re.IGNORECASE,
    )  # fmt: skip
    node = _phrases(wanted, held)
    nodes = [
        *([node] if node else []),
        *(Not(one) for each in without if (one := _phrases(each, held))),
    ]
    if not node:
        return ""
    return str(nodes[0] if len(nodes) == 1 else And(tuple(nodes)))


def _phrases(text: str, held: list[str]) -> Node | None:
    if match := re.fullmatch(r"both (.+?) and (.+)", text.strip(), re.IGNORECASE):
        both = [one for each in match.groups() if (one := _phrases(each, held))]
        return And(tuple(both)) if len(both) == 2 else next(iter(both), None)
    options = [
        Phrase((said,), 0)
        for part in re.split(
            r",? or (?:about )?", text.removeprefix("either "), flags=re.IGNORECASE
        )
        if (said := " ".join(_let_go(part, held).split()).strip(" ,.;:!?"))
    ]
    if not options:
        return None
    return options[0] if len(options) == 1 else Choice(tuple(options), 0)


def _played(what: str, held: list[str]) -> Intent | None:
    """What is to be played; None if it is none of what was shown, but something to search for."""
    text = what.strip()
    if text.lower() in ("", "it", "that", "this", "them", "that one", "this one", "the clip"):
        return Intent("play", which=1)
    if match := _WHICH.match(text):
        nth = match["nth"].lower()
        which = _ORDINALS.get(nth) or int(re.sub(r"\D", "", nth))
        return Intent(
            "play", which=which, time=_ORDINALS.get((match["time"] or "first").lower(), 1)
        )
    if match := re.fullmatch(r"(?:the )?episode (\d{1,6})(?: .*)?", text, re.IGNORECASE):
        return Intent("play", name=f"episode {match[1]}")
    if held and _HELD.fullmatch(text):
        return Intent("play", name=held[0])
    return None
