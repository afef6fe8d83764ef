"""What is behind each meter: a load by the quarter of an hour, from its seed, at any day at once.

A load is asked for a day and gives that day: nobody has to play what was before it. Powers are
whole milliwatts at the meter's terminals, import positive, and hold for the quarter.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from openams.errors import BenchError
from openams.field import simbench
from openams.meter_time import NORWAY, from_utc_ms

QUARTER_MS = 900_000
QUARTERS = 96
DAY_MS = 86_400_000
FILE = "file:"
# Below this a meter does not start: less is nothing.
_LEAST_MW = 2_000


class Moment(NamedTuple):
    """A quarter, by local time, with the weather of its day."""

    hour: float
    weekday: int  # 0 is Monday
    yearday: int
    outdoor_c: float
    sun: float  # sine of its height, less the clouds; 0 at night


Draw = Callable[[random.Random, "Who", Moment], float]


@dataclass(frozen=True)
class Who:
    """What stays as it is from day to day at a site, drawn once."""

    scale: float
    heat_w_per_k: float
    sun_w: float
    ev_w: float
    early: float  # hours by which people here are earlier than others


@dataclass(frozen=True)
class Profile:
    """`watts` of a quarter. `quarters`: settled by 15 minutes. `ct`: behind transformers."""

    watts: Draw
    says: str
    tan_phi: float = 0.2
    quarters: bool = False
    system: str = ""
    ct: tuple[int, int] | None = None


def _drawn(who: Who, number: int) -> float:
    """0 to 1, of a site's day or week: cheaper than a generator of its own."""
    return hash((who.scale, number)) % 9973 / 9973


def _bump(hour: float, at: float, wide: float) -> float:
    away = (hour - at + 12) % 24 - 12
    return math.exp(-away * away / (2 * wide * wide))


def _people(rng: random.Random, who: Who, at: Moment) -> float:
    """Lights, kitchen and water of those at home."""
    hour = at.hour + who.early
    weekend = at.weekday >= 5
    morning = 0.5 * _bump(hour, 9.5 if weekend else 7.0, 1.0)
    evening = 1.2 * _bump(hour, 17.5, 1.3) + 0.8 * _bump(hour, 20.5, 1.8)
    cooking = 1400 * (rng.random() < 0.25 * _bump(hour, 16.8, 1.0))
    water = 2000 * (rng.random() < 0.04 + 0.25 * _bump(hour, 7.5, 1.0) + 0.2 * _bump(hour, 21, 1.2))
    base = 160 + 60 * rng.random()
    return who.scale * (base + 500 * (morning + evening) * (0.7 + 0.6 * rng.random())) + (
        cooking + water
    )


def _heat(rng: random.Random, who: Who, at: Moment) -> float:
    return who.heat_w_per_k * max(0.0, 17 - at.outdoor_c) * (0.9 + 0.2 * rng.random())


def _household(rng: random.Random, who: Who, at: Moment) -> float:
    return _people(rng, who, at) + 0.35 * _heat(rng, who, at)


def _heating(rng: random.Random, who: Who, at: Moment) -> float:
    night = 0.85 if at.hour < 5 or at.hour > 23 else 1.0
    return _people(rng, who, at) + night * _heat(rng, who, at)


def _cabin(rng: random.Random, who: Who, at: Moment) -> float:
    """Frost guard, and people on some weekends and holidays."""
    idle = 40 + 0.25 * _heat(rng, who, at)
    week = (at.yearday + 3) // 7
    there = _drawn(who, week) < 0.4
    holiday = 185 <= at.yearday <= 215
    if not there or not (at.weekday >= 5 or (at.weekday == 4 and at.hour > 17) or holiday):
        return idle
    return idle + _household(rng, who, at)


def _ev(rng: random.Random, who: Who, at: Moment) -> float:
    night = at.hour + who.early
    plugged = _drawn(who, at.yearday) < 0.7
    charges = plugged and (night >= 22.5 or night < 1.5)
    return _household(rng, who, at) + (who.ev_w if charges else 0.0)


def _sun(who: Who, at: Moment) -> float:
    return float(who.sun_w * max(0.0, at.sun) ** 1.15)


def _prosumer(rng: random.Random, who: Who, at: Moment) -> float:
    return _household(rng, who, at) - _sun(who, at)


