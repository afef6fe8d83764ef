"""Power cuts at every flash operation of a firmware update, on CPython and MicroPython alike.

A whole meter with its keys takes an image through class 18 while it measures, restarts
by itself into the slot, and confirms it. State and slots are one flash here, so that an
operation has one number, whichever of the two it changes. After each cut the start-up code
chooses, the meter starts, is held against all that was kept, measures on, and its client
goes through with the update. With "halves" the code is a whole firmware, which the starter chooses
by its records. See powercut.py, whose manner and checks these are.
"""

import binascii
import json
import struct
import sys

import flash_lab
import powercut
import starter
from amsboot import choice

from ams.cosem import access
from ams.cosem.axdr import Reader, Writer
from ams.events import events
from ams.hal import Flash
from ams.meter import Meter
from ams.registers import profile
from ams.results import AccessError
from ams.storage import layout
from ams.update.slots import slots
from amsbench.hold import hold

STATE = 48
SLOTS = 8
RECORDS = 2
# Of a half: its map, head and manifest, and the code.
HALF = 4
_CODE = 2 * flash_lab.SECTOR
ORIGINS = (0x10000000, 0x10010000)
OLD_CODE = bytes(range(256)) * 3
_OBJECT = bytes((0, 0, 44, 0, 0, 255))
_BLOCK = 64
_POLL_MS = 250
# Asked so often, a verification has come to its end, and a trial too.
_PATIENCE = 400


class Restart(BaseException):
    """The meter starts anew, as it was told to."""


class Part(Flash):
    """Some sectors of a flash."""

    def __init__(self, flash, first, count):
        self._flash = flash
        self._base = first * flash_lab.SECTOR
        self.size = count * flash_lab.SECTOR

    def read(self, address, buffer):
        self._flash.read(self._base + address, buffer)

    def program(self, address, data):
        self._flash.program(self._base + address, data)

    def erase(self, address):
        self._flash.erase(self._base + address)


class Board(flash_lab.LabBoard):
    name = "unix"

    def __init__(self, flash, slots_flash, started, halves=None):
        flash_lab.LabBoard.__init__(self, flash)
        self.slots = slots_flash
        self.started = started
        self.halves = halves

    def entropy(self, count):
        return bytes(range(count))

    def link_write(self, channel, data):
        pass

    def link_close(self, channel):
        pass

    def restart(self):
        raise Restart()


class Life:
    """A meter and its client, from power-up to power-up."""

    def __init__(self, flash, config, image, raw_ms, seen=None, stored=None, halves=False):
        """`seen(meter)` is called after each step, `stored(meter)` after the registers are."""
        self.flash = flash
        self.halves = halves
        self.config = config
        self.image = image
        self.raw_ms = raw_ms
        self.ticks_ms = 0
        self.seen = seen
        self.stored = stored
        self.marks = {}  # what was begun or done: flash operations by then
        self.power_up()

    # --- the meter -----------------------------------------------------------------

    def power_up(self):
        state, area = Part(self.flash, 0, STATE), Part(self.flash, STATE, SLOTS)
        halves = None
        if self.halves:
            records = Part(self.flash, STATE + SLOTS, RECORDS)
            half, _ = starter.choose(records, self.read_code, (HALF - 2) * flash_lab.SECTOR)
            powercut.demand(half, "nothing runs")
            halves = records, half, len(OLD_CODE), ORIGINS
            self.started = choice.Start(None, half - 1)
        else:
            self.started = choice.choose(state, area, b"unix")
        meter = self.meter = Meter(Board(state, area, self.started, halves), self.config)
        if self.stored is not None:
            plain = meter.nv_memory.store

            def store(*what):
                plain(*what)
                self.stored(meter)

            meter.nv_memory.store = store
        meter.start(self.raw_ms)
        self.step()

    def read_code(self, half, size):
        code = bytearray(size)
        self.flash.read((STATE + (half - 1) * HALF) * flash_lab.SECTOR + _CODE, code)
        return code

    def step(self):
        if self.seen is not None:
            self.seen(self.meter)

    def measure(self, ms):
        """Time passes for the metering and for the links."""
        meter = self.meter
        flash_lab.set_power(meter, 3600)
        hold(meter, self.raw_ms, ms, meter._board.clock)
        self.raw_ms += ms
        meter.tick(self.raw_ms)
        self.step()
        try:
            for _ in range(8):
                self.ticks_ms += _POLL_MS
                meter.link.poll(self.ticks_ms)
        except Restart:
            self.step()
            self.raw_ms += 1000
            self.power_up()
        self.step()

    # --- its client -------------------------------------------------------------------

    def call(self, method, data=b"\x0f\x00"):
        try:
            out = Writer(64)
            self.meter.model.call(18, _OBJECT, method, access.UPDATE, Reader(data), out)
        except AccessError as error:
            return error.code
        return 0

    def running(self):
        """The slot whose code runs for good, 0 for what was flashed."""
        confirmed = self.meter.updater.switch.confirmed
        return confirmed - 1 if self.halves else confirmed

    def update(self):
        """Goes on with the update where it stands, to its end."""
        for _ in range(_PATIENCE):
            updater = self.meter.updater
            if updater.switch.trial or updater.restart:
                self.measure(4000)
            elif self.running() == 0:
                self.offer(updater)
            else:
                self.measure(4000)
                return
        raise powercut.Failure("the update comes to no end")

    def offer(self, updater):
        size = len(self.image)
        wanted(self.call(1, b"\x02\x02\x09\x02v2\x06" + struct.pack(">I", size)), "initiate")
        while updater.first_missing() < updater.blocks:
            number = updater.first_missing()
            piece = self.image[number * _BLOCK : (number + 1) * _BLOCK]
            data = struct.pack(">I", number) + bytes((9, len(piece))) + piece
            wanted(self.call(2, b"\x02\x02\x06" + data), "block")
            if number % 2:
                self.measure(10000)
        for _ in range(_PATIENCE):
            code = self.call(3)
            if code == 0:
                break
            if code != 2:
                raise powercut.Failure("verify says %d" % code)
            self.measure(2000)
        self.mark("activate")
        wanted(self.call(4), "activate")
        self.mark("activated")

    def mark(self, name):
        if name not in self.marks:
            self.marks[name] = self.flash.operations


