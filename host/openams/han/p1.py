"""Reads a P1 telegram whose CRC has been checked: DSMR 4 and 5 and their like in other countries.

Lines are found by OBIS code. What kind of meter sent it follows from which
lines there are, in what order, and how units and times are written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from openams.han.axdr import DateTime
from openams.han.errors import UnknownListError
from openams.han.reading import Number, Reading

_LINE = re.compile(r"^(\d{1,3}-\d{1,3}):(\d{1,3}\.\d{1,3}\.\d{1,3})((?:\([^()]*\))+)$")
# As F7(3) and the like of EN 62056-21 are written; nothing that Decimal knows besides.
_DECIMAL = re.compile(r"[+-]?\d{1,20}(\.\d{0,20})?", re.ASCII)
_GROUP = re.compile(r"\(([^()]*)\)")
_POWER = {1: "active_power_import{}_w", 2: "active_power_export{}_w",
          3: "reactive_power_import{}_var", 4: "reactive_power_export{}_var"}  # fmt: skip
_TOTALS = {5: "reactive_power_q1_var", 6: "reactive_power_q2_var", 7: "reactive_power_q3_var",
           8: "reactive_power_q4_var", 9: "apparent_power_import_va",
           10: "apparent_power_export_va", 13: "power_factor", 14: "frequency_hz"}  # fmt: skip
_ENERGY = {1: "a_plus", 2: "a_minus", 3: "r_plus", 4: "r_minus",
           5: "r_q1", 6: "r_q2", 7: "r_q3", 8: "r_q4"}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """`medium` is A-B, `code` C.D.E, `groups` what stands in each pair of brackets."""

    medium: str
    code: str
    groups: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.medium}:{self.code}"


def read_lines(text: str) -> list[Line]:
    """Those that are lines of a telegram; what is none is passed over."""
    out = []
    for line in text.split("\r\n"):
        match = _LINE.match(line)
        if match:
            out.append(Line(match[1], match[2], tuple(_GROUP.findall(match[3]))))
    return out


def read_telegram(telegram: bytes) -> Reading:
    """Raises HanError for a telegram that says nothing known."""
    text = telegram.decode("ascii", "replace")
    lines = read_lines(text)
    values: dict[str, Number] = {}
    time: DateTime | None = None
    for line in lines:
        if line.name == "0-0:1.0.0":
            time = _time(line.groups[0])
        elif line.medium == "1-0" and (name := _name(line.code)) is not None:
            values[name] = _number(line.groups[0], name)
    if not values:
        raise UnknownListError("the telegram has no line that is known")
    for which in ("a_plus", "a_minus"):
        # DSMR gives the rates alone: together they are the register.
        rates = [values.get(f"{which}_rate_{rate}_wh", 0) for rate in (1, 2, 3, 4)]
        values.setdefault(f"{which}_wh", sum(rates))
    if all(f"reactive_power_q{k}_var" in values for k in (1, 2, 3, 4)):
        # Hungary gives the quadrants: I and II are import, III and IV export.
        for way, quadrants in (("import", (1, 2)), ("export", (3, 4))):
            values.setdefault(
                f"reactive_power_{way}_var",
                sum(values[f"reactive_power_q{k}_var"] for k in quadrants),
            )
    identity = text[1:].split("\r\n")[0]
    version = next((line.groups[0] for line in lines if line.name == "1-3:0.2.8"), None)
    traits: dict[str, Any] = {"head": identity[:4], "lines": lines, "kind": _kind(lines, version)}
    return Reading("p1", 2, None, identity[4:], version, time, values, telegram, traits)


def _kind(lines: list[Line], version: str | None) -> str | None:
    """The variant of the format p1 whose telegram this is, None for one that is not known."""
    names = [line.name for line in lines]
    units = {line.groups[0].partition("*")[2] for line in lines}
    if "0-0:96.1.4" in names:
        late = "1-0:1.4.0" in names and names.index("1-0:1.4.0") < names.index("0-0:96.14.0")
        return "be-171" if late else "be"
    if "0-0:42.0.0" in names:
        return "hu" if "1-0:15.8.0" in names else "lu"
    if version is not None:
        if "Wh" in units:
            return "at"
        return {"40": "nl40"}.get(version) or {"4": "nl4", "5": "nl5"}.get(version[:1])
    if "1-0:3.8.0" not in names or "1-0:1.8.1" in names:
        return None
    if " " in next((line.groups[0] for line in lines if line.name == "0-0:1.0.0"), ""):
        return "dk-nes"
    if "1-0:21.7.0" in names[:-1] and names[names.index("1-0:21.7.0") + 1] == "1-0:22.7.0":
        # One phase tells no order; the way of writing kvar does.
        return "se-landis" if "1-0:41.7.0" in names else _by_unit(units)
    return _by_unit(units)


def _by_unit(units: set[str]) -> str:
    return "se-kamstrup" if "kVArh" in units else "se"


def _name(code: str) -> str | None:
    c, d, e = map(int, code.split("."))
    phase, kind = c // 20, c % 20
    if d == 8 and c in _ENERGY:
        unit = "wh" if c < 3 else "varh"
        return f"{_ENERGY[c]}_{unit}" if e == 0 else f"{_ENERGY[c]}_rate_{e}_{unit}"
    if d != 7 or e:
        return None
    if phase == 0:
        return _POWER[c].format("") if c in _POWER else _TOTALS.get(c)
    if phase > 3:
        return None
    if kind in _POWER:
        return _POWER[kind].format(f"_l{phase}")
    return {11: f"current_l{phase}_a", 12: f"voltage_l{phase}_v",
            13: f"power_factor_l{phase}"}.get(kind)  # fmt: skip


def decimal_of(text: str, name: str) -> Decimal:
    """Raises HanError for what is no number as telegrams have them."""
    if not _DECIMAL.fullmatch(text):
        raise UnknownListError(f"the telegram has no number for {name}: {text[:40]!r}")
    return Decimal(text)


def _number(text: str, name: str) -> Number:
    number, _, unit = text.partition("*")
    value = decimal_of(number, name)
    if unit.startswith("k"):
        return int(value * 1000)
    return int(value) if unit.endswith(("Wh", "W", "varh", "var")) else value


def _time(text: str) -> DateTime | None:
    if re.fullmatch(r"\d{8} \d\d:\d\d:\d\d", text):
        text = text[2:8] + text[9:11] + text[12:14] + text[15:17] + "W"
    if not re.fullmatch(r"\d{12}[SW]", text):
        return None
    year, month, day, hour, minute, second = (int(text[k : k + 2]) for k in range(0, 12, 2))
    deviation = -120 if text[12] == "S" else -60
    return DateTime(2000 + year, month, day, 0xFF, hour, minute, second, 0xFF, deviation, 0)


def utc_of(text: str) -> datetime | None:
    """The moment of a YYMMDDhhmmss and S or W, naive UTC; None for what is no time."""
    try:
        local = datetime.strptime(text[:12], "%y%m%d%H%M%S")
    except ValueError:
        return None
    return local - timedelta(hours=2 if text[12:] == "S" else 1)
