"""Built-in `year`: the house of `house` from one New Year to the next, by ten seconds.

Four days, one of each season, are made once and played again and again by local
time; so a year of quantities costs little more than what the meter makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from openams.grid.house import House, State, appliances, moments
from openams.grid.scenario import Row, Samples, Scenario
from openams.grid.synthesis import play
from openams.meter_time import NORWAY

STEP_S = 10
_DAYS = 365
# Days in the middle of winter, spring, summer and autumn.
SEASONS = ((1, 15), (4, 15), (7, 15), (10, 15))
_STEPS = 86400 // STEP_S


class Year(Scenario):
    name = "year"
    gives_quantities = True
    duration_s = _DAYS * 86400.0

    def __init__(self, system: str = "3P4W", seed: int = 1) -> None:
        self.system = system
        self.start = datetime(2025, 1, 1, tzinfo=NORWAY)
        self._first = self.start.astimezone(UTC)
        self._house = House(system, seed)
        self._seed = seed

    def rows(self) -> Iterator[Row]:
        days = [self._day(month, day) for month, day in SEASONS]
        start = self._first
        for step in range(_DAYS * _STEPS):
            if step * STEP_S % 3600 == 0:
                local = (start + timedelta(seconds=step * STEP_S)).astimezone(NORWAY)
                # Winter lies around New Year.
                season = (local.timetuple().tm_yday + 44) * len(SEASONS) // _DAYS % len(SEASONS)
                row = local.hour * 3600 // STEP_S
            yield replace(days[season][row], start_ms=step * 1000 * STEP_S)
            row += 1

    def _day(self, month: int, day: int) -> list[Row]:
        state = State(random.Random(f"{self._seed}/{month}"))
        out = []
        start = datetime(2025, month, day, tzinfo=NORWAY)
        for second, at in enumerate(islice(moments(start), 86400)):
            loads = appliances(state, at)
            if second % STEP_S == 0:
                out.append(
                    replace(self._house.row(second, loads, state), duration_ms=1000 * STEP_S)
                )
        return out

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        return play(self.rows(), self.system, sample_rate_hz, block)
