"""Collection from the real firmware in virtual time: nights, gaps, faults, and what is left."""

from __future__ import annotations

import asyncio
import shutil
from datetime import date, timedelta

import pytest

from openams.headend.collect import link, sessions
from openams.headend.collect.link import Numbers
from openams.headend.collect.plan import Plan, plan_day
from openams.headend.collect.taking import plan_new
from openams.headend.days import day_bounds, day_number
from openams.headend.evaluate import evaluate_days
from openams.headend.registercsv import load
from openams.headend.store import open_store
from openams.headend.store.jobs import METER
from openams.headend.vee.codes import MEASURED
from openams.keys.keystore import Keystore
from openams.meter_time import from_utc_ms
from tests.headend.registers import gsrn, meter_id
from tests.headend.village import FAST, Village

MONDAY = date(2026, 1, 5)


def after(days, day=MONDAY):
    return day + timedelta(days=days)


def states(store, day):
    return dict(store.count_days(day_number(day)))


def evaluated(village, day):
    evaluate_days(village.store, day, from_utc_ms(village.clock.now_ms()))
    return {one.gsrn: one for one in village.store.values(day)}


def right(village, number, day, minutes=60):
    """Whether a point's day is to the Wh what its house drew, all of it measured."""
    found = evaluated(village, day)[gsrn(number)]
    wh, total = village.truth(number, day, minutes)
    assert set(found.states) == {"measured"}
    assert (list(found.wh), found.total_wh) == (wh, total)
    return True


# --- nights ----------------------------------------------------------------------------------


def test_every_value_of_three_days_to_the_wh(store, tmp_path):
    village = Village(tmp_path, store)
    collector = village.collect(after(4))
    assert collector.counts == {"sessions": 9, "failed": 0, "rows": 9 * 24}
    for day in (0, 1, 2):
        assert states(store, after(day)) == {"complete": 3}
        assert all(right(village, number, after(day)) for number in range(3))
    # Read before seven, each meter at a time of its own.
    took = store.all("SELECT at_ms FROM attempt ORDER BY at_ms")
    night = [at - day_bounds(after(1))[0] for (at,) in took][:3]
    assert len(set(night)) == 3 and all(0 < at < 7 * 3_600_000 for at in night)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_the_days_on_which_the_clock_changes(tmp_path, file_store, day):
    village = Village(tmp_path, file_store, 1, day - timedelta(days=1))
    village.collect(day + timedelta(days=2))
    assert len(village.truth(0, day)[0]) == {3: 23, 10: 25}[day.month]
    assert right(village, 0, day)


def test_quarters(tmp_path, file_store):
    from tests.headend.registers import AREA

    head = "gsrn,from,to,kind,settlement,reason,resolution_min,fuse_a,system,area\n"
    text = f"{head}{gsrn(0)},{MONDAY},,consumption,interval,,15,63,3P3W,{AREA}\n"
    village = Village(tmp_path, file_store, 1, period_s=900, terms=text)
    village.collect(after(2))
    assert right(village, 0, MONDAY, 15)


def test_quarters_of_a_meter_make_the_hours_of_a_point(tmp_path, file_store):
    village = Village(tmp_path, file_store, 1, period_s=900)
    village.collect(after(2))
    assert right(village, 0, MONDAY)


def test_a_meter_that_the_register_gets_later_is_planned_and_what_is_there_counts(
    file_store, tmp_path
):
    relations = "gsrn,meter_id,from,to,start_plus_kwh,start_minus_kwh\n"
    both = [f"{gsrn(k)},{meter_id(k)},{MONDAY},,0,0\n" for k in range(2)]
    village = Village(tmp_path, file_store, 2, relations=relations + both[0])
    village.collect(after(3))
    assert states(file_store, MONDAY) == {"complete": 1}
    (tmp_path / "r.csv").write_text(relations + both[1])
    tables, errors = load([tmp_path / "r.csv"])
    assert errors == [] and file_store.import_register(tables, 1) == []
    village.collect(after(4))
    assert [states(file_store, after(day)) for day in range(3)] == [{"complete": 2}] * 3
    assert all(right(village, 1, after(day)) for day in range(3))
    number = day_number(MONDAY)
    file_store.run("DELETE FROM job WHERE subject = ? AND day = ?", meter_id(1), number)
    assert plan_new(file_store, Plan(), MONDAY, village.clock.now_ms()) == 1
    assert states(file_store, MONDAY) == {"complete": 2}
    assert plan_new(file_store, Plan(), MONDAY, village.clock.now_ms()) == 0


# --- gaps ------------------------------------------------------------------------------------


