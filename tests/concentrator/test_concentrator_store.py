"""What a concentrator keeps: whole days, once, bounded, whatever is stored in what order."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openams.cli.fleet import meter_number
from openams.client.meterday import MeterDay
from openams.concentrator.store import Limits, Store, StoreFullError
from openams.errors import BenchError

FIRST = date(2026, 1, 1)


def day_of(meter, number, intervals=24, fill=""):
    rows = [
        {"time": f"{number} {k} {fill}", "status": 0, "a_plus_mwh": k} for k in range(intervals)
    ]
    day = (FIRST + timedelta(number)).isoformat()
    return MeterDay(meter_number(meter), day, 3600, intervals == 24, rows)


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "store")
    yield made
    made.close()


def test_a_day_is_there_once_and_only_a_better_one_takes_its_place(store):
    assert store.put_day(day_of(0, 0, 20), 1) == (1, 0)
    assert store.put_day(day_of(0, 0, 20), 2) == (None, 0)
    assert store.put_day(day_of(0, 0, 19), 2) == (None, 0)
    assert store.put_day(day_of(0, 0, 24), 3) == (2, 0)
    assert store.put_day(day_of(0, 0, 24), 4) == (None, 0)
    assert store.put_day(day_of(0, 0, 23), 4) == (None, 0)
    (stored,) = store.days()
    assert (stored.seq, stored.revision, stored.read_ms) == (2, 2, 3)
    assert stored.day == day_of(0, 0, 24)
    assert store.has_days(meter_number(0)) == {"2026-01-01": True}


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, 3), st.integers(0, 12), st.integers(0, 24)),
        st.tuples(st.just("take"), st.integers(0, 60)),
        st.tuples(st.just("again")),
        st.tuples(st.just("ask"), st.integers(1, 9)),
    ),
    max_size=40,
)


@given(_STEPS)
@settings(max_examples=60, deadline=None)
def test_a_head_end_gets_every_day_once_and_in_order(tmp_path_factory, steps):
    """Against a model: dictionaries of what was stored and of what a head-end has."""
    path = tmp_path_factory.mktemp("store") / "store"
    store = Store(path)
    best, has, after, top = {}, {}, 0, 0
    for step in [*steps, ("ask", 1000)]:
        if step[0] == "put":
            day = day_of(*step[1:])
            seq, lost = store.put_day(day, 0)
            old = best.get((day.meter_id, day.day))
            assert lost == 0 and (seq is not None) == (old is None or len(day.rows) > len(old.rows))
            if seq is not None:
                assert seq > top, "a number is never given twice"
                top = seq
                best[day.meter_id, day.day] = day
        elif step[0] == "take":
            store.taken(step[1])
            assert store.figures()["taken_seq"] <= store.last_seq
        elif step[0] == "again":
            store.close()
            store = Store(path)
        else:
            for stored in store.days(after, step[1]):
                key = stored.day.meter_id, stored.day.day
                assert stored.seq > after
                assert stored.revision > has.get(key, (0,))[0]
                has[key] = stored.revision, stored.day
                after = stored.seq
    assert {key: day for key, (_, day) in has.items()} == best
    store.close()


def test_it_is_bounded_and_what_has_gone_is_not_given_again(tmp_path):
    limits = Limits(days_a_meter=10, octets=6000, alarms=20, pushes=5)
    store = Store(tmp_path / "store", limits)
    lost = 0
    for number in range(30):
        for meter in range(3):
            lost += store.put_day(day_of(meter, number, fill=os.urandom(100).hex()), 0)[1]
            figures = store.figures()
            assert figures["octets"] <= limits.octets
        if number == 15:
            store.taken(store.last_seq)
    assert lost > 0 and store.figures()["days"] < 30
    for meter in range(3):
        has = store.has_days(meter_number(meter))
        assert len(has) == 10 and all(has.values()), "it is known that they were read"
        assert store.put_day(day_of(meter, 29), 0) == (None, 0)
    for k in range(50):
        store.alarm(k, "kind", text=str(k))
        store.push(k, "", b"x")
    assert [alarm["text"] for alarm in store.alarms()] == [str(k) for k in range(30, 50)]
    assert len(store.pushes()) == 5
    before = store.days(), store.figures()
    store.close()
    again = Store(tmp_path / "store", limits)
    assert (again.days(), again.figures()) == before
    assert again.has_days(meter_number(0)) == store.has_days(meter_number(0))
    again.close()


@pytest.mark.parametrize(("octets", "gone"), [(2000, {1}), (1500, {1, 2}), (1000, {1, 2, 3})])
def test_what_a_head_end_has_goes_first(tmp_path, octets, gone):
    store = Store(tmp_path / "store", Limits(octets=octets))
    for number in range(4):
        store.put_day(day_of(0, number, fill=os.urandom(50).hex()), 0)
    store.taken(2)
    lost = sum(
        store.put_day(day_of(1, number, fill=os.urandom(50).hex()), 0)[1] for number in range(2)
    )
    left = {stored.seq for stored in store.days()}
    assert gone <= set(range(1, 7)) - left and 6 in left
    assert lost == len({3, 4, 5} - left) and (not lost or not left & {1, 2})
    store.close()


def test_a_damaged_store_begins_anew_and_says_so(tmp_path):
    path = tmp_path / "store"
    store = Store(path)
    store.put_day(day_of(0, 0), 0)
    first = store.store_id
    store.close()
    octets = bytearray(path.read_bytes())
    octets[100:8000] = bytes(7900)
    path.write_bytes(octets)
    again = Store(path)
    assert again.lost and again.store_id != first and again.days() == []
    assert (tmp_path / "store.damaged").exists()
    again.close()


@pytest.mark.parametrize("as_", ["BLOB", "TEXT"])
def test_a_day_with_a_flipped_bit_is_left_out_and_read_again(store, as_):
    store.put_day(day_of(0, 0), 0)
    store.put_day(day_of(0, 1), 0)
    wrong = f"CAST(substr(box, 1, 20) || x'00' || substr(box, 22) AS {as_})"
    with store._changing() as database:
        database.execute(f"UPDATE day SET box = {wrong} WHERE seq = 1")
    assert [stored.seq for stored in store.days()] == [2]
    assert store.has_days(meter_number(0)) == {"2026-01-02": True}
    assert store.put_day(day_of(0, 0), 0) == (3, 0)


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b""])
def test_a_file_that_is_none(tmp_path, content):
    (tmp_path / "store").write_bytes(content)
    os.chmod(tmp_path / "store", 0o600)
    store = Store(tmp_path / "store")
    assert bool(store.lost) == bool(content) and store.days() == []
    store.close()


def test_somebody_elses_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "store") as database:
        database.execute("CREATE TABLE mine (x)")
        database.execute("PRAGMA application_id = 7")
    os.chmod(tmp_path / "store", 0o600)
    with pytest.raises(BenchError, match="no store of this version"):
        Store(tmp_path / "store")


def test_a_full_disk_leaves_what_was_there(store):
    """The limit of a file's size stands for the disk's: the system's own refusal to write."""
    store.put_day(day_of(0, 0), 0)
    before = store.days(), store.figures()
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = max(p.stat().st_size for p in store.path.parent.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        with pytest.raises(StoreFullError, match="make room"):
            for number in range(1, 400):
                store.put_day(day_of(1, number, fill=os.urandom(3000).hex()), 0)
        assert [stored.day for stored in store.days(limit=1)] == [before[0][0].day]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    count = store.figures()["days"]
    assert store.put_day(day_of(2, 0), 0)[0] == store.last_seq
    assert store.figures()["days"] == count + 1 == len(store.days(limit=1000))


def test_its_files_are_its_owners(tmp_path):
    old = os.umask(0)
    try:
        store = Store(tmp_path / "store")
        store.put_day(day_of(0, 0), 0)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
        store.close()
    finally:
        os.umask(old)
