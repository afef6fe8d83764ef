"""A local day of one meter, in one session: what a collector keeps and a head-end validates.

Only that day's rows are asked for, by range. Nothing is made of them here: energies are the
meter's whole milliwatt-hours, times are those that it gave, gaps are left gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from openams.client import readout
from openams.client.client import Client
from openams.client.data import parse_date_time
from openams.client.errors import ClientError, understood
from openams.client.firmware_names import LOGS
from openams.client.names import CLOCK
from openams.meter_time import NORWAY

_LOAD, _DAILY = readout.PROFILES["load"], readout.PROFILES["daily"]
# Those from which a day is judged: power cuts, clock and faults; covers and magnets; voltage.
DAY_LOGS = ("standard", "fraud", "quality")
_REGISTERS = {"a_plus_mwh": "1.0.1.8.0.255", "a_minus_mwh": "1.0.2.8.0.255"}
_PERIOD_CHANGED = 0x0400
_LONGEST_S = 3600


@dataclass(frozen=True)
class MeterDay:
    """`day` is a date in Norway; `complete`: every interval of it has a row.

    rows: time (the interval's end), status, a_plus_mwh, a_minus_mwh, r_plus_mvarh, r_minus_mvarh;
    registers: of the midnights at its begin and end, as far as they are there; now: the registers
    when the day was read; clock_offset_s: the meter's clock less the reader's.
    """

    meter_id: str
    day: str
    period_s: int
    complete: bool
    rows: list[dict[str, Any]] = field(default_factory=list)
    registers: list[dict[str, Any]] = field(default_factory=list)
    now: dict[str, Any] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    clock_offset_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> MeterDay:
        """Keys that are not known are left out. TypeError where one is missing."""
        return cls(**{key.name: record[key.name] for key in fields(cls) if key.name in record})


@dataclass
class Layouts:
    """What profiles of a meter capture, in what units: asked for once, not once a session."""

    columns: dict[str, list[readout.Column]] = field(default_factory=dict)
    units: dict[str, dict[readout.Column, Any]] = field(default_factory=dict)
    scales: dict[str, Any] = field(default_factory=dict)

    def learn(self, client: Client, profiles: Sequence[str], registers: Sequence[str]) -> None:
        """Asks for all at once that is not known of them."""
        new = [obis for obis in profiles if obis not in self.columns]
        captured = client.get_all([(7, obis, 3) for obis in new])
        columns = {
            obis: readout.columns_of(obis, found) for obis, found in zip(new, captured, strict=True)
        }
        units = readout.units_of(client, [one for found in columns.values() for one in found])
        for obis, found in columns.items():
            self.units[obis] = {one: units[one] for one in found if one in units}
            self.columns[obis] = found
        scales = [obis for obis in registers if obis not in self.scales]
        known = {one.obis: unit for one, unit in units.items() if one.class_id == 3}
        left = [obis for obis in scales if obis not in known]
        known |= zip(left, client.get_all([(3, obis, 3) for obis in left]), strict=True)
        self.scales |= {obis: known[obis] for obis in scales}


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """The local midnights at its begin and end, UTC."""
    first, following = (datetime.combine(d, time(), NORWAY) for d in (day, day + timedelta(1)))
    return first.astimezone(UTC), following.astimezone(UTC)


def read_day(
    client: Client,
    day: date,
    now: datetime,
    layouts: Layouts | None = None,
    logs: Sequence[str] = DAY_LOGS,
    passing: Callable[[], datetime] | None = None,
) -> MeterDay:
    """`client`: an association as reader; `now` is the time of whoever reads, `passing` gives it
    while it passes: without it the way to the meter counts as an error of its clock.

    Raises ClientError. `layouts` is filled, and used by the next call.
    """
    known = layouts if layouts is not None else Layouts()
    try:
        with understood(f"values of {day}"):
            return _read(client, day, now, known, logs, passing or (lambda: now))
    except ClientError:
        # Of a meter with new firmware they may be others.
        known.columns.clear()
        known.units.clear()
        known.scales.clear()
        raise


def clock_ahead(shown: datetime, asked: datetime, came: datetime) -> timedelta:
    """How far a clock is ahead that was read between two moments: nothing where the way there and
    back explains what it seems to be off."""
    half = (came - asked) / 2
    off = shown - (asked + half)
    return timedelta() if abs(off) <= half else off


def _read(
    client: Client,
    day: date,
    now: datetime,
    known: Layouts,
    logs: Sequence[str],
    passing: Callable[[], datetime],
) -> MeterDay:
    begin, end = day_bounds(day)
    of_logs = {
        name: obis for name, obis in zip(LOGS, readout.EVENT_LOGS, strict=True) if name in logs
    }
    known.learn(client, [_LOAD, *of_logs.values(), _DAILY], list(_REGISTERS.values()))
    period_s = client.get(7, _LOAD, 4)
    if not isinstance(period_s, int) or period_s < 0:
        raise ClientError("the meter's load profile has no capture period")
    after = begin + timedelta(seconds=1)
    rows = _rows(client, known, _LOAD, after, end)
    events: list[dict[str, Any]] = []
    for name, obis in of_logs.items():
        events += readout.events(client, name, obis, begin, end, captured=known.columns[obis])
    registers = _rows(client, known, _DAILY, begin, end)
    asked = passing()
    clock = parse_date_time(client.get(8, CLOCK, 2))
    ahead = clock_ahead(clock, asked, passing()) if clock else None
    return MeterDay(
        client.meter_id,
        day.isoformat(),
        period_s,
        is_complete(rows, begin, end, period_s),
        rows,
        registers,
        {"time": now.isoformat(), **_registers(client, known)},
        events,
        None if ahead is None else round(ahead.total_seconds(), 1),
    )


def _rows(
    client: Client, known: Layouts, obis: str, begin: datetime, end: datetime
) -> list[dict[str, Any]]:
    found = readout.rows(client, obis, begin, end)
    return list(readout.name_rows(obis, found, known.columns[obis], known.units[obis]))


def _registers(client: Client, known: Layouts) -> dict[str, int]:
    """In milliwatt-hours, whatever the meter's scalers."""
    values = client.get_all([(3, obis, 2) for obis in _REGISTERS.values()])
    out = {}
    for (name, obis), value in zip(_REGISTERS.items(), values, strict=True):
        scaler, _ = readout.scaler_of(known.scales[obis])
        if not isinstance(value, int) or not -9 <= scaler <= 9:
            raise ClientError(f"the meter's register {obis} is no number")
        shift = scaler + 3
        out[name] = int(value * 10**shift if shift >= 0 else value // 10**-shift)
    return out


def is_complete(
    rows: Sequence[dict[str, Any]], begin: datetime, end: datetime, period_s: int
) -> bool:
    """Whether no interval is missing between the two, a change of their length allowed for."""
    longest = period_s or _LONGEST_S
    if any(row.get("status", 0) & _PERIOD_CHANGED for row in rows):
        longest = _LONGEST_S
    last = begin
    for when in sorted(datetime.fromisoformat(row["time"]) for row in rows if row["time"]):
        if (when - last).total_seconds() > longest:
            return False
        last = max(last, when)
    return last >= end
