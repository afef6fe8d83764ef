"""What a meter has, read by what it says of itself: object list, values, profiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from openams.client.client import Client
from openams.client.data import date_time, parse_date_time
from openams.client.errors import ClientError, ResultError, understood
from openams.client.event_details import means
from openams.client.firmware_names import EVENTS, LOGS
from openams.client.names import (
    ASSOCIATION,
    CLOCK,
    entry_selection,
    parse_obis,
    range_selection,
    status_names,
)
from openams.client.object_names import object_name
from openams.meter_time import NORWAY

# IEC 62056-6-2, table 4: those that a meter of electricity has.
UNITS = {
    1: "a", 2: "mo", 3: "wk", 4: "d", 5: "h", 6: "min", 7: "s", 8: "deg", 9: "degC", 13: "m3",
    19: "l", 27: "W", 28: "VA", 29: "var", 30: "Wh", 31: "VAh", 32: "varh", 33: "A", 34: "C",
    35: "V", 38: "Ohm", 44: "Hz", 56: "%",
}  # fmt: skip
CLASSES = {
    1: "data", 3: "register", 4: "extended register", 5: "demand register", 7: "profile",
    8: "clock", 9: "script table", 11: "special days", 15: "association", 17: "SAP assignment",
    18: "image transfer", 20: "activity calendar", 22: "single action schedule",
    23: "HDLC setup", 40: "push setup", 41: "TCP-UDP setup", 64: "security setup",
    70: "disconnect control", 71: "limiter", 72: "M-Bus client",
}  # fmt: skip
# Of old versions of the association: read, read and write, and both when authenticated.
_READING = (1, 3, 4, 6)


@dataclass(frozen=True)
class Entry:
    """One object of the association's list."""

    class_id: int
    version: int
    obis: str
    attributes: dict[int, bool]  # number: may be read
    methods: tuple[int, ...]  # those that may be called


def obis_text(raw: Any) -> str:
    if not isinstance(raw, bytes) or len(raw) != 6:
        raise ClientError("the meter's answer has no logical name where one is due")
    return ".".join(map(str, raw))


def object_list(client: Client) -> list[Entry]:
    rows = client.get(15, ASSOCIATION, 2)
    with understood("list of objects"):
        version = _association_version(rows)
        return [
            Entry(
                class_id,
                object_version,
                obis_text(name),
                {row[0]: _readable(row[1], version) for row in attributes},
                tuple(row[0] for row in methods if row[1]),
            )
            for class_id, object_version, name, (attributes, methods) in rows
        ]


def _association_version(rows: list[Any]) -> int:
    for class_id, version, name, _ in rows:
        if class_id == 15 and obis_text(name) == ASSOCIATION:
            return int(version)
    return 1


def _readable(mode: int, version: int) -> bool:
    return bool(mode & 1) if version >= 3 else mode in _READING


# --- values -----------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """A value for JSON: octets as a logical name or text where they are, or in hex."""
    if isinstance(value, bytes):
        if len(value) == 6 and value[5] == 0xFF:
            return obis_text(value)
        if value and all(0x20 <= octet < 0x7F for octet in value):
            return value.decode("ascii")
        return value.hex()
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def scaler_of(scaler_unit: Any) -> tuple[int, Any]:
    """A meter's scaler, which is an octet, and unit (IEC 62056-6-2, 4.3.2)."""
    if isinstance(scaler_unit, list | tuple) and len(scaler_unit) == 2:
        scaler, unit = scaler_unit
        if isinstance(scaler, int) and -128 <= scaler <= 127:
            return scaler, unit
    raise ClientError(f"the meter has no such scaler and unit: {str(scaler_unit)[:60]}")


def scaled(value: Any, scaler_unit: Any) -> tuple[Any, str]:
    """(value in its unit, name of the unit)"""
    scaler, unit = scaler_of(scaler_unit)
    if isinstance(value, int) and not isinstance(value, bool):
        value = value * 10**scaler if scaler >= 0 else round(value / 10**-scaler, -scaler) + 0.0
    return value, UNITS.get(unit, "")


def local_text(raw: Any) -> str | None:
    when = parse_date_time(raw)
    return when.astimezone(NORWAY).isoformat() if when else None


def _described(entry: Entry, number: int) -> dict[str, Any]:
    return {
        "obis": entry.obis,
        "name": object_name(entry.obis),
        "class": entry.class_id,
        "class_name": CLASSES.get(entry.class_id, ""),
        "attribute": number,
    }


