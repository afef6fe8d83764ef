"""What is read when: windows, retries, gaps, lost meters, clocks, restarts; of real meters, by a
clock that is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta

import pytest
from substation import ALL_DAY, Meters

from openams.cli.fleet import meter_number
from openams.client.meterday import MeterDay
from openams.concentrator import core
from openams.concentrator.clock import SystemClock, VirtualClock
from openams.concentrator.core import Concentrator
from openams.concentrator.roster import Listed
from openams.concentrator.state import Settings
from openams.concentrator.store import Limits
from openams.concentrator.ways import TcpWay, parse_scan
from openams.errors import BenchError
from openams.keys.handover import give_readers
from openams.keys.keystore import Keystore
from openams.meter_time import NORWAY, from_utc_ms, to_utc_ms

COUNT, DAYS = 4, 2
HOUR = 3_600_000
NOBODY = "tcp://127.0.0.1:1"


@pytest.fixture(scope="module")
def meters(tmp_path_factory):
    made = Meters(tmp_path_factory.mktemp("meters"), COUNT, DAYS)
    yield made
    made.close()


def today(hour, minute=0, days=0):
    """A local time of today, or `days` from now."""
    now = datetime.now(NORWAY)
    return to_utc_ms(datetime.combine(now.date() + timedelta(days), time(hour, minute), NORWAY))


@pytest.fixture
def begin(meters, tmp_path):
    """Makes a concentrator; ends it at last."""
    made = []

    def make(clock=None, settings=None, listed=None, **more):
        listed = listed or meters.listed
        way = more.pop("way", None) or TcpWay(listed)
        made.append(
            Concentrator(
                more.pop("name", "C0001"), more.pop("folder", tmp_path / "c"), listed,
                more.pop("keys", meters.readers), way, clock or SystemClock(),
                settings or Settings(back_days=DAYS, timeout_s=5), **more,
            )
        )  # fmt: skip
        return made[-1]

    yield make
    for one in made:
        one.close()


def dead(meters, *which):
    """The list, with some at a port where nobody listens."""
    return [
        Listed(one.meter_id, NOBODY if k in which else one.url)
        for k, one in enumerate(meters.listed)
    ]


def kinds(concentrator):
    return [alarm["kind"] for alarm in concentrator.alarms()]


def test_a_night_reads_yesterday_and_what_was_missing_before(begin, meters):
    clock = VirtualClock(today(0, 1))
    of = begin(clock)
    assert of.work() == today(0, 5) and not of.days(), "the window is not open yet"
    clock.advance_to(today(0, 5))
    assert of.work() == today(0, 5, days=1)
    days = of.days()
    assert len(days) == COUNT * DAYS and all(stored.day.complete for stored in days)
    assert {stored.day.meter_id for stored in days} == set(meters.ids)
    for stored in days:
        assert len(stored.day.rows) in (23, 24, 25) and stored.day.registers, stored.day.day
        if len(stored.day.registers) < 2:
            continue  # the day on which the meter began
        first, last = stored.day.registers
        assert (
            sum(r["a_plus_mwh"] for r in stored.day.rows)
            == last["a_plus_mwh"] - first["a_plus_mwh"]
        )
    assert [state.state for state in of.meters()] == ["ok"] * COUNT
    assert of.work() == today(0, 5, days=1), "nothing is read twice"
    assert len(of.days()) == COUNT * DAYS


def test_who_does_not_answer_is_tried_again_later_and_later_and_not_for_ever(begin, meters):
    clock = VirtualClock(today(0, 5))
    settings = Settings(back_days=1, attempts=5, retry_s=300, retry_most_s=1800, timeout_s=1)
    of = begin(clock, settings, dead(meters, 0))
    tries = []
    while (due := of.work()) < today(7):
        tries.append(due - clock.utc_ms())
        clock.advance_to(due)
    assert len(tries) == 4 and sorted(tries) == tries, "five sessions, each later than the last"
    assert 300_000 <= tries[0] < 460_000 and max(tries) <= 1800 * 1500
    states = {state.meter_id: state for state in of.meters()}
    assert states[meters.ids[0]].failures == 5 and "no meter at" in states[meters.ids[0]].reason
    assert len(of.days()) == COUNT - 1, "the others are not kept waiting"


def test_who_was_lost_for_a_day_is_reported_once_and_when_it_is_back(begin, meters):
    clock = VirtualClock(today(0, 5))
    way = TcpWay(dead(meters, 0, 1))
    of = begin(clock, Settings(back_days=2, attempts=3, timeout_s=1), way=way)
    for day in range(1, 4):
        of.work(until_ms=today(7, days=day - 1))
        clock.advance_to(today(0, 5, days=day))
    of.work(until_ms=clock.utc_ms() + 1000)
    lost = [a["meter_id"] for a in of.alarms() if a["kind"] == "meter-lost"]
    assert sorted(lost) == meters.ids[:2]
    assert {s.meter_id for s in of.meters() if s.state == "lost"} == set(lost)
    way.add(meters.listed[0])
    clock.advance_to(today(0, 5, days=4))
    of.work(until_ms=clock.utc_ms() + 1000)
    assert [a["meter_id"] for a in of.alarms() if a["kind"] == "meter-back"] == [meters.ids[0]]


def test_a_day_that_is_asked_for_is_read_outside_of_the_window(begin, meters):
    clock = VirtualClock(today(12))
    of = begin(clock, Settings(timeout_s=5), dead(meters, 1))
    yesterday = (datetime.now(NORWAY) - timedelta(1)).date()
    with pytest.raises(BenchError, match="not over yet"):
        of.ask(meters.ids[0], from_utc_ms(today(12)).date())
    of.ask(meters.ids[2], yesterday)
    of.ask(meters.ids[2], yesterday)
    of.work()
    assert [(s.day.meter_id, s.day.day) for s in of.days()] == [
        (meters.ids[2], yesterday.isoformat())
    ]
    of.ask(meters.ids[1], yesterday)
    while of.figures()["asked"]:
        clock.advance_to(of.work())
    assert kinds(of)[-1] == "asked-in-vain", "three times, then it is said"
    with pytest.raises(BenchError, match="not read by this concentrator"):
        of.ask(meter_number(99), yesterday)


@pytest.mark.parametrize("back", [False, True])
def test_who_asks_again_and_again_does_not_fill_the_net(begin, meters, back):
    """A head-end asks each ten minutes for a day of a meter that is dead, and for one that is not
    whole."""
    clock = VirtualClock(today(8))
    listed = dead(meters, 0)
    way = TcpWay(listed)
    of = begin(clock, Settings(timeout_s=5), listed, way=way)
    yesterday = (datetime.now(NORWAY) - timedelta(1)).date()
    tried = []
    opened = way.open
    way.open = lambda meter_id, *rest: (tried.append(meter_id), opened(meter_id, *rest))[1]
    begun = clock.utc_ms()
    while clock.utc_ms() < begun + 10 * 3_600_000:
        of.ask(meters.ids[0], yesterday)
        of.ask(meters.ids[1], yesterday)
        until = clock.utc_ms() + 600_000
        while (due := of.work(until)) < until:
            clock.advance_to(due)
        clock.advance_to(until)
    # At once, after 20, 40, 80, 160, 240 minutes; what is in vain three times each.
    assert 4 <= tried.count(meters.ids[1]) <= 6
    assert 4 <= kinds(of).count("asked-in-vain") <= 6
    assert tried.count(meters.ids[0]) == 3 * kinds(of).count("asked-in-vain")
    if back:
        way.add(meters.listed[0])
        of.ask(meters.ids[0], yesterday)
        other = yesterday - timedelta(1)
        of.ask(meters.ids[0], other)
        of.work(clock.utc_ms() + 60_000)
        assert of.figures()["asked"] == 1, "the other one is asked as well: its own wait is over"
        assert {s.day.day for s in of.days() if s.day.meter_id == meters.ids[0]} == {
            yesterday.isoformat(), other.isoformat(),
        }  # fmt: skip


def test_what_can_be_asked_for_has_an_end(begin, meters):
    of = begin(VirtualClock(today(12)), Settings(asked_most=3))
    day = datetime.now(NORWAY).date()
    for k in range(1, 4):
        of.ask(meters.ids[0], day - timedelta(k))
    with pytest.raises(BenchError, match="too many"):
        of.ask(meters.ids[0], day - timedelta(4))


def test_a_restart_goes_on_where_it_was(begin, meters, tmp_path):
    clock = VirtualClock(today(0, 5))
    first = begin(clock, Settings(back_days=1, attempts=2, timeout_s=1), dead(meters, 3))
    first.work(until_ms=clock.utc_ms() + 1)
    before = first.days(), first.store_id, [s.dump() for s in first.meters()]
    first.close()
    again = begin(clock, Settings(back_days=1, attempts=2, timeout_s=1), dead(meters, 3))
    assert (again.days(), again.store_id, [s.dump() for s in again.meters()]) == before
    assert kinds(again)[-1] == "restarted"
    again.work(until_ms=clock.utc_ms() + 1)
    assert again.days() == before[0], "nobody is read anew"


def test_the_loss_of_its_store_is_said_and_the_days_are_read_anew(begin, meters, tmp_path):
    clock = VirtualClock(today(0, 5))
    first = begin(clock)
    first.work()
    numbers = meters.readers.get(meters.ids[0]).client(2).current.next_counter
    had, old_id = {(s.day.meter_id, s.day.day): s.day.rows for s in first.days()}, first.store_id
    first.close()
    for path in (tmp_path / "c").glob("store*"):
        path.unlink()
    again = begin(clock)
    assert kinds(again) == ["store-lost"] and again.store_id != old_id
    again.work()
    assert {(s.day.meter_id, s.day.day): s.day.rows for s in again.days()} == had
    assert meters.readers.get(meters.ids[0]).client(2).current.next_counter > numbers


def test_a_clock_that_is_wrong_is_noticed_by_its_meters(begin):
    """An hour ahead: its window begins early, what it reads is right, and it says so."""
    clock = SystemClock(3_600_000)
    of = begin(clock, ALL_DAY)
    of.work(until_ms=clock.utc_ms() + 30_000)
    assert "clock-doubtful" in kinds(of) and of.figures()["clock_doubtful"]
    assert "meter-clock" not in kinds(of), "it is not the meters that are wrong"
    assert all(stored.day.clock_offset_s < -3500 for stored in of.days())
    clock.offset_ms = 0
    for meter_id in [state.meter_id for state in of.meters()]:
        of.ask(meter_id, (datetime.now(NORWAY) - timedelta(2)).date())
    of.work(until_ms=clock.utc_ms() + 30_000)
    assert kinds(of)[-1] == "clock-good"


def test_one_meter_whose_clock_is_wrong(begin, meters, monkeypatch):
    def off(client, *more, **named):
        found = original(client, *more, **named)
        return replace(found, clock_offset_s=7200.0 * (client.meter_id == meters.ids[0]))

    original = core.read_day
    monkeypatch.setattr(core, "read_day", off)
    of = begin(SystemClock(), ALL_DAY)
    of.work(until_ms=of.clock.utc_ms() + 30_000)
    alarms = [a for a in of.alarms() if a["kind"] in ("meter-clock", "clock-doubtful")]
    assert [(a["kind"], a["meter_id"]) for a in alarms] == [("meter-clock", meters.ids[0])]


def test_new_meters_are_found_and_read(begin, meters):
    known, new = meters.listed[:2], meters.fleet.meters[2]
    scan = parse_scan(f"127.0.0.1:{new.port}")
    of = begin(SystemClock(), ALL_DAY, known, way=TcpWay(known, scan))
    assert of.discover() == [new.meter_id] and of.discover() == []
    of.work(until_ms=of.clock.utc_ms() + 30_000)
    assert {s.day.meter_id for s in of.days()} == set(meters.ids[:3])
    assert kinds(of).count("meter-found") == 1
    of.close()
    again = begin(SystemClock(), ALL_DAY, known, way=TcpWay(known))
    assert {s.meter_id for s in again.meters()} == set(meters.ids[:3]), "it is kept"


def test_strangers_are_reported_once(begin, meters, tmp_path):
    """A meter that answers, and whose keys are another's."""
    others, readers = (Keystore(tmp_path / name, b"p", scrypt_n=2) for name in ("all", "readers"))
    others.new(meter_number(77))
    give_readers(others, readers, [meter_number(77)])
    scan = parse_scan(f"127.0.0.1:{meters.fleet.meters[2].port}")
    listed = [Listed(meter_number(77), NOBODY)]
    of = begin(SystemClock(), ALL_DAY, listed, way=TcpWay(listed, scan), keys=readers)
    assert of.discover() == [] == of.discover()
    (alarm,) = (a for a in of.alarms() if a["kind"] == "meter-unknown")
    assert "OAM" in alarm["text"] and "no keys" in alarm["text"]


