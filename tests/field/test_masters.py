"""Concentrators of a field in its virtual time: what they collect, their faults, the way in."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from fieldbench import BEGIN_MS, DAY_MS, HOUR_MS, keystore

from openams.client.client import session
from openams.client.errors import LateError
from openams.client.links import Url
from openams.concentrator.clock import VirtualClock
from openams.field.field import Field
from openams.field.masters import FieldMasters
from openams.field.meters import make_plan
from openams.field.nets import make_nets
from openams.keys.handover import give_readers
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, from_utc_ms

PLAN = make_plan(
    4, 3, begin_ms=BEGIN_MS, shares={"mesh": 0.5, "plc": 0.5}, per_master=2, period_min=60
)
MESH, PLC = (master.master_id for master in PLAN.masters)
BEHIND = {m: [s.meter_id for s in PLAN.meters if s.master == m] for m in (MESH, PLC)}


def day(k):
    """The local date of day k of the field."""
    return (from_utc_ms(BEGIN_MS).astimezone(NORWAY) + timedelta(days=k)).date().isoformat()


@pytest.fixture
def living(tmp_path):
    """(field, its concentrators, its keys); closed at last."""
    keys = keystore(tmp_path)
    field = Field(PLAN, keys, tmp_path / "ledger", nets=make_nets(PLAN, 3))
    keys.ensure([spec.meter_id for spec in PLAN.meters])
    readers = {}
    for master_id, numbers in BEHIND.items():
        readers[master_id] = Keystore(tmp_path / f"{master_id}.keys", b"c", scrypt_n=2)
        give_readers(keys, readers[master_id], numbers)
    masters = FieldMasters(field, readers, tmp_path / "masters")
    yield field, masters, keys
    masters.close()
    field.close()


def live(field, masters, until_ms):
    masters.work(until_ms)
    field.advance_to(until_ms)


def collected(masters, master_id):
    return masters.masters[master_id].concentrator.days()


def test_they_collect_what_the_meters_truly_counted_in_the_time_that_it_takes(living):
    field, masters, _ = living
    live(field, masters, BEGIN_MS + DAY_MS)
    live(field, masters, BEGIN_MS + DAY_MS + 7 * HOUR_MS)
    field.settle()
    took = {}
    for master_id, numbers in BEHIND.items():
        days = [s for s in collected(masters, master_id) if s.day.day == day(0)]
        assert sorted(stored.day.meter_id for stored in days) == sorted(numbers)
        for stored in days:
            assert stored.day.complete and abs(stored.day.clock_offset_s) < 60
        took[master_id] = max(s.read_ms for s in days) - (BEGIN_MS + DAY_MS + 5 * 60_000)
        states = masters.masters[master_id].concentrator.meters()
        assert {state.state for state in states} <= {"ok", "waiting"}
        assert all(-127 < state.signal_dbm < 0 for state in states)
    assert all(ms > 10_000 for ms in took.values()), "a slow net takes its time"
    for master_id in BEHIND:
        for stored in (s for s in collected(masters, master_id) if s.day.day == day(0)):
            true = field.ledger.day(stored.day.meter_id, date.fromisoformat(day(0)))
            for hour, row in zip(true.intervals(60), stored.day.rows, strict=True):
                # The meter's hours begin by its own clock, seconds off.
                for name, drawn in (("a_plus_mwh", "import_mwh"), ("a_minus_mwh", "export_mwh")):
                    assert row[name] == pytest.approx(hour[drawn], rel=0.02, abs=20_000)
            first, last = stored.day.registers[0], stored.day.registers[-1]
            if first is not last:
                counted = sum(row["a_plus_mwh"] for row in stored.day.rows)
                assert counted == last["a_plus_mwh"] - first["a_plus_mwh"], "to the milliwatt-hour"


def test_a_concentrator_that_is_down_comes_back_and_fills_the_gap(living):
    field, masters, keys = living
    night = BEGIN_MS + DAY_MS
    field.order("concentrator-down", night - HOUR_MS, night + 12 * HOUR_MS, detail=MESH)
    live(field, masters, night + 9 * HOUR_MS)
    assert masters.masters[MESH].concentrator is None, "it is down"
    assert len(collected(masters, PLC)) >= 2, "the other is not"
    clock = VirtualClock(night + 9 * HOUR_MS)
    url = Url("", "field", opener=masters.masters[MESH].opener(BEHIND[MESH][0], clock))
    with pytest.raises(LateError, match=f"concentrator {MESH}"), session(url, "public", None, None):
        pass
    live(field, masters, night + DAY_MS + 7 * HOUR_MS)
    of = masters.masters[MESH].concentrator
    days = {(s.day.meter_id, s.day.day) for s in of.days() if s.day.complete}
    assert days >= {(number, day(k)) for number in BEHIND[MESH] for k in (0, 1)}
    assert "it had not been stopped" in [a["text"] for a in of.alarms() if a["kind"] == "restarted"]


def test_a_lost_store_is_filled_again_under_another_name(living):
    field, masters, _ = living
    live(field, masters, BEGIN_MS + DAY_MS + 7 * HOUR_MS)
    before = masters.masters[PLC].concentrator.store_id
    had = {
        (s.day.meter_id, s.day.day): s.day.rows for s in collected(masters, PLC) if s.day.complete
    }
    assert len(had) == len(BEHIND[PLC])
    field.order("store-lost", BEGIN_MS + 36 * HOUR_MS, BEGIN_MS + 37 * HOUR_MS, detail=PLC)
    live(field, masters, BEGIN_MS + 2 * DAY_MS + 7 * HOUR_MS)
    of = masters.masters[PLC].concentrator
    assert of.store_id != before and of.alarms()[0]["kind"] == "store-lost"
    again = {(s.day.meter_id, s.day.day): s.day.rows for s in of.days()}
    assert {key: again[key] for key in had} == had


def test_a_lost_neighbour_is_read_the_night_after(living):
    field, masters, _ = living
    one = BEHIND[MESH][1]
    night = BEGIN_MS + DAY_MS
    field.order("neighbour-lost", night - HOUR_MS, night + 10 * HOUR_MS, [one])
    live(field, masters, night + 8 * HOUR_MS)
    state = {s.meter_id: s for s in masters.masters[MESH].concentrator.meters()}[one]
    assert state.failures >= 3 and state.state in ("late", "lost") and "no answer" in state.reason
    assert (one, day(0)) not in {(s.day.meter_id, s.day.day) for s in collected(masters, MESH)}
    live(field, masters, night + DAY_MS + 7 * HOUR_MS)
    days = {(s.day.meter_id, s.day.day): s.day for s in collected(masters, MESH)}
    assert days[one, day(0)].complete and days[one, day(1)].complete


def test_a_head_end_comes_through_end_to_end(living):
    field, masters, keys = living
    live(field, masters, BEGIN_MS + 5 * HOUR_MS)
    clock = VirtualClock(field.utc_ms)
    for number in BEHIND[PLC]:
        opener = masters.masters[PLC].opener(number, clock)
        with session(Url("", "field", opener=opener), "operator", keys, number) as client:
            assert client.get(3, "1.0.1.8.0.255", 2) >= 0
    assert clock.true_ms > field.utc_ms + 1000
