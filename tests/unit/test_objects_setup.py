"""What the operator sets up: kept over power cuts, run at its time, sent where it should go."""

from __future__ import annotations

import os
import struct
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cosem_objects import Bench, decode, name, octets, stamp
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from dlms import KEK, READER_KEYS, TITLE, security
from dlms_cosem.hdlc.frames import UnnumberedInformationFrame
from dlms_cosem.protocol.xdlms import DataNotification, GeneralGlobalCipher
from dlms_cosem.security import decrypt

from ams.cosem import access
from ams.events import events as ev
from ams.objects import alarms
from ams.results import (
    HARDWARE_FAULT,
    OTHER_REASON,
    READ_WRITE_DENIED,
    TEMPORARY_FAILURE,
    TYPE_UNMATCHED,
)
from openams.emulator.models.mbus_slave import MBus, MBusSlave
from openams.meter_time import from_utc_ms, to_utc_ms

OSLO = ZoneInfo("Europe/Oslo")
NOON = datetime(2026, 6, 1, 12, tzinfo=OSLO)
CALENDAR = (20, "0.0.13.0.0")
DAYS = (11, "0.0.11.0.0")
PUSH = (40, "0.0.25.9.0")
ALARM_PUSH = (40, "0.4.25.9.0")
PUSH_TIMES = (22, "0.0.15.0.4")
HAN_OPEN, HAN_SEALED, HAN_KEYS = ((1, f"0.0.128.1.{e}") for e in range(3))
ANY_TIME = b"\xff\xff\x00\x00"
ANY_DATE = b"\xff\xff\xff\xff\xff"


def times(*entries):
    """Execution times: pairs of four and five octets."""
    out = bytes((1, len(entries)))
    for time, date in entries:
        out += b"\x02\x02" + octets(time) + octets(date)
    return out


def cut(bench, seconds=60):
    """The power goes without a word, and comes back."""
    bench.raw_ms += seconds * 1000
    bench.power_up()


# --- what is kept -----------------------------------------------------------------------

SETTINGS = [
    (*CALENDAR, 6, b"\x09\x06summer"),
    (*CALENDAR, 10, octets(stamp(2026, 7, 1))),
    (*DAYS, 2, b"\x01\x01\x02\x03\x12\x00\x07\x09\x05\xff\xff\x05\x11\xff\x11\x02"),
    (*PUSH, 2, b"\x01\x01\x02\x04\x12\x00\x08\x09\x06\0\0\x01\0\0\xff\x0f\x02\x12\0\0"),
    (*PUSH, 3, b"\x02\x03\x16\x00\x09\x0e10.0.0.1:4061 \x16\x00".replace(b"\x0e", b"\x0e")),
    (*PUSH, 4, b"\x01\x01\x02\x02" + octets(b"\xff" * 12) + octets(b"\xff" * 12)),
    (*PUSH, 5, b"\x12\x00\x1e"),
    (*PUSH, 6, b"\x11\x05"),
    (*PUSH, 7, b"\x12\x00\x0a"),
    (*PUSH_TIMES, 4, times((ANY_TIME, ANY_DATE))),
    (23, "0.0.22.0.0", 2, b"\x16\x08"),
    (19, "0.0.20.0.0", 2, b"\x16\x01"),
    (19, "0.0.20.0.0", 4, b"\x16\x09"),
    (23, "0.0.22.0.0", 5, b"\x12\x00\x80"),
    (23, "0.0.22.0.0", 8, b"\x12\x00\x1e"),
    (41, "0.0.25.0.0", 6, b"\x12\x00\x3c"),
    (1, "0.0.97.98.10", 2, b"\x06\x00\x01\x00\x00"),
    (*HAN_OPEN, 2, b"\x03\x01"),
]


@pytest.mark.parametrize("item", SETTINGS, ids=lambda item: f"{item[0]}-{item[1]}-{item[2]}")
def test_settings_outlive_a_power_cut_and_are_logged(item):
    class_id, ln, attribute, value = item
    bench = Bench(NOON)
    before = bench.raw(class_id, ln, attribute, who=access.OPERATOR)
    assert before != value
    for who in (access.PUBLIC, access.READER, access.BREAKER, access.UPDATE):
        assert bench.set(class_id, ln, attribute, value, who) == READ_WRITE_DENIED
    assert bench.set(class_id, ln, attribute, value + b"\x00") != 0
    assert bench.set(class_id, ln, attribute, b"\x0a\x01x") == TYPE_UNMATCHED
    assert bench.raw(class_id, ln, attribute, who=access.OPERATOR) == before
    assert bench.set(class_id, ln, attribute, value) == 0
    assert bench.raw(class_id, ln, attribute, who=access.OPERATOR) == value
    cut(bench)
    assert bench.raw(class_id, ln, attribute, who=access.OPERATOR) == value
    decode(value)


