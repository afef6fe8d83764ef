"""A meter on a flash whose operations can be cut, for CPython and MicroPython alike."""

from ams.events import events
from ams.hal import Flash
from ams.meter import Meter
from ams.registers import billing, profile
from ams.storage import layout

START_MS = 828_187_500_000 - 828_187_500_000 % 86400000 + 79_000_000
SECTOR = 4096
MINUTE_MS = 60000
NEVER = 1 << 60
ERASED = b"\xff" * SECTOR


class PowerCut(BaseException):
    """Nothing in the meter catches it."""


class Random:
    """The same numbers on every VM."""

    def __init__(self, seed):
        self.state = (seed * 2654435761 + 88172645) & 0xFFFFFFFF or 1

    def below(self, count):
        x = self.state
        x ^= x << 13 & 0xFFFFFFFF
        x ^= x >> 17
        x ^= x << 5 & 0xFFFFFFFF
        self.state = x
        return x % count


class LabFlash(Flash):
    """Sectors of `base` (dict of bytes), copied when written; operations can be cut."""

    def __init__(self, sectors, base=None, log=None):
        self.size = sectors * SECTOR
        self.base = base or {}
        self.own = {}
        self.log = log
        self.operations = 0
        self.cut_at = NEVER
        self.torn = None
        self.random = None

    def sector(self, number):
        return self.own.get(number) or self.base.get(number)

    def read(self, address, buffer):
        done = 0
        while done < len(buffer):
            data = self.sector(address // SECTOR) or ERASED
            at = address % SECTOR
            piece = min(SECTOR - at, len(buffer) - done)
            buffer[done : done + piece] = data[at : at + piece]
            done += piece
            address += piece

    def program(self, address, data):
        at = address % SECTOR
        assert at // 256 == (at + len(data) - 1) // 256, "program across a page"
        old = bytearray(len(data))
        self.read(address, old)
        for k in range(len(data)):
            old[k] &= data[k]
        self.change(address // SECTOR, at, old)

    def erase(self, address):
        assert address % SECTOR == 0
        self.change(address // SECTOR, 0, None)

    def change(self, number, at, data):
        operation = self.operations
        self.operations += 1
        if operation >= self.cut_at:
            if operation == self.cut_at and self.torn:
                apply(self.own, self.writable(number), number, at, data, self.torn, self.random)
            raise PowerCut()
        if self.log is not None:
            self.log.append((number, at, None if data is None else bytes(data)))
        apply(self.own, self.writable(number), number, at, data)

    def writable(self, number):
        own = self.own.get(number)
        if own is None:
            data = self.base.get(number)
            own = self.own[number] = bytearray(data) if data else bytearray(ERASED)
        return own


def apply(sectors, target, number, at, data, torn=None, random=None):
    """One operation on a sector: whole, or some bytes or bits of it."""
    if data is None:
        at, data = 0, ERASED
    if torn is None:
        target[at : at + len(data)] = data
    elif torn == "bytes":
        done = random.below(len(data) + 1)
        target[at : at + done] = data[:done]
    else:
        for k in range(len(data)):
            changed = target[at + k] ^ data[k]
            if changed:
                target[at + k] ^= changed & random.below(256)
    sectors[number] = target


class LabClock:
    backup_s = None

    def utc_ms(self):
        return 0

    def set(self, utc_ms):
        pass


class LabUart:
    def init(self, *line):
        pass

    def write(self, data):
        pass


class LabBoard:
    def __init__(self, flash):
        self.flash = flash
        self.clock = LabClock()
        self.han_uart = LabUart()

    def log(self, text):
        pass


def make_meter(flash, config):
    return Meter(LabBoard(flash), config)


def set_power(meter, power_w):
    q = meter.quantities
    for place in range(3):
        q.voltage_mv[place] = 230000
        q.current_ua[place] = abs(power_w) * 1000000 // 690
        q.active_power_mw[place] = power_w * 1000 // 3
    q.total_active_power_mw = power_w * 1000
    q.total_reactive_power_mvar = power_w * 300
    q.frequency_mhz = 50000


def start(flash, config, raw_ms):
    meter = make_meter(flash, config)
    meter.start(raw_ms)
    return meter


def entries(meter, first=None):
    """All that the ring holds, as it stands there, or those from a number on."""
    nv_memory = meter.nv_memory
    if first is None:
        found = nv_memory.entries(layout.LOAD_PROFILE)
    else:
        found = nv_memory.entries_between(layout.LOAD_PROFILE, first, NEVER)
    return [profile.unpack(data) for data in found]


def logged(meter):
    out = []
    for log in range(layout.EVENT_LOGS):
        out.append([events.unpack(data) for data in meter.nv_memory.entries(layout.EVENTS + log)])
    return out


def days(meter):
    return [billing.unpack(data) for data in meter.nv_memory.entries(layout.DAILY)]