def _farm(rng: random.Random, who: Who, at: Moment) -> float:
    milking = 5500 * (_bump(at.hour, 6.5, 0.7) + _bump(at.hour, 17.0, 0.7))
    drying = 15000 * who.scale if 230 <= at.yearday <= 265 and rng.random() < 0.6 else 0.0
    return 1800 * who.scale + milking + drying + _household(rng, who, at)


def _production(rng: random.Random, who: Who, at: Moment) -> float:
    """A small fall of water: much in spring and autumn, with a little of its own use."""
    year = at.yearday / 365
    water = 0.35 + 0.5 * _bump(24 * year, 24 * 0.38, 2.5) + 0.3 * _bump(24 * year, 24 * 0.78, 2.5)
    return -18_000 * who.scale * min(1.0, water) * (0.97 + 0.06 * rng.random()) + 150


def _works(rng: random.Random, who: Who, at: Moment) -> float:
    """Of the secondary side: a works by day, cooling all day, behind 200/5."""
    open_ = at.weekday < 5 and 6.5 <= at.hour < 18
    return who.scale * ((1100 if open_ else 180) * (0.9 + 0.2 * rng.random()))


def _house(rng: random.Random, who: Who, at: Moment) -> float:
    """The built-in house of `ams run`, by the mean of each of its quarters."""
    quarter = int(at.hour * 4) % QUARTERS
    season = (at.yearday + 44) * 4 // 365 % 4
    return house_day(season, 0)[quarter] * (0.85 + 0.3 * rng.random())


PROFILES = {
    "house": Profile(_house, "the built-in house of ams run: heat pump, EV and a roof of PV"),
    "household": Profile(_household, "a flat or small house, partly heated by power"),
    "heating": Profile(_heating, "a house that is heated by power"),
    "cabin": Profile(_cabin, "a cabin: frost guard, and people on some weekends", system="1P2W"),
    "ev": Profile(_ev, "a household with an electric car that is loaded at night"),
    "prosumer": Profile(_prosumer, "a household with PV that exports at noon", 0.15),
    "farm": Profile(_farm, "a farm: milking, and drying in autumn", 0.35, system="3P4W"),
    "production": Profile(_production, "a small fall of water", 0.1, True, "3P4W"),
    "transformer": Profile(
        _works, "a works behind current transformers 200/5", 0.4, True, "3P4W", (200, 5)
    ),
}


def known_profile(name: str) -> None:
    """BenchError for a load that there is not. A file is looked into when it is first needed."""
    if name.startswith(FILE):
        if not Path(name.removeprefix(FILE)).is_file():
            raise BenchError(f"profile {name!r}: there is no such file")
    elif name.startswith(simbench.PREFIX):
        simbench.parts(name)
    elif name not in PROFILES:
        raise BenchError(
            f"profile {name!r} is unknown: choose {', '.join(PROFILES)}, file:PATH of a series, "
            "or simbench:NAME"
        )


