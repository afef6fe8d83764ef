"""Household series: CSV of a HAN recording, and the UCI household file."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path

from openams.grid.scenario import Row, Samples, Scenario, ScenarioError, Triple
from openams.grid.synthesis import play
from openams.meter_time import SkippedTimeError, from_local

_POWER = ("active_import_W", "active_export_W", "reactive_import_var", "reactive_export_var")
_CURRENTS = ("current_l1_A", "current_l2_A", "current_l3_A")
_VOLTAGES = ("voltage_l1_V", "voltage_l2_V", "voltage_l3_V")
_UCI = ("Date", "Time", "Global_active_power", "Global_reactive_power", "Voltage")
_NOMINAL_MV = 230_000
_MOST = 10**9  # of any value, in its own unit: a load that no house has, and no slip of the keys
# Two windows of the metrology, and some.
_LEAD_MS = 500

# Column -> its value in mW, mvar, mV or uA; a series has what holds at each time (UTC).
Held = dict[str, int]
Series = list[tuple[datetime, Held]]


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
        millisecond = timedelta(milliseconds=1)
        start = self._readings[0].when
        for k, reading in enumerate(self._readings):
            following = self._readings[k + 1].when if k + 1 < len(self._readings) else self._end
            active = _split(reading.active_mw, reading, self.system)
            reactive = _split(reading.reactive_mvar, reading, self.system)
            yield Row(
                start_ms=(reading.when - start) // millisecond,
                duration_ms=(following - reading.when) // millisecond,
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
    """A total over the places, by their apparent power; the sum is exact.

    Where no current is given, by their voltage: no power on a place that is dead.
    """
    places = {"1P2W": (0,), "3P3W": (0, 2), "3P4W": (0, 1, 2)}[system]
    weights = [reading.voltage_mv[k] * reading.current_ua[k] for k in places]
    if not any(weights):
        weights = [reading.voltage_mv[k] for k in places]
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
        if not value.is_finite():
            raise InvalidOperation
    except InvalidOperation:
        raise ScenarioError(f"{where}: {column} is no number: {text!r}") from None
    if abs(value) > _MOST:
        raise ScenarioError(f"{where}: {column} is {text.strip()}: give at most {_MOST}")
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
    try:
        header = next(csv.reader([lines[0]]))
    except csv.Error as error:
        raise ScenarioError(f"{path}:1: {error}") from None
    missing = [name for name in ("time", "active_import_W") if name not in header]
    if missing:
        raise ScenarioError(
            f"{path}:1: no column {' or '.join(missing)}: this is no household file, "
            "see docs/scenarios.md"
        )
    return _load_csv(path, lines, header, system)


def _check_order(series: Series, when: datetime, where: str) -> None:
    if series and when <= series[-1][0]:
        raise ScenarioError(f"{where}: time does not go forward: put the rows in time order")


def _fields(path: Path, lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """(file:line, fields) of each line after the header that is not blank."""
    reader = csv.reader(lines[1:])
    try:
        for fields in reader:
            if fields:
                yield f"{path}:{reader.line_num + 1}", fields
    except csv.Error as error:
        raise ScenarioError(f"{path}:{reader.line_num + 1}: {error}") from None


def _load_csv(path: Path, lines: list[str], header: list[str], asked: str | None) -> Household:
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise ScenarioError(f"{path}:1: column {twice} is there twice: take one out")
    series: Series = []
    held: Held = {}
    for where, fields in _fields(path, lines):
        if len(fields) != len(header):
            raise ScenarioError(f"{where}: {len(fields)} fields where the header has {len(header)}")
        row = dict(zip(header, fields, strict=True))
        try:
            when = _utc(datetime.fromisoformat(row["time"]), series[-1][0] if series else None)
        except SkippedTimeError as error:
            raise ScenarioError(f"{where}: {row['time']} {error}") from None
        except (ValueError, OverflowError):
            raise ScenarioError(f"{where}: no time: {row['time']!r}") from None
        _check_order(series, when, where)
        given = _given(row, where)
        if "active_import_W" not in given:
            raise ScenarioError(f"{where}: active_import_W is missing")
        held = {**held, **given}
        series.append((when, held))
    if not series:
        raise ScenarioError(f"{path} has no rows after its header")
    return _household(path, _csv_system(header, series, asked), series)


def _utc(when: datetime, before: datetime | None) -> datetime:
    """A time of a row, whole milliseconds. Without an offset it is Norwegian local time.

    Of the hour that comes twice in autumn it is the first, unless the row
    `before` (UTC) shows that it must be the second. Raises SkippedTimeError for
    what spring leaves out.
    """
    when = when.replace(microsecond=when.microsecond // 1000 * 1000)
    if when.tzinfo is not None:
        return when.astimezone(UTC)
    first, second = from_local(when), from_local(when, fold=1)
    return second if before is not None and first <= before < second else first


def _given(row: dict[str, str], where: str) -> Held:
    """What a row of the CSV gives, in mW, mvar, mV and uA."""
    given: Held = {}
    for column in _POWER + _VOLTAGES + _CURRENTS:
        factor = 1_000_000 if column in _CURRENTS else 1000
        value = _scaled(row.get(column), factor, where, column)
        if value is not None:
            given[column] = _not_negative(value, column, where)
    return given


def _not_negative(value: int, column: str, where: str) -> int:
    if value < 0 and column in _CURRENTS + _VOLTAGES:
        raise ScenarioError(f"{where}: {column} is an RMS value: it cannot be below 0")
    return value


def _household(path: Path, system: str, series: Series) -> Household:
    """Voltages and currents before their first row are those of that row."""
    last = series[-1][1]
    if not any(column in last for column in _VOLTAGES):
        places = 1 if system == "1P2W" else 3
        first: Held = dict.fromkeys(_VOLTAGES[:places], _NOMINAL_MV)
    else:
        first = {}
    unseen = [column for column in _VOLTAGES + _CURRENTS if column in last]
    for _, held in series:
        first.update((column, held[column]) for column in unseen if column in held)
        unseen = [column for column in unseen if column not in held]
        if not unseen:
            break
    return Household(
        path.name, system, [_reading(when, {**first, **held}) for when, held in series]
    )


def _reading(when: datetime, held: Held) -> Reading:
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


def _csv_system(header: list[str], series: Series, asked: str | None) -> str:
    """One phase: 1P2W. L2 never with a voltage (IT meters send 0): 3P3W. Else 3P4W.

    Without any voltage the system is as asked for.
    """
    last = series[-1][1]
    if not any(column in last for column in _VOLTAGES):
        return asked or ("3P4W" if "current_l3_A" in header else "1P2W")
    if "voltage_l3_V" not in header:
        return "1P2W"
    return "3P4W" if any(held.get("voltage_l2_V") for _, held in series) else "3P3W"


def _load_uci(path: Path, lines: list[str]) -> Household:
    header = lines[0].split(";")
    if tuple(header[:5]) != _UCI or len(header) < 6:
        raise ScenarioError(f"{path}:1: not the columns of the UCI household file")
    series: Series = []
    held: Held = {}
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
        given: Held = {}
        for column, text, factor in (
            ("active_import_W", fields[2], 1_000_000),
            ("reactive_import_var", fields[3], 1_000_000),
            ("voltage_l1_V", fields[4], 1000),
            ("current_l1_A", fields[5], 1_000_000),
        ):
            value = _scaled(text, factor, where, column)
            if value is not None:
                given[column] = _not_negative(value, column, where)
        held = {**held, **given}
        if "active_import_W" not in held:
            continue
        # The file has no summer time of its own: its clock is taken as standard time.
        utc = when.replace(tzinfo=UTC) - timedelta(hours=1)
        _check_order(series, utc, where)
        series.append((utc, held))
    if not series:
        raise ScenarioError(f"{path} has no rows with a power")
    return _household(path, "1P2W", series)
