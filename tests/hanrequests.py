"""Requests for one list of a meter whose objects are given, as `push_request.handle` takes them."""

from __future__ import annotations

from typing import Any

QUANTITIES = {
    "voltage_mv": [231_000, 232_000, 229_000],
    "current_ua": [1_200_000, 2_300_000, 17_500_000],
    "active_power_mw": [283_000, 4_000, 4_000_000],
    "reactive_power_mvar": [-20_000, 1_000, 3_000],
    "total_active_power_mw": 4_287_000,
    "total_reactive_power_mvar": -16_000,
    "total_apparent_power_mva": 4_300_000,
    "frequency_mhz": 49_980,
}
REGISTERS = {
    "a_plus_mwh": 123_456_780,
    "a_minus_mwh": 1_000_000,
    "r_plus_mvarh": 22_000_000,
    "r_minus_mvarh": 333_330_000,
}


def request(name: str, variant: str | None = None, **more: Any) -> dict[str, Any]:
    """A list 2; `quantities` and `registers` change some of the values above."""
    return {
        "format": name,
        "variant": variant,
        "options": {},
        "system": "3P4W",
        "identity": {"meter_id": "7359990000000017", "meter_type": "6534"},
        "utc_ms": 840_002_410_000,
        "utc_offset_min": None,
        "clock_status": 0,
        "list": 2,
        **more,
        "quantities": {**QUANTITIES, **more.get("quantities", {})},
        "registers": {**REGISTERS, **more.get("registers", {})},
    }
