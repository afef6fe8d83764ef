"""The front end without errors, as far as it needs no samples: its record of calibration."""

from __future__ import annotations

from typing import Any

from openams.grid.scenario import PAIRS

SAMPLE_RATE_HZ = 4000
# 24 bits, 100 uV and 40 uA a code: 838 V and 335 A at the rails.
FULL_SCALE = (1 << 23) - 1
LOWEST_CODE = -FULL_SCALE
STARTING_POWER_MVA = 700
LSB_PV, LSB_PA = 100_000_000, 40_000_000


def channel(number: int) -> dict[str, Any]:
    """Channels are voltage and current in turn."""
    if number % 2:
        return {"kind": "current", "lsb_pa": LSB_PA}
    return {"kind": "voltage", "lsb_pv": LSB_PV}


def calibration(system: str) -> dict[str, Any]:
    """The record that the firmware's `Calibration` takes."""
    return {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "full_scale": FULL_SCALE,
        "lowest_code": LOWEST_CODE,
        "starting_power_mva": STARTING_POWER_MVA,
        "channels": [channel(number) for number in range(2 * len(PAIRS[system]))],
    }