def test_a_meter_that_was_away_for_days_is_refilled_and_nothing_is_read_twice(file_store, tmp_path):
    village = Village(tmp_path, file_store)
    end = day_bounds(after(5))[0]
    village.down = lambda number, utc_ms: number == 1 and utc_ms < end
    collector = village.collect(after(5))
    assert states(file_store, MONDAY) == {"complete": 2, "trying": 1}
    # Bounded: so many attempts of a night, not one after the other.
    tries = file_store.one("SELECT count(*) FROM attempt WHERE subject = ?", meter_id(1))[0]
    assert 4 <= tries <= 5 * Plan().attempts_a_day
    assert collector.counts["rows"] == 2 * 4 * 24
    collector = village.collect(after(8))
    for day in range(6):
        assert states(file_store, after(day)) == {"complete": 3}
        assert right(village, 1, after(day))
    rows = file_store.all(
        "SELECT meter_id, day, part FROM collected WHERE meter_id = ?", meter_id(1)
    )
    assert {part for _, _, part in rows} == {1}


def test_what_came_before_a_connection_fell_is_kept(file_store, tmp_path):
    village = Village(tmp_path, file_store, 1)
    village.down = lambda number, utc_ms: utc_ms < day_bounds(after(14))[0]
    village.collect(after(14))
    # Association, proof, clock, period, and of each five days registers and rows: then it falls.
    village.down = lambda number, utc_ms: False
    village.falls = {0: 2 + 2 + 20}
    collector = village.collector()
    asyncio.run(collector.run(until_ms=day_bounds(after(14))[0] + 9 * 3_600_000))
    assert collector.counts["failed"] > 0 and collector.counts["rows"] >= 5 * 24
    village.falls = {}
    collector = village.collect(after(16))
    assert all(states(file_store, after(day)) == {"complete": 1} for day in range(14))
    assert {row[0] for row in file_store.all("SELECT part FROM collected")} == {1}


def test_a_head_end_that_stood_still_goes_back(file_store, tmp_path):
    village = Village(tmp_path, file_store, 1)
    village.clock.advance_to(day_bounds(after(6))[0])
    village.collect(after(7))
    assert all(states(file_store, after(day)) == {"complete": 1} for day in range(6))
    (first,) = file_store.all("SELECT count(*) FROM attempt")
    assert first[0] == 1


def test_estimates_give_way_to_what_comes_later_and_both_stay(store, tmp_path):
    village = Village(tmp_path, store, 1)
    # Two days of history, then a day that comes late.
    begin, end = (day_bounds(after(day))[0] for day in (3, 4))
    village.down = lambda number, utc_ms: begin <= utc_ms < end
    village.collect(after(4))
    day = after(2)
    for each in range(2):
        evaluated(village, after(each))
    first = evaluated(village, day)[gsrn(0)]
    assert set(first.states) == {"estimated"} and first.revision == 1
    village.collect(after(5))
    assert right(village, 0, day)
    one, two = store.revisions(day, gsrn(0), 1)
    assert (one.why, two.why, len(two.changed)) == ("first", "collected", 24)
    assert one.wh == first.wh and one.detail[0]["reason"] == "missing"
    assert evaluated(village, day)[gsrn(0)].revision == 2


# --- what goes wrong --------------------------------------------------------------------------


def test_another_meter_at_the_url_is_not_believed_and_is_told(file_store, tmp_path):
    village = Village(tmp_path, file_store, 2)
    village.wrong = {0: 1}
    village.collect(after(2))
    assert file_store.intervals(day_number(MONDAY), [meter_id(0)]) == {}
    assert [row[2:4] for row in file_store.notices()] == [("refused", meter_id(0))]
    assert right(village, 1, MONDAY)


def test_counters_that_somebody_else_has_used_up_are_caught_up_with(file_store, tmp_path):
    village = Village(tmp_path, file_store, 1)
    village.devices[0].use_counters(2, 5000)
    village.collect(after(2))
    assert right(village, 0, MONDAY)


def test_no_number_serves_twice_where_a_keystore_was_copied_far_ahead_of_the_store(
    file_store, tmp_path, monkeypatch
):
    """One copy's collector dies amid its session, the other's goes on: by what the store knows, not
    by what the copies say. The key is the same, so a number that serves twice gives it away."""
    village = Village(tmp_path, file_store, 1)
    ahead = 3 << 20
    village.readers.raise_counter(meter_id(0), 2, ahead)
    twin = tmp_path / "twin.keys"
    shutil.copy(village.readers.path, twin)
    used, plain = [], Numbers.take
    monkeypatch.setattr(Numbers, "take", lambda self: used.append(plain(self)) or used[-1])

    async def dies():
        collector = village.collector("first")
        running = asyncio.ensure_future(collector.run())
        while village.asked[0] < 6:
            await asyncio.sleep(0)
        await collector.drop(running)

    asyncio.run(dies())
    assert min(used) >= ahead and len(used) >= 6
    village.readers = Keystore(twin, b"other", FAST)
    village.collect(after(2), name="second")
    assert right(village, 0, MONDAY)
    assert len(used) == len(set(used)) and min(used) >= ahead
    # Nobody was called in vain for it, and nobody is to blame.
    assert file_store.all("SELECT outcome FROM attempt") == [("ok",)]
    assert file_store.notices() == [] and not file_store.all("SELECT * FROM link_seen")


