"""The M-Bus master and port against modelled slaves on a bus, on both VMs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ams.mbus import frame, submeters, vif
from ams.mbus.capture import MBusPort
from ams.mbus.master import Master
from ams.mbus.submeters import SubMeter, SubMeters
from openams.emulator.models import mbus_slave
from openams.emulator.models.mbus_slave import MBus, MBusSlave

WATER = bytes.fromhex("0C13 78563412 0B3B 010000".replace(" ", ""))  # 12345.678 m3, 0.001 m3/h
HEAT = bytes.fromhex("0406 10270000 0259 581B 025D E803".replace(" ", ""))


class Line:
    """The bus at 2400 Bd: answers come octet by octet, some get lost or spoilt."""

    def __init__(self, *slaves, faults=()):
        self.bus = MBus(list(slaves))
        self.now_ms = 0
        self.sent = []
        self.faults = list(faults)
        self.answer = b""
        self.answer_ms = 0

    def write(self, data):
        self.sent.append(bytes(data))
        answer = self.bus.put(bytes(data))
        fault = self.faults.pop(0) if self.faults and answer else 0
        if fault == 1:
            answer = b""
        elif fault:
            answer = bytearray(answer)
            answer[fault % len(answer)] ^= 1 << fault % 8
        self.answer = bytes(answer)
        self.answer_ms = self.now_ms + len(data) * 5 + 60

    def run(self, thing, until, limit_ms=600_000):
        end = self.now_ms + limit_ms
        while not until():
            assert self.now_ms < end, "no end"
            self.now_ms += 10
            if self.answer and self.now_ms >= self.answer_ms:
                piece, self.answer = self.answer[:2], self.answer[2:]
                thing.feed(piece, self.now_ms)
            thing.tick(self.now_ms)


def ask(line, start, *arguments, **more):
    master = Master(line.write)
    out = []
    getattr(master, start)(*arguments, done=out.append, now_ms=line.now_ms, **more)
    line.run(master, lambda: not master.busy)
    return out[0]


def test_reference_frames():
    assert frame.short(frame.SND_NKE, 1) == bytes.fromhex("1040014116")
    assert frame.short(frame.REQ_UD2 | frame.FCB, 1) == bytes.fromhex("107B017C16")


def test_reads_a_water_meter():
    slave = MBusSlave(5, 0x12345678, [WATER])
    line = Line(slave)
    answer = ask(line, "read", 5)
    assert answer.error is None and answer.header.identification == 0x12345678
    values = [(r.quantity, r.value, r.power, r.unit) for r in answer.records]
    assert values == [("volume", 12345678, -3, vif.M3), ("volume-flow", 1, -3, vif.M3_PER_H)]
    assert line.sent == [bytes.fromhex("1040054516"), bytes.fromhex("107B058016")]


def test_readouts_of_several_telegrams():
    slave = MBusSlave(5, 1, [WATER, HEAT, WATER])
    answer = ask(Line(slave), "read", 5)
    assert answer.error is None and len(answer.records) == 7
    assert slave.requests == 3


def test_nobody_there():
    line = Line(MBusSlave(5, 1, [WATER]))
    answer = ask(line, "read", 6)
    assert answer.error == "no answer" and answer.header is None
    assert len(line.sent) == 3, "asked three times"
    assert not ask(Line(), "reset", 5) and ask(Line(MBusSlave(5, 1, [WATER])), "reset", 5)


@settings(deadline=None, max_examples=80)
@given(faults=st.lists(st.integers(0, 255), max_size=20))
def test_every_readout_is_whole_or_says_it_is_not(faults):
    """A lost or spoilt answer is asked for again with the same toggle bit: nothing is skipped."""
    slave = MBusSlave(5, 1, [WATER, HEAT, WATER])
    answer = ask(Line(slave, faults=faults), "read", 5)
    if answer.error is None:
        assert [len(r.vib) for r in answer.records] == [1] * 7
        assert [r.quantity for r in answer.records][:2] == ["volume", "volume-flow"]
        assert [r.quantity for r in answer.records][2:5] == [
            "energy",
            "flow-temperature",
            "return-temperature",
        ]
    else:
        assert faults


def test_secondary_address():
    slaves = [MBusSlave(0, number, [WATER]) for number in (0x11111111, 0x11111112)]
    answer = ask(Line(*slaves), "read_secondary", 0x11111112)
    assert answer.header.identification == 0x11111112
    assert not slaves[0].requests
    answer = ask(Line(*slaves), "read_secondary", 0x11111113)
    assert answer.error == "no answer"
    answer = ask(Line(*slaves), "read_secondary", 0x11111111, manufacturer=0x2C2D)
    assert answer.error == "no answer", "another maker's meter"


def test_search_finds_every_slave():
    rng = random.Random(3)
    numbers = {int(f"{rng.randrange(10**8):08d}", 16) for _ in range(12)}
    numbers |= {0x12345678, 0x12345679, 0x12340000}
    line = Line(*(MBusSlave(0, number, [WATER]) for number in sorted(numbers)))
    found = ask(line, "search")
    assert sorted(header.identification for header in found) == sorted(numbers)


class Port:
    def __init__(self, *slaves, faults=()):
        self.line = Line(*slaves, faults=faults)
        self.table = SubMeters()
        self.log = []
        self.port = MBusPort(
            self.line.write, self.table, lambda: 1000 + self.line.now_ms, self.log.append
        )

    def run(self, ms):
        end = self.line.now_ms + ms
        self.line.run(self.port, lambda: self.line.now_ms >= end, ms + 1000)


def test_the_port_captures_what_is_installed():
    water, heat = MBusSlave(1, 0x11, [WATER]), MBusSlave(2, 0x22, [HEAT], medium=4)
    port = Port(water, heat)
    port.port.install(0, 1)
    port.port.install(2, 2)
    port.table.meters[2].capture_period_s = 60
    port.run(200_000)
    first, free, third = port.table.meters[:3]
    assert first.identification_number == 0x11 and first.device_type == 7
    value = first.values[0]
    assert (value.value, value.scaler, value.unit) == (12345678, -3, vif.M3)
    assert value.utc_ms and first.values[2].value is None
    assert not free.installed and free.values[0].value is None
    assert (third.device_type, third.values[0].value) == (4, 10000)
    assert (water.requests, heat.requests) == (1, 4)
    port.port.capture(0)
    port.run(2000)
    assert water.requests == 2
    port.port.deinstall(0)
    port.port.capture(0)
    port.run(2000)
    assert water.requests == 2 and first.values[0].value is None


def test_a_definition_chooses_values():
    port = Port(MBusSlave(1, 0x11, [HEAT]))
    port.table.meters[0].define([(b"\x02", b"\x5d"), (b"\x04", b"\x06")])
    port.port.install(0, 1)
    port.run(2000)
    assert [v.value for v in port.table.meters[0].values] == [1000, 10000, None, None]


def test_a_number_that_no_register_holds_is_none():
    """Nine octets: the object of the value could not give them, and would fail each read."""
    huge = bytes.fromhex("0D13E9FFFFFFFFFFFFFFFF7F 0D13E9000000000000000080".replace(" ", ""))
    port = Port(MBusSlave(1, 0x11, [huge + WATER]))
    port.port.install(0, 1)
    port.run(2000)
    assert [v.value for v in port.table.meters[0].values] == [12345678, 1, None, None]


def test_alarms():
    slave = MBusSlave(1, 0x11, [WATER])
    port = Port(slave)
    port.port.install(0, 1)
    slave.status = 0x0C
    port.run(2000)
    meter = port.table.meters[0]
    assert meter.alarm == submeters.ALARM_POWER_LOW | submeters.ALARM_PERMANENT_ERROR
    slave.silent = True
    port.port.capture(0)
    port.run(3000)
    assert meter.alarm & submeters.ALARM_NO_ANSWER and meter.failures == 1
    assert meter.values[0].value == 12345678, "the last value stays, with its time"
    slave.silent = False
    slave.status = 0
    slave.identification = 0x99
    port.port.capture(0)
    port.run(3000)
    assert (meter.alarm, meter.failures, meter.identification_number) == (0, 0, 0x99)
    assert "another meter" in port.log[-1]


def test_a_meter_that_never_ends_fills_nothing():
    answer = ask(Line(MBusSlave(1, 0x11, [bytes(2 * 100)] * 40)), "read", 1)
    assert answer.error == "no end of telegrams" and len(answer.records) == 64


def test_definitions_may_change_while_a_meter_is_read():
    port = Port(MBusSlave(1, 0x11, [HEAT]))
    port.port.install(0, 1)
    for definition in ([], [(b"\x02", b"\x5d")]) * 20:
        port.table.meters[0].define(definition)
        port.port.capture(0)
        port.run(70)
    port.run(3000)
    assert port.table.meters[0].values[0].value == 1000


def test_search_by_the_port():
    port = Port(MBusSlave(1, 0x12345678, [WATER]))
    found = []
    port.port.search(found.extend)
    port.run(60_000)
    assert [header.identification for header in found] == [0x12345678]


@given(
    address=st.integers(0, 250),
    number=st.integers(0, 2**32 - 1),
    period=st.integers(0, 2**32 - 1),
    definition=st.lists(
        st.tuples(
            st.sampled_from([b"\x04", b"\x84\x01", b"\x00", b"\x8c\x80\x80\x01"]),
            st.sampled_from([b"\x13", b"\x00", b"\xfd\x48", b"\x93\x3c"]),
        ),
        max_size=4,
    ),
)
def test_setup_survives(address, number, period, definition):
    meter = SubMeter()
    meter.installed = True
    meter.primary_address, meter.identification_number = address, number
    meter.capture_period_s = period
    meter.define(definition)
    again = SubMeter()
    again.restore(meter.pack())
    assert again.installed and again.pack() == meter.pack()
    assert again.capture_definition == definition
    meter.clear()
    again.restore(meter.pack())
    assert not again.installed


@pytest.mark.parametrize(
    "definition", [[(b"", b"\x13")], [(b"\x84", b"\x13")], [(b"\x04", b"\x13")] * 5]
)
def test_a_definition_that_cannot_be(definition):
    with pytest.raises(ValueError):
        SubMeter().define(definition)


VM = """
import gc, sys
sys.path.append(sys.argv[1])
from ams.mbus.capture import MBusPort
from ams.mbus.submeters import SubMeters
from mbus_slave import MBus, MBusSlave
water = MBusSlave(1, 0x11, [bytes.fromhex("0C13785634120B3B010000")] * 3)
heat = MBusSlave(2, 0x12345678, [bytes.fromhex("0406102700000259581B025DE803")])
bus = MBus([water, heat])
answer = [b"", 0]
now = [0]
def write(data):
    answer[0] = bus.put(bytes(data))
    answer[1] = now[0] + 100