def wanted(code, what):
    if code:
        raise powercut.Failure("%s says %d" % (what, code))


class Work:
    """The update once, on a flash whose every operation is written down."""

    def __init__(self, flash, config, image, halves):
        self.flash = flash
        self.points = []
        self.cells = []
        self.stored = [0] * 8
        self.truth = powercut.Truth(self, {}, [{} for _ in range(layout.EVENT_LOGS)], {})
        self.truth.base = {1: [0] * 4}
        self._totals = [0] * 4
        life = self.life = Life(
            flash, config, image, flash_lab.START_MS, self.remember, self.keep, halves
        )
        life.measure(60000)
        life.update()
        life.mark("confirmed")
        marks = life.meter.recorder.load_profile.status
        powercut.demand(marks & profile.STATUS_POWER_DOWN, "the gap at the switch is not marked")
        life.measure(60000)

    def keep(self, meter):
        self.stored = list(meter.energy.mwh)
        self.remember(meter)

    def remember(self, meter):
        done = self.flash.operations
        number = meter.recorder.load_profile.number
        numbers = list(meter.events.numbers)
        self.points.append((done, self.stored, number, numbers, meter.utc_ms))
        powercut.collect(meter, self.truth, self._totals)


class Replay(powercut.Replay):
    """Starts the meter on the flash as it stood when the power went, and ends the update."""

    def __init__(self, request, config, image, work):
        powercut.Replay.__init__(self, request, config, work.truth, work.life.raw_ms)
        self.image = image
        self.halves = work.life.halves
        self.marks = work.life.marks
        self.key = binascii.unhexlify(config["security"]["update"])

    def begin(self, flash, raw_ms, operation):
        life = Life(flash, self.config, self.image, raw_ms, None, None, self.halves)
        powercut.check(self.truth, operation, life.meter)
        self.check_code(life, operation)
        return life

    def check_code(self, life, operation):
        """Old or new, whole, as it must be by now; keys and calibration are what they were."""
        slot = life.started.slot
        if operation < self.marks["activate"]:
            powercut.demand(slot == 0, "new code runs before it was activated")
        if operation >= self.marks["activated"]:
            powercut.demand(slot == 1, "old code runs after the new one was activated")
        if slot:
            held = bytearray(len(self.image))
            place = 2 if self.halves else slot
            slots(Part(life.flash, STATE, SLOTS))[place].read(0, held)
            powercut.demand(bytes(held) == self.image, "what runs is not what was sent")
        meter = life.meter
        keyring = meter.link.keyring
        provisioned = operation > self.truth.points[0][0]
        if provisioned:
            powercut.demand(keyring.secret("update") == self.key, "the update key is another")
        settings = meter.nv_memory.load_settings()
        powercut.demand(
            not provisioned or settings["calibration"] == self.config["calibration"],
            "the calibration is another",
        )

    def hold(self, image, log, raw_ms, operation, torn, again=None, torn_again=None):
        try:
            flash = flash_lab.LabFlash(STATE + SLOTS + RECORDS, image, log)
            life = self.begin(flash, raw_ms, operation)
            # From here on it is no start any more: what it does is not cut again.
            started = len(log) if log is not None else 0
            before = list(life.meter.energy.mwh)
            life.measure(10000)
            # 3600 W for 10 s, 1080 var.
            powercut.demand(life.meter.energy.mwh[0] - before[0] == 10000, "it does not meter")
            if again is None:
                life.update()
                powercut.demand(life.started.slot == 1, "the update did not come to its end")
                codes = [event[2] for log in flash_lab.logged(life.meter) for event in log]
                powercut.demand(events.FIRMWARE_ACTIVATED in codes, "the update is not logged")
            if log is not None:
                del log[started:]
        except Exception as error:
            # Whatever a start stumbles over is what this looks for.
            self.tell(error, operation, torn, again, torn_again)
            return False
        return True


def campaign(request):
    config = request["config"]
    image = binascii.unhexlify(request["update"])
    log = []
    halves = request["halves"]
    flashed = {}
    if halves:
        old = bytearray(flash_lab.ERASED)
        old[: len(OLD_CODE)] = OLD_CODE
        flashed[STATE + 2] = bytes(old)
    flash = flash_lab.LabFlash(STATE + SLOTS + RECORDS, flashed, log)
    work = Work(flash, config, image, halves)
    print(json.dumps({"operations": len(log), "minutes": len(work.points)}))
    powercut.play(request, flashed, log, Replay(request, config, image, work))


if __name__ == "__main__":
    campaign(json.loads(sys.stdin.read()))
