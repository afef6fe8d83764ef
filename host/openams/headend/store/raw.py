"""What came from meters, as it came: it is added to and never changed.

A row that comes again as it was is left out; one that comes with another value is kept beside the
first, and validation chooses.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from openams.headend.days import ended_day_number
from openams.headend.store.core import Core
from openams.headend.store.packing import pack_columns, unpack_columns


class IntervalRow(NamedTuple):
    """Energy of one interval as the meter counted it, by its end: s since 2000-01-01Z."""

    end_s: int
    period_s: int
    status: int
    plus_mwh: int
    minus_mwh: int
    r_plus_mvarh: int = 0
    r_minus_mvarh: int = 0


class Part(NamedTuple):
    """Rows that came together, of one meter and local day."""

    part: int
    at_ms: int
    source: str
    rows: tuple[IntervalRow, ...]


class RegisterReading(NamedTuple):
    """Cumulative registers at a moment. `source`: meter, push, concentrator; visit, portal, sms."""

    meter_id: str
    at_ms: int
    plus_mwh: int | None
    minus_mwh: int | None
    status: int
    source: str
    got_ms: int


class Check(NamedTuple):
    """How far a meter's clock was ahead when it was read."""

    at_ms: int
    ahead_ms: int


class Event(NamedTuple):
    meter_id: str
    log: str
    number: int
    at_ms: int
    code: int
    detail: int | None
    extra: int | None
    got_ms: int
    source: str


def pack_rows(rows: Sequence[IntervalRow]) -> bytes:
    columns = list(zip(*rows, strict=True))
    ends = columns[0]
    steps = [ends[0], *(now - was for was, now in zip(ends, ends[1:], strict=False))]
    # The first end apart: the steps are all alike.
    return pack_columns([[ends[0]] * len(ends), [*steps[1:], 0], *columns[1:]])


def unpack_rows(data: bytes) -> tuple[IntervalRow, ...]:
    first, steps, *rest = unpack_columns(data)
    ends, at = [], first[0]
    for step in steps:
        ends.append(at)
        at += step
    return tuple(map(IntervalRow._make, zip(ends, *rest, strict=True)))


Rows = dict[int, IntervalRow]
DayRows = dict[tuple[str, int], set[IntervalRow]]


