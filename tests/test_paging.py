"""Pages: those of columns are those of the same mentions taken one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import FRAME_SECONDS, Sounds, track

from earshot.paging import Answers, Columns, View, heard_of
from earshot.query import answers, read
from earshot.search import Calibration, Found, Hits, Track
from earshot.types import Heard, Recording, SearchResult

EMPTY = SearchResult("word", (), 1.0, 0.0)
WAYS = [Sounds(("AA", "K")), Sounds(("AA", "K", "T"))]
FRAMES = 400

places = st.lists(
    st.tuples(
        st.integers(0, 5),  # track
        st.integers(0, 1),  # pronunciation
        st.integers(0, FRAMES - 30),
        st.integers(0, 29),
        st.integers(0, 40),
        st.sampled_from([0.05, 0.2, 0.2000001, 0.7, 1.0]),
    ),
    max_size=25,
    unique_by=lambda one: (one[0], one[2]),
)
views = st.builds(
    View,
    st.one_of(st.none(), st.integers(1, 6)),
    st.sampled_from([0.0, 0.05, 0.2, 0.9]),
    st.integers(0, 8),
    st.sampled_from(["confidence", "time"]),
    st.booleans(),
)


def row(number: int) -> Recording:
    """Of two recordings one has a date, and names are not in the order of dates."""
    name = f"{number:012x}"[::-1]
    added = f"2026-01-{20 - number:02d}"
    recorded = "2020" if number % 2 else None
    return Recording(name, f"/{name}", name, 16.0, 2, "0" * 64, 1, added, recorded)


ROWS = [row(number) for number in range(3)]
TRACKS = [
    Track(ROWS[at // 2].id, at % 2, track("x", np.zeros((FRAMES, 40), np.uint8)).heard)
    for at in range(6)
]
PLACES = [(one.recording, one.channel) for one in TRACKS]


def both(found: list[tuple[int, int, int, int, int, float]]) -> tuple[Columns, Answers]:
    table = np.array(found, np.float64).reshape(-1, 6)
    of, way, start, more, cost = table[:, :5].astype(np.int64).T.copy()
    columns = Found(
        of, way, start, start + more, cost, np.zeros((len(table), 13)), table[:, 5].copy()
    )
    hits = Hits(WAYS, TRACKS, FRAME_SECONDS, replace(Calibration(), lead_seconds=0.1))
    heard: dict[str, list[Heard]] = {}
    for hit in hits.of(columns):
        name, channel = PLACES[hit.track]
        one = heard_of("word", WAYS[hit.pronunciation], channel, hit)
        heard.setdefault(name, []).append(one)
    each = answers(read("word"), heard, lambda _, name: heard.get(name, []), {})
    return Columns("word", columns, PLACES, hits), Answers(*each)


@settings(deadline=None)
@given(places, views, st.sets(st.integers(0, 2)))
def test_columns_and_answers_make_the_same_page(
    found: list[tuple[int, int, int, int, int, float]], view: View, gone: set[int]
) -> None:
    columns, each = both(found)
    known = {one.id: one for at, one in enumerate(ROWS) if at not in gone}
    columns.without({one.id for one in ROWS} - known.keys())
    needed = columns.needs(view)
    assert needed <= known.keys()
    page = columns.page(EMPTY, view, {name: known[name] for name in needed})
    assert page == each.page(EMPTY, view, known)


def test_only_recordings_that_are_shown_need_to_be_known() -> None:
    found = [(at, 0, 10, 5, 3, 0.9 - at / 10) for at in range(6)]
    columns, _ = both(found)
    assert columns.needs(View(top=1)) == {ROWS[0].id}
    assert columns.needs(View(top=1, offset=2)) == {ROWS[1].id}
    assert columns.needs(View(top=1, offset=2, by_recording=True)) == {ROWS[2].id}
    assert columns.needs(View(top=1, order="time")) == {one.id for one in ROWS}
    assert columns.page(EMPTY, View(top=1), {ROWS[0].id: ROWS[0]}).total == 6
