"""Reads a P1 telegram (DSMR 5, Swedish lines) whose CRC has been checked."""

from __future__ import annotations

import re
from decimal import Decimal

from openams.han.axdr import DateTime
from openams.han.errors import UnknownListError
from openams.han.reading import Number, Reading

_LINE = re.compile(r"^(\d+)-(\d+):(\d+)\.(\d+)\.(\d+)\(([^)]*)\)")
_POWER = {1: "active_power_import{}_w", 2: "active_power_export{}_w",
          3: "reactive_power_import{}_var", 4: "reactive_power_export{}_var"}  # fmt: skip
_ENERGY = {1: "a_plus_wh", 2: "a_minus_wh", 3: "r_plus_varh", 4: "r_minus_varh"}


def read_telegram(telegram: bytes) -> Reading:
    """Raises HanError for a telegram that says nothing known."""
    text = telegram.decode("ascii", "replace")
    values: dict[str, Number] = {}
    time: DateTime | None = None
    for line in text.split("\r\n"):
        match = _LINE.match(line)
        if not match:
            continue
        c, d = int(match[3]), int(match[4])
        if (c, d) == (1, 0):
            time = _time(match[6])
        elif (name := _name(c, d)) is not None:
            values[name] = _number(match[6], name)
    if not values:
        raise UnknownListError("the telegram has no line that is known")
    identity = text[1:].split("\r\n")[0]
    return Reading("p1", 2, None, identity[4:], None, time, values, telegram)


def _name(c: int, d: int) -> str | None:
    phase, kind = c // 20, c % 20
    if d == 8:
        return _ENERGY.get(c)
    if d != 7:
        return None
    if phase == 0:
        return _POWER[c].format("") if c in _POWER else None
    if phase > 3:
        return None
    if kind in _POWER:
        return _POWER[kind].format(f"_l{phase}")
    return {11: f"current_l{phase}_a", 12: f"voltage_l{phase}_v"}.get(kind)


def _number(text: str, name: str) -> Number:
    number, _, unit = text.partition("*")
    try:
        value = Decimal(number)
    except ArithmeticError:
        raise UnknownListError(f"the telegram has no number for {name}: {text!r}") from None
    if unit.startswith("k"):
        return int(value * 1000)
    return value


def _time(text: str) -> DateTime | None:
    if not re.fullmatch(r"\d{12}[SW]", text):
        return None
    year, month, day, hour, minute, second = (int(text[k : k + 2]) for k in range(0, 12, 2))
    deviation = -120 if text[12] == "S" else -60
    return DateTime(2000 + year, month, day, 0xFF, hour, minute, second, 0xFF, deviation, 0)
