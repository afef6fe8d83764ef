"""Quarters of what is not metered: power by formula, over the hours in which it is on.

A year's quarters add up to the assumed yearly volume to the Wh. Lamps are on while the sun is
lower than some degrees below the horizon (inferred: about where street lights are switched).
"""

from __future__ import annotations

import math
from datetime import date, timedelta
from functools import lru_cache

from openams.headend.vee.calendar import minutes, sun_heights

RULES = "lamps-1"
MINUTES = 15
_DARK = math.sin(math.radians(-3.0))
# On all the time (an amplifier), in the dark, in the dark but for the hours after midnight.
ALWAYS, DARK, HALF_NIGHT = PLANS = ("always", "dark", "half-night")
_OFF_MIN, _ON_MIN = 0, 300


@lru_cache(maxsize=4096)
def lit(day: date, plan: str) -> tuple[bool, ...]:
    """Quarters in which it is on."""
    if plan not in PLANS:
        raise ValueError(f"{plan!r} is none of {', '.join(PLANS)}")
    if plan == ALWAYS:
        return (True,) * len(minutes(day, MINUTES))
    heights = sun_heights(day, MINUTES)
    return tuple(
        height < _DARK and not (plan == HALF_NIGHT and _OFF_MIN <= at < _ON_MIN)
        for height, at in zip(heights, minutes(day, MINUTES), strict=True)
    )


@lru_cache(maxsize=64)
def _before(year: int, plan: str) -> tuple[tuple[int, ...], int]:
    """Quarters lit before each day of a year, and in all of it."""
    out, count, day = [], 0, date(year, 1, 1)
    while day.year == year:
        out.append(count)
        count += sum(lit(day, plan))
        day += timedelta(days=1)
    return tuple(out), count


def lamp_hours(year: int, plan: str = DARK) -> float:
    """Hours of a year in which it is on."""
    return _before(year, plan)[1] * MINUTES / 60


def quarters(day: date, annual_wh: int, plan: str = DARK) -> tuple[int, ...]:
    """Wh of each quarter: differences of a register that goes evenly with the lit quarters."""
    before, whole = _before(day.year, plan)
    seen, out = before[day.timetuple().tm_yday - 1], []
    for on in lit(day, plan):
        was = annual_wh * seen // whole
        seen += on
        out.append(annual_wh * seen // whole - was)
    return tuple(out)
