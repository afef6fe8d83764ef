"""Built-in `fault`: what goes wrong on a grid, in one minute, always sampled.

The disturbances are of EN 50160 (dips, swells, interruptions, frequency,
harmonics). docs/scenarios.md has the same table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from openams.grid.scenario import PAIRS, Samples, Scenario

DURATION_S = 60.0


@dataclass(frozen=True)
class Disturbance:
    """From `start_s` to `end_s` the voltages of `places` are `factor` times nominal."""

    start_s: float
    end_s: float
    factor: float
    places: tuple[int, ...]
    what: str


DISTURBANCES = (
    Disturbance(5.0, 5.2, 0.60, (0, 1, 2), "dip to 60 % for 200 ms on all phases"),
    Disturbance(10.0, 10.5, 0.40, (0,), "dip to 40 % for 500 ms on L1"),
    Disturbance(15.0, 16.0, 1.15, (0, 1, 2), "swell to 115 % for 1 s on all phases"),
    Disturbance(20.0, 22.0, 0.0, (0, 1, 2), "interruption of 2 s"),
    Disturbance(27.0, 32.0, 0.0, (1,), "loss of L2 for 5 s"),
)
# Frequency runs from 50 to 51 Hz and back, as a triangle.
FREQUENCY = (36.0, 44.0, 1.0)
HARMONICS = (48.0, 53.0)  # 8 % of 5th and 5 % of 7th on the voltages
REVERSED = (55.0, 58.0)  # the current of L1 flows back
_U = 230.0
_I = 8.0
_LAG = math.acos(0.9)


class Fault(Scenario):
    name = "fault"
    duration_s = DURATION_S

    def __init__(self, system: str = "3P4W", seed: int = 1) -> None:
        self.system = system

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        total = round(DURATION_S * sample_rate_hz)
        for at in range(0, total, block):
            t = np.arange(at, min(at + block, total)) / sample_rate_hz
            yield self._render(t)

    def _turns(self, t: Samples) -> Samples:
        """The fundamental's angle in turns: 50 Hz and the triangle's integral."""
        begin, end, height = FREQUENCY
        middle = (begin + end) / 2
        slope = height / (middle - begin)
        up = np.clip(t, begin, middle) - begin
        down = np.clip(t, middle, end) - middle
        return np.asarray(
            50 * t + slope * up**2 / 2 + height * down - slope * down**2 / 2, dtype=np.float64
        )

    def _render(self, t: Samples) -> Samples:
        angle = 2 * np.pi * (self._turns(t) % 1.0)
        distorted = (t >= HARMONICS[0]) & (t < HARMONICS[1])
        phases = []
        currents = []
        for place in range(3):
            theta = angle - 2 * np.pi * place / 3
            wave = np.cos(theta)
            wave = wave + distorted * (0.08 * np.cos(5 * theta) + 0.05 * np.cos(7 * theta))
            factor = np.ones(len(t))
            for fault in DISTURBANCES:
                if place in fault.places:
                    factor[(t >= fault.start_s) & (t < fault.end_s)] = fault.factor
            phases.append(math.sqrt(2) * _U * factor * wave)
            load = math.sqrt(2) * _I * factor * np.cos(theta - _LAG)
            if place == 0:
                load = np.where((t >= REVERSED[0]) & (t < REVERSED[1]), -load, load)
            currents.append(load)
        return self._channels(phases, currents)

    def _channels(self, u: list[Samples], i: list[Samples]) -> Samples:
        if self.system == "3P3W":
            # 230 V between the lines; the currents have no neutral to return by.
            third = math.sqrt(3)
            mean = (i[0] + i[1] + i[2]) / 3
            return np.stack(
                [(u[0] - u[1]) / third, i[0] - mean, (u[2] - u[1]) / third, i[2] - mean], axis=1
            )
        columns = []
        for place in range(len(PAIRS[self.system])):
            columns += [u[place], i[place]]
        return np.stack(columns, axis=1)
