"""The query language: what is read, what it says back, and where it points when it cannot read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot.errors import QueryError
from earshot.query import And, Choice, Filter, Near, Node, Not, Or, Phrase, read, read_filters
from earshot.query.checks import Kind, kind
from earshot.query.filters import fits, length
from earshot.query.reading import DEEPEST, MOST_WORDINGS
from earshot.query.scopes import holds, named
from earshot.query.tokens import LONGEST
from earshot.query.tree import FILTERS
from earshot.types import Recording


def phrase(text: str) -> Phrase:
    return Phrase((text,))


A, B, C = phrase("a"), phrase("b"), phrase("c")
NEWS = Filter("tag", "news")


@pytest.mark.parametrize(
    ("query", "tree"),
    [
        ("cancel my contract", phrase("cancel my contract")),
        ('"AND (tag:x" b', phrase("AND (tag:x b")),
        ("“a b” „c“", phrase("a b c")),
        ("a NEAR/10 b", Near(A, B, 10)),
        ("a NEAR b", Near(A, B, 10)),
        ("a NEAR/1.5s b NEAR/3 c", Near(Near(A, B, 1.5), C, 3)),
        ("a NEAR (b NEAR/2 c)", Near(A, Near(B, C, 2), 10)),
        ("a | b", Choice((A, B))),
        ("a|b|a", Choice((A, B))),
        ("a | (b | c)", Choice((A, B, C))),
        ("a | a", A),
        ("a b | c", Choice((phrase("a b"), C))),
        ("a NEAR b | c", Near(A, Choice((B, C)))),
        ("(a | b) c", Phrase((Choice((A, B)), "c"))),
        ("a (b) c", phrase("a b c")),
        ("((a))", A),
        ("a AND b OR c", Or((And((A, B)), C))),
        ("a AND (b OR c)", And((A, Or((B, C))))),
        ("a NOT b", And((A, Not(B)))),
        ("a AND NOT b", And((A, Not(B)))),
        ("NOT b AND a", And((Not(B), A))),
        ("a NOT b NEAR/3 c", And((A, Not(Near(B, C, 3))))),
        ("tag:news a b", And((NEWS, phrase("a b")))),
        ("a tag:news b", And((phrase("a b"), NEWS))),
        ("NOT tag:news a", And((Not(NEWS), A))),
        ("a tag:news NEAR/10 b", And((Near(A, B), NEWS))),
        ("(a OR b) tag:news", And((Or((A, B)), NEWS))),
        ("(tag:news a) OR (b tag:news)", Or((And((NEWS, A)), And((B, NEWS))))),
        ("a (tag:news OR tag:x)".replace(" (", " AND ("), And((A, Or((NEWS, Filter("tag", "x")))))),
        ('title:"my talk" a', And((Filter("title", "my talk"), A))),
        ("meta.speaker:bob a", And((Filter("meta.speaker", "bob"), A))),
        ("/K ER/ 2.0", phrase("/K ER/ 2.0")),
        ("(/K ER/|a)", Choice((phrase("/K ER/"), A))),
        (r"\AND \NEAR/5 \tag:x \( \| a\)", phrase("AND NEAR/5 tag:x ( | a)")),
        (r'"\"a\\" b', phrase(r'"a\ b')),
        ("grüße 東京 NEAR Ωmega", Near(phrase("grüße 東京"), phrase("Ωmega"))),
    ],
)
def test_what_a_query_says(query: str, tree: Node) -> None:
    assert read(query) == tree
    assert read(str(tree)) == tree


# All of this has no meaning of its own: it is what it was before there was a query language.
PLAIN = [
    "$3.50", "Dr. Smith, $5", "AT&T", "C++ and C#", "7:30 p.m.", "don't 'em dogs'", '12" pizza',
    "main()", "f(x) = y", "customer(s)", "http://example.com/a:b", "std::vector", "and/or",
    "rock and roll", "not now or never near me", "/K ER/ one", "note: this", "C:\\temp", "50% -5°",
    "andy ORB NOTE NEARBY", "re:invent", "a/b/c", "e.g. 1,000",
]  # fmt: skip


@pytest.mark.parametrize("text", PLAIN)
def test_what_people_type_is_a_phrase(text: str) -> None:
    assert read(text) == phrase(" ".join(text.split()))


WORD = st.text(st.characters(exclude_characters='()|"“”„\\:/', exclude_categories=("Cs",)))


@given(st.lists(WORD, min_size=1))
def test_words_without_signs_are_one_phrase(words: list[str]) -> None:
    text = " ".join(words)
    plain = " ".join(text.split())
    if plain and not set(plain.split()) & {"AND", "OR", "NOT", "NEAR"}:
        assert read(text[:LONGEST]) == phrase(" ".join(text[:LONGEST].split()))


@pytest.mark.parametrize(
    ("query", "at", "says"),
    [
        ("", 0, "empty"),
        ("   ", 0, "empty"),
        ('""', 0, "nothing between these quotes"),
        ('a "b', 2, "this quote is never closed"),
        ("()", 0, "nothing between these parentheses"),
        ("a (b", 2, "never closed"),
        ("a b)", 3, "nothing opens this"),
        ("AND a", 0, 'before AND words are missing (for the word itself write "and")'),
        ("a AND", 2, "behind AND words are missing"),
        ("a AND OR b", 2, "behind AND words are missing"),
        ("a | | b", 2, "behind | words are missing"),
        ("| a", 0, "before | words are missing"),
        ("a NEAR/x b", 6, "seconds, up to 3600, as in NEAR/10"),
        ("a NEAR/0 b", 6, "seconds"),
        ("a NEAR/9999 b", 6, "seconds"),
        ("a NEAR (b OR c)", 7, "beside NEAR come words"),
        ("(a AND b) NEAR c", 10, "beside NEAR come words"),
        ("a | (b AND c)", 4, "write OR instead"),
        ("a NEAR tag:x b", 7, "a filter cannot stand here"),
        ("(a OR b) c", 9, "AND, OR, NEAR or | is missing"),
        ("a (b OR c)", 2, "AND, OR or NEAR is missing"),
        ("a NOT NOT b", 6, "NOT stands here twice"),
        ("a AND NOT (NOT b)", 6, "before another NOT"),
        ("a | NOT b", 4, "NOT cannot stand here"),
        ("NOT a", 0, "only what must not be said"),
        ("a OR NOT b", 5, "only what must not be said"),
        ("a OR tag:x", 5, "filters only"),
        ("tag:x", 0, "only filters here"),
        ("a NOT a", 2, "contradicts"),
        ("tag:x NOT tag:x a", 6, "contradicts"),
        ("longer:1h a shorter:10m", 12, "no recording fits both"),
        ("after:2021 before:2020-12 a", 11, "no recording fits both"),
        ("channel:1 channel:2 a", 10, "no recording fits both"),
        ("a AND (channel:1 OR channel:2)", 7, "channel: stands beside words"),
        ("tags:x a", 0, "did you mean tag:"),
        ("title: a", 6, "needs a value"),
        ("tag:", 4, "needs a value"),
        ('tag:"a"b', 7, "comes a space"),
        ("meta:bob a", 0, "meta.speaker:bob"),
        ("tag.x:bob a", 0, "tag:VALUE"),
        ("a after:yesterday", 2, "'yesterday' is no date"),
        ("a date:2020-02-30", 2, "is no date"),
        ("a longer:soon", 2, "is no length"),
        ("a channel:0", 2, "counted 1, 2"),
        ("(" * 21 + "a" + ")" * 21, 20, "more than 20 parentheses"),
        ("a " + "(b | c) " * 6, 0, "more than 32 different wordings"),
        ("a OR " * 32 + "a", 160, "more than 32 different wordings"),
        ("a" * (LONGEST + 1), LONGEST, "at most 2000 can be read"),
    ],
)
def test_an_error_points_at_the_character(query: str, at: int, says: str) -> None:
    with pytest.raises(QueryError) as refused:
        read(query)
    assert says in str(refused.value)
    assert refused.value.position == at
    assert "\n" not in str(refused.value)
    if 0 < at < len(query) < 60:
        assert f"at character {at + 1}: {' '.join(f'{query[:at]}>>>{query[at:]}'.split())}" in str(
            refused.value
        )


PIECES = st.sampled_from(
    [
        *("a", "b c", "AND", "OR", "NOT", "NEAR", "NEAR/5", "NEAR/", "(", ")", "|", '"', "“", "\\"),
        *(
            "tag:x",
            'title:"',
            "date:2020",
            "longer:1h",
            "channel:1",
            "meta.a:b",
            ":",
            "f(x)",
            "/K/",
        ),
        *(" ", "\n", "tags:x", "''", "\x1b", "東京", "e\u0301", "\ud800"),
    ]
)


@settings(max_examples=500)
@given(
    st.one_of(st.text(), st.lists(PIECES, max_size=25).map(" ".join), st.lists(PIECES).map("".join))
)
def test_whatever_is_typed_is_read_or_refused_in_one_line(query: str) -> None:
    try:
        tree = read(query)
    except QueryError as error:
        assert error.position is not None and 0 <= error.position <= len(query)
        assert len(str(error).splitlines()) == 1
    else:
        assert read(str(tree)) == tree
        assert kind(tree) is Kind.MENTIONS


TEXTS = (
    st.one_of(st.text(min_size=1), st.lists(PIECES, min_size=1).map(" ".join))
    .map(lambda text: " ".join(text.split()))
    .filter(bool)
)
PHRASES = TEXTS.map(phrase)
CHOICES = st.lists(PHRASES, min_size=2, max_size=3, unique=True).map(lambda o: Choice(tuple(o)))
MIXED = st.tuples(TEXTS, CHOICES, CHOICES, TEXTS).map(Phrase)
VALUES = {
    "tag": TEXTS, "title": TEXTS, "meta.who": TEXTS, "date": st.just("2020"),
    "after": st.just("2020-05"), "before": st.just("2021"), "longer": st.just("0:10:00"),
    "shorter": st.just("1h30m"), "channel": st.sampled_from(["1", "2"]),
    "id": st.just("3f2a1b"),
}  # fmt: skip
FILTERED = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: VALUES[name].map(lambda value: Filter(name, value))
)
SAID = st.recursive(
    PHRASES | CHOICES | MIXED,
    lambda inner: st.builds(Near, inner, inner, st.sampled_from([0.5, 10.0, 3600.0])),
    max_leaves=4,
)
TREES = st.recursive(
    SAID | FILTERED,
    lambda inner: st.one_of(
        inner.filter(lambda one: not isinstance(one, Not)).map(Not),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: And(tuple(items))),
        st.lists(inner, min_size=2, max_size=3).map(lambda items: Or(tuple(items))),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(TREES)
def test_a_tree_that_is_written_is_read_again(tree: Node) -> None:
    try:
        assert read(str(tree)) == tree
    except QueryError as refused:  # for what it asks, never for how it is written
        about = (
            "contradict|must not be said|filters only|only filters|wordings|channel:|another NOT"
        )
        assert re.search(f"{about}|can be read", str(refused)), str(tree)


def test_filters_alone() -> None:
    assert read_filters("  ") is None
    assert read_filters("tag:news NOT tag:x") == And((NEWS, Not(Filter("tag", "x"))))
    with pytest.raises(QueryError, match="only filters can stand here"):
        read_filters("tag:news budget")


RECORDING = Recording(
    "3f2a1b4c5d6e", "/talks/a.wav", "The Straße Talk", 600.0, 2, "3f" * 32, 1, "2026-01-01",
    "2020-05-17", ("News", "two words"), (("Speaker", "Bob Smith"),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "true"),
    [
        ("tag:news", True),
        ('tag:"Two  Words"', True),
        ("tag:new", False),
        ("title:STRASSE", True),
        ("title:street", False),
        ("meta.speaker:bob", True),
        ("meta.speaker:alice", False),
        ("meta.room:bob", False),
        ("date:2020", True),
        ("date:2020-05", True),
        ("date:2020-05-18", False),
        ("after:2020-05-17", True),
        ("after:2020-05-18", False),
        ("before:2020-05-17", False),
        ("before:2020-06", True),
        ("longer:9m59s", True),
        ("longer:600", False),
        ("shorter:10m", False),
        ("shorter:0:10:01", True),
        ("channel:2", True),
        ("channel:3", False),
    ],
)
def test_what_a_filter_is_true_of(text: str, true: bool) -> None:
    found = read_filters(text)
    assert isinstance(found, Filter)
    assert fits(found, RECORDING) is true


def test_a_recording_without_a_date_is_of_no_date() -> None:
    undated = Recording("1" * 12, "/a", "a", 1.0, 1, "1" * 64, 1, "2020-05-17")
    for text in ("date:2020", "after:1900", "before:2100"):
        found = read_filters(text)
        assert isinstance(found, Filter)
        assert not fits(found, undated)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("1.5m", 90),
        ("1h30m", 5400),
        ("1h1s", 3601),
        ("0:01:30", 90),
        ("1:30", 90),
    ],
)
def test_lengths(text: str, seconds: float) -> None:
    assert length(text) == seconds


def test_every_filter_is_read() -> None:
    assert {name.partition(".")[0] for name in VALUES} == set(FILTERS)


PAGE = (Path(__file__).parents[1] / "docs" / "queries.md").read_text("utf-8")


def test_the_examples_of_the_page_on_queries_are_read() -> None:
    examples = re.findall(r"^\| `([^`]+)` \|", PAGE, re.M)
    assert len(examples) > 15
    for example in examples:
        tree = read(example.replace("\\|", "|"))
        assert read(str(tree)) == tree


def test_the_errors_of_the_page_on_queries_are_as_shown() -> None:
    (block,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.M | re.S)
    lines = block.splitlines()
    assert len(lines) > 8
    for query, expected in zip(lines[::2], lines[1::2], strict=True):
        with pytest.raises(QueryError) as refused:
            read(query)
        assert str(refused.value) == expected


def test_the_page_on_queries_names_every_filter_and_operator() -> None:
    for name in FILTERS:
        assert f"{name}:" in PAGE or f"{name}." in PAGE
    for word in ("AND", "OR", "NOT", "NEAR", str(LONGEST), str(DEEPEST), str(MOST_WORDINGS)):
        assert word in PAGE


ID_FILTERS = st.recursive(
    st.sampled_from(["id:1111", "id:1111aaaa0000", "id:2222", "tag:a", "longer:1"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} AND {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} OR {two[1]})"),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=5,
)


@given(ID_FILTERS)
def test_no_recording_is_left_unread_for_which_filters_hold(text: str) -> None:
    """Ids that `named` rules out belong to recordings for which the filters do not hold."""
    try:
        tree = read_filters(text)
    except QueryError:  # it only says what is not wanted
        return
    assert tree is not None
    for identity in ("1111aaaa0000", "1111bbbb0000", "222200000000", "333300000000"):
        row = Recording(identity, "/a", "a", 2.0, 1, identity, 1, "2020-05-17", tags=("a",))
        ways = named(tree)
        if holds(tree, row):
            assert ways is None or identity.startswith(ways)
    assert named(read_filters("id:1111 tag:a")) == ("1111",)
    assert named(read_filters("id:1111 OR id:2222")) == ("1111", "2222")
    assert named(read_filters("id:1111 OR tag:a")) is None
