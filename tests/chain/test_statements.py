"""What the head-end asks of its store does not go through all that the store has ever had."""

from __future__ import annotations

import asyncio
import re
import sqlite3

from openams.chain import course as courses
from openams.chain.course import Wanted
from openams.field.faults import Rates
from openams.headend.report.health import metrics
from openams.headend.store.sqlite import SqliteDatabase
from openams.meter_time import from_utc_ms

# They grow with meters and with days.
GROWING = ("attempt", "bus_message", "delivery", "event", "job", "message", "reading", "revision",
           "turn", "value_day")  # fmt: skip
# One row a message of 9 999 series, looked at once a step; volumes of periods by their own index.
FEW = ("SCAN message", "SCAN delivery USING INDEX delivery_of_period")


def whole(step):
    """Whether a step of SQLite's plan reads all of a table that grows, or all days of its jobs."""
    if step.startswith(FEW):
        return False
    scanned = re.match(r"SCAN (\w+)", step)
    return bool(
        (scanned and scanned[1] in GROWING)
        or re.search(r"USING (COVERING )?INDEX job_\w+ \(kind=\?\)", step)
    )


def test_nothing_reads_all_jobs_turns_or_revisions_on_a_day_of_a_centre(tmp_path, monkeypatch):
    asked = {}
    execute = SqliteDatabase.execute

    def noted(self, sql, params=()):
        asked[re.sub(r"\?(, \?)+", "?, ?", sql)] = sql
        return execute(self, sql, params)

    monkeypatch.setattr(SqliteDatabase, "execute", noted)
    store = tmp_path / "headend.db"
    rates = Rates(0.2, 0.1)
    wanted = Wanted(meters=8, days=1, seed=3, store=str(store), rates=rates)
    with courses.opened(wanted, tmp_path, lambda progress, store: None) as course:
        asyncio.run(course.run())
        text = metrics(course.store, from_utc_ms(course.clock.now_ms()))
    assert 'openams_jobs{kind="day"' in text
    found = []
    with sqlite3.connect(store) as database:
        for sql in asked.values():
            if sql.lstrip()[:6].upper() not in ("SELECT", "UPDATE", "DELETE", "INSERT"):
                continue
            plan = database.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * sql.count("?"))
            found += [(step, sql) for *_, step in plan if whole(step)]
    assert len(asked) > 60
    assert not found, "\n".join(f"{step}: {sql}" for step, sql in found)
