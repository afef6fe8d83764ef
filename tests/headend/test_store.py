"""What every store must do, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openams.errors import BenchError
from openams.headend.days import day_bounds, day_number, ended_day, ended_day_number
from openams.headend.store import (
    Event,
    GoneError,
    IntervalRow,
    RegisterReading,
    StoredRevision,
    StoreError,
    open_store,
)
from openams.headend.store.jobs import COUNTERS_A_TURN, NEVER_MS
from openams.headend.store.packing import pack_columns, unpack_columns
from openams.headend.store.schema import versions
from tests.headend.registers import gsrn, meter_id
from tests.smalldisk import fill

DAY = date(2026, 3, 29)
HOUR = 3600


def rows(day=DAY, first=0, count=None, plus=1_234_567, status=0):
    begin, end = day_bounds(day)
    hours = (end - begin) // 3_600_000
    return [
        IntervalRow(begin // 1000 + HOUR * (k + 1), HOUR, status, plus + k, 0)
        for k in range(first, hours if count is None else first + count)
    ]


def revision(number, wh, day=DAY, series=1, **more):
    states = tuple("measured" if value % 2 == 0 else "estimated" for value in wh)
    changed = tuple(range(len(wh)))
    given = {"at_ms": 1000 * number, "why": "first", "who": "", "rules": "vee-1", **more}
    return StoredRevision(
        day, gsrn(0), series, number, given["at_ms"], given["why"], given["who"], given["rules"],
        60, tuple(wh), states, changed, {1: {"reason": "missing"}}, {"readings": "abc"}, sum(wh),
    )  # fmt: skip


# --- packing and days ----------------------------------------------------------------------


@given(
    st.integers(0, 30).flatmap(
        lambda n: st.lists(
            st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n),
            min_size=1, max_size=5,
        )
    )
)  # fmt: skip
def test_columns_come_out_as_they_went_in(columns):
    expected = [tuple(column) for column in columns] if columns[0] else []
    assert unpack_columns(pack_columns(columns)) == expected


@pytest.mark.parametrize("bad", [b"", b"\x01", b"\x01\x00\x03\x00", b"\x02\x00\x04\x00\x00"])
def test_octets_that_are_no_row_are_an_error(bad):
    with pytest.raises(StoreError):
        unpack_columns(bad)


def test_the_interval_that_ends_at_midnight_is_of_the_day_before():
    begin, end = day_bounds(DAY)
    assert (end - begin) // 3_600_000 == 23
    assert ended_day(end) == DAY and ended_day(begin) == DAY - timedelta(days=1)
    for at in range(begin, end + 1, 900_000):
        assert ended_day_number((at // 1000 - 1) // 3600) == day_number(ended_day(at))
    begin, end = day_bounds(date(2026, 10, 25))
    assert (end - begin) // 3_600_000 == 25


# --- the schema ----------------------------------------------------------------------------


def test_two_that_open_a_new_store_at_once_make_it_once(new_url):
    script = (
        "import sys; from openams.headend.store import open_store\n"
        "with open_store(sys.argv[1]) as s: print(s.one('SELECT count(*) FROM area')[0])"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", script, new_url], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [one.communicate()[0].strip() for one in both] == ["0", "0"]
    with open_store(new_url) as store:
        assert store.all("SELECT version_num FROM alembic_version") == [(versions()[-1],)]


def test_a_store_of_a_newer_version_is_left_alone(store_url):
    with open_store(store_url) as store:
        store.run("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(BenchError, match="newer version"), open_store(store_url):
        pass


@pytest.mark.parametrize(
    "url", ["mysql://x/y", "sqlite://host/file", "sqlite:///", "", "sqlite:///x?mode=ro"]
)
def test_what_is_no_store(url):
    with pytest.raises(BenchError), open_store(url):
        pass


def test_a_file_that_is_no_store(tmp_path):
    (tmp_path / "x.db").write_text("hello, this is no database at all\n" * 100)
    with pytest.raises(StoreError, match="no store"), open_store(tmp_path / "x.db"):
        pass


def test_the_file_of_a_store_is_its_owners_alone(tmp_path):
    with open_store(tmp_path / "s.db") as store:
        store.run("INSERT INTO area VALUES ('x', 'y')")
        assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("s.db*")} == {0o600}


def test_a_transaction_that_fails_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.run("INSERT INTO area VALUES ('x', 'y')")
        with store.transaction():
            store.run("INSERT INTO area VALUES ('z', 'y')")
        raise ZeroDivisionError
    assert store.all("SELECT * FROM area") == []
    with pytest.raises(StoreError):
        store.run("INSERT INTO nowhere VALUES (1)")


# --- what was collected --------------------------------------------------------------------


def test_rows_that_come_twice_are_there_once_and_others_beside_them(store):
    meter = meter_id(0)
    assert store.add_intervals([(meter, rows(count=10))], "meter", 1) == {(meter, day_number(DAY))}
    assert store.add_intervals([(meter, rows(count=10))], "push", 2) == set()
    store.add_intervals([(meter, rows())], "meter", 3)
    other = rows(first=3, count=1, plus=5)
    store.add_intervals([(meter, other)], "concentrator", 4)
    parts = store.intervals(day_number(DAY), [meter])[meter]
    assert [(part.part, part.source, len(part.rows)) for part in parts] == [
        (1, "meter", 10), (2, "meter", 13), (3, "concentrator", 1),
    ]  # fmt: skip
    assert [*parts[0].rows, *parts[1].rows] == rows() and list(parts[2].rows) == other


def test_rows_go_to_their_local_days(store):
    meter, before = meter_id(0), DAY - timedelta(days=1)
    both = rows(before) + rows(DAY)
    days = {day_number(before), day_number(DAY)}
    assert store.add_intervals([(meter, both)], "meter", 1) == {(meter, day) for day in days}
    for day, count in ((before, 24), (DAY, 23)):
        parts = store.intervals(day_number(day), [meter, meter_id(1)])
        assert [len(part.rows) for part in parts[meter]] == [count]


def test_readings_and_events_once_each(store):
    begin, end = day_bounds(DAY)
    one = RegisterReading(meter_id(0), begin, 10**15, 0, 0, "meter", 5)
    assert store.add_readings([one, one._replace(at_ms=end, plus_mwh=10**15 + 7)]) == 2
    assert store.add_readings([one._replace(got_ms=9)]) == 0
    assert store.add_readings([one._replace(plus_mwh=1, source="visit")]) == 1
    found = store.readings([meter_id(0)], begin, end)
    assert [(row.at_ms, row.plus_mwh) for row in found] == [
        (begin, 10**15), (begin, 1), (end, 10**15 + 7),
    ]  # fmt: skip
    assert len(store.readings([meter_id(0)], begin, end, ("visit",))) == 1
    event = Event(meter_id(0), "standard", 7, begin + 5, 1, None, 2**40, 5, "meter")
    store.add_events([event, event])
    store.add_events([event._replace(got_ms=6), event._replace(number=8, code=2)])
    assert [row.code for row in store.events([meter_id(0)], begin, end)] == [1, 2]
    assert store.events([meter_id(0)], begin, end, "fraud") == []


def test_a_thousand_days_in_bulk(store):
    many = [(meter_id(k), rows()) for k in range(1000)]
    assert len(store.add_intervals(many, "meter", 1)) == 1000
    found = store.intervals(day_number(DAY), [meter_id(k) for k in range(1000)])
    assert all(list(found[meter][0].rows) == rows() for meter, _ in many)


# --- values --------------------------------------------------------------------------------


def test_every_revision_stays(store):
    first = revision(1, range(100, 123))
    second = revision(2, range(200, 223), why="collected", at_ms=70_000)
    store.put_revisions([first, revision(1, [7] * 23, series=2)])
    store.put_revisions([second])
    assert store.revisions(DAY, gsrn(0), 1) == [first, second]
    now = store.value(DAY, gsrn(0), 1)
    assert (now.revision, now.wh, now.total_wh) == (2, second.wh, sum(second.wh))
    assert [one.series for one in store.values(DAY)] == [1, 2]
    assert [row[:4] for row in store.changed_since(60_000)] == [(DAY, gsrn(0), 1, 2)]
    assert store.last_inputs(DAY, [gsrn(0)])[gsrn(0), 2] == {"readings": "abc"}
    assert len(list(store.values_between(DAY, DAY, [gsrn(0), gsrn(1)]))) == 2


def test_a_revision_that_is_not_the_next_is_refused_and_all_with_it(store):
    store.put_revisions([revision(1, range(23))])
    for bad in (revision(1, range(23)), revision(3, range(23))):
        with pytest.raises(StoreError, match="not the next"):
            store.put_revisions([revision(1, [1] * 23, series=2), bad])
    assert [one.revision for one in store.values(DAY)] == [1]


def test_the_newest_edit_of_an_interval_counts(store):
    store.add_edits(DAY, gsrn(0), 1, {3: 100, 4: 200}, 5, "kari", "broken")
    store.add_edits(DAY, gsrn(0), 1, {3: 150}, 6, "kari", "better")
    assert store.edits(DAY, [gsrn(0)]) == {(gsrn(0), 1): {3: 150, 4: 200}}


# --- jobs and turns ------------------------------------------------------------------------


def test_a_turn_is_one_workers_until_its_lease_ends(store):
    store.add_turns([("meter", meter_id(k), "cell", 100 + k) for k in range(5)])
    store.add_jobs("day", [(meter_id(0), 20260329, 100, 10**9, {})], 1)
    assert store.take_turns("a", 99, 10, 9, 1000) == []
    mine = store.take_turns("a", 102, 2, 9, 1000)
    assert [turn.subject for turn in mine] == [meter_id(0), meter_id(1)]
    assert store.jobs("day")[0].state == "trying"
    assert [turn.subject for turn in store.take_turns("b", 102, 10, 9, 1000)] == [meter_id(2)]
    store.end_turns([("b", "meter", meter_id(0), 5000, True)])  # not b's
    assert store.take_turns("b", 1101, 1, 9, 1000)[0].subject == meter_id(3)
    # a has died: its turns are free after the lease.
    assert meter_id(0) in {turn.subject for turn in store.take_turns("b", 1102, 10, 9, 1000)}
    store.end_turns([("b", "meter", meter_id(0), 9000, False)])
    again = store.take_turns("c", 9000, 10, 9, 10)
    assert {turn.subject: turn.attempts for turn in again}[meter_id(0)] == 1


@pytest.mark.parametrize("count", [1, 200])
def test_what_is_planned_while_a_turn_is_out_is_not_forgotten(store, count):
    """A day begins while the meter's session for the day before is under way: it ends with nothing
    more to do, or much later, by what it knew."""
    turns = [("meter", meter_id(k), "", 10) for k in range(count)]
    store.add_turns(turns)
    for ends in (NEVER_MS, 9000):
        assert len(store.take_turns("a", 100, count, count, 1000)) == count
        store.add_turns([(*turn[:3], 500) for turn in turns])
        store.end_turns([("a", *turn[:2], ends, True) for turn in turns])
        assert store.next_turn() == 500
        assert len(store.take_turns("b", 600, count, count, 1000)) == count
        # What was planned is done with.
        store.end_turns([("b", *turn[:2], NEVER_MS, True) for turn in turns])
        assert store.next_turn() is None
        # Who was too late changes nothing.
        store.end_turns([("a", *turn[:2], 50, True) for turn in turns])
        assert store.next_turn() is None
        store.add_turns(turns)


def test_counters_of_a_turn_are_its_own(store):
    store.add_turns([("meter", meter_id(0), "", 0)])
    (first,) = store.take_turns("a", 10, 1, 1, 100)
    # a has died, and nobody knows which of its counters it used.
    (second,) = store.take_turns("b", 110, 1, 1, 100)
    assert second.counter == first.counter + COUNTERS_A_TURN
    store.raise_counters([(meter_id(0), 1 << 22), (meter_id(0), 1 << 21)])
    (third,) = store.take_turns("c", 210, 1, 1, 100)
    assert third.counter == 1 << 22


def test_no_more_at_a_time_in_a_segment_than_permits(store):
    store.add_turns([("meter", meter_id(k), f"cell-{k % 2}", 0) for k in range(20)])
    for worker in ("a", "b"):
        taken = store.take_turns(worker, 10, 6, 5, 1000)
        assert len(taken) == {"a": 6, "b": 4}[worker]
    assert store.take_turns("c", 10, 6, 5, 1000) == []
    assert store.give_back("a") == 6 and len(store.take_turns("c", 10, 9, 5, 1000)) == 6


def test_a_day_that_is_complete_is_not_opened_again(store):
    store.add_jobs("day", [(meter_id(0), 20260329, 0, 9, {})], 1)
    store.set_days([(meter_id(0), 20260329, "complete", {"rows": 23})], 5)
    store.add_jobs("day", [(meter_id(0), 20260329, 0, 9, {})], 6)
    store.set_days([(meter_id(0), 20260329, "partial", {})], 7)
    (job,) = store.jobs("day", 20260329)
    assert (job.state, job.result, job.attempts) == ("complete", {"rows": 23}, 1)
    assert store.count_days(20260329) == {"complete": 1}


def test_orders_of_a_meter_go_one_after_the_other(store):
    for number, kind in enumerate(("han-open", "han-close")):
        store.add_jobs(kind, [(meter_id(0), number, 10, 100, {"who": "kari"})], 1)
    kinds = ["han-open", "han-close"]
    (first,) = store.take_orders(kinds, 10, 5, 100)
    assert first.kind == "han-open" and store.take_orders(kinds, 10, 5, 100) == []
    store.end_order(first.job_id, "done", 0, {"open": True}, 11)
    assert store.take_orders(kinds, 12, 5, 100)[0].kind == "han-close"


def test_a_notice_is_there_once_until_somebody_closes_it(store):
    for at in (5, 6):
        store.notice("foreign-title", meter_id(0), "another meter answers", at)
    ((number, since, *_, times),) = store.notices()
    assert (since, times) == (5, 2)
    assert store.close_notice(number, "kari", 7) and not store.close_notice(number, "kari", 8)
    store.notice("foreign-title", meter_id(0), "again", 9)
    assert [row[1] for row in store.notices()] == [9]


# --- a database that fails -----------------------------------------------------------------


def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    with open_store(tmp_path / "s.db") as store:
        store.add_intervals([(meter_id(0), rows())], "meter", 1)
        pages = store.one("PRAGMA page_count")[0]
        store.one(f"PRAGMA max_page_count = {pages + 2}")
        many = [(meter_id(k), rows()) for k in range(1, 2000)]
        with pytest.raises(GoneError, match="disk is full") as said:
            store.add_intervals(many, "meter", 2)
        assert "\n" not in str(said.value)
        store.one("PRAGMA max_page_count = 1000000")
        assert list(store.intervals(day_number(DAY), [m for m, _ in many])) == []
        store.add_intervals(many, "meter", 3)
        assert len(store.intervals(day_number(DAY), [m for m, _ in many])) == 1999


def test_a_full_disk_of_the_server_is_one_line_and_loses_nothing(postgres):
    if os.geteuid() != 0:
        pytest.skip("a small disk is mounted by root alone")
    with postgres.small_url("small", 24 << 10) as (url, disk), open_store(url) as store:
        store.add_intervals([(meter_id(0), rows())], "meter", 1)
        ballast = fill(disk)
        many = [(meter_id(k), rows()) for k in range(1, 2000)]
        with pytest.raises(GoneError, match="make room, nothing is lost") as said:
            store.add_intervals(many, "meter", 2)
        assert "\n" not in str(said.value)
        # What is there is read, and the same connection writes again when there is room.
        assert list(store.intervals(day_number(DAY), [m for m, _ in many])) == []
        assert len(store.intervals(day_number(DAY), [meter_id(0)])) == 1
        ballast.unlink()
        store.add_intervals(many, "meter", 3)
        assert len(store.intervals(day_number(DAY), [m for m, _ in many])) == 1999


def test_a_database_that_goes_away_in_a_transaction(postgres):
    url = postgres.url("gone")
    with open_store(url) as store:
        store.add_intervals([(meter_id(0), rows())], "meter", 1)
        with pytest.raises(GoneError, match="has gone") as said, store.transaction():
            store.add_intervals([(meter_id(1), rows())], "meter", 2)
            postgres.kill()
            store.run("INSERT INTO area VALUES ('x', 'y')")
        assert "\n" not in str(said.value)
        with pytest.raises(GoneError):
            store.all("SELECT 1")
        postgres.start()
        found = store.intervals(day_number(DAY), [meter_id(0), meter_id(1)])
        assert list(found) == [meter_id(0)]
        store.add_intervals([(meter_id(1), rows())], "meter", 3)


def test_where_there_is_no_database():
    with pytest.raises(GoneError) as said, open_store("postgresql://x@127.0.0.1:1/y"):
        pass
    assert "\n" not in str(said.value)
