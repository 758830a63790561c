"""The benchmark's measures against hand-computed values and a slow reference."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from metrics import (
    Finding,
    Judgement,
    Occurrence,
    actual_value,
    agrees,
    found_at,
    judge,
    maximum_value,
    points,
    recall_at,
)


def occurrence(start: float, recording: str = "a") -> Occurrence:
    return Occurrence(recording, start, start + 1.0)


def finding(start: float, score: float, recording: str = "a") -> Finding:
    return Finding(recording, start, start + 1.0, score)


def test_a_finding_agrees_when_its_midpoint_is_within_half_a_second_of_the_span() -> None:
    truth = Occurrence("a", 10.0, 11.0)
    assert agrees(Finding("a", 9.4, 9.6, 1.0), truth)  # midpoint 9.5
    assert agrees(Finding("a", 11.4, 11.6, 1.0), truth)
    assert not agrees(Finding("a", 9.3, 9.6, 1.0), truth)
    assert not agrees(Finding("a", 11.5, 11.6, 1.0), truth)
    assert not agrees(Finding("b", 10.0, 11.0, 1.0), truth)


def test_an_occurrence_is_hit_once_by_the_best_finding() -> None:
    judged = judge("q", [finding(5.1, 0.5), finding(5.0, 0.9), finding(80, 0.7)], [occurrence(5)])
    assert judged.scores == (0.9, 0.7, 0.5)
    assert judged.hits == (True, False, False)
    assert judged.true_top == (True, False, True)


def test_two_near_occurrences_are_hit_by_two_findings() -> None:
    truth = [occurrence(5.0), occurrence(6.1)]
    judged = judge("q", [finding(5.6, 0.9), finding(5.3, 0.8)], truth)
    assert judged.hits == (True, True)


def test_found_at_k_counts_queries() -> None:
    first = judge("x", [finding(5, 0.9)], [occurrence(5)])
    third = judge("y", [finding(50, 3), finding(70, 2), finding(5, 1)], [occurrence(5)])
    never = judge("z", [], [occurrence(5)])
    assert found_at([first, third, never], 1) == pytest.approx(1 / 3)
    assert found_at([first, third, never], 2) == pytest.approx(1 / 3)
    assert found_at([first, third, never], 3) == pytest.approx(2 / 3)


def test_term_weighted_value_by_hand() -> None:
    # One hour. x: two occurrences, one hit at 0.9, a false alarm at 0.5. y: one, hit at 0.7.
    x = Judgement("x", 2, (0.9, 0.5), (True, False), (True, False))
    y = Judgement("y", 1, (0.7,), (True,), (True,))
    got = points([x, y], 3600.0)
    assert [p.threshold for p in got] == [float("inf"), 0.9, 0.7, 0.5]
    assert [p.hits for p in got] == [0, 1, 2, 2]
    assert [p.false_alarms for p in got] == [0, 0, 0, 1]
    false_alarm = 999.9 / (3600 - 2) / 2
    assert [p.value for p in got] == pytest.approx([0.0, 0.25, 0.75, 0.75 - false_alarm])
    assert maximum_value([x, y], 3600.0) == pytest.approx(0.75)
    assert actual_value([x, y], 3600.0, 0.8) == pytest.approx(0.25)
    assert actual_value([x, y], 3600.0, 0.1) == pytest.approx(0.75 - false_alarm)
    assert actual_value([x, y], 3600.0, 0.95) == 0.0


def test_a_system_that_shows_only_false_alarms_is_worth_nothing_at_best() -> None:
    assert maximum_value([judge("x", [finding(50, 1)], [occurrence(5)])], 3600.0) == 0.0


def test_recall_stops_where_false_alarms_exceed_one_per_query_and_hour() -> None:
    truth = [occurrence(5), occurrence(20)]
    some = [finding(50, 0.9), finding(5, 0.8), finding(70, 0.7), finding(20, 0.6)]
    judged = [judge("x", some, truth)]
    assert recall_at(judged, hours=1.0) == 0.5
    assert recall_at(judged, hours=2.0) == 1.0
    assert recall_at(judged, hours=0.5) == 0.0


def test_equal_scores_are_one_operating_point() -> None:
    judged = [judge("x", [finding(5, 1.0), finding(50, 1.0), finding(70, 1.0)], [occurrence(5)])]
    assert len(points(judged, 3600.0)) == 2
    assert recall_at(judged, hours=1.0) == 0.0  # both false alarms come with the hit


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="no queries"):
        found_at([], 1)
    with pytest.raises(ValueError, match="occurs nowhere"):
        points([judge("x", [], [])], 3600.0)


judgements = st.lists(
    st.builds(
        lambda found, truth: judge("q", found, truth),
        st.lists(
            st.builds(
                finding,
                st.integers(0, 40).map(float),
                st.integers(0, 5).map(float),
                st.sampled_from("ab"),
            ),
            max_size=8,
        ),
        st.lists(
            st.builds(occurrence, st.integers(0, 40).map(float), st.sampled_from("ab")),
            min_size=1,
            max_size=4,
        ),
    ),
    min_size=1,
    max_size=5,
)


def slow_value(judged: list[Judgement], seconds: float, threshold: float) -> float:
    """The definition, written down."""
    total = 0.0
    for j in judged:
        shown = [hit for hit, score in zip(j.hits, j.scores, strict=True) if score >= threshold]
        misses = 1 - sum(shown) / j.occurrences
        false_alarms = (len(shown) - sum(shown)) / (seconds - j.occurrences)
        total += misses + 999.9 * false_alarms
    return 1 - total / len(judged)


@given(judgements)
def test_points_agree_with_the_definition(judged: list[Judgement]) -> None:
    for p in points(judged, 600.0)[1:]:
        assert p.value == pytest.approx(slow_value(judged, 600.0, p.threshold), abs=1e-9)
        assert p.value == pytest.approx(actual_value(judged, 600.0, p.threshold), abs=1e-9)


@given(judgements)
def test_hits_never_exceed_occurrences_and_found_rates_rise_with_k(
    judged: list[Judgement],
) -> None:
    assert all(sum(j.hits) <= j.occurrences for j in judged)
    rates = [found_at(judged, k) for k in range(1, 9)]
    assert rates == sorted(rates)
    assert 0.0 <= recall_at(judged, 1.0) <= recall_at(judged, 100.0) <= 1.0