def test_the_settings_of_the_links_come_into_force():
    bench = Bench(NOON, security=security())
    hdlc = bench.meter.link.hdlc
    before = hdlc.inter_octet_ms
    assert bench.get(23, "0.0.22.0.0", 7) == before
    assert bench.set(23, "0.0.22.0.0", 8, b"\x12\x00\x1e") == 0
    assert bench.set(23, "0.0.22.0.0", 5, b"\x12\x00\x80") == 0
    assert bench.set(41, "0.0.25.0.0", 6, b"\x12\x00\x3c") == 0
    for _ in range(2):
        hdlc = bench.meter.link.hdlc
        assert hdlc.inactivity_ms == 30_000 and hdlc.parameters.max_info_tx == 128
        bench.meter.link.opened(1)
        assert bench.meter.link.tcp[0].inactivity_ms == 60_000
        assert hdlc.inter_octet_ms == before
        cut(bench)


@pytest.mark.parametrize(
    ("where", "attribute", "value"),
    [
        (CALENDAR, 9, b"\x01\x01\x02\x02\x11\x01\x01\x01\x02\x03\x09\x04\x18\0\0\0\x09\x06"
         b"\x00\x00\x0a\x00\x64\xff\x12\x00\x01"),  # hour 24
        (CALENDAR, 9, b"\x01\x01\x02\x02\x11\x01\x01\x01\x02\x03\x09\x04\x10\0\0\0\x09\x06"
         b"\x00\x00\x0a\x00\x6a\xff\x12\x00\x01"),  # the script table of the breaker
        (CALENDAR, 7, b"\x01\x40" + b"\x00" * 64),
        (DAYS, 2, b"\x01\x01\x02\x03\x12\x00\x07\x09\x05\xff\xff\x0d\x11\xff\x11\x02"),
        (PUSH_TIMES, 4, times((b"\x0c\x00\x1e\x00", ANY_DATE))),  # half a minute
        (PUSH, 2, b"\x01\x01\x02\x04\x12\x00\x01\x09\x06\0\0\x80\x01\x02\xff\x0f\x02\x12\0\0"),
        (PUSH, 3, b"\x02\x03\x16\x04\x09\x00\x16\x00"),  # SMS
        (PUSH, 3, b"\x02\x03\x16\x00\x09\x30" + b"x" * 48 + b"\x16\x00"),
        (PUSH, 6, b"\x11\xff"),
        ((23, "0.0.22.0.0"), 5, b"\x12\xff\xff"),
        ((41, "0.0.25.0.0"), 6, b"\x12\x00\x01"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(where, attribute, value):
    bench = Bench(NOON)
    before = bench.raw(*where, attribute)
    assert bench.set(*where, attribute, value) in (OTHER_REASON, TYPE_UNMATCHED, READ_WRITE_DENIED)
    assert bench.raw(*where, attribute) == before
    for length in range(1, len(value)):
        assert bench.set(*where, attribute, value[:length]) != 0
    assert bench.raw(*where, attribute) == before


# --- calendar --------------------------------------------------------------------------


def script(hour, minute, rate):
    start = bytes((hour, minute, 0, 0))
    return b"\x02\x03" + octets(start) + octets(name("0.0.10.0.100")) + b"\x12\x00" + bytes((rate,))


def day(number, *actions):
    return b"\x02\x02\x11" + bytes((number, 1, len(actions))) + b"".join(actions)


def week(text, days):
    return b"\x02\x08" + octets(text) + b"".join(bytes((0x11, d)) for d in days)


def season(text, month, first, text_of_week):
    start = struct.pack(">HBBBBBBBhB", 0xFFFF, month, first, 255, 0, 0, 0, 0, -0x8000, 0)
    return b"\x02\x03" + octets(text) + octets(start) + octets(text_of_week)


def a_calendar(bench):
    """Winter weeks: day 1 from Monday to Friday, day 2 at the weekend; summer: day 2 always."""
    values = {
        6: octets(b"two rates"),
        7: b"\x01\x02" + season(b"w", 11, 1, b"cold") + season(b"s", 4, 15, b"warm"),
        8: b"\x01\x02" + week(b"cold", [1] * 5 + [2] * 2) + week(b"warm", [2] * 7),
        9: b"\x01\x02"
        + day(1, script(0, 0, 1), script(6, 30, 2), script(22, 0, 1))
        + day(2, script(0, 0, 3)),
    }
    for attribute, value in values.items():
        assert bench.set(*CALENDAR, attribute, value) == 0
    return values


def rate(bench, *when):
    return bench.model.calendar().tariff(to_utc_ms(datetime(*when, tzinfo=OSLO)))


def test_the_rate_in_force():
    bench = Bench(NOON)
    assert bench.get(1, "0.0.96.14.0") == b"1"
    a_calendar(bench)
    assert rate(bench, 2026, 6, 1, 12) == 1, "a passive calendar changes nothing"
    assert bench.call(*CALENDAR, 1) == 0
    assert bench.get(1, "0.0.96.14.0") == b"3"
    assert rate(bench, 2026, 1, 5, 6, 29) == 1  # a Monday; the season of last year
    assert rate(bench, 2026, 1, 5, 6, 30) == 2
    assert rate(bench, 2026, 1, 5, 22, 0) == 1
    assert rate(bench, 2026, 1, 4, 12, 0) == 3  # a Sunday
    assert rate(bench, 2026, 4, 14, 12, 0) == 2
    assert rate(bench, 2026, 4, 15, 12, 0) == 3
    assert rate(bench, 2026, 11, 2, 12, 0) == 2
    # The seventeenth of May in the cold season's place, and every Christmas.
    holiday = b"\x02\x03\x12\x00\x01" + octets(b"\xff\xff\x0c\x19\xff") + b"\x11\x02"
    assert rate(bench, 2026, 12, 25, 12) == 2
    assert bench.call(*DAYS, 1, holiday) == 0
    assert rate(bench, 2026, 12, 25, 12) == 3
    assert bench.get(*DAYS, 2) == [[1, b"\xff\xff\x0c\x19\xff", 2]]
    assert bench.call(*DAYS, 2, b"\x12\x00\x01") == 0
    assert bench.call(*DAYS, 2, b"\x12\x00\x01") == OTHER_REASON
    assert rate(bench, 2026, 12, 25, 12) == 2


def test_the_passive_calendar_comes_into_force_at_its_time_once():
    bench = Bench(NOON)
    values = a_calendar(bench)
    assert bench.set(*CALENDAR, 10, octets(stamp(2026, 6, 1, 13))) == 0
    bench.hold(3500)
    assert bench.raw(*CALENDAR, 2) != values[6]
    # Schedules go on when the calendar has changed.
    ran = []
    assert bench.set(*PUSH_TIMES, 4, times((b"\x0d\x05\x00\x00", ANY_DATE))) == 0
    cut(bench, 10)
    # Alarms of the cut are asked for too.
    bench.model.push.ask = lambda alarms, at_once=False: alarms or not ran.append(1)
    bench.hold(200)
    for attribute, value in values.items():
        assert bench.raw(*CALENDAR, attribute - 4) == value
    assert bench.get(*CALENDAR, 6) == b"default"
    bench.hold(300)
    assert ran == [1]
    cut(bench)
    bench.hold(600)
    assert bench.raw(*CALENDAR, 2) == values[6]
    assert bench.set(*CALENDAR, 2, octets(b"x")) == READ_WRITE_DENIED


# --- schedules -------------------------------------------------------------------------


def runs(start, entries, hours):
    """Local times at which a schedule runs, of `hours` from `start`."""
    bench = Bench(start)
    assert bench.set(*PUSH_TIMES, 4, times(*entries)) == 0
    ran = []
    bench.model.push.ask = lambda which, at_once=False: ran.append(bench.meter.utc_ms) or True
    for _ in range(hours * 6):
        bench.hold(600)
    origin = to_utc_ms(start)
    return [round((moment - origin) / 60_000) for moment in ran]


def test_times_with_wildcards():
    assert runs(NOON, [(b"\x0d\x05\x00\x00", ANY_DATE)], 26) == [65, 65 + 1440]
    assert runs(NOON, [(b"\xff\x1e\x00\x00", ANY_DATE)], 3) == [30, 90, 150]
    assert runs(NOON, [(b"\x0d\x00\x00\x00", b"\x07\xea\x06\x02\xff")], 50) == [60 + 1440]
    assert runs(NOON, [(b"\x0d\x00\x00\x00", b"\xff\xff\xff\xff\x07")], 200) == [60 + 6 * 1440]
    assert runs(NOON, [(b"\x00\x00\x00\x00", b"\xff\xff\xff\x01\xff")], 24) == []
    june = NOON.replace(day=30)
    assert runs(june, [(b"\x0d\x00\x00\x00", b"\xff\xff\xff\xfe\xff")], 24) == [60]
    assert runs(june, [(b"\x0d\x00\x00\x00", b"\xff\xff\xff\xfd\xff")], 24) == []


def test_the_hours_of_march_and_october():
    """02:30: once in October, in the first of the two hours; an hour late in March."""
    at = [(b"\x02\x1e\x00\x00", ANY_DATE)]
    every = [(b"\xff\x1e\x00\x00", ANY_DATE)]
    assert runs(datetime(2026, 10, 25, 0, tzinfo=OSLO), at, 6) == [150]
    assert runs(datetime(2026, 10, 25, 0, tzinfo=OSLO), every, 5) == [30, 90, 150, 210, 270]
    assert runs(datetime(2026, 3, 29, 0, tzinfo=OSLO), at, 6) == [150]
    assert runs(datetime(2026, 3, 29, 0, tzinfo=OSLO), every, 4) == [30, 90, 150, 210]


def test_a_clock_that_is_set_back_delays_nothing():
    bench = Bench(NOON)
    ran = []
    assert bench.set(*PUSH_TIMES, 4, times((b"\xff\x1e\x00\x00", ANY_DATE))) == 0
    bench.model.push.ask = lambda which, at_once=False: ran.append(bench.meter.utc_ms) or True
    bench.hold(600)
    assert bench.set(8, "0.0.1.0.0", 2, octets(stamp(2026, 6, 1, 8, 10))) == 0
    for _ in range(7):
        bench.hold(600)
    assert [from_utc_ms(moment).astimezone(OSLO).strftime("%H:%M") for moment in ran] == ["08:30"]


def test_a_fault_in_here_does_not_stop_the_metering():
    """Nor does a flash that takes nothing any more."""
    bench = Bench(NOON)
    assert bench.set(*PUSH_TIMES, 4, times((ANY_TIME, ANY_DATE))) == 0

    def broken(which, at_once=False):
        raise MemoryError("memory allocation failed")

    bench.model.push.ask = broken
    bench.hold(600)
    assert bench.model.faults > 5 and bench.meter.energy.mwh[0] == 166_666
    bench = Bench(NOON, security=security())
    bench.flash.program = lambda address, data: None
    bench.flash.erase = lambda address: None
    assert bench.set(*PUSH, 6, b"\x11\x02") == HARDWARE_FAULT
    assert bench.get(*PUSH, 6) == 3
    bench.meter.tamper(ev.METER_COVER_REMOVED)
    bench.hold(600)
    assert bench.meter.energy.mwh[0] == 166_666 and bench.model.faults == 0
    assert bench.get(1, "0.0.97.98.0") & alarms.COVER
    assert bench.get(1, "0.0.97.97.0") & alarms.MEMORY_ERROR


def test_a_time_that_is_skipped_is_not_made_up_for():
    """Slept through without supply; over a step of the clock it comes when it would have."""
    bench = Bench(NOON)
    assert bench.set(*PUSH_TIMES, 4, times((b"\x0d\x00\x00\x00", ANY_DATE))) == 0
    ran = []
    bench.model.push.ask = lambda which, at_once=False: ran.append(bench.meter.utc_ms) or True
    bench.hold(1800)
    bench.set(8, "0.0.1.0.0", 2, octets(stamp(2026, 6, 1, 14)))
    bench.hold(1790)
    assert not ran
    bench.hold(20)
    # By the clock that is shown, half an hour after it was set, to the second.
    assert len(ran) == 1 and abs(ran[0] - to_utc_ms(NOON) - 9_000_000) <= 1000
    bench = Bench(NOON)
    assert bench.set(*PUSH_TIMES, 4, times((b"\x0d\x00\x00\x00", ANY_DATE))) == 0
    bench.hold(1800)
    bench.raw_ms += 3_600_000
    bench.power_up()
    ran = []
    # Alarms of the cut are asked for too.
    bench.model.push.ask = lambda alarms, at_once=False: alarms or not ran.append(1)
    bench.hold(3600)
    assert not ran
    # A script that is called runs, and only for who may.
    assert bench.call(9, "0.0.10.0.108", 1, b"\x12\x00\x01", access.READER) == READ_WRITE_DENIED
    assert bench.call(9, "0.0.10.0.108", 1, b"\x12\x00\x03") == OTHER_REASON
    assert bench.call(9, "0.0.10.0.108", 1, b"\x12\x00\x01") == 0
    assert ran


# --- push ------------------------------------------------------------------------------


def opened(message, keys=READER_KEYS):
    """The body of a message, by dlms-cosem and gurux-dlms, and its date-time."""
    sealed = GeneralGlobalCipher.from_bytes(message)
    assert sealed.system_title == TITLE
    plain = decrypt(
        sealed.security_control, TITLE, sealed.invocation_counter, keys[0],
        sealed.ciphered_text, keys[1],
    )  # fmt: skip
    notification = DataNotification.from_bytes(plain)
    return decode(bytes(notification.body))


# An empty UI frame of client 2 with a poll: it gives the line to the meter.
GIVES_THE_LINE = bytes.fromhex("7EA00703051354C17E")


# Over HDLC, and said unasked to client 2.
TO_THE_READER = b"\x02\x03\x16\x05\x09\x01\x05\x16\x00"


def from_service_port(bench, asked=True):
    """What goes out on the service port, once it is asked for: UI frames, parsed by dlms-cosem."""
    if asked:
        assert bench.board.written[0] == b"", "said unasked"
        bench.meter.link.feed(0, memoryview(bytearray(GIVES_THE_LINE)), bench.raw_ms & 0x3FFFFFFF)
    octets_ = bench.board.written[0]
    bench.board.written[0] = b""
    out = b""
    while octets_:
        length = (octets_[1] & 7) << 8 | octets_[2]
        frame = octets_[: length + 2]
        parsed = UnnumberedInformationFrame.from_bytes(frame)
        out += parsed.payload
        octets_ = octets_[length + 2 :]
        if not octets_ or octets_[0] != 0x7E:
            octets_ = b"\x7e" + octets_ if octets_ else b""
    return out[3:] if out else None


def poll(bench):
    bench.meter.link.poll(bench.raw_ms & 0x3FFFFFFF)


def pushing(*settings, **more):
    bench = Bench(NOON, security=security(**more))
    for where, attribute, value in settings:
        assert bench.set(*where, attribute, value) == 0
    bench.meter.set_capture_period(900)
    for _ in range(5):
        bench.hold(900)
        poll(bench)
    bench.model.alarms.raised = 0
    bench.model.push._forget(1)
    poll(bench)
    bench.board.written[0] = b""
    while from_service_port(bench) is not None:
        pass  # it starts with an alarm
    return bench


def test_intervals_go_to_the_reader_on_the_service_port():
    bench = pushing()
    assert bench.call(*PUSH, 1, b"\x0f\x00") == 0
    bench.hold(1)
    poll(bench)
    body = opened(from_service_port(bench))
    assert body[0] == name("0.0.25.9.0")
    assert body[1] == bench.get(1, "0.0.42.0.0")
    assert body[2][:8] == bench.get(8, "0.0.1.0.0")[:8]
    assert body[3] == bench.get(7, "1.0.99.1.0")[-4:]
    assert len(body) == 4 and bench.model.push.sent[0] == 1
    assert bench.call(*PUSH, 1, b"\x0f\x00", access.READER) == READ_WRITE_DENIED


def test_the_schedule_sends_and_nothing_goes_unasked():
    bench = pushing((PUSH_TIMES, 4, times((b"\xff\x00\x00\x00", ANY_DATE))))
    sent = bench.model.push.sent[0]
    assert sent == 1
    bench.hold(3600)
    assert bench.model.push.sent[0] == sent + 1
    poll(bench)
    assert opened(from_service_port(bench))[0] == name("0.0.25.9.0")


def test_randomisation_and_one_at_a_time():
    bench = pushing((PUSH, 5, b"\x12\x01\x2c"))
    delays = set()
    for _ in range(12):
        asked = bench.raw_ms
        assert bench.call(*PUSH, 1) == 0
        assert bench.call(*PUSH, 1) == TEMPORARY_FAILURE
        delay = bench.model.push.due_ms() - asked
        assert 0 <= delay <= 300_000
        delays.add(delay)
        bench.hold(301)
        poll(bench)
    assert len(delays) > 8 and bench.model.push.sent[0] == 12


def test_windows():
    """Only between 14:00 and 15:00, each day."""
    window = b"\x01\x01\x02\x02"
    for hour in (14, 15):
        window += octets(b"\xff\xff\xff\xff\xff" + bytes((hour, 0, 0, 0)) + b"\x80\x00\x00")
    bench = pushing((PUSH, 4, window))
    assert bench.call(*PUSH, 1) == 0
    bench.hold(1)
    assert bench.model.push.sent[0] == 0
    bench.hold(2700 - 62)
    assert bench.model.push.sent[0] == 0
    bench.hold(240)
    assert bench.model.push.sent[0] == 1


def test_a_destination_over_tcp_is_dialled_and_retried():
    there = b"\x02\x03\x16\x00\x09\x0dhead-end:4061\x16\x00"
    bench = pushing((PUSH, 3, there), (PUSH, 6, b"\x11\x01"), (PUSH, 7, b"\x12\x00\x3c"))
    assert bench.call(*PUSH, 1) == 0
    bench.hold(1)
    assert bench.board.dialled == [(1, b"head-end:4061")]
    bench.hold(5)
    assert bench.model.push.sent[0] == 0
    bench.meter.link.connected(1)
    bench.hold(2)
    assert bench.model.push.sent[0] == 1
    poll(bench)
    frame = bench.board.written[1]
    assert struct.unpack(">4H", frame[:8]) == (1, 1, 2, len(frame) - 8)
    assert opened(frame[8:])[0] == name("0.0.25.9.0")
    # The other end went away, and nobody answers any more: two tries, then it is given up.
    bench.meter.link.closed(1)
    assert bench.call(*PUSH, 1) == 0
    for _ in range(40):
        bench.hold(10)
    assert bench.model.push.failed[0] == 1 and bench.model.push.sent[0] == 1
    assert len(bench.board.dialled) == 3


def test_no_keys_of_the_reader_no_message():
    """Nothing ever goes in clear."""
    keys = security()
    keys["clients"] = [client for client in keys["clients"] if client["sap"] == 1]
    bench = pushing(clients=keys["clients"])
    assert bench.call(*PUSH, 1) == 0
    for _ in range(30):
        bench.hold(60)
        poll(bench)
    assert bench.board.written[0] == b"" and bench.model.push.failed[0] == 1


def test_alarms_are_sent_when_they_are_raised():
    bench = pushing()
    assert bench.set(1, "0.0.97.98.0", 2, b"\x06\0\0\0\0") == 0
    bench.meter.tamper(ev.METER_COVER_REMOVED)
    bench.hold(1)
    poll(bench)
    body = opened(from_service_port(bench))
    assert body[0] == name("0.4.25.9.0") and body[3] == alarms.COVER
    assert body[4] == bench.get(70, "0.0.96.3.10", 3)
    # It stays until it is cleared; one that is filtered out is none.
    cut(bench)
    assert bench.get(1, "0.0.97.98.0") & alarms.COVER
    assert bench.set(1, "0.0.97.98.10", 2, struct.pack(">BI", 6, alarms.COVER)) == 0
    bench.set(1, "0.0.97.98.0", 2, b"\x06\0\0\0\0")
    bench.meter.tamper(ev.MAGNETIC_FIELD)
    bench.hold(1)
    assert bench.get(1, "0.0.97.98.0") == 0


def test_an_alarm_waits_for_the_line_and_not_behind_intervals():
    bench = pushing()
    assert bench.call(*PUSH, 1) == 0
    bench.meter.tamper(ev.METER_COVER_REMOVED)
    for _ in range(400):
        bench.hold(60)
        poll(bench)
    bench.meter.tamper(ev.MAGNETIC_FIELD)
    bench.hold(1)
    poll(bench)
    assert bench.board.written[0] == b"" and bench.model.push.failed == [0, 0]
    body = opened(from_service_port(bench))
    assert body[0] == name("0.4.25.9.0"), "the alarm first, and what is true now"
    assert body[3] & alarms.MAGNETIC_FIELD and body[3] & alarms.COVER
    body = opened(from_service_port(bench))
    assert body[0] == name("0.0.25.9.0") and body[3] == bench.get(7, "1.0.99.1.0")[-4:]
    assert from_service_port(bench) is None


def test_who_is_named_is_told_unasked():
    bench = pushing((ALARM_PUSH, 3, TO_THE_READER))
    assert bench.call(*PUSH, 1) == 0
    bench.meter.tamper(ev.METER_COVER_REMOVED)
    bench.hold(1)
    poll(bench)
    assert opened(from_service_port(bench, False))[0] == name("0.4.25.9.0")
    # The other setup names nobody: its message waits.
    bench.hold(60)
    poll(bench)
    assert opened(from_service_port(bench))[0] == name("0.0.25.9.0")


@pytest.mark.parametrize("there", [b"\x05\x05", b"\x04", b"\x21", b"\x67", b"host:4059", b"\x01"])
def test_a_line_has_clients_with_keys_or_none(there):
    bench = Bench(NOON, security=security())
    head = b"\x02\x03\x16\x05\x09"
    assert bench.set(*PUSH, 3, head + bytes((len(there),)) + there + b"\x16\x00") == OTHER_REASON
    for right in (b"", b"\x05", b"\x03"):
        assert bench.set(*PUSH, 3, head + bytes((len(right),)) + right + b"\x16\x00") == 0


def test_the_last_gasp():
    """What must be stored is stored first; then one message, at once."""
    bench = pushing((ALARM_PUSH, 5, b"\x12\x02\x58"), (ALARM_PUSH, 3, TO_THE_READER))
    stored = []
    recorder = bench.meter.recorder
    plain = recorder.stop
    recorder.stop = lambda: (plain(), stored.append(bench.board.written[0]))
    bench.meter.power_fail()
    assert stored == [b""]
    body = opened(from_service_port(bench, False))
    assert body[3] & alarms.POWER_DOWN
    registers = list(bench.meter.energy.mwh)
    cut(bench)
    assert bench.meter.energy.mwh == registers


# --- the HAN port ------------------------------------------------------------------------


class Session:
    """The association of the operator."""

    channel = 1
    sap = 1
    now_ms = made_ms = 0

    def __init__(self, bench):
        self.client = bench.meter.link.keyring.client(1)


def rekey(bench, keys, kek=KEK):
    wrapped = b"".join(aes_key_wrap(kek, key) for key in keys)
    return bench.set(*HAN_KEYS, 2, octets(wrapped), session=Session(bench))


def test_the_port_stays_as_the_operator_left_it():
    bench = Bench(NOON, security=security())
    assert bench.get(*HAN_OPEN) is False
    bench.hold(20)
    assert not bench.board.frames
    assert bench.set(*HAN_OPEN, 2, b"\x03\x01") == 0
    bench.hold(20)
    assert bench.board.frames and bench.get(1, "0.0.128.1.4") == len(bench.board.frames)
    cut(bench)
    assert bench.get(*HAN_OPEN) is True
    bench.hold(20)
    assert bench.board.frames
    assert bench.set(*HAN_OPEN, 2, b"\x03\x00") == 0
    cut(bench)
    bench.hold(20)
    assert not bench.board.frames and bench.get(*HAN_OPEN) is False
    codes = [row[1] for row in bench.get(7, "0.0.99.98.5")]
    assert codes == [ev.HAN_OPENED, ev.HAN_OPENED, ev.HAN_CLOSED]


def test_encryption_under_keys_that_came_wrapped():
    bench = Bench(NOON, security=security())
    assert bench.set(*HAN_OPEN, 2, b"\x03\x01") == 0
    assert bench.set(*HAN_SEALED, 2, b"\x03\x01") == TEMPORARY_FAILURE
    keys = (os.urandom(16), os.urandom(16))
    assert rekey(bench, keys, os.urandom(16)) == OTHER_REASON
    assert bench.set(*HAN_SEALED, 2, b"\x03\x01") == TEMPORARY_FAILURE
    assert bench.set(*HAN_KEYS, 2, octets(bytes(48))) == READ_WRITE_DENIED  # no association
    assert bench.code(*HAN_KEYS, who=access.OPERATOR) == READ_WRITE_DENIED
    assert rekey(bench, keys) == 0
    assert bench.get(*HAN_SEALED) is False
    assert bench.set(*HAN_SEALED, 2, b"\x03\x01") == 0
    counters = []
    for _ in range(3):
        bench.hold(30)
        assert bench.get(*HAN_SEALED) is True
        frames, bench.board.frames = bench.board.frames, []
        assert len(frames) > 3
        for frame in frames:
            at = frame.index(b"\xdb\x08" + TITLE)
            counters.append(struct.unpack(">I", frame[at + 14 : at + 18])[0])
            sealed = GeneralGlobalCipher.from_bytes(frame[at:-3])
            plain = decrypt(
                sealed.security_control, TITLE, sealed.invocation_counter, keys[0],
                sealed.ciphered_text, keys[1],
            )  # fmt: skip
            assert plain[0] == 0x0F
        cut(bench)
    assert len(set(counters)) == len(counters) and counters == sorted(counters)
    # New keys: the old ones open nothing any more. The counters go on: who sends the same
    # encryption key again, or a former one, shall not have a number serve twice with it.
    for new in ((keys[0], os.urandom(16)), (os.urandom(16), os.urandom(16)), keys):
        assert rekey(bench, new) == 0
        bench.board.frames = []
        bench.hold(30)
        frame = bench.board.frames[0]
        at = frame.index(b"\xdb\x08" + TITLE)
        counters.append(struct.unpack(">I", frame[at + 14 : at + 18])[0])
        assert counters[-1] > counters[-2] + len(frames)
    assert rekey(bench, READER_KEYS) == OTHER_REASON
    # The customer has these: they become no other key either.
    assert all(bench.meter.link.keyring.serves(key) for key in keys)
    assert bench.set(*HAN_SEALED, 2, b"\x03\x00") == 0
    bench.board.frames = []
    bench.hold(30)
    assert bench.board.frames and TITLE not in b"".join(bench.board.frames)
    codes = [row[1] for row in bench.get(7, "0.0.99.98.3")]
    assert codes.count(ev.KEYS_CHANGED) == 4 and ev.AUTHENTICATION_FAILED in codes


def test_cuts_while_settings_are_stored():
    """At every flash operation of a change: the old setting or the new, never another."""
    from openams.faultlab.flash_lab import LabFlash, PowerCut

    base_bench = Bench(NOON)
    base_bench.set(*PUSH, 6, b"\x11\x01")
    image = {n: bytes(data) for n, data in base_bench.flash.own.items()}
    done = False
    operation = 0
    while not done:
        bench = Bench(NOON + timedelta(minutes=1))
        bench.flash = LabFlash(64, dict(image))
        bench.power_up()
        bench.flash.cut_at = bench.flash.operations + operation
        try:
            assert bench.set(*PUSH, 6, b"\x11\x02") == 0
            done = True
        except PowerCut:
            pass
        bench.flash.cut_at = 1 << 60
        cut(bench)
        assert bench.get(*PUSH, 6) in ((2,) if done else (1, 2))
        operation += 1
    assert operation >= 2


# --- sub-meters ----------------------------------------------------------------------------


class BusLine:
    """The UART of the bus, with slaves at its other end; answers come at once."""

    def __init__(self, *slaves):
        self._bus = MBus(slaves)
        self._waiting = b""

    def write(self, data):
        self._waiting += self._bus.put(bytes(data))

    def any(self):
        return len(self._waiting)

    def readinto(self, buffer):
        piece = self._waiting[: len(buffer)]
        self._waiting = self._waiting[len(piece) :]
        buffer[: len(piece)] = piece
        return len(piece)


def test_sub_meters():
    water = MBusSlave(7, 0x12345678, [b"\x0c\x13\x78\x56\x34\x12"])
    client, value = (72, "0.1.24.1.0"), (4, "0.1.24.2.1")
    bench = Bench(NOON)
    assert bench.code(*client) == 4, "no line, no objects"
    assert name("0.1.24.1.0") not in [row[2] for row in bench.model.rows()]

    def join():
        bench.model.join_submeters(BusLine(water), lambda text: None)

    def run(seconds):
        for _ in range(seconds * 20):
            bench.raw_ms += 50
            bench.model.submeters.poll(bench.raw_ms)

    join()
    assert bench.get(*value) is None and bench.get(*value, 5)[:2] == b"\xff\xff"
    assert bench.call(*client, 1, b"\x11\x07", access.READER) == READ_WRITE_DENIED
    assert bench.call(*client, 1, b"\x11\xfe") == OTHER_REASON
    assert bench.call(*client, 3) == OTHER_REASON
    assert bench.call(*client, 1, b"\x11\x07") == 0
    assert bench.set(*client, 4, b"\x06\x00\x00\x00\x78") == 0
    assert bench.set(*client, 4, b"\x06\x00\x00\x00\x01") == OTHER_REASON
    run(5)
    assert bench.get(*client, 6) == 0x12345678 and bench.get(*client, 5) == 7
    assert bench.get(*client, 9) == 7 and bench.get(*client, 12) == 0
    assert bench.get(*value) == 12345678 and bench.get(*value, 3) == [-3, 13]
    assert bench.get(4, "0.1.24.2.4") is None and bench.get(4, "0.2.24.2.1") is None
    for attribute in range(1, 13):
        bench.get(*client, attribute)
    definition = b"\x01\x01\x02\x02" + octets(b"\x0c") + octets(b"\x13")
    assert bench.set(*client, 3, definition) == 0
    assert bench.set(*client, 3, b"\x01\x01\x02\x02" + octets(b"") + octets(b"\x13")) != 0
    cut(bench)
    join()
    assert bench.get(*client, 5) == 7 and bench.get(*client, 4) == 120
    assert bench.raw(*client, 3) == definition and bench.get(*client, 6) == 0x12345678
    run(5)
    assert bench.get(*value) == 12345678
    water.silent = True
    assert bench.call(*client, 3) == 0
    run(10)
    assert bench.get(*client, 12) == 0x80 and bench.get(*value) == 12345678
    assert bench.call(*client, 4) == 0
    assert bench.get(*client, 12) == 0
    assert bench.call(*client, 2) == 0
    assert bench.get(*value) is None
    cut(bench)
    join()
    assert bench.get(*client, 5) == 0
