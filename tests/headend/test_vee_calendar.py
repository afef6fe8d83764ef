"""Norwegian days: holidays, summer time, the sun."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from openams.headend.vee import calendar


@pytest.mark.parametrize(
    "day",
    [date(2024, 3, 31), date(2025, 4, 20), date(2026, 4, 5), date(2038, 4, 25), date(2000, 4, 23)],
)
def test_easter_sunday(day):
    assert calendar.easter(day.year) == day


def test_the_public_holidays_of_a_year():
    days = [
        date.fromordinal(n)
        for n in range(date(2026, 1, 1).toordinal(), date(2027, 1, 1).toordinal())
    ]
    assert [day.isoformat()[5:] for day in days if calendar.is_holiday(day)] == [
        "01-01", "04-02", "04-03", "04-05", "04-06", "05-01", "05-14", "05-17", "05-24", "05-25",
        "12-25", "12-26",
    ]  # fmt: skip


def test_kinds_of_days():
    kinds = [calendar.kind_of(date(2026, 5, day)) for day in (13, 14, 15, 16, 17, 18)]
    assert kinds == [calendar.WORKDAY, calendar.REST, calendar.WORKDAY, calendar.SATURDAY,
                     calendar.REST, calendar.WORKDAY]  # fmt: skip


@pytest.mark.parametrize(
    ("day", "hours"),
    [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 3, 28), 24)],
)
def test_days_have_the_intervals_that_local_time_has(day, hours):
    assert len(calendar.starts(day, 60)) == hours
    assert len(calendar.starts(day, 15)) == 4 * hours


def test_in_autumn_an_hour_stands_twice_and_in_spring_one_is_left_out():
    autumn = calendar.minutes(date(2026, 10, 25), 60)
    assert autumn[:5] == (0, 60, 120, 120, 180)
    assert calendar.minutes(date(2026, 3, 29), 60)[:4] == (0, 60, 180, 240)
    assert calendar.starts(date(2026, 10, 25), 60)[0] == datetime(2026, 10, 24, 22, tzinfo=UTC)


def test_the_sun_stands_highest_about_noon_and_is_down_at_midnight():
    june, december = (calendar.sun_heights(date(2026, m, 21), 60) for m in (6, 12))
    assert june.index(max(june)) in (12, 13) and max(june) == pytest.approx(0.8, abs=0.03)
    assert max(december) == pytest.approx(0.1, abs=0.03)
    assert sum(height > 0 for height in june) >= 18 > 7 >= sum(height > 0 for height in december)
