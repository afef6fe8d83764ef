"""Built-in `house`: a Norwegian home by the second, with a PV roof and an EV.

Deterministic by seed. Power, and with it current and voltage, follow from the
appliances; the voltage sags over the impedance of the supply, the frequency
wanders.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from openams.grid.scenario import Row, Samples, Scenario, Triple
from openams.grid.synthesis import play

_PLACES = {"1P2W": (0,), "3P3W": (0, 2), "3P4W": (0, 1, 2)}
_NOMINAL_V = 230.0
_SUPPLY_OHM = 0.12  # per phase, with the transformer
_REACTIVE = {  # tan(phi) of each appliance; negative leads
    "base": 0.25,
    "fridge": 0.6,
    "water": 0.0,
    "heat pump": 0.3,
    "cooking": 0.0,
    "lights": -0.2,
    "ev": 0.03,
    "pv": 0.05,
}


@dataclass
class State:
    """What the appliances remember from second to second."""

    rng: random.Random
    fridge_left_s: int = 0
    fridge_on: bool = False
    water_c: float = 62.0
    water_on: bool = False
    pump_w: float = 900.0
    cloud: float = 0.3
    frequency_hz: float = 50.0
    cooking_w: float = 0.0


class House(Scenario):
    """Starts at noon of a day in May, when the roof exports."""

    name = "house"
    gives_quantities = True

    def __init__(self, system: str = "3P4W", seed: int = 1) -> None:
        self.system = system
        self._seed = seed

    def rows(self) -> Iterator[Row]:
        state = State(random.Random(self._seed))
        second = 0
        while True:
            loads = appliances(state, (second + 12 * 3600) % 86400)
            yield self.row(second, loads, state)
            second += 1

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        return play(self.rows(), self.system, sample_rate_hz, block)

    def row(self, second: int, loads: dict[str, float], state: State) -> Row:
        places = _PLACES[self.system]
        p = [0.0, 0.0, 0.0]
        q = [0.0, 0.0, 0.0]
        for number, (name, watts) in enumerate(loads.items()):
            # Heavy things use every phase, the rest one phase each.
            wide = name in ("ev", "pv", "heat pump") or self.system == "3P3W"
            used = places if wide else (places[number % len(places)],)
            for place in used:
                p[place] += watts / len(used)
                q[place] += watts * _REACTIVE[name] / len(used)
        u, i = self._net(p, q)
        mw = _milli(p)
        mvar = _milli(q)
        return Row(
            start_ms=second * 1000,
            duration_ms=1000,
            voltage_mv=_milli(u),
            current_ua=(round(i[0] * 1e6), round(i[1] * 1e6), round(i[2] * 1e6)),
            active_power_mw=mw,
            reactive_power_mvar=mvar,
            total_active_power_mw=sum(mw),
            total_reactive_power_mvar=sum(mvar),
            frequency_mhz=round(state.frequency_hz * 1000),
        )

    def _net(self, p: list[float], q: list[float]) -> tuple[list[float], list[float]]:
        """Voltages under load and the currents that go with them."""
        if self.system == "3P3W":
            total = complex(sum(p), sum(q))
            u = _NOMINAL_V - math.sqrt(3) * _SUPPLY_OHM * total.real / (math.sqrt(3) * _NOMINAL_V)
            line = abs(total) / (math.sqrt(3) * u)
            # A balanced load: the elements see it at 30 degrees to either side.
            s = total / 2
            shift = 1j * math.tan(math.pi / 6)
            first, second = s * (1 + shift), s * (1 - shift)
            p[:] = [first.real, 0.0, second.real]
            q[:] = [first.imag, 0.0, second.imag]
            return [u, u, u], [line, line, line]
        volts = [0.0, 0.0, 0.0]
        amps = [0.0, 0.0, 0.0]
        for place in _PLACES[self.system]:
            volts[place] = _NOMINAL_V - _SUPPLY_OHM * p[place] / _NOMINAL_V
            amps[place] = math.hypot(p[place], q[place]) / volts[place]
        return volts, amps


def _milli(values: list[float]) -> Triple:
    return (round(values[0] * 1000), round(values[1] * 1000), round(values[2] * 1000))


def appliances(state: State, clock_s: int) -> dict[str, float]:
    """Watts of each appliance now; PV is negative."""
    rng = state.rng
    hour = clock_s / 3600
    state.frequency_hz += rng.gauss(0, 0.002) + 0.002 * (50.0 - state.frequency_hz)
    return {
        "base": 140 + 10 * rng.random(),
        "lights": 30 + (260 if hour < 8 or hour > 20 else 0),
        "fridge": _fridge(state),
        "water": _water(state, hour),
        "cooking": _cooking(state, hour),
        "heat pump": _heat_pump(state, hour),
        "ev": 7200.0 if 1 <= hour < 4.5 else 0.0,
        "pv": -_sun(state, hour),
    }


def _fridge(state: State) -> float:
    state.fridge_left_s -= 1
    if state.fridge_left_s <= 0:
        state.fridge_on = not state.fridge_on
        state.fridge_left_s = state.rng.randint(600, 1200) if state.fridge_on else 1800
    return 95.0 if state.fridge_on else 2.0


def _water(state: State, hour: float) -> float:
    """200 litres; a kilowatt-second warms them by 1.2 mK."""
    drawn = 0.004 if 6.5 <= hour < 7.5 or 21 <= hour < 22 else 0.00005
    state.water_c -= drawn
    if state.water_c < 65:
        state.water_on = True
    if state.water_c > 75:
        state.water_on = False
    if state.water_on:
        state.water_c += 2.0 * 0.0012
        return 2000.0
    return 0.0


def _cooking(state: State, hour: float) -> float:
    """Hobs and oven switch around supper and lunch."""
    busy = 16 <= hour < 17.5 or 11.8 <= hour < 12.3
    if state.rng.random() < 1 / 45:
        state.cooking_w = state.rng.choice((0.0, 900.0, 1500.0, 2400.0)) if busy else 0.0
    return state.cooking_w


def _heat_pump(state: State, hour: float) -> float:
    outdoor_c = 6 + 6 * math.sin((hour - 9) / 24 * 2 * math.pi)
    target = min(2600.0, max(250.0, 115 * (21 - outdoor_c)))
    state.pump_w += (target - state.pump_w) / 300 + state.rng.gauss(0, 4)
    return max(0.0, state.pump_w)


def _sun(state: State, hour: float) -> float:
    """A roof of 8 kWp under passing clouds."""
    state.cloud += state.rng.gauss(0, 0.006) + 0.001 * (0.35 - state.cloud)
    state.cloud = min(0.95, max(0.0, state.cloud))
    height = math.sin((hour - 5) / 16 * math.pi) if 5 < hour < 21 else 0.0
    return 8000 * math.pow(max(0.0, height), 1.3) * (1 - 0.8 * state.cloud)