def value_of(client: Client, entry: Entry) -> dict[str, Any]:
    """The object's value as a person looks for it; of a profile how full it is."""
    number = 7 if entry.class_id == 7 else 2
    out = _described(entry, number)
    if not entry.attributes.get(number):
        return {**out, "value": None, "error": "not readable"}
    try:
        value = client.get(entry.class_id, entry.obis, number)
        if entry.class_id in (3, 4, 5):
            unit_attribute = 4 if entry.class_id == 5 else 3
            pair = client.get(entry.class_id, entry.obis, unit_attribute)
            shown, unit = scaled(value, pair)
            return {**out, "value": plain(shown), "unit": unit}
        if entry.class_id == 8:
            return {**out, "value": local_text(value)}
        if entry.class_id == 15:
            return {**out, "value": len(value), "unit": "objects"}
        if entry.class_id == 7:
            return {**out, "value": value, "unit": "entries"}
        return {**out, "value": plain(value)}
    except ResultError as error:
        return {**out, "value": None, "error": str(error)}
    except (TypeError, ValueError, ArithmeticError):
        return {**out, "value": None, "error": "it is of another form than its class has"}


def attribute_of(client: Client, entry: Entry, number: int) -> dict[str, Any]:
    out = _described(entry, number)
    try:
        return {**out, "value": plain(client.get(entry.class_id, entry.obis, number))}
    except ResultError as error:
        return {**out, "value": None, "error": str(error)}


def find(entries: list[Entry], obis: str) -> Entry:
    wanted = ".".join(map(str, parse_obis(obis)))
    for entry in entries:
        if entry.obis == wanted:
            return entry
    raise ClientError(f"the meter shows this client no object {wanted}")


def guess(obis: str) -> Entry | None:
    """The object that has this name by custom: on a slow line its list takes long to read."""
    a, b, c, d, e, f = parse_obis(obis)
    class_id = None
    if (a, b, f) == (1, 0, 255) and 1 <= c <= 80 and d in (7, 8, 23, 25, 26, 29):
        class_id = 3
    elif (a, b, c, d, f) == (0, 0, 1, 0, 255) and e == 0:
        class_id = 8
    elif (a, b, f) == (0, 0, 255) and (c in (42, 96, 97, 128) or (c, d) == (43, 1)):
        class_id = None if (c, d) == (96, 3) else 1
    elif (a, b, c, f) == (1, 0, 99, 255) or (a, b, f, c) in ((0, 0, 255, 98), (0, 0, 255, 99)):
        class_id = 7
    if class_id is None:
        return None
    name = ".".join(map(str, (a, b, c, d, e, f)))
    return Entry(class_id, 0, name, dict.fromkeys(range(1, 10), True), ())


# --- profiles ----------------------------------------------------------------------------

PROFILES = {
    "load": "1.0.99.1.0.255",
    "daily": "1.0.99.2.0.255",
    "monthly": "0.0.98.1.0.255",
    "voltage": "1.0.99.14.0.255",
}
EVENT_LOGS = tuple(f"0.0.99.98.{log}.255" for log in range(6))
_SCALED = (3, 4, 5)
_ENERGIES = ("a_plus", "a_minus", "r_plus", "r_minus", "r_q1", "r_q2", "r_q3", "r_q4")
# What is captured with the code of an event, by the beginning of its name.
_EVENT_COLUMNS = {"0.0.96.15.": "number", "0.0.128.2.": "detail", "0.0.128.3.": "extra"}


@dataclass(frozen=True)
class Column:
    class_id: int
    obis: str
    attribute: int

    @property
    def is_time(self) -> bool:
        return self.class_id == 8 and self.attribute == 2

    @property
    def name(self) -> str:
        if self.is_time:
            return "time"
        return self.obis if self.attribute == 2 else f"{self.obis}@{self.attribute}"


def columns(client: Client, obis: str) -> list[Column]:
    """What a profile captures, in the order of its rows."""
    return columns_of(obis, client.get(7, obis, 3))


def columns_of(obis: str, captured: Iterable[Any]) -> list[Column]:
    """Of the capture objects of a profile."""
    try:
        return [Column(class_id, obis_text(name), number) for class_id, name, number, _ in captured]
    except (TypeError, ValueError):
        raise ClientError(f"the meter does not say what {obis} captures") from None


def rows(
    client: Client,
    obis: str,
    begin: datetime | None = None,
    end: datetime | None = None,
    entries: tuple[int, int] | None = None,
) -> Iterator[list[Any]]:
    """Rows as they came: by range when a time is given, by entry when asked for, or all."""
    selection = b""
    if entries:
        selection = entry_selection(*entries)
    elif begin or end:
        first = date_time(begin or datetime(2000, 1, 2, tzinfo=UTC))
        last = date_time(end or datetime(2099, 12, 30, tzinfo=UTC))
        selection = range_selection((8, CLOCK, 2), first, last)
    yield from client.get(7, obis, 2, selection)


def named_rows(
    client: Client, obis: str, found: Iterator[list[Any]], captured: list[Column]
) -> Iterator[dict[str, Any]]:
    """Rows with the names of their columns; registers in their units, as the meter gives them."""
    yield from name_rows(obis, found, captured, units_of(client, captured))


