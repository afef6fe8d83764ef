"""A whole meter with all clients' keys, a flash and a clock chip, and who wears it down; both VMs.

Requests go ciphered through the server, as from a line. Time is ours: `true_ms` is the world's,
what the board counts is its own, and the chip shows what it was set to.
"""

try:
    import flash_lab
except ImportError:
    from openams.faultlab import flash_lab

import os
import struct

from breakerbench import Relay
from dlms import KEK, TITLE, Raw, hexed

from ams.clock.local import civil
from ams.control import command as cm
from ams.events import events as ev
from ams.meter import Meter
from ams.storage import layout
from amsbench.hold import hold

# 2026-06-01 10:00:10 UTC, noon in Norway.
START_MS = 833_623_210_000
SAPS = {"operator": 1, "reader": 2, "breaker": 5, "update": 6}
SEALS = (bytes(range(0x80, 0x90)), bytes(range(0x90, 0xA0)))
CHANNEL = 1
CALIBRATION = {
    "sample_rate_hz": 4000,
    "full_scale": 8388607,
    "starting_power_mva": 700,
    "channels": [
        {"kind": "voltage", "lsb_pv": 100000000},
        {"kind": "current", "lsb_pa": 40000000},
    ],
}
CLOCK = (8, "0.0.1.0.0")


def keys_of(sap):
    return bytes(range(sap, sap + 16)), bytes(range(0xC0 + sap, 0xD0 + sap))


class Client(Raw):
    """`get`, `set` and `call` give what the meter answers: a result code, or octets."""

    def __init__(self, bench, name, channel):
        sap = SAPS[name]
        title = b"CLI\x00\x00\x00\x00" + bytes((sap,))
        bench.counters[name] += 100
        super().__init__(bench, sap, keys_of(sap), bench.counters[name], channel, title)
        self.name = name
        self.associate()

    def seal(self, *parts, **more):
        out = super().seal(*parts, **more)
        self.bench.counters[self.name] = self.counter
        return out

    def get(self, class_id, ln, attribute):
        head = struct.pack(">H", class_id) + obis(ln) + bytes((attribute,))
        answer = self.ask(b"\xc0\x01\xc1" + head + b"\x00")
        return answer[4:] if answer[3] == 0 else answer[4]

    def set(self, class_id, ln, attribute, value):
        head = struct.pack(">H", class_id) + obis(ln) + bytes((attribute, 0))
        return self.ask(b"\xc1\x01\xc1" + head + value)[3]

    def call(self, class_id, ln, method, value=b"\x0f\x00"):
        head = struct.pack(">H", class_id) + obis(ln) + bytes((method,))
        return self.ask(b"\xc3\x01\xc1" + head + b"\x01" + value)[3]

    # --- what is asked for often ---------------------------------------------------------

    def set_clock(self, utc_ms):
        return self.set(CLOCK[0], CLOCK[1], 2, octets(stamp(utc_ms)))

    def give(self, order):
        return self.set(1, "0.0.96.3.128", 2, octets(order))

    def move(self, connect=False):
        return self.call(70, "0.0.96.3.10", 2 if connect else 1)


class Chip:
    """The board's clock: counted from what the chip showed at power-up (see ds3231)."""

    backup_s = None

    def __init__(self, bench, keeps):
        self.bench = bench
        self.offset_ms = None
        if keeps:
            self.keep = self._keep

    def utc_ms(self):
        return self.bench.raw_ms

    def set(self, utc_ms):
        pass

    def _keep(self, offset_ms):
        self.offset_ms = offset_ms

    def tick(self):
        """The chip is set where its second begins."""
        bench = self.bench
        if self.offset_ms is not None and (bench.raw_ms + self.offset_ms) % 1000 < 100:
            bench.chip_off_ms = bench.raw_ms + self.offset_ms - bench.true_ms
            self.offset_ms = None


