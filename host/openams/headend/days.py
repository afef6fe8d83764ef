"""Days of the store: whole numbers yyyymmdd of Norwegian local time."""

from __future__ import annotations

from datetime import date, timedelta

from openams.headend.vee.calendar import midnight
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms


def day_number(day: date) -> int:
    return day.year * 10000 + day.month * 100 + day.day


def day_date(number: int) -> date:
    return date(number // 10000, number // 100 % 100, number % 100)


def day_bounds(day: date) -> tuple[int, int]:
    """Its two midnights, ms: 23, 24 or 25 hours apart."""
    return to_utc_ms(midnight(day)), to_utc_ms(midnight(day + timedelta(days=1)))


def local_day(utc_ms: int) -> date:
    """The day that a moment lies in; a midnight begins one."""
    return from_utc_ms(utc_ms).astimezone(NORWAY).date()


def ended_day(utc_ms: int) -> date:
    """The day of the interval that ends then: at a midnight it is the day before."""
    return local_day(utc_ms - 1)
