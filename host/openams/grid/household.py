"""Household series: CSV of a HAN recording, and the UCI household file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

from openams.grid.scenario import Row, Samples, Scenario, ScenarioError, Triple
from openams.grid.synthesis import play

_NORWAY = ZoneInfo("Europe/Oslo")
_POWER = ("active_import_W", "active_export_W", "reactive_import_var", "reactive_export_var")
_CURRENTS = ("current_l1_A", "current_l2_A", "current_l3_A")
_VOLTAGES = ("voltage_l1_V", "voltage_l2_V", "voltage_l3_V")
_UCI = ("Date", "Time", "Global_active_power", "Global_reactive_power", "Voltage")
_ZERO: Triple = (0, 0, 0)
# Two windows of the metrology, and some.
_LEAD_MS = 500


@dataclass(frozen=True)
class Reading:
    """One line of a file: total powers, and voltages and currents per place."""

    when: datetime
    active_mw: int
    reactive_mvar: int
    voltage_mv: Triple
    current_ua: Triple


class Household(Scenario):
    """Readings that hold until the next one."""

    gives_quantities = True

    def __init__(self, name: str, system: str, readings: list[Reading]) -> None:
        self.name = name
        self.system = system
        self._readings = readings
        self.start = readings[0].when
        last = readings[-1].when - readings[-2].when if len(readings) > 1 else timedelta(seconds=1)
        self._end = readings[-1].when + last
        self.duration_s = (self._end - self.start).total_seconds()

    def rows(self) -> Iterator[Row]:
        start = self._readings[0].when
        for k, reading in enumerate(self._readings):
            following = self._readings[k + 1].when if k + 1 < len(self._readings) else self._end
            active = _split(reading.active_mw, reading, self.system)
            reactive = _split(reading.reactive_mvar, reading, self.system)
            yield Row(
                start_ms=(reading.when - start) // timedelta(milliseconds=1),
                duration_ms=(following - reading.when) // timedelta(milliseconds=1),
                voltage_mv=reading.voltage_mv,
                current_ua=reading.current_ua,
                active_power_mw=active,
                reactive_power_mvar=reactive,
                total_active_power_mw=reading.active_mw,
                total_reactive_power_mvar=reading.reactive_mvar,
            )

    def samples(self, sample_rate_hz: int, block: int) -> Iterator[Samples]:
        """The rows as a waveform, each `_LEAD_MS` early.

        A meter had measured what it sent at a time before that time: with the
        lead, a list sent at the time of a row shows that row again.
        """
        return play(self._early_rows(), self.system, sample_rate_hz, block)

    def _early_rows(self) -> Iterator[Row]:
        held: Row | None = None
        for row in self.rows():
            if held is not None:
                end = row.start_ms - _LEAD_MS
                if end > held.start_ms:
                    yield replace(held, duration_ms=end - held.start_ms)
                    row = replace(row, start_ms=end, duration_ms=row.duration_ms + _LEAD_MS)
                else:
                    row = replace(row, start_ms=held.start_ms)
            held = row
        if held is not None:
            assert self.duration_s is not None
            yield replace(held, duration_ms=round(self.duration_s * 1000) - held.start_ms)


def _split(total: int, reading: Reading, system: str) -> Triple:
    """A total over the places, by their apparent power; the sum is exact."""
    places = {"1P2W": (0,), "3P3W": (0, 2), "3P4W": (0, 1, 2)}[system]
    weights = [reading.voltage_mv[k] * reading.current_ua[k] for k in places]
    if not any(weights):
        weights = [1] * len(places)
    out = [0, 0, 0]
    left, weight_left = total, sum(weights)
    for place, weight in zip(places, weights, strict=True):
        part = round(left * weight / weight_left) if weight_left else left
        out[place] = part
        left -= part
        weight_left -= weight
    return (out[0], out[1], out[2])


def _scaled(text: str | None, factor: int, where: str, column: str) -> int | None:
    """A decimal number times `factor`, exact; None for an empty field or `?`."""
    if text is None or text.strip() in ("", "?"):
        return None
    try:
        value = Decimal(text.strip())
        if not value.is_finite() or abs(value) > 10**9:
            raise InvalidOperation
    except InvalidOperation:
        raise ScenarioError(f"{where}: {column} is no number: {text!r}") from None
    return int((value * factor).to_integral_value())


def load_household(path: Path, system: str | None = None) -> Household:
    """A household file of either layout. Raises ScenarioError with file and line.

    `system` is for files without voltages, which do not tell it themselves.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"cannot read {path}: {error}") from None
    if not lines:
        raise ScenarioError(f"{path} is empty: a household file starts with its column names")
    if lines[0].startswith("Date;Time;"):
        return _load_uci(path, lines)
    header = next(csv.reader([lines[0]]))
    missing = [name for name in ("time", "active_import_W") if name not in header]
    if missing:
        raise ScenarioError(
            f"{path}:1: no column {' or '.join(missing)}: this is no household file, "
            "see docs/scenarios.md"
        )
    return _load_csv(path, lines, header, system)


