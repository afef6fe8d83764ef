"""A meter with slots takes an image through its COSEM object, and confirms it by itself."""

from __future__ import annotations

import os
import struct

import pytest
from cosem_objects import METER_ID
from dlms import TITLE, security
from test_update import PUBLIC, UPDATE_KEY, image_of

from ams.cosem import access
from ams.cosem.axdr import Reader, Writer
from ams.events import events
from ams.results import AccessError
from openams.faultlab import flash_lab
from openams.grid.frontend import make_front_end

LN = bytes((0, 0, 44, 0, 0, 255))
START_MS = 828_187_200_000
EXPIRY = START_MS // 1000 + 3600
IMAGE = image_of(title=TITLE, expiry=EXPIRY)


class Board(flash_lab.LabBoard):
    name = "unix"
    restarts = 0

    def __init__(self, flash, slots):
        super().__init__(flash)
        self.slots = slots

    def entropy(self, count):
        return os.urandom(count)

    def link_write(self, channel, data):
        pass

    def link_close(self, channel):
        pass

    def restart(self):
        self.restarts += 1


class Bench:
    def __init__(self):
        self.flash, self.slots = flash_lab.LabFlash(64), flash_lab.LabFlash(16)
        self.now_ms = 0
        self.power_up()

    def power_up(self):
        self.board = Board(self.flash, self.slots)
        self.meter = flash_lab.Meter(
            self.board,
            {
                "system": "1P2W",
                "calibration": make_front_end("ideal", "1P2W", 1).calibration("1P2W"),
                "identity": {"meter_id": METER_ID, "meter_type": "OAM-1"},
                "han": {"format": "kaifa"},
                "security": security(update=UPDATE_KEY.hex(), release_key=PUBLIC.hex()),
            },
        )
        self.meter.start(START_MS)

    def poll(self, count=1):
        for _ in range(count):
            self.now_ms += 200
            self.meter.link.poll(self.now_ms)

    def call(self, method, data=b"\x0f\x00", who=access.UPDATE):
        try:
            parameter = None if data is None else Reader(data)
            self.meter.model.call(18, LN, method, who, parameter, Writer(64))
        except AccessError as error:
            return error.code
        return 0

    def read(self, attribute):
        out = Writer(640)
        pieces = self.meter.model.get(18, LN, attribute, access.UPDATE, out)
        for _ in pieces or ():
            pass
        return bytes(out.view())

    def transfer(self, image):
        start = b"\x02\x02\x09\x02v2\x06" + struct.pack(">I", len(image))
        assert self.call(1, start) == 0
        blocks = range(0, len(image), 64)
        for number, at in reversed(list(enumerate(blocks))):
            piece = image[at : at + 64]
            head = b"\x02\x02\x06" + struct.pack(">I", number) + bytes((9, len(piece)))
            assert self.call(2, head + piece) == 0

    def codes(self):
        return [(event[1], event[2]) for event in self.meter.events.entries()]


def test_from_initiate_to_confirmed():
    bench = Bench()
    bench.transfer(IMAGE)
    assert bench.read(4) == b"\x06" + struct.pack(">I", -(-len(IMAGE) // 64))
    assert bench.call(4) == 3
    assert bench.call(3) == 2 and bench.read(6) == b"\x16\x02"
    bench.poll(200)
    assert bench.call(3) == 0 and bench.read(6) == b"\x16\x03"
    assert bench.read(7)[:2] == b"\x01\x01"
    assert bench.call(4) == 0 and bench.read(6) == b"\x16\x05"
    bench.poll(10)
    assert bench.board.restarts == 1
    bench.power_up()
    updater = bench.meter.updater
    assert updater.switch.choose(updater.slots, b"unix") == 1
    bench.poll(3)
    assert updater.switch.trial == 1, "nothing was measured yet"
    for number in range(1, 6):
        bench.meter.measured(START_MS + 1000 * number, 1000, 0, 0, 0)
        bench.poll(8)
    assert updater.switch.confirmed == 1 and bench.read(6) == b"\x16\x06"
    assert (events.FIRMWARE_ACTIVATED, 1) in bench.codes()


def test_methods_without_their_parameter_are_refused():
    bench = Bench()
    assert [bench.call(method, None) for method in (1, 2, 3, 4)] == [12, 12, 3, 3]


@pytest.mark.parametrize(
    "bad, reason", [(image_of(title=TITLE), 8), (IMAGE[:-1] + bytes((IMAGE[-1] ^ 1,)), 14)]
)
def test_a_refusal_is_logged(bad, reason):
    bench = Bench()
    bench.transfer(bad)
    bench.call(3)
    bench.poll(200)
    assert bench.read(6) == b"\x16\x04" and bench.call(4) == 3
    assert (events.FIRMWARE_REFUSED, reason) in bench.codes()


@pytest.mark.parametrize("who", [access.PUBLIC, access.READER, access.OPERATOR, access.BREAKER])
def test_only_the_client_of_updates(who):
    bench = Bench()
    assert bench.call(1, b"\x02\x02\x09\x02v2\x06\0\0\1\0", who) == 3


def test_activated_after_a_power_cut_measuring_meanwhile():
    """What was verified is in RAM: it is verified once more, piece by piece, then activated."""
    bench = Bench()
    bench.transfer(IMAGE)
    bench.call(3)
    bench.poll(200)
    assert bench.read(6) == b"\x16\x03"
    bench.power_up()
    assert bench.read(6) == b"\x16\x01"
    assert bench.call(4) == 2 and bench.read(6) == b"\x16\x02"
    bench.poll(5)
    assert bench.read(6) == b"\x16\x02" and not bench.board.restarts
    while not bench.board.restarts:
        bench.poll()
    assert bench.read(6) == b"\x16\x05"
