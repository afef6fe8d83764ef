"""Built-in `house`: a Norwegian home by the second, with a PV roof and an EV.

Deterministic by seed and start. People live by local time, the sun stands where
it stands over Oslo at that moment, the heat pump follows the season. Power, and
with it current and voltage, follow from the appliances; the voltage sags over
the impedance of the supply, the frequency wanders.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from openams.grid.scenario import Row, Samples, Scenario, Triple
from openams.grid.synthesis import play
from openams.meter_time import NORWAY

_PLACES = {"1P2W": (0,), "3P3W": (0, 2), "3P4W": (0, 1, 2)}
_NOMINAL_V = 230.0
_SUPPLY_OHM = 0.12  # per phase, with the transformer
_LATITUDE, _LONGITUDE = math.radians(59.9), 10.75
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


class Moment(NamedTuple):
    """What the house lives by: local time of day, and the sky."""

    hour: float  # local, 0 to 24
    weekend: bool
    sun: float  # sine of its height; negative at night
    outdoor_c: float


class House(Scenario):
    """Begins at ten to five, in seconds, of a winter's afternoon when nobody says when.

    People come home, it is dark: the house draws power, and the first full hour is near.
    """

    name = "house"
    gives_quantities = True
    usual_start = datetime(2026, 1, 15, 16, 59, 50, tzinfo=NORWAY)

    def __init__(self, system: str = "3P4W", seed: int = 1) -> None:
        self.system = system
        self._seed = seed
        self._start = self.usual_start

    def begin(self, start: datetime) -> None:
        self._start = start

    def rows(self) -> Iterator[Row]:
        state = State(random.Random(self._seed))
        for second, at in enumerate(moments(self._start)):
            yield self.row(second, appliances(state, at), state)

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


def moments(start: datetime) -> Iterator[Moment]:
    """One for each second from `start` on."""
    hour_began = start.astimezone(UTC)
    while True:
        # The offset of local time changes on full hours: what is left of this one is alike.
        local = hour_began.astimezone(NORWAY)
        first = local.minute * 60 + local.second
        day = local.timetuple().tm_yday
        solar_h = _solar_hour(hour_began)
        for second in range(3600 - first):
            hour = local.hour + (first + second) / 3600
            sun = _sun_height(day, solar_h + second / 3600)
            yield Moment(hour, local.weekday() >= 5, sun, _outdoor_c(day, hour))
        hour_began += timedelta(seconds=3600 - first)


def _solar_hour(when: datetime) -> float:
    """Mean solar time in Oslo; the equation of time (a quarter of an hour) is left out."""
    utc = when.utctimetuple()
    return utc.tm_hour + utc.tm_min / 60 + utc.tm_sec / 3600 + _LONGITUDE / 15


def _sun_height(day: int, solar_h: float) -> float:
    """Sine of the sun's height."""
    declination = math.radians(-23.44 * math.cos(2 * math.pi * (day + 10) / 365.25))
    angle = (solar_h - 12) / 12 * math.pi
    across = math.cos(_LATITUDE) * math.cos(declination) * math.cos(angle)
    return math.sin(_LATITUDE) * math.sin(declination) + across


def _outdoor_c(day: int, hour: float) -> float:
    """-5 degrees in January, 18 in July, mildest in the afternoon."""
    season = 6.5 - 11.5 * math.cos(2 * math.pi * (day - 20) / 365.25)
    return season + 4 * math.sin((hour - 9) / 24 * 2 * math.pi)


def appliances(state: State, at: Moment) -> dict[str, float]:
    """Watts of each appliance now; PV is negative."""
    rng = state.rng
    hour = at.hour
    awake = (6 if not at.weekend else 8) <= hour < 23
    state.frequency_hz += rng.gauss(0, 0.002) + 0.002 * (50.0 - state.frequency_hz)
    return {
        "base": 140 + 10 * rng.random(),
        "lights": 30 + (260 if awake and at.sun < 0.05 else 0),
        "fridge": _fridge(state),
        "water": _water(state, hour),
        "cooking": _cooking(state, at),
        "heat pump": _heat_pump(state, at.outdoor_c),
        "ev": 7200.0 if 1 <= hour < 4.5 else 0.0,
        "pv": -_sun(state, at.sun),
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


def _cooking(state: State, at: Moment) -> float:
    """Hobs and oven switch around supper, and around lunch when people are at home."""
    busy = 16 <= at.hour < 17.5 or (at.weekend and 11.8 <= at.hour < 12.3)
    if state.rng.random() < 1 / 45:
        state.cooking_w = state.rng.choice((0.0, 900.0, 1500.0, 2400.0)) if busy else 0.0
    return state.cooking_w


def _heat_pump(state: State, outdoor_c: float) -> float:
    target = min(2600.0, max(250.0, 115 * (21 - outdoor_c)))
    state.pump_w += (target - state.pump_w) / 300 + state.rng.gauss(0, 4)
    return max(0.0, state.pump_w)


def _sun(state: State, sun: float) -> float:
    """A roof of 8 kWp under passing clouds."""
    state.cloud += state.rng.gauss(0, 0.006) + 0.001 * (0.35 - state.cloud)
    state.cloud = min(0.95, max(0.0, state.cloud))
    return 8000 * math.pow(max(0.0, sun), 1.15) * (1 - 0.8 * state.cloud)
