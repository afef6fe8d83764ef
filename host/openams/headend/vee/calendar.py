"""Days of Norwegian local time: their intervals, their kind, and the light of the sun."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from openams.meter_time import NORWAY

WORKDAY, SATURDAY, REST = 0, 1, 2
MINUTES_A_DAY = 1440
# Days after Easter Sunday that are public holidays: Maundy Thursday, Good Friday, Easter Monday,
# Ascension, Whit Sunday and Monday (lov om helligdager; 1 and 17 May by a law of their own).
_OF_EASTER = (-3, -2, 0, 1, 39, 49, 50)
_FIXED = ((1, 1), (5, 1), (5, 17), (12, 25), (12, 26))
# The middle of where people live in Norway.
_LATITUDE, _LONGITUDE = math.radians(60.5), 9.5


@lru_cache(maxsize=256)
def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (anonymous algorithm of 1876)."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def is_holiday(day: date) -> bool:
    """A Norwegian public holiday (Sundays apart)."""
    return (day.month, day.day) in _FIXED or (day - easter(day.year)).days in _OF_EASTER


def kind_of(day: date) -> int:
    """WORKDAY, SATURDAY or REST: a Sunday or a public holiday."""
    if is_holiday(day) or day.weekday() == 6:
        return REST
    return SATURDAY if day.weekday() == 5 else WORKDAY


def midnight(day: date) -> datetime:
    """When the local day begins, UTC."""
    return datetime.combine(day, time(), NORWAY).astimezone(UTC)


@lru_cache(maxsize=4096)
def starts(day: date, resolution_min: int) -> tuple[datetime, ...]:
    """When each interval of the local day begins, UTC: 23, 24 or 25 hours, or their quarters."""
    begin, end = midnight(day), midnight(day + timedelta(days=1))
    step = timedelta(minutes=resolution_min)
    return tuple(begin + k * step for k in range((end - begin) // step))


@lru_cache(maxsize=4096)
def minutes(day: date, resolution_min: int) -> tuple[int, ...]:
    """Local time of day at which each interval begins: in autumn one hour stands twice."""
    local = (start.astimezone(NORWAY) for start in starts(day, resolution_min))
    return tuple(60 * at.hour + at.minute for at in local)


@lru_cache(maxsize=4096)
def sun_heights(day: date, resolution_min: int) -> tuple[float, ...]:
    """Sine of the sun's height in the middle of each interval, to about a degree."""
    out = []
    for start in starts(day, resolution_min):
        at = start + timedelta(minutes=resolution_min / 2)
        declination = math.radians(-23.44) * math.cos(
            2 * math.pi * (at.timetuple().tm_yday + 10) / 365.25
        )
        hour_angle = math.radians(15 * (at.hour + at.minute / 60 - 12) + _LONGITUDE)
        out.append(
            math.sin(_LATITUDE) * math.sin(declination)
            + math.cos(_LATITUDE) * math.cos(declination) * math.cos(hour_angle)
        )
    return tuple(out)
