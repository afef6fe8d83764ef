"""Captured frames through the meter: decode, set its objects, let the port send.

Only values, identity, time and what kind of meter is installed cross over to
the meter; the lists are the firmware's own. A frame is the same when every
octet is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from openams.han import replay_makes, replay_p1
from openams.han.cipher import Keys
from openams.han.errors import HanError
from openams.han.marks import SML_START
from openams.han.reader import decode_frame, pieces
from openams.han.reading import Reading
from openams.meter_time import EPOCH, NORWAY

_REGISTERS = {
    "a_plus_mwh": "a_plus_wh",
    "a_minus_mwh": "a_minus_wh",
    "r_plus_mvarh": "r_plus_varh",
    "r_minus_mvarh": "r_minus_varh",
}
_QUADRANTS = {f"r_q{k}_mvarh": f"r_q{k}_varh" for k in (1, 2, 3, 4)}
_WAYS = ("import", "export")
Push = Callable[[dict[str, Any]], bytes]


def replay(
    frames: Iterable[tuple[int, bytes, str]], push: Push, keys: list[Keys] | None = None
) -> dict[str, Any]:
    """{"frames", "identical", "different": [{index, source, reason, ...}]}."""
    count = identical = 0
    different: list[dict[str, Any]] = []
    for number, frame, source in frames:
        count += 1
        entry: dict[str, Any] = {"index": count, "line": number, "source": source}
        try:
            reading = decode_frame(frame, keys)
            sent = push(request_of(reading))
        except (HanError, ValueError) as error:
            different.append({**entry, "reason": str(error)})
            continue
        expected = _as_sent(frame)
        if sent == expected:
            identical += 1
        else:
            different.append({**entry, **_difference(reading, expected, sent)})
    return {"frames": count, "identical": identical, "different": different}


def _as_sent(frame: bytes) -> bytes:
    """With the flags that a capture may leave out, or share between its frames."""
    if frame[:1] == b"/":
        # As readers cut it off: the line ends behind the check.
        return frame.rstrip(b"\r\n") + b"\r\n"
    if frame[:1] in (b"\x68", b"\x0f", b"\xdb") or frame[:8] == SML_START:
        return frame
    if frame[:3] == b"\xe6\xe7\x00":
        return frame[3:]
    return b"".join(b"\x7e" + piece + b"\x7e" for piece in pieces(frame))


def _difference(reading: Reading, expected: bytes, sent: bytes) -> dict[str, Any]:
    at = next(
        (k for k, (a, b) in enumerate(zip(expected, sent, strict=False)) if a != b),
        min(len(expected), len(sent)),
    )
    return {
        "format": reading.format,
        "reason": f"differs from octet {at} on",
        "offset": at,
        "expected": expected.hex(),
        "sent": sent.hex(),
    }


def request_of(reading: Reading) -> dict[str, Any]:
    """The meter's objects for one list, as `push_request.handle` takes them."""
    abroad = "layout" in reading.traits or reading.format == "sml"
    request = replay_makes.request_of(reading) if abroad else _nordic(reading)
    sealed = reading.traits.get("sealed")
    if sealed is not None:
        request["cipher"] = {
            "system_title": sealed.title.hex(),
            "counter": sealed.counter,
            "keys": [
                {
                    "encryption": sealed.keys.encryption.hex(),
                    "authentication": sealed.keys.authentication.hex(),
                }
            ],
        }
    return request


def _nordic(reading: Reading) -> dict[str, Any]:
    variant, options = _kind_of_meter(reading)
    utc_ms, offset_min = _time_of(reading, variant)
    request: dict[str, Any] = {
        "format": reading.format,
        "variant": variant,
        "options": options,
        "system": _system_of(reading),
        "identity": {
            "meter_id": reading.meter_id or "",
            "meter_type": reading.meter_type or "",
        },
        "utc_ms": utc_ms,
        "utc_offset_min": offset_min,
        "clock_status": _clock_status(reading),
        "quantities": _quantities_of(reading),
        "registers": {
            register: _milli(reading.values.get(name, 0), 1000)
            for register, name in _REGISTERS.items()
        },
        "list": reading.list_no,
    }
    if reading.format == "p1":
        # Its time says itself whether it is summer time.
        request["utc_offset_min"] = None
        request.update(replay_p1.request_of(reading, utc_ms))
        for register, name in _QUADRANTS.items():
            if name in reading.values:
                request["registers"][register] = _milli(reading.values[name], 1000)
    return request


def _kind_of_meter(reading: Reading) -> tuple[str, dict[str, Any]]:
    """(variant, options) of the format: what was bought and where it hangs."""
    traits = reading.traits
    if reading.format == "kaifa":
        if traits.get("coded"):
            return "se-obis", {}
        wide = {"energy_bits": traits["energy_bits"]} if "energy_bits" in traits else {}
        return ("se" if traits["address"] == "01000110" else "no"), wide
    if reading.format == "kamstrup":
        options: dict[str, Any] = {"header_tag": traits["header_tag"]}
        if "active_power_export_w" not in reading.values:
            options["quadrants"] = 1
        if _both_ways(reading.values):
            options["summation"] = "phase"
        return "no", options
    if reading.format == "aidon":
        if traits["swedish"]:
            return "se", {}
        return ("landis" if reading.list_version == "EMBRIQ_V1_1" else "no"), {}
    return replay_p1.kind_of_meter(reading)


