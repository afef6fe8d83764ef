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
    for what, gain in (("voltage", gain_u), ("current", gain_i)):
        if abs(gain - 1) > _GAIN_MAX:
            raise BenchError(
                f"the {what} of element {element + 1} is off by {100 * (1 / gain - 1):+.0f} %: "
                "check load and wiring"
            )
    if abs(lag) > _PHASE_MAX_RAD:
        raise BenchError(
            f"the current of element {element + 1} is {math.degrees(lag):+.0f} degrees off: "
            "is it reversed, or of another phase?"
        )
    new = copy.deepcopy(record)
    voltage, current = new["channels"][2 * element : 2 * element + 2]
    for channel, gain in ((voltage, gain_u), (current, gain_i)):
        old = 1 + channel.get("gain_ppb", 0) / 1e9
        channel["gain_ppb"] = round((old * gain - 1) * 1e9)
    current["phase_urad"] = current.get("phase_urad", 0) + round(lag * 1e6)
    found = Correction((1 / gain_u - 1) * 1e6, (1 / gain_i - 1) * 1e6, lag * 1e6)
    return new, found
