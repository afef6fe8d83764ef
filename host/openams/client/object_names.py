"""What a logical name stands for, in words: those of IEC 62056-6-1, and the meter's own."""

from __future__ import annotations

from openams.client.firmware_names import LOGS
from openams.client.names import parse_obis

_ENERGY = {
    1: "active energy import A+", 2: "active energy export A-",
    3: "reactive energy import R+", 4: "reactive energy export R-",
    5: "reactive energy QI", 6: "reactive energy QII",
    7: "reactive energy QIII", 8: "reactive energy QIV",
}  # fmt: skip
_NOW = {
    1: "active power import P+", 2: "active power export P-", 3: "reactive power import Q+",
    4: "reactive power export Q-", 9: "apparent power S", 11: "current", 12: "voltage",
    13: "power factor", 14: "frequency",
}  # fmt: skip
_TEN_MINUTES = {23: "least", 25: "mean", 26: "most"}
_CLIENTS = {1: "operator", 2: "reader", 5: "breaker", 6: "update", 16: "public"}
_SCHEDULES = {
    0: "end of the billing period", 1: "breaker schedule", 2: "image activation time",
    4: "push schedule", 5: "breaker schedule, reconnection",
}  # fmt: skip
# By C, D, E where A and B are 0 or a channel.
_ABSTRACT = {
    (1, 0, 0): "clock",
    (42, 0, 0): "logical device name",
    (96, 1, 0): "meter number",
    (96, 1, 1): "meter type",
    (97, 97, 0): "errors that stand",
    (97, 98, 0): "alarms",
    (97, 98, 10): "alarm filter",
    (96, 3, 10): "breaker",
    (17, 0, 0): "limiter",
    (10, 0, 1): "billing scripts",
    (10, 0, 100): "tariff scripts",
    (10, 0, 106): "breaker scripts",
    (10, 0, 107): "image scripts",
    (10, 0, 108): "push scripts",
    (96, 3, 128): "sealed order",
    (96, 3, 129): "quota",
    (96, 3, 130): "breaker policy",
    (96, 3, 131): "limiter window",
    (96, 3, 132): "breaker alarms",
    (96, 14, 0): "tariff in force",
    (128, 1, 0): "HAN port open",
    (128, 1, 1): "HAN port encrypted",
    (128, 1, 2): "HAN keys",
    (128, 1, 3): "HAN format",
    (128, 1, 4): "HAN lists sent",
    (128, 1, 5): "summer time in the HAN lists",
    (128, 7, 0): "home automation open",
    (128, 7, 1): "connection to the broker",
    (128, 7, 2): "messages published",
    (128, 8, 0): "Modbus open",
    (128, 8, 1): "Modbus units and their maps",
    (128, 8, 2): "Modbus requests answered",
    (128, 6, 0): "text at the optical port",
    (128, 6, 1): "manner of that text",
    (128, 4, 0): "firmware slot",
    (128, 5, 0): "breaker key",
    (128, 5, 1): "second breaker key",
    (128, 5, 2): "update key",
    (128, 5, 3): "HAN keys' check value",
    (98, 1, 0): "billing periods",
    (13, 0, 0): "activity calendar",
    (11, 0, 0): "special days",
    (20, 0, 0): "service port, mode E",
    (22, 0, 0): "service port, HDLC",
    (25, 0, 0): "TCP port",
    (44, 0, 0): "image transfer",
    (40, 0, 0): "this association",
    (41, 0, 0): "SAP assignment",
}
_ELECTRIC = {
    (0, 2, 0): "firmware version",
    (0, 2, 8): "firmware signature",
    (0, 1, 0): "billing periods that ended",
    (0, 1, 2): "end of the last billing period",
    (0, 4, 2): "current transformers, primary A",
    (0, 4, 3): "voltage transformers, primary V",
    (0, 4, 4): "ratio of both, numerator",
    (0, 4, 5): "current transformers, secondary A",
    (0, 4, 6): "voltage transformers, secondary V",
    (0, 4, 7): "ratio of both, denominator",
    (0, 8, 0): "averaging period of hourly demands",
    (0, 8, 1): "averaging period of quarterly demands",
    (0, 8, 4): "capture period",
    (99, 1, 0): "load profile",
    (99, 2, 0): "daily registers",
    (99, 14, 0): "voltage profile",
}


def object_name(obis: str) -> str:
    """In a few words; nothing for an object that this host does not know."""
    a, b, c, d, e, _ = parse_obis(obis)
    if a == 1:
        return _ELECTRIC.get((c, d, e)) or _measured(c, d, e)
    return _ABSTRACT.get((c, d, e)) or _numbered(b, c, d, e)


def _measured(c: int, d: int, e: int) -> str:
    phase, kind = divmod(c, 20) if c > 20 else (0, c)
    where = ("", " L1", " L2", " L3", " of the neutral")[phase] if phase < 5 else ""
    if phase > 3 and c != 91:
        return ""
    if d == 8 and not phase:
        return f"{_ENERGY[kind]}, rate {e}" if e and kind in (1, 2) else _ENERGY.get(kind, "")
    if d == 29 and not phase:
        return f"{_ENERGY[kind]}, last interval" if kind in _ENERGY else ""
    if d in (4, 6, 14, 16) and kind in (1, 2):
        power = _NOW[kind].split()[-1]
        often = "hourly" if d < 10 else "quarterly"
        if d in (4, 14):
            return f"{often} demand {power}"
        return f"highest {often} {power}" + (f", day {e - 127} of three" if e else "")
    if d == 7 and kind in _NOW:
        return f"distortion of {_NOW[kind]}{where}" if e == 124 else _NOW[kind] + where
    if d in _TEN_MINUTES and kind in _NOW:
        return f"{_NOW[kind]}{where}, {_TEN_MINUTES[d]} of 10 min"
    return ""


def _numbered(b: int, c: int, d: int, e: int) -> str:
    """Groups of which one of the fields is a number."""
    log = LOGS[e] if e < len(LOGS) else str(e)
    if (c, d) == (24, 1):
        return f"sub-meter {b}"
    if (c, d) == (24, 2):
        return f"sub-meter {b}, value {e}"
    if (c, d) == (25, 9):
        return "push of alarms" if b == 4 else "push of intervals"
    names = {
        (96, 10): f"status of the {'voltage' if e == 2 else 'load'} profile",
        (96, 11): f"last event, {log}",
        (96, 15): f"last event's number, {log}",
        (128, 2): f"last event's detail, {log}",
        (128, 3): f"last event's extra, {log}",
        (99, 98): f"{log} log",
        (15, 0): _SCHEDULES.get(e, "schedule"),
        (43, 1): f"counter of {_CLIENTS.get(e, e)}",
        (43, 0): f"security of {_CLIENTS.get(e, e)}",
        (40, 0): f"association of {_CLIENTS.get(e, e)}",
    }
    return names.get((c, d), "")
