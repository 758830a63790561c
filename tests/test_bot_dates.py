"""Words about time, as people say them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot.bot.dates import ALWAYS, Stretch, dated, number, period

TODAY = date(2026, 11, 24)  # a Tuesday


@pytest.mark.parametrize(
    "text, after, before",
    [
        ("since 2016", "2016", None), ("after 2016", "2017", None), ("before 2016", None, "2016"),
        ("until 2016", None, "2017"), ("in 2016", "2016", "2017"), ("from 2016", "2016", "2017"),
        ("from 2016 on", "2016", None), ("from 2016 to 2018", "2016", "2019"),
        ("between 2018 and 2016", "2016", "2019"), ("since May", "2026-05", None),
        ("since December", "2025-12", None), ("in may 2020", "2020-05", "2020-06"),
        ("Dec 2020", "2020-12", "2021-01"), ("after Sept 2020", "2020-10", None),
        ("on May 17, 2020", "2020-05-17", "2020-05-18"),
        ("17th of May 2020", "2020-05-17", "2020-05-18"),
        ("on 2020-05-17", "2020-05-17", "2020-05-18"), ("since 2020-05", "2020-05", None),
        ("after 2020-12-31", "2021-01-01", None), ("last year", "2025", "2026"),
        ("this year", "2026", "2027"), ("last month", "2026-10", "2026-11"),
        ("this month", "2026-11", "2026-12"), ("last week", "2026-11-16", "2026-11-23"),
        ("this week", "2026-11-23", "2026-11-30"), ("yesterday", "2026-11-23", "2026-11-24"),
        ("today", "2026-11-24", "2026-11-25"), ("in the last 3 months", "2026-08-24", "2026-11-25"),
        ("over the past ten days", "2026-11-14", "2026-11-25"),
        ("in the last two years", "2024-11-24", "2026-11-25"), ("in the 90s", "1990", "2000"),
        ("the 2010s", "2010", "2020"), ("since last year", "2025", None),
        ("before last month", None, "2026-10"), ("since 2016 before 2018", "2016", "2018"),
    ],
)  # fmt: skip
def test_stretches(text: str, after: str | None, before: str | None) -> None:
    assert dated(text, TODAY) == (Stretch(after, before), "")
    found, rest = dated(f"nets {text} please", TODAY)
    assert (found, rest) == (Stretch(after, before), "nets please")


@pytest.mark.parametrize(
    "text",
    ["1984", "may be", "the war of 1812", "march of time", "in 20165", "since then", "12-2016-x",
     "in february 30, 2020", "last resort", "the last 3 wishes", "after all",
     "between us and them"],
)  # fmt: skip
def test_what_is_no_date_stays(text: str) -> None:
    assert dated(text, TODAY) == (ALWAYS, text)


@given(st.dates(date(1900, 1, 1), date(2099, 12, 31)))
def test_every_day_is_one_day(day: date) -> None:
    for text in (
        day.isoformat(),
        f"{day.day} {day:%B} {day.year}",
        f"{day:%b} {day.day}, {day.year}",
    ):
        first, behind = period(text, TODAY) or ("", "")
        assert first == day.isoformat() < behind


@given(st.text(max_size=60))
def test_any_text_is_read(text: str) -> None:
    found, rest = dated(" ".join(text.split()), TODAY)
    assert len(rest) <= len(text)
    assert found.after is None or found.after[:4].isdigit()


def test_numbers() -> None:
    texts = ("20", "twenty", "a dozen", "a couple of", "an", "many", "")
    assert [number(one) for one in texts] == [20, 20, 12, 2, 1, None, None]
