"""From what a meter shows at a known load to the record that makes it show that load.

Gain is the ratio of voltages and of currents; phase is the angle by which the
current was seen to lag too much. Harmonics and zeros need no calibrating: the
metrology removes DC itself.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

from openams.errors import BenchError

# What parts of a front end are off by at the most; more is a wrong load or wiring.
_GAIN_MAX = 0.2
_PHASE_MAX_RAD = 0.1


@dataclass(frozen=True)
class Load:
    """One element's true load. `angle_deg`: current behind voltage."""

    voltage_v: float
    current_a: float
    angle_deg: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What the meter showed of it, the mean of some windows."""

    voltage_mv: float
    current_ua: float
    active_power_mw: float
    reactive_power_mvar: float


@dataclass(frozen=True)
class Correction:
    """How far the element was off, as it was found."""

    voltage_ppm: float
    current_ppm: float
    phase_urad: float


def correct(
    record: dict[str, Any], element: int, load: Load, reading: Reading
) -> tuple[dict[str, Any], Correction]:
    """A new record with the two channels of `element` corrected; the old one is left."""
    if load.voltage_v <= 0 or load.current_a <= 0:
        raise BenchError("a load for calibrating has a voltage and a current above zero")
    if reading.voltage_mv < 1000 or reading.current_ua < 1000:
        raise BenchError(f"element {element + 1} sees no load: is it connected?")
    gain_u = 1000 * load.voltage_v / reading.voltage_mv
    gain_i = 1e6 * load.current_a / reading.current_ua
    seen = math.atan2(reading.reactive_power_mvar, reading.active_power_mw)
    lag = math.remainder(seen - math.radians(load.angle_deg), 2 * math.pi)
    _check_gain(f"the voltage of element {element + 1}", gain_u)
    _check_gain(f"the current of element {element + 1}", gain_i)
    if abs(lag) > _PHASE_MAX_RAD:
        raise BenchError(
            f"the current of element {element + 1} is {math.degrees(lag):+.0f} degrees off: "
            "is it reversed, or of another phase?"
        )
    new = copy.deepcopy(record)
    voltage, current = new["channels"][2 * element : 2 * element + 2]
    _learn(voltage, gain_u)
    _learn(current, gain_i)
    current["phase_urad"] = current.get("phase_urad", 0) + round(lag * 1e6)
    found = Correction((1 / gain_u - 1) * 1e6, (1 / gain_i - 1) * 1e6, lag * 1e6)
    return new, found


def correct_neutral(
    record: dict[str, Any], current_a: float, reading_ua: float
) -> tuple[dict[str, Any], float]:
    """The same of the current of the neutral: a new record, and by how many ppm it was off.

    It has no voltage, so no angle.
    """
    if current_a <= 0:
        raise BenchError("a load for calibrating the neutral has a current above zero")
    if reading_ua < 1000:
        raise BenchError("the neutral sees no load: does it go through its transformer?")
    gain = 1e6 * current_a / reading_ua
    _check_gain("the current of the neutral", gain)
    new = copy.deepcopy(record)
    _learn(new["channels"][-1], gain)
    return new, (1 / gain - 1) * 1e6


def _check_gain(what: str, gain: float) -> None:
    if abs(gain - 1) > _GAIN_MAX:
        raise BenchError(f"{what} is off by {100 * (1 / gain - 1):+.0f} %: check load and wiring")


def _learn(channel: dict[str, Any], gain: float) -> None:
    old = 1 + channel.get("gain_ppb", 0) / 1e9
    channel["gain_ppb"] = round((old * gain - 1) * 1e9)
