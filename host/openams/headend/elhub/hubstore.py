"""What the stand-in keeps: points, values, messages that came, and what waits to be polled.

One SQLite file; a request is one transaction. Values are rows of a series and day.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from openams.headend.elhub.build import MINUTES
from openams.headend.elhub.model import Quantity, Series
from openams.headend.elhub.rules import PointTerms
from openams.headend.vee.calendar import midnight, starts
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

_SCHEMA = """
CREATE TABLE IF NOT EXISTS point(gsrn TEXT, from_ms INTEGER, to_ms INTEGER, party TEXT,
    directions TEXT, resolution_min INTEGER, settled INTEGER, PRIMARY KEY (gsrn, from_ms));
CREATE TABLE IF NOT EXISTS value_day(gsrn TEXT, direction TEXT, day TEXT, resolution_min INTEGER,
    wh BLOB, registered BLOB, inserted BLOB, quality TEXT,
    PRIMARY KEY (gsrn, direction, day)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message(message_id TEXT PRIMARY KEY, sender TEXT, process TEXT,
    at_ms INTEGER, series INTEGER, refused INTEGER);
CREATE TABLE IF NOT EXISTS refusal(message_id TEXT, series_id TEXT, gsrn TEXT, begin_ms INTEGER,
    rule INTEGER, code TEXT, at_ms INTEGER);
CREATE TABLE IF NOT EXISTS waiting(number INTEGER PRIMARY KEY, sender TEXT, ready_ms INTEGER,
    body BLOB, poll_id TEXT);
CREATE INDEX IF NOT EXISTS waiting_for ON waiting(sender, ready_ms);
CREATE TABLE IF NOT EXISTS period_volume(gsrn TEXT, begin_ms INTEGER, end_ms INTEGER, wh INTEGER,
    body TEXT, at_ms INTEGER);
CREATE TABLE IF NOT EXISTS reminded(day TEXT, number INTEGER, PRIMARY KEY (day, number));
"""
_NONE = -1  # of a time: the value is not there


@dataclass(frozen=True, slots=True)
class HubPoint:
    """A metering point as the hub knows it."""

    gsrn: str
    party: str
    directions: tuple[str, ...]
    resolution_min: int
    begin: datetime
    end: datetime | None = None
    interval_settled: bool = True


@dataclass(slots=True)
class Held:
    """A local day of one direction; times are ms since 2000, -1 where there is no value."""

    resolution_min: int
    wh: array[int]
    registered: array[int]
    inserted: array[int]
    quality: list[list[str | None]]  # state, V, E

    @staticmethod
    def empty(day: date, resolution_min: int) -> Held:
        count = len(starts(day, resolution_min))
        no = [_NONE] * count
        return Held(
            resolution_min, array("q", [0] * count), array("q", no), array("q", no), [[]] * count
        )

    @property
    def complete(self) -> bool:
        return _NONE not in self.registered


class HubStore:
    """A Register (rules.Register) with a memory."""

    def __init__(self, path: Path | None) -> None:
        # The server answers from several threads, one at a time.
        self._db = sqlite3.connect(
            ":memory:" if path is None else path, isolation_level=None, check_same_thread=False
        )
        if path is not None:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def begin(self) -> None:
        self._db.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # --- points --------------------------------------------------------------------------

    def add_points(self, points: Iterable[HubPoint]) -> None:
        rows = (
            (
                one.gsrn,
                to_utc_ms(one.begin),
                None if one.end is None else to_utc_ms(one.end),
                one.party,
                " ".join(one.directions),
                one.resolution_min,
                int(one.interval_settled),
            )
            for one in points
        )
        self.begin()
        self._db.executemany("INSERT OR REPLACE INTO point VALUES(?,?,?,?,?,?,?)", rows)
        self.commit()

    def terms(self, point: str, at: datetime) -> PointTerms | None:
        row = self._db.execute(
            "SELECT party, directions, resolution_min, settled FROM point WHERE gsrn=? AND"
            " from_ms<=? AND (to_ms IS NULL OR to_ms>?) ORDER BY from_ms DESC LIMIT 1",
            (point, to_utc_ms(at), to_utc_ms(at)),
        ).fetchone()
        return row and PointTerms(row[0], tuple(row[1].split()), row[2], bool(row[3]))

    def expected(self, at: datetime) -> Iterator[tuple[str, str, str, int]]:
        """(party, point, direction, minutes) of all that is settled by intervals at a moment."""
        ms = to_utc_ms(at)
        for party, gsrn, directions, minutes in self._db.execute(
            "SELECT party, gsrn, directions, resolution_min FROM point WHERE settled=1 AND"
            " from_ms<=? AND (to_ms IS NULL OR to_ms>?) ORDER BY party, gsrn",
            (ms, ms),
        ):
            for direction in directions.split():
                yield party, gsrn, direction, minutes

    # --- values --------------------------------------------------------------------------

    def day(self, point: str, direction: str, day: date) -> Held | None:
        row = self._db.execute(
            "SELECT resolution_min, wh, registered, inserted, quality FROM value_day"
            " WHERE gsrn=? AND direction=? AND day=?",
            (point, direction, day.isoformat()),
        ).fetchone()
        if row is None:
            return None
        wh, registered, inserted = (array("q", blob) for blob in row[1:4])
        return Held(row[0], wh, registered, inserted, json.loads(row[4]))

    def complete_days(self, day: date) -> set[tuple[str, str]]:
        """(point, direction) of all that have every value of a day."""
        return {
            (gsrn, direction)
            for gsrn, direction, registered in self._db.execute(
                "SELECT gsrn, direction, registered FROM value_day WHERE day=?", (day.isoformat(),)
            )
            if _NONE not in array("q", registered)
        }

    def holds(self, series: Series) -> tuple[datetime | None, ...]:
        out: list[datetime | None] = []
        for day, first, count in _days_of(series):
            held = self.day(series.point, series.direction or "", day)
            if held is None or held.resolution_min != MINUTES[series.resolution or ""]:
                out += [None] * count
            else:
                part = held.registered[first : first + count]
                out += [None if ms == _NONE else from_utc_ms(ms) for ms in part]
        return tuple(out)

    def has_day(self, point: str, direction: str, begin: datetime, end: datetime) -> bool:
        held = self.day(point, direction, begin.astimezone(NORWAY).date())
        return held is not None and held.complete

    def put(self, series: Series, now: datetime) -> None:
        """Takes the values of a series that nothing speaks against."""
        at, minutes = 0, MINUTES[series.resolution or ""]
        for day, first, count in _days_of(series):
            held = self.day(series.point, series.direction or "", day)
            if held is None or held.resolution_min != minutes:
                held = Held.empty(day, minutes)
            values = series.values[at : at + count]
            part = slice(first, first + count)
            held.wh[part] = array("q", [value.wh for value in values])
            held.registered[part] = array("q", [to_utc_ms(series.registered)] * count)
            held.inserted[part] = array("q", [to_utc_ms(now)] * count)
            held.quality[part] = [list(value[1:]) for value in values]
            self._db.execute(
                "INSERT OR REPLACE INTO value_day VALUES(?,?,?,?,?,?,?,?)",
                (
                    series.point,
                    series.direction,
                    day.isoformat(),
                    minutes,
                    held.wh.tobytes(),
                    held.registered.tobytes(),
                    held.inserted.tobytes(),
                    json.dumps(held.quality),
                ),
            )
            at += count

    def put_period(self, series: Series, now: datetime) -> None:
        assert series.profiled is not None and series.begin is not None and series.end is not None
        self._db.execute(
            "INSERT INTO period_volume VALUES(?,?,?,?,?,?)",
            (
                series.point,
                to_utc_ms(series.begin),
                to_utc_ms(series.end),
                series.profiled.wh,
                json.dumps([*series.readings, series.profiled.reason, series.profiled.stipulated]),
                to_utc_ms(now),
            ),
        )

    def values(self, point: str, direction: str, day: date) -> tuple[Quantity | None, ...] | None:
        """What the hub holds of a day; None: nothing."""
        held = self.day(point, direction, day)
        if held is None:
            return None
        return tuple(
            None if ms == _NONE else Quantity(wh, *quality)  # type: ignore[arg-type]
            for wh, ms, quality in zip(held.wh, held.registered, held.quality, strict=True)
        )

    def days(self, point: str) -> list[tuple[str, date]]:
        """(direction, day) of all that there is of a point."""
        return [
            (direction, date.fromisoformat(day))
            for direction, day in self._db.execute(
                "SELECT direction, day FROM value_day WHERE gsrn=? ORDER BY day, direction DESC",
                (point,),
            )
        ]

    # --- messages ------------------------------------------------------------------------

    def knows(self, message_id: str) -> bool:
        found = self._db.execute("SELECT 1 FROM message WHERE message_id=?", (message_id,))
        return found.fetchone() is not None

    def took(self, message_id: str, sender: str, process: str, now: datetime, *counts: int) -> None:
        self._db.execute(
            "INSERT INTO message VALUES(?,?,?,?,?,?)",
            (message_id, sender, process, to_utc_ms(now), *counts),
        )

    def refused(self, message_id: str, series: Series, rule: int, code: str, at: datetime) -> None:
        begin = None if series.begin is None else to_utc_ms(series.begin)
        self._db.execute(
            "INSERT INTO refusal VALUES(?,?,?,?,?,?,?)",
            (message_id, series.series_id, series.point, begin, rule, code, to_utc_ms(at)),
        )

    def wait(self, sender: str, ready: datetime, body: bytes) -> None:
        self._db.execute(
            "INSERT INTO waiting(sender, ready_ms, body) VALUES(?,?,?)",
            (sender, to_utc_ms(ready), body),
        )

    def poll(self, sender: str, now: datetime, poll_id: str, most: int) -> tuple[str, list[bytes]]:
        """What was polled and not yet acknowledged, again; else what waits, under the new id."""
        found = self._db.execute(
            "SELECT poll_id FROM waiting WHERE sender=? AND poll_id IS NOT NULL LIMIT 1", (sender,)
        ).fetchone()
        if found is None:
            self._db.execute(
                "UPDATE waiting SET poll_id=? WHERE number IN (SELECT number FROM waiting"
                " WHERE sender=? AND ready_ms<=? ORDER BY number LIMIT ?)",
                (poll_id, sender, to_utc_ms(now), most),
            )
        else:
            (poll_id,) = found
        rows = self._db.execute(
            "SELECT body FROM waiting WHERE poll_id=? AND sender=? ORDER BY number",
            (poll_id, sender),
        )
        return poll_id, [body for (body,) in rows]

    def taken(self, sender: str, poll_id: str) -> None:
        self._db.execute("DELETE FROM waiting WHERE sender=? AND poll_id=?", (sender, poll_id))

    def remind_once(self, day: date, number: int) -> bool:
        """Whether the reminder of a day is now to be sent: once."""
        found = self._db.execute(
            "INSERT OR IGNORE INTO reminded VALUES(?,?)", (day.isoformat(), number)
        )
        return found.rowcount == 1

    def figures(self) -> dict[str, int]:
        (messages, series, refused) = self._db.execute(
            "SELECT COUNT(*), COALESCE(SUM(series),0), COALESCE(SUM(refused),0) FROM message"
        ).fetchone()
        (days,) = self._db.execute("SELECT COUNT(*) FROM value_day").fetchone()
        return {
            "messages": messages,
            "series": series,
            "refused": refused,
            "accepted": series - refused,
            "series_days": days,
        }

    def refusals(self) -> Sequence[tuple[str, int, str]]:
        """(point, rule, code) of all that was refused."""
        return self._db.execute("SELECT gsrn, rule, code FROM refusal ORDER BY rowid").fetchall()


def _days_of(series: Series) -> Iterator[tuple[date, int, int]]:
    """(local day, first interval in it, number of intervals) of a series that is sound."""
    assert series.begin is not None and series.end is not None
    step = timedelta(minutes=MINUTES[series.resolution or ""])
    at = series.begin
    while at < series.end:
        day = at.astimezone(NORWAY).date()
        until = min(series.end, midnight(day + timedelta(days=1)))
        yield day, (at - midnight(day)) // step, (until - at) // step
        at = until