class Bench:
    """`keeps`: the clock chip is set with the clock; `policy` of the breaker."""

    han = {"format": "kaifa"}

    def __init__(self, keeps=True, start_ms=START_MS, flash=None, **policy):
        self.flash = flash_lab.LabFlash(64) if flash is None else flash
        self.relay = Relay()
        self.keeps = keeps
        self.policy = policy
        self.true_ms = start_ms
        self.chip_off_ms = 0  # what the chip shows, less the true time
        self.counters = {name: 0 for name in SAPS}
        self.power_w = 0
        self.complaints = []
        self.on_start = None
        self.power_up()

    def power_up(self, backup_s=None):
        self.raw_ms = self.true_ms + self.chip_off_ms
        self.raw_ms -= self.raw_ms % 1000
        board = flash_lab.LabBoard(self.flash)
        board.clock = Chip(self, self.keeps)
        board.clock.backup_s = backup_s
        board.relay = self.relay
        board.frontend = self
        board.entropy = os.urandom
        board.link_write = lambda channel, data: None
        board.link_close = lambda channel: None
        board.log = self.complaints.append
        self.board = board
        clients = []
        for sap in SAPS.values():
            encryption, authentication = keys_of(sap)
            clients.append(
                {
                    "sap": sap,
                    "encryption": hexed(encryption),
                    "authentication": hexed(authentication),
                }
            )
        self.meter = Meter(
            board,
            {
                "system": "1P2W",
                "calibration": CALIBRATION,
                "identity": {"meter_id": "7359990000000017", "meter_type": "6515"},
                "han": self.han,
                "breaker": self.policy,
                "security": {
                    "system_title": hexed(TITLE),
                    "kek": hexed(KEK),
                    "breaker": hexed(SEALS[0]),
                    "breaker_second": hexed(SEALS[1]),
                    "clients": clients,
                },
            },
        )
        self.meter.start(self.raw_ms)
        if self.on_start is not None:
            self.on_start()
        self.run(1)

    def power_cut(self, off_s=20, backup_s=None):
        """The supply is gone for so long; the coil of the relay with it."""
        self.relay.set_coil(0)
        self.true_ms += 1000 * off_s
        self.relay.now += 1000 * off_s
        self.power_up(backup_s)

    def run(self, seconds, step_ms=1000):
        """Time passes; what is taken goes with the relay."""
        meter = self.meter
        for _ in range(0, int(seconds * 1000), step_ms):
            self.true_ms += step_ms
            self.raw_ms += step_ms
            for ms in range(0, step_ms, 200):
                self.relay.now += 200
                meter.control.poll(self.raw_ms - step_ms + ms, meter.utc_ms)
            power_w = self.power_w if self.relay.contact else 0
            flash_lab.set_power(meter, power_w)
            meter.measured(self.raw_ms, step_ms, power_w * 1000 * step_ms, 0, 0)
            meter.tick(self.raw_ms)
            self.board.clock.tick()

    def hold(self, seconds, power_w=1000):
        """The same, fast."""
        flash_lab.set_power(self.meter, power_w)
        hold(self.meter, self.raw_ms, 1000 * seconds, self.board.clock)
        self.true_ms += 1000 * seconds
        self.raw_ms += 1000 * seconds
        self.relay.now += 1000 * seconds
        self.meter.tick(self.raw_ms)
        self.board.clock.tick()

    def request(self, apdu, sap=16, channel=1, server=1):
        data = memoryview(bytearray(apdu))
        now_ms = self.relay.now + 1000
        answer = self.meter.link.server.request(channel, sap, server, data, now_ms)
        return None if answer is None else bytes(answer)

    def client(self, name, channel=CHANNEL):
        return Client(self, name, channel)

    @property
    def shown_ms(self):
        return self.meter.clock.utc_ms(self.raw_ms)

    def order(self, action, number, *keys, start=-60, end=600, bound=cm.NO_DIGEST):
        """Sealed by people, whose clocks are right; times in s from now."""
        now_s = self.true_ms // 1000
        return cm.pack(TITLE, action, number, now_s + start, now_s + end, keys or SEALS[:1], bound)

    def refusals(self):
        found = self.log_of(ev.LOG_CONTROL)
        return [extra & 0xFF for _, _, code, _, extra in found if code == ev.CONTROL_REFUSED]

    def log_of(self, log):
        """(number, time, code, detail, extra) of what the flash holds."""
        return [ev.unpack(data) for data in self.meter.nv_memory.entries(layout.EVENTS + log)]

    def count_of(self, code):
        return sum(entry[2] == code for entry in self.log_of(ev.log_of(code)))


def obis(text):
    parts = [int(part) for part in text.split(".")]
    return bytes(parts if len(parts) == 6 else parts + [255])


def octets(data):
    return b"\x09" + bytes((len(data),)) + bytes(data)


def stamp(utc_ms, deviation=0):
    """The date-time of a moment, in UTC."""
    year, month, day, _, hour, minute, second, ms = civil(utc_ms)
    return struct.pack(
        ">HBBBBBBBhB", year, month, day, 0xFF, hour, minute, second, ms // 10, deviation, 0
    )


def local(bench, utc_ms):
    """(date of five octets, time of four) in Norway."""
    year, month, day, _, hour, minute = civil(bench.meter.local_clock.local_ms(utc_ms))[:6]
    return struct.pack(">HBBB", year, month, day, 0xFF), bytes((hour, minute, 0, 0))


def times(*entries):
    """execution_time of class 22, of (date, time)."""
    out = bytes((1, len(entries)))
    for date, time in entries:
        out += b"\x02\x02" + octets(time) + octets(date)
    return out