@functools.cache
def house_day(season: int, seed: int) -> tuple[float, ...]:
    """Mean power in W of each quarter of a day of grid.house in the middle of a season."""
    from datetime import datetime
    from itertools import islice

    from openams.grid.house import State, appliances, moments
    from openams.grid.year import SEASONS

    month, day = SEASONS[season]
    state = State(random.Random(f"field {seed}/{month}"))
    sums = [0.0] * QUARTERS
    start = datetime(2025, month, day, tzinfo=NORWAY)
    for second, at in enumerate(islice(moments(start), DAY_MS // 1000)):
        sums[second // 900] += sum(appliances(state, at).values())
    return tuple(total / 900 for total in sums)


@functools.cache
def file_day(path: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Mean mW and mvar of each local quarter of a household series (docs/scenarios.md).

    Of the days that it has, a mean; quarters that it lacks are those of its mean.
    """
    from openams.grid.household import load_household

    scenario = load_household(Path(path), None)
    assert scenario.start is not None
    local = scenario.start.astimezone(NORWAY)
    offset_ms = 1000 * (local.hour * 3600 + local.minute * 60 + local.second)
    sums = [[0, 0, 0] for _ in range(QUARTERS)]
    for row in scenario.rows():
        at, end = row.start_ms + offset_ms, row.start_ms + offset_ms + row.duration_ms
        while at < end:
            piece = min(end, at - at % QUARTER_MS + QUARTER_MS) - at
            into = sums[at // QUARTER_MS % QUARTERS]
            into[0] += row.total_active_power_mw * piece
            into[1] += row.total_reactive_power_mvar * piece
            into[2] += piece
            at += piece
    whole = [sum(column) for column in zip(*sums, strict=True)]
    filled = [entry if entry[2] else whole for entry in sums]
    return (
        tuple(entry[0] // entry[2] for entry in filled),
        tuple(entry[1] // entry[2] for entry in filled),
    )


class Load:
    """The load of one meter. It can be asked for any day, in any order."""

    def __init__(self, profile: str, seed: int) -> None:
        self.profile = profile
        self._seed = seed
        self._file = profile.removeprefix(FILE) if profile.startswith(FILE) else ""
        self._parts = simbench.parts(profile) if profile.startswith(simbench.PREFIX) else []
        # The sun is nobody's habit.
        self._moves = not {"pv", "hydro"} & set(self._parts)
        made = PROFILES.get(profile)
        self.ct = made.ct if made else None
        self._tan_phi = made.tan_phi if made else 0.0
        self._watts = made.watts if made else _household
        rng = random.Random(f"who {seed}")
        self._who = Who(
            scale=rng.uniform(0.6, 1.6),
            heat_w_per_k=rng.uniform(60, 220),
            sun_w=rng.uniform(4000, 12000),
            ev_w=rng.choice((2300.0, 3600.0, 7200.0)),
            early=rng.uniform(-1, 1),
        )

    def day(self, number: int) -> tuple[list[int], list[int]]:
        """Active (mW) and reactive (mvar) power of the 96 quarters of a UTC day since 2000."""
        weather = _weather(number)
        rng = random.Random(f"{self._seed}/{number}")
        active = []
        reactive = []
        for at in weather:
            if self._file:
                both = file_day(self._file)
                place = int(at.hour * 4) % QUARTERS
                mw, mvar = both[0][place], both[1][place]
            elif self._parts:
                mw, mvar = self._measured(at)
            else:
                mw = round(self._watts(rng, self._who, at)) * 1000
                mvar = round(abs(mw) * self._tan_phi)
            if abs(mw) < _LEAST_MW:
                mw = mvar = 0
            active.append(mw)
            reactive.append(mvar)
        return active, reactive

    def _measured(self, at: Moment) -> tuple[int, int]:
        """By the site's own scale; those who are early have their quarter before others."""
        quarter = int((at.hour + self._who.early) % 24 * 4) if self._moves else int(at.hour * 4)
        month = min(11, (at.yearday - 1) * 12 // 365)
        watts, var = simbench.powers(self._parts, month, at.weekday, quarter)
        return round(watts * self._who.scale) * 1000, round(var * self._who.scale) * 1000


@functools.lru_cache(maxsize=64)
def _weather(number: int) -> tuple[Moment, ...]:
    """The quarters of a UTC day, alike for all who live under the same sky."""
    rng = random.Random(f"weather {number}")
    warm = rng.gauss(0, 3)
    clouds = rng.betavariate(1.2, 1.2)
    out = []
    for quarter in range(QUARTERS):
        utc = from_utc_ms(number * DAY_MS + quarter * QUARTER_MS)
        local = utc.astimezone(NORWAY)
        hour = local.hour + local.minute / 60
        yearday = local.timetuple().tm_yday
        season = math.cos(2 * math.pi * (yearday - 20) / 365)
        outdoor = 6 - 11 * season + warm - 3 * math.cos(2 * math.pi * (hour - 3) / 24)
        solar = utc.hour + utc.minute / 60 + 10.75 / 15
        declination = math.radians(-23.44) * math.cos(2 * math.pi * (yearday + 10) / 365)
        height = math.sin(math.radians(59.9)) * math.sin(declination) + math.cos(
            math.radians(59.9)
        ) * math.cos(declination) * math.cos(math.radians(15 * (solar - 12)))
        sun = max(0.0, height) * (1 - 0.8 * clouds)
        out.append(Moment(hour, local.weekday(), yearday, outdoor, sun))
    return tuple(out)