table = SubMeters()
port = MBusPort(write, table, lambda: now[0])
def run(ms):
    end = now[0] + ms
    while now[0] < end:
        now[0] += 10
        if answer[0] and now[0] >= answer[1]:
            data = answer[0]
            answer[0] = b""
            port.feed(data, now[0])
        port.tick(now[0])
port.install(0, 1)
port.install(1, 2)
for meter in table.meters:
    meter.capture_period_s = 5
run(20000)
gc.collect()
before = gc.mem_alloc()
run(600000)
gc.collect()
grown = gc.mem_alloc() - before
found = []
port.search(found.extend)
table.meters[0].capture_period_s = 100000
table.meters[1].capture_period_s = 100000
run(60000)
values = [meter.values[0] for meter in table.meters[:2]]
print([(v.value, v.scaler, v.unit) for v in values])
print(sorted(header.identification for header in found), water.requests, grown)
"""


def test_the_same_on_micropython(micropython):
    folder = str(Path(mbus_slave.__file__).parent)
    values, rest = micropython(VM, folder).splitlines()
    assert values == str([(12345678, -3, vif.M3), (10000, 3, vif.WH)])
    found, requests, grown = rest.rsplit(" ", 2)
    assert found == str([0x11, 0x12345678])
    assert int(requests) > 360 and int(grown) < 4096