def _system_of(reading: Reading) -> str:
    """From the type where the maker's types tell, else from what is in the list."""
    values = reading.values
    if reading.format == "p1":
        if not any(
            f"{what}_l3_{unit}" in values for what, unit in (("voltage", "v"), ("current", "a"))
        ):
            return "1P2W"
        by_phase = "active_power_import_l2_w" in values or "power_factor_l2" in values
        return "3P4W" if by_phase else "3P3W"
    if "voltage_l3_v" not in values:
        return "1P2W"
    kind = reading.meter_type or ""
    if reading.format == "kaifa" and kind.startswith("MA304"):
        return "3P3W" if "3" in kind[5:7] and values["voltage_l2_v"] == 0 else "3P4W"
    if reading.format == "aidon":
        return "3P4W" if "current_l2_a" in values else "3P3W"
    return "3P4W"


def _time_of(reading: Reading, variant: str) -> tuple[int, int | None]:
    """(utc_ms, fixed offset in minutes or None for what the maker's meters have)."""
    when = reading.meter_time
    if when is None:
        return 0, None
    try:
        local = datetime(when.year, when.month, when.day, when.hour, when.minute, when.second)
    except ValueError:
        raise HanError(f"the meter's time is no date: {when.iso}") from None
    if when.deviation != -0x8000 and when.deviation != 0:
        return _ms(local + timedelta(minutes=when.deviation)), -when.deviation
    if (reading.format, variant) != ("kaifa", "no"):
        # Standard time all the year.
        return _ms(local - timedelta(hours=1)), None
    utc = local.replace(tzinfo=NORWAY).astimezone(UTC)
    if utc.astimezone(NORWAY).replace(tzinfo=None) != local:
        # A local time that Norway skips: the meter keeps standard time.
        return _ms(local - timedelta(hours=1)), 60
    return _ms(utc.replace(tzinfo=None)), None


def _clock_status(reading: Reading) -> int:
    status = reading.meter_time.status if reading.meter_time else 0
    # FF: the list does not specify it.
    return 0 if status == 0xFF else status


def _ms(naive_utc: datetime) -> int:
    return (naive_utc - EPOCH.replace(tzinfo=None)) // timedelta(milliseconds=1)


def _milli(value: int | Decimal, factor: int) -> int:
    return int(value * factor)


def _both_ways(values: dict[str, int | Decimal]) -> bool:
    """Whether power flows in and out at once: a meter that sums by phase."""
    return any(
        values.get(f"{kind}_power_import_{unit}", 0)
        and values.get(f"{kind}_power_export_{unit}", 0)
        for kind, unit in (("active", "w"), ("reactive", "var"))
    )


def _quantities_of(reading: Reading) -> dict[str, Any]:
    values = reading.values
    if _both_ways(values):
        if reading.format != "kamstrup":
            raise HanError("power flows both ways at once: no net meter says that")
        # Some phase takes it, another gives it.
        values = dict(values)
        for kind, unit in (("active", "w"), ("reactive", "var")):
            for way, phase in (("import", "_l1"), ("export", "_l2")):
                name = f"{kind}_power_{way}"
                values[f"{name}{phase}_{unit}"] = values.get(f"{name}_{unit}", 0)

    def net(kind: str, unit: str, phase: str = "") -> int:
        way_in = values.get(f"{kind}_power_import{phase}_{unit}", 0)
        way_out = values.get(f"{kind}_power_export{phase}_{unit}", 0)
        return _milli(way_in - way_out, 1000)

    phases = ("_l1", "_l2", "_l3")
    currents = [_milli(values.get(f"current{k}_a", 0), 1_000_000) for k in phases]
    active = [net("active", "w", k) for k in phases]
    for place, current in enumerate(currents):
        if current < 0 and active[place] == 0:
            # The phase gives power, less than a watt of it or unsaid how much.
            active[place] = -1
    more = {}
    if reading.format == "p1":
        apparent = [_milli(values.get(f"apparent_power_{way}_va", 0), 1000) for way in _WAYS]
        more = {
            "total_apparent_power_mva": max(apparent),
            "frequency_mhz": _milli(values.get("frequency_hz", 0), 1000),
        }
    return {
        **more,
        "voltage_mv": [_milli(values.get(f"voltage{k}_v", 0), 1000) for k in phases],
        "current_ua": [abs(current) for current in currents],
        "active_power_mw": active,
        "reactive_power_mvar": [net("reactive", "var", k) for k in phases],
        "total_active_power_mw": net("active", "w"),
        "total_reactive_power_mvar": net("reactive", "var"),
    }
