"""Hours of a period volume, by a profile: each has its share, their sum is the volume to the Wh."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import date, timedelta

from openams.headend.profiled.periods import Volume
from openams.headend.vee.calendar import REST, SATURDAY, kind_of, minutes, starts
from openams.headend.vee.estimate import apportion
from openams.headend.vee.profile import STANDARD_DAY

RULES = "profile-1"
# Weights of the hours of a day.
Profile = Callable[[date], Sequence[float]]
# A year of a Norwegian household: the coldest day has about twice the warmest one's.
_SWING, _COLDEST = 0.35, 15


def standard(day: date) -> tuple[float, ...]:
    """Of a household, where the grid area has no hours of its own."""
    turn = 2 * math.pi * (day.timetuple().tm_yday - _COLDEST) / 365.25
    season = 1 + _SWING * math.cos(turn)
    week = {SATURDAY: 1.03, REST: 1.05}.get(kind_of(day), 1.0)
    return tuple(season * week * STANDARD_DAY[at // 60] for at in minutes(day, 60))


def spread(volume: Volume, profile: Profile) -> dict[date, tuple[int, ...]]:
    """Wh of each hour of each day of a period. Weights that say nothing are spread evenly."""
    days = [volume.begin + timedelta(days=k) for k in range((volume.end - volume.begin).days)]
    weights: list[float] = []
    for day in days:
        of_day = list(profile(day))
        if len(of_day) != len(starts(day, 60)):
            raise ValueError(f"a profile of {len(of_day)} hours for {day}")
        weights += [max(weight, 0.0) for weight in of_day]
    parts = apportion(volume.wh, weights, [volume.wh] * len(weights))
    out, at = {}, 0
    for day in days:
        count = len(starts(day, 60))
        out[day] = tuple(parts[at : at + count])
        at += count
    return out
