"""The yearly control: each point is read at least once a calendar year (regulation, 3-3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from openams.headend.profiled.periods import Index


class Control(NamedTuple):
    """Of one point in one year. `by`: "" nobody, customer, company, both."""

    gsrn: str
    year: int
    by: str
    last: date | None  # day of the last reading there is, of any year
    overdue: bool


# From this day on a point that nobody has read this year is told to a person.
_WARN_MONTH = 10


def control(gsrn: str, readings: Iterable[Index], year: int, today: date) -> Control:
    """Readings of all years up to today."""
    known = [one for one in readings if one.day <= today]
    mine = [one for one in known if one.day.year == year]
    company = any(one.source not in ("sms", "portal") for one in mine)
    customer = any(one.source in ("sms", "portal") for one in mine)
    by = {(True, True): "both", (True, False): "company", (False, True): "customer"}.get(
        (company, customer), ""
    )
    last = max((one.day for one in known), default=None)
    late = today.year > year or (today.year == year and today.month >= _WARN_MONTH)
    return Control(gsrn, year, by, last, not by and late)