def _check_order(readings: list[Reading], where: str) -> None:
    if len(readings) < 2:
        return
    step = readings[-1].when - readings[-2].when
    if step <= timedelta(0):
        raise ScenarioError(f"{where}: time does not go forward")


def _load_csv(path: Path, lines: list[str], header: list[str], asked: str | None) -> Household:
    readings: list[Reading] = []
    held: dict[str, int] = {}
    for number, fields in enumerate(csv.reader(lines[1:]), start=2):
        where = f"{path}:{number}"
        if not fields:
            continue
        if len(fields) != len(header):
            raise ScenarioError(f"{where}: {len(fields)} fields where the header has {len(header)}")
        row = dict(zip(header, fields, strict=True))
        try:
            when = datetime.fromisoformat(row["time"])
        except ValueError:
            raise ScenarioError(f"{where}: no time: {row['time']!r}") from None
        if when.tzinfo is None:
            when = when.replace(tzinfo=_NORWAY)
        for column in _POWER + _VOLTAGES:
            value = _scaled(row.get(column), 1000, where, column)
            if value is not None:
                held[column] = value
            elif column == "active_import_W":
                raise ScenarioError(f"{where}: active_import_W is missing")
        for column in _CURRENTS:
            value = _scaled(row.get(column), 1_000_000, where, column)
            if value is not None:
                held[column] = value
        readings.append(_reading(when.astimezone(UTC), held))
        _check_order(readings, where)
    if not readings:
        raise ScenarioError(f"{path} has no rows after its header")
    if not any(column in header for column in _VOLTAGES):
        system = asked or "1P2W"
    else:
        system = _csv_system(header, held)
    return Household(path.name, system, _with_first_known(readings))


def _reading(when: datetime, held: dict[str, int]) -> Reading:
    def three(columns: tuple[str, ...]) -> Triple:
        a, b, c = (held.get(column, 0) for column in columns)
        return (a, b, c)

    return Reading(
        when,
        held["active_import_W"] - held.get("active_export_W", 0),
        held.get("reactive_import_var", 0) - held.get("reactive_export_var", 0),
        three(_VOLTAGES),
        three(_CURRENTS),
    )


def _with_first_known(readings: list[Reading]) -> list[Reading]:
    """Voltages and currents before their first row are those of that row."""
    known = next((r for r in readings if any(r.voltage_mv)), None)
    if known is None:
        return [
            Reading(r.when, r.active_mw, r.reactive_mvar, (230_000,) * 3, _ZERO) for r in readings
        ]
    out = []
    for reading in readings:
        if not any(reading.voltage_mv):
            reading = Reading(
                reading.when,
                reading.active_mw,
                reading.reactive_mvar,
                known.voltage_mv,
                known.current_ua,
            )
        out.append(reading)
    return out


def _csv_system(header: list[str], held: dict[str, int]) -> str:
    """One voltage: 1P2W. L2 without voltage (IT meters send 0): 3P3W. Else 3P4W."""
    if "voltage_l3_V" not in header:
        return "1P2W"
    return "3P3W" if held.get("voltage_l2_V", 0) == 0 and "voltage_l2_V" in held else "3P4W"


def _load_uci(path: Path, lines: list[str]) -> Household:
    header = lines[0].split(";")
    if tuple(header[:5]) != _UCI or len(header) < 6:
        raise ScenarioError(f"{path}:1: not the columns of the UCI household file")
    readings: list[Reading] = []
    held: dict[str, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        fields = line.split(";")
        if len(fields) != len(header):
            raise ScenarioError(f"{where}: {len(fields)} fields where the header has {len(header)}")
        try:
            when = datetime.strptime(f"{fields[0]} {fields[1]}", "%d/%m/%Y %H:%M:%S")
        except ValueError:
            raise ScenarioError(f"{where}: no date and time: {fields[0]};{fields[1]}") from None
        for column, text, factor in (
            ("active_import_W", fields[2], 1_000_000),
            ("reactive_import_var", fields[3], 1_000_000),
            ("voltage_l1_V", fields[4], 1000),
            ("current_l1_A", fields[5], 1_000_000),
        ):
            value = _scaled(text, factor, where, column)
            if value is not None:
                held[column] = value
        if "active_import_W" not in held:
            continue
        # The file has no summer time of its own: its clock is taken as standard time.
        utc = when.replace(tzinfo=UTC) - timedelta(hours=1)
        readings.append(_reading(utc, held))
        _check_order(readings, where)
    if not readings:
        raise ScenarioError(f"{path} has no rows with a power")
    return Household(path.name, "1P2W", readings)
