"""A concentrator that says at its door what none would: its visit fails, or what it brought is kept
as stores keep things; who collects goes on, and its store too."""

from __future__ import annotations

import asyncio
import copy
import os
import random
from datetime import datetime

from openams.client.meterday import MeterDay
from openams.headend.collect.plan import Plan
from openams.headend.collect.reading import of_day
from openams.headend.collect.sessions import Roads, Sessions
from openams.headend.collect.taking import Came, take_all
from openams.headend.collect.work import Work
from openams.headend.collect.writing import Writer
from openams.headend.days import day_bounds
from openams.headend.evaluate import evaluate_days
from openams.headend.register import ConcentratorRow
from openams.headend.store.jobs import CONCENTRATOR
from openams.headend.store.raw import Check
from openams.meter_time import from_utc_ms, to_utc_ms
from tests.headend.test_hostile_meter import MONDAY
from tests.headend.village import Village

NASTY = (
    None, True, -1, 0, 1 << 63, 10**30, -(10**30), 1.5, 1e308, float("nan"), float("inf"), "", "x",
    "\0", "\ud800", "a" * 5000, [], {}, [[]], "9999-12-31", "0001-01-01", "2026-01-05",
    "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "2026-01-05T10:00:00", "NaN",
    "\x1b[2J", "7359990000000006", {"a": {"b": []}},
)  # fmt: skip


def row(hour):
    return {
        "time": f"2026-01-05T{hour:02d}:00:00+01:00", "status": 0, "a_plus_mwh": 10**6 * hour,
        "a_minus_mwh": 0, "r_plus_mvarh": 0, "r_minus_mvarh": 0,
    }  # fmt: skip


def bodies(meter_id):
    day = {
        "meter_id": meter_id, "day": "2026-01-05", "period_s": 3600, "complete": True,
        "rows": [row(hour) for hour in range(1, 5)], "registers": [row(0)], "now": row(23),
        "events": [{"time": "2026-01-05T10:00:00+01:00", "log": "standard", "code": 1, "number": 4,
                    "detail": 7, "extra": None}],
        "clock_offset_s": 0.5,
    }  # fmt: skip
    alarm = {"seq": 3, "meter_id": meter_id, "time": "2026-01-05T10:00:00+01:00", "kind": "keys"}
    push = {"seq": 4, "meter_id": meter_id, "octets": "db08", "time": "2026-01-05T10:00:00+01:00"}
    told = {"meter_id": meter_id, "failures": 3, "signal_dbm": -90, "reason": "no answer"}
    return {
        "/v1/state": {"store_id": "s1"}, "/v1/days": {"days": [day], "next": 9, "more": False},
        "/v1/alarms": {"alarms": [alarm]}, "/v1/pushes": {"pushes": [push]},
        "/v1/meters": {"meters": [told]},
    }  # fmt: skip


def places(value, way=()):
    yield way
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*way, key))


def changed(rng, value):
    value = copy.deepcopy(value)
    for _ in range(rng.randrange(1, 4)):
        way = rng.choice([way for way in places(value) if way])
        inner = value
        for key in way[:-1]:
            inner = inner[key]
        if rng.random() < 0.2:
            del inner[way[-1]]
        else:
            inner[way[-1]] = copy.deepcopy(rng.choice(NASTY))
        if not [way for way in places(value) if way]:
            break
    return value


class Door:
    def __init__(self, said):
        self.said = said

    async def get(self, path):
        found = self.said.get(path.partition("?")[0])
        return found if isinstance(found, dict) else {}

    async def post(self, path, order):
        return {}


def test_whatever_it_says_the_store_stands(store, tmp_path):
    village = Village(tmp_path, store, 2)
    village.clock.advance_to(day_bounds(MONDAY)[1] + 3_600_000)
    now = village.clock.now_ms()
    rng = random.Random(int(os.environ.get("OPENAMS_SEED", "1")))
    good = bodies(village.ids[0])
    concentrator = ConcentratorRow("C0001", "mesh", "http://127.0.0.1:1")
    writer = Writer(store, Plan(), 1)
    outcomes = set()
    for number in range(int(os.environ.get("OPENAMS_LIES", "400"))):
        said = changed(rng, good) if number else good

        class Through(Roads):
            def door(self, row, said=said):
                return Door(said)

        store.add_turns([(CONCENTRATOR, "C0001", "", now)])
        (turn,) = store.take_turns("c", now + 10 * number, 1, 8, 1000)
        work = Work(turn, "c", 0, 60_000, concentrator)
        out = asyncio.run(Sessions(village.readers, Through(), lambda: now).do(work))
        assert "the session broke" not in out.error, (number, out.error)
        writer.write([out], now)
        outcomes.add(out.outcome)
        store.run("DELETE FROM turn")
    assert len(outcomes) > 1
    assert sum(evaluate_days(store, MONDAY, from_utc_ms(now)).values())
    assert store.notices()


def test_a_clock_was_read_when_the_concentrator_read_it(store, tmp_path):
    """Its days may wait there for long: where a meter's clock stood then says nothing of now."""
    village = Village(tmp_path, store, 1)
    (day,) = bodies(village.ids[0])["/v1/days"]["days"]
    read, now = to_utc_ms(datetime.fromisoformat(day["now"]["time"])), day_bounds(MONDAY)[1] + 10**8
    later = copy.deepcopy(day)
    later["now"]["time"], later["clock_offset_s"] = "2026-01-06T01:00:00+01:00", -3600
    came = []
    for one in (day, later):
        got = of_day(MeterDay.from_json(one), "C0001", now)
        came.append(Came(village.ids[0], got, "C0001", (), None))
    with store.transaction():
        take_all(store, came, now)
    (checks,) = store.clock_checks(village.ids, 0, now).values()
    assert checks == [Check(read, 500), Check(read + 7_200_000, -3_600_000)]
