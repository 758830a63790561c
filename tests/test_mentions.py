"""Searching tracks: words that were said are found where they were said, and told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_ear import (
    BLANK,
    FRAME_SECONDS,
    UNITS,
    Sounds,
    Spoken,
    SyntheticEar,
    quantised,
    sounds,
    track,
)

from earshot.errors import LibraryError, QueryError
from earshot.search import (
    Calibration,
    Candidate,
    Ear,
    Hit,
    Track,
    candidates,
    search_many,
    search_tracks,
)
from earshot.search.align import readable
from earshot.search.likeliest import distinct

EAR = SyntheticEar(11)
BACKGROUND = (readable(SyntheticEar(12).babble(15_000)),)
CALIBRATION = Calibration(background=BACKGROUND)
LEXICON = [*EAR.lexicon(40), EAR.word(8), EAR.word(9)]
RARE, RARER = 40, 41


def say(*words: int, pause: float = 0.2) -> Spoken:
    return EAR.speak(LEXICON, words, pause)


def tracks_of(*spoken: Spoken) -> list[Track]:
    return [track(f"recording {at}", one.costs) for at, one in enumerate(spoken)]


def search(
    pronunciations: Sequence[Sounds],
    tracks: Sequence[Track],
    top: int | None = None,
    min_confidence: float = 0.0,
    calibration: Calibration = CALIBRATION,
    threads: int | None = None,
) -> list[Hit]:
    return search_tracks(
        pronunciations,
        tracks,
        Ear(UNITS, BLANK, FRAME_SECONDS, calibration),
        top=top,
        min_confidence=min_confidence,
        threads=threads,
    )


def some_words(count: int) -> list[int]:
    return EAR.rng.integers(0, 40, count).tolist()


def middle(span: tuple[int, int]) -> float:
    return sum(span) / 2 * FRAME_SECONDS


def test_words_are_found_where_they_were_said() -> None:
    spoken = [say(*some_words(30), RARE, *some_words(30)) for _ in range(6)]
    hits = search([sounds(LEXICON[RARE])], tracks_of(*spoken), top=6)
    assert sorted(hit.track for hit in hits) == list(range(6))
    for hit in hits:
        start, end = spoken[hit.track].spans[30]
        assert abs((hit.span.start + hit.span.end) / 2 - middle((start, end))) < 0.2
        assert hit.span.start >= 0 and hit.span.duration > 0.1
    assert [hit.confidence for hit in hits] == sorted((h.confidence for h in hits), reverse=True)
    assert hits[0].score <= 0


def test_a_word_that_was_not_said_is_not_claimed() -> None:
    tracks = tracks_of(*(say(*some_words(60)) for _ in range(4)))
    assert all(hit.confidence < 0.5 for hit in search([sounds(LEXICON[RARER])], tracks))


def test_confidence_of_a_long_word_is_higher_than_of_a_short_one() -> None:
    lexicon = [EAR.word(2), EAR.word(9)]
    clear = SyntheticEar(5, miss=0.0, swap=0.0, add=0.0)
    tracks = tracks_of(clear.speak([*LEXICON, *lexicon], [*some_words(500), 42, 43]))
    short, long = (search([sounds(word)], tracks, top=1)[0] for word in lexicon)
    assert long.confidence > 0.9 > 0.3 > short.confidence


def test_a_phrase_is_found_across_a_pause() -> None:
    spoken = say(*some_words(20), RARE, RARER, *some_words(20), pause=1.0)
    phrase = sounds((*LEXICON[RARE], *LEXICON[RARER]), (0, len(LEXICON[RARE])))
    hit = search([phrase], tracks_of(spoken), top=1)[0]
    first, last = spoken.spans[20][0], spoken.spans[21][1]
    assert abs(hit.span.start - first * FRAME_SECONDS) < 0.2
    assert abs(hit.span.end - last * FRAME_SECONDS) < 0.2


def test_what_is_searched_beside_makes_a_mention_rarer() -> None:
    spoken = say(*some_words(20), RARE, *some_words(20))
    query = [sounds(LEXICON[RARE][:5])]
    babble = track("babble", SyntheticEar(8).babble(30_000))
    alone, beside = (
        next(hit for hit in search(query, tracks) if hit.track == 0)
        for tracks in (tracks_of(spoken), [*tracks_of(spoken), babble])
    )
    assert alone.span == beside.span
    assert alone.confidence > beside.confidence


def test_said_twice_in_a_row_is_two_mentions() -> None:
    clear = SyntheticEar(6, miss=0.0, swap=0.0, add=0.0)
    spoken = clear.speak(LEXICON, [*some_words(10), RARE, RARE, *some_words(10)], pause=0.0)
    best = search([sounds(LEXICON[RARE])], tracks_of(spoken), top=2)
    middles = sorted((hit.span.start + hit.span.end) / 2 for hit in best)
    assert middles == pytest.approx([middle(span) for span in spoken.spans[10:12]], abs=0.15)


def test_pronunciations_of_one_query_do_not_repeat_a_mention() -> None:
    spoken = say(*some_words(20), RARE, *some_words(20))
    word = LEXICON[RARE]
    ways = [sounds(word), sounds(word[1:]), sounds(word[:-1]), sounds(word)]
    likely = [replace(way, rank=n, log_probability=-0.7 * n) for n, way in enumerate(ways)]
    hits = search(likely, tracks_of(spoken))
    start, end = spoken.spans[20]
    inside = [h for h in hits if abs((h.span.start + h.span.end) / 2 - middle((start, end))) < 0.2]
    assert len(inside) == 1
    for one in hits:
        for other in hits:
            shared = min(one.span.end, other.span.end) - max(one.span.start, other.span.start)
            assert one is other or shared < 0.6 * min(one.span.duration, other.span.duration)


def test_top_and_min_confidence_cut_the_same_list() -> None:
    tracks = tracks_of(say(*some_words(400), RARE))
    query = [sounds(LEXICON[RARE][:3])]
    everything = search(query, tracks)
    assert len(everything) > 3
    assert search(query, tracks, top=2) == everything[:2]
    bar = everything[1].confidence
    sure = search(query, tracks, min_confidence=bar)
    assert sure == [hit for hit in everything if hit.confidence >= bar]


def test_threads_and_company_change_nothing() -> None:
    tracks = tracks_of(*(say(*some_words(150), RARE) for _ in range(10)))
    queries = [[sounds(word)] for word in LEXICON[20:]] + [[]]
    alone = [search(query, tracks, threads=1) for query in queries]
    together = search_many(
        queries,
        tracks,
        Ear(UNITS, BLANK, FRAME_SECONDS, CALIBRATION),
        threads=3,
    )
    assert together == alone
    assert alone[-1] == []


def test_candidates_show_what_hits_are_made_of() -> None:
    tracks = tracks_of(say(*some_words(20), RARE))
    query = [sounds(LEXICON[RARE])]
    (found,) = candidates(
        [query],
        tracks,
        Ear(UNITS, BLANK, FRAME_SECONDS, CALIBRATION),
    )
    assert all(isinstance(one, Candidate) for one in found)
    best, hit = found[0], search(query, tracks)[0]
    assert (best.track, best.confidence) == (hit.track, hit.confidence)
    assert best.start * FRAME_SECONDS == pytest.approx(hit.span.start + CALIBRATION.lead_seconds)
    assert hit.score == pytest.approx(-best.cost / len(LEXICON[RARE]))


def test_spans_stay_within_the_recording() -> None:
    scores = np.full((4, 40), -9.0)
    scores[np.arange(4), [3, 5, 3, 5]] = 0.0
    tracks = [track("short", quantised(scores))]
    wide = replace(CALIBRATION, lead_seconds=3.0, tail_seconds=3.0)
    (hit,) = search([sounds((3, 5, 3, 5))], tracks, calibration=wide)
    assert (hit.span.start, hit.span.end) == (0.0, 0.16)
    assert hit.score == 0.0


def test_nothing_to_search_in_finds_nothing() -> None:
    query = [sounds(LEXICON[RARE])]
    assert search(query, []) == []
    assert search(query, [track("empty", np.zeros((0, 40), np.uint8))]) == []
    assert search([], tracks_of(say(1, 2))) == []


def test_what_does_not_fit_is_refused() -> None:
    tracks = tracks_of(say(1, 2))
    with pytest.raises(QueryError, match="knows no unit 'QQ'"):
        search([Sounds(("AA", "QQ"))], tracks)
    with pytest.raises(QueryError, match="no sound"):
        search([Sounds((), ())], tracks)
    with pytest.raises(LibraryError, match="recording x are of 30 units, expected 40"):
        search([sounds((1, 2))], [track("x", np.zeros((5, 30), np.uint8))])


spans = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 40), st.integers(0, 12)), max_size=30, unique=True
)


@settings(max_examples=100, deadline=None)
@given(spans, st.floats(0.0, 1.0))
def test_of_those_that_overlap_the_first_remains(
    placed: list[tuple[int, int, int]], shared: float
) -> None:
    rows = np.array([(track, start, start + more) for track, start, more in placed], np.int64)
    rows = rows.reshape(-1, 3)
    kept: list[int] = []
    for index, (home, start, end) in enumerate(rows.tolist()):
        rivals = [rows[other].tolist() for other in kept if rows[other, 0] == home]
        if all(
            min(end, stop) - max(start, begin) + 1 <= shared * (min(end - start, stop - begin) + 1)
            for _, begin, stop in rivals
        ):
            kept.append(index)
    assert np.flatnonzero(distinct(rows, shared)).tolist() == kept
