"""Selective access to the profiles, held against a plain model; and the clock."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cosem_objects import (
    METER_ID,
    Bench,
    by_entry,
    by_range,
    column,
    decode,
    octets,
    parse_stamp,
    stamp,
)
from dlms import READER_KEYS, Raw, security
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.cosem import access
from ams.events import events
from ams.registers import profile
from ams.results import OTHER_REASON, SCOPE_VIOLATED, TYPE_UNMATCHED
from ams.storage import layout
from openams.meter_time import from_utc_ms, to_utc_ms

OSLO = ZoneInfo("Europe/Oslo")
LOAD = "1.0.99.1.0"
CAPTURED = [(8, "0.0.1.0.0.255"), (1, "0.0.96.10.1.255")] + [
    (3, f"1.0.{k}.29.0.255") for k in (1, 2, 3, 4)
]


def obis(raw):
    return ".".join(map(str, raw))


def utc_of(raw):
    """A row's time as aware UTC."""
    local, deviation = parse_stamp(raw)
    return (local + timedelta(minutes=deviation)).replace(tzinfo=UTC)


@pytest.fixture(scope="module")
def bench():
    """Quarters around the change to winter time, with a cut and a clock that is set back."""
    bench = Bench(datetime(2026, 10, 24, 18, tzinfo=OSLO))
    bench.meter.set_capture_period(900)
    for k in range(40):
        bench.hold(900, 1000 + k)
    bench.meter.set_clock(bench.raw_ms, bench.meter.utc_ms - 7_300_000)
    for k in range(40):
        bench.hold(900, 2000 + k)
    bench.meter.power_fail()
    bench.raw_ms = bench.meter.utc_ms + 3_000_000
    bench.power_up()
    for k in range(60):
        bench.hold(900, 3000 + k)
    return bench


def stored(bench):
    """What the ring holds, as rows of the whole profile."""
    return [profile.unpack(data) for data in bench.meter.nv_memory.entries(layout.LOAD_PROFILE)]


def same(rows, wanted):
    assert len(rows) == len(wanted)
    for row, entry in zip(rows, wanted, strict=True):
        assert utc_of(row[0]) == from_utc_ms(entry[1] * 1000)
        assert row[1:] == [entry[2], *entry[4:]]


def test_what_is_captured(bench):
    objects = bench.get(7, LOAD, 3)
    assert [(row[0], obis(row[1])) for row in objects] == CAPTURED
    assert all(row[2:] == [2, 0] for row in objects)
    assert bench.get(7, LOAD, 4) == 900
    assert bench.get(7, LOAD, 5) == 1
    assert bench.get(7, LOAD, 7) == len(stored(bench)) > 130
    assert bench.get(7, LOAD, 8) >= bench.get(7, LOAD, 7)
    # Each column is an object of its own.
    for class_id, ln in CAPTURED:
        assert bench.code(class_id, ln) == 0


def test_the_whole_buffer(bench):
    rows = bench.get(7, LOAD)
    same(rows, stored(bench))
    deviations = {parse_stamp(row[0])[1] for row in rows}
    assert deviations == {-60, -120}
    for row in rows:
        assert bool(row[0][11] & 0x80) == (parse_stamp(row[0])[1] == -120)
    assert sum(row[2] for row in rows) == bench.meter.recorder.load_profile.start_mwh[0]


moments = st.integers(-40, 260).map(lambda k: timedelta(seconds=450 * k))
forms = st.sampled_from(["utc", "local", "summer"])


def written(moment, form):
    """A date-time of an aware moment, and the moment that it names."""
    moment = moment.replace(microsecond=0)
    if form == "local":
        local = moment.astimezone(OSLO)
        summer = 0x80 if local.dst() else 0
        return stamp(*local.timetuple()[:6], status=summer)
    local = moment if form == "utc" else moment + timedelta(hours=2)
    return stamp(*local.timetuple()[:6], deviation=0 if form == "utc" else -120)