def test_it_begins_with_readers_keys_alone(begin, meters, tmp_path):
    with pytest.raises(BenchError, match="can move or change meter.*readers' keys alone"):
        begin(keys=meters.keys)
    assert not (tmp_path / "c").exists(), "nothing half made"


def test_a_meter_without_keys_is_passed_through_to_and_not_read(begin, meters):
    stranger = Listed(meter_number(50), meters.listed[0].url)
    of = begin(SystemClock(), ALL_DAY, [*meters.listed[:1], stranger])
    of.work(until_ms=of.clock.utc_ms() + 30_000)
    assert [(s.meter_id, s.state) for s in of.meters()][1] == (stranger.meter_id, "no-keys")
    assert {s.day.meter_id for s in of.days()} == {meters.ids[0]} and of.known(stranger.meter_id)
    with pytest.raises(BenchError, match="no keys here"):
        of.lease(stranger.meter_id, 10)


def test_leases_are_of_the_readers_counters_and_serve_nobody_else(begin, meters):
    of = begin(SystemClock(), ALL_DAY)
    first, end = of.lease(meters.ids[0], 100)
    again, _ = of.lease(meters.ids[0], 100)
    assert end == first + 100 and again >= end
    of.work(until_ms=of.clock.utc_ms() + 30_000)
    assert meters.readers.get(meters.ids[0]).client(2).current.next_counter > again + 100
    for wrong in (0, -1, 10**9):
        with pytest.raises(BenchError, match="at a time"):
            of.lease(meters.ids[0], wrong)


