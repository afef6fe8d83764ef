"""HAN ports on either VM: what each sends, and when, under one load that changes and exports.

`digest(...)` gives the number of messages, of octets, and a CRC over all of them with their times:
the same on every VM.
"""

import binascii
import struct

from ams.clock.local import LocalClock
from ams.hal import Uart
from ams.han import FORMATS, make_format
from ams.han.port import HanPort
from ams.han.quirks import QUIRKS
from ams.metrology.quantities import Quantities
from ams.registers.energy import EnergyRegisters
from ams.registers.identity import Identity

HOUR = 3600000
MANY = ("iskraemeco", "landis", "sagemcom", "sml")
# Of many lists each second or two a part of the time is enough.
PARTS = {"p1": 4, "sml": 9, "iskraemeco": 6, "landis": 6, "sagemcom": 6}
METER_ID = "7359990000000017"


class Recorder(Uart):
    """Keeps what is sent; takes only what `room` octets hold, when there is such a limit."""

    def __init__(self):
        self.frames = []
        self.lines = []
        self.now = 0
        self.room = None
        self.keeps = True  # the frames; else they are counted and summed up
        self.total = [0, 0, 0]  # messages, octets, CRC of their times and octets

    def init(self, *line):
        self.lines.append(line)

    def write(self, data):
        if self.room is not None:
            if len(data) > self.room:
                return False
            self.room -= len(data)
        if self.keeps:
            self.frames.append((self.now, bytes(data)))
            return
        crc = binascii.crc32(data, binascii.crc32(struct.pack("<q", self.now), self.total[2]))
        self.total = [self.total[0] + 1, self.total[1] + len(data), crc & 0xFFFFFFFF]


def make(name, variant=None, system="3P4W", quirk=None, seed=1, cipher=None, options=None,
         summer_time=None, meter_type="6534"):  # fmt: skip
    uart = Recorder()
    port = HanPort(
        uart,
        make_format(name, variant, options),
        Quantities(system),
        EnergyRegisters(),
        Identity(METER_ID, meter_type),
        LocalClock(),
        None,
        quirk,
        cipher,
        seed,
        summer_time,
    )
    return port, uart


def load(quantities, now):
    """Import and export by the minute, each phase its own way."""
    minute = now // 60000
    for k in range(3):
        p = ((minute * (7 + 3 * k)) % 41 - 17) * 211000 + k * 333
        q = ((minute * (5 + 2 * k)) % 23 - 11) * 97000
        if quantities.system == "1P2W" and k or quantities.system == "3P3W" and k == 1:
            p = q = 0
        quantities.active_power_mw[k] = p
        quantities.reactive_power_mvar[k] = q
        quantities.voltage_mv[k] = 229000 + 771 * ((minute + 3 * k) % 9)
        quantities.current_ua[k] = (abs(p) + abs(q)) * 1000 // 230
    quantities.total_active_power_mw = sum(quantities.active_power_mw)
    quantities.total_reactive_power_mvar = sum(quantities.reactive_power_mvar)
    quantities.frequency_mhz = 49990 + minute % 21


def run(port, uart, start, duration_ms, step_ms=50):
    """Polls like a main loop; the registers count and close their hours."""
    view = port.view
    registers = view.registers
    hour = start // HOUR
    before = start
    # By the way since the start: on a chip a range has 32 bits.
    for passed in range(0, duration_ms, step_ms):
        now = start + passed
        uart.now = now
        q = view.quantities
        registers.add(q.total_active_power_mw * (now - before),
                      q.total_reactive_power_mvar * (now - before))  # fmt: skip
        before = now
        if now // HOUR != hour:
            hour = now // HOUR
            registers.close_hour(hour * HOUR)
        load(q, now)
        port.poll(now)


def digest(name, variant, system, quirk, seed, start, duration_ms, step_ms=500):
    port, uart = make(name, variant, system, quirk, seed)
    uart.keeps = False
    port.open(start)
    run(port, uart, start, duration_ms, step_ms)
    return tuple(uart.total)


def jobs():
    """(parts of the time, ...) of every format, variant and system, and every quirk twice."""
    for name in FORMATS:
        kinds = [make_format(name)]
        if name == "kaifa":
            kinds.append(make_format(name, "at"))
        for kind in kinds:
            for variant in kind.variants:
                for system in ("1P2W", "3P3W", "3P4W"):
                    yield PARTS.get(name, 1), name, variant, system, None, 1
    for quirk in sorted(QUIRKS):
        name = "p1" if quirk in ("sweden-hybrid", "malformed-obis") else "kamstrup"
        for seed in (1, 7):
            yield 1, name, None, "3P4W", quirk, seed
        for name in MANY:
            others = ("sweden-hybrid", "malformed-obis") + (("to-p1",) if name == "sml" else ())
            if quirk not in others:
                yield 6, name, None, "3P4W", quirk, 3


def all_digests(start, duration_ms):
    return [digest(*job[1:], start, duration_ms // job[0]) for job in jobs()]
