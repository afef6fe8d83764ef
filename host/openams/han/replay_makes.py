"""Requests of `ams han replay` for the makers beyond the Nordic ones: what a list says, as objects.

A list tells how its meter is set up: which objects, in which types and frames. That crosses over
as the meter's setting; the values cross over as registers and quantities.
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from openams.han.errors import HanError
from openams.han.reading import Number, Reading
from openams.meter_time import EPOCH

_SML_OPTIONS = ("objects", "form", "maker", "client", "transaction", "steps", "transaction_octets",
                "file", "file_octets", "version", "status", "time_octets", "lag_s",
                "texts")  # fmt: skip
_PUSH_OPTIONS = ("objects", "link", "header", "layout", "invoke", "texts", "limit", "rate",
                 "monitors", "relays", "lead_s", "lead_status")  # fmt: skip
_VARIANTS = {"sml": "emh", "landis": "ch", "iskraemeco": "si", "sagemcom": "at", "kaifa": "at"}
_STEMS = ("a_plus", "a_minus", "r_plus", "r_minus", "r_q1", "r_q2", "r_q3", "r_q4")
_UWS_PER_MWH = 3_600_000
_KINDS = (("active", "w"), ("reactive", "var"))


def request_of(reading: Reading) -> dict[str, Any]:
    """The meter's objects for one list, as `push_request.handle` takes them."""
    sml = reading.format == "sml"
    names = _SML_OPTIONS if sml else _PUSH_OPTIONS
    options = {name: reading.traits[name] for name in names if name in reading.traits}
    if not sml:
        options["header"] += _sealing(reading)
        options["numbers"] = ""  # as the list has it
        if _both_ways(reading.values):
            options["summation"] = "phase"
    utc_ms, offset_min = _moment(reading, sml)
    quantities, more = _quantities(reading)
    registers, rates = _registers(reading.values)
    status = reading.meter_time.status if reading.meter_time and not sml else 0
    return {
        "format": reading.format,
        "variant": _VARIANTS[reading.format],
        "options": options,
        "system": "3P4W",
        "identity": {"meter_id": reading.meter_id or "", "meter_type": ""},
        "utc_ms": utc_ms,
        "utc_offset_min": offset_min,
        "clock_status": status & 0x7F,
        "quantities": quantities,
        "registers": registers,
        "more": {"rates": rates, "connected": reading.traits.get("connected", True), **more},
        "list": reading.list_no,
    }


def _sealing(reading: Reading) -> str:
    sealed = reading.traits.get("sealed")
    if sealed is None:
        return ""
    letters = "c" if sealed.control & 0xF0 == 0x20 else ""
    return letters + ("1" if sealed.control & 1 else "") + ("m" if sealed.long else "")


def _moment(reading: Reading, sml: bool) -> tuple[int, int]:
    """(utc_ms, offset of local time in minutes)."""
    when = reading.meter_time
    if when is None:
        return 0, 60
    try:
        local = datetime(when.year, when.month, when.day, when.hour, when.minute, when.second)
    except ValueError:
        raise HanError(f"the meter's time is no date: {when.iso}") from None
    offset = -when.deviation
    if when.deviation == -0x8000:
        offset = 120 if when.status & 0x80 else 60
    utc = local - timedelta(minutes=0 if sml else offset)
    ms = (utc - EPOCH.replace(tzinfo=None)) // timedelta(milliseconds=1)
    return ms + (10 * when.hundredths if when.hundredths < 100 else 0), offset


# --- registers ----------------------------------------------------------------------------


def _registers(values: dict[str, Number]) -> tuple[dict[str, int], list[list[int]]]:
    """(registers in mWh, [[register, rate, mWh, uWs], ...])."""
    rates = []
    registers: dict[str, int] = {}
    for k, stem in enumerate(_STEMS):
        unit = "wh" if k < 2 else "varh"
        for name, value in values.items():
            if not (name.startswith(stem + "_") and name.endswith("_" + unit)):
                continue
            rate = name[len(stem) + 1 : -len(unit) - 1]
            uws = Decimal(value) * 1000 * _UWS_PER_MWH
            if uws != int(uws):
                raise HanError(f"{name} has steps finer than a micro-watt-second")
            rates.append([k, int(rate[1:] or 0), *divmod(int(uws), _UWS_PER_MWH)])
        if k < 4:
            name = f"{stem}_{'m' if k < 2 else 'mva'}{'wh' if k < 2 else 'rh'}"
            registers[name] = int(values.get(f"{stem}_{unit}", 0) * 1000)
    return registers, rates


# --- quantities -----------------------------------------------------------------------------


