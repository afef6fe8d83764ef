"""One list as a reader understands it, and how it is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from openams.han.axdr import DateTime
from openams.han.errors import UnknownListError

Number = int | Decimal


def scaled(value: int, scaler: int) -> Number:
    """A value in its unit. A scaler is an octet (IEC 62056-6-2, 4.3.2): with more of them a list
    would say numbers that nobody can write down."""
    if not -128 <= scaler <= 127:
        raise UnknownListError(f"the list has a scaler of 10 to the power of {scaler}")
    return value * int(10**scaler) if scaler >= 0 else Decimal(value).scaleb(scaler)


@dataclass(frozen=True)
class Reading:
    """What a list says. `values` by name with the unit: active_power_import_w, ...

    `meter_time` as sent (local time); `traits` tell meters of one format apart.
    """

    format: str
    list_no: int
    meter_id: str | None
    meter_type: str | None
    list_version: str | None
    meter_time: DateTime | None
    values: dict[str, Number]
    raw: bytes
    traits: dict[str, Any] = field(default_factory=dict)


def reading_to_json(reading: Reading) -> dict[str, Any]:
    """A dict for JSON: numbers as numbers, the frame in hex."""
    return {
        "format": reading.format,
        "list": reading.list_no,
        "list_version": reading.list_version,
        "meter_id": reading.meter_id,
        "meter_type": reading.meter_type,
        "time": reading.meter_time.iso if reading.meter_time else None,
        "values": {
            name: value if isinstance(value, int) else float(value)
            for name, value in reading.values.items()
        },
        "frame": reading.raw.hex(),
    }


_SHORT = (
    ("active_power_w", "P", "W"),
    ("active_power_absolute_w", "|P|", "W"),
    ("active_power_import_w", "P+", "W"),
    ("active_power_export_w", "P-", "W"),
    ("reactive_power_import_var", "Q+", "var"),
    ("reactive_power_export_var", "Q-", "var"),
)


def format_reading(reading: Reading) -> str:
    """One line for people."""
    values = reading.values
    parts = [f"{reading.format} list {reading.list_no}"]
    if reading.meter_time:
        parts.append(reading.meter_time.iso.replace("T", " "))
    parts += [f"{label} {values[name]} {unit}" for name, label, unit in _SHORT if name in values]
    for label, unit, prefix in (("U", "V", "voltage"), ("I", "A", "current")):
        found = [
            str(values[name])
            for k in (1, 2, 3)
            if (name := f"{prefix}_l{k}_{unit.lower()}") in values
        ]
        if found:
            parts.append(f"{label} {'/'.join(found)} {unit}")
    for name, label in (("a_plus_wh", "A+"), ("a_minus_wh", "A-")):
        if name in values:
            parts.append(f"{label} {_plain(values[name])} Wh")
    return " ".join(parts)


def _plain(value: Number) -> str:
    """Without an exponent: 0E-8 is 0.00000000."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