@given(low=moments, high=moments, form=forms, columns=st.lists(st.integers(0, 5), max_size=6))
@settings(max_examples=120, deadline=None)
def test_ranges_are_those_of_a_plain_model(bench, low, high, form, columns):
    start = datetime(2026, 10, 24, 16, tzinfo=UTC)
    low, high = start + low, start + high
    chosen = [column(*CAPTURED[k]) for k in columns]
    selection = by_range(written(low, form), written(high, form), chosen)
    rows = bench.get(7, LOAD, selection=selection)
    low_s, high_s = to_utc_ms(low) // 1000, to_utc_ms(high) // 1000
    wanted = [entry for entry in stored(bench) if low_s <= entry[1] <= high_s]
    if not columns:
        same(rows, wanted)
        return
    assert len(rows) == len(wanted)
    for row, entry in zip(rows, wanted, strict=True):
        values = [entry[1], entry[2], *entry[4:]]
        shown = [to_utc_ms(utc_of(v)) // 1000 if isinstance(v, bytes) else v for v in row]
        assert shown == [values[k] for k in columns]


@given(
    first=st.integers(0, 200), last=st.integers(0, 200), left=st.integers(0, 8),
    right=st.integers(0, 8),
)  # fmt: skip
@settings(max_examples=120, deadline=None)
def test_entries_are_those_of_a_plain_model(bench, first, last, left, right):
    selection = by_entry(first, last, left, right)
    begin = max(left, 1)
    end = min(right or 6, 6)
    if begin > end:
        assert bench.code(7, LOAD, selection=selection) == SCOPE_VIOLATED
        return
    rows = bench.get(7, LOAD, selection=selection)
    everything = bench.get(7, LOAD)
    wanted = everything[max(first, 1) - 1 : last or None]
    assert rows == [row[begin - 1 : end] for row in wanted]


def test_a_range_by_another_column(bench):
    """A restricting object that is not the clock has values of its own type."""
    selection = b"\x01\x02\x04" + column(3, "1.0.1.29.0") + struct.pack(
        ">BIBIBB", 6, 400_000, 6, 600_000, 1, 0
    )  # fmt: skip
    rows = bench.get(7, LOAD, selection=selection)
    wanted = [entry for entry in stored(bench) if 400_000 <= entry[4] <= 600_000]
    same(rows, wanted)
    assert wanted


class Client(Raw):
    """With the reader's keys, at a whole meter."""

    def __init__(self, bench):
        super().__init__(self, 2, READER_KEYS)
        self.server = bench.meter.link.server

    def request(self, apdu, sap, channel):
        answer = self.server.request(channel, sap, 1, memoryview(bytearray(apdu)), 1000)
        return None if answer is None else bytes(answer)


def test_one_request_looks_through_few_rows():
    """What is looked for in a long profile would hold the samples up until the watchdog bites."""
    bench = Bench(datetime(2026, 1, 1, tzinfo=UTC), security=security())
    for number in range(200):
        # More than the log would take of one kind: what it takes is not what this is about.
        bench.meter.events._shares = events.groups.Shares()
        bench.meter.events.log(bench.meter.utc_ms, events.PARAMETER_CHANGED, number)
    code = b"\x01\x02\x04" + column(1, "0.0.96.11.0")
    code += struct.pack(">BBBBBB", 17, events.PARAMETER_CHANGED, 17, events.PARAMETER_CHANGED, 1, 0)
    assert len(bench.get(7, "0.0.99.98.0", selection=code)) == 200
    none = code.replace(bytes((17, events.PARAMETER_CHANGED)), b"\x11\xfe")
    what = struct.pack(">H6sBB", 7, bytes((0, 0, 99, 98, 0, 255)), 2, 1) + none
    client = Client(bench).associate()
    for _ in range(2):
        answer = client.ask(b"\xc0\x03\xc1\x02" + what + what)
        assert answer == b"\xc4\x03\xc1\x02" + b"\x00\x01\x00" + b"\x01\x02"
    # By the clock, in a profile of whatever length: four searches in a list.
    day = by_range(stamp(2026, 1, 1, deviation=0), stamp(2026, 1, 1, deviation=0))
    what = struct.pack(">H6sBB", 7, bytes((1, 0, 99, 1, 0, 255)), 2, 1) + day
    answer = client.ask(b"\xc0\x03\xc1\x06" + 6 * what)
    assert answer == b"\xc4\x03\xc1\x06" + 4 * b"\x00\x01\x00" + 2 * b"\x01\x02"
    bench.hold(301 * 3600)
    assert bench.get(7, LOAD, 7) > 300
    value = b"\x01\x02\x04" + column(3, "1.0.1.29.0")
    value += struct.pack(">BIBIBB", 6, 1, 6, 2, 1, 0)
    assert bench.code(7, LOAD, selection=value) == SCOPE_VIOLATED


def test_ranges_that_make_no_sense(bench):
    any_time = b"\xff" * 9 + b"\x80\x00\xff"
    everything = bench.get(7, LOAD)
    assert bench.get(7, LOAD, selection=by_range(any_time, any_time)) == everything
    late = stamp(2030, 1, 1)
    assert bench.get(7, LOAD, selection=by_range(late, any_time)) == []
    assert bench.get(7, LOAD, selection=by_range(late, stamp(2029, 1, 1))) == []
    assert bench.code(7, LOAD, selection=b"\x03\x00") == SCOPE_VIOLATED
    unknown = by_range(late, late, [column(3, "1.0.1.8.0")])
    assert bench.code(7, LOAD, selection=unknown) == SCOPE_VIOLATED
    wrong_type = by_range(late, late).replace(b"\x09\x0c", b"\x0a\x0c")
    assert bench.code(7, LOAD, selection=wrong_type) == TYPE_UNMATCHED
    assert bench.code(7, LOAD, selection=by_range(stamp(2026, 13, 1), late)) == OTHER_REASON
    for cut in range(1, len(by_range(late, late))):
        assert bench.code(7, LOAD, selection=by_range(late, late)[:cut]) != 0
    # A date without a time is the whole day.
    day = struct.pack(">HBBBBBBBhB", 2026, 10, 25, 255, 255, 255, 255, 255, -0x8000, 255)
    rows = bench.get(7, LOAD, selection=by_range(day, day))
    assert rows == [row for row in everything if parse_stamp(row[0])[0].date().day == 25]


def test_rows_that_come_while_others_go_out(bench):
    """What is captured in the middle of an answer changes nothing of it."""
    from ams.cosem.axdr import Writer

    wanted = bench.raw(7, LOAD, selection=by_entry(1, 100))
    out = Writer(640)
    from cosem_objects import name

    from ams.cosem.axdr import Reader

    pieces = bench.model.get(7, name(LOAD), 2, access.READER, out, Reader(by_entry(1, 100)))
    whole = b""
    for _ in pieces:
        whole += bytes(out.view())
        out.clear()
        bench.hold(900, 500)
    assert whole + bytes(out.view()) == wanted


def test_the_other_profiles(bench):
    days = bench.get(7, "1.0.99.2.0")
    assert [parse_stamp(row[0])[0].hour for row in days] == [0] * len(days)
    assert len(days) >= 2 and all(len(row) == 10 for row in days)
    voltage = bench.get(7, "1.0.99.14.0")
    assert len(voltage) > 60 and voltage[0][2:5] == [2300, 2300, 2300]
    assert bench.get(7, "1.0.99.14.0", 4) == 600
    assert bench.get(7, "0.0.98.1.0") == []
    for log in range(6):
        rows = bench.get(7, f"0.0.99.98.{log}")
        kept = [events.unpack(d) for d in bench.meter.nv_memory.entries(layout.EVENTS + log)]
        assert [row[1:] for row in rows] == [[e[2], e[0], e[3], e[4]] for e in kept]
        if kept:
            assert bench.get(1, f"0.0.96.11.{log}") == kept[-1][2]
    assert bench.get(7, "0.0.99.98.0")[0][1] == events.POWER_UP


def test_the_capture_period(bench):
    fresh = Bench()
    assert fresh.get(7, LOAD, 4) == 3600
    assert fresh.set(7, LOAD, 4, b"\x06\x00\x00\x03\x84") == 0
    assert fresh.get(7, LOAD, 4) == 900
    for value, code in ((b"\x06\0\0\0\x3c", OTHER_REASON), (b"\x12\x03\x84", TYPE_UNMATCHED)):
        assert fresh.set(7, LOAD, 4, value) == code
    assert fresh.set(7, "1.0.99.14.0", 4, b"\x06\0\0\x03\x84") != 0
    assert fresh.set(7, LOAD, 3, b"\x01\0") != 0
    assert fresh.call(7, LOAD, 1) != 0
    fresh.meter.power_fail()
    fresh.power_up()
    assert fresh.get(7, LOAD, 4) == 900


# --- clock ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("utc", "local", "deviation", "status"),
    [
        ((2026, 3, 29, 0, 59, 59), (2026, 3, 29, 1, 59, 59), -60, 0),
        ((2026, 3, 29, 1, 0, 0), (2026, 3, 29, 3, 0, 0), -120, 0x80),
        ((2026, 10, 25, 0, 30, 0), (2026, 10, 25, 2, 30, 0), -120, 0x80),
        ((2026, 10, 25, 1, 30, 0), (2026, 10, 25, 2, 30, 0), -60, 0),
        ((2028, 2, 29, 23, 0, 0), (2028, 3, 1, 0, 0, 0), -60, 0),
    ],
)
def test_local_time_and_back(utc, local, deviation, status):
    """What the clock shows, set as it is shown, is the same moment: both hours in October."""
    bench = Bench(datetime(*utc, tzinfo=UTC))
    shown = bench.get(8, "0.0.1.0.0", who=access.PUBLIC)
    assert parse_stamp(shown) == (datetime(*local), deviation)
    assert shown[11] == status == bench.get(8, "0.0.1.0.0", 4)
    assert shown[4] == datetime(*local).isoweekday()
    before = bench.meter.utc_ms
    for form in (shown, shown[:9] + b"\x80\x00" + shown[11:]):
        bench.meter.set_clock(bench.raw_ms, before + 86_400_000 * 40)
        assert bench.set(8, "0.0.1.0.0", 2, octets(form)) == 0
        assert bench.meter.utc_ms == before
    assert bench.set(8, "0.0.1.0.0", 2, b"\x19" + shown) == 0


