"""The grid at the terminals of a metering IC: what its model is told, window by window.

The model of the IC measures nothing; it is given what the waveform has in each
window of 200 ms, by the bench's own arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from rp2040py.rp2040 import RP2040

from openams.emulator.models.atm90e32 import Atm90e32
from openams.grid.scenario import Samples, Scenario

_RATE_HZ = 4000
_WINDOW = 800
_CYCLES = 10
_STEP_MS = 20
# Where the elements of a system stand among the three of the IC.
_PLACES = {"3P4W": (0, 1, 2), "3P3W": (0, 2)}


class GridTerminals:
    def __init__(self, chip: RP2040, model: Atm90e32, scenario: Scenario) -> None:
        self._model = model
        self._places = _PLACES[scenario.system]
        self._blocks: Iterator[Samples] = scenario.samples(_RATE_HZ, _WINDOW)
        self._phase: float | None = None
        self._steps = 0
        self._alarm = chip.clock.create_alarm(self._step)
        self._next_window()
        self._alarm.schedule(_STEP_MS * 1e6)

    def _step(self) -> None:
        self._model.advance(_STEP_MS * 1000)
        self._steps += 1
        if self._steps % (1000 * _WINDOW // _RATE_HZ // _STEP_MS) == 0:
            self._next_window()
        self._alarm.schedule(_STEP_MS * 1e6)

    def _next_window(self) -> None:
        block = next(self._blocks, None)
        if block is None or len(block) < _WINDOW:
            self._model.set_quantities([0] * 3, [0] * 3, [0] * 3, [0] * 3, 0, 0.0)
            return
        quantities, self._phase = window_quantities(block, self._places, self._phase)
        self._model.set_quantities(*quantities)


def window_quantities(
    block: Samples, places: tuple[int, ...], phase_before: float | None
) -> tuple[tuple[Any, ...], float]:
    """What the model's `set_quantities` takes, and the phase of the first voltage."""
    voltage, current, active, reactive = [0] * 3, [0] * 3, [0] * 3, [0] * 3
    reference = np.exp(-2j * np.pi * _CYCLES * np.arange(len(block)) / len(block))
    # Not as a product of matrices: the threads of BLAS would spin for it on every core.
    phasors = (reference[:, np.newaxis] * block).sum(axis=0) * math.sqrt(2) / len(block)
    for element, place in enumerate(places):
        u, i = block[:, 2 * element], block[:, 2 * element + 1]
        voltage[place] = round(1e3 * math.sqrt(float(np.mean(u * u))))
        current[place] = round(1e6 * math.sqrt(float(np.mean(i * i))))
        active[place] = round(1e3 * float(np.mean(u * i)))
        power = phasors[2 * element] * np.conj(phasors[2 * element + 1])
        reactive[place] = round(1e3 * float(power.imag))
    phase = float(np.angle(phasors[0]))
    frequency = 50.0
    if phase_before is not None:
        turned = (phase - phase_before + math.pi) % (2 * math.pi) - math.pi
        frequency += turned / (2 * math.pi) * _RATE_HZ / len(block)
    lags = [0.0] * 3
    for element, place in enumerate(places):
        lags[place] = math.degrees(phase - float(np.angle(phasors[2 * element]))) % 360
    millihertz = round(1000 * frequency)
    quantities = (voltage, current, active, reactive, millihertz, lags[2], lags[1])
    return quantities, phase
