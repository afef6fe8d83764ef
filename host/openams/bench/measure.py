"""Waveform cases through a meter: what it measures, and how far off that is."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from openams.bench.options import DEFAULT_METER_ID
from openams.bench.session import coded_blocks
from openams.errors import BenchError
from openams.grid.cases import Case, Component, load_cases
from openams.grid.frontend import make_front_end
from openams.grid.scenario import PAIRS
from openams.progress import Steps
from openams.runtimes.process import MeterProcess

# Start of the simulated time: no case crosses an hour by chance.
_START_MS = 840_000_000_000
# Place in the meter's arrays of each channel of a case.
_PLACES = {
    "1P2W": {"L1": 0},
    "3P4W": {"L1": 0, "L2": 1, "L3": 2},
    "3P3W": {"U12": 0, "U32": 2, "L1": 0, "L3": 2},
}
_UWS_PER_MWH = 3_600_000


def measure_case(
    process: MeterProcess, case: Case, front_end: str, seed: int = 1
) -> dict[str, Any]:
    """Plays one case through the meter; gives `measured`, named as `expected`."""
    model = make_front_end(front_end, case.system, seed)
    process.configure(
        {
            "system": case.system,
            "calibration": model.calibration(case.system),
            "identity": {"meter_id": DEFAULT_METER_ID, "meter_type": ""},
            "han": {"format": "kaifa"},
            "utc_ms": _START_MS,
        }
    )
    rate = model.sample_rate_hz
    for index, codes in coded_blocks(case.scenario(), model, None):
        after = index + len(codes)
        process.samples(_START_MS + after * 1000 // rate, index, codes)
    return _measured(process.finish(), case)


def _measured(result: dict[str, Any], case: Case) -> dict[str, Any]:
    means = result["aggregate"] or result["quantities"]
    places = _PLACES[case.system]
    registers = result["registers"]
    rest = result["remainder_uws"]

    def energy(name: str, number: int) -> float:
        # Registers count whole mWh; the remainder is energy all the same.
        return float((registers[name] * _UWS_PER_MWH + rest[number]) / (_UWS_PER_MWH * 1000))

    return {
        "active_power_w": means["total_active_power_mw"] / 1000,
        "reactive_power_var": means["total_reactive_power_mvar"] / 1000,
        "voltage_v": {name: means["voltage_mv"][places[name]] / 1000 for name in case.voltage},
        "current_a": {name: means["current_ua"][places[name]] / 1e6 for name in case.current},
        "frequency_hz": means["frequency_mhz"] / 1000,
        "a_plus_wh": energy("a_plus_mwh", 0),
        "a_minus_wh": energy("a_minus_mwh", 1),
        "r_plus_varh": energy("r_plus_mvarh", 2),
        "r_minus_varh": energy("r_minus_mvarh", 3),
    }


def _rms(components: list[Component]) -> float:
    """Of a channel whose components are of different orders."""
    return math.sqrt(sum(rms * rms for _, rms, _ in components))


def errors_percent(case: Case, measured: dict[str, Any]) -> dict[str, float]:
    """Error of each power and energy, in percent of the reading, as limit_percent means it.

    Of the apparent power where the expected value is zero or the power factor
    is near zero; energies in the same way.
    """
    expected = case.expected
    if not expected:
        return {}
    apparent = sum(_rms(case.voltage[u]) * _rms(case.current[i]) for u, i in PAIRS[case.system])
    hours = case.duration_s / 3600
    errors = {}
    for name, span in (
        ("active_power_w", 1.0),
        ("reactive_power_var", 1.0),
        ("a_plus_wh", hours),
        ("a_minus_wh", hours),
        ("r_plus_varh", hours),
        ("r_minus_varh", hours),
    ):
        if name not in expected:
            continue
        truth = expected[name]
        base = abs(truth) if abs(truth) > 0.1 * apparent * span else apparent * span
        errors[name] = 100 * (measured[name] - truth) / base if base else 0.0
    return errors


def within_limits(case: Case, measured: dict[str, Any]) -> bool:
    """Whether the case's own limits are met; 'no load' cases: no register moved."""
    names = ("a_plus_wh", "a_minus_wh", "r_plus_varh", "r_minus_varh")
    if case.note.startswith("no load"):
        return all(measured[name] == 0 for name in names)
    for name, error in errors_percent(case, measured).items():
        active = name in ("active_power_w", "a_plus_wh", "a_minus_wh")
        if abs(error) > case.limit_percent["active" if active else "reactive"]:
            return False
    return True


def measure(path: Path, runtime: str, front_end: str, seed: int = 1) -> dict[str, Any]:
    """All cases of a file: {"cases": [{"name", "measured", "error_percent", ...}]}."""
    if not 0 <= seed < 1 << 32:
        raise BenchError("--seed must be a whole number from 0 to 4294967295")
    cases = load_cases(path)
    results = []
    with MeterProcess(runtime) as process, Steps("ams measure") as steps:
        for number, case in enumerate(cases, start=1):
            steps.show("cases", number, len(cases))
            measured = measure_case(process, case, front_end, seed)
            entry: dict[str, Any] = {"name": case.name, "measured": measured}
            if case.expected:
                entry["error_percent"] = {
                    name: round(error, 6) for name, error in errors_percent(case, measured).items()
                }
                entry["within_limits"] = within_limits(case, measured)
            results.append(entry)
        process.stop()
    return {"runtime": runtime, "front_end": front_end, "cases": results}