def test_setting_is_an_event_and_marks_the_interval():
    bench = Bench(datetime(2026, 6, 1, 12, tzinfo=OSLO))
    bench.hold(1000)
    moment = stamp(2026, 6, 1, 15, 0, 0)
    assert bench.set(8, "0.0.1.0.0", 2, octets(moment)) == 0
    assert bench.meter.utc_ms == to_utc_ms(datetime(2026, 6, 1, 15, tzinfo=OSLO))
    codes = [row[1] for row in bench.get(7, "0.0.99.98.0")]
    assert codes[-2:] == [events.CLOCK_ADJUSTED_OLD, events.CLOCK_ADJUSTED_NEW]
    assert bench.get(1, "0.0.96.10.1") & profile.STATUS_CLOCK_ADJUSTED


@pytest.mark.parametrize(
    "value",
    [
        b"\x09\x0b" + stamp(2026, 1, 1)[:11],
        b"\x09\x0c" + b"\xff" * 12,
        b"\x09\x0c" + stamp(2026, 2, 30),
        b"\x09\x0c" + stamp(2026, 1, 1, 24),
        b"\x09\x0c" + stamp(2026, 1, 1, 1, 60),
        b"\x09\x0c" + stamp(2026, 1, 1, 1, 1, deviation=2000),
        b"\x09\x0c" + stamp(1999, 1, 1, 1, 1),
        b"\x09\x0c" + stamp(2120, 1, 1, 1, 1),
        b"\x09\x0c" + stamp(2026, 1, 1, 255, 0),
        b"\x06\0\0\0\1",
        b"\x09\x0c" + stamp(2026, 1, 1, 1, 1) + b"\x00",
    ],
)
def test_times_that_are_none_change_nothing(value):
    bench = Bench()
    before = bench.meter.utc_ms
    assert bench.set(8, "0.0.1.0.0", 2, value) != 0
    assert bench.meter.utc_ms == before


