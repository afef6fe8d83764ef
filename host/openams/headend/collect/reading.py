"""What one session brings from a meter: rows by range, registers at midnights, events, clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from openams.client import readout
from openams.client.data import date_time, parse_date_time
from openams.client.errors import ClientError, understood
from openams.client.firmware_names import LOGS
from openams.client.meterday import MeterDay, clock_ahead
from openams.client.names import CLOCK, range_selection
from openams.client.readout import EVENT_LOGS, PROFILES, Column
from openams.headend.collect.link import Reader
from openams.headend.days import day_bounds
from openams.headend.store import Event, IntervalRow, RegisterReading
from openams.meter_time import from_utc_ms, to_utc_ms

_LOAD, _DAILY, _STANDARD = PROFILES["load"], PROFILES["daily"], EVENT_LOGS[0]
_PERIODS_S = (900, 3600)
_PERIOD_CHANGED = 0x0400
# Rows at a time: a torn link costs no more than that.
_DAYS_AT_ONCE = 5
# More than any register of a meter has, and its status word; less than a column of a store holds.
_MOST, _STATUS_MOST = 1 << 62, (1 << 31) - 1
# From when until when something was asked for, ms; of what came by others' hands it is anything
# that is a time.
Span = tuple[int, int]
ALWAYS: Span = (0, 1 << 47)


@dataclass
class Got:
    """All of a session, as the store takes it."""

    rows: list[IntervalRow] = field(default_factory=list)
    readings: list[RegisterReading] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    ahead_ms: int | None = None
    period_s: int = 0
    # Up to here the meter has said all that it has, of the days that were asked for.
    until_ms: int = 0
    # When the clock was read that is so far ahead; 0: as all of it came.
    looked_ms: int = 0

    def __bool__(self) -> bool:
        return bool(self.rows or self.readings or self.events or self.ahead_ms is not None)


@dataclass
class Layout:
    """What a profile captures, and in what units; asked for once of a meter."""

    columns: list[Column]
    units: dict[Column, Any]


Layouts = dict[str, Layout]


async def read(
    meter_id: str,
    reader: Reader,
    days: Sequence[Any],
    events_from_ms: int,
    now_ms: int,
    layouts: Layouts,
    got: Got,
) -> None:
    """Reads days (dates, in order) into `got`; what came before a link fell is in there, and of
    what no meter says nothing. Raises ClientError.

    `now_ms`: when the session began.
    """
    with understood("values"):
        asked_ms = reader.link.spent_ms
        clock = parse_date_time(await reader.get(8, CLOCK, 2))
        if clock is not None:
            asked, came = (
                from_utc_ms(now_ms + spent) for spent in (asked_ms, reader.link.spent_ms)
            )
            got.ahead_ms = round(clock_ahead(clock, asked, came) / timedelta(milliseconds=1))
        period_s = await reader.get(7, _LOAD, 4)
        if not isinstance(period_s, int) or period_s not in _PERIODS_S:
            raise ClientError(f"the meter's load profile has a capture period of {period_s} s")
        got.period_s = period_s
        for span in _spans(days):
            begin, end = day_bounds(span[0])[0], min(day_bounds(span[-1])[1], now_ms)
            registers = await _named(reader, _DAILY, begin, end, layouts)
            got.readings += _readings(meter_id, registers, "meter", now_ms, (begin, end))
            # Ranges have both ends: the row that ends at midnight is of the day before.
            found = await _named(reader, _LOAD, begin + 1000, end, layouts)
            got.rows += interval_rows(found, period_s, (begin + 1000, end))
            got.until_ms = end
        # By its own clock, which may be ahead.
        until_ms = now_ms + max(0, got.ahead_ms or 0)
        for row in await _named(reader, _STANDARD, events_from_ms, until_ms, layouts):
            event = _event(meter_id, "standard", row, "meter", now_ms, (events_from_ms, until_ms))
            if event is not None:
                got.events.append(event)


def _spans(days: Sequence[Any]) -> list[list[Any]]:
    """Days that follow each other, a few at a time."""
    out: list[list[Any]] = []
    for day in days:
        last = out[-1] if out else []
        if last and day - last[-1] == timedelta(days=1) and len(last) < _DAYS_AT_ONCE:
            last.append(day)
        else:
            out.append([day])
    return out


async def _named(
    reader: Reader, obis: str, begin_ms: int, end_ms: int, layouts: Layouts
) -> list[dict[str, Any]]:
    if begin_ms > end_ms:
        return []
    if obis not in layouts:
        layouts[obis] = await _layout(reader, obis)
    layout = layouts[obis]
    begin, end = date_time(from_utc_ms(begin_ms)), date_time(from_utc_ms(end_ms))
    rows = await reader.get(7, obis, 2, range_selection((8, CLOCK, 2), begin, end))
    if not isinstance(rows, list):
        raise ClientError(f"the buffer of {obis} is no list")
    try:
        return list(readout.name_rows(obis, rows, layout.columns, layout.units))
    except ClientError:
        # Of new firmware it may be another: the next session asks again.
        layouts.clear()
        raise ClientError(f"{obis} has rows that are not what it captures") from None


async def _layout(reader: Reader, obis: str) -> Layout:
    columns = readout.columns_of(obis, await reader.get(7, obis, 3))
    wanted = readout.with_units(columns)
    units = await reader.get_all(list(wanted.values()))
    return Layout(columns, dict(zip(wanted, units, strict=True)))


# --- rows as the store has them ------------------------------------------------------------


@lru_cache(maxsize=8192)
def _ms(text: str) -> int:
    """Of a moment; meters end their intervals at the same ones."""
    return to_utc_ms(datetime.fromisoformat(text))


def stored_number(value: Any, most: int = _MOST, least: int = 0) -> int | None:
    """What others say is a number, if it is one that a store has room for."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and least <= value <= most else None