def _quantities(reading: Reading) -> tuple[dict[str, Any], dict[str, Any]]:
    values = reading.values
    phases = ("_l1", "_l2", "_l3")
    currents = [_milli(values, f"current{k}_a", 1_000_000) for k in phases]
    active = [_net(values, "active", "w", k) for k in phases]
    reactive = [_net(values, "reactive", "var", k) for k in phases]
    for place, phase in enumerate(phases):
        angle = values.get(f"angle{phase}_deg")
        if angle is None:
            continue
        if angle == (400 if reading.format == "landis" else 0) and not currents[place]:
            continue  # no current, no angle
        if not currents[place] or angle >= 360:
            raise HanError("a phase has an angle without a current, or none with one")
        if active[place] or reactive[place]:
            raise HanError("a phase has both a power and an angle")
        active[place] = round(1e6 * math.cos(math.radians(float(angle))))
        reactive[place] = round(1e6 * math.sin(math.radians(float(angle))))
    if _both_ways(values):
        _by_phase(values, "active", "w", active)
        _by_phase(values, "reactive", "var", reactive)
    total = _net(values, "active", "w")
    apparent = 0
    if "power_factor" in values:
        idle = 0 if reading.format == "iskraemeco" else 1000
        total, apparent = _apparent(total, int(values["power_factor"] * 1000), idle)
    quantities = {
        "voltage_mv": [_milli(values, f"voltage{k}_v", 1000) for k in phases],
        "current_ua": [abs(current) for current in currents],
        "active_power_mw": active,
        "reactive_power_mvar": reactive,
        "total_active_power_mw": total,
        "total_reactive_power_mvar": _net(values, "reactive", "var"),
        "total_apparent_power_mva": apparent,
        "frequency_mhz": _milli(values, "frequency_hz", 1000),
    }
    more = {
        "voltage_angles": [int(values.get(f"angle_u_l{k}_deg", 0)) for k in (2, 3)],
    }
    return quantities, more


def _milli(values: dict[str, Number], name: str, factor: int) -> int:
    value = values.get(name, 0) * factor
    if value != int(value):
        raise HanError(f"{name} has finer steps than the meter measures in")
    return int(value)


def _net(values: dict[str, Number], kind: str, unit: str, phase: str = "") -> int:
    """Milli-watts, import positive: given with its sign, or import and export apart."""
    for name in (f"{kind}_power{phase}_{unit}", f"{kind}_power_absolute{phase}_{unit}"):
        if name in values:
            return _milli(values, name, 1000)
    way_in = _milli(values, f"{kind}_power_import{phase}_{unit}", 1000)
    way_out = _milli(values, f"{kind}_power_export{phase}_{unit}", 1000)
    if phase and way_in and way_out:
        raise HanError("power of a phase flows both ways at once")
    return way_in - way_out


def _both_ways(values: dict[str, Number]) -> bool:
    """Whether power flows in and out at once: a meter that sums by phase."""
    return any(
        values.get(f"{kind}_power_import_{unit}", 0)
        and values.get(f"{kind}_power_export_{unit}", 0)
        for kind, unit in _KINDS
    )


def _by_phase(values: dict[str, Number], kind: str, unit: str, powers: list[int]) -> None:
    """Powers of the phases, such that their sums each way are those of the list."""
    given = [k for k in (1, 2, 3) if f"{kind}_power_import_l{k}_{unit}" in values]
    for sign, way, place in ((1, "import", 0), (-1, "export", 1)):
        total = _milli(values, f"{kind}_power_{way}_{unit}", 1000)
        if not given:
            # Some phase takes it, another gives it.
            powers[place] = sign * total
            continue
        flowing = [k for k in range(3) if powers[k] * sign > 0]
        missing = total - sum(abs(powers[k]) for k in flowing)
        if not missing:
            continue
        # Each is rounded in the list, and so is their sum: what is missing is in the parts.
        part = (abs(missing) - 400) * (1 if missing > 0 else -1)
        if not flowing or abs(part) >= 500 * len(flowing):
            raise HanError("the powers of the phases do not add up to their sum")
        for k in flowing:
            powers[k] += sign * part // len(flowing)


def _apparent(power_mw: int, permille: int, idle: int) -> tuple[int, int]:
    """(active, apparent power) that have a power factor; less than half a watt is shown as none."""
    if permille == idle and not power_mw:
        return 0, 0
    for milli in (abs(power_mw),) if power_mw else range(499, 0, -1):
        for apparent in range(max(1, milli * 1000 // max(permille, 1) - 2), 1 << 62):
            factor = min(1000, (milli * 1000 + apparent // 2) // apparent)
            if factor == permille:
                return (milli if power_mw >= 0 else -milli), apparent
            if factor < permille:
                break
    raise HanError(f"a power factor of {permille} permille does not fit the power")
