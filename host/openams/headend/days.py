"""Days of the store: whole numbers yyyymmdd of Norwegian local time."""

from __future__ import annotations

from datetime import date, timedelta
from functools import lru_cache

from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms


def day_number(day: date) -> int:
    return day.year * 10000 + day.month * 100 + day.day


def day_date(number: int) -> date:
    return date(number // 10000, number // 100 % 100, number % 100)


@lru_cache(maxsize=1024)
def day_bounds(day: date) -> tuple[int, int]:
    """Its two midnights, ms: 23, 24 or 25 hours apart."""
    return to_utc_ms(midnight(day)), to_utc_ms(midnight(day + timedelta(days=1)))


def local_day(utc_ms: int) -> date:
    """The day that a moment lies in; a midnight begins one."""
    return from_utc_ms(utc_ms).astimezone(NORWAY).date()


@lru_cache(maxsize=4096)
def ended_day_number(hour: int) -> int:
    """Of an interval that ends within this hour (since 2000) or at its end: midnights are whole
    hours, and so few that each is worked out once."""
    return day_number(ended_day(3_600_000 * (hour + 1)))


def ended_day(utc_ms: int) -> date:
    """The day of the interval that ends then: at a midnight it is the day before."""
    return local_day(utc_ms - 1)