def test_a_session_that_has_used_up_its_counters_goes_on_in_its_next_turn(
    file_store, tmp_path, monkeypatch
):
    monkeypatch.setattr(link, "NUMBERS", 4)
    monkeypatch.setattr(sessions, "NUMBERS", 4)
    monkeypatch.setattr(sessions, "COUNTERS_A_SESSION", 20)
    village = Village(tmp_path, file_store, 1)
    village.clock.advance_to(day_bounds(after(20))[0])
    village.collect(after(21))
    assert all(right(village, 0, after(day)) for day in range(20))
    outcomes = [outcome for (outcome,) in file_store.all("SELECT outcome FROM attempt")]
    assert "counters" in outcomes and outcomes[-1] == "ok"


def test_a_clock_that_is_off_is_noted_and_put_right_by_the_operator(file_store, tmp_path):
    village = Village(tmp_path, file_store, 2)
    village.played(0).set_clock(8_000)
    village.played(1).set_clock(300_000)
    village.collect(after(2))
    checks = dict(file_store.all("SELECT meter_id, action FROM clock_check"))
    assert checks == {meter_id(0): "order", meter_id(1): "alarm"}
    assert [row[2:4] for row in file_store.notices()] == [("clock", meter_id(1))]
    assert len(file_store.jobs("clock")) == 2


def test_the_log_of_a_clock_is_read_to_its_own_time_and_again_when_it_was_set_back(
    file_store, tmp_path
):
    """Two hours ahead its last event is not there yet by ours; back again, it is the newest that is
    known, and what is logged from then on is older."""
    village = Village(tmp_path, file_store, 1)
    begin, end = day_bounds(MONDAY)
    village.devices[0].play(end - 3_600_000)
    village.devices[0].set_clock(7_200_000)
    plan_day(file_store, Plan(first_min=5, last_min=5), MONDAY, village.clock.now_ms())

    def steps():
        found = file_store.events([meter_id(0)], begin, end + 86_400_000, "standard")
        return [event.code for event in sorted(found) if event.code in (4, 5)]

    village.clock.advance_to(end)
    collector = village.collector()
    asyncio.run(collector.run(until_ms=end + 1_800_000))
    assert steps() == [4, 5]
    village.played(0).set_clock(0)
    village.collect(after(3))
    assert steps() == [4, 5, 4, 5]
    # Of the last hour nobody has told anything, and what the night has is of another time.
    found = evaluated(village, MONDAY)[gsrn(0)]
    assert list(found.wh[:22]) == list(village.truth(0, MONDAY)[0][:22])
    assert found.states[23] != MEASURED and found.total_wh is None


def test_no_more_sessions_in_a_segment_than_permits(file_store, tmp_path):
    village = Village(tmp_path, file_store, 6)
    plan_day(file_store, Plan(first_min=5, last_min=5), MONDAY, village.clock.now_ms())
    village.collect(after(2), permits=2)
    assert village.most_open == 2 and states(file_store, MONDAY) == {"complete": 6}


def test_power_cuts_come_with_the_log(file_store, tmp_path):
    village = Village(tmp_path, file_store, 1)
    at = day_bounds(MONDAY)[0] + 10 * 3_600_000
    device = village.devices[0]
    device.play(at)
    device.power_cut()
    device.play(at + 2 * 3_600_000 + 600_000)
    device.power_up()
    village.collect(after(2))
    codes = [
        row.code for row in file_store.events([meter_id(0)], at - 1000, at + 8_000_000, "standard")
    ]
    assert 1 in codes and 2 in codes
    found = evaluated(village, MONDAY)[gsrn(0)]
    assert found.total_wh == sum(found.wh) == village.truth(0, MONDAY)[1]
    assert found.wh[10] == found.wh[11] == 0


def test_a_worker_that_dies_loses_nothing_and_another_goes_on(store, tmp_path):
    village = Village(tmp_path, store)

    class Died(BaseException):
        pass

    def dying(number, exchanges):
        if number == 1 and exchanges == 6:
            raise Died

    plain, village.before = village.before, dying
    collector = village.collector("first", lease_s=600)
    with pytest.raises(Died):
        asyncio.run(collector.run(until_ms=day_bounds(after(2))[0]))
    village.before = plain
    village.open = [set() for _ in village.open]
    village.collect(after(2), name="second")
    assert states(store, MONDAY) == {"complete": 3}
    assert all(right(village, number, MONDAY) for number in range(3))
    assert store.one("SELECT count(*) FROM turn WHERE kind = ? AND lease_by <> ''", METER)[0] == 0


def test_a_database_that_goes_away_while_meters_are_read(postgres, tmp_path):
    with open_store(postgres.url("village")) as store:
        village = Village(tmp_path, store)
        kills = [5, 8]

        def killing(number, exchanges):
            if kills and number == 1 and exchanges == kills[0]:
                kills.pop(0)
                postgres.kill()
                postgres.start()

        village.before = killing
        village.collect(after(2))
        assert not kills and states(store, MONDAY) == {"complete": 3}
        assert all(right(village, number, MONDAY) for number in range(3))
        assert {row[0] for row in store.all("SELECT part FROM collected")} == {1}
