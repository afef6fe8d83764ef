"""Built-in `feeder`: a point of 11 kV, a works with cooling and a solar roof, and its transformers.

What the meter sees is the secondary side: `Secondary` divides a scenario by the ratios and adds
the errors that instrument transformers have (IEC 61869-2 and -3: ratio error and phase
displacement). The rows and samples of `Feeder` itself are of the primary side.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from openams.errors import BenchError
from openams.grid.scenario import Row, Samples, Scenario
from openams.grid.synthesis import play
from openams.meter_time import NORWAY

USUAL = "100/5,11000/110"
_NOMINAL_V = 11000.0
_STEP_S = 60


@dataclass(frozen=True)
class Ratios:
    """Amperes and volts, primary and secondary."""

    ct: tuple[int, int]
    vt: tuple[int, int]

    @property
    def current(self) -> float:
        return self.ct[0] / self.ct[1]

    @property
    def voltage(self) -> float:
        return self.vt[0] / self.vt[1]

    def config(self) -> dict[str, list[int]]:
        """What a meter is provisioned with."""
        return {"ct": list(self.ct), "vt": list(self.vt)}


def parse_ratios(text: str) -> Ratios:
    """`100/5` (currents alone) or `100/5,11000/110`. Raises BenchError."""
    pairs = []
    for part in text.split(","):
        primary, _, secondary = part.partition("/")
        if not (primary.isdigit() and secondary.isdigit() and int(primary) and int(secondary)):
            raise BenchError(f"--transformers {text!r}: write it like 100/5,11000/110")
        pairs.append((int(primary), int(secondary)))
    if not 1 <= len(pairs) <= 2:
        raise BenchError(f"--transformers {text!r}: currents, then voltages: 100/5,11000/110")
    return Ratios(pairs[0], pairs[1] if len(pairs) > 1 else (1, 1))


class Secondary(Scenario):
    """`scenario` as seen behind transformers. Errors: ratio in percent, displacement in minutes."""

    def __init__(
        self, scenario: Scenario, ratios: Ratios, ct_error: tuple[float, float] = (0.0, 0.0),
        vt_error: tuple[float, float] = (0.0, 0.0),
    ) -> None:  # fmt: skip
        self._scenario = scenario
        self.ratios = ratios
        self.name = scenario.name
        self.system = scenario.system
        self.start = scenario.start
        self.duration_s = scenario.duration_s
        self.gives_quantities = scenario.gives_quantities
        self.usual_start = scenario.usual_start
        self.notes = scenario.notes
        # Positive displacement: the secondary leads (IEC 61869-1, 3.4.4).
        self._ct = _factor(ratios.current, ct_error)
        self._vt = _factor(ratios.voltage, vt_error)

    def begin(self, start: datetime) -> None:
        self._scenario.begin(start)

    def rows(self) -> Iterator[Row]:
        u, i = abs(self._vt), abs(self._ct)
        power = self._vt * self._ct.conjugate()
        for row in self._scenario.rows():
            turned = [
                complex(p, q) * power
                for p, q in zip(row.active_power_mw, row.reactive_power_mvar, strict=True)
            ]
            total = complex(row.total_active_power_mw, row.total_reactive_power_mvar) * power
            yield replace(
                row,
                voltage_mv=_triple(u * v for v in row.voltage_mv),
                current_ua=_triple(i * v for v in row.current_ua),
                active_power_mw=_triple(s.real for s in turned),
                reactive_power_mvar=_triple(s.imag for s in turned),
                total_active_power_mw=round(total.real),
                total_reactive_power_mvar=round(total.imag),
            )

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        if self._scenario.gives_quantities:
            yield from play(self.rows(), self.system, sample_rate_hz, block)
            return
        if cmath.phase(self._ct) or cmath.phase(self._vt):
            raise BenchError("a waveform is not turned: give a scenario of quantities")
        for made in self._scenario.samples(sample_rate_hz, block):
            scale = np.where(np.arange(made.shape[1]) % 2, self._ct.real, self._vt.real)
            yield made * scale


def _factor(ratio: float, error: tuple[float, float]) -> complex:
    return (1 + error[0] / 100) / ratio * cmath.exp(1j * math.radians(error[1] / 60))


def _triple(values: Any) -> tuple[int, int, int]:
    a, b, c = (round(value) for value in values)
    return a, b, c


class Feeder(Scenario):
    """Deterministic, by the minute. 3P3W by default: two elements (Aron), as on 11 kV."""

    name = "feeder"
    gives_quantities = True
    usual_start = datetime(2026, 6, 1, 6, 0, tzinfo=NORWAY)

    def __init__(self, system: str = "3P3W") -> None:
        if system == "1P2W":
            raise BenchError("--scenario feeder has three phases: --system 3P3W or 3P4W")
        self.system = system
        self._start = self.usual_start

    def begin(self, start: datetime) -> None:
        self._start = start

    def power(self, minute: int) -> complex:
        """VA of the whole point: shifts, compressors, capacitors at night, sun at noon."""
        local = self._start.astimezone(NORWAY)
        hour = (local.hour + (local.minute + minute) / 60) % 24
        work = 820e3 if 6 <= hour < 22 else 160e3
        cooling = 90e3 * (1 + math.sin(2 * math.pi * minute / 24))
        sun = 1100e3 * max(0.0, math.sin(math.pi * (hour - 5) / 15)) if 5 <= hour < 20 else 0.0
        reactive = 0.42 * work + 0.6 * cooling - (260e3 if hour < 6 or hour >= 22 else 0.0)
        return complex(work + cooling - sun, reactive)

    def row(self, minute: int, s: complex) -> Row:
        current = abs(s) / (math.sqrt(3) * _NOMINAL_V)
        if self.system == "3P3W":
            half = s / 2
            shift = 1j * math.tan(math.pi / 6)
            parts = [half * (1 + shift), 0j, half * (1 - shift)]
            volts = _NOMINAL_V
        else:
            parts = [s / 3] * 3
            volts = _NOMINAL_V / math.sqrt(3)
        return Row(
            start_ms=minute * _STEP_S * 1000,
            duration_ms=_STEP_S * 1000,
            voltage_mv=_triple([volts * 1000] * 3),
            current_ua=_triple([current * 1e6] * 3),
            active_power_mw=_triple(part.real * 1000 for part in parts),
            reactive_power_mvar=_triple(part.imag * 1000 for part in parts),
            total_active_power_mw=round(s.real * 1000),
            total_reactive_power_mvar=round(s.imag * 1000),
        )

    def rows(self) -> Iterator[Row]:
        minute = 0
        while True:
            yield self.row(minute, self.power(minute))
            minute += 1

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        return play(self.rows(), self.system, sample_rate_hz, block)