def with_units(captured: Iterable[Column]) -> dict[Column, tuple[int, str, int]]:
    """The columns that are registers, and the attribute that has the scaler and unit of each."""
    return {
        column: (column.class_id, column.obis, 4 if column.class_id == 5 else 3)
        for column in captured
        if column.class_id in _SCALED and column.attribute == 2
    }


def units_of(client: Client, captured: Iterable[Column]) -> dict[Column, Any]:
    """(scaler, unit) of the columns that are registers."""
    wanted = with_units(captured)
    return dict(zip(wanted, client.get_all(list(wanted.values())), strict=True))


def name_rows(
    obis: str, found: Iterable[list[Any]], captured: list[Column], units: dict[Column, Any]
) -> Iterator[dict[str, Any]]:
    """As `named_rows`, of a profile whose units are known."""
    with understood(f"rows of {obis}"):
        cells = [_cell(column, units.get(column)) for column in captured]
        for row in found:
            if len(row) != len(cells):
                raise ClientError(f"{obis} has a row of {len(row)} values for {len(cells)} columns")
            out: dict[str, Any] = {}
            for (name, shown), value in zip(cells, row, strict=True):
                out[name] = shown(value)
                if name == "status":
                    out["status_names"] = status_names(value)
            yield out


def _cell(column: Column, scaler_unit: Any) -> tuple[str, Callable[[Any], Any]]:
    """(name, what shows a value) of a column."""
    if column.is_time:
        return "time", local_text
    if column.obis.startswith("0.0.96.10."):
        return "status", lambda value: value
    if scaler_unit is None:
        return column.name, plain
    scaler, unit = scaler_of(scaler_unit)
    if name := _energy_name(column, scaler_unit):
        factor = 10 ** (scaler + 3)
        return name, lambda value: value * factor if isinstance(value, int) else plain(value)
    shown = f"{column.name} {UNITS.get(unit, '')}".strip()
    return shown, lambda value: scaled(value, scaler_unit)[0]


def _energy_name(column: Column, scaler_unit: Any) -> str | None:
    """As the profiles of a state image are named: energies in whole milli-units, where the
    scaler is no finer. A meter behind transformers has it larger."""
    _, _, c, d, e, _ = map(int, column.obis.split("."))
    if d not in (8, 29) or e != 0 or not 1 <= c <= len(_ENERGIES) or scaler_unit[0] < -3:
        return None
    unit = {30: "mwh", 32: "mvarh"}.get(scaler_unit[1])
    return f"{_ENERGIES[c - 1]}_{unit}" if unit else None


def event_name(code: Any) -> str:
    return EVENTS.get(code, "?") if isinstance(code, int) else "?"


def events(
    client: Client,
    log: str,
    obis: str,
    begin: datetime | None,
    end: datetime | None,
    entries: tuple[int, int] | None = None,
    captured: list[Column] | None = None,
) -> list[dict[str, Any]]:
    """One log: time, log, code, name, and what else the meter captures with it.

    `captured`: its columns, where they are known.
    """
    captured = captured or columns(client, obis)
    found = rows(client, obis, begin, end, entries)
    with understood(f"entries of {obis}"):
        keys = _event_keys(captured)
        out = []
        for row in found:
            if len(row) != len(captured):
                raise ClientError(
                    f"{obis} has a row of {len(row)} values for {len(captured)} columns"
                )
            event: dict[str, Any] = {"time": None, "log": log, "code": None, "name": "?"}
            for key, value in zip(keys, row, strict=True):
                if key == "time":
                    event["time"] = local_text(value)
                elif key == "code":
                    event["code"] = value
                    event["name"] = event_name(value)
                else:
                    event[key] = plain(value)
            event["means"] = means(event["code"], event.get("detail"), event.get("extra"))
            out.append(event)
        return out


def _event_keys(captured: list[Column]) -> list[str]:
    keys: list[str] = []
    for column in captured:
        kind = column.obis.rsplit(".", 2)[0] + "."
        if column.is_time:
            keys.append("time")
        elif kind == "0.0.96.11." and "code" not in keys:
            keys.append("code")
        else:
            keys.append(_EVENT_COLUMNS.get(kind, column.name))
    return keys


def newest_events(client: Client, log: str, count: int) -> list[dict[str, Any]]:
    """The last `count` entries of a log, oldest first."""
    obis = EVENT_LOGS[LOGS.index(log)]
    used = client.get(7, obis, 7)
    if not isinstance(used, int) or not 0 <= used < 1 << 32:
        raise ClientError(f"the meter does not say how many entries {obis} has")
    if not used:
        return []
    return events(client, log, obis, None, None, (max(1, used - count + 1), 0))