class RawStore(Core):
    def add_intervals(
        self, items: Iterable[tuple[str, Sequence[IntervalRow]]], source: str, at_ms: int
    ) -> set[tuple[str, int]]:
        """Rows of meters; the (meter, day) that have something new by them."""
        wanted = [(meter_id, rows, source) for meter_id, rows in items]
        return self.retried(lambda: self.add_rows(wanted, at_ms)[0])

    def add_rows(
        self, items: Iterable[tuple[str, Sequence[IntervalRow], str]], at_ms: int
    ) -> tuple[set[tuple[str, int]], DayRows]:
        """Amid a transaction: rows of (meter, rows, source); the (meter, day) that have something
        new by them, and all that the store now has of those that were named. ClashError where
        somebody else writes the same at the same time."""
        new: dict[tuple[str, int], Rows] = defaultdict(dict)
        sources: dict[tuple[str, int], str] = {}
        for meter_id, rows, source in items:
            for row in rows:
                key = meter_id, ended_day_number((row.end_s - 1) // 3600)
                new[key][row.end_s] = row
                sources[key] = source
        if not new:
            return set(), {}
        self.database.open_days({day for _, day in new})
        self.need_transaction()
        there = self._parts(new)
        known: DayRows = {}
        added = []
        for (meter_id, day), of_day in sorted(new.items()):
            parts = there.get((meter_id, day), [])
            known[meter_id, day] = {row for part in parts for row in part.rows}
            fresh = [row for _, row in sorted(of_day.items()) if row not in known[meter_id, day]]
            if fresh:
                number, source = len(parts) + 1, sources[meter_id, day]
                added.append((day, meter_id, number, at_ms, source, pack_rows(fresh)))
                known[meter_id, day].update(fresh)
        columns = ("day", "meter_id", "part", "at_ms", "source", "rows")
        self.database.put_rows("collected", columns, added, fresh=True)
        return {(row[1], row[0]) for row in added}, known

    def _parts(self, wanted: Iterable[tuple[str, int]]) -> dict[tuple[str, int], list[Part]]:
        by_day: dict[int, list[str]] = defaultdict(list)
        for meter_id, day in wanted:
            by_day[day].append(meter_id)
        out: dict[tuple[str, int], list[Part]] = {}
        for day, meters in by_day.items():
            for meter_id, parts in self.intervals(day, meters).items():
                out[meter_id, day] = parts
        return out

    def intervals(self, day: int, meter_ids: Sequence[str]) -> dict[str, list[Part]]:
        """What came of meters for a local day, first part first."""
        out: dict[str, list[Part]] = defaultdict(list)
        for meter_id, part, at_ms, source, rows in self.by_key(
            "SELECT meter_id, part, at_ms, source, rows FROM collected "
            "WHERE day = ? AND meter_id IN (?*) ORDER BY meter_id, part",
            list(meter_ids),
            day,
        ):
            out[meter_id].append(Part(part, at_ms, source, unpack_rows(rows)))
        return dict(out)

    # --- registers -----------------------------------------------------------------------

    def add_readings(self, readings: Iterable[RegisterReading]) -> int:
        """Readings of registers; how many were not there."""
        wanted = sorted(set(readings), key=lambda one: (one.meter_id, one.at_ms))
        return self.retried(lambda: self._add_readings(wanted)) if wanted else 0

    def _add_readings(self, wanted: Sequence[RegisterReading]) -> int:
        there: dict[tuple[str, int], list[tuple[int | None, int | None]]] = defaultdict(list)
        low, high = min(one.at_ms for one in wanted), max(one.at_ms for one in wanted)
        for meter_id, at_ms, plus, minus in self.by_key(
            "SELECT meter_id, at_ms, plus_mwh, minus_mwh FROM reading "
            "WHERE at_ms BETWEEN ? AND ? AND meter_id IN (?*)",
            sorted({one.meter_id for one in wanted}),
            low,
            high,
        ):
            there[meter_id, at_ms].append((plus, minus))
        rows = []
        for one in wanted:
            known = there[one.meter_id, one.at_ms]
            if (one.plus_mwh, one.minus_mwh) not in known:
                known.append((one.plus_mwh, one.minus_mwh))
                rows.append((*one, len(known)))
        self.database.put_rows("reading", (*RegisterReading._fields, "part"), rows, fresh=True)
        return len(rows)

    def readings(
        self,
        meter_ids: Sequence[str],
        begin_ms: int,
        end_ms: int,
        sources: Sequence[str] | None = None,
    ) -> list[RegisterReading]:
        """Of a time, both ends included, in order of meter, moment and arrival."""
        rows = self.by_key(
            f"SELECT {', '.join(RegisterReading._fields)} FROM reading "
            "WHERE at_ms BETWEEN ? AND ? AND meter_id IN (?*) ORDER BY meter_id, at_ms, part",
            list(meter_ids),
            begin_ms,
            end_ms,
        )
        found = [RegisterReading(*row) for row in rows]
        return found if sources is None else [one for one in found if one.source in sources]

    def last_words(
        self, meter_ids: Sequence[str], begin_ms: int, end_ms: int
    ) -> list[tuple[str, int]]:
        """(meter, moment) of what modules said as their supply fell, in order."""
        rows = self.by_key(
            "SELECT meter_id, at_ms, body FROM alarm WHERE at_ms BETWEEN ? AND ? "
            "AND meter_id IN (?*)",
            list(meter_ids),
            begin_ms,
            end_ms,
        )
        return sorted(
            (meter_id, at_ms)
            for meter_id, at_ms, body in rows
            if json.loads(body).get("kind") == "power-lost"
        )

    # --- clocks ---------------------------------------------------------------------------

    def clock_checks(
        self, meter_ids: Sequence[str], begin_ms: int, end_ms: int
    ) -> dict[str, list[Check]]:
        """How far the clocks of meters were ahead when they were read in a time, in order."""
        out: dict[str, list[Check]] = defaultdict(list)
        for meter_id, at_ms, ahead_ms in self.by_key(
            "SELECT meter_id, at_ms, ahead_ms FROM clock_check WHERE at_ms BETWEEN ? AND ? "
            "AND meter_id IN (?*) ORDER BY meter_id, at_ms",
            list(meter_ids),
            begin_ms,
            end_ms,
        ):
            out[meter_id].append(Check(at_ms, ahead_ms))
        return out

    # --- events --------------------------------------------------------------------------

    def add_events(self, events: Iterable[Event]) -> None:
        self.put_rows("event", Event._fields, sorted(set(events)))

    def events(
        self, meter_ids: Sequence[str], begin_ms: int, end_ms: int, log: str | None = None
    ) -> list[Event]:
        """Of a time, both ends included, in order."""
        rows = self.by_key(
            f"SELECT {', '.join(Event._fields)} FROM event "
            "WHERE at_ms BETWEEN ? AND ? AND meter_id IN (?*)",
            list(meter_ids),
            begin_ms,
            end_ms,
        )
        found = (Event(*row) for row in rows)
        return sorted(
            (one for one in found if log is None or one.log == log),
            key=lambda one: (one.meter_id, one.at_ms, one.number),
        )