def test_one_folder_has_one_concentrator_of_one_name(begin, tmp_path):
    begin()
    with pytest.raises(BenchError, match="another concentrator runs in"):
        begin()
    first = begin(folder=tmp_path / "other")
    first.close()
    with pytest.raises(BenchError, match="is of concentrator C0001, not of C0002"):
        begin(name="C0002", folder=tmp_path / "other")


def test_what_a_meter_sends_unasked_is_kept_for_the_head_end(begin, meters):
    of = begin()
    of.pushed(meters.ids[0], b"\x0f\x00")
    (push,) = of.pushes()
    assert push["octets"] == b"\x0f\x00" and push["meter_id"] == meters.ids[0]


def test_a_store_that_is_too_small_says_what_it_dropped(begin):
    of = begin(VirtualClock(today(0, 5)), limits=Limits(octets=2000))
    of.work()
    assert of.store.figures()["octets"] <= 2000 and "store-full" in kinds(of)
    days = len(of.days())
    of.work(until_ms=of.clock.utc_ms() + 10_000)
    assert len(of.days()) == days, "what was dropped is not read again and again"


@pytest.mark.parametrize("of_day", ["2026-03-29", "2026-10-25", "2026-06-01"])
def test_windows_are_of_local_time(of_day):
    day = datetime.fromisoformat(of_day).date()
    for window in ((time(0, 5), time(7)), (time(22), time(6)), (time(2, 30), time(3, 30))):
        settings = Settings(window_begin=window[0], window_end=window[1])
        begin_ms, end_ms = settings.window(day)
        assert begin_ms < end_ms
        for at in (begin_ms, end_ms - 1):
            assert settings.window_now(at) == (begin_ms, end_ms)
        assert settings.window_now(end_ms)[0] > begin_ms