class _Sane(NamedTuple):
    at_ms: int
    status: int
    plus_mwh: int
    minus_mwh: int


def _sane(row: Mapping[str, Any], asked: Span) -> _Sane | None:
    """Time, status and registers of a row; None for one that can no longer be read, which has no
    time, and for one that no meter has, or that nobody asked for."""
    plus, minus = stored_number(row.get("a_plus_mwh")), stored_number(row.get("a_minus_mwh"))
    status = stored_number(row.get("status") or 0, _STATUS_MOST)
    if row.get("time") is None or plus is None or minus is None or status is None:
        return None
    at_ms = _ms(row["time"])
    return _Sane(at_ms, status, plus, minus) if asked[0] <= at_ms <= asked[1] else None


def interval_rows(
    rows: Iterable[dict[str, Any]], period_s: int, asked: Span = ALWAYS
) -> list[IntervalRow]:
    """Rows of the load profile with their periods: before a mark of change it was the other one."""
    out = []
    changed = 0
    for row in rows:
        if (sane := _sane(row, asked)) is None:
            continue
        changed |= sane.status & _PERIOD_CHANGED
        out.append(IntervalRow(
            sane.at_ms // 1000, period_s, sane.status, sane.plus_mwh, sane.minus_mwh,
            stored_number(row.get("r_plus_mvarh")) or 0,
            stored_number(row.get("r_minus_mvarh")) or 0,
        ))  # fmt: skip
    if not changed:
        return out
    now_s = period_s
    for k in range(len(out) - 1, -1, -1):
        out[k] = out[k]._replace(period_s=now_s)
        if out[k].status & _PERIOD_CHANGED:
            now_s = sum(_PERIODS_S) - now_s
    return out


def _readings(
    meter_id: str, rows: Iterable[dict[str, Any]], source: str, now_ms: int, asked: Span = ALWAYS
) -> list[RegisterReading]:
    found = (sane for row in rows if (sane := _sane(row, asked)) is not None)
    return [
        RegisterReading(meter_id, at_ms, plus, minus, status, source, now_ms)
        for at_ms, status, plus, minus in found
    ]


def _event(
    meter_id: str, log: str, row: dict[str, Any], source: str, now_ms: int, asked: Span = ALWAYS
) -> Event | None:
    """Of a row with the names of its columns, or of one that `readout.events` has named."""
    code, number = row.get("code"), row.get("number")
    detail, extra = row.get("detail"), row.get("extra")
    for name, value in row.items():
        if code is None and name.startswith("0.0.96.11."):
            code = value
        elif number is None and name.startswith("0.0.96.15."):
            number = value
        elif detail is None and name.startswith("0.0.128.2."):
            detail = value
        elif extra is None and name.startswith("0.0.128.3."):
            extra = value
    if row.get("time") is None or (code := stored_number(code, 0xFFFF)) is None:
        return None
    at_ms = _ms(row["time"])
    if not asked[0] <= at_ms <= asked[1]:
        return None
    detail, extra = (stored_number(value, least=-_MOST) for value in (detail, extra))
    return Event(
        meter_id, log, stored_number(number) or 0, at_ms, code, detail, extra, now_ms, source
    )


def of_day(day: MeterDay, source: str, now_ms: int) -> Got:
    """What a concentrator has read of a day, as if it had been read here. Raises ValueError and
    the like for what is no day."""
    named = isinstance(day.meter_id, str) and day.meter_id.isalnum() and len(day.meter_id) <= 64
    if not named or stored_number(day.period_s, 86_400) is None:
        raise ValueError("a day of no meter, or of no period")
    got = Got(interval_rows(day.rows, day.period_s), period_s=day.period_s, until_ms=now_ms)
    now = [day.now] if day.now else []
    got.readings = _readings(day.meter_id, [*day.registers, *now], source, now_ms)
    for row in day.events:
        log = row.get("log") if row.get("log") in LOGS else "standard"
        event = _event(day.meter_id, str(log), row, source, now_ms)
        if event is not None:
            got.events.append(event)
    if day.clock_offset_s is not None:
        got.ahead_ms = max(-_MOST, min(_MOST, round(1000 * day.clock_offset_s)))
        # It may have waited there for long.
        got.looked_ms = max(0, min(now_ms, _ms(day.now["time"]))) if day.now else 0
    return got
