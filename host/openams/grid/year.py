"""Built-in `year`: the house of `house` from one New Year to the next, by ten seconds.

Four days, one of each season, are made once and played again and again; so a
year of quantities costs little more than what the meter makes of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from openams.grid.house import House, State, appliances
from openams.grid.scenario import Row, Samples, Scenario
from openams.grid.synthesis import play
from openams.meter_time import NORWAY

STEP_S = 10
_DAYS = 365
# Heat and sun of winter, spring, summer and autumn, over those of a day in May.
_SEASONS = ((1.8, 0.1), (1.1, 0.8), (0.3, 1.1), (1.0, 0.4))


class Year(Scenario):
    name = "year"
    gives_quantities = True
    duration_s = _DAYS * 86400.0

    def __init__(self, system: str = "3P4W", seed: int = 1) -> None:
        self.system = system
        self.start = datetime(2025, 1, 1, tzinfo=NORWAY)
        self._house = House(system, seed)
        self._seed = seed

    def rows(self) -> Iterator[Row]:
        days = [self._day(season) for season in range(len(_SEASONS))]
        start_ms = 0
        for day in range(_DAYS):
            # Winter lies around New Year.
            season = (day + 45) * len(_SEASONS) // _DAYS % len(_SEASONS)
            for row in days[season]:
                yield replace(row, start_ms=start_ms)
                start_ms += 1000 * STEP_S

    def _day(self, season: int) -> list[Row]:
        state = State(random.Random(f"{self._seed}/{season}"))
        heat, sun = _SEASONS[season]
        out = []
        for second in range(86400):
            loads = appliances(state, second)
            if second % STEP_S == 0:
                loads["heat pump"] *= heat
                loads["pv"] *= sun
                out.append(
                    replace(self._house.row(second, loads, state), duration_ms=1000 * STEP_S)
                )
        return out

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        return play(self.rows(), self.system, sample_rate_hz, block)