def test_a_window_over_midnight_reads_both_days(begin, meters):
    clock = VirtualClock(today(22, 30, days=-1))
    settings = Settings(window_begin=time(22), window_end=time(6), back_days=1, timeout_s=5)
    of = begin(clock, settings)
    of.work(until_ms=clock.utc_ms() + 1)
    clock.advance_to(today(0, 1))
    of.work(until_ms=clock.utc_ms() + 1)
    days = [(datetime.now(NORWAY) - timedelta(k)).date().isoformat() for k in (2, 1)]
    assert [s.day.day for s in of.days()] == [days[0]] * COUNT + [days[1]] * COUNT


def test_a_meter_that_has_a_gap_is_asked_three_times_and_no_more(begin, meters, monkeypatch):
    clock = VirtualClock(today(0, 5))
    of = begin(clock, replace(ALL_DAY, back_days=1, reads=3, retry_s=60))
    asked = []

    def gappy(client, *more, **named):
        found: MeterDay = original(client, *more, **named)
        asked.append(client.meter_id)
        return replace(found, rows=found.rows[1:], complete=False)

    original = core.read_day
    monkeypatch.setattr(core, "read_day", gappy)
    while (due := of.work()) < today(0, 0, days=1) - 1000 and len(asked) < 50:
        clock.advance_to(due)
    assert sorted(asked) == sorted(meters.ids * 3)
    assert len(of.days()) == COUNT and not any(s.day.complete for s in of.days())
