"""Seeded households by the interval: weather, habits, appliances, absence. Not sampled, added up.

Rougher than `openams.grid.house`, which makes seconds; here a year of a home is needed at once.
Every home has its own habits; no two hours are alike; weekends, cold, absence and cars are in it.
"""

from __future__ import annotations

import math
import random
from datetime import date, timedelta

from openams.headend.vee.calendar import WORKDAY, kind_of, minutes, sun_heights

KINDS = ("flat", "house", "house with car", "cabin", "roof", "house behind roof")
Series = dict[date, list[int]]


def household(kind: str, seed: int, first: date, days: int, resolution_min: int = 60) -> Series:
    """Wh of each interval of each local day."""
    rng = random.Random(f"{kind}/{seed}")
    home = _Home(kind, rng)
    out = {}
    for k in range(days):
        day = first + timedelta(days=k)
        out[day] = home.day(day, resolution_min)
    return out


class _Home:
    def __init__(self, kind: str, rng: random.Random) -> None:
        self.kind, self.rng = kind, rng
        small = kind == "flat"
        self.base_w = rng.uniform(60, 140) if small else rng.uniform(120, 320)
        self.heat_w_per_k = rng.uniform(10, 40) if small else rng.uniform(50, 140)
        self.rises = rng.uniform(5.5, 7.5)
        self.supper = rng.uniform(15.5, 18.5)
        self.bed = rng.uniform(21.5, 23.8)
        self.people = rng.randint(1, 3) if small else rng.randint(2, 5)
        self.home_office = rng.random() < 0.3
        self.peak_w = rng.uniform(4_000, 11_000)
        self.weather_k = 0.0
        self.cloud = 0.4
        self.away_days = 0
        self.charge_days = rng.uniform(0.25, 0.7)

    def day(self, day: date, resolution_min: int) -> list[int]:
        rng = self.rng
        self.weather_k = 0.8 * self.weather_k + rng.gauss(0, 2.2)
        self.cloud = min(0.95, max(0.05, 0.6 * self.cloud + 0.4 * rng.random()))
        self._absence(day)
        season = -9 * math.cos(2 * math.pi * (day.timetuple().tm_yday - 20) / 365.25)
        outdoor_c = 6.0 + season + self.weather_k
        takes = self._takes(day, outdoor_c, resolution_min)
        gives = self._gives(day, resolution_min)
        if self.kind == "roof":
            return [round(wh) for wh in gives]
        if self.kind == "house behind roof":
            return [round(max(0.0, a - b)) for a, b in zip(takes, gives, strict=True)]
        return [round(wh) for wh in takes]

    def _absence(self, day: date) -> None:
        if self.away_days:
            self.away_days -= 1
        elif self.kind == "cabin":
            # There at weekends and holidays, sometimes.
            self.away_days = 0 if kind_of(day) != WORKDAY and self.rng.random() < 0.4 else 1
        elif self.rng.random() < 0.012:
            self.away_days = self.rng.randint(1, 10)

    def _takes(self, day: date, outdoor_c: float, resolution_min: int) -> list[float]:
        rng, work = self.rng, kind_of(day) == WORKDAY
        away = self.away_days > 0
        at = minutes(day, resolution_min)
        hours = resolution_min / 60
        frost_only = away and self.kind == "cabin"
        out = []
        for minute in at:
            hour = minute / 60
            warm = 5.0 if frost_only else 19.0 if 6 <= hour < 23 else 17.5
            cooler = 2.5 * math.cos(2 * math.pi * (hour - 15) / 24)
            heat = max(0.0, warm - outdoor_c - cooler) * self.heat_w_per_k / 2.2
            watts = self.base_w * rng.uniform(0.85, 1.2) + heat * rng.uniform(0.85, 1.15)
            if not away and self._awake(hour, work):
                here = 1.0 if not work or self.home_office or not 8.5 <= hour < 15.5 else 0.25
                watts += here * 90 * self.people * rng.uniform(0.3, 1.9)
            out.append(watts * hours)
        if not away:
            self._events(out, at, work, resolution_min)
        return out

    def _awake(self, hour: float, work: bool) -> bool:
        return self.rises + (0.0 if work else 2.0) <= hour < self.bed + (0.0 if work else 1.0)

    def _events(self, out: list[float], at: tuple[int, ...], work: bool, step: int) -> None:
        """Showers, meals, washing, a car: energy put where somebody does something."""
        rng = self.rng
        later = 0.0 if work else 2.2
        for _ in range(self.people):
            self._put(
                out, at, step, rng.gauss(self.rises + later, 0.5), 1.2, rng.uniform(900, 2_400)
            )
            self._put(out, at, step, rng.gauss(21, 1.0), 1.0, rng.uniform(200, 1_200))
        if rng.random() < 0.85:
            self._put(out, at, step, rng.gauss(self.supper, 0.6), 0.9, rng.uniform(700, 2_600))
        for _ in range(self.people):
            if rng.random() < (0.25 if work else 0.5):
                self._put(out, at, step, rng.uniform(10, 21), 1.5, rng.uniform(500, 1_300))
        if self.kind == "house with car" and rng.random() < self.charge_days:
            hours = rng.uniform(1, 6)
            begin = rng.choice((0.5, 1.0, 17.5, 22.0))
            self._put(out, at, step, begin, hours, self.peak_w * hours)

    @staticmethod
    def _put(
        out: list[float], at: tuple[int, ...], step: int, begin_h: float, hours: float, wh: float
    ) -> None:
        """Spreads energy over the time that it takes, as far as the day goes."""
        for k, minute in enumerate(at):
            begin, end = minute / 60, (minute + step) / 60
            share = max(0.0, min(end, begin_h + hours) - max(begin, begin_h)) / hours
            out[k] += wh * share

    def _gives(self, day: date, resolution_min: int) -> list[float]:
        out = []
        cloud = self.cloud
        for height in sun_heights(day, resolution_min):
            cloud = min(0.97, max(0.0, cloud + self.rng.gauss(0, 0.08)))
            clear = self.peak_w * max(0.0, height) ** 1.2
            out.append(clear * (1 - 0.85 * cloud) * resolution_min / 60)
        return out