def test_methods_of_the_clock():
    start = datetime(2026, 6, 1, 12, 7, 40, tzinfo=OSLO)
    for method, wanted in ((1, (12, 15, 0)), (2, (12, 0, 0)), (3, (12, 8, 0))):
        bench = Bench(start)
        assert bench.call(8, "0.0.1.0.0", method) == 0
        assert bench.meter.utc_ms == to_utc_ms(start.replace(hour=12, minute=wanted[1], second=0))
    bench = Bench(start)
    assert bench.call(8, "0.0.1.0.0", 6, b"\x10" + struct.pack(">h", -40)) == 0
    assert bench.meter.utc_ms == to_utc_ms(start.replace(second=0))
    assert bench.call(8, "0.0.1.0.0", 6, b"\x10" + struct.pack(">h", 901)) == OTHER_REASON
    assert bench.call(8, "0.0.1.0.0", 4) == OTHER_REASON
    preset = b"\x02\x03" + b"".join(
        octets(stamp(2026, 6, 1, hour, minute)) for hour, minute in ((13, 0), (12, 0), (12, 30))
    )
    assert bench.call(8, "0.0.1.0.0", 5, preset) == 0
    assert bench.call(8, "0.0.1.0.0", 4) == 0
    assert bench.meter.utc_ms == to_utc_ms(start.replace(hour=13, minute=0, second=0))
    assert bench.call(8, "0.0.1.0.0", 4) == OTHER_REASON


