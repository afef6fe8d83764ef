"""What `ams run` needs of the emulated chip: its front end, and what it cannot do."""

from __future__ import annotations

from typing import Any

from openams.errors import BenchError
from openams.grid.scenario import Scenario
from openams.runtimes.rp2040.analog import OnChipAdc, make_analog
from openams.runtimes.rp2040.converter import Ads131Board


class IcFrontEnd:
    """The metering IC as it leaves its factory: gains of one, 10 mV and 1 mA a count."""

    def calibration(self, system: str) -> dict[str, Any]:
        kinds = [{"kind": "voltage", "lsb_pv": 10**10}, {"kind": "current", "lsb_pa": 10**9}]
        return {
            "sample_rate_hz": 8000,
            "full_scale": 65535,
            "lowest_code": 0,
            "starting_power_mva": 2000,
            "nominal_voltage_mv": 230000,
            "channels": kinds * (2 if system == "3P3W" else 3),
        }


def make_chip_front_end(
    scenario: Scenario, front_end: str, seed: int
) -> OnChipAdc | Ads131Board | IcFrontEnd:
    """One phase is measured by the ADC of the chip, three by an ATM90E32AS; any by an ADS131M08,
    with its errors, when that is asked for; `ads131m08-neutral` samples the neutral too."""
    driver, _, more = front_end.partition("-")
    if driver == Ads131Board.driver and more in ("", "neutral"):
        return Ads131Board(scenario.system, True, seed, more == "neutral")
    if scenario.system == "1P2W":
        return make_analog(front_end, seed)
    if front_end != "ideal":
        raise BenchError(
            f"--front-end {front_end}: on rp2040 three phases are measured by a metering IC, or "
            "by an ADS131M08 (ads131m08)"
        )
    return IcFrontEnd()