ON_VM = """
import sys
sys.path.insert(0, sys.argv[1])
import json, gc, binascii
from openams.faultlab import flash_lab
from ams.cosem.axdr import Reader, Writer
from ams.cosem import access
from amsbench.hold import hold
job = json.load(open(sys.argv[2]))
meter = flash_lab.make_meter(flash_lab.LabFlash(64), job["config"])
raw = job["start"]
meter.start(raw)
meter.set_capture_period(900)
for k in range(120):
    flash_lab.set_power(meter, 1000 + k)
    hold(meter, raw, 900000, meter._board.clock)
    raw += 900000
    meter.tick(raw)
    if k == 50:
        meter.set_clock(raw, meter.utc_ms - 3600000)
out = Writer(640)
for class_id, ln, attribute, selection in job["reads"]:
    whole = b""
    out.clear()
    reader = Reader(binascii.unhexlify(selection)) if selection else None
    ln = bytes([int(part) for part in ln.split(".")])
    pieces = meter.model.get(class_id, ln, attribute, access.READER, out, reader)
    if pieces is not None:
        for _ in pieces:
            whole += bytes(out.view())
            out.clear()
    print(binascii.hexlify(whole + bytes(out.view())).decode())
"""


def test_the_same_rows_on_the_vm(micropython, tmp_path):
    start = to_utc_ms(datetime(2026, 3, 28, 20, tzinfo=OSLO))
    bench = Bench(start)
    bench.meter.set_capture_period(900)
    for k in range(120):
        bench.hold(900, 1000 + k)
        if k == 50:
            bench.meter.set_clock(bench.raw_ms, bench.meter.utc_ms - 3_600_000)
    reads = [
        (7, "1.0.99.1.0.255", 2, None),
        (7, "1.0.99.1.0.255", 3, None),
        (7, "1.0.99.1.0.255", 2, by_range(stamp(2026, 3, 29, 1), stamp(2026, 3, 29, 9))),
        (7, "1.0.99.1.0.255", 2, by_entry(5, 25, 2, 3)),
        (7, "1.0.99.14.0.255", 2, by_entry(1, 9)),
        (7, "0.0.99.98.0.255", 2, None),
        (7, "1.0.99.2.0.255", 2, None),
    ]
    config = {
        "system": "3P4W",
        "calibration": bench.calibration,
        "identity": {"meter_id": METER_ID, "meter_type": "OAM-3"},
        "han": {"format": "kaifa"},
    }
    job = {
        "config": config,
        "start": start,
        "reads": [(*read[:3], read[3].hex() if read[3] else None) for read in reads],
    }
    (tmp_path / "job").write_text(json.dumps(job))
    host = str(Path(__file__).resolve().parents[2] / "host")
    lines = micropython(ON_VM, host, str(tmp_path / "job"), heap_kib=2048).split()
    for read, line in zip(reads, lines, strict=True):
        mine = bench.raw(*read[:3], selection=read[3])
        assert mine.hex() == line
        decode(mine)
